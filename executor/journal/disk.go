package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/lsst-ts/csu/executor/plan"
)

// FS is everything that a journal does with files. It is the only seam for
// injecting faults and crashes in tests.
type FS interface {
	// OpenFile is [os.OpenFile].
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename is [os.Rename], within a folder; it replaces a file of that name.
	Rename(from, to string) error
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
	// Sync makes everything that was written durable.
	Sync() error
	// Lock acquires the file's exclusive lock, which lasts until Close or the
	// end of the process. It does not wait: [ErrLocked] means that another open
	// file has the lock.
	Lock() error
	// Place looks up the name that the file was opened by, and returns the
	// file's place and size. It returns an error that is [fs.ErrNotExist] if
	// the name is gone, and [ErrReplaced] if it names another file.
	Place() (Place, int64, error)
}

// ErrLocked is returned by [File.Lock].
var ErrLocked = errors.New("the file is locked")

// ErrReplaced is returned by [File.Place].
var ErrReplaced = errors.New("another file is in its place")

// Disk is the file system that csu runs on.
var Disk FS = disk{}

type disk struct{}

func (disk) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	place, err := placeOf(name, info)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return diskFile{f, info, place}, nil
}

func (disk) Rename(from, to string) error { return os.Rename(from, to) }

func (disk) SyncDir(dir string) error { return plan.SyncDir(dir) }

type diskFile struct {
	*os.File
	opened os.FileInfo
	place  Place
}

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

// Place needs only one stat: while the file is open, no other file gets its
// inode.
func (f diskFile) Place() (Place, int64, error) {
	info, err := os.Stat(f.place.Path)
	if err != nil {
		return Place{}, 0, err
	}
	if !os.SameFile(info, f.opened) {
		return Place{}, 0, ErrReplaced
	}
	return f.place, info.Size(), nil
}

func (f diskFile) Lock() error { return lock(f.File) }

// Close releases the lock explicitly, since a process that is just being
// started has a copy of the descriptor, which would keep the lock.
func (f diskFile) Close() error {
	return errors.Join(unlock(f.File), f.File.Close())
}
