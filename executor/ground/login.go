package ground

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/rehearsal"
)

// writeLogin writes the stand-in for a host's login shell, which sshd forces
// every session into: it puts the host's own files in the place of this
// machine's, and runs the command in the host's folder with the machine's shell.
// Input and output are those of the session. It returns the script's name.
func writeLogin(t testing.TB, dir string, l rehearsal.Login) string {
	t.Helper()
	// In two passes, so that nothing is replaced in what has taken a place: a
	// mark that no command holds comes in between.
	var passes [2]strings.Builder
	for i, part := range l.Longest {
		mark := fmt.Sprintf("\x01%d\x01", i)
		fmt.Fprintf(&passes[0], "s|%s|%s|g\n", sedPattern(part), mark)
		fmt.Fprintf(&passes[1], "s|%s|%s|g\n", mark, sedReplacement(l.Replace[part]))
	}
	rewrite := filepath.Join(dir, "rewrite.sed")
	writeFile(t, rewrite, []byte(passes[0].String()+passes[1].String()))
	var script strings.Builder
	script.WriteString("#!/bin/sh\n# A stand-in of the proving ground, for the login shell of a host.\n")
	fmt.Fprintf(&script, "command=$(printf '%%s\\n' \"$SSH_ORIGINAL_COMMAND\" | sed -f %s) || exit 70\n", quoted(rewrite))
	fmt.Fprintf(&script, "cd %s || exit 70\nexec env -i", quoted(l.Home))
	for _, e := range l.Environment {
		script.WriteString(" " + quoted(e))
	}
	script.WriteString(" /bin/sh -c \"$command\"\n")
	name := filepath.Join(dir, "login")
	writeFile(t, name, []byte(script.String()))
	return name
}

var (
	sedPatterns     = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `*`, `\*`, `[`, `\[`, `^`, `\^`, `$`, `\$`, `|`, `\|`)
	sedReplacements = strings.NewReplacer(`\`, `\\`, `&`, `\&`, `|`, `\|`)
)

func sedPattern(text string) string     { return sedPatterns.Replace(text) }
func sedReplacement(text string) string { return sedReplacements.Replace(text) }

// quoted is a word of sh.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
