package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Lines calls visit for each record of a journal that is not in a file, such as
// [Unpack]'s; name is for its errors. An incomplete last line is ignored.
func Lines(name string, in io.Reader, visit func(*Record) error) error {
	_, err := scanLines(name, in, func(_ []byte, r *Record) error { return visit(r) })
	return err
}

// SetAside copies a journal's file to <journal>.aside-N and returns that name. It is for replacing the
// journal without losing any of it.
func SetAside(fsys FS, name string) (string, error) {
	content, err := contentOf(fsys, name)
	for n := 1; err == nil; n++ {
		aside := fmt.Sprintf("%s.aside-%d", name, n)
		if err = writeNew(fsys, aside, content); err == nil {
			return aside, nil
		}
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return "", fmt.Errorf("set journal %q aside: %w", name, err)
}

func contentOf(fsys FS, name string) ([]byte, error) {
	file, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(file, 0, size))
}

// Upto returns the lines of a journal's file up to the record h, and whether the journal has that record.
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
