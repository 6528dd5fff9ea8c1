package ground

import "syscall"

// apart keeps a server out of the terminal's Ctrl-C, which is for whoever
// started it, and ends it with the thread that started it, so that none outlives
// a test program that is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
