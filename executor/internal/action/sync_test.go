package action

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/plan"
)

// argo is an API server with an application controller. The controller removes
// refresh annotations at once, and carries out operations when the Application is
// next read.
type argo struct {
	*kubetest.Server
	systems *Systems
	// outcome returns the state of an operation, or nil if it does not start.
	outcome func(operation kubetest.Object) kubetest.Object
}

const telescope = "7d3f0a1"

func newArgo(t *testing.T) *argo {
	t.Helper()
	server, systems := newCluster(t)
	a := &argo{Server: server, systems: systems, outcome: succeeded}
	server.Put(applications+"simonyitel", kubetest.Object{
		"metadata": kubetest.Object{"annotations": kubetest.Object{}},
		"spec":     kubetest.Object{"project": "telescope", "source": kubetest.Object{"targetRevision": "main"}},
		"status": kubetest.Object{
			"sync": kubetest.Object{"status": "OutOfSync", "revision": telescope},
			"resources": []any{
				kubetest.Object{"group": "batch", "kind": "Job", "namespace": "simonyitel", "name": "mtmount", "status": "OutOfSync"},
				kubetest.Object{"kind": "ConfigMap", "namespace": "simonyitel", "name": "csc-env", "status": "OutOfSync"},
				kubetest.Object{"kind": "ConfigMap", "namespace": "simonyitel", "name": "other", "status": "Synced"},
			},
		},
	})
	server.Before = func(r *http.Request) {
		if r.Method == http.MethodGet {
			server.Edit(applications+"simonyitel", a.work)
		}
	}
	return a
}

func (a *argo) work(app kubetest.Object) {
	if annotations, ok := app["metadata"].(kubetest.Object)["annotations"].(kubetest.Object); ok {
		delete(annotations, "argocd.argoproj.io/refresh")
	}
	operation, ok := app["operation"].(kubetest.Object)
	if !ok {
		return
	}
	if state := a.outcome(operation); state != nil {
		delete(app, "operation")
		app["status"].(kubetest.Object)["operationState"] = state
	}
}

func succeeded(operation kubetest.Object) kubetest.Object {
	return kubetest.Object{"operation": operation, "phase": "Succeeded", "syncResult": kubetest.Object{"revision": telescope}}
}

var syncMount = &plan.Sync{
	Application: "simonyitel", Revision: "main", CSCs: []string{"MTMount:0"},
	Resources: []plan.Resource{{Group: "batch", Kind: "Job", Namespace: "simonyitel", Name: "mtmount"}},
}

func (a *argo) try(t *testing.T) *try {
	y := newTry(t, a.systems, syncMount, jobOf("MTMount:0", "mtmount"))
	y.Limit = time.Minute
	return y
}

func TestSyncIsDoneWhenTheImagesRun(t *testing.T) {
	a := newArgo(t)
	y := a.try(t)
	expect(t, y.perform(t), Failed, "is synced; CSCs that run their image: 0 of 1", "MTMount:0: no such Job")
	uid := putJob(a.Server, "mtmount")
	expect(t, y.probe(t), Running, "the Job has no pod yet")
	a.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "ts-dockerhub.lsst.org/mtmount:c0044"))
	expect(t, y.probe(t), Running, "it runs ts-dockerhub.lsst.org/mtmount:c0044, not ts-dockerhub.lsst.org/mtmount:c0045")
	a.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "ts-dockerhub.lsst.org/mtmount:c0045"))
	expect(t, y.probe(t), Done)
	expect(t, Of(syncMount).Await(t.Context(), y.Attempt), Done, "MTMount:0 runs its image")
	if n := a.Requests(http.MethodPut); n != 1 {
		t.Errorf("%d operations were written, want one", n)
	}
}

func TestSyncThatDoesNotSucceed(t *testing.T) {
	state := func(change func(state, operation kubetest.Object)) func(kubetest.Object) kubetest.Object {
		return func(operation kubetest.Object) kubetest.Object {
			s := succeeded(operation)
			change(s, operation)
			return s
		}
	}
	for name, test := range map[string]struct {
		outcome func(kubetest.Object) kubetest.Object
		want    Verdict
		says    []string
	}{
		"failed": {state(func(s, _ kubetest.Object) {
			s["phase"], s["message"] = "Failed", "one or more objects failed to apply"
			s["syncResult"].(kubetest.Object)["resources"] = []any{kubetest.Object{"kind": "Job", "namespace": "simonyitel", "name": "mtmount", "status": "SyncFailed", "message": "field is immutable"}}
		}), Failed, []string{"one or more objects failed to apply", "Job simonyitel/mtmount: SyncFailed: field is immutable"}},
		"not started": {func(kubetest.Object) kubetest.Object { return nil }, Running, []string{"has not started"}},
		"blocked": {state(func(s, _ kubetest.Object) {
			s["phase"], s["message"] = "Running", "Sync operation blocked by sync window"
		}), Running, []string{"blocked by sync window"}},
		"another sync": {state(func(_, operation kubetest.Object) {
			delete(operation["sync"].(kubetest.Object), "resources")
		}), Failed, []string{"a different sync from the one requested"}},
		"pushed meanwhile": {state(func(s, _ kubetest.Object) {
			s["syncResult"].(kubetest.Object)["revision"] = "0000000"
		}), Failed, []string{"deployed revision 0000000, but revision 7d3f0a1 was seen"}},
		"replaced by another": {state(func(_, operation kubetest.Object) {
			operation["info"], operation["initiatedBy"] = nil, kubetest.Object{"username": "bob"}
		}), Unknown, []string{"is by bob"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArgo(t)
			a.outcome = test.outcome
			y := a.try(t)
			expect(t, y.perform(t), test.want, test.says...)
			expect(t, y.probe(t), test.want, test.says...)
		})
	}
}

// A controller that has overlooked the operation is asked to refresh.
func TestSyncThatWasOverlooked(t *testing.T) {
	a := newArgo(t)
	putJob(a.Server, "mtmount")
	work := a.Before
	refreshed := 0
	a.outcome = func(operation kubetest.Object) kubetest.Object {
		if refreshed == 0 {
			return nil
		}
		return succeeded(operation)
	}
	a.Before = func(r *http.Request) {
		if r.Method == http.MethodPatch && a.Requests(http.MethodPut) > 0 {
			refreshed++
		}
		work(r)
	}
	y := a.try(t)
	y.Limit = 5 * time.Minute
	expect(t, y.perform(t), Failed, "is synced; CSCs that run their image: 0 of 1")
	if refreshed != 1 {
		t.Errorf("Argo CD was asked to refresh %d times, want once", refreshed)
	}
	if !slices.ContainsFunc(y.progress, func(text string) bool { return strings.Contains(text, "was asked to refresh") }) {
		t.Errorf("progress %q, want that Argo CD was asked to refresh", y.progress)
	}
}

func TestSyncDoesNotBegin(t *testing.T) {
	a := newArgo(t)
	y := a.try(t)
	y.prepare(t)
	expect(t, y.probe(t), NotDone, "had not yet requested")

	a.Edit(applications+"simonyitel", func(app kubetest.Object) {
		app["operation"] = kubetest.Object{"initiatedBy": kubetest.Object{"username": "bob"}}
	})
	a.outcome = func(kubetest.Object) kubetest.Object { return nil }
	expect(t, Of(syncMount).Perform(t.Context(), y.Attempt), NotDone, "operation by bob")

	for says, change := range map[string]func(kubetest.Object){
		`it follows "tickets/DM-1", but the plan expects "main"`: func(app kubetest.Object) {
			app["spec"].(kubetest.Object)["source"] = kubetest.Object{"targetRevision": "tickets/DM-1"}
		},
		"cannot compare it with its source: ComparisonError: repository not found": func(app kubetest.Object) {
			status := app["status"].(kubetest.Object)
			status["sync"] = kubetest.Object{"status": "Unknown"}
			status["conditions"] = []any{kubetest.Object{"type": "ComparisonError", "message": "repository not found"}}
		},
	} {
		a := newArgo(t)
		a.Edit(applications+"simonyitel", change)
		_, err := Of(syncMount).Prepare(t.Context(), a.try(t).Attempt)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("prepare = %v, want an error with %q", err, says)
		}
	}
}

func TestSyncWhoseAnswerWasLost(t *testing.T) {
	for name, test := range map[string]struct {
		fault kubetest.Fault
		want  Verdict
		says  string
	}{
		"carried out":                        {kubetest.Fault{CutAfter: true}, Done, "runs its image"},
		"not accepted, after a sync of csu":  {kubetest.Fault{CutBefore: true}, NotDone, "still the one by ann (csu csu-old/x/1)"},
		"not accepted, after another's sync": {kubetest.Fault{CutBefore: true}, Unknown, "cannot determine whether ours ran before it"},
		"not accepted":                       {kubetest.Fault{CutBefore: true}, NotDone, "has had no operation"},
	} {
		a := newArgo(t)
		uid := putJob(a.Server, "mtmount")
		a.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "ts-dockerhub.lsst.org/mtmount:c0045"))
		a.Faults = func(r *http.Request) kubetest.Fault {
			if r.Method == http.MethodPut {
				return test.fault
			}
			return kubetest.Fault{}
		}
		y := a.try(t)
		last := kubetest.Object{"initiatedBy": kubetest.Object{"username": "ann"}}
		if strings.Contains(name, "of csu") {
			last["info"] = []any{kubetest.Object{"name": "csu", "value": "csu-old/x/1"}}
		}
		if strings.Contains(name, "after") {
			a.Edit(applications+"simonyitel", func(app kubetest.Object) {
				app["status"].(kubetest.Object)["operationState"] = succeeded(last)
			})
		}
		t.Log(name)
		expect(t, y.perform(t), test.want, test.says)
		expect(t, y.probe(t), test.want)
	}
}

func TestManualShowsWhatThePlanWillSync(t *testing.T) {
	a := newArgo(t)
	y := newTry(t, a.systems, &plan.Manual{Text: "Merge it.", Applications: []string{"simonyitel", "nublado"}})
	y.Plan.Stages[0].Steps = append(y.Plan.Stages[0].Steps, plan.Step{ID: "stage/sync", Action: plan.Action{Parameters: syncMount}})
	reading, err := Of(y.Step.Action.Parameters).Reading(t.Context(), y.Attempt)
	want := `application simonyitel follows main, at 7d3f0a1: OutOfSync
  out of sync: Job simonyitel/mtmount (the plan syncs it)
  out of sync: ConfigMap simonyitel/csc-env (NOT synced by the plan)
application nublado: there is no Argo CD application "nublado" in namespace "argocd"; is it enabled for this site, and has the app of apps been synced?`
	if err != nil || reading != want {
		t.Errorf("reading = %v\n%s\nwant:\n%s", err, reading, want)
	}
}

func TestEvidenceOfASync(t *testing.T) {
	a := newArgo(t)
	y := a.try(t)
	y.prepare(t)
	var e syncEvidence
	if err := json.Unmarshal(y.Evidence, &e); err != nil || e.Revision != telescope || e.TargetRevision != "main" || e.ResourceVersion == "" {
		t.Errorf("evidence %s, %v, want both revisions and the resource version", y.Evidence, err)
	}
}
