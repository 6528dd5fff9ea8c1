package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"golang.org/x/term"

	"github.com/lsst-ts/csu/executor/secret"
	"github.com/lsst-ts/csu/executor/visible"
)

// edge is the way of every text to the terminal, wherever csu has it from. What csu
// itself does with the cursor, and what review has made visible already, does not pass
// it: see console.raw.
//
// Newlines pass. A datum that is shown on one line is made one line by [data] or
// [visible.Line]; in a text of several lines, what follows the first is indented, so
// that it cannot look like a line of csu's own.
type edge struct{ w io.Writer }

func (e edge) Write(p []byte) (int, error) {
	if _, err := io.WriteString(e.w, harmless(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// harmless returns a text without secrets and with all its characters visible.
func harmless(text string) string { return visible.Text(secret.Redact(text)) }

// exact is standard output for bytes that another program reads; a terminal gets them
// through the edge.
func (c *console) exact() io.Writer {
	if f, ok := c.raw.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return c.out
	}
	return c.raw
}

// lines is a text that may have several lines. They are indented from the second on.
type lines string

// data prepares arguments for printing: every text but [lines] becomes one line.
func data(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch a := arg.(type) {
		case lines:
			out[i] = hanging(string(a))
		case error:
			out[i] = visible.Line(a.Error())
		case fmt.Stringer:
			out[i] = visible.Line(a.String())
		default:
			if v := reflect.ValueOf(arg); v.IsValid() && v.Kind() == reflect.String {
				arg = visible.Line(v.String())
			}
			out[i] = arg
		}
	}
	return out
}

// hanging indents a text from its second line on.
func hanging(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// line prints [data] on a line that stays as wide as it is.
func line(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format+"\n", data(args)...)
	return err
}

// paragraph prints [data], wrapped on a terminal.
func (c *console) paragraph(format string, args ...any) {
	fmt.Fprintln(c.out, fit(c.out, fmt.Sprintf(format, data(args)...)))
}
