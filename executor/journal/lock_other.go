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
// can't be queried without acquiring it, so Held checks whether the process that
// the last run or resume record names still runs, which is less certain.
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
	// Signal 0 only asks; EPERM says that the process exists and is another user's.
	err = syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM), nil
}
