package ground_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// records returns the journal's events for a step, in order.
func (u *upgrade) records(t *testing.T, step string) []string {
	t.Helper()
	return recordsIn(t, u.journal(), step)
}

// recordsIn returns a journal's events for a step, in order.
func recordsIn(t *testing.T, file, step string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		return nil // not begun
	}
	defer f.Close()
	var events []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		var r struct{ Event, Step string }
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Step == step {
			events = append(events, r.Event)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}

// operation returns the identity of csu's operation on an application in Argo
// CD, and when it started; "" if none has started.
func (u *upgrade) operation(t *testing.T, application string) string {
	t.Helper()
	resource := schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	app, err := u.Cluster.Dynamic.Resource(resource).Namespace("argocd").Get(t.Context(), application, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := unstructured.NestedMap(app.Object, "status", "operationState")
	if err != nil {
		t.Fatal(err)
	}
	info, _, err := unstructured.NestedSlice(state, "operation", "info")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range info {
		entry, _ := i.(map[string]any)
		if value, _ := entry["value"].(string); strings.Contains(value, "/deploy/") {
			startedAt, _, err := unstructured.NestedString(state, "startedAt")
			if err != nil {
				t.Fatal(err)
			}
			return value + " of " + startedAt
		}
	}
	return ""
}

// blow is a moment at which csu is killed: while a held effect of a step is
// running.
type blow struct {
	step string
	hold func(u *upgrade, t *testing.T) *ground.Hold
	// behind says that an earlier step began what is held, and that the step waits for it.
	behind bool
}

// while holds a script or a command.
func while(kind, subject, text string) func(*upgrade, *testing.T) *ground.Hold {
	return func(u *upgrade, t *testing.T) *ground.Hold { return u.Simulator.Hold(t, kind, subject, text) }
}

// whileSyncing holds the Jobs that Argo CD creates for an application.
func whileSyncing(application string) func(*upgrade, *testing.T) *ground.Hold {
	return func(u *upgrade, t *testing.T) *ground.Hold {
		for i := range u.plan.CSCs {
			if job := u.plan.CSCs[i].Job; job != nil && job.Application == application {
				return u.Cluster.HoldJobs(t, job.Namespace)
			}
		}
		t.Fatalf("application %q has no Jobs", application)
		return nil
	}
}

// blows are those for each plan, in the order in which they fall: while a
// script runs, while a command runs detached, on a host with systemd or on a
// cRIO with a bare shell, while csu waits for a build that goes on in the
// background, and while Argo CD syncs.
var blows = map[string][]blow{
	"2026-11-24-summit-incremental": {
		{step: "offline/watcher", hold: while(rehearsal.ScriptAdded, "ScriptQueue:1", "/offline/watcher/")},
		{step: "deploy/obssys", hold: whileSyncing("obssys")},
		{step: "watch/azar03", hold: while(rehearsal.CommandRun, "azar03", "launch_gc")},
	},
	"2026-12-15-summit-full": {
		{step: "offline/shutdown", hold: while(rehearsal.ScriptAdded, "ScriptQueue:1", "/offline/shutdown/")},
		{step: "deploy/simonyitel", hold: whileSyncing("simonyitel")},
		{step: "crios/m1m3-crio-vms-built", hold: while(rehearsal.CommandRun, "m1m3-crio-vms", "make clean"), behind: true},
		{step: "crios/m1m3-crio-vms-update", hold: while(rehearsal.CommandRun, "m1m3-crio-vms", "cp ")},
	},
	"2026-12-03-summit-recovery": {
		{step: "deploy/auxtel", hold: whileSyncing("auxtel")},
		{step: "m2/enabled", hold: while(rehearsal.ScriptAdded, "ScriptQueue:1", "/m2/enabled/")},
		{step: "crios/m1m3-crio-ss", hold: while(rehearsal.CommandRun, "m1m3-crio-ss", "ts-M1M3support start")},
	},
}

// TestKilledOnTheGround kills the real csu with SIGKILL while a script runs,
// while a command runs on a host, while it waits for a build, and while Argo CD
// syncs, and resumes the run each time. csu must go on waiting for what was
// started and start nothing twice.
func TestKilledOnTheGround(t *testing.T) {
	t.Parallel()
	for _, name := range upgrades {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpgrade(t, name)
			u.suffer(t, blows[name])
			u.check(t, name, nil)
		})
	}
}

// suffer runs the upgrade to its end while csu is killed by each blow.
func (u *upgrade) suffer(t *testing.T, blows []blow) {
	t.Helper()
	synced := map[string]string{} // by application: Argo CD's operation when csu was killed
	holds := map[string]*ground.Hold{}
	for _, b := range blows {
		if b.behind { // begun in an earlier life
			holds[b.step] = b.hold(u, t)
		}
	}
	var flags []string
	for _, b := range blows {
		hold := holds[b.step]
		if hold == nil {
			hold = b.hold(u, t)
		}
		l := u.start(t, flags...)
		l.await(t, b.step+" runs", hold.Begun())
		for !slices.Contains(u.records(t, b.step), "started") {
			if why := l.stuck(); why != "" {
				t.Fatalf("wait until %s waits: %s; its output:\n%s", b.step, why, l.said())
			}
			time.Sleep(50 * time.Millisecond)
		}
		l.kill(t)
		hold.Release() // Kubernetes allows at most 30 seconds
		if got := u.records(t, b.step); !slices.Contains(got, "started") || slices.Contains(got, "outcome") {
			t.Errorf("csu was killed while %s ran, but the journal has %q, want it started and without an outcome", b.step, got)
		}
		if application, ok := strings.CutPrefix(b.step, "deploy/"); ok {
			if synced[application] = u.operation(t, application); synced[application] == "" {
				t.Errorf("when Argo CD created a Job of %q it had no operation by csu", application)
			}
		}
		flags = []string{"--resume"}
	}
	u.complete(t, u.start(t, flags...))
	for _, b := range blows {
		events := u.records(t, b.step)
		if begun := len(slices.DeleteFunc(events, func(e string) bool { return e != "started" })); begun != 1 {
			t.Errorf("step %s was started %d times", b.step, begun)
		}
	}
	for application, before := range synced {
		if now := u.operation(t, application); now != before {
			t.Errorf("Argo CD's last operation on %q is %s, want %s, which was running when csu was killed", application, now, before)
		}
	}
}
