package ground

import "syscall"

// apart keeps the terminal's Ctrl-C, which is for the starting program, from a
// server. It also ends the server with the thread that started it, so that none
// outlives a test program that is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
