package journal

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The lock belongs to the open file description, not to the process. It
// conflicts with that of another open file even in the same process, and a
// query about it acquires nothing.

func lock(f *os.File) error {
	err := setLock(f, unix.F_WRLCK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrLocked
	}
	return err
}

func unlock(f *os.File) error { return setLock(f, unix.F_UNLCK) }

func setLock(f *os.File, how int16) error {
	whole := unix.Flock_t{Type: how, Whence: io.SeekStart}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
}

// Held reports whether an executor has the journal open now. It does not
// acquire the lock to find out, not even for a moment, since an executor that
// starts at that moment must not be refused.
func Held(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, fmt.Errorf("check whether a journal is in use: %w", err)
	}
	defer f.Close()
	held, err := locked(f)
	if err != nil {
		return false, fmt.Errorf("check whether journal %q is in use: its file system does not support lock queries: %w; keep the journal on a local disk", name, err)
	}
	return held, nil
}

// locked reports whether another open file has the lock.
func locked(f *os.File) (bool, error) {
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &whole)
	return whole.Type != unix.F_UNLCK, err
}
