// Package gitobject reads what git prints about its objects: the files of a commit as they
// are in it, whatever attributes, filters or line ends a work tree has. It runs nothing.
// The formats are those of git-ls-tree(1) with -z and of git-cat-file(1) with --batch, read
// from the manual pages of Git 2.39.
package gitobject

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A File is an entry of a tree.
type File struct {
	Name   string
	Object string // id
	Plain  bool   // a file; false for a symbolic link or a submodule
}

// Files returns the entries in the output of git ls-tree -r -z.
func Files(output []byte) []File {
	var out []File
	for entry := range strings.SplitSeq(string(output), "\x00") {
		about, name, ok := strings.Cut(entry, "\t")
		field := strings.Fields(about) // mode, type, object
		if !ok || len(field) != 3 {
			continue
		}
		out = append(out, File{name, field[2], field[0] == "100644" || field[0] == "100755"})
	}
	return out
}

// Contents calls visit for each object in the output of git cat-file --batch. Its error
// names an object that is missing.
func Contents(output []byte, visit func(object string, data []byte)) error {
	from := bufio.NewReader(bytes.NewReader(output))
	for {
		head, err := from.ReadString('\n')
		if errors.Is(err, io.EOF) && head == "" {
			return nil
		}
		field := strings.Fields(head) // object, type, size
		if len(field) != 3 {
			return fmt.Errorf("git cat-file: object is missing: %s", strings.TrimSpace(head))
		}
		size, err := strconv.Atoi(field[2])
		if err != nil {
			return fmt.Errorf("git cat-file: size of object %s: %w", field[0], err)
		}
		data := make([]byte, size+1) // with the line feed after it
		if _, err := io.ReadFull(from, data); err != nil {
			return fmt.Errorf("git cat-file: object %s: %w", field[0], err)
		}
		visit(field[0], data[:size])
	}
}
