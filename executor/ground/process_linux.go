package ground

import "syscall"

// diesWithParent ends a server with the thread that started it, so that none
// outlives a test program that is killed.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
