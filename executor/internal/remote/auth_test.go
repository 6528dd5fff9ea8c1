package remote

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/lsst-ts/csu/executor/ground"
)

func noEntry(t *testing.T, h *host) *AuthError {
	t.Helper()
	err := h.runTrue(t)
	var auth *AuthError
	if !errors.As(err, &auth) {
		t.Fatalf("Run = %v, want an AuthError", err)
	}
	return auth
}

func TestWrongKey(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	wrong := filepath.Join(t.TempDir(), "wrong")
	key := ground.NewKey(t, wrong, ground.Ed25519)
	write(t, h.config, strings.ReplaceAll(h.ConfigBlock("azar03", h.known), h.Key, wrong))
	e := noEntry(t, h)
	if len(e.Offered) != 1 || !strings.Contains(e.Error(), ssh.FingerprintSHA256(key)) || !strings.Contains(e.Error(), wrong) {
		t.Errorf("%v; want the offered key in it", e)
	}
}

// A server that hangs up after a few wrong keys has not lost the connection.
func TestTooManyWrongKeys(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{Config: []string{"MaxAuthTries 2"}})
	block := h.ConfigBlock("azar03", h.known)
	for _, name := range []string{"a", "b", "c"} {
		wrong := filepath.Join(t.TempDir(), name)
		ground.NewKey(t, wrong, ground.Ed25519)
		block = strings.Replace(block, "IdentityFile", "IdentityFile "+wrong+"\n  IdentityFile", 1)
	}
	write(t, h.config, block)
	noEntry(t, h)
}

func TestEncryptedKey(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	if out, err := exec.Command("ssh-keygen", "-q", "-p", "-P", "", "-N", "a secret", "-f", h.Key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	if e := noEntry(t, h); !strings.Contains(e.Error(), "ssh-add "+h.Key) {
		t.Errorf("%v; want the remedy in it", e)
	}
}

func TestNoKey(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	if err := os.Remove(h.Key); err != nil {
		t.Fatal(err)
	}
	if e := noEntry(t, h); len(e.Offered) != 0 || !strings.Contains(e.Error(), "ssh-add") || !strings.Contains(e.Error(), h.Key) {
		t.Errorf("%v; want the missing file and the remedy in it", e)
	}
}

// What csu does not support is named where it would have mattered: where the
// server accepts it, and no key works.
func TestUnsupportedWaysToLogIn(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{Config: []string{"GSSAPIAuthentication yes", "HostbasedAuthentication yes"}})
	if err := os.Remove(h.Key); err != nil {
		t.Fatal(err)
	}
	settings := []string{"GSSAPIAuthentication yes", "HostbasedAuthentication yes", "PKCS11Provider /usr/lib/opensc-pkcs11.so"}
	write(t, h.config, h.ConfigBlock("azar03", h.known, settings...))
	e := noEntry(t, h)
	for _, want := range []string{"GSSAPIAuthentication", "HostbasedAuthentication", "ssh-add -s /usr/lib/opensc-pkcs11.so"} {
		if !strings.Contains(e.Error(), want) {
			t.Errorf("%v; want %q in it", e, want)
		}
	}
	write(t, h.config, h.ConfigBlock("azar03", h.known, "GSSAPIAuthentication no"))
	if e := noEntry(t, h); len(e.Unsupported) > 0 {
		t.Errorf("%v names %q, which are not configured", e, e.Unsupported)
	}
}

// serveAgent runs an agent with keys on a socket of its own.
func serveAgent(t *testing.T, files ...string) (socket string) {
	t.Helper()
	keyring := agent.NewKeyring()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParseRawPrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
		if c := readCertificate(f + "-cert.pub"); c != nil {
			if err := keyring.Add(agent.AddedKey{PrivateKey: key, Certificate: c}); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir, err := os.MkdirTemp("", "agent") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, conn)
		}
	}()
	return socket
}

func TestAgent(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{Config: []string{"MaxAuthTries 2"}})
	var keys []string
	for _, name := range []string{"a", "b", "c"} {
		f := filepath.Join(t.TempDir(), name)
		ground.NewKey(t, f, ground.Ed25519)
		keys = append(keys, f)
	}
	socket := serveAgent(t, append(keys, h.Key)...)
	text, err := os.ReadFile(h.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	// Only the public half is on disk. It determines which of the agent's keys
	// comes first.
	write(t, h.Key+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	if err := os.Remove(h.Key); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	if err := h.runTrue(t); err != nil {
		t.Errorf("the key of ssh config is in the agent: %v", err)
	}
	write(t, h.config, strings.Replace(h.ConfigBlock("azar03", h.known, "IdentityAgent none"), "IdentitiesOnly yes", "IdentitiesOnly no", 1))
	if e := noEntry(t, h); len(e.Offered) != 0 {
		t.Errorf("with IdentityAgent none: %v; want no key offered", e)
	}
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "nobody"))
	write(t, h.config, h.ConfigBlock("azar03", h.known, "IdentityAgent "+socket))
	if err := h.runTrue(t); err != nil {
		t.Errorf("with IdentityAgent: %v", err)
	}
}
