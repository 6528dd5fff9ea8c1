package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// TestSaveAfterAFailedWrite checks that Save writes the acknowledged records,
// and only those.
func TestSaveAfterAFailedWrite(t *testing.T) {
	var d journaltest.Disk
	j, err := journal.Create(&d, "j", first("0"))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := d.Content("j")
	d.Fault = func(op journaltest.Op) journaltest.Fault {
		if op.Kind == journaltest.Write && op.File == "j" {
			return journaltest.Fault{Err: syscall.EIO, Written: 50}
		}
		return journaltest.Fault{}
	}
	if _, err := j.Append(sample()[0]); err == nil {
		t.Fatal("Append succeeded")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	name, err := j.Save()
	if got, _ := d.Content(name); err != nil || name != "j.saved-1" || !bytes.Equal(got, want) {
		t.Errorf("Save = %q with %q, %v", name, got, err)
	}
}

// TestRestoreFails checks that after a failure or a crash at any operation
// there is no file, one that is refused, or the complete journal, but never a
// shorter one.
func TestRestoreFails(t *testing.T) {
	lines := bytesOf(t, "0")
	var whole journaltest.Disk
	if err := journal.Restore(&whole, "j", lines); err != nil {
		t.Fatal(err)
	}
	for _, crash := range []bool{false, true} {
		for n := 1; n <= whole.Ops(); n++ {
			for kept := 0; kept <= len(lines); kept += 50 {
				var d journaltest.Disk
				d.Fault = func(op journaltest.Op) journaltest.Fault {
					if op.N >= n {
						return journaltest.Fault{Err: syscall.ENOSPC, Written: kept}
					}
					return journaltest.Fault{}
				}
				err := journal.Restore(&d, "j", lines)
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), `restore journal "j": `) || !strings.Contains(err.Error(), "repair the disk") {
					t.Fatalf("operation %d: Restore = %v", n, err)
				}
				d.Fault = nil
				if crash {
					d.Crash(kept)
				}
				got, err := read(&d, "j")
				if len(got) != 0 && len(got) != 8 {
					t.Errorf("operation %d, %d bytes kept: %d records, %v", n, kept, len(got), err)
				}
			}
		}
	}
	// The same for Save.
	for n := 1; n <= whole.Ops(); n++ {
		var d journaltest.Disk
		j, err := journal.Create(&d, "j", first("0"))
		if err != nil {
			t.Fatal(err)
		}
		begun := d.Ops()
		d.Fault = func(op journaltest.Op) journaltest.Fault {
			if op.N >= begun+1+n { // the first one looks for the journal itself
				return journaltest.Fault{Err: syscall.ENOSPC}
			}
			return journaltest.Fault{}
		}
		if name, err := j.Save(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), `save the 1 records of journal "j": `) {
			t.Errorf("operation %d: Save = %q, %v", n, name, err)
		}
	}
}

func TestRestore(t *testing.T) {
	lines := bytesOf(t, "0")
	name := filepath.Join(t.TempDir(), "p.journal")
	if err := journal.Restore(journal.Disk, name, lines); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, lines) {
		t.Errorf("restored %q, %v", got, err)
	}
	j, torn, got, err := reopen(journal.Disk, name)
	if err != nil || torn != "" || len(got) != 8 {
		t.Fatalf("Open = %d records, torn %q, %v", len(got), torn, err)
	}
	defer j.Close()
	var exists *journal.ExistsError
	if err := journal.Restore(journal.Disk, name, lines); !errors.As(err, &exists) || exists.Name != name || !strings.Contains(err.Error(), "already exists; resume") {
		t.Errorf("Restore over a journal = %v", err)
	}
	if err := journal.Restore(journal.Disk, filepath.Join(name, "q"), lines); err == nil {
		t.Error("Restore in no folder")
	}
	if err := journal.Restore(journal.Disk, filepath.Join(filepath.Dir(name), "none", "q"), lines); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Restore in no folder = %v", err)
	}
	var d journaltest.Disk
	d.Put("empty", nil)
	if err := journal.Restore(&d, "empty", lines); !errors.As(err, &exists) {
		t.Errorf("Restore over an empty file = %v", err)
	}
	for i, bad := range [][]byte{nil, lines[:len(lines)-1], lines[:40], append(bytes.Clone(lines), '\n'), bytes.Replace(lines, []byte("watcher"), []byte("Watcher"), 1)} {
		name := fmt.Sprint("bad", i)
		if err := journal.Restore(&d, name, bad); err == nil || !strings.Contains(err.Error(), "restore ") {
			t.Errorf("Restore of invalid lines (%d) = %v", i, err)
		}
		if _, there := d.Content(name); there {
			t.Errorf("Restore of invalid lines (%d) created a file", i)
		}
	}
}
