package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/state"
)

const incremental = "../../plans/2026-11-24-summit-incremental.json"

// servedSpeed is that of the sites that are processes of their own.
const servedSpeed = 600

// TestKilled kills the executor with SIGKILL in the middle of steps of different
// stages while the site lives on, and resumes the run each time. What the
// site has recorded in the end is what it records of a run that nobody killed.
func TestKilled(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	for i, b := range []struct {
		step   string
		effect []string // at which it is killed; the step's begin where there is none
	}{
		{"offline/cscs", []string{"/offline/cscs/"}},
		{"services-down/azar03", nil},
		{"jobs/scriptqueue", nil},
		{"hosts/auxtel-ess01-update", []string{`"subject":"auxtel-ess01"`, `"detail":"update_repo docker-compose-ops/ summit"`}},
		{"deploy/obssys", []string{"/deploy/obssys/"}},
		{"watch/azar03", []string{`"detail":"launch_gc"`}},
		{"watch/up", nil},
		{"enable/ess", []string{"/enable/ess/"}},
		{"enable/watcher", nil},
	} {
		flags := []string{"--consent", "all"}
		if i > 0 {
			flags = append(flags, "--resume")
		}
		m := r.held.at(b.step, b.effect...)
		x := r.start(t, flags...)
		x.await(t, m)
		if err := x.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-x.ended
		r.held.release()
		if p := r.state(t).Steps[b.step].Phase; p != state.Started {
			t.Errorf("%s is %s when csu is killed in it, want it left open", b.step, p)
		}
	}

	r.start(t, "--consent", "all", "--resume").wantExit(t, exitComplete)
	s := r.state(t)
	if s.Ended != journal.Complete {
		t.Errorf("the run has ended as %q", s.Ended)
	}
	for id, st := range s.Steps {
		if st.Phase != state.Done {
			t.Errorf("step %s is %s: %s", id, st.Phase, st.Text)
		}
	}
	r.compare(t)
}

// TestInterruptedOnce lets what runs finish and ends csu, to be resumed.
func TestInterruptedOnce(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	m := r.held.at("offline/cscs", "/offline/cscs/")
	x := r.start(t, "--consent", "all")
	x.await(t, m)
	x.interrupt(t)
	x.awaitSaid(t, "No new steps start")
	r.held.release()
	x.wantExit(t, exitInterrupted)
	s := r.state(t)
	if p := s.Steps["offline/cscs"].Phase; p != state.Done {
		t.Errorf("what ran is %s, want it finished", p)
	}
	if p := s.Steps["offline/queues"].Phase; p != state.Pending {
		t.Errorf("the next step is %s, want it not begun", p)
	}
	for _, text := range []string{"No new steps start", "error: interrupted", "--resume", "Not seen back up: Watcher"} {
		if !strings.Contains(x.printed(), text) {
			t.Errorf("csu did not say %q:\n%s", text, x.printed())
		}
	}
	r.resume(t)
}

// TestInterruptedTwice leaves at once: what ran is in doubt, and is looked into
// when the run is resumed.
func TestInterruptedTwice(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	m := r.held.at("offline/cscs", "/offline/cscs/")
	x := r.start(t, "--consent", "all")
	x.await(t, m)
	x.interrupt(t)
	x.awaitSaid(t, "Press Ctrl-C again")
	x.interrupt(t)
	x.wantExit(t, exitInterrupted)
	r.held.release()
	if p := r.state(t).Steps["offline/cscs"].Phase; p != state.Started {
		t.Errorf("what ran is %s, want it left open", p)
	}
	out, err := csu(t, "status", r.plan, "--site-map", r.siteMap).CombinedOutput()
	if err != nil {
		t.Errorf("status: %v", err)
	}
	if !bytes.Contains(out, []byte("In doubt (started, and no csu is running this plan now):\n  offline/cscs")) {
		t.Errorf("status does not tell the doubt:\n%s", out)
	}
	r.resume(t)
}

// executing is csu exec, a process of its own.
type executing struct {
	cmd    *exec.Cmd
	output string        // the file of all that it prints
	ended  chan struct{} // closed when it has ended
}

func (x *executing) printed() string {
	data, err := os.ReadFile(x.output)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (x *executing) interrupt(t *testing.T) {
	t.Helper()
	if err := x.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

func (x *executing) wantExit(t *testing.T, code int) {
	t.Helper()
	select {
	case <-x.ended:
	case <-time.After(patience):
		t.Fatalf("csu has not ended after %s:\n%s", patience, x.printed())
	}
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("csu ended with the exit code %d, want %d:\n%s", got, code, x.printed())
	}
}

// await waits for a moment of this csu.
func (x *executing) await(t *testing.T, m *moment) {
	t.Helper()
	m.await(t, x.ended, x.printed)
}

// awaitSaid waits until csu has printed a text.
func (x *executing) awaitSaid(t *testing.T, text string) {
	t.Helper()
	if err := awaitFile(x.output, text); err != nil {
		t.Fatal(err)
	}
}

// served is a plan with its simulated site, a process of its own.
type served struct {
	plan, dir, siteMap, journal string
	held                        *held // is between csu and the site
}

func newServed(t *testing.T, flags ...string) *served {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plan.json")
	data, err := os.ReadFile(incremental)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := serve(t, name, servedSpeed, flags...)
	h, siteMap := hold(t, dir, name)
	return &served{plan: name, dir: dir, siteMap: siteMap, journal: h.journal, held: h}
}

// start starts an executor.
func (r *served) start(t *testing.T, flags ...string) *executing {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	x := &executing{cmd: csu(t, append([]string{"exec", r.plan, "--site-map", r.siteMap}, flags...)...), output: out.Name(), ended: make(chan struct{})}
	x.cmd.Stdout, x.cmd.Stderr = out, out
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(x.ended)
		_ = x.cmd.Wait() // how it ended is in its ProcessState
	}()
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // it has ended, unless the test failed
		<-x.ended
	})
	return x
}

func readPlan(t *testing.T, name string) *plan.Plan {
	t.Helper()
	p, _, err := plan.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *served) state(t *testing.T) *state.State {
	t.Helper()
	p := readPlan(t, r.plan)
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := state.Read(journal.Disk, r.journal, p, digest)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// resume resumes the run and completes it.
func (r *served) resume(t *testing.T) {
	t.Helper()
	r.start(t, "--consent", "all", "--resume").wantExit(t, exitComplete)
	r.compare(t)
}

// compare compares what the site recorded with its record of an undisturbed run
// of the same plan: nothing more, nothing twice, nothing less; and in the end
// every CSC is where it belongs.
func (r *served) compare(t *testing.T) {
	t.Helper()
	quiet := t.TempDir()
	if out, err := csu(t, "rehearse", r.plan, "--consent", "all", "--dir", quiet).CombinedOutput(); err != nil {
		t.Fatalf("undisturbed run: %v\n%s", err, out)
	}
	want, got := effects(t, filepath.Join(quiet, rehearsal.RecordFile)), effects(t, filepath.Join(r.dir, rehearsal.RecordFile))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the site's record is not that of an undisturbed run (- undisturbed, + here):\n%s", diff)
	}
	p := readPlan(t, r.plan)
	record, err := rehearsal.ReadRecord(filepath.Join(r.dir, rehearsal.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	if astray := rehearsal.Summarize(p, record).Astray; len(astray) > 0 {
		t.Errorf("not in their expected state: %v", astray)
	}
	seen := map[string]bool{}
	for _, e := range record {
		if e.Kind != rehearsal.ScriptAdded && e.Kind != rehearsal.SyncStarted && e.Kind != rehearsal.JobDeleted {
			continue
		}
		if key := e.Kind + " " + e.Identity; seen[key] {
			t.Errorf("%s twice", key)
		} else {
			seen[key] = true
		}
	}
}

// effects counts what was done at a site, by what it was and to whom. What
// differs from run to run is left out: times, UIDs, the run's id, and the claims of
// the ledger, of which each resume makes one.
func effects(t *testing.T, record string) map[string]int {
	t.Helper()
	all, err := rehearsal.ReadRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range all {
		if e.Kind == rehearsal.LedgerClaimed {
			continue
		}
		key, err := json.Marshal([]string{e.System, e.Kind, e.Subject, e.Detail, stepOf(e.Identity)})
		if err != nil {
			t.Fatal(err)
		}
		count[string(key)]++
	}
	return count
}

// stepOf is the step's id within an identity "csu-RUN/STAGE/STEP/…"; "" of what
// is none.
func stepOf(identity string) string {
	parts := strings.Split(identity, "/")
	if len(parts) < 4 || !strings.HasPrefix(parts[0], "csu-") {
		return ""
	}
	return parts[1] + "/" + parts[2]
}
