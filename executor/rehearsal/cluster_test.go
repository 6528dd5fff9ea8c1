package rehearsal

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	argocdapi "github.com/lsst-ts/csu/executor/internal/argocd"
	clusterapi "github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan"
)

// deleteJobs deletes the Jobs that match a selector and waits until they are gone.
func deleteJobs(t *testing.T, s *Site, namespace, selector string) {
	t.Helper()
	c := s.clusterClient(t)
	found, err := c.Jobs(t.Context(), namespace, selector)
	if err != nil || len(found) == 0 {
		t.Fatalf("Jobs = %v, %v", found, err)
	}
	for _, j := range found {
		if err := c.DeleteJob(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	gone := until(time.Millisecond, func() bool {
		left, err := c.RemainingJobs(t.Context(), found)
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
	if !gone {
		t.Fatal("the Jobs were not deleted")
	}
}

// syncApplication syncs an application and returns the completed operation.
func syncApplication(t *testing.T, s *Site, name, identity string, request argocdapi.SyncRequest) argocdapi.Operation {
	t.Helper()
	a := argocdapi.New(s.clusterClient(t), "argocd", s.clk)
	if err := a.Sync(t.Context(), name, identity, request); err != nil {
		t.Fatal(err)
	}
	var o argocdapi.Operation
	completed := until(time.Millisecond, func() (ended bool) {
		var err error
		if o, err = a.Operation(t.Context(), name, identity, request); err != nil {
			t.Fatal(err)
		}
		return o.Completed()
	})
	if !completed {
		t.Fatal("the sync did not complete")
	}
	if o.SyncChanged {
		t.Error("the sync carried out differs from the one requested")
	}
	return o
}

func TestDeletedJobSilencesItsCSCAndASyncBringsItBack(t *testing.T) {
	s := start(t, smallPlan())
	a := argocdapi.New(s.clusterClient(t), "argocd", s.clk)
	if err := a.Refresh(t.Context(), "simonyitel", true); err != nil {
		t.Fatal(err)
	}
	app, err := a.Get(t.Context(), "simonyitel")
	if err != nil {
		t.Fatal(err)
	}
	job := argocdapi.Resource{Group: "batch", Kind: "Job", Namespace: "simonyitel", Name: "mtmount"}
	configuration := argocdapi.Resource{Kind: "ConfigMap", Namespace: "simonyitel", Name: "mtmount-env"}
	if want := []argocdapi.Resource{job, configuration}; app.SyncStatus != "OutOfSync" || !slices.Equal(app.OutOfSync, want) {
		t.Errorf("simonyitel is %s with %v out of sync, want %v", app.SyncStatus, app.OutOfSync, want)
	}
	request := argocdapi.SyncRequest{Revision: "main", Operator: "ann", Resources: []argocdapi.Resource{job, configuration}}

	// An existing Job keeps its template.
	if o := syncApplication(t, s, "simonyitel", "r/a/1", request); o.Phase != "Failed" || !strings.Contains(o.Message, "immutable") {
		t.Errorf("with its Job still there, the sync ended %s: %s", o.Phase, o.Message)
	}
	deleteJobs(t, s, "simonyitel", "csc-class=mtmount")
	s.eventually(t, "MTMount is silent", func() bool { return !s.csc("MTMount:0").lives() })
	o := syncApplication(t, s, "simonyitel", "r/a/2", request)
	if o.Phase != "Succeeded" || o.Revision != s.commit("main") {
		t.Errorf("the sync ended %s at %s: %s", o.Phase, o.Revision, o.Message)
	}
	s.eventually(t, "MTMount is up", func() bool { return s.csc("MTMount:0").lives() })
	images, err := s.clusterClient(t).JobImages(t.Context(), "simonyitel", []string{"mtmount"})
	if err != nil || !images[0].Running || !slices.Contains(images[0].Images, "ts-dockerhub.lsst.org/mtmount:c0045.007") {
		t.Errorf("JobImages = %+v, %v", images, err)
	}
	s.eventually(t, "the application is compared again", func() bool { return !s.cluster.applications["simonyitel"].reconciling })
	if app, err = a.Get(t.Context(), "simonyitel"); err != nil || app.SyncStatus != "Synced" || app.Stale || app.Health != "Progressing" || app.TargetRevision != "main" {
		t.Errorf("afterwards: %+v, %v", app, err)
	}
	if !s.csc("ESS:105").lives() || !s.csc("Watcher:0").lives() {
		t.Error("a CSC that is not part of the sync is down")
	}
	var identities []string
	for _, e := range s.Record() {
		if e.Kind == SyncStarted {
			identities = append(identities, e.Identity)
		}
	}
	if want := []string{"r/a/1", "r/a/2"}; !slices.Equal(identities, want) {
		t.Errorf("syncs of %q, want %q", identities, want)
	}
}

func TestAppOfAppsBringsTheNewCycle(t *testing.T) {
	p := smallPlan()
	p.Type = plan.Full
	p.Stages[0].Steps = append(p.Stages[0].Steps, step("all/apps", &plan.Sync{Application: "science-platform", Revision: "main"}))
	s := start(t, p)
	a := argocdapi.New(s.clusterClient(t), "argocd", s.clk)
	before, err := a.Get(t.Context(), "envsys")
	if err != nil || before.SyncStatus != "Synced" {
		t.Fatalf("before: %+v, %v", before, err)
	}
	if o := syncApplication(t, s, "science-platform", "r/a/1", argocdapi.SyncRequest{}); o.Phase != "Succeeded" {
		t.Fatalf("the sync ended %s", o.Phase)
	}
	s.eventually(t, "envsys is compared again", func() bool {
		return s.cluster.applications["envsys"].status()["sync"].(map[string]any)["status"] == "OutOfSync"
	})
	deleteJobs(t, s, "envsys", "csc-class=ess")
	if o := syncApplication(t, s, "envsys", "r/a/2", argocdapi.SyncRequest{}); o.Phase != "Succeeded" {
		t.Fatalf("the sync ended %s: %s", o.Phase, o.Message)
	}
	if got := s.seen(JobCreated); len(got) != 2 || !strings.HasSuffix(got[0], "ess:c0045") {
		t.Errorf("Jobs created: %q", got)
	}
}

func TestOfflineCSCCompletesItsPod(t *testing.T) {
	s := start(t, smallPlan())
	if err := s.command(t.Context(), s.csc("MTMount:0"), "exitControl", "test"); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "MTMount is silent", func() bool { return !s.csc("MTMount:0").lives() })
	ended, known, err := s.clusterClient(t).PodEnded(t.Context(), "simonyitel", "mtmount")
	if !ended || !known || err != nil {
		t.Errorf("PodEnded = %v, %v, %v", ended, known, err)
	}
}

func TestJobDeletedWithoutPropagationLeavesItsPod(t *testing.T) {
	s := start(t, smallPlan())
	s.mu.Lock()
	s.cluster.removeJob(s.cluster.jobs["simonyitel/mtmount"], metav1.DeletePropagationOrphan)
	s.mu.Unlock()
	time.Sleep(30 * time.Millisecond) // more than a minute of the site's time
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.csc("MTMount:0").lives() {
		t.Error("MTMount is down although its pod was orphaned")
	}
}

func TestDeletionChecksItsPreconditions(t *testing.T) {
	s := start(t, smallPlan())
	c := s.clusterClient(t)
	// The client treats a Job with another UID as gone.
	other := clusterapi.Object{Namespace: "simonyitel", Name: "mtmount", UID: "00000000-0000-4000-8000-000000000000"}
	if err := c.DeleteJob(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if got := s.seen(JobDeleted); len(got) != 0 {
		t.Errorf("deleted: %q", got)
	}
}

func TestNubladoNamespaces(t *testing.T) {
	s := start(t, smallPlan())
	c := s.clusterClient(t)
	const users = "argocd.argoproj.io/instance=nublado-users"
	found, err := c.Namespaces(t.Context(), users)
	if err != nil || len(found) < 3 {
		t.Fatalf("Namespaces = %v, %v", found, err)
	}
	for _, n := range found {
		if err := c.DeleteNamespace(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually(t, "they are gone", func() bool { return len(s.seen(NamespaceGone)) == len(found) })
	if left, err := c.RemainingNamespaces(t.Context(), found); err != nil || len(left) > 0 {
		t.Errorf("RemainingNamespaces = %v, %v", left, err)
	}
}

// The site's ledger exists, is written only by compare-and-swap, and is the only
// ConfigMap that is served.
func TestLedger(t *testing.T) {
	s := start(t, smallPlan())
	c := s.clusterClient(t)
	first, err := c.ConfigMap(t.Context(), "csu", "csu-summit")
	if err != nil {
		t.Fatal(err)
	}
	write := func(m clusterapi.ConfigMap, text string) error {
		m.Data, m.Binary = map[string]string{"ledger": text}, map[string][]byte{"journal": {0xff}}
		_, err := c.UpdateConfigMap(t.Context(), &m)
		return err
	}
	if err := write(*first, `{"epoch": 1, "holder": {"run": "one"}}`); err != nil {
		t.Fatal(err)
	}
	var conflict *clusterapi.ConflictError
	if err := write(*first, `{"epoch": 2, "holder": {"run": "two"}}`); !errors.As(err, &conflict) {
		t.Errorf("a write over a version that was not read = %v, want a conflict", err)
	}
	now, err := c.ConfigMap(t.Context(), "csu", "csu-summit")
	if err != nil || now.Data["ledger"] != `{"epoch": 1, "holder": {"run": "one"}}` || !slices.Equal(now.Binary["journal"], []byte{0xff}) {
		t.Errorf("ConfigMap = %+v, %v", now, err)
	}
	if err := write(*now, strings.Repeat("x", 1<<20)); err == nil || errors.As(err, &conflict) {
		t.Errorf("a write of a too large ConfigMap = %v, want an error other than a conflict", err)
	}
	if err := write(*now, `{"epoch": 1, "holder": null}`); err != nil {
		t.Fatal(err)
	}
	claimed, released := s.seen(LedgerClaimed), s.seen(LedgerReleased)
	if !slices.Equal(claimed, []string{"csu/csu-summit epoch 1"}) || !slices.Equal(released, []string{"csu/csu-summit"}) {
		t.Errorf("claimed: %q, released: %q", claimed, released)
	}
	var missing *clusterapi.MissingError
	if _, err := c.ConfigMap(t.Context(), "argocd", "argocd-cm"); !errors.As(err, &missing) {
		t.Errorf("another ConfigMap = %v, want a MissingError", err)
	}
	denied, err := c.Allowed(t.Context(), []clusterapi.Permission{{Verb: "delete", Group: "batch", Resource: "jobs", Namespace: "simonyitel"}})
	if err != nil || len(denied) > 0 {
		t.Errorf("Allowed = %v, %v", denied, err)
	}
}
