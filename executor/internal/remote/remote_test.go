package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
)

func TestRun(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	script := `printf '%s\n' "it's" '$HOME "quoted" \n !' ` + "`echo back`" + `
cat
for i in 1 2; do echo "$i"; done
`
	out, err := p.Run(t.Context(), h.target, script)
	if err != nil {
		t.Fatal(err)
	}
	if want := "it's\n$HOME \"quoted\" \\n !\nback\n1\n2\n"; out != want {
		t.Errorf("Run = %q, want %q", out, want)
	}
}

func TestRunReportsTheExitStatus(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	_, err := p.Run(t.Context(), h.target, "echo no such unit >&2; exit 3")
	var exit *ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("Run = %v, want an ExitError", err)
	}
	if exit.Status != 3 || exit.Stderr != "no such unit" {
		t.Errorf("status %d, error output %q; want 3, %q", exit.Status, exit.Stderr, "no such unit")
	}
	_, err = p.Run(t.Context(), h.target, "kill -TERM $$")
	if !errors.As(err, &exit) || exit.Signal != "TERM" {
		t.Errorf("Run of a killed script = %v, want an ExitError with signal TERM", err)
	}
}

func TestRunThroughNoisyLoginShell(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{Config: []string{`ForceCommand echo Welcome; echo to azar03 >&2; eval "$SSH_ORIGINAL_COMMAND"`}})
	p := h.pool(t)
	out, err := p.Run(t.Context(), h.target, "echo value")
	if err != nil || out != "value\n" {
		t.Errorf("Run = %q, %v; want only the script's output", out, err)
	}
	_, err = p.Run(t.Context(), h.target, "exit 4")
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Stderr != "" {
		t.Errorf("Run = %v, want an ExitError without the greeting", err)
	}
}

func TestRunOnAccountThatRunsNothing(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{Config: []string{"ForceCommand echo This account is currently not available.; exit 1"}})
	_, err := h.pool(t).Run(t.Context(), h.target, "echo value")
	var auth *AuthError
	if !errors.As(err, &auth) || !strings.Contains(err.Error(), "not available") {
		t.Errorf("Run = %v, want an AuthError with the account's message", err)
	}
}

func TestRunLogsInAsTheTargetsUser(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	// ssh config has another account for the alias; the plan's wins with
	// ViaLogin only.
	write(t, h.config, strings.Replace(h.ConfigBlock("azar03", h.known), "User "+h.User, "User nobody", 1))
	p := h.pool(t)
	target := Target{Host: "azar03", User: h.User, Via: ViaLogin}
	if out, err := p.Run(t.Context(), target, "id -un"); err != nil || strings.TrimSpace(out) != h.User {
		t.Errorf("Run = %q, %v; want %q", out, err, h.User)
	}
	_, err := p.Run(t.Context(), h.target, "id -un")
	var auth *AuthError
	if !errors.As(err, &auth) || auth.User != "nobody" {
		t.Errorf("Run = %v, want an AuthError for the account of ssh config", err)
	}
}

func TestRunRefusesTargets(t *testing.T) {
	p := New(Config{SSHConfigFile: os.DevNull})
	for _, target := range []Target{
		{Host: "-oProxyCommand=x", User: "dco", Via: ViaLogin},
		{Host: "azar03", User: "dco; reboot", Via: ViaSudo},
		{Host: "azar03", User: "", Via: ViaSudo},
		{Host: "azar03", Address: "a b", Via: ViaOwn},
		{Host: "azar03", User: "dco", Via: "su"},
	} {
		_, err := p.Run(t.Context(), target, "true")
		var config *ConfigError
		if !errors.As(err, &config) {
			t.Errorf("Run on %+v = %v, want a ConfigError", target, err)
		}
	}
}

func TestBootID(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	want, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.pool(t).BootID(t.Context(), h.target); err != nil || got != strings.TrimSpace(string(want)) {
		t.Errorf("BootID = %q, %v; want %q", got, err, want)
	}
}

func TestPoolKeepsOneConnection(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	var w wire
	p := New(Config{SSHConfigFile: h.config, Dial: w.dial})
	defer p.Close()
	var runs sync.WaitGroup
	for range 20 { // more sessions than sshd allows on one connection
		runs.Go(func() {
			if _, err := p.Run(t.Context(), h.target, "sleep 0.05"); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
	if n := w.dialed(); n != 1 {
		t.Errorf("20 scripts took %d connections, want 1", n)
	}
	w.cut()
	if _, err := p.Run(t.Context(), h.target, "true"); err != nil {
		t.Errorf("Run after the connection was lost: %v", err)
	}
	if n := w.dialed(); n != 2 {
		t.Errorf("%d connections after the loss of the first, want 2", n)
	}
}

// Some hosts allow only one session on a connection.
func TestRunWhereSessionsAreFew(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{Config: []string{"MaxSessions 1"}})
	p := h.pool(t)
	var runs sync.WaitGroup
	for range 4 {
		runs.Go(func() {
			if _, err := p.Run(t.Context(), h.target, "sleep 0.1"); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
}

func TestClosedPool(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	if _, err := p.Run(t.Context(), h.target, "true"); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if _, err := p.Run(t.Context(), h.target, "true"); !errors.Is(err, errClosed) {
		t.Errorf("Run on a closed pool = %v", err)
	}
}

func TestRunUnreachable(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	h.Stop()
	_, err := h.pool(t).Run(t.Context(), h.target, "true")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("Run on a host that is down = %v, want an UnreachableError", err)
	}
}

// A host that accepts the connection and then stays silent must not block csu.
func TestRunOnSilentHost(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	config := filepath.Join(t.TempDir(), "config")
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	write(t, config, "Host azar03\nHostName 127.0.0.1\nPort "+port+"\nConnectTimeout 1\n")
	p := New(Config{SSHConfigFile: config})
	defer p.Close()
	_, err = p.Run(t.Context(), Target{Host: "azar03", Via: ViaOwn}, "true")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "no login within 1s") {
		t.Errorf("Run = %v, want an UnreachableError after the ConnectTimeout of 1s", err)
	}
}

func TestRunLostInTheMiddle(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	var w wire
	p := New(Config{SSHConfigFile: h.config, Dial: w.dial})
	defer p.Close()
	lost := make(chan error, 1)
	go func() {
		_, err := p.Run(t.Context(), h.target, whileBegun)
		lost <- err
	}()
	h.awaitBegun(t)
	w.cut()
	err := <-lost
	var l *LostError
	if !errors.As(err, &l) {
		t.Errorf("Run over a broken connection = %v, want a LostError", err)
	}
}

func TestRunInterrupted(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run(ctx, h.target, whileBegun)
		ended <- err
	}()
	h.awaitBegun(t)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want context.Canceled", err)
	}
	if _, err := p.Run(t.Context(), h.target, "true"); err != nil {
		t.Errorf("Run after an interrupted one: %v", err)
	}
}

// whileBegun is a script that runs until the file begun in its home directory
// is gone, which is no later than the end of the test.
const whileBegun = `: >"$HOME/begun"; while [ -e "$HOME/begun" ]; do sleep 0.05; done`

func (h *host) awaitBegun(t *testing.T) {
	t.Helper()
	await(t, "the script to begin", func() bool {
		_, err := os.Stat(filepath.Join(h.Home, "begun"))
		return err == nil
	})
}

// A connection whose other end has vanished silently is detected. The real
// interval is too long for a test.
func TestKeepAlive(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	var w wire
	p := New(Config{SSHConfigFile: h.config, Dial: w.dial})
	defer p.Close()
	c, _, err := p.connection(t.Context(), h.target.request(), nil)
	if err != nil {
		t.Fatal(err)
	}
	said := w.said.Load()
	go c.keepAlive(10*time.Millisecond, waitLimit)
	await(t, "answers of the host", func() bool { return w.said.Load() >= said+5 })
	if !c.alive() {
		t.Fatal("keepalive closed a good connection")
	}
	w.mute.Store(true)
	go c.keepAlive(10*time.Millisecond, 300*time.Millisecond)
	select {
	case <-c.gone:
	case <-time.After(waitLimit):
		t.Fatal("keepalive did not notice that the host was gone")
	}
	w.mute.Store(false)
	if _, err := p.Run(t.Context(), h.target, "true"); err != nil {
		t.Errorf("Run after the host came back: %v", err)
	}
}
