package visible_test

import (
	"testing"

	"github.com/lsst-ts/csu/executor/visible"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text":         "plain text",
		"a\u202eb":           `a\u202eb`,
		"\x1b[31mred":        `\u001b[31mred`,
		"\rover\b":           `\u000dover\u0008`,
		"C1 \u009b2J":        `C1 \u009b2J`,
		"8-bit C1 \x9b2J":    `8-bit C1 \x9b2J`,
		"no\u00a0break":      `no\u00a0break`,
		"zero\u200bwidth":    `zero\u200bwidth`,
		"line\u2028break":    `line\u2028break`,
		"Größe … \ufffd 望遠鏡": "Größe … \ufffd 望遠鏡",
		"":                   "",
	} {
		if got := visible.Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
		if got := visible.Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
		if got := visible.OneLine(in); got != (in == want) {
			t.Errorf("OneLine(%q) = %t", in, got)
		}
	}
	const two = "one\n12:00:00  done  two"
	if got := visible.Text(two); got != two {
		t.Errorf("Text(%q) = %q", two, got)
	}
	if got, want := visible.Line(two), `one\u000a12:00:00  done  two`; got != want {
		t.Errorf("Line(%q) = %q, want %q", two, got, want)
	}
}
