package ground_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lsst-ts/csu/executor/rehearsal"
)

// records returns the events that the journal has of a step, in order.
func (u *upgrade) records(t *testing.T, step string) []string {
	t.Helper()
	f, err := os.Open(u.journal())
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

// happened tells whether the site's record has such an effect.
func (u *upgrade) happened(kind, detail, identity string) bool {
	return slices.ContainsFunc(u.Simulator.Model.Record(), func(e rehearsal.Effect) bool {
		return e.Kind == kind && strings.Contains(e.Detail, detail) && strings.Contains(e.Identity, identity)
	})
}

// operation returns the identity of the operation that Argo CD has of an
// application, and when it began, as far as it has begun.
func (u *upgrade) operation(t *testing.T, application string) (identity, startedAt string) {
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
			startedAt, _, err = unstructured.NestedString(state, "startedAt")
			if err != nil {
				t.Fatal(err)
			}
			return value, startedAt
		}
	}
	return "", ""
}

// TestKilledOnTheGround kills the real csu with SIGKILL while a script runs,
// while a command runs on a host, and while Argo CD syncs, and takes the run up
// each time. It goes on waiting for what was started, and starts nothing twice.
func TestKilledOnTheGround(t *testing.T) {
	u := newUpgrade(t, incremental)
	var synced, syncedAt string
	blows := []struct {
		step, when string
		now        func() bool
	}{
		{"offline/watcher", "a script is on the queue", func() bool { return u.happened(rehearsal.ScriptAdded, "set_summary_state.py", "/offline/watcher/") }},
		{"deploy/obssys", "Argo CD syncs", func() bool {
			synced, syncedAt = u.operation(t, "obssys")
			return synced != ""
		}},
		{"services-up/azar03", "launch_gc runs", func() bool { return u.happened(rehearsal.CommandRun, "launch_gc", "") }},
	}
	var flags []string
	for _, b := range blows {
		l := u.start(t, flags...)
		u.await(t, l, b.when, b.now)
		l.kill(t)
		if got, want := u.records(t, b.step), "started"; len(got) == 0 || got[0] != want || slices.Contains(got, "outcome") {
			t.Errorf("when %s csu was killed, but the journal has of step %s: %q, want it started and no more", b.when, b.step, got)
		}
		flags = []string{"--resume"}
	}
	u.complete(t, u.start(t, flags...))
	u.checkIncremental(t)
	for _, b := range blows {
		begun := 0
		for _, event := range u.records(t, b.step) {
			if event == "started" {
				begun++
			}
		}
		if begun != 1 {
			t.Errorf("step %s was started %d times", b.step, begun)
		}
	}
	if identity, at := u.operation(t, "obssys"); identity != synced || at != syncedAt {
		t.Errorf("Argo CD's last operation on obssys is %q of %s, want %q of %s, which ran when csu was killed", identity, at, synced, syncedAt)
	}
}
