package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestHeld(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.json.journal")
	j := create(t, name)
	for range 2 { // a query leaves nothing behind
		if held, err := Held(name); err != nil || !held {
			t.Errorf("Held of an open journal = %v, %v; want true", held, err)
		}
	}
	if _, err := j.Append(Record{Time: time.Now(), Event: Stopped}); err != nil {
		t.Errorf("Append after a query: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err := Held(name); err != nil || held {
		t.Errorf("Held of a closed journal = %v, %v; want false", held, err)
	}
	// The lock of another journal does not count.
	other := create(t, name+"2")
	defer other.Close()
	if held, err := Held(name); err != nil || held {
		t.Errorf("Held beside an open journal = %v, %v; want false", held, err)
	}
	if _, err := Held(name + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Held of a missing journal = %v, want fs.ErrNotExist", err)
	}
}

func TestHeldOfAFileWithoutLocks(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := locked(f); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a failed query = %v", err)
	}
	if err := lock(f); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a failed lock = %v", err)
	}
}

// TestCloseReleasesTheLock: a process that is being started briefly has copies
// of all descriptors, and so of the lock.
func TestCloseReleasesTheLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.json.journal")
	j := create(t, name)
	fd, err := syscall.Dup(int(j.file.(diskFile).Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err := Held(name); err != nil || held {
		t.Errorf("Held = %v, %v while a child has the descriptor", held, err)
	}
	again, _, err := Open(Disk, name, func(*Record) error { return nil })
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	again.Close()
}

// TestCloseOfOneReaderKeepsTheLock: unlike the lock of an open file, a lock of
// the process would end when any other descriptor of the file is closed.
func TestCloseOfOneReaderKeepsTheLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.json.journal")
	j := create(t, name)
	defer j.Close()
	if err := Read(Disk, name, func(*Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if held, err := Held(name); err != nil || !held {
		t.Errorf("Held after a Read = %v, %v; want true", held, err)
	}
}
