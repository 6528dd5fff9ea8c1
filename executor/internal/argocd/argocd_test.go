package argocd_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

type object = kubetest.Object

const (
	appsPath  = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/"
	mountPath = appsPath + "simonyitel"
)

// connect starts an API server with one Application, synced long ago by someone
// else, and returns a client whose clock runs fast.
func connect(t *testing.T) (*kubetest.Server, *argocd.Client) {
	t.Helper()
	server := kubetest.Start(t)
	c, err := cluster.Connect(server.Kubeconfig(t), server.Context)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	clk := clock.Fast(now, now, 1000)
	c.SetClock(clk)
	server.Put(mountPath, simonyitel())
	return server, argocd.New(c, "argocd", clk)
}

func simonyitel() object {
	return object{
		"apiVersion": "argoproj.io/v1alpha1",
		"kind":       "Application",
		"metadata":   object{"annotations": object{"kept": "as it was"}},
		"spec": object{
			"project":    "telescope",
			"source":     object{"repoURL": "https://github.com/lsst-sqre/phalanx", "path": "applications/simonyitel", "targetRevision": "main"},
			"syncPolicy": object{"syncOptions": []any{"ServerSideApply=true"}, "retry": object{"limit": 5}},
		},
		"status": object{
			"sync":   object{"status": "OutOfSync", "revision": "abc123", "comparedTo": object{}},
			"health": object{"status": "Progressing"},
			"resources": []any{
				object{"group": "batch", "version": "v1", "kind": "Job", "namespace": "simonyitel", "name": "mtmount", "status": "OutOfSync"},
				object{"version": "v1", "kind": "ConfigMap", "namespace": "simonyitel", "name": "csc", "status": "Synced"},
			},
			"conditions": []any{
				object{"type": "ComparisonError", "message": "chart not found"},
				object{"type": "OrphanedResourceWarning", "message": "3 orphans"},
			},
			"summary":      object{"images": []any{"ts-dockerhub.lsst.org/mtmount:c0044"}},
			"reconciledAt": "2026-11-24T09:00:10Z",
			"operationState": object{
				"phase": "Succeeded", "startedAt": "2026-11-24T08:59:00Z", "finishedAt": "2026-11-24T09:00:10Z",
				"operation": object{
					"initiatedBy": object{"username": "bob"},
					"sync":        object{"prune": true, "resources": []any{object{"group": "batch", "kind": "Job", "name": "mtaos"}}},
				},
				"syncResult": object{"revision": "abc000"},
			},
		},
	}
}

func editStatus(s *kubetest.Server, change func(status object)) {
	s.Edit(mountPath, func(app object) { change(app["status"].(object)) })
}

func TestGet(t *testing.T) {
	server, a := connect(t)
	got, err := a.Get(context.Background(), "simonyitel")
	if err != nil {
		t.Fatal(err)
	}
	want := argocd.Application{
		Name: "simonyitel", Project: "telescope", TargetRevision: "main",
		SyncStatus: "OutOfSync", Revision: "abc123", Health: "Progressing",
		OutOfSync:       []argocd.Resource{{Group: "batch", Kind: "Job", Namespace: "simonyitel", Name: "mtmount"}},
		Problems:        []string{"ComparisonError: chart not found"},
		OperationBy:     "bob",
		ResourceVersion: server.Get(mountPath)["metadata"].(object)["resourceVersion"].(string),
		Images:          []string{"ts-dockerhub.lsst.org/mtmount:c0044"},
		ReconciledAt:    time.Date(2026, 11, 24, 9, 0, 10, 0, time.UTC),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("application (-want +got):\n%s", d)
	}
}

func TestHealthFromBeforeTheLastOperationIsNotShown(t *testing.T) {
	server, a := connect(t)
	editStatus(server, func(status object) { status["reconciledAt"] = "2026-11-24T09:00:09Z" })
	app, err := a.Get(context.Background(), "simonyitel")
	if err != nil {
		t.Fatal(err)
	}
	if !app.Stale || app.Health != "" {
		t.Errorf("Get = stale %v, health %q, want stale and no health: the comparison is a second older than the operation's end", app.Stale, app.Health)
	}
	editStatus(server, func(status object) { // what a restarted controller can leave
		status["operationState"].(object)["finishedAt"] = nil
	})
	if app, err = a.Get(context.Background(), "simonyitel"); err != nil || app.Stale {
		t.Errorf("Get = stale %v, %v, want it not stale: the comparison is newer than the operation's start, and its end is unknown", app.Stale, err)
	}
}

func TestGetOfSeveralSources(t *testing.T) {
	server, a := connect(t)
	server.Edit(mountPath, func(app object) {
		app["spec"] = object{"sources": []any{object{"targetRevision": "main"}, object{"targetRevision": "v2"}}}
		app["status"].(object)["sync"] = object{"status": "Synced", "revisions": []any{"abc", "def"}}
	})
	app, err := a.Get(context.Background(), "simonyitel")
	if err != nil {
		t.Fatal(err)
	}
	if app.TargetRevision != "main,v2" || app.Revision != "abc,def" {
		t.Errorf("Get = target %q, revision %q, want main,v2 and abc,def", app.TargetRevision, app.Revision)
	}
}

func TestAMissingApplicationHasItsOwnError(t *testing.T) {
	_, a := connect(t)
	ctx := context.Background()
	_, get := a.Get(ctx, "mtcamera")
	_, operation := a.Operation(ctx, "mtcamera", "run/step/1", argocd.SyncRequest{})
	for name, err := range map[string]error{
		"Get":       get,
		"Operation": operation,
		"Refresh":   a.Refresh(ctx, "mtcamera", false),
		"Sync":      a.Sync(ctx, "mtcamera", "run/step/1", argocd.SyncRequest{}),
	} {
		var missing *argocd.MissingError
		if !errors.As(err, &missing) || missing.Name != "mtcamera" {
			t.Errorf("%s = %v, want a *MissingError", name, err)
		}
	}
}

func TestAnApplicationOfAnotherFormIsAnError(t *testing.T) {
	server, a := connect(t)
	editStatus(server, func(status object) { status["sync"] = "Synced" })
	if app, err := a.Get(context.Background(), "simonyitel"); err == nil {
		t.Errorf("Get = %+v without an error", app)
	}
}

func TestRefreshWaitsForTheController(t *testing.T) {
	for kind, hard := range map[string]bool{"normal": false, "hard": true} {
		t.Run(kind, func(t *testing.T) {
			server, a := connect(t)
			var asked any
			looks := 0 // requests arrive one at a time
			server.Before = func(r *http.Request) {
				if r.Method != http.MethodGet {
					return
				}
				if looks++; looks < 3 {
					return
				}
				server.Edit(mountPath, func(app object) {
					annotations := app["metadata"].(object)["annotations"].(object)
					asked = annotations["argocd.argoproj.io/refresh"]
					delete(annotations, "argocd.argoproj.io/refresh")
				})
			}
			if err := a.Refresh(context.Background(), "simonyitel", hard); err != nil {
				t.Fatal(err)
			}
			if asked != kind || looks != 3 {
				t.Errorf("Refresh asked for %v and read the Application %d times, want %s and 3", asked, looks, kind)
			}
			if kept := server.Get(mountPath)["metadata"].(object)["annotations"]; !cmp.Equal(kept, object{"kept": "as it was"}) {
				t.Errorf("annotations after Refresh = %v", kept)
			}
		})
	}
}

func TestRefreshDoesNotWaitForever(t *testing.T) {
	_, a := connect(t)
	if err := a.Refresh(context.Background(), "simonyitel", false); !errors.Is(err, clock.ErrLimit) {
		t.Errorf("Refresh without a controller = %v, want ErrLimit", err)
	}
}

func TestSelfHealing(t *testing.T) {
	server, client := connect(t)
	for name, test := range map[string]struct {
		policy object
		want   bool
	}{
		"none":            {object{}, false},
		"automated":       {object{"automated": object{"prune": true}}, false},
		"selfHeal":        {object{"automated": object{"selfHeal": true}}, true},
		"enabled":         {object{"automated": object{"enabled": true, "selfHeal": true}}, true},
		"disabled for it": {object{"automated": object{"enabled": false, "selfHeal": true}}, false},
	} {
		app := simonyitel()
		app["spec"].(object)["syncPolicy"] = test.policy
		server.Put(mountPath, app)
		got, err := client.Get(t.Context(), "simonyitel")
		if err != nil || got.SelfHeals != test.want {
			t.Errorf("%s: %t, %v, want %t", name, got.SelfHeals, err, test.want)
		}
	}
}
