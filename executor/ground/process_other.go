//go:build unix && !linux

package ground

import "syscall"

// apart keeps the terminal's Ctrl-C, which is for the starting program, from a
// server.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
