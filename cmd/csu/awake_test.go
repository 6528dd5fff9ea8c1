package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStayAwake: the system's own command runs until csu lets go of it, and a system that
// has none, or whose command fails, changes nothing.
func TestStayAwake(t *testing.T) {
	for name, test := range map[string]struct{ command, script, want string }{
		"systemd": {"systemd-inhibit", "#!/bin/sh\necho \"$@\" >$0.called\nfor last; do :; done\n\"$last\"\necho ended >>$0.called\n", "--what=sleep:idle --mode=block --who=csu --why=An upgrade is being carried out cat\nended\n"},
		"macOS":   {"caffeinate", "#!/bin/sh\necho \"$@\" >$0.called\nfor last; do :; done\n\"$last\"\necho ended >>$0.called\n", "-i -s cat\nended\n"},
		"refused": {"systemd-inhibit", "#!/bin/sh\necho refused >$0.called\nexit 1\n", "refused\n"},
		"none":    {},
	} {
		dir := t.TempDir()
		t.Setenv("PATH", dir+":/usr/bin:/bin")
		file := filepath.Join(dir, test.command)
		if test.command == "" {
			t.Setenv("PATH", dir)
			stayAwake()()
			continue
		}
		if test.command == "caffeinate" { // and no systemd-inhibit
			t.Setenv("PATH", dir)
			if err := os.Symlink("/bin/cat", filepath.Join(dir, "cat")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, []byte(test.script), 0o700); err != nil {
			t.Fatal(err)
		}
		called := func() string {
			data, _ := os.ReadFile(file + ".called") // not yet there
			return string(data)
		}
		end := stayAwake()
		for limit := time.Now().Add(patience); called() == ""; time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("%s: it was not called", name)
			}
		}
		if strings.Contains(called(), "ended") {
			t.Errorf("%s: it has ended before csu", name)
		}
		end()
		if got := called(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
