package journal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

const (
	prevMark  = `,"prev":"`
	eventMark = `,"event":"`
	// hashesSize is how much shorter than a line its short form is. For the
	// journal's first line, which has no line before it, it is less.
	hashesSize = len(prevMark) + 2*sha256.Size + len(`"`) + hashTail - len(`"}`)
)

// mostUnpacked limits the lines of a copy, so that a damaged one cannot fill
// the memory.
const mostUnpacked = 64 << 20

// shorten returns a line without its two hashes, which can be computed from the
// rest and would be most of a compressed journal.
func shorten(line []byte) []byte {
	from := bytes.Index(line, []byte(prevMark))
	to := from + len(prevMark)
	to += bytes.IndexByte(line[to:], '"') + 1
	short := append(make([]byte, 0, len(line)), line[:from]...)
	short = append(short, line[to:len(line)-hashTail-1]...)
	return append(short, "}\n"...)
}

// lengthen restores the line that shorten shortened and appends it to lines.
// prev is the hash that the record follows.
func lengthen(lines, short []byte, prev string) ([]byte, error) {
	fields, ends := bytes.CutSuffix(short, []byte("}\n"))
	event := bytes.Index(fields, []byte(eventMark))
	if event < 0 || !ends {
		return nil, errors.New("the line is not a record")
	}
	start := len(lines)
	lines = append(lines, fields[:event]...)
	lines = append(lines, prevMark...)
	lines = append(lines, prev...)
	lines = append(lines, '"')
	lines = append(lines, fields[event:]...)
	return appendHash(lines, start), nil
}

// appendHash completes the line that begins at start.
func appendHash(lines []byte, start int) []byte {
	sum := sha256.Sum256(lines[start:])
	lines = append(lines, hashMark...)
	lines = hex.AppendEncode(lines, sum[:])
	return append(lines, "\"}\n"...)
}

// CopyError reports that a copy of a journal is not what [Journal.Copy]
// returned.
type CopyError struct {
	Line   int // from 1
	Reason string
}

func (e *CopyError) Error() string {
	return fmt.Sprintf("the copy of the journal is damaged at line %d: %s; use the journal itself, on the machine where the run was last resumed", e.Line, e.Reason)
}

// Unpack returns the lines of a [Copy], byte for byte those of the journal, and the head of the chain, which
// it computes. The copy is complete only if that is the head that was recorded with it. Each elided note
// becomes a line of event [Elided], as [Read] and [Open] accept it. If the copy is not what [Journal.Copy]
// packed, or has more than 64 MB of lines, the error is a [*CopyError].
func Unpack(packed []byte) (lines []byte, head Head, err error) {
	return unpack(packed, mostUnpacked)
}

// unpack is Unpack with a limit on the bytes of lines.
func unpack(packed []byte, most int) (lines []byte, head Head, err error) {
	var x extent
	in, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, Head{}, &CopyError{1, fmt.Sprintf("it cannot be decompressed: %v", err)}
	}
	bad := func(reason string) ([]byte, Head, error) {
		return nil, Head{}, &CopyError{x.records + 1, reason}
	}
	for short, err := range eachLine(io.LimitReader(in, int64(most))) {
		switch {
		case err == io.EOF && len(short) > 0:
			return bad("the line has no newline")
		case err == io.EOF && x.records == 0:
			return bad("it has no record")
		case err == io.EOF:
			return lines, Head{x.records, x.hash}, nil
		case errors.Is(err, errLong):
			return bad(err.Error())
		case err != nil:
			return bad(fmt.Sprintf("it cannot be decompressed: %v", err))
		}
		start := len(lines)
		if lines, err = lengthen(lines, short, x.hash); err != nil {
			return bad(err.Error())
		}
		if len(lines) > most {
			return bad(fmt.Sprintf("the journal would have more than %d bytes", most))
		}
		r, err := parse(lines[start : len(lines)-1])
		if err != nil {
			return bad(err.Error())
		}
		if reason := x.misplaced(r); reason != "" {
			return bad(reason)
		}
		x.take(r, len(lines)-start)
	}
	panic("unreachable: eachLine ends with an error")
}
