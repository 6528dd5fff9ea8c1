package argocd_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

const identity = "1f3c/sync/mtmount/1"

var request = argocd.SyncRequest{
	Revision:  "abc123",
	Operator:  "ann",
	Resources: []argocd.Resource{{Group: "batch", Kind: "Job", Namespace: "simonyitel", Name: "mtmount"}},
}

func sync(t *testing.T, a *argocd.Client) {
	t.Helper()
	if err := a.Sync(context.Background(), "simonyitel", identity, request); err != nil {
		t.Fatal(err)
	}
}

func operation(t *testing.T, a *argocd.Client) argocd.Operation {
	t.Helper()
	o, err := a.Operation(context.Background(), "simonyitel", identity, request)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// begin does what the controller does when it picks up an operation.
func begin(s *kubetest.Server) {
	s.Edit(mountPath, func(app object) {
		app["status"].(object)["operationState"] = object{
			"phase": "Running", "startedAt": "2026-11-24T10:00:00Z", "operation": app["operation"],
		}
	})
}

// end does what the controller does when an operation ends.
func end(s *kubetest.Server, phase string) {
	s.Edit(mountPath, func(app object) {
		app["operation"] = nil // as its JSON patch leaves it
		state := app["status"].(object)["operationState"].(object)
		state["phase"], state["message"], state["finishedAt"] = phase, "successfully synced (all tasks run)", "2026-11-24T10:00:30Z"
		state["syncResult"] = object{"revision": "abc123", "resources": []any{
			object{"group": "batch", "kind": "Job", "namespace": "simonyitel", "name": "mtmount", "status": "Synced", "message": "job.batch/mtmount created"},
			object{"kind": "Pod", "name": "hook", "hookPhase": "Succeeded"},
		}}
	})
}

func TestSyncWritesTheOperationAndNothingElse(t *testing.T) {
	server, a := connect(t)
	before := server.Get(mountPath)
	sync(t, a)
	after := server.Get(mountPath)

	want := object{
		"initiatedBy": object{"username": "ann"},
		"info":        []any{object{"name": "csu", "value": identity}},
		"sync": object{
			"revision":    "abc123",
			"resources":   []any{object{"group": "batch", "kind": "Job", "namespace": "simonyitel", "name": "mtmount"}},
			"syncOptions": []any{"ServerSideApply=true"},
		},
	}
	if d := cmp.Diff(want, after["operation"]); d != "" {
		t.Errorf("operation (-want +got):\n%s", d)
	}
	if state := after["status"].(object)["operationState"]; state != nil {
		t.Errorf("Sync left the last operation's state: %v", state)
	}
	delete(after, "operation")
	delete(before["status"].(object), "operationState")
	delete(before["metadata"].(object), "resourceVersion")
	delete(after["metadata"].(object), "resourceVersion")
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("the rest of the Application changed (-before +after):\n%s", d)
	}
	if writes := server.Writes(); len(writes) != 1 {
		t.Errorf("%d writes, want one: %v", len(writes), writes)
	}
}

func TestSyncOfAWholeApplicationNamesNoResources(t *testing.T) {
	server, a := connect(t)
	whole := argocd.SyncRequest{Prune: true, Operator: "ann"}
	if err := a.Sync(context.Background(), "simonyitel", identity, whole); err != nil {
		t.Fatal(err)
	}
	want := object{"prune": true, "syncOptions": []any{"ServerSideApply=true"}}
	if d := cmp.Diff(want, server.Get(mountPath)["operation"].(object)["sync"]); d != "" {
		t.Errorf("sync (-want +got):\n%s", d)
	}
}

func TestSyncRefusesWhileAnOperationIsUnderWay(t *testing.T) {
	bobs := object{"initiatedBy": object{"username": "bob"}, "sync": object{}}
	for name, test := range map[string]struct {
		edit func(app object)
		want argocd.BusyError
	}{
		"waiting": {
			func(app object) { app["operation"] = bobs },
			argocd.BusyError{Application: "simonyitel", By: "bob"},
		},
		"running": {
			func(app object) {
				app["operation"] = bobs
				app["status"].(object)["operationState"] = object{"phase": "Running", "operation": bobs, "message": "Sync operation blocked by sync window"}
			},
			argocd.BusyError{Application: "simonyitel", By: "bob", Phase: "Running", Message: "Sync operation blocked by sync window"},
		},
		"terminating": {
			func(app object) {
				app["status"].(object)["operationState"] = object{"phase": "Terminating", "operation": object{"initiatedBy": object{"automated": true}}}
			},
			argocd.BusyError{Application: "simonyitel", By: "automated sync", Phase: "Terminating"},
		},
		"by another run": {
			func(app object) {
				app["operation"] = object{"initiatedBy": object{"username": "ann"}, "info": []any{object{"name": "csu", "value": "0000/sync/mtmount/1"}}}
			},
			argocd.BusyError{Application: "simonyitel", By: "ann (csu 0000/sync/mtmount/1)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, a := connect(t)
			server.Edit(mountPath, test.edit)
			err := a.Sync(context.Background(), "simonyitel", identity, request)
			var busy *argocd.BusyError
			if !errors.As(err, &busy) {
				t.Fatalf("Sync = %v, want a *BusyError", err)
			}
			if d := cmp.Diff(test.want, *busy); d != "" {
				t.Errorf("busy (-want +got):\n%s", d)
			}
			if writes := server.Writes(); len(writes) != 0 {
				t.Errorf("the refused sync was written: %v", writes)
			}
		})
	}
}

func TestSyncReadsAgainAfterAConflict(t *testing.T) {
	t.Run("by the controller", func(t *testing.T) {
		server, a := connect(t)
		puts := 0
		server.Before = func(r *http.Request) {
			if r.Method == http.MethodPut {
				if puts++; puts == 1 {
					editStatus(server, func(status object) { status["reconciledAt"] = "2026-11-24T10:00:00Z" })
				}
			}
		}
		sync(t, a)
		if puts != 2 || server.Get(mountPath)["status"].(object)["reconciledAt"] != "2026-11-24T10:00:00Z" {
			t.Errorf("%d updates, status %v; want 2, the second with the status that the controller wrote", puts, server.Get(mountPath)["status"])
		}
	})
	t.Run("by another sync", func(t *testing.T) {
		server, a := connect(t)
		server.Before = func(r *http.Request) {
			if r.Method == http.MethodPut {
				server.Edit(mountPath, func(app object) { app["operation"] = object{"initiatedBy": object{"username": "bob"}} })
			}
		}
		var busy *argocd.BusyError
		if err := a.Sync(context.Background(), "simonyitel", identity, request); !errors.As(err, &busy) || busy.By != "bob" {
			t.Errorf("Sync = %v, want a *BusyError that names bob", err)
		}
		if writes := server.Writes(); len(writes) != 0 {
			t.Errorf("bob's sync was overwritten: %v", writes)
		}
	})
	t.Run("endless", func(t *testing.T) {
		server, a := connect(t)
		server.Before = func(r *http.Request) {
			if r.Method == http.MethodPut {
				editStatus(server, func(object) {})
			}
		}
		var lost *cluster.LostError
		if err := a.Sync(context.Background(), "simonyitel", identity, request); err == nil || errors.As(err, &lost) {
			t.Errorf("Sync = %v, want an error that is no *LostError", err)
		}
		if n := server.Requests(http.MethodPut); n != 5 {
			t.Errorf("%d updates, want 5", n)
		}
	})
}

func TestALostSyncIsFoundAgain(t *testing.T) {
	for name, test := range map[string]struct {
		fault kubetest.Fault
		found bool
	}{
		"carried out":     {kubetest.Fault{CutAfter: true}, true},
		"not carried out": {kubetest.Fault{CutBefore: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server, a := connect(t)
			server.Faults = func(r *http.Request) kubetest.Fault {
				if r.Method == http.MethodPut {
					return test.fault
				}
				return kubetest.Fault{}
			}
			var lost *cluster.LostError
			if err := a.Sync(context.Background(), "simonyitel", identity, request); !errors.As(err, &lost) {
				t.Fatalf("Sync = %v, want a *LostError", err)
			}
			if n := server.Requests(http.MethodPut); n != 1 {
				t.Errorf("%d updates, want 1", n)
			}
			if o := operation(t, a); o.Found != test.found {
				t.Errorf("Operation = %+v, want found %v", o, test.found)
			}
		})
	}
}

func TestSyncWritesTheSameOperationOnce(t *testing.T) {
	server, a := connect(t)
	sync(t, a)
	sync(t, a)
	begin(server)
	sync(t, a)
	end(server, "Succeeded")
	sync(t, a)
	if writes := server.Writes(); len(writes) != 1 {
		t.Errorf("%d writes, want one: %v", len(writes), writes)
	}
}

func TestSyncRefuses(t *testing.T) {
	server, a := connect(t)
	if err := a.Sync(context.Background(), "simonyitel", "", request); err == nil {
		t.Error("Sync accepted a request without an identity")
	}
	server.Edit(mountPath, func(app object) { app["metadata"].(object)["deletionTimestamp"] = "2026-11-24T10:00:00Z" })
	if err := a.Sync(context.Background(), "simonyitel", identity, request); err == nil || !strings.Contains(err.Error(), "being deleted") {
		t.Errorf("Sync of an application that is being deleted = %v, want an error", err)
	}
	if writes := server.Writes(); len(writes) != 0 {
		t.Errorf("the refused sync was written: %v", writes)
	}
}

func TestOperationFollowsTheSync(t *testing.T) {
	server, a := connect(t)
	editStatus(server, func(status object) { status["history"] = []any{object{"id": 1, "revision": "abc000"}} })
	if d := cmp.Diff(argocd.Operation{Other: "bob", LastStarted: time.Date(2026, 11, 24, 8, 59, 0, 0, time.UTC), Synced: true}, operation(t, a)); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	editStatus(server, func(status object) { delete(status, "history") })
	sync(t, a)
	if d := cmp.Diff(argocd.Operation{Found: true, Pending: true}, operation(t, a)); d != "" {
		t.Errorf("pending (-want +got):\n%s", d)
	}
	begin(server)
	editStatus(server, func(status object) {
		status["operationState"].(object)["message"] = "Sync operation blocked by sync window"
	})
	began := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	want := argocd.Operation{Found: true, Phase: "Running", Message: "Sync operation blocked by sync window", LastStarted: began}
	if d := cmp.Diff(want, operation(t, a)); d != "" || want.Completed() {
		t.Errorf("running, completed %v (-want +got):\n%s", want.Completed(), d)
	}
	end(server, "Succeeded")
	want = argocd.Operation{
		Found: true, Phase: "Succeeded", Message: "successfully synced (all tasks run)", Revision: "abc123",
		LastStarted: began, FinishedAt: time.Date(2026, 11, 24, 10, 0, 30, 0, time.UTC),
		Results: []argocd.ResourceResult{
			{Resource: request.Resources[0], Status: "Synced", Message: "job.batch/mtmount created"},
			{Resource: argocd.Resource{Kind: "Pod", Name: "hook"}, Status: "Succeeded"},
		},
	}
	if d := cmp.Diff(want, operation(t, a)); d != "" || !want.Completed() {
		t.Errorf("ended, completed %v (-want +got):\n%s", want.Completed(), d)
	}
	server.Edit(mountPath, func(app object) {
		app["operation"] = object{"initiatedBy": object{"username": "bob"}, "info": []any{object{"name": "csu", "value": "0000/x/1"}}, "sync": object{}}
	})
	if o := operation(t, a); !o.Found || o.Phase != "Succeeded" || o.OtherIdentity != "0000/x/1" {
		t.Errorf("Operation = %+v, want ours, and bob's waiting", o)
	}
	begin(server)
	if d := cmp.Diff(argocd.Operation{Other: "bob (csu 0000/x/1)", OtherIdentity: "0000/x/1", LastStarted: began}, operation(t, a)); d != "" {
		t.Errorf("replaced (-want +got):\n%s", d)
	}
}

func TestASyncChangedByTheControllerIsNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		edit    func(operation, sync object)
		changed bool
	}{
		"not at all":       {func(_, _ object) {}, false},
		"empty fields":     {func(o, s object) { s["syncStrategy"], s["sources"], o["retry"] = object{}, nil, object{} }, false},
		"another revision": {func(_, s object) { s["revision"] = "abc000" }, true},
		"every resource":   {func(_, s object) { delete(s, "resources") }, true},
		"one more resource": {func(_, s object) {
			s["resources"] = append(s["resources"].([]any), object{"kind": "Job", "name": "mtaos"})
		}, true},
		"the old one's prune":  {func(_, s object) { s["prune"] = true }, true},
		"a dry run":            {func(_, s object) { s["dryRun"] = true }, true},
		"another strategy":     {func(_, s object) { s["syncStrategy"] = object{"apply": object{"force": true}} }, true},
		"the old one's source": {func(_, s object) { s["source"] = object{"targetRevision": "c0044"} }, true},
		"other options":        {func(_, s object) { s["syncOptions"] = []any{"Replace=true"} }, true},
		"a retry":              {func(o, _ object) { o["retry"] = object{"limit": 5} }, true},
		"no sync":              {func(o, _ object) { delete(o, "sync") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			server, a := connect(t)
			sync(t, a)
			begin(server)
			editStatus(server, func(status object) {
				echo := status["operationState"].(object)["operation"].(object)
				// begin has put the same map into both fields.
				sync := object{}
				for key, value := range echo["sync"].(object) {
					sync[key] = value
				}
				changed := object{"info": echo["info"], "sync": sync}
				test.edit(changed, sync)
				status["operationState"].(object)["operation"] = changed
			})
			if o := operation(t, a); !o.Found || o.SyncChanged != test.changed {
				t.Errorf("Operation = %+v, want found, changed %v", o, test.changed)
			}
		})
	}
}
