package ground

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/remote"
)

// With the client options of a Rubin host, ssh and csu learn the host's key while
// they connect, and csu notices when the host goes away behind the proxy.
func TestClientOptionsOfARubinHost(t *testing.T) {
	s := StartSSHD(t, SSHDOptions{})
	options := writeSSSD(t, s.dir, s.KnownHosts())
	known, config := filepath.Join(s.dir, "absent"), filepath.Join(s.dir, "config")
	s.write("config", []byte(s.ConfigBlock("azar03 azar03.cp.lsst.org", known)+options), 0o600)
	filled := filepath.Join(s.dir, "sssd", "pubconf", "known_hosts")
	if out, err := exec.Command("ssh", "-F", config, "-o", "BatchMode=yes", "azar03.cp.lsst.org", "true").CombinedOutput(); err != nil {
		t.Fatalf("ssh: %v\n%s", err, out)
	}
	if err := os.Remove(filled); err != nil {
		t.Fatal(err)
	}
	pool := remote.New(remote.Config{SSHConfigFile: config})
	defer pool.Close()
	host := remote.Target{Host: "azar03", Address: "azar03.cp.lsst.org", Via: remote.ViaOwn}
	if out, err := pool.Run(t.Context(), host, "echo in"); err != nil || out != "in\n" {
		t.Fatalf("csu: %q, %v", out, err)
	}
	if err := s.PowerOff(); err != nil {
		t.Fatal(err)
	}
	var unreachable *remote.UnreachableError
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := pool.Run(t.Context(), host, "true")
		if errors.As(err, &unreachable) {
			if !strings.Contains(err.Error(), "Connection refused") {
				t.Errorf("csu: %v, want what the proxy said", err)
			}
			break
		}
		if time.Since(began) > Limit {
			t.Fatalf("csu: %v, want it to notice that the host is down", err)
		}
	}
	if err := s.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Run(t.Context(), host, "true"); err != nil {
		t.Errorf("csu, after the host came back: %v", err)
	}
	// A host that the directory does not know stays unknown.
	writeSSSD(t, s.dir, "")
	other := remote.New(remote.Config{SSHConfigFile: config})
	defer other.Close()
	_, err := other.Run(t.Context(), host, "true")
	var key *remote.HostKeyError
	if !errors.As(err, &key) || !strings.Contains(err.Error(), filled) {
		t.Errorf("csu: %v, want an unknown host and the directory's file named", err)
	}
}
