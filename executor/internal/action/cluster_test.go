package action

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	jobs         = "/apis/batch/v1/namespaces/simonyitel/jobs/"
	pods         = "/api/v1/namespaces/simonyitel/pods/"
	applications = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/"
)

// newCluster returns an API server and systems that talk to it. Time runs 1000
// times faster than real time.
func newCluster(t *testing.T) (*kubetest.Server, *Systems) {
	t.Helper()
	server := kubetest.Start(t)
	c, err := cluster.Connect(server.Kubeconfig(t), server.Context)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	clk := clock.Fast(now, now, 1000)
	c.SetClock(clk)
	return server, &Systems{Clock: clk, Cluster: c, ArgoCD: argocd.New(c, "argocd", clk)}
}

// jobOf returns a CSC that runs as a Job in simonyitel.
func jobOf(csc, job string) plan.CSC {
	return plan.CSC{CSC: csc, Image: "ts-dockerhub.lsst.org/" + job + ":c0045", Job: &plan.Job{Namespace: "simonyitel", Name: job}}
}

func putJob(server *kubetest.Server, name string) string {
	return server.Put(jobs+name, kubetest.Object{"metadata": kubetest.Object{"labels": kubetest.Object{"csc": name}}})
}

var deleteJobs = &plan.Delete{Objects: plan.Jobs, Namespace: "simonyitel", Selector: "csc", CSCs: []string{"MTMount:0", "MTRotator:0"}}

func newDelete(t *testing.T, systems *Systems) *try {
	y := newTry(t, systems, deleteJobs, jobOf("MTMount:0", "mtmount"), jobOf("MTRotator:0", "mtrotator"), jobOf("MTM2:0", "mtm2"))
	y.Limit = 20 * time.Second
	// The Jobs that exist now existed when the run began.
	listed, err := TakeInventory(t.Context(), systems, deleteJobs)
	if err == nil {
		y.Inventory, err = json.Marshal(listed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// Jobs that were created since the run began may belong to a later upgrade, so only
// the operator can decide that csu deletes them.
func TestDeleteAsksAboutNewJobs(t *testing.T) {
	server, systems := newCluster(t)
	putJob(server, "mtmount")
	putJob(server, "mtrotator")
	for name, c := range map[string]struct {
		answers []operator.Choice
		want    string // of the error; "" is none
	}{
		"no answer":    {nil, "the operator has not agreed"},
		"no":           {[]operator.Choice{operator.No}, "the operator declined"},
		"yes":          {[]operator.Choice{operator.Yes}, ""},
		"no inventory": {nil, "the operator has not agreed"},
	} {
		y := newDelete(t, systems)
		y.answers = c.answers
		if name == "no inventory" {
			y.Inventory = nil // as if the cluster was down when the run began
		} else {
			server.Remove(jobs + "mtrotator")
			putJob(server, "mtrotator") // with another UID
		}
		evidence, err := Of(deleteJobs).Prepare(t.Context(), y.Attempt)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: prepare = %v, want %q", name, err, c.want)
		}
		if len(y.asked) != 1 || y.asked[0].Topic != operator.Unexpected || !strings.Contains(y.asked[0].Reading, "simonyitel/mtrotator") {
			t.Fatalf("%s: asked %+v, want one question about the new Job", name, y.asked)
		}
		if known := strings.Contains(y.asked[0].Reading, "simonyitel/mtmount"); known != (name == "no inventory") {
			t.Errorf("%s: asked about %s, want only the Jobs not in the inventory", name, y.asked[0].Reading)
		}
		if i, _ := evidence.(Inventory); err == nil && len(i.Objects) != 2 {
			t.Errorf("%s: evidence %+v, want both Jobs", name, evidence)
		}
	}
	y := newDelete(t, systems)
	y.Inventory = json.RawMessage("[]")
	if _, err := Of(deleteJobs).Prepare(t.Context(), y.Attempt); err == nil || len(y.asked) > 0 {
		t.Errorf("prepare with a malformed inventory = %v, %d questions, want an error and no question", err, len(y.asked))
	}
	if n := deletions(server); n != 0 {
		t.Errorf("%d deletions, want none", n)
	}
}

func deletions(server *kubetest.Server) (n int) {
	for _, w := range server.Writes() {
		if w.Method == http.MethodDelete {
			n++
		}
	}
	return n
}

func TestDeleteWaitsForThePods(t *testing.T) {
	server, systems := newCluster(t)
	uid := putJob(server, "mtmount")
	server.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "img"))
	y := newDelete(t, systems)
	expect(t, y.perform(t), Running, "some of their pods have not ended", "simonyitel/mtmount")
	if progress := strings.Join(y.progress, "\n"); !strings.Contains(progress, "Jobs already gone: MTRotator:0") {
		t.Errorf("progress %q, want the Job that was already gone", progress)
	}
	expect(t, y.probe(t), Running)
	server.Remove(pods + "mtmount-x")
	expect(t, Of(deleteJobs).Await(t.Context(), y.Attempt), Done, "the Job and its pods")
	expect(t, y.probe(t), Done)

	// A resumed attempt does not delete a newer Job of the same name.
	putJob(server, "mtmount")
	expect(t, Of(deleteJobs).Perform(t.Context(), y.Attempt), Done)
	if server.Get(jobs+"mtmount") == nil {
		t.Error("a newer Job was deleted")
	}
	nothing := newDelete(t, systems)
	server.Remove(jobs + "mtmount")
	expect(t, nothing.perform(t), Done, "nothing to do")
}

func TestDeleteRefusesWhatThePlanDoesNotName(t *testing.T) {
	for job, says := range map[string]string{"mtm2": "simonyitel/mtm2 of MTM2:0, which this step must not delete", "newcomer": "simonyitel/newcomer, which is not in the plan"} {
		server, systems := newCluster(t)
		putJob(server, "mtmount")
		putJob(server, job)
		y := newDelete(t, systems)
		_, err := Of(deleteJobs).Prepare(t.Context(), y.Attempt)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: prepare = %v, want an error with %q", job, err, says)
		}
	}
}

func TestDeleteThatIsRefusedOrLost(t *testing.T) {
	server, systems := newCluster(t)
	putJob(server, "mtmount")
	putJob(server, "mtrotator")
	onDelete := func(path string, f kubetest.Fault) func(*http.Request) kubetest.Fault {
		return func(r *http.Request) kubetest.Fault {
			if r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, path) {
				return f
			}
			return kubetest.Fault{}
		}
	}
	server.Faults = onDelete("", kubetest.Fault{Status: http.StatusForbidden})
	y := newDelete(t, systems)
	expect(t, y.perform(t), NotDone, "nothing was deleted")

	server.Faults = onDelete("mtrotator", kubetest.Fault{Status: http.StatusForbidden})
	y = newDelete(t, systems)
	expect(t, y.perform(t), Failed, "1 of 2 jobs are still there", "ask the cluster's administrators")
	expect(t, y.probe(t), CutShort, "1 of 2 jobs are still there", "simonyitel/mtrotator")

	server.Faults = onDelete("mtrotator", kubetest.Fault{CutBefore: true})
	y = newDelete(t, systems)
	expect(t, y.perform(t), NotDone, "all 1 jobs are still there")
	server.Faults = onDelete("mtrotator", kubetest.Fault{CutAfter: true})
	y = newDelete(t, systems)
	expect(t, y.perform(t), Done)
	if n := deletions(server); n != 2 {
		t.Errorf("%d deletions were carried out, want 2", n)
	}
}

func TestDeleteThatWasCutShort(t *testing.T) {
	server, systems := newCluster(t)
	uid := putJob(server, "mtmount")
	putJob(server, "mtrotator")
	server.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "img"))
	y := newDelete(t, systems)
	y.prepare(t)
	expect(t, y.probe(t), NotDone, "all 2 jobs are still there")
	// csu ended after the first deletion, so a retry will not know about that pod.
	server.Remove(jobs + "mtmount")
	expect(t, y.probe(t), Running, "some of their pods have not ended")
	expect(t, Of(deleteJobs).Await(t.Context(), y.Attempt), Running)
	server.Remove(pods + "mtmount-x")
	expect(t, Of(deleteJobs).Await(t.Context(), y.Attempt), CutShort, "1 of 2 jobs are still there", "simonyitel/mtrotator")
	server.Faults = func(*http.Request) kubetest.Fault { return kubetest.Fault{Status: http.StatusForbidden} }
	expect(t, y.probe(t), Unknown, "cannot determine")
}

func TestDeleteNamespaces(t *testing.T) {
	server, systems := newCluster(t)
	for _, name := range []string{"nublado-ann", "nublado-bob"} {
		server.Put("/api/v1/namespaces/"+name, kubetest.Object{"metadata": kubetest.Object{"labels": kubetest.Object{"argocd.argoproj.io/instance": "nublado-users"}}})
	}
	server.Put("/api/v1/namespaces/obssys", kubetest.Object{})
	d := &plan.Delete{Objects: plan.Namespaces, Selector: "argocd.argoproj.io/instance=nublado-users"}
	y := newTry(t, systems, d)
	y.Limit = 10 * time.Second
	reading, err := Of(d).Reading(t.Context(), y.Attempt)
	if want := "2 namespaces: nublado-ann, nublado-bob"; err != nil || reading != want {
		t.Errorf("reading = %q, %v, want %q", reading, err, want)
	}
	expect(t, y.perform(t), Running, "2 of 2 namespaces are still terminating")
	server.Remove("/api/v1/namespaces/nublado-ann")
	expect(t, y.probe(t), Running, "1 of 2")
	server.Remove("/api/v1/namespaces/nublado-bob")
	expect(t, Of(d).Await(t.Context(), y.Attempt), Done)
	if server.Get("/api/v1/namespaces/obssys") == nil {
		t.Error("a namespace without the label was deleted")
	}
}
