package journal_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// copyOf returns the copy of the sample journal, and its short lines.
func copyOf(t testing.TB) (packed []byte, short []string) {
	t.Helper()
	var d journaltest.Disk
	d.Put("j", bytesOf(t, "0"))
	j, _, _, err := reopen(&d, "j")
	if err != nil {
		t.Fatal(err)
	}
	packed = j.Copy().Packed
	in, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if _, err := lines.ReadFrom(in); err != nil {
		t.Fatal(err)
	}
	short = strings.SplitAfter(lines.String(), "\n")
	return packed, short[:len(short)-1]
}

// packed compresses parts, which need not be a journal.
func packed(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	out := gzip.NewWriter(&b)
	for _, part := range parts {
		if _, err := out.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func refused(t *testing.T, what string, packed []byte, line int, reason string) {
	t.Helper()
	lines, head, err := journal.Unpack(packed)
	var bad *journal.CopyError
	if !errors.As(err, &bad) || lines != nil || head != (journal.Head{}) {
		t.Errorf("%s: Unpack = %d bytes, head %v, %v; want a *CopyError", what, len(lines), head, err)
		return
	}
	if !strings.Contains(bad.Reason, reason) || line != 0 && bad.Line != line {
		t.Errorf("%s: line %d: %s; want line %d, %q", what, bad.Line, bad.Reason, line, reason)
	}
}

func TestUnpackRefuses(t *testing.T) {
	whole, short := copyOf(t)
	for n := range whole {
		refused(t, fmt.Sprint("cut at ", n), whole[:n], 0, "cannot be decompressed")
	}
	for i := 10; i < len(whole); i++ { // some bytes of the header have no meaning
		bad := bytes.Clone(whole)
		bad[i] ^= 4
		refused(t, fmt.Sprint("bit of byte ", i), bad, 0, "")
	}
	refused(t, "something after it", append(bytes.Clone(whole), 'x'), 9, "cannot be decompressed")
	hash := strings.Repeat("ab", 32)
	for what, c := range map[string]struct {
		parts  []string
		line   int
		reason string
	}{
		"no record":            {nil, 1, "it has no record"},
		"no newline":           {[]string{short[0], strings.TrimSpace(short[1])}, 2, "no newline"},
		"no JSON":              {[]string{short[0], "hello\n"}, 2, "not a record"},
		"bad JSON":             {[]string{short[0], `{"seq":2,"event":"answer",}` + "\n"}, 2, "not a record"},
		"a line missing":       {[]string{short[0], short[2]}, 2, "its number is 3"},
		"the first missing":    {short[1:], 1, "its number is 2"},
		"a line twice":         {[]string{short[0], short[1], short[1]}, 3, "its number is 2"},
		"an unknown event":     {[]string{short[0], strings.Replace(short[1], `"answer"`, `"strange"`, 1)}, 2, `unknown event "strange"`},
		"another form":         {[]string{short[0], strings.Replace(short[1], `"stage":`, `"stage": `, 1)}, 2, "write the line differently"},
		"another format":       {[]string{strings.Replace(short[0], journal.Format, "csu-journal/1", 1)}, 1, `the format "csu-journal/1"`},
		"a bad time":           {[]string{short[0], strings.Replace(short[1], "2026-11-24T", "2026-13-24T", 1)}, 2, "not a record"},
		"its own hash":         {[]string{short[0], strings.Replace(short[1], "}\n", `,"hash":"`+hash+"\"}\n", 1)}, 2, "write the line differently"},
		"no original":          {[]string{short[0], `{"seq":2,"time":"2026-11-24T12:00:00Z","event":"elided"}` + "\n"}, 2, "lacks the hash"},
		"a bad original":       {[]string{short[0], `{"seq":2,"time":"2026-11-24T12:00:00Z","event":"elided","original":"` + strings.ToUpper(hash) + "\"}\n"}, 2, "lacks the hash"},
		"a misplaced original": {[]string{short[0], `{"seq":2,"time":"2026-11-24T12:00:00Z","event":"guard","original":"` + hash + "\"}\n"}, 2, "unexpected hash"},
		"an elided beginning":  {[]string{`{"seq":1,"time":"2026-11-24T12:00:00Z","event":"elided","original":"` + hash + "\"}\n"}, 1, "cannot be here"},
		"no run":               {[]string{`{"seq":1,"time":"2026-11-24T12:00:00Z","event":"run"}` + "\n"}, 1, "missing run"},
		"no answer":            {[]string{short[0], `{"seq":2,"time":"2026-11-24T12:00:00Z","event":"answer"}` + "\n"}, 2, "answer"},
		"a long line":          {[]string{short[0], strings.Repeat("x", 20<<20)}, 2, "longer than any line"},
		"only newlines":        {[]string{short[0], strings.Repeat("\n", 1<<20)}, 2, "not a record"},
	} {
		refused(t, what, packed(t, c.parts...), c.line, c.reason)
	}
	refused(t, "many members", bytes.Repeat(packed(t), 100_000), 1, "it has no record")
	if err := (&journal.CopyError{Line: 3, Reason: "why"}).Error(); !strings.Contains(err, "line 3: why; use the journal itself") {
		t.Errorf("the error is %q", err)
	}
}

// FuzzUnpack checks that whatever is accepted is packed and unpacked to the
// same lines again. Changing compressed data mostly breaks it, so the fuzzer
// can also have its input compressed.
func FuzzUnpack(f *testing.F) {
	whole, short := copyOf(f)
	f.Add(whole, false)
	f.Add([]byte(strings.Join(short, "")), true)
	f.Add([]byte(short[0]+`{"seq":2,"time":"2026-11-24T12:00:00Z","event":"elided","original":"`+strings.Repeat("ab", 32)+"\"}\n"), true)
	f.Add([]byte(short[0]+`{"seq":2,"time":"2026-11-24T12:00:00Z","event":"inventory","evidence":{"a":[1,"\u2028"]}}`+"\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if compress {
			data = packed(t, string(data))
		}
		lines, head, err := journal.Unpack(data)
		if err != nil {
			return
		}
		var d journaltest.Disk
		if err := journal.Restore(&d, "j", lines); err != nil {
			t.Fatalf("%v of %q", err, lines)
		}
		j, torn, _, err := reopen(&d, "j")
		if err != nil || torn != "" || j.Head() != head {
			t.Fatalf("torn %q, head %v for %v, %v", torn, j.Head(), head, err)
		}
		c := j.Copy()
		again, headAgain, err := journal.Unpack(c.Packed)
		if err != nil || headAgain != head || c.Head != head || !bytes.Equal(again, lines) {
			t.Errorf("accepted %q, and then %q, head %v for %v, %v", lines, again, headAgain, head, err)
		}
	})
}
