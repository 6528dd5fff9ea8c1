package ground

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The server is what its fields say, by the word of ssh itself.
func TestStartSSHD(t *testing.T) {
	s := StartSSHD(t, SSHDOptions{Env: map[string]string{"SITE": "summit, south"}})
	known, config := filepath.Join(s.dir, "known_hosts"), filepath.Join(s.dir, "config")
	s.write("known_hosts", []byte(s.KnownHosts()), 0o600)
	s.write("config", []byte(s.ConfigBlock("azar03", known)), 0o600)
	out, err := exec.Command("ssh", "-F", config, "-o", "BatchMode=yes", "azar03", `printf '%s|%s' "$HOME" "$SITE"`).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh: %v\n%s", err, out)
	}
	if want := s.Home + "|summit, south"; !strings.HasSuffix(string(out), want) {
		t.Errorf("the session says %q, want %q", out, want)
	}
	s.Stop()
	if answersSSH(s.Addr) {
		t.Errorf("the server still answers on %s after Stop", s.Addr)
	}
}
