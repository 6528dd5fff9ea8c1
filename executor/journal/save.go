package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Save writes all records of the journal to a file and returns its name: the journal's own if that is free,
// else <journal>.saved-N. It overwrites nothing. It needs no open file, since a journal that has lost its
// file still has its records.
func (j *Journal) Save() (name string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := make([]byte, 0, j.has.whole.lines)
	seq := 0
	for short := range j.has.whole.all() {
		if lines, err = lengthen(lines, short, j.has.hash(seq)); err != nil {
			return "", fmt.Errorf("save journal %q: line %d: %w", j.name, seq+1, err)
		}
		seq++
	}
	name = j.name
	for n := 1; ; n++ {
		err := writeNew(j.fsys, name, lines)
		switch {
		case err == nil:
			if lost := (*LostFileError)(nil); errors.As(j.failed, &lost) {
				lost.Saved = name
			}
			return name, nil
		case !errors.Is(err, os.ErrExist):
			return "", fmt.Errorf("save the %d records of journal %q: %w; repair the disk or put the folder back; all records but the last may still be in the file, wherever it is", seq, j.name, err)
		}
		name = fmt.Sprintf("%s.saved-%d", j.name, n)
	}
}

// Restore creates a journal's file with the lines that [Unpack] returned. It
// does not change an existing file, but returns an [*ExistsError].
func Restore(fsys FS, name string, lines []byte) error {
	x, err := scanLines(name, bytes.NewReader(lines), func([]byte, *Record) error { return nil })
	switch {
	case err != nil:
		return fmt.Errorf("restore a journal: %w", err)
	case x.records == 0 || len(x.torn) > 0:
		return fmt.Errorf("restore journal %q: the lines are not a complete journal; fetch the copy again", name)
	}
	err = writeNew(fsys, name, lines)
	switch {
	case errors.Is(err, os.ErrExist):
		return &ExistsError{name}
	case err != nil:
		return fmt.Errorf("restore journal %q: %w; repair the disk, delete the file if it exists, and try again", name, err)
	}
	return nil
}

// writeNew creates a file with the lines of a journal. After a failure or a
// crash halfway, the file must not pass for a journal that is merely shorter,
// since nothing could reveal that. So the first byte is written last. Until
// then it is a zero, and the file is refused as damaged at line 1.
func writeNew(fsys FS, name string, lines []byte) error {
	file, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	for _, part := range []struct{ from, to int }{{min(1, len(lines)), len(lines)}, {0, min(1, len(lines))}} {
		if err == nil {
			_, err = file.WriteAt(lines[part.from:part.to], int64(part.from))
		}
		if err == nil {
			err = file.Sync()
		}
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
