//go:build unix && !linux

package ground

import "syscall"

// apart keeps a server out of the terminal's Ctrl-C, which is for whoever
// started it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
