//go:build !linux

package main

import "golang.org/x/sys/unix"

// The requests of termios(3): read the mode, set it once all output is written, and set it
// and discard what was typed.
const (
	readMode  = unix.TIOCGETA
	setMode   = unix.TIOCSETAW
	flushMode = unix.TIOCSETAF

	noCharacter = 0xff // _POSIX_VDISABLE
)
