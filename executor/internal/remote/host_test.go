package remote

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// host is a real server, named azar03 in an ssh config of its own.
type host struct {
	*ground.SSHD
	target Target
	known  string // known_hosts file
	config string // ssh config file
}

func newHost(t *testing.T, o ground.SSHDOptions) *host {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	h := &host{
		SSHD:   ground.StartSSHD(t, o),
		target: Target{Host: "azar03", Address: "azar03.example.org", Via: ViaOwn},
		known:  filepath.Join(dir, "known_hosts"),
		config: filepath.Join(dir, "config"),
	}
	write(t, h.known, h.KnownHosts())
	write(t, h.config, h.ConfigBlock("azar03", h.known))
	t.Cleanup(func() { h.endDetached(t) })
	return h
}

func (h *host) pool(t *testing.T) *Pool {
	t.Helper()
	p := New(Config{SSHConfigFile: h.config})
	t.Cleanup(func() { p.Close() })
	return p
}

// folder returns the folder of the detached command name.
func (h *host) folder(name string) string { return filepath.Join(h.Home, ".csu", name) }

// pid reads a process id that a detached command has written to file.
func (h *host) pid(t *testing.T, name, file string) int {
	t.Helper()
	var pid int
	await(t, "the process id in "+file, func() bool {
		text, err := os.ReadFile(filepath.Join(h.folder(name), file))
		if err != nil {
			return false
		}
		fields := strings.Fields(string(text))
		if len(fields) == 0 {
			return false
		}
		pid, err = strconv.Atoi(fields[0])
		return err == nil
	})
	return pid
}

func (h *host) kill(t *testing.T, name, file string) {
	t.Helper()
	if err := syscall.Kill(h.pid(t, name, file), syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s of %s: %v", file, name, err)
	}
}

// endDetached ends what a test has left running, since a detached command
// outlives everything else. The wrapper comes first and is waited for, because
// it writes when its script ends, into a folder that is about to be removed.
func (h *host) endDetached(t *testing.T) {
	for _, name := range []string{"pid", "child"} {
		files, err := filepath.Glob(filepath.Join(h.Home, ".csu", "*", name))
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				continue
			}
			var pid int
			var begun string
			if n, _ := fmt.Sscan(string(text), &pid, &begun); n != 2 || !lives(pid, begun) {
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				t.Error(err)
			}
			await(t, fmt.Sprintf("the end of process %d", pid), func() bool { return !lives(pid, begun) })
		}
	}
}

// lives reports whether the process that began then is still running.
func lives(pid int, begun string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || !strings.Contains(string(stat), " "+begun+" ") {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := rehearsal.WriteScript(name, text); err != nil {
		t.Fatal(err)
	}
}

// waitLimit is for what should take a moment, on a machine that may be busy.
const waitLimit = 3 * time.Minute

// await waits until so reports true.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < waitLimit; time.Sleep(5 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Fatalf("timed out waiting for %s", what)
}

// awaitStatus calls Look until the command is in the wanted state.
func awaitStatus(t *testing.T, p *Pool, target Target, name, want string) Status {
	t.Helper()
	var s Status
	await(t, name+" "+want, func() bool {
		var err error
		if s, err = p.Look(t.Context(), target, name); err != nil {
			t.Fatal(err)
		}
		return state(s) == want
	})
	return s
}

// state returns the state of a Status in one word.
func state(s Status) string {
	switch {
	case !s.Known:
		return "unknown"
	case s.Running:
		return "running"
	case s.Exited:
		return "exited"
	case s.Gone && s.NotStarted:
		return "never"
	case s.Gone:
		return "gone"
	}
	return "nothing"
}

// toolbox makes a folder for PATH with the usual tools of Debian's essential
// packages, except those in without.
func toolbox(t *testing.T, without ...string) string {
	t.Helper()
	dir := t.TempDir()
tools:
	for _, tool := range []string{"cat", "mkdir", "mv", "rm", "tail", "sleep", "setsid", "env", "id", "sed"} {
		for _, w := range without {
			if tool == w {
				continue tools
			}
		}
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatalf("a tool that every Debian has is missing: %v", err)
		}
		if err := os.Symlink(path, filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wire is a network between csu and a server that a test can cut.
type wire struct {
	mu    sync.Mutex
	conns []net.Conn
	count int
	mute  atomic.Bool  // nothing gets through, and neither side notices
	said  atomic.Int64 // how often a server has sent something
}

// dial is the Dial of a pool whose connections use the wire.
func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	far, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	inner, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, inner, far)
	w.count++
	go w.relay(far, inner, new(atomic.Int64))
	go w.relay(inner, far, &w.said)
	return near, nil
}

func (w *wire) relay(to, from net.Conn, said *atomic.Int64) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if w.mute.Load() {
			continue
		}
		said.Add(1)
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut breaks all connections without notice to either side.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *wire) dialed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}
