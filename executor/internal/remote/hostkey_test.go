package remote

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/lsst-ts/csu/executor/ground"
)

// refused runs a script on h and returns the error about the host key.
func refused(t *testing.T, h *host) *HostKeyError {
	t.Helper()
	err := h.runTrue(t)
	var hostKey *HostKeyError
	if !errors.As(err, &hostKey) {
		t.Fatalf("Run = %v, want a HostKeyError", err)
	}
	return hostKey
}

func (h *host) runTrue(t *testing.T) error {
	t.Helper()
	_, err := h.pool(t).Run(t.Context(), h.target, "true")
	return err
}

func (h *host) hostKey(t *testing.T, kind string) ssh.PublicKey {
	t.Helper()
	for _, k := range h.HostKeys {
		if k.Type() == kind {
			return k
		}
	}
	t.Fatalf("the server has no %s key", kind)
	return nil
}

func TestUnknownHost(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	for what, change := range map[string]func(){
		"empty":   func() { write(t, h.known, "# no hosts\n") },
		"missing": func() { os.Remove(h.known) },
	} {
		change()
		e := refused(t, h)
		if len(e.Known) != 0 || !strings.Contains(e.Error(), "unknown") {
			t.Errorf("%s known_hosts: %v; want the host reported as unknown", what, e)
		}
		if !strings.Contains(e.Error(), "ssh azar03") || !strings.Contains(e.Error(), "SHA256:") || !strings.Contains(e.Error(), h.known) {
			t.Errorf("%s known_hosts: %v; want fingerprint, file and remedy", what, e)
		}
	}
}

func TestHostKeyMismatch(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	other := ground.NewKey(t, filepath.Join(t.TempDir(), "other"), ground.Ed25519)
	write(t, h.known, "# the host before it was reinstalled\n"+knownhosts.Line([]string{h.Addr}, other)+"\n")
	e := refused(t, h)
	if len(e.Known) != 1 || e.Known[0].File != h.known || e.Known[0].Line != 2 {
		t.Errorf("known lines %+v, want line 2 of %s", e.Known, h.known)
	}
	host, port, _ := net.SplitHostPort(h.Addr)
	for _, want := range []string{h.known + ":2", ssh.FingerprintSHA256(other), fmt.Sprintf("ssh-keygen -f %s -R '[%s]:%s'", h.known, host, port)} {
		if !strings.Contains(e.Error(), want) {
			t.Errorf("%v; want %q in it", e, want)
		}
	}
}

// A host that shows a key of another type than the known one is not the known
// host.
func TestHostKeyOfAnotherKind(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{Config: []string{"HostKeyAlgorithms ssh-ed25519"}})
	write(t, h.known, knownhosts.Line([]string{h.Addr}, h.hostKey(t, ssh.KeyAlgoECDSA256))+"\n")
	if e := refused(t, h); len(e.Known) != 1 || !strings.HasPrefix(e.Shown, ssh.KeyAlgoED25519) {
		t.Errorf("refused with %v; want the ed25519 key shown and the known line", e)
	}
}

// known_hosts may have any one of a host's keys, and csu must request that one.
func TestHostKeyAlgorithmsFollowKnownHosts(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	for _, kind := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256} {
		write(t, h.known, knownhosts.Line([]string{h.Addr}, h.hostKey(t, kind))+"\n")
		if err := h.runTrue(t); err != nil {
			t.Errorf("only the %s key is known: %v", kind, err)
		}
		hashed := knownhosts.HashHostname(knownhosts.Normalize(h.Addr))
		write(t, h.known, hashed+" "+string(ssh.MarshalAuthorizedKey(h.hostKey(t, kind))))
		if err := h.runTrue(t); err != nil {
			t.Errorf("only the %s key is known, hashed: %v", kind, err)
		}
	}
}

func TestRevokedHostKey(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	key := h.hostKey(t, ssh.KeyAlgoED25519)
	write(t, h.known, knownhosts.Line([]string{h.Addr}, key)+"\n@revoked * "+string(ssh.MarshalAuthorizedKey(key)))
	if e := refused(t, h); !e.Revoked || !strings.Contains(e.Error(), "revoked") {
		t.Errorf("refused with %v; want the key reported as revoked", e)
	}
}

func TestHostCertificate(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key := ground.NewKey(t, filepath.Join(dir, "certified"), ground.Ed25519)
	certificate := &ssh.Certificate{Key: key, CertType: ssh.HostCert, KeyId: "azar03", ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "certified-cert.pub"), string(ssh.MarshalAuthorizedKey(certificate)))
	if err := os.Chmod(filepath.Join(dir, "certified"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, ground.SSHDOptions{Config: []string{
		"HostKey " + filepath.Join(dir, "certified"),
		"HostCertificate " + filepath.Join(dir, "certified-cert.pub"),
	}})
	_, port, _ := net.SplitHostPort(h.Addr)
	line := "@cert-authority [127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(authority.PublicKey()))
	write(t, h.known, line)
	if err := h.runTrue(t); err != nil {
		t.Errorf("the host's certificate authority is known: %v", err)
	}
	// If only the plain key is known, the certificate must not interfere.
	write(t, h.known, knownhosts.Line([]string{h.Addr}, key)+"\n")
	if err := h.runTrue(t); err != nil {
		t.Errorf("only the plain key is known: %v", err)
	}
	write(t, h.known, strings.Replace(line, "127.0.0.1", "127.0.0.2", 1))
	refused(t, h)
}

// A bad line about another host hides nothing, and is noted once.
func TestBadLineOfKnownHosts(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	write(t, h.known, "azar04 ssh-ed25519 nonsense\n"+h.KnownHosts())
	p := h.pool(t)
	for range 2 {
		if _, err := p.Run(t.Context(), h.target, "true"); err != nil {
			t.Fatal(err)
		}
		p.seats[h.target.request()].close()
	}
	if notes := p.Notes(); len(notes) != 1 || !strings.Contains(notes[0], h.known+":1 is skipped") {
		t.Errorf("notes %q, want one about line 1 of %s", notes, h.known)
	}
}

// A bad line about the host is no permission, but it does not spoil a good one.
func TestBadLineAboutTheHost(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	bad := knownhosts.Normalize(h.Addr) + " ssh-ed25519 nonsense\n"
	write(t, h.known, bad)
	if e := refused(t, h); !strings.Contains(e.Error(), h.known+":1") {
		t.Errorf("refused with %v; want file and line", e)
	}
	write(t, h.known, bad+h.KnownHosts())
	if err := h.runTrue(t); err != nil {
		t.Errorf("with a good line about the host too: %v", err)
	}
	write(t, h.known, h.KnownHosts()+"@revoked "+bad)
	if e := refused(t, h); !strings.Contains(e.Error(), h.known+":3 revokes a key") {
		t.Errorf("refused with %v; want the unreadable revocation named", e)
	}
}

func TestHostKeyAlias(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	write(t, h.known, knownhosts.Line([]string{"the-host"}, h.HostKeys[0])+"\n")
	write(t, h.config, h.ConfigBlock("azar03", h.known, "HostKeyAlias the-host"))
	if err := h.runTrue(t); err != nil {
		t.Error(err)
	}
}

// ssh can check the address as well; not for a host on the loopback interface.
func TestCheckHostIP(t *testing.T) {
	dir := t.TempDir()
	key := ground.NewKey(t, filepath.Join(dir, "key"), ground.Ed25519)
	other := ground.NewKey(t, filepath.Join(dir, "other"), ground.Ed25519)
	for _, c := range []struct {
		name, strict string
		remote       string
		refused      bool
	}{
		{"the known address", "ask", "192.0.2.1", false},
		{"an address without a known key", "ask", "192.0.2.2", false},
		{"the address of another host", "ask", "192.0.2.3", true},
		{"the address of another host, unchecked", "false", "192.0.2.3", false},
	} {
		e := &endpoint{name: "azar03", host: "azar03", port: "22", trust: trust{address: true, strict: c.strict, userFiles: []string{filepath.Join(dir, "known_hosts")}}}
		write(t, e.trust.userFiles[0], knownhosts.Line([]string{"azar03", "192.0.2.1"}, key)+"\n"+knownhosts.Line([]string{"192.0.2.3"}, other)+"\n")
		k := &hostKey{ctx: t.Context(), host: e}
		err := k.check("", &net.TCPAddr{IP: net.ParseIP(c.remote), Port: 22}, key)
		if (err != nil) != c.refused || k.accepted == c.refused {
			t.Errorf("%s: %v, accepted %v; want refused %v", c.name, err, k.accepted, c.refused)
		}
		if want := c.strict == "false"; (len(k.notes) > 0) != want {
			t.Errorf("%s: notes %q, want some %v", c.name, k.notes, want)
		}
	}
}
