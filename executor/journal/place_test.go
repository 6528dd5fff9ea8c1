package journal_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// lost checks that a journal whose file was lost accepts no record, writes
// nothing, and saves what it had. The files are identified by content.
func lost(t *testing.T, j *journal.Journal, name, reason string, want []byte, wantSaved string, content func(string) ([]byte, bool)) {
	t.Helper()
	before, _ := content(name)
	head := j.Head()
	_, err := j.Append(sample()[1])
	var lost *journal.LostFileError
	if !errors.As(err, &lost) || lost.Name != name || !strings.Contains(lost.Reason, reason) {
		t.Fatalf("Append = %v, want a *LostFileError with %q", err, reason)
	}
	if after, _ := content(name); !bytes.Equal(before, after) {
		t.Error("Append wrote to the file in the journal's place")
	}
	if _, again := j.Append(sample()[1]); again != err {
		t.Errorf("the next Append = %v", again)
	}
	if j.Head() != head {
		t.Errorf("the head is %v after %v", j.Head(), head)
	}
	saved, err := j.Save()
	if err != nil || saved != wantSaved {
		t.Fatalf("Save = %q, %v; want %q", saved, err, wantSaved)
	}
	if got, _ := content(saved); !bytes.Equal(got, want) {
		t.Errorf("saved %q, want %q", got, want)
	}
	if after, _ := content(name); saved != name && !bytes.Equal(before, after) {
		t.Error("Save changed the file in the journal's place")
	}
}

func TestLostFile(t *testing.T) {
	for what, c := range map[string]struct {
		lose   func(d *journaltest.Disk, data []byte)
		reason string
		saved  string
	}{
		"deleted":               {func(d *journaltest.Disk, _ []byte) { d.Remove("d/j") }, "deleted or moved", "d/j"},
		"renamed":               {func(d *journaltest.Disk, _ []byte) { _ = d.Rename("d/j", "d/k") }, "deleted or moved", "d/j"},
		"folder renamed":        {func(d *journaltest.Disk, _ []byte) { _ = d.Rename("d", "e") }, "deleted or moved", "d/j"},
		"one line less":         {func(d *journaltest.Disk, data []byte) { d.Resize("d/j", len(lastLess(data))) }, "size is ", "d/j.saved-1"},
		"one byte less":         {func(d *journaltest.Disk, data []byte) { d.Resize("d/j", len(data)-1) }, "size is ", "d/j.saved-1"},
		"emptied":               {func(d *journaltest.Disk, _ []byte) { d.Resize("d/j", 0) }, "size is 0 bytes", "d/j.saved-1"},
		"lengthened":            {func(d *journaltest.Disk, data []byte) { d.Resize("d/j", len(data)+1) }, "size is ", "d/j.saved-1"},
		"replaced by itself":    {func(d *journaltest.Disk, data []byte) { d.Put("d/j", data) }, "another file", "d/j.saved-1"},
		"replaced by its start": {func(d *journaltest.Disk, data []byte) { d.Put("d/j", lastLess(data)) }, "another file", "d/j.saved-1"},
		"saved twice before": {func(d *journaltest.Disk, data []byte) {
			d.Put("d/j", nil)
			d.Put("d/j.saved-1", nil)
			d.Put("d/j.saved-2", nil)
		}, "another file", "d/j.saved-3"},
		"appended to by another program": {func(d *journaltest.Disk, data []byte) {
			f, err := d.OpenFile("d/j", os.O_RDWR, 0)
			if err == nil {
				_, err = f.WriteAt(data[:10], int64(len(data)))
			}
			if err != nil {
				t.Error(err)
			}
		}, "size is ", "d/j.saved-1"},
		"unreachable": {func(d *journaltest.Disk, _ []byte) { d.Blind = syscall.EIO }, "cannot check that the file is still in its place: input/output error", "d/j.saved-1"},
	} {
		t.Run(what, func(t *testing.T) {
			var d journaltest.Disk
			j, err := journal.Create(&d, "d/j", first("0"))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range sample() {
				if _, err := j.Append(r); err != nil {
					t.Fatal(err)
				}
			}
			data, _ := d.Content("d/j")
			c.lose(&d, data)
			lost(t, j, "d/j", c.reason, data, c.saved, d.Content)
		})
	}
}

// lastLess returns a journal without its last line.
func lastLess(data []byte) []byte {
	return data[:bytes.LastIndexByte(data[:len(data)-1], '\n')+1]
}

// TestLostFileOnDisk does what an operator might do while csu is running.
func TestLostFileOnDisk(t *testing.T) {
	for what, c := range map[string]struct {
		lose   func(name string, data []byte) error
		reason string
		saved  string // the suffix of the name
	}{
		"rm":       {func(name string, _ []byte) error { return os.Remove(name) }, "deleted or moved", ""},
		"mv":       {func(name string, _ []byte) error { return os.Rename(name, name+".old") }, "deleted or moved", ""},
		"truncate": {func(name string, data []byte) error { return os.Truncate(name, int64(len(lastLess(data)))) }, "size is ", ".saved-1"},
		"redirect": {func(name string, _ []byte) error { return os.WriteFile(name, nil, 0o644) }, "size is 0 bytes", ".saved-1"},
		"append":   {func(name string, data []byte) error { return os.WriteFile(name, append(data, "x\n"...), 0o644) }, "size is ", ".saved-1"},
		// git stash and git checkout delete the file and write another.
		"git": {func(name string, data []byte) error {
			return errors.Join(os.Remove(name), os.WriteFile(name, lastLess(data), 0o644))
		}, "another file", ".saved-1"},
		"sed -i": {func(name string, data []byte) error {
			return errors.Join(os.WriteFile(name+".tmp", data, 0o644), os.Rename(name+".tmp", name))
		}, "another file", ".saved-1"},
	} {
		t.Run(what, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "p.journal")
			j, err := journal.Create(journal.Disk, name, first("0"))
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if _, err := j.Append(sample()[0]); err != nil {
				t.Fatal(err)
			}
			content := func(name string) ([]byte, bool) {
				data, err := os.ReadFile(name)
				return data, err == nil
			}
			data, _ := content(name)
			if err := c.lose(name, data); err != nil {
				t.Fatal(err)
			}
			lost(t, j, name, c.reason, data, name+c.saved, content)
			if got, err := read(journal.Disk, name+c.saved); err != nil || len(got) != 2 {
				t.Errorf("the saved journal has %d records, %v", len(got), err)
			}
		})
	}
}

func TestFolderRenamedOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "p.journal")
	j, err := journal.Create(journal.Disk, name, first("0"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	var lost *journal.LostFileError
	if _, err := j.Append(sample()[0]); !errors.As(err, &lost) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Append = %v", err)
	}
	if saved, err := j.Save(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "put the folder back") {
		t.Errorf("Save = %q, %v", saved, err)
	}
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	if saved, err := j.Save(); err != nil || saved != name+".saved-1" {
		t.Errorf("Save with the folder back = %q, %v", saved, err)
	}
}

// TestOpenNoticesALostFile: the file can also be replaced between opening and
// locking.
func TestOpenNoticesALostFile(t *testing.T) {
	for what, blind := range map[string]error{"deleted or moved": fs.ErrNotExist, "another file": journal.ErrReplaced} {
		d := &journaltest.Disk{Blind: blind}
		var lost *journal.LostFileError
		if _, err := journal.Create(d, "j", first("0")); !errors.As(err, &lost) || !strings.Contains(err.Error(), what) {
			t.Errorf("Create = %v", err)
		}
		d.Put("j", bytesOf(t, "0"))
		if _, _, _, err := reopen(d, "j"); !errors.As(err, &lost) || !strings.Contains(err.Error(), what) {
			t.Errorf("Open = %v", err)
		}
		d.Blind = nil
		if _, _, _, err := reopen(d, "j"); err != nil {
			t.Errorf("the lock is kept: %v", err)
		}
	}
}
