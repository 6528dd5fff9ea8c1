package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

const leasePath = "/apis/coordination.k8s.io/v1/namespaces/argocd/leases/csu-summit"

var (
	ours   = cluster.Holder{Plan: "ann.json", Digest: "sha256:1", RunID: "run-1", Operator: "ann", Since: time.Date(2026, 11, 24, 9, 0, 0, 123456000, time.UTC)}
	theirs = cluster.Holder{Plan: "bob.json", Digest: "sha256:2", RunID: "run-2", Operator: "bob", Since: time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)}
)

func connectForLease(t *testing.T) (*kubetest.Server, *cluster.Cluster) {
	server, c := connect(t)
	server.Put("/api/v1/namespaces/argocd", kubetest.Object{})
	return server, c
}

func TestTheLeaseBelongsToOneRun(t *testing.T) {
	_, c := connectForLease(t)
	ctx := context.Background()
	if h, err := c.LeaseHolder(ctx, "argocd", "csu-summit"); h != nil || err != nil {
		t.Fatalf("LeaseHolder = %v, %v, want none", h, err)
	}
	if err := c.AcquireLease(ctx, "argocd", "csu-summit", ours); err != nil {
		t.Fatal(err)
	}
	h, err := c.LeaseHolder(ctx, "argocd", "csu-summit")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&ours, h); d != "" {
		t.Errorf("holder (-want +got):\n%s", d)
	}

	resumed := ours
	resumed.Operator, resumed.Since = "carol", time.Time{}
	if err := c.AcquireLease(ctx, "argocd", "csu-summit", resumed); err != nil {
		t.Errorf("AcquireLease by the same run = %v, want nil", err)
	}
	edited := ours
	edited.Digest = "sha256:3"
	for _, other := range []cluster.Holder{theirs, edited} {
		var held *cluster.HeldError
		if err := c.AcquireLease(ctx, "argocd", "csu-summit", other); !errors.As(err, &held) || held.Holder.RunID != "run-1" {
			t.Errorf("AcquireLease by %v = %v, want a *HeldError that names run-1", other, err)
		} else if !strings.Contains(err.Error(), `run "run-1" of plan "ann.json" (digest sha256:1…), started by "ann"`) {
			t.Errorf("AcquireLease by %v = %v; want it to name the plan's file and its digest", other, err)
		}
	}
}

// A Lease that another version of csu made does not name the plan's file. The
// run that it belongs to is resumed; another one is told what is known.
func TestALeaseWithoutThePlansFile(t *testing.T) {
	server, c := connectForLease(t)
	ctx := context.Background()
	if err := c.AcquireLease(ctx, "argocd", "csu-summit", ours); err != nil {
		t.Fatal(err)
	}
	lease := server.Get(leasePath)
	delete(lease["metadata"].(kubetest.Object)["annotations"].(kubetest.Object), "csu.lsst.org/plan-file")
	server.Put(leasePath, lease)
	if h, err := c.LeaseHolder(ctx, "argocd", "csu-summit"); err != nil || h == nil || h.Plan != "" || h.Digest != ours.Digest {
		t.Fatalf("LeaseHolder = %+v, %v, want one without a plan's file", h, err)
	}
	if err := c.AcquireLease(ctx, "argocd", "csu-summit", ours); err != nil {
		t.Errorf("AcquireLease by the same run = %v, want nil", err)
	}
	var held *cluster.HeldError
	err := c.AcquireLease(ctx, "argocd", "csu-summit", theirs)
	if !errors.As(err, &held) {
		t.Fatalf("AcquireLease by another run = %v, want a *HeldError", err)
	}
	if want := `Lease "argocd/csu-summit" belongs to run "run-1" of the plan with the digest sha256:1…, started by "ann" at 2026-11-24T09:00:00Z`; err.Error() != want {
		t.Errorf("the error is\n%s, want\n%s", err, want)
	}
	if err := c.ReleaseLease(ctx, "argocd", "csu-summit", "run-1"); err != nil {
		t.Errorf("ReleaseLease = %v", err)
	}
}

func TestTheHintOfAHeldLease(t *testing.T) {
	const then = `, where its journal is; if it can't come back, remove the Lease with csu unlock`
	for plan, holder := range map[string]cluster.Holder{
		`plan "ann.json" (digest 0123456789ab…)`: {Plan: "ann.json", Digest: "0123456789abcdef"},
		`the plan with the digest 0123456789ab…`: {Digest: "0123456789abcdef"},
		`plan "ann.json"`:                        {Plan: "ann.json"},
		`a plan that the Lease does not name`:    {},
	} {
		holder.RunID, holder.Operator = "run-1", "ann"
		want := `ask "ann", and let run run-1 end, or take it up with csu exec PLAN --resume on ` + plan + then
		if got := (&cluster.HeldError{Holder: holder}).Hint(); got != want {
			t.Errorf("Hint of %+v =\n%s, want\n%s", holder, got, want)
		}
	}
}

func TestALeaseWithoutItsNamespaceIsAnError(t *testing.T) {
	_, c := connect(t)
	if err := c.AcquireLease(context.Background(), "argocd", "csu-summit", ours); err == nil {
		t.Error("AcquireLease = nil where the namespace is absent")
	}
}

func TestALostLeaseIsLookedAt(t *testing.T) {
	for name, test := range map[string]struct {
		fault kubetest.Fault
		lost  bool
	}{
		"carried out":     {kubetest.Fault{CutAfter: true}, false},
		"not carried out": {kubetest.Fault{CutBefore: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := connectForLease(t)
			server.Faults = func(r *http.Request) kubetest.Fault {
				if r.Method == http.MethodPost {
					return test.fault
				}
				return kubetest.Fault{}
			}
			err := c.AcquireLease(context.Background(), "argocd", "csu-summit", ours)
			var lost *cluster.LostError
			if errors.As(err, &lost) != test.lost || (err != nil) != test.lost {
				t.Errorf("AcquireLease = %v, want lost %v", err, test.lost)
			}
		})
	}
}

func TestReleaseLeaseSparesAnotherRun(t *testing.T) {
	server, c := connectForLease(t)
	ctx := context.Background()
	if err := c.AcquireLease(ctx, "argocd", "csu-summit", theirs); err != nil {
		t.Fatal(err)
	}
	var held *cluster.HeldError
	if err := c.ReleaseLease(ctx, "argocd", "csu-summit", "run-1"); !errors.As(err, &held) {
		t.Errorf("ReleaseLease of another run's = %v, want a *HeldError", err)
	}
	if server.Get(leasePath) == nil {
		t.Fatal("another run's Lease is gone")
	}
	for range 2 { // the second time it is gone, which is no error
		if err := c.ReleaseLease(ctx, "argocd", "csu-summit", "run-2"); err != nil {
			t.Errorf("ReleaseLease = %v", err)
		}
	}
	if server.Get(leasePath) != nil {
		t.Error("the Lease is still there")
	}
}

func TestRemoveLeaseTakesOnlyTheOneThatWasShown(t *testing.T) {
	server, c := connectForLease(t)
	ctx := context.Background()
	if err := c.AcquireLease(ctx, "argocd", "csu-summit", theirs); err != nil {
		t.Fatal(err)
	}
	var held *cluster.HeldError
	if err := c.RemoveLease(ctx, "argocd", "csu-summit", ours); !errors.As(err, &held) {
		t.Errorf("RemoveLease of another one = %v, want a *HeldError", err)
	}

	// Between look and deletion the run ends and another one begins.
	server.Before = func(r *http.Request) {
		if r.Method == http.MethodDelete {
			lease := server.Get(leasePath)
			server.Remove(leasePath)
			delete(lease["metadata"].(kubetest.Object), "uid")
			lease["spec"].(kubetest.Object)["holderIdentity"] = "run-3"
			server.Put(leasePath, lease)
		}
	}
	if err := c.RemoveLease(ctx, "argocd", "csu-summit", theirs); !errors.As(err, &held) || held.Holder.RunID != "run-3" {
		t.Errorf("RemoveLease = %v, want a *HeldError that names run-3", err)
	}
	if server.Get(leasePath) == nil {
		t.Error("a Lease that the operator never saw is gone")
	}
	server.Before = nil

	seen, err := c.LeaseHolder(ctx, "argocd", "csu-summit")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveLease(ctx, "argocd", "csu-summit", *seen); err != nil {
		t.Errorf("RemoveLease = %v", err)
	}
	if server.Get(leasePath) != nil {
		t.Error("the Lease is still there")
	}
}

func TestALostRemovalOfALeaseIsLookedAt(t *testing.T) {
	server, c := connectForLease(t)
	ctx := context.Background()
	if err := c.AcquireLease(ctx, "argocd", "csu-summit", ours); err != nil {
		t.Fatal(err)
	}
	var fault kubetest.Fault
	server.Faults = func(r *http.Request) kubetest.Fault {
		if r.Method == http.MethodDelete {
			return fault
		}
		return kubetest.Fault{}
	}
	fault = kubetest.Fault{CutBefore: true}
	var lost *cluster.LostError
	if err := c.ReleaseLease(ctx, "argocd", "csu-summit", "run-1"); !errors.As(err, &lost) {
		t.Errorf("ReleaseLease that did not arrive = %v, want a *LostError", err)
	}
	fault = kubetest.Fault{CutAfter: true}
	if err := c.ReleaseLease(ctx, "argocd", "csu-summit", "run-1"); err != nil {
		t.Errorf("ReleaseLease that was carried out = %v, want nil", err)
	}
}
