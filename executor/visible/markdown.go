package visible

import (
	"strings"
	"unicode"
)

// Markdown returns a text as Markdown in which nothing is markup, the end of a cell or a
// mention. It must not be at the beginning of a line, where Markdown has more markup.
func Markdown(s string) string {
	var b strings.Builder
	runes := []rune(s)
	word := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
	}
	for i, r := range runes {
		switch r {
		case '\\', '`', '*', '[', ']', '<', '|', '~', '$':
			b.WriteByte('\\')
		case '_':
			if !word(i-1) || !word(i+1) { // within a word it is not emphasis
				b.WriteByte('\\')
			}
		case '&':
			b.WriteString("&amp;")
			continue
		case '@':
			if !word(i-1) && word(i+1) { // avoid a mention
				b.WriteString("@<!-- -->")
				continue
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}
