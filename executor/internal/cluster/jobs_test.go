package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

const jobsPath = "/apis/batch/v1/namespaces/simonyitel/jobs/"

func putJob(s *kubetest.Server, name string, labels kubetest.Object) cluster.Object {
	uid := s.Put(jobsPath+name, kubetest.Object{"metadata": kubetest.Object{"labels": labels}})
	return cluster.Object{Namespace: "simonyitel", Name: name, UID: uid}
}

func TestJobsAreFoundBySelector(t *testing.T) {
	server, c := connect(t)
	mount := putJob(server, "mtmount", kubetest.Object{"csc": "true", "csc-class": "mtmount"})
	ess := putJob(server, "ess105", kubetest.Object{"csc": "true", "csc-class": "ess", "csc-name": "ess105"})
	putJob(server, "backup", nil)
	for selector, want := range map[string][]cluster.Object{
		"csc":               {ess, mount},
		"csc-class=mtmount": {mount},
		"csc-name=ess106":   {},
	} {
		got, err := c.Jobs(context.Background(), "simonyitel", selector)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("Jobs with %q (-want +got):\n%s", selector, d)
		}
	}
	if got, err := c.Jobs(context.Background(), "absent", "csc"); err != nil || len(got) != 0 {
		t.Errorf("Jobs of an absent namespace = %v, %v, want none", got, err)
	}
}

func TestAnEmptySelectorIsRefused(t *testing.T) {
	server, c := connect(t)
	putJob(server, "backup", nil)
	if got, err := c.Jobs(context.Background(), "simonyitel", " "); err == nil {
		t.Errorf("Jobs without a selector = %v, want an error", got)
	}
	if got, err := c.Namespaces(context.Background(), ""); err == nil {
		t.Errorf("Namespaces without a selector = %v, want an error", got)
	}
	if _, err := c.Jobs(context.Background(), "simonyitel", "csc in"); err == nil {
		t.Error("Jobs accepted an invalid selector")
	}
	if n := server.Requests(http.MethodGet); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestDeleteJobDeletesItsPods(t *testing.T) {
	server, c := connect(t)
	job := putJob(server, "mtmount", nil)
	if err := c.DeleteJob(context.Background(), job); err != nil {
		t.Fatal(err)
	}
	want := []kubetest.Write{{Method: http.MethodDelete, Path: jobsPath + "mtmount", Propagation: metav1.DeletePropagationBackground}}
	if d := cmp.Diff(want, server.Writes()); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
}

func TestDeleteJobSparesANewerOne(t *testing.T) {
	server, c := connect(t)
	old := putJob(server, "mtmount", nil)
	server.Remove(jobsPath + "mtmount")
	if err := c.DeleteJob(context.Background(), old); err != nil {
		t.Errorf("DeleteJob of a deleted Job = %v, want nil", err)
	}
	putJob(server, "mtmount", nil)
	if err := c.DeleteJob(context.Background(), old); err != nil {
		t.Errorf("DeleteJob of a Job with a successor = %v, want nil", err)
	}
	if writes := server.Writes(); len(writes) != 0 {
		t.Errorf("the newer Job was deleted: %v", writes)
	}
	if err := c.DeleteJob(context.Background(), cluster.Object{Namespace: "simonyitel", Name: "mtmount"}); err == nil {
		t.Error("DeleteJob accepted a Job without UID")
	}
}

func TestAConflictIsInvestigated(t *testing.T) {
	server, c := connect(t)
	const at = "/api/v1/namespaces/nublado-ann"
	uid := server.Put(at, kubetest.Object{})
	namespace := cluster.Object{Name: "nublado-ann", UID: uid}
	server.Faults = func(r *http.Request) kubetest.Fault {
		if r.Method == http.MethodDelete {
			return kubetest.Fault{Status: http.StatusConflict}
		}
		return kubetest.Fault{}
	}
	if err := c.DeleteNamespace(context.Background(), namespace); err == nil {
		t.Error("DeleteNamespace = nil, but the namespace exists and is not being deleted")
	}
	server.Edit(at, func(o object) { o["metadata"].(object)["deletionTimestamp"] = "2026-11-24T10:00:00Z" })
	if err := c.DeleteNamespace(context.Background(), namespace); err != nil {
		t.Errorf("DeleteNamespace of a namespace that is being deleted = %v, want nil", err)
	}
}

func TestALostDeletionIsReportedAndNotRepeated(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"not carried out": {CutBefore: true},
		"carried out":     {CutAfter: true},
		"gateway timeout": {Status: http.StatusGatewayTimeout},
		"request timeout": {Status: http.StatusRequestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := connect(t)
			job := putJob(server, "mtmount", nil)
			server.Faults = func(*http.Request) kubetest.Fault { return fault }
			var lost *cluster.LostError
			if err := c.DeleteJob(context.Background(), job); !errors.As(err, &lost) {
				t.Errorf("DeleteJob = %v, want a *LostError", err)
			}
			if n := server.Requests(http.MethodDelete); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestARefusedDeletionIsNotLost(t *testing.T) {
	server, c := connect(t)
	job := putJob(server, "mtmount", nil)
	server.Faults = func(*http.Request) kubetest.Fault { return kubetest.Fault{Status: http.StatusForbidden} }
	var lost *cluster.LostError
	if err := c.DeleteJob(context.Background(), job); err == nil || errors.As(err, &lost) {
		t.Errorf("DeleteJob = %v, want an error that is no *LostError", err)
	}

	unreachable, err := cluster.Connect(server.Kubeconfig(t), "other")
	if err != nil {
		t.Fatal(err)
	}
	if err := unreachable.DeleteJob(context.Background(), job); err == nil || errors.As(err, &lost) {
		t.Errorf("DeleteJob without a server = %v, want an error that is no *LostError", err)
	}

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.DeleteJob(ended, job); !errors.Is(err, context.Canceled) || errors.As(err, &lost) {
		t.Errorf("DeleteJob with an ended context = %v, want context.Canceled and no *LostError", err)
	}
}

func TestRemainingJobs(t *testing.T) {
	server, c := connect(t)
	const pods = "/api/v1/namespaces/simonyitel/pods/"
	there := putJob(server, "there", nil)
	owned := putJob(server, "owned", nil)
	orphan := putJob(server, "orphan", nil)
	named := putJob(server, "named", nil)
	again := putJob(server, "again", nil)
	gone := putJob(server, "gone", nil)
	for _, name := range []string{"owned", "orphan", "named", "again", "gone"} {
		server.Remove(jobsPath + name)
	}
	server.Put(pods+"owned-x", kubetest.Object{"metadata": kubetest.Object{"ownerReferences": []any{kubetest.Owner("owned", owned.UID)}}})
	server.Put(pods+"orphan-x", kubetest.Object{"metadata": kubetest.Object{"labels": kubetest.Object{"batch.kubernetes.io/controller-uid": orphan.UID}}})
	server.Put(pods+"named-x", kubetest.Object{"metadata": kubetest.Object{"labels": kubetest.Object{"job-name": "named"}}})
	newer := putJob(server, "again", nil)
	server.Put(pods+"again-x", kubetest.Object{"metadata": kubetest.Object{
		"labels":          kubetest.Object{"job-name": "again", "controller-uid": newer.UID},
		"ownerReferences": []any{kubetest.Owner("again", newer.UID)},
	}})

	got, err := c.RemainingJobs(context.Background(), []cluster.Object{there, owned, orphan, named, again, gone})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]cluster.Object{there, owned, orphan, named}, got); d != "" {
		t.Errorf("remaining (-want +got):\n%s", d)
	}
}

func TestNamespacesAreDeletedByTheirUID(t *testing.T) {
	server, c := connect(t)
	const at = "/api/v1/namespaces/"
	put := func(name string, labels kubetest.Object) {
		server.Put(at+name, kubetest.Object{"metadata": kubetest.Object{"labels": labels}})
	}
	put("nublado-ann", kubetest.Object{"argocd.argoproj.io/instance": "nublado-users"})
	put("nublado-bob", kubetest.Object{"argocd.argoproj.io/instance": "nublado-users"})
	put("argocd", nil)
	ctx := context.Background()
	found, err := c.Namespaces(ctx, "argocd.argoproj.io/instance=nublado-users")
	if err != nil || len(found) != 2 {
		t.Fatalf("Namespaces = %v, %v, want two", found, err)
	}

	server.Remove(at + "nublado-bob") // the user comes back in between
	put("nublado-bob", kubetest.Object{"argocd.argoproj.io/instance": "nublado-users"})
	for _, n := range found {
		if err := c.DeleteNamespace(ctx, n); err != nil {
			t.Errorf("DeleteNamespace(%q) = %v", n, err)
		}
	}
	if d := cmp.Diff([]kubetest.Write{{Method: http.MethodDelete, Path: at + "nublado-ann"}}, server.Writes()); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}

	left, err := c.RemainingNamespaces(ctx, found)
	if err != nil || !slices.Equal(left, found[:1]) {
		t.Errorf("RemainingNamespaces = %v, %v, want only nublado-ann, which is being deleted", left, err)
	}
	server.Remove(at + "nublado-ann")
	if left, err = c.RemainingNamespaces(ctx, found); err != nil || len(left) != 0 {
		t.Errorf("RemainingNamespaces = %v, %v, want none", left, err)
	}
}
