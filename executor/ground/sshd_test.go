package ground

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Checks the server's fields with the real ssh.
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
		t.Errorf("the session printed %q, want %q", out, want)
	}
	s.Stop()
	if answersSSH(s.Addr) {
		t.Errorf("the server still answers on %s after Stop", s.Addr)
	}
}

// Logins work for names that the machine's own accounts lack. A host that goes
// down takes its connections with it, and comes back at its address.
func TestAccountsAndPower(t *testing.T) {
	s := StartSSHD(t, SSHDOptions{Accounts: []string{"admin", "nobody-else"}})
	known, config := filepath.Join(s.dir, "known_hosts"), filepath.Join(s.dir, "config")
	s.write("known_hosts", []byte(s.KnownHosts()), 0o600)
	s.write("config", []byte(s.ConfigBlock("crio", known)), 0o600)
	login := func(name, command string) *exec.Cmd {
		return exec.Command("ssh", "-F", config, "-o", "BatchMode=yes", "-l", name, "crio", command)
	}
	for _, name := range []string{"admin", s.User} {
		if out, err := login(name, "echo $USER").CombinedOutput(); err != nil || string(out) != name+"\n" {
			t.Errorf("ssh as %s: %v: %q, want the account's name", name, err, out)
		}
	}
	if out, err := login("guest", "true").CombinedOutput(); err == nil {
		t.Errorf("ssh as guest, an unknown account, succeeded: %s", out)
	}
	sleeper := login("admin", "echo begun; sleep 600")
	out, err := sleeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadAtLeast(out, make([]byte, 64), len("begun\n")); err != nil {
		t.Fatalf("the session printed %d bytes: %v", n, err)
	}
	if err := s.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if err := sleeper.Wait(); err == nil || sleeper.ProcessState.ExitCode() != 255 {
		t.Errorf("the session of a host that went down ended with %v, want ssh's 255", err)
	}
	if answersSSH(s.Addr) {
		t.Errorf("the host answers on %s although it is down", s.Addr)
	}
	addr := s.Addr
	if err := s.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if out, err := login("admin", "echo back").CombinedOutput(); err != nil || string(out) != "back\n" || s.Addr != addr {
		t.Errorf("after the host came back, at %s: %v: %q", s.Addr, err, out)
	}
}
