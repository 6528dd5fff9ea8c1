package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/lsst-ts/csu/executor/plan"
)

// FS is everything that a journal does to files: the one seam at which tests
// inject faults and crashes.
type FS interface {
	// OpenFile is [os.OpenFile].
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// SyncDir makes the entries of a folder durable.
	SyncDir(dir string) error
}

// File is an open file of an [FS].
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync returns when everything that was written is durable.
	Sync() error
	// Lock takes the file's exclusive lock, which ends with the process or with
	// Close. It does not wait: [ErrLocked] means that somebody else has it.
	Lock() error
}

// ErrLocked is returned by [File.Lock].
var ErrLocked = errors.New("the file is locked")

// Disk is the file system that csu runs on.
var Disk FS = disk{}

type disk struct{}

func (disk) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) SyncDir(dir string) error { return plan.SyncDir(dir) }

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%q is not a regular file", f.Name())
	}
	return info.Size(), nil
}

func (f diskFile) Lock() error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// Close gives up the lock by itself: a process that is being started at this
// moment has a copy of the descriptor, with which the lock would live on.
func (f diskFile) Close() error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.File.Close())
}
