package remote

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// command returns the exec request that runs script with /bin/sh, as the
// account sudo if one is given.
//
// The server passes the request to the account's login shell, which may be
// anything: bash, tcsh, which allows no line break in quotes, or fish, which
// interprets backslashes in them. So the script travels as a single line in
// which all characters that are special to any shell are octal escapes for
// printf. All other characters, and so the paths, remain as they are.
func command(script, sudo string) string {
	if sudo == "" {
		return `/bin/sh -c 'eval "$(printf %b "` + escape(script) + `")"'`
	}
	// sudo -i drops line breaks from its arguments and expands every $ in them,
	// so the script goes through sudo's standard input. The inner shell must
	// not leave the rest of that input to the script's commands; exec reads it
	// completely.
	inner := "exec /bin/sh -c " + quote(script) + " </dev/null\n"
	return `/bin/sh -c 'printf %b "` + escape(inner) + `" | sudo -n -iu ` + sudo + ` /bin/sh'`
}

// escape encodes s for printf's %b, inside double inside single quotes.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\', '\n', '\r', '\'', '"', '$', '`', '!':
			fmt.Fprintf(&b, `\0%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// quote returns s as one word for a POSIX shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// mark is a line that a script writes to both outputs before anything else. It
// proves that the script has started, and separates its output from what login
// shells and profiles print.
type mark string

func newMark() mark { return mark("csu-" + rand.Text()) }

func (m mark) script() string { return "echo " + string(m) + "; echo " + string(m) + " >&2\n" }

// after returns the part of out after the mark's line, and whether the line is
// there.
func (m mark) after(out string) (string, bool) {
	_, rest, found := strings.Cut(out, string(m)+"\n")
	return rest, found
}
