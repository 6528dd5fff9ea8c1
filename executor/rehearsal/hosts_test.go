package rehearsal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/plan"
)

func (s *Site) pool(t *testing.T) *remote.Pool {
	p := remote.New(remote.Config{SSHConfigFile: s.Map.SSHConfig, Clock: s.clk})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (s *Site) target(t *testing.T, host, user string) remote.Target {
	t.Helper()
	h, ok := s.plan.Host(host)
	if !ok {
		t.Fatalf("no host %q", host)
	}
	u, ok := h.User(user)
	if !ok {
		t.Fatalf("no user %q", user)
	}
	return remote.Target{Host: host, Address: h.Address, User: user, Via: u.Via}
}

// detached runs the commands of a step as the executor does and waits until they have
// ended.
func detached(t *testing.T, s *Site, id string) remote.Status {
	t.Helper()
	st, ok := s.plan.Step(id)
	if !ok {
		t.Fatalf("no step %q", id)
	}
	a := st.Action.Parameters.(*plan.SSH)
	p, target := s.pool(t), s.target(t, a.Host, a.User)
	name := strings.ReplaceAll(id, "/", ".")
	if err := p.Start(t.Context(), target, name, "set -e\n"+strings.Join(a.Commands, "\n")+"\n"); err != nil {
		t.Fatal(err)
	}
	var status remote.Status
	ended := until(10*time.Millisecond, func() bool {
		var err error
		if status, err = p.Look(t.Context(), target, name); err != nil {
			t.Fatal(err)
		}
		return !status.Running
	})
	if !ended {
		t.Fatalf("%s has not ended", id)
	}
	return status
}

func TestServiceIsStoppedUpdatedAndStarted(t *testing.T) {
	s := start(t, smallPlan())
	for _, id := range []string{"all/stop-vms", "all/update-vms", "all/start-vms"} {
		if got := detached(t, s, id); !got.Exited || got.ExitStatus != 0 {
			t.Fatalf("%s: %+v", id, got)
		}
		if id == "all/stop-vms" && s.csc("MTVMS:1").lives() {
			t.Error("MTVMS:1 lives after its service was stopped")
		}
	}
	s.eventually(t, "MTVMS:1 is up", func() bool { return s.csc("MTVMS:1").lives() })
	want := []string{
		"m1m3-crio-vms ts-VMS stop", "m1m3-crio-vms git pull", "m1m3-crio-vms salgeneratorKafka generate cpp MTVMS",
		"m1m3-crio-vms make clean", "m1m3-crio-vms make",
	}
	got := s.seen(CommandRun)
	if len(got) != 7 || !slices.Equal(got[:5], want) || got[6] != "m1m3-crio-vms ts-VMS start" {
		t.Errorf("commands %q, want 7: %q, the copy and the start", got, want)
	}
	if !strings.HasPrefix(got[5], "m1m3-crio-vms cp ") || !strings.Contains(got[5], filepath.Join(s.dir, "hosts", "m1m3-crio-vms", "usr", "sbin", "ts-VMSd")) {
		t.Errorf("the binary was copied by %q", got[5])
	}
	for _, e := range s.Record() {
		if e.Kind == CommandRun && !slices.Contains([]string{"all.stop-vms", "all.update-vms", "all.start-vms"}, e.Detached) {
			t.Errorf("%s was run by %q, want the name of the detached commands", e.Detail, e.Detached)
		}
	}
	if took := s.clk.Since(s.Map.Epoch); took < 50*time.Minute {
		t.Errorf("the steps took %v of the site's time, but SAL's generator alone takes an hour", took)
	}
}

func TestStartingARunningServiceIsRecorded(t *testing.T) {
	s := start(t, smallPlan())
	detached(t, s, "all/start-vms")
	if got := s.seen(CSCDuplicate); !slices.Equal(got, []string{"MTVMS:1"}) {
		t.Errorf("second processes %q, want MTVMS:1", got)
	}
}

func TestBridgeIsHeardUntilItsServiceIsStopped(t *testing.T) {
	s := start(t, smallPlan())
	p, target := s.pool(t), s.target(t, "lsstcam-mcm", "operator")
	const check = "! systemctl is-active --quiet ocs-bridge.service"
	var exit *remote.ExitError
	if _, err := p.Run(t.Context(), target, check); !errors.As(err, &exit) {
		t.Errorf("with the bridge running, the check gives %v", err)
	}
	if !s.csc("MTCamera:0").lives() {
		t.Error("the bridge is silent")
	}
	detached(t, s, "all/stop-bridge")
	if s.csc("MTCamera:0").lives() {
		t.Error("the bridge is heard after its service was stopped")
	}
	if _, err := p.Run(t.Context(), target, check); err != nil {
		t.Errorf("with the bridge stopped, the check gives %v", err)
	}
}

func TestSudo(t *testing.T) {
	s := start(t, smallPlan())
	out, err := s.pool(t).Run(t.Context(), s.target(t, "azar03", "dco"), `echo "$USER"; pwd; hostname`)
	if want := "dco\n" + filepath.Join(s.dir, "hosts/azar03/home/dco") + "\nazar03\n"; err != nil || out != want {
		t.Errorf("as dco: %q, %v; want %q", out, err, want)
	}
	if got := detached(t, s, "all/stop-gc"); got.ExitStatus != 0 {
		t.Errorf("%+v", got)
	}
}

func TestReboot(t *testing.T) {
	s := start(t, smallPlan())
	p, target := s.pool(t), s.target(t, "azar03", "operator")
	before, err := p.BootID(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), target, "reboot", "sudo reboot\n"); err != nil {
		t.Fatal(err)
	}
	// The host may be up again before the test checks.
	s.eventually(t, "the host goes down", func() bool { return len(s.seen(Rebooted)) == 1 })
	back := until(5*time.Millisecond, func() bool {
		after, err := p.BootID(t.Context(), target)
		return err == nil && after != before
	})
	if !back {
		t.Error("the host does not come back with a new boot id")
	}
}

func TestUnreachableHost(t *testing.T) {
	s := start(t, smallPlan(), "host-unreachable=azar03")
	_, err := s.pool(t).BootID(t.Context(), s.target(t, "azar03", "operator"))
	var unreachable *remote.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("BootID = %v, want an UnreachableError", err)
	}
}

func TestFailingCommand(t *testing.T) {
	s := start(t, smallPlan(), "host-command-fails=azar03")
	if got := detached(t, s, "all/stop-gc"); !got.Exited || got.ExitStatus != 1 {
		t.Errorf("%+v", got)
	}
}

func TestCloseEndsDetachedProcesses(t *testing.T) {
	s, err := Start(context.Background(), Config{Plan: smallPlan(), Dir: t.TempDir(), Speed: 1})
	if err != nil {
		t.Fatal(err)
	}
	p := s.pool(t)
	if err := p.Start(t.Context(), s.target(t, "m1m3-crio-vms", "admin"), "long", "salgeneratorKafka generate cpp MTVMS\n"); err != nil {
		t.Fatal(err)
	}
	h := s.hosts["m1m3-crio-vms"]
	alive, err := h.processes()
	if err != nil || len(alive) == 0 {
		t.Fatalf("processes %v, %v", alive, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if alive, err = h.processes(); err != nil || len(alive) > 0 {
		t.Errorf("after Close: processes %v, %v", alive, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, RecordFile)); err != nil {
		t.Error(err)
	}
}

func TestCommandsOfThePlanStayInTheHostsFolder(t *testing.T) {
	p := smallPlan()
	outside := filepath.Join(t.TempDir(), "outside")
	p.Stages[0].Steps = append(p.Stages[0].Steps, step("all/write", &plan.SSH{
		Host: "azar03", User: "operator", Purpose: plan.Update, Service: "x", Commands: []string{"echo x > " + outside, "/opt/tool/run"},
	}))
	s := start(t, p)
	if got := detached(t, s, "all/write"); got.ExitStatus != 0 {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(outside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the command wrote %s (%v)", outside, err)
	}
}

func TestSimpleCommands(t *testing.T) {
	got := simpleCommands(`cd ~/ts_xml && . ~/kafka.env && A=b git pull; ! systemctl is-active "x" | cat`)
	want := []simple{
		{[]string{"cd", "~/ts_xml"}, ""}, {[]string{".", "~/kafka.env"}, "~/ts_xml"}, {[]string{"git", "pull"}, "~/ts_xml"},
		{[]string{"systemctl", "is-active", "x"}, "~/ts_xml"}, {[]string{"cat"}, "~/ts_xml"},
	}
	if !slices.EqualFunc(got, want, func(a, b simple) bool { return slices.Equal(a.words, b.words) && a.in == b.in }) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := withoutSudo([]string{"sudo", "-n", "-u", "root", "reboot"}); !slices.Equal(got, []string{"reboot"}) {
		t.Errorf("without sudo: %q", got)
	}
}

// The hosts' files cannot be in a folder whose name a shell would split.
func TestFolderWithASpace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "the site")
	s, err := Start(t.Context(), Config{Plan: smallPlan(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool(t).BootID(t.Context(), s.target(t, "m1m3-crio-vms", "admin")); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.temporary); s.temporary == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder %q was not removed (%v)", s.temporary, err)
	}
}

func TestNamesOutsideTheFolderAreRefused(t *testing.T) {
	for _, change := range []func(*plan.Host){
		func(h *plan.Host) { h.Name = ".." },
		func(h *plan.Host) { h.Users = []plan.User{{Name: "../../x", Via: "sudo"}} },
	} {
		p := smallPlan()
		change(&p.Hosts[0])
		if s, err := Start(t.Context(), Config{Plan: p, Dir: t.TempDir()}); err == nil {
			t.Errorf("Start accepted the host %+v (Close: %v)", p.Hosts[0], s.Close())
		}
	}
}

func TestReadingIsNoEffect(t *testing.T) {
	s := start(t, smallPlan())
	p, target := s.pool(t), s.target(t, "m1m3-crio-vms", "admin")
	for _, look := range []string{"hostname; uptime -s", "/etc/init.d/ts-VMS status", "pgrep -x ts-VMSd", "systemctl is-active ts-VMS"} {
		if _, err := p.Run(t.Context(), target, look); err != nil {
			t.Errorf("%s: %v", look, err)
		}
	}
	if got := s.seen(CommandRun); len(got) > 0 {
		t.Errorf("recorded %q, want nothing", got)
	}
}
