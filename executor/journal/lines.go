package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Lines calls visit for each record of a journal that is no file here, such as
// [Unpack]'s; name is for its errors. A last line that is not whole is left out.
func Lines(name string, in io.Reader, visit func(*Record) error) error {
	_, err := scanLines(name, in, func(_ []byte, r *Record) error { return visit(r) })
	return err
}

// SetAside renames a journal to <journal>.aside-N and returns that name: another
// one takes its place, and nothing of it is to be lost.
func SetAside(fsys FS, name string) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.aside-%d", name, n)
		err := fsys.Rename(name, aside)
		switch {
		case err == nil:
			return aside, fsys.SyncDir(filepath.Dir(name))
		case !errors.Is(err, fs.ErrExist):
			return "", fmt.Errorf("set journal %q aside: %w", name, err)
		}
	}
}

// Upto returns the lines of a journal's file up to the record h, and whether it has
// that record.
func Upto(fsys FS, name string, h Head) (lines []byte, has bool) {
	file, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	_, err = scan(name, file, func(line []byte, r *Record) error {
		if !has {
			lines = append(lines, line...)
			has = r.Seq == h.Seq && r.link() == h.Hash
		}
		return nil
	})
	return lines, has && err == nil
}
