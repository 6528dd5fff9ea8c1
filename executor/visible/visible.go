// Package visible makes texts harmless that csu shows and has not written itself: those
// of plans, of servers and of other people. An escape sequence could clear the screen, a
// newline could forge a line of csu's, and a bidirectional override could hide a command.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text escapes the characters of a text that are invisible, control a terminal or change
// the order in which others are shown, and bytes that are not UTF-8. Newlines stay: the
// caller indents what follows them.
func Text(s string) string { return escape(s, "\n") }

// Line is Text for what is shown on one line: newlines are escaped too.
func Line(s string) string { return escape(s, "") }

// OneLine reports whether a text has no character that [Line] escapes.
func OneLine(s string) bool { return Line(s) == s }

func escape(s, except string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(except, r) }
	if utf8.ValidString(s) && strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0]) // a terminal may take it for a control character
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		s = s[size:]
	}
	return b.String()
}
