//go:build !linux

package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// Held reports whether an executor has the journal open now. A lock of flock(2)
// cannot be queried without acquiring it. So Held checks, less reliably,
// whether the process named in the last run or resume record is still running.
func Held(name string) (bool, error) {
	pid := 0
	err := Read(Disk, name, func(r *Record) error {
		if r.Run != nil {
			pid = r.Run.PID
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("check whether a journal is in use: %w", err)
	}
	if pid == 0 {
		return false, nil
	}
	// Signal 0 only checks. EPERM means that the process exists and belongs to
	// another user.
	err = syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM), nil
}
