package remote

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// command returns the exec request that runs script with /bin/sh, as the
// account sudo if one is given.
//
// The server hands the request to the account's login shell, which may be
// anything: bash, tcsh, which takes no line break in quotes, or fish, which
// takes backslashes in them. So the script travels as one line in which the
// characters that mean something to any shell are octal escapes of printf; all
// others, and with them the paths, stand there as they are.
func command(script, sudo string) string {
	if sudo == "" {
		return `/bin/sh -c 'eval "$(printf %b "` + escape(script) + `")"'`
	}
	// sudo -i drops line breaks from its arguments and expands every $ in them,
	// so the script goes through sudo's input. The inner shell must not leave
	// the rest of that input to what the script runs: exec reads it whole.
	inner := "exec /bin/sh -c " + quote(script) + " </dev/null\n"
	return `/bin/sh -c 'printf %b "` + escape(inner) + `" | sudo -n -iu ` + sudo + ` /bin/sh'`
}

// escape writes s for printf's %b, inside double inside single quotes.
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

// quote writes s as one word for a POSIX shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// mark is a line that a script writes to both outputs before anything else. It
// proves that the script has begun, and what login shells and profiles printed
// before it is cut off with it.
type mark string

func newMark() mark { return mark("csu-" + rand.Text()) }

func (m mark) script() string { return "echo " + string(m) + "; echo " + string(m) + " >&2\n" }

// after returns what follows the mark's line in out, and whether it is there.
func (m mark) after(out string) (string, bool) {
	_, rest, found := strings.Cut(out, string(m)+"\n")
	return rest, found
}
