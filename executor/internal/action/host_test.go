package action

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/plan"
)

// host is a real SSH server, "azar03" in the plan. "azar02" is a host that does not
// answer.
type host struct {
	*ground.SSHD
	config  string // ssh config
	systems *Systems
	hosts   []plan.Host
}

func newHost(t *testing.T) *host {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "") // do not use the developer's own keys
	dir := t.TempDir()
	h := &host{SSHD: ground.StartSSHD(t, ground.SSHDOptions{}), config: filepath.Join(dir, "ssh_config")}
	known := filepath.Join(dir, "known_hosts")
	for file, text := range map[string]string{
		known: h.KnownHosts(),
		// Nothing listens on port 1.
		h.config: h.ConfigBlock("azar03", known) + "Host azar02\n  HostName 127.0.0.1\n  Port 1\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	h.systems = &Systems{Clock: clock.Fast(now, now, 60)}
	h.connect(t)
	for _, name := range []string{"azar02", "azar03"} {
		h.hosts = append(h.hosts, plan.Host{Name: name, Address: name + ".cp.lsst.org", Users: []plan.User{{Name: "operator", Via: "own"}}})
	}
	return h
}

// connect gives the systems a new pool without connections.
func (h *host) connect(t *testing.T) {
	pool := remote.New(remote.Config{SSHConfigFile: h.config, Clock: h.systems.Clock})
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	h.systems.Remote = pool
}

// down stops the host's SSH server and closes all connections.
func (h *host) down(t *testing.T) {
	h.Stop() // existing connections survive this
	if err := h.systems.Remote.Close(); err != nil {
		t.Fatal(err)
	}
	h.connect(t)
}

// try returns an attempt with its own identity, and with more time than a slow
// machine needs.
func (h *host) try(t *testing.T, identity string, d plan.Parameters) *try {
	y := newTry(t, h.systems, d)
	y.Plan.Hosts, y.Identity, y.Limit = h.hosts, identity, 3*time.Hour
	return y
}

func run(check string, commands ...string) *plan.SSH {
	return &plan.SSH{Host: "azar03", User: "operator", Purpose: plan.Stop, Service: "x", Commands: commands, Check: check}
}

func TestSSH(t *testing.T) {
	h := newHost(t)
	for name, test := range map[string]struct {
		d    *plan.SSH
		want Verdict
		says []string
	}{
		"done":              {run("", "true"), Done, []string{"exit status 0"}},
		"check passes":      {run("test -f $HOME/done1", "touch $HOME/done1"), Done, []string{"the check passed"}},
		"check passes late": {run("test -f $HOME/done2 || { touch $HOME/done2; false; }", "true"), Done, nil},
		"check fails":       {run("test -f never", "true"), Failed, []string{`the check "test -f never" failed`}},
		"fails":             {run("", "echo going on", "sh -c 'echo no such unit >&2; exit 5'", "touch $HOME/after"), Failed, []string{"exit status 5", "going on\nno such unit"}},
		"killed":            {run("", "kill -9 $PPID", "kill -9 $$"), Unknown, []string{"cannot determine how far they got"}},
	} {
		y := h.try(t, "csu-r7k/stage/"+strings.ReplaceAll(name, " ", "-")+"/1", test.d)
		t.Run(name, func(t *testing.T) {
			expect(t, y.perform(t), test.want, test.says...)
			expect(t, y.probe(t), test.want, test.says...)
		})
	}
	if _, err := h.systems.Remote.Run(t.Context(), remote.Target{Host: "azar03", Via: remote.ViaOwn}, "test -f $HOME/after"); err == nil {
		t.Error("a command ran after one that failed")
	}
}

func TestSSHIsNeverStartedTwice(t *testing.T) {
	h := newHost(t)
	d := run("", "echo once >>$HOME/count", "sleep 1")
	for range 2 { // the second waits for the command of the first
		expect(t, h.try(t, "csu-r7k/stage/once/1", d).perform(t), Done)
	}
	out, err := h.systems.Remote.Run(t.Context(), remote.Target{Host: "azar03", Via: remote.ViaOwn}, "cat $HOME/count")
	if err != nil || out != "once\n" {
		t.Errorf("the command wrote %q, %v, want one line", out, err)
	}
}

func TestSSHProbe(t *testing.T) {
	h := newHost(t)
	d := run("", "echo at work", "while [ ! -e $HOME/go ]; do sleep 0.05; done")
	late := h.try(t, "csu-r7k/stage/slow/1", d)
	late.prepare(t)
	expect(t, late.probe(t), NotDone, "not started")
	expect(t, Of(d).Perform(t.Context(), late.Attempt), NotDone, "not started") // the probe has prevented it

	y := h.try(t, "csu-r7k/stage/slow/2", d)
	y.prepare(t)
	y.Limit = 40 * time.Second
	expect(t, Of(y.Step.Action.Parameters).Perform(t.Context(), y.Attempt), Running, "the commands are running")
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) { // it runs, but may not have reached its echo
		out, err := os.ReadFile(filepath.Join(h.Home, ".csu", commandName(y.Identity), "out"))
		if err == nil && len(out) > 0 {
			break
		}
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("the command has printed nothing: %v", err)
		}
	}
	expect(t, Of(y.Step.Action.Parameters).Await(t.Context(), y.Attempt), Running, "at work")
	expect(t, y.probe(t), Running, "at work")
	if err := os.WriteFile(filepath.Join(h.Home, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	y.Limit = 3 * time.Hour
	expect(t, Of(y.Step.Action.Parameters).Await(t.Context(), y.Attempt), Done)
	h.down(t)
	expect(t, y.probe(t), Unknown, "cannot determine")
}

func TestSSHWhoseTracesAreGone(t *testing.T) {
	h := newHost(t)
	y := h.try(t, "csu-r7k/stage/tidied/1", run("", "true"))
	expect(t, y.perform(t), Done)
	if err := os.RemoveAll(filepath.Join(h.Home, ".csu")); err != nil {
		t.Fatal(err)
	}
	y.Started = y.Started.Add(-time.Hour)
	expect(t, y.probe(t), Unknown, "are gone")
}

func TestHostThatIsNotReached(t *testing.T) {
	h := newHost(t)
	d := run("", "true")
	d.Host = "azar02"
	y := h.try(t, "csu-r7k/stage/unreached/1", d)
	expect(t, Of(d).Perform(t.Context(), y.Attempt), NotDone, "azar02", "nothing was run")
	expect(t, y.probe(t), Unknown)
	if _, err := Of(d).Prepare(t.Context(), y.Attempt); err == nil {
		t.Error("prepared an attempt on a host that does not answer")
	}
	stranger := run("", "true")
	stranger.User = "root"
	expect(t, Of(stranger).Perform(t.Context(), y.Attempt), NotDone, `no account "root"`)
}

func TestReboot(t *testing.T) {
	h := newHost(t)
	d := &plan.Reboot{Host: "azar03", User: "operator", Command: "echo refused; false"}
	y := h.try(t, "csu-r7k/stage/reboot/1", d)
	reading, err := Of(d).Reading(t.Context(), y.Attempt)
	booted := regexp.MustCompile(`^"azar03" with the operator's own account reports: .*up since 20\d\d-\d\d-\d\d \d\d:\d\d$`)
	if err != nil || !booted.MatchString(reading) {
		t.Errorf("reading = %q, %v, want the machine's hostname and when it was booted", reading, err)
	}
	y.prepare(t)
	began := y.Started
	y.Started = began.Add(time.Hour)           // however slow the machine is
	expect(t, y.probe(t), Running, "old boot") // too early to tell
	y.Started = began
	expect(t, Of(d).Perform(t.Context(), y.Attempt), Failed, "not rebooted", "exit status 1", "refused")
	expect(t, y.probe(t), Failed)

	// The same host, for an attempt that was prepared in an earlier boot.
	if y.Evidence, err = json.Marshal(boot{"another boot id"}); err != nil {
		t.Fatal(err)
	}
	expect(t, y.probe(t), Done, "new boot id")

	never := h.try(t, "csu-r7k/stage/reboot/2", d)
	never.prepare(t)
	never.Started = never.Started.Add(-time.Hour)
	expect(t, never.probe(t), NotDone, "never started")

	h.down(t)
	expect(t, y.probe(t), Running, "it is rebooting")
}

// A cRIO's service is started only where its CSC is silent (P45).
func TestSSHWhereACSCMustBeSilent(t *testing.T) {
	h, s := newHost(t), newSite(t)
	h.systems.EFD = s.systems.EFD
	start := func() *plan.SSH {
		d := run("", "echo started >>$HOME/daemon")
		d.Silent = []string{"MTVMS:1"}
		return d
	}
	try := func(identity string) *try {
		y := h.try(t, identity, start())
		y.Plan.CSCs = []plan.CSC{row("MTVMS:1"), row("HVAC:0")}
		return y
	}
	ran := func() bool {
		_, err := h.systems.Remote.Run(t.Context(), remote.Target{Host: "azar03", Via: remote.ViaOwn}, "test -f $HOME/daemon")
		return err == nil
	}
	expect(t, try("csu-r7k/crios/unknown/1").perform(t), NotDone, "cannot determine whether MTVMS:1 is silent", "check on azar03")
	s.alive("ENABLED", "HVAC:0")
	s.alive("STANDBY", "MTVMS:1")
	expect(t, try("csu-r7k/crios/speaks/1").perform(t), Done, "nothing was run: MTVMS:1 is already running, in STANDBY")
	if ran() {
		t.Fatal("a daemon was started although one was running or its state was unknown")
	}
	s.silence("MTVMS:1")
	expect(t, try("csu-r7k/crios/silent/1").perform(t), Done, "exit status 0")
	if !ran() {
		t.Error("the daemon was not started although its CSC was silent")
	}
}
