package remote

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
)

// newHostBehind returns a host that is reached through the others, of which the
// first is reached directly, with one ssh config for all.
func newHostBehind(t *testing.T, bastions ...*ground.SSHD) (h *host, names []string) {
	t.Helper()
	h = newHost(t, ground.SSHDOptions{})
	known, config := h.KnownHosts(), ""
	for i, b := range bastions {
		name := "bastion" + string(rune('1'+i))
		names = append(names, name)
		known += b.KnownHosts()
		config += b.ConfigBlock(name, h.known)
	}
	write(t, h.known, known)
	write(t, h.config, config+h.ConfigBlock("azar03", h.known, "ProxyJump "+strings.Join(names, ",")))
	return h, names
}

func TestJumpHosts(t *testing.T) {
	first, second := ground.StartSSHD(t, ground.SSHDOptions{}), ground.StartSSHD(t, ground.SSHDOptions{})
	h, _ := newHostBehind(t, first, second)
	var w wire
	p := New(Config{SSHConfigFile: h.config, Dial: w.dial})
	defer p.Close()
	for range 2 {
		out, err := p.Run(t.Context(), h.target, `echo "$HOME"`)
		if err != nil || strings.TrimSpace(out) != h.Home {
			t.Fatalf("Run = %q, %v", out, err)
		}
	}
	if n := w.dialed(); n != 1 {
		t.Errorf("csu made %d connections itself, want only the one to the first jump host", n)
	}
	w.cut()
	if _, err := p.Run(t.Context(), h.target, "true"); err != nil {
		t.Errorf("Run after the connection to the jump host was lost: %v", err)
	}
	if n := w.dialed(); n != 2 {
		t.Errorf("%d connections to the first jump host after a loss, want 2", n)
	}
}

func TestHostDownBehindJumpHost(t *testing.T) {
	h, _ := newHostBehind(t, ground.StartSSHD(t, ground.SSHDOptions{}))
	h.Stop()
	err := h.runTrue(t)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.HasPrefix(unreachable.Host, "azar03") {
		t.Errorf("Run = %v, want an UnreachableError about the host", err)
	}
}

func TestJumpHostTrouble(t *testing.T) {
	bastion := ground.StartSSHD(t, ground.SSHDOptions{})
	h, _ := newHostBehind(t, bastion)
	write(t, h.known, h.KnownHosts())
	err := h.runTrue(t)
	var hostKey *HostKeyError
	if !errors.As(err, &hostKey) || !strings.HasPrefix(hostKey.Host, "bastion1") || !strings.Contains(err.Error(), "jump host") {
		t.Errorf("Run through an unknown jump host = %v, want a HostKeyError about it", err)
	}
	write(t, h.known, h.KnownHosts()+bastion.KnownHosts())
	bastion.Stop()
	err = h.runTrue(t)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.HasPrefix(unreachable.Host, "bastion1") {
		t.Errorf("Run through a jump host that is down = %v, want an UnreachableError about it", err)
	}
}

// ProxyJump may name an account and a port, and may be set for the DNS name.
func TestJumpHostWithAccountAndPort(t *testing.T) {
	bastion := ground.StartSSHD(t, ground.SSHDOptions{})
	h := newHost(t, ground.SSHDOptions{})
	write(t, h.known, h.KnownHosts()+bastion.KnownHosts())
	_, port, _ := net.SplitHostPort(bastion.Addr)
	write(t, h.config, "Host 127.0.0.1\n  IdentityFile "+bastion.Key+"\n  User nobody\n"+
		h.ConfigBlock("*.example.org", h.known, "ProxyJump "+bastion.User+"@127.0.0.1:"+port)+
		"Host *\n  IdentitiesOnly yes\n  UserKnownHostsFile "+h.known+"\n")
	if err := h.runTrue(t); err != nil {
		t.Error(err)
	}
}

func TestBindAddressThatIsAbsent(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	write(t, h.config, h.ConfigBlock("azar03", h.known, "BindInterface nosuch0"))
	if err := h.runTrue(t); err == nil || !strings.Contains(err.Error(), `"nosuch0"`) {
		t.Errorf("Run = %v, want the interface named", err)
	}
}
