package review

import (
	"fmt"
	"html"
	"strings"
	"unicode"

	"github.com/lsst-ts/csu/executor/visible"
)

// inMarkdown returns a paragraph of a plan's text on one line. Its code spans are
// kept, but nothing else in it is markup, the end of a cell or a mention. It must
// not be at the beginning of a line, where Markdown has more markup.
func inMarkdown(s string) string {
	var b strings.Builder
	for _, sp := range spans(oneLine(visible.Text(s))) {
		if sp.Code {
			b.WriteString(codeSpan(sp.Text))
		} else {
			b.WriteString(visible.Markdown(sp.Text))
		}
	}
	return b.String()
}

// atStart is inMarkdown for a paragraph at the beginning of a line, where a number
// or a dash would start a list or a heading.
func atStart(s string) string {
	s = inMarkdown(s)
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	switch {
	case s == "":
	case digits > 0 && digits < len(s) && (s[digits] == '.' || s[digits] == ')'):
		return s[:digits] + `\` + s[digits:]
	case strings.IndexByte("#+-=>", s[0]) >= 0:
		return `\` + s
	}
	return s
}

// codeSpan encloses a text in more backticks than it contains.
func codeSpan(s string) string {
	s = strings.ReplaceAll(visible.Text(s), "\n", " ")
	if strings.TrimSpace(s) == "" {
		return "(empty)"
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 || s[0] == ' ' {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

// codeCell is codeSpan for a table cell, where a bar is escaped in code too.
func codeCell(s string) string { return strings.ReplaceAll(codeSpan(s), "|", `\|`) }

// inCell is inMarkdown for a table cell, where a code span cannot contain a bar.
func inCell(s string) string {
	var b strings.Builder
	for _, sp := range spans(oneLine(visible.Text(s))) {
		if sp.Code {
			b.WriteString(codeCell(sp.Text))
		} else {
			b.WriteString(visible.Markdown(sp.Text))
		}
	}
	return b.String()
}

// inHTML escapes plain text for HTML in Markdown, where Markdown's own markup
// applies too.
func inHTML(s string) string {
	s = html.EscapeString(oneLine(visible.Text(s)))
	return strings.NewReplacer("`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "]", "&#93;", "|", "&#124;", "$", "&#36;").Replace(s)
}

// inMermaid escapes plain text for a quoted label of Mermaid.
func inMermaid(s string) string {
	var b strings.Builder
	for _, r := range oneLine(visible.Text(s)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .,:-/()'", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// typed returns lines as a code block that none of them can end.
func typed(lines []string) string {
	if len(lines) <= 3 {
		return "    " + visible.Text(strings.Join(lines, "\n    ")) + "\n"
	}
	text := visible.Text(strings.Join(lines, "\n"))
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + text + "\n" + fence + "\n"
}
