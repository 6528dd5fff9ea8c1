package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// DamageError says that a journal is not what csu wrote: other than by a line
// that was cut off at its end. Such a journal is not used and not mended; what it
// should say is a question to its last copy.
type DamageError struct {
	Name   string
	Line   int // from 1
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("journal %q: line %d is damaged: %s; csu does not go on with it: restore the journal from a copy, or look at each step by hand", e.Name, e.Line, e.Reason)
}

// Read calls visit for each record of the journal in its order. It takes no
// lock, and may be called while an executor writes: a last line that is not
// whole (yet) is left out. An error of visit ends it and is returned with the
// line's number.
func Read(fsys FS, name string, visit func(*Record) error) error {
	file, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer file.Close()
	_, err = scan(name, file, visit)
	return err
}

// extent is what scan has found.
type extent struct {
	records int
	hash    string // of the last record
	last    int64  // where the last record begins
	whole   int64  // where the whole lines end
	torn    []byte // what stands behind them
}

// scan reads and checks the lines of a journal.
func scan(name string, file File, visit func(*Record) error) (extent, error) {
	var x extent
	size, err := file.Size()
	if err != nil {
		return x, fmt.Errorf("read journal %q: %w", name, err)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(file, 0, size), 1<<16)
	var long []byte
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(long)+len(line) <= maxLine:
			long = append(long, line...)
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			return x, &DamageError{name, x.records + 1, "it is longer than any line of a journal"}
		case err != nil && !errors.Is(err, io.EOF):
			return x, fmt.Errorf("read journal %q: %w", name, err)
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = nil
		}
		if errors.Is(err, io.EOF) {
			x.torn = bytes.Clone(line)
			return x, tornOrDamaged(name, x)
		}
		if err := x.add(name, line, visit); err != nil {
			return x, err
		}
	}
}

// add checks a whole line and its place in the chain.
func (x *extent) add(name string, line []byte, visit func(*Record) error) error {
	n := x.records + 1
	r, err := decode(line[:len(line)-1])
	if err != nil {
		return &DamageError{name, n, err.Error()}
	}
	switch {
	case r.Seq != n:
		return &DamageError{name, n, fmt.Sprintf("its number is %d: lines were removed, doubled or moved", r.Seq)}
	case r.Prev != x.hash:
		return &DamageError{name, n, "it does not follow from the line before it: one of the two is from another journal, or was replaced"}
	case (n == 1) != (r.Event == RunBegun):
		return &DamageError{name, n, fmt.Sprintf("a record of event %q can't stand here", r.Event)}
	case (r.Event == RunBegun || r.Event == Resumed) != (r.Run != nil):
		return &DamageError{name, n, "it does not say who runs what"}
	case (r.Event == Answered) != (r.Answer != nil):
		return &DamageError{name, n, "an answer stands where none belongs, or is missing"}
	case n == 1 && r.Run.Format != Format:
		return &DamageError{name, n, fmt.Sprintf("the journal has the format %q, and this csu knows only %q", r.Run.Format, Format)}
	}
	if err := visit(r); err != nil {
		return fmt.Errorf("journal %q: line %d: %w", name, n, err)
	}
	x.records, x.hash = n, r.Hash
	x.last = x.whole
	x.whole += int64(len(line))
	return nil
}

// tornOrDamaged tells a line whose writing was cut off from one whose newline
// was changed into something else: only a beginning of a line is torn.
func tornOrDamaged(name string, x extent) error {
	end := bytes.LastIndex(x.torn, []byte(hashMark)) + hashTail
	if end < hashTail || end >= len(x.torn) {
		return nil
	}
	if _, err := decode(x.torn[:end]); err == nil {
		return &DamageError{name, x.records + 1, "other bytes stand where its end belongs"}
	}
	return nil
}
