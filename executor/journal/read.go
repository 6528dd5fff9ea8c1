package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
)

// DamageError reports that a journal is not what csu wrote, apart from a last
// line that was cut off. csu neither uses nor repairs such a journal. What it
// should contain, its last copy shows.
type DamageError struct {
	Name   string
	Line   int // from 1
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("journal %q: line %d is damaged: %s; csu cannot use it: restore the journal from a copy, or check each step by hand", e.Name, e.Line, e.Reason)
}

// Read calls visit for each record of the journal in order. It takes no lock
// and may be called while an executor is writing, so it ignores an incomplete
// last line. An error of visit stops it and is returned with the line's number.
func Read(fsys FS, name string, visit func(*Record) error) error {
	file, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer file.Close()
	_, err = scan(name, file, func(_ []byte, r *Record) error { return visit(r) })
	return err
}

// extent is what scan found.
type extent struct {
	records int
	hash    string // the hash that the next record follows
	last    int64  // offset of the last record
	whole   int64  // offset of the end of the whole lines
	torn    []byte // the bytes after them
}

// scan reads and checks the lines of a journal. The line passed to visit is
// valid only until visit returns.
func scan(name string, file File, visit func(line []byte, r *Record) error) (extent, error) {
	size, err := file.Size()
	if err != nil {
		return extent{}, fmt.Errorf("read journal %q: %w", name, err)
	}
	return scanLines(name, io.NewSectionReader(file, 0, size), visit)
}

func scanLines(name string, in io.Reader, visit func(line []byte, r *Record) error) (extent, error) {
	var x extent
	for line, err := range eachLine(in) {
		switch {
		case err == io.EOF:
			x.torn = bytes.Clone(line)
			return x, tornOrDamaged(name, x)
		case errors.Is(err, errLong):
			return x, &DamageError{name, x.records + 1, err.Error()}
		case err != nil:
			return x, fmt.Errorf("read journal %q: %w", name, err)
		}
		r, err := decode(line[:len(line)-1])
		if err != nil {
			return x, &DamageError{name, x.records + 1, err.Error()}
		}
		if reason := x.misplaced(r); reason != "" {
			return x, &DamageError{name, x.records + 1, reason}
		}
		if err := visit(line, r); err != nil {
			return x, fmt.Errorf("journal %q: line %d: %w", name, x.records+1, err)
		}
		x.take(r, len(line))
	}
	panic("unreachable: eachLine ends with an error")
}

var errLong = errors.New("the line is longer than any line of a journal")

// eachLine yields the lines of in, including their newlines, and finally an
// error. The error is [io.EOF] together with whatever follows the last newline.
// A line is valid only until the next.
func eachLine(in io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		buffered := bufio.NewReaderSize(in, 1<<16)
		var long []byte
		for {
			line, err := buffered.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				if long = append(long, line...); len(long) <= maxLine {
					continue
				}
				err = errLong
			}
			if len(long) > 0 {
				line, long = append(long, line...), nil
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// take counts a record and its line.
func (x *extent) take(r *Record, size int) {
	x.records, x.hash = x.records+1, r.link()
	x.last = x.whole
	x.whole += int64(size)
}

// misplaced returns why the record cannot be the next one, or "".
func (x *extent) misplaced(r *Record) string {
	n := x.records + 1
	switch {
	case r.Seq != n:
		return fmt.Sprintf("its number is %d: lines were removed, duplicated or moved", r.Seq)
	case r.Prev != x.hash:
		return "it does not follow the line before it: one of the two is from another journal, or was replaced"
	case (n == 1) != (r.Event == RunBegun):
		return fmt.Sprintf("a record of event %q cannot be here", r.Event)
	case (r.Event == RunBegun || r.Event == Resumed) != (r.Run != nil):
		return "missing run"
	case (r.Event == Answered) != (r.Answer != nil):
		return "it has an unexpected answer, or no answer"
	case (r.Event == Asked || r.Event == Withdrawn) != (r.Question != nil):
		return "it has an unexpected question, or no question"
	case r.Event == Elided && !isHash(r.Original):
		return "it lacks the hash of the elided record"
	case r.Event != Elided && r.Original != "":
		return "it has an unexpected hash of an elided record"
	case n == 1 && !slices.Contains(formats, r.Run.Format):
		return fmt.Sprintf("the journal has the format %q, but this csu supports only %q", r.Run.Format, formats)
	}
	return ""
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && s == strings.ToLower(s)
}

// tornOrDamaged distinguishes a line whose writing was cut off from one whose
// newline was changed into something else: only the beginning of a line is
// torn.
func tornOrDamaged(name string, x extent) error {
	end := bytes.LastIndex(x.torn, []byte(hashMark)) + hashTail
	if end < hashTail || end >= len(x.torn) {
		return nil
	}
	if _, err := decode(x.torn[:end]); err == nil {
		return &DamageError{name, x.records + 1, "other bytes replace its end"}
	}
	return nil
}
