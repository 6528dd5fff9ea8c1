package main

import "golang.org/x/sys/unix"

// The requests of termios(3): read the mode, set it once all output is written, and set it
// and discard what was typed.
const (
	readMode  = unix.TCGETS
	setMode   = unix.TCSETSW
	flushMode = unix.TCSETSF

	noCharacter = 0 // _POSIX_VDISABLE
)
