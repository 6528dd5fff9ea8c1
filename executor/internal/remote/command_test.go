package remote

import (
	"os/exec"
	"strings"
	"testing"
)

// Paths must appear in the exec request exactly as in the script.
func TestCommandKeepsPaths(t *testing.T) {
	for _, sudo := range []string{"", "dco"} {
		c := command("\"/etc/init.d/ts-VMS\" stop\ncat '/proc/sys/kernel/random/boot_id'\n", sudo)
		for _, path := range []string{"/etc/init.d/ts-VMS", "/proc/sys/kernel/random/boot_id"} {
			if !strings.Contains(c, path) {
				t.Errorf("%q lacks %q", c, path)
			}
		}
		if strings.ContainsAny(c, "\n!") {
			t.Errorf("%q contains a character that some login shells change", c)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"plain", "it's", "a\nb\r\n\tc", `\n \\ \047 %s %% $HOME $(id) "q" !x`, "\x01\xff\u00e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\x00") || len(s) > 1000 {
			return // a shell word cannot contain it
		}
		out, err := exec.Command("/bin/sh", "-c", command("printf '%s.' "+quote(s), "")).Output()
		if err != nil || string(out) != s+"." {
			t.Errorf("%q is printed as %q, %v", s, out, err)
		}
	})
}

// The scripts must also run under the small shells of cRIOs.
func TestScriptsArePOSIX(t *testing.T) {
	for name, text := range map[string]string{"start.sh": startScript, "run.sh": runScript, "look.sh": lookScript, "forbid.sh": forbidScript} {
		sh := exec.Command("dash", "-n")
		sh.Stdin = strings.NewReader(text)
		if out, err := sh.CombinedOutput(); err != nil {
			t.Errorf("dash -n %s: %v\n%s", name, err, out)
		}
	}
}
