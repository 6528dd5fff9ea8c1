package main

import (
	"os"
	"strings"
	"testing"
)

// TestTerminalColours: a terminal shows plans in colour, unless NO_COLOR asks for
// none, and as wide as it is.
func TestTerminalColours(t *testing.T) {
	t.Parallel()
	plan := "../../plans/2026-11-24-summit-incremental.json"
	for _, x := range []struct {
		env      []string
		coloured bool
	}{
		{[]string{"TERM=xterm", "NO_COLOR="}, true}, // set, but to nothing
		{[]string{"TERM=xterm", "NO_COLOR=1"}, false},
		{[]string{"TERM=dumb", "NO_COLOR="}, false},
	} {
		cmd := csu(t, "plan", "show", plan)
		if cmd.Env == nil {
			cmd.Env = os.Environ()
		}
		cmd.Env = append(cmd.Env, x.env...)
		s := atTerminal(t, cmd)
		s.wantExit(t, exitComplete)
		if coloured := strings.Contains(s.text(), "\x1b["); coloured != x.coloured {
			t.Errorf("with %q there are colours: %t, want %t", x.env, coloured, x.coloured)
		}
		if !strings.Contains(s.text(), "Irreversible:") {
			t.Errorf("with %q the plan is not shown: %s", x.env, s.text())
		}
	}
}
