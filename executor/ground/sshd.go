package ground

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshdProgram must be named by its full path: sshd starts itself again for each
// connection.
const sshdProgram = "/usr/sbin/sshd"

// SSHD is a running OpenSSH server. It accepts logins to the account that runs
// the test, with the key file Key, and has one ed25519 and one ecdsa host key.
type SSHD struct {
	Addr     string // 127.0.0.1:PORT
	User     string
	Home     string // $HOME in its sessions; not the account's own
	Key      string // private key file of the client
	HostKeys []ssh.PublicKey

	t   testing.TB
	dir string
	env []string // of the server process, besides the test's

	mu      *sync.Mutex
	process *exec.Cmd
	ended   chan struct{} // closed when the server process has ended
	stopped bool          // for good
}

// SSHDOptions are a server's settings that differ from the default.
type SSHDOptions struct {
	Env    map[string]string // environment of the sessions
	Config []string          // further lines of sshd_config
	// Accounts are further names to log in with, which need not be accounts of
	// this machine. Their sessions run as the account that runs the test.
	Accounts []string
}

// StartSSHD starts an OpenSSH server on a free port of 127.0.0.1. It ends with
// the test, and all of its files are in the test's temporary folder. It works
// with and without root. Without sshd the test fails.
func StartSSHD(t testing.TB, o SSHDOptions) *SSHD {
	t.Helper()
	if _, err := os.Stat(sshdProgram); err != nil {
		t.Fatalf("these tests need a real SSH server, Debian package openssh-server: %v", err)
	}
	if os.Getuid() == 0 {
		// The path is compiled into sshd, and the package's service creates it.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatalf("create the folder that sshd needs as root: %v", err)
		}
	}
	account, err := user.Current()
	if err != nil {
		t.Fatalf("find the account to log in to: %v", err)
	}
	s := &SSHD{User: account.Username, t: t, dir: t.TempDir(), mu: &sync.Mutex{}}
	s.Home = filepath.Join(s.dir, "home")
	if err := os.Mkdir(s.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Key = filepath.Join(s.dir, "id_ed25519")
	s.write("authorized_keys", ssh.MarshalAuthorizedKey(NewKey(t, s.Key, Ed25519)), 0o600)
	s.HostKeys = []ssh.PublicKey{
		NewKey(t, filepath.Join(s.dir, "host_ed25519"), Ed25519),
		NewKey(t, filepath.Join(s.dir, "host_ecdsa"), ECDSA),
	}
	if len(o.Accounts) > 0 {
		s.env = s.accounts(account, o.Accounts)
	}
	// A free port may be taken before sshd gets it.
	for range 5 {
		if err = s.start(o); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatalf("sshd does not start: %v; its log:\n%s", err, s.log())
	return nil
}

// start starts sshd on a free port.
func (s *SSHD) start(o SSHDOptions) error {
	// Not a port that the kernel gives to connections, since a host that was
	// down comes back at its address.
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.Addr = local(ports[0])
	s.write("sshd_config", s.config(o), 0o600)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run()
}

// run starts sshd on its address. The caller must hold the lock.
func (s *SSHD) run() error {
	process := exec.Command(sshdProgram, "-D", "-f", filepath.Join(s.dir, "sshd_config"), "-E", filepath.Join(s.dir, "log"))
	process.Env = append(os.Environ(), s.env...)
	process.SysProcAttr = apart()
	if err := launch(process); err != nil {
		return fmt.Errorf("start sshd: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		// It ends by a signal or because its port is taken; the log says more.
		_ = process.Wait()
		close(ended)
	}()
	s.process, s.ended = process, ended
	for began := time.Now(); time.Since(began) < Limit; time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			return fmt.Errorf("sshd on %s has ended", s.Addr)
		default:
		}
		if answersSSH(s.Addr) {
			return nil
		}
	}
	// An error means that the process has ended already.
	_ = process.Process.Kill()
	<-ended
	return fmt.Errorf("sshd does not answer on %s", s.Addr)
}

func answersSSH(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "SSH-2.0-")
}

func (s *SSHD) config(o SSHDOptions) []byte {
	host, port, _ := net.SplitHostPort(s.Addr)
	env := map[string]string{"HOME": s.Home}
	maps.Copy(env, o.Env)
	var b bytes.Buffer
	for _, line := range []string{
		"ListenAddress " + host,
		"Port " + port,
		"HostKey " + filepath.Join(s.dir, "host_ed25519"),
		"HostKey " + filepath.Join(s.dir, "host_ecdsa"),
		"AuthorizedKeysFile " + filepath.Join(s.dir, "authorized_keys"),
		"PidFile none",
		"StrictModes no", // temporary folders are below one that is world-writable
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"LogLevel VERBOSE",
		"PrintMotd no",
	} {
		fmt.Fprintln(&b, line)
	}
	// sshd uses only the first of several SetEnv lines.
	b.WriteString("SetEnv")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, " \"%s=%s\"", name, env[name])
	}
	b.WriteString("\n")
	for _, line := range o.Config {
		fmt.Fprintln(&b, line)
	}
	return b.Bytes()
}

// Stop ends the server for good. Existing connections remain, as with any sshd.
func (s *SSHD) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	select {
	case <-s.ended:
		return
	default:
	}
	if err := s.process.Process.Kill(); err != nil {
		s.t.Errorf("end sshd, process %d: %v", s.process.Process.Pid, err)
		return
	}
	<-s.ended
	if s.t.Failed() {
		s.t.Logf("end of the log of sshd on %s:\n%s", s.Addr, lastLines(s.log(), 4))
	}
}

// PowerOff ends the server and all its connections, as when a host goes down.
func (s *SSHD) PowerOff() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	listener := s.process.Process
	// Stopped first, so that it accepts no connection while its children are
	// found.
	if err := listener.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("power off %s: %w", s.Addr, err)
	}
	children, err := descendants(listener.Pid)
	if err != nil {
		return err
	}
	if err := listener.Kill(); err != nil {
		return fmt.Errorf("power off %s: %w", s.Addr, err)
	}
	<-s.ended
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end process %d of sshd on %s: %w", pid, s.Addr, err)
		}
	}
	return nil
}

// PowerOn starts the server again at the same address.
func (s *SSHD) PowerOn() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for began := time.Now(); time.Since(began) < Limit; {
		if s.stopped {
			return nil
		}
		if err = s.run(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // the address may still be in use
	}
	return fmt.Errorf("power on: %w; its log:\n%s", err, s.log())
}

// KnownHosts returns the lines for known_hosts that identify the server at its
// address.
func (s *SSHD) KnownHosts() string {
	host, port, _ := net.SplitHostPort(s.Addr)
	var b strings.Builder
	for _, key := range s.HostKeys {
		fmt.Fprintf(&b, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(key))
	}
	return b.String()
}

// ConfigBlock returns the Host block for the server in ssh config.
func (s *SSHD) ConfigBlock(alias, knownHosts string, more ...string) string {
	host, port, _ := net.SplitHostPort(s.Addr)
	lines := append([]string{
		"HostName " + host,
		"Port " + port,
		"User " + s.User,
		"IdentityFile " + s.Key,
		"IdentitiesOnly yes",
		"UserKnownHostsFile " + knownHosts,
		"ConnectTimeout 120", // for a busy machine
	}, more...)
	return "Host " + alias + "\n  " + strings.Join(lines, "\n  ") + "\n"
}

func (s *SSHD) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *SSHD) write(name string, content []byte, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, mode); err != nil {
		s.t.Fatal(err)
	}
}

// KeyKind is a type of SSH key.
type KeyKind int

// The key types that the tests need.
const (
	Ed25519 KeyKind = iota
	ECDSA
)

// NewKey generates a key, writes the private half to file and returns the
// public half.
func NewKey(t testing.TB, file string, kind KeyKind) ssh.PublicKey {
	t.Helper()
	private, public := newPair(t, kind)
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatalf("encode a key: %v", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return public
}

func newPair(t testing.TB, kind KeyKind) (crypto.PrivateKey, ssh.PublicKey) {
	t.Helper()
	var private crypto.Signer
	var err error
	switch kind {
	case ECDSA:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	return private, public
}
