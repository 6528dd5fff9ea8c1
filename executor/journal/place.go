package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Place is where a file is. Two executors that report the same place write to
// the same file, so its lock decides between them. Different places mean
// different files, or one file that two machines share.
type Place struct {
	// Machine is a digest of the machine's id, or its host name if it has no
	// id.
	Machine string `json:"machine"`
	Path    string `json:"path"` // absolute
	File    string `json:"file"` // device and inode, as "2049:131077"
}

func placeOf(name string, info os.FileInfo) (Place, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return Place{}, fmt.Errorf("find the folder of %q: %w", name, err)
	}
	p := Place{Machine: thisMachine(), Path: path}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		p.File = fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	}
	return p, nil
}

var thisMachine = sync.OnceValue(func() string { return machine("/etc/machine-id") })

// machine returns a digest of the machine's id, since the id itself is
// confidential.
func machine(file string) string {
	id, err := os.ReadFile(file)
	// While a system is being installed, the file is empty or contains
	// "uninitialized".
	if text := strings.TrimSpace(string(id)); err == nil && text != "" && text != "uninitialized" {
		return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16]
	}
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// PlaceOf returns where a journal's file is.
func PlaceOf(fsys FS, name string) (Place, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return Place{}, err
	}
	defer f.Close()
	at, _, err := f.Place()
	return at, err
}

// LostFileError reports that the journal's name no longer refers to the file
// that csu wrote. csu does not touch what is there now, and the journal accepts
// no more records; [Journal.Save] writes what it had.
type LostFileError struct {
	Name   string
	Reason string
	Err    error // nil if the file is there, but not as csu left it
	// Saved is the file to which [Journal.Save] has written the records, or "".
	Saved string
}

func (e *LostFileError) Error() string {
	return fmt.Sprintf("journal %q: %s; csu records nothing more", e.Name, e.Reason)
}

// Hint says what the operator can do.
func (e *LostFileError) Hint() string {
	how := "put the journal back as csu left it and resume with csu exec PLAN --resume, or resume from the cluster's copy with csu takeover PLAN --reason TEXT"
	switch e.Saved {
	case "":
	case e.Name:
		how = "csu has written it again; resume with csu exec PLAN --resume"
	default:
		how = fmt.Sprintf("csu has written it to %s; move that file to %s, then resume with csu exec PLAN --resume", e.Saved, e.Name)
	}
	return "leave the journal alone while csu runs; " + how
}

// Unwrap returns the cause.
func (e *LostFileError) Unwrap() error { return e.Err }

// lookup returns where the open file is now, and its size. Its error is a
// [*LostFileError].
func (j *Journal) lookup() (Place, int64, error) {
	p, size, err := j.file.Place()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, 0, &LostFileError{Name: j.name, Reason: "the file was deleted or moved", Err: err}
	case errors.Is(err, ErrReplaced):
		return p, 0, &LostFileError{Name: j.name, Reason: "another file is in its place", Err: err}
	case err != nil:
		return p, 0, &LostFileError{Name: j.name, Reason: fmt.Sprintf("cannot check that the file is still in its place: %v", err), Err: err}
	}
	return p, size, nil
}

// inPlace checks that the journal's name still refers to the open file, and
// that the file has the size that was written.
func (j *Journal) inPlace() error {
	_, size, err := j.lookup()
	if err == nil && size != j.size {
		err = &LostFileError{Name: j.name, Reason: fmt.Sprintf("another program changed the file: its size is %d bytes, not %d", size, j.size)}
	}
	return err
}

// Place returns where the journal's file was when the journal was opened.
func (j *Journal) Place() Place { return j.place }
