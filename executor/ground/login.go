package ground

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/rehearsal"
)

// writeLogin writes the stand-in for a host's login shell, which sshd forces
// every session to use. It substitutes the host's own files for this machine's,
// and runs the command in the host's folder with the machine's shell. Input and
// output are those of the session. The logins are by account; that of the
// operator is under "". It returns the script's name.
func writeLogin(t testing.TB, dir string, logins map[string]rehearsal.Login) string {
	t.Helper()
	var script strings.Builder
	script.WriteString("#!/bin/sh\n# A stand-in of the proving ground, for the login shell of a host.\ncase $USER in\n")
	for _, account := range slices.Backward(slices.Sorted(maps.Keys(logins))) { // "" comes last
		l := logins[account]
		pattern := quoted(account)
		if account == "" {
			pattern = "*"
		}
		fmt.Fprintf(&script, "%s)\n\tcommand=$(printf '%%s\\n' \"$SSH_ORIGINAL_COMMAND\" | sed -f %s) || exit 70\n", pattern, quoted(writeRewrite(t, dir, account, l)))
		fmt.Fprintf(&script, "\tcd %s || exit 70\n\texec env -i", quoted(l.Home))
		for _, e := range l.Environment {
			script.WriteString(" " + quoted(e))
		}
		script.WriteString(" /bin/sh -c \"$command\"\n\t;;\n")
	}
	script.WriteString("esac\n")
	name := filepath.Join(dir, "login")
	writeFile(t, name, []byte(script.String()))
	return name
}

// writeRewrite writes the sed script for the commands of an account.
func writeRewrite(t testing.TB, dir, account string, l rehearsal.Login) string {
	t.Helper()
	// In two passes through a mark that no command contains, so that a
	// replacement is not itself replaced.
	var passes [2]strings.Builder
	for i, part := range l.Longest {
		mark := fmt.Sprintf("\x01%d\x01", i)
		fmt.Fprintf(&passes[0], "s|%s|%s|g\n", sedPattern(part), mark)
		fmt.Fprintf(&passes[1], "s|%s|%s|g\n", mark, sedReplacement(l.Replace[part]))
	}
	name := filepath.Join(dir, "rewrite-"+account+".sed")
	writeFile(t, name, []byte(passes[0].String()+passes[1].String()))
	return name
}

var (
	sedPatterns     = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `*`, `\*`, `[`, `\[`, `^`, `\^`, `$`, `\$`, `|`, `\|`)
	sedReplacements = strings.NewReplacer(`\`, `\\`, `&`, `\&`, `|`, `\|`)
)

func sedPattern(text string) string     { return sedPatterns.Replace(text) }
func sedReplacement(text string) string { return sedReplacements.Replace(text) }

// quoted returns a word quoted for sh.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
