package ground_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
)

// argo is what the tests of Argo CD use.
type argo struct {
	*ground.ArgoCD
	ground  *ground.Cluster
	cluster *cluster.Cluster
	client  *argocd.Client
}

func connectArgo(t *testing.T) argo {
	t.Helper()
	a, err := sharedArgoCD()
	if err != nil {
		t.Fatal(err)
	}
	c, client := connect(t)
	return argo{ArgoCD: a, ground: c, cluster: client, client: argocd.New(client, "argocd", clock.Real())}
}

// refreshed returns an application after Argo CD has compared it again.
func (a argo) refreshed(t *testing.T, name string) argocd.Application {
	t.Helper()
	if err := a.client.Refresh(t.Context(), name, false); err != nil {
		t.Fatal(err)
	}
	app, err := a.client.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// completed waits until a sync ends.
func (a argo) completed(t *testing.T, name, identity string, sent argocd.SyncRequest) argocd.Operation {
	t.Helper()
	var o argocd.Operation
	a.ground.Until(t, ground.Limit, fmt.Sprintf("the sync of %q has ended", name), func(ctx context.Context) (done bool, err error) {
		if o, err = a.client.Operation(ctx, name, identity, sent); err != nil {
			return false, err
		}
		return o.Completed(), fmt.Errorf("%+v", o)
	})
	return o
}

// compared waits until Argo CD has compared an application since its last
// operation.
func (a argo) compared(t *testing.T, name string) argocd.Application {
	t.Helper()
	var app argocd.Application
	a.ground.Until(t, ground.Limit, fmt.Sprintf("%q is compared", name), func(ctx context.Context) (done bool, err error) {
		app, err = a.client.Get(ctx, name)
		return err == nil && !app.Stale, err
	})
	return app
}

// commit commits new tags for the images of some CSCs; the others keep theirs.
func (a argo) commit(t *testing.T, tags map[string]string) (revision string) {
	t.Helper()
	for csc, tag := range tags {
		row, ok := site().CSC(csc)
		if !ok {
			t.Fatalf("no CSC %q", csc)
		}
		committed[csc] = image(row.Job.CSCClass, tag)
	}
	return a.Deployment.Commit(t, "c0044", committed)
}

// committed has the images currently in the repository.
var committed = func() map[string]string {
	before := map[string]string{}
	for _, row := range site().CSCs {
		before[row.CSC] = image(row.Job.CSCClass, "c0044.006")
	}
	return before
}()

func resources(app argocd.Application) []string {
	var names []string
	for _, r := range app.OutOfSync {
		names = append(names, r.String())
	}
	return names
}

func named(namespace string, names ...string) []argocd.Resource {
	var list []argocd.Resource
	for _, name := range names {
		kind, rest, _ := strings.Cut(name, " ")
		r := argocd.Resource{Kind: kind, Namespace: namespace, Name: rest}
		if kind == "Job" {
			r.Group = "batch"
		}
		list = append(list, r)
	}
	return list
}

func (a argo) deleteJob(t *testing.T, namespace, name, cscName string) {
	t.Helper()
	job := find(t, a.cluster, namespace, cscName)
	if err := a.cluster.DeleteJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, a.ground, a.cluster, job)
}

// First an incremental upgrade's sync, then a full one's of the same
// application: a sync of all after a sync of some must not become one of some.
func TestASyncOfSomeResourcesAndThenOfAll(t *testing.T) {
	a := connectArgo(t)
	ctx := t.Context()
	before, err := a.client.Get(ctx, "simonyitel")
	if err != nil || before.SyncStatus != "Synced" || before.Project != "telescope" || before.TargetRevision != "main" || before.OperationBy != "ground" {
		t.Fatalf("Get before = %+v, %v, want it synced by ground", before, err)
	}
	revision := a.commit(t, map[string]string{"MTMount:0": "c0044.007", "MTAOS:0": "c0044.007"})
	app := a.refreshed(t, "simonyitel")
	if app.Revision != revision || app.SyncStatus != "OutOfSync" || !slices.Contains(resources(app), "Job simonyitel/mtmount") || !slices.Contains(resources(app), "Job simonyitel/mtaos") {
		t.Fatalf("after the commit %s and a refresh: %+v, want both Jobs out of sync at that revision", revision, app)
	}

	a.deleteJob(t, "simonyitel", "mtmount", "mtmount")
	some := argocd.SyncRequest{Operator: "ann", Resources: named("simonyitel", "Job mtmount", "ConfigMap mtmount-configfile", "ConfigMap mtmount-obsenv-configfile")}
	if err := a.client.Sync(ctx, "simonyitel", "run1/sync/1", some); err != nil {
		t.Fatal(err)
	}
	o := a.completed(t, "simonyitel", "run1/sync/1", some)
	if !o.Found || o.Pending || o.Phase != "Succeeded" || o.SyncChanged || o.Revision != revision || o.FinishedAt.IsZero() {
		t.Fatalf("the sync of some: %+v, want it found, as it was sent, and succeeded at %s", o, revision)
	}
	for _, r := range o.Results {
		if !strings.HasPrefix(r.Name, "mtmount") {
			t.Errorf("the sync of mtmount's resources touched %v", r)
		}
	}
	awaitImage(t, a.ground, a.cluster, "simonyitel", "mtmount", image("mtmount", "c0044.007"))
	awaitImage(t, a.ground, a.cluster, "simonyitel", "mtaos", image("mtaos", "c0044.006"))
	if app := a.compared(t, "simonyitel"); app.SyncStatus != "OutOfSync" || app.OperationBy != "ann (csu run1/sync/1)" || !slices.Contains(resources(app), "Job simonyitel/mtaos") || slices.Contains(resources(app), "Job simonyitel/mtmount") {
		t.Errorf("after the sync of some: %+v, want mtaos still out of sync, but not mtmount", app)
	}
	if err := a.client.Sync(ctx, "simonyitel", "run1/sync/1", some); err != nil {
		t.Errorf("Sync under the same identity = %v, want nil", err)
	}
	if again := a.completed(t, "simonyitel", "run1/sync/1", some); !again.FinishedAt.Equal(o.FinishedAt) {
		t.Errorf("the sync was carried out twice: it ended at %s and at %s", o.FinishedAt, again.FinishedAt)
	}

	a.deleteJob(t, "simonyitel", "mtaos", "mtaos")
	all := argocd.SyncRequest{Operator: "ann"}
	if err := a.client.Sync(ctx, "simonyitel", "run1/sync-all/1", all); err != nil {
		t.Fatal(err)
	}
	if o := a.completed(t, "simonyitel", "run1/sync-all/1", all); !o.Found || o.Phase != "Succeeded" || o.SyncChanged {
		t.Errorf("the sync of all: %+v, want it found, as it was sent, and succeeded", o)
	}
	awaitImage(t, a.ground, a.cluster, "simonyitel", "mtaos", image("mtaos", "c0044.007"))
	app = a.compared(t, "simonyitel")
	if app.SyncStatus != "Synced" || app.Revision != revision || len(app.OutOfSync) != 0 || app.OperationRunning {
		t.Errorf("after the sync of all: %+v, want it synced", app)
	}
	for _, want := range []string{image("mtmount", "c0044.007"), image("mtaos", "c0044.007")} {
		if !slices.Contains(app.Images, want) {
			t.Errorf("images are %v, want %s among them", app.Images, want)
		}
	}
	if o, err := a.client.Operation(ctx, "simonyitel", "run1/sync/1", some); err != nil || o.Found || o.Other != "ann (csu run1/sync-all/1)" {
		t.Errorf("the sync of some, after another: %+v, %v, want it no longer found, and the other named", o, err)
	}
}

func TestTheStateOfAnEarlierOperationIsNotOurs(t *testing.T) {
	a := connectArgo(t)
	request := argocd.SyncRequest{Operator: "ann"}
	o, err := a.client.Operation(t.Context(), "envsys", "run2/sync/1", request)
	if err != nil || o.Found || o.Phase != "" || o.Other != "ground" {
		t.Errorf("Operation = %+v, %v, want nothing found: only ground has synced it, successfully", o, err)
	}
	if err := a.client.Sync(t.Context(), "envsys", "run2/sync/1", request); err != nil {
		t.Fatal(err)
	}
	// From now on, any operation found is ours, and never ground's.
	o, err = a.client.Operation(t.Context(), "envsys", "run2/sync/1", request)
	if err != nil || !o.Found {
		t.Errorf("Operation right after Sync = %+v, %v, want it found", o, err)
	}
	if o := a.completed(t, "envsys", "run2/sync/1", request); o.Phase != "Succeeded" || o.SyncChanged {
		t.Errorf("Operation = %+v, want it succeeded as it was sent", o)
	}
	if o, err := a.client.Operation(t.Context(), "envsys", "run2/sync/2", request); err != nil || o.Found || o.Other != "ann (csu run2/sync/1)" {
		t.Errorf("Operation of the next attempt = %+v, %v, want nothing found", o, err)
	}
}

// Argo CD omits what an application does not have. A successful sync then
// proves nothing; only the results do.
func TestASyncOfWhatIsNotThereSucceedsWithoutResults(t *testing.T) {
	a := connectArgo(t)
	request := argocd.SyncRequest{Operator: "ann", Resources: named("auxtel", "ConfigMap none")}
	if err := a.client.Sync(t.Context(), "auxtel", "run9/sync/1", request); err != nil {
		t.Fatal(err)
	}
	o := a.completed(t, "auxtel", "run9/sync/1", request)
	if !o.Found || o.Phase != "Succeeded" || o.SyncChanged || len(o.Results) != 0 {
		t.Errorf("Operation = %+v, want it succeeded, with no result", o)
	}
}

func TestAFailingSyncIsReportedInArgoCDsWords(t *testing.T) {
	a := connectArgo(t)
	awaitImage(t, a.ground, a.cluster, "obssys", "watcher", image("watcher", "c0044.006"))
	a.commit(t, map[string]string{"Watcher:0": "c0044.007"})
	a.refreshed(t, "obssys")
	// The Job has not been deleted before.
	request := argocd.SyncRequest{Operator: "ann"}
	if err := a.client.Sync(t.Context(), "obssys", "run3/sync/1", request); err != nil {
		t.Fatal(err)
	}
	o := a.completed(t, "obssys", "run3/sync/1", request)
	if !o.Found || o.Phase != "Failed" || o.Message == "" {
		t.Fatalf("Operation = %+v, want it failed with a message", o)
	}
	i := slices.IndexFunc(o.Results, func(r argocd.ResourceResult) bool { return r.Kind == "Job" && r.Name == "watcher" })
	if i < 0 || o.Results[i].Status != "SyncFailed" || !strings.Contains(o.Results[i].Message, "field is immutable") {
		t.Errorf("results are %+v, want the Job's, which says that its field is immutable", o.Results)
	}
	awaitImage(t, a.ground, a.cluster, "obssys", "watcher", image("watcher", "c0044.006"))

	a.deleteJob(t, "obssys", "watcher", "watcher")
	if err := a.client.Sync(t.Context(), "obssys", "run3/sync/2", request); err != nil {
		t.Fatal(err)
	}
	if o := a.completed(t, "obssys", "run3/sync/2", request); o.Phase != "Succeeded" {
		t.Errorf("Operation once the Job is deleted = %+v, want it succeeded", o)
	}
	awaitImage(t, a.ground, a.cluster, "obssys", "watcher", image("watcher", "c0044.007"))
}

// The cycle's tag reaches the applications through the app of apps.
func TestTheAppOfAppsBringsTheCycle(t *testing.T) {
	a := connectArgo(t)
	next := maps.Clone(committed)
	next["ATDome:0"] = image("atdome", "c0045")
	a.Deployment.Commit(t, "c0045", next)
	defer func() {
		a.commit(t, nil)
		a.Sync(t, "science-platform")
	}()
	if app := a.refreshed(t, "auxtel"); slices.Contains(resources(app), "Job auxtel/atdome") && slices.Contains(app.Images, image("atdome", "c0045")) {
		t.Errorf("before the app of apps is synced: %+v, want nothing of the new cycle", app)
	}
	app := a.refreshed(t, "science-platform")
	if !slices.Contains(resources(app), "Application argocd/auxtel") {
		t.Fatalf("science-platform: %+v, want auxtel out of sync", app)
	}
	request := argocd.SyncRequest{Operator: "ann"}
	if err := a.client.Sync(t.Context(), "science-platform", "run4/platform/1", request); err != nil {
		t.Fatal(err)
	}
	if o := a.completed(t, "science-platform", "run4/platform/1", request); o.Phase != "Succeeded" || o.SyncChanged {
		t.Fatalf("Operation = %+v, want it succeeded as it was sent", o)
	}
	a.refreshed(t, "auxtel")
	a.deleteJob(t, "auxtel", "atdome", "atdome")
	if err := a.client.Sync(t.Context(), "auxtel", "run4/auxtel/1", request); err != nil {
		t.Fatal(err)
	}
	if o := a.completed(t, "auxtel", "run4/auxtel/1", request); o.Phase != "Succeeded" {
		t.Fatalf("Operation = %+v, want it succeeded", o)
	}
	awaitImage(t, a.ground, a.cluster, "auxtel", "atdome", image("atdome", "c0045"))
}

// addApplication creates an Application besides those of the site, with plain
// manifests.
func (a argo) addApplication(t *testing.T, name, project, manifests string) {
	t.Helper()
	a.ground.AddNamespace(t, name, nil)
	a.Deployment.Add(t, "others/"+name+"/manifests.yaml", manifests)
	a.ground.Apply(t, fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: argocd}
spec:
  project: %[2]s
  destination: {server: 'https://kubernetes.default.svc', namespace: %[1]s}
  source: {repoURL: %[3]q, targetRevision: %[4]s, path: others/%[1]s}
`, name, project, a.Deployment.URL, a.Deployment.Branch))
}

// waits are the manifests of an application whose sync runs until the pod of
// its hook ends.
const waits = `
apiVersion: batch/v1
kind: Job
metadata: {name: migration, annotations: {argocd.argoproj.io/hook: PreSync}}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: migration, image: 'example.org/migration:1'}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: migrated}
`

func TestOfManySyncsOneIsAccepted(t *testing.T) {
	a := connectArgo(t)
	a.addApplication(t, "contested", "telescope", waits)
	a.refreshed(t, "contested")
	request := argocd.SyncRequest{Operator: "ann"}
	var errs [6]error
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = a.client.Sync(t.Context(), "contested", fmt.Sprintf("run%d/sync/1", i), request)
		})
	}
	all.Wait()
	taken := 0
	for i, err := range errs {
		o, look := a.client.Operation(t.Context(), "contested", fmt.Sprintf("run%d/sync/1", i), request)
		if look != nil {
			t.Fatal(look)
		}
		var busy *argocd.BusyError
		switch {
		case err == nil && o.Found:
			taken++
		case err == nil || o.Found || !errors.As(err, &busy):
			t.Errorf("Sync of run%d = %v, and its operation %+v; want either the operation, or a *BusyError and no operation", i, err, o)
		}
	}
	if taken != 1 {
		t.Errorf("%d syncs were accepted, want one", taken)
	}
	a.ground.Until(t, ground.Limit, "the hook has a pod that runs", func(ctx context.Context) (bool, error) {
		images, err := a.cluster.JobImages(ctx, "contested", []string{"migration"})
		return err == nil && images[0].Running, err
	})
	if err := a.ground.EndPods(t.Context(), "contested", "migration", 0); err != nil {
		t.Fatal(err)
	}
}

func TestASyncIsRefusedWhileAnotherRuns(t *testing.T) {
	a := connectArgo(t)
	a.addApplication(t, "hooked", "telescope", waits)
	bob, ann := argocd.SyncRequest{Operator: "bob"}, argocd.SyncRequest{Operator: "ann"}
	if err := a.client.Sync(t.Context(), "hooked", "run5/sync/1", bob); err != nil {
		t.Fatal(err)
	}
	a.ground.Until(t, ground.Limit, "the sync waits for its hook", func(ctx context.Context) (bool, error) {
		o, err := a.client.Operation(ctx, "hooked", "run5/sync/1", bob)
		if err != nil {
			return false, err
		}
		return o.Phase == "Running" && strings.Contains(o.Message, "migration"), fmt.Errorf("%+v", o)
	})
	app, err := a.client.Get(t.Context(), "hooked")
	if err != nil || !app.OperationRunning || app.OperationBy != "bob (csu run5/sync/1)" {
		t.Errorf("Get = %+v, %v, want bob's operation, running", app, err)
	}
	var busy *argocd.BusyError
	if err := a.client.Sync(t.Context(), "hooked", "run6/sync/1", ann); !errors.As(err, &busy) || busy.Phase != "Running" || busy.By != "bob (csu run5/sync/1)" {
		t.Errorf("Sync = %v, want a *BusyError that names bob's", err)
	}
	if o, err := a.client.Operation(t.Context(), "hooked", "run6/sync/1", ann); err != nil || o.Found {
		t.Errorf("Operation of the refused sync = %+v, %v, want nothing found", o, err)
	}
	if err := a.ground.EndPods(t.Context(), "hooked", "migration", 0); err != nil {
		t.Fatal(err)
	}
	if o := a.completed(t, "hooked", "run5/sync/1", bob); o.Phase != "Succeeded" || o.SyncChanged {
		t.Errorf("Operation = %+v, want bob's as it was sent, undisturbed", o)
	}
	if err := a.client.Sync(t.Context(), "hooked", "run6/sync/1", ann); err != nil {
		t.Errorf("Sync after the other's end = %v", err)
	}
}

const closedProject = `
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: closed, namespace: argocd}
spec:
  sourceRepos: ['*']
  destinations: [{server: '*', namespace: '*'}]
  clusterResourceWhitelist: [{group: '*', kind: '*'}]
  syncWindows: [%s]
`

func TestASyncBlockedByAWindow(t *testing.T) {
	a := connectArgo(t)
	a.ground.Apply(t, fmt.Sprintf(closedProject, `{kind: deny, schedule: '* * * * *', duration: 1h, applications: ['*']}`))
	a.addApplication(t, "windowed", "closed", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: windowed}\n")
	a.refreshed(t, "windowed")
	request := argocd.SyncRequest{Operator: "ann"}
	if err := a.client.Sync(t.Context(), "windowed", "run7/sync/1", request); err != nil {
		t.Fatal(err)
	}
	blocked := func(ctx context.Context) (bool, error) {
		o, err := a.client.Operation(ctx, "windowed", "run7/sync/1", request)
		if err != nil {
			return false, err
		}
		return o.Found && o.Phase == "Running" && strings.Contains(o.Message, "blocked by sync window"), fmt.Errorf("%+v", o)
	}
	a.ground.Until(t, ground.Limit, "Argo CD says that a window blocks the sync", blocked)
	time.Sleep(3 * time.Second)
	if still, err := blocked(t.Context()); !still {
		t.Errorf("the sync did not stay blocked: %v", err)
	}
	a.ground.Apply(t, fmt.Sprintf(closedProject, ""))
	// Argo CD checks the window again eventually; a refresh makes it check now,
	// if it already knows of the project's change.
	a.ground.Until(t, ground.Limit, "Argo CD sees that the window is open", func(ctx context.Context) (bool, error) {
		if err := a.client.Refresh(ctx, "windowed", false); err != nil {
			return false, err
		}
		o, err := a.client.Operation(ctx, "windowed", "run7/sync/1", request)
		if err != nil {
			return false, err
		}
		return !strings.Contains(o.Message, "blocked by sync window"), fmt.Errorf("%+v", o)
	})
	if o := a.completed(t, "windowed", "run7/sync/1", request); o.Phase != "Succeeded" {
		t.Errorf("Operation once the window is open = %+v, want it succeeded", o)
	}
}

func TestAnApplicationThatCannotBeCompared(t *testing.T) {
	a := connectArgo(t)
	a.addApplication(t, "broken", "telescope", "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n")
	app := a.refreshed(t, "broken")
	if app.SyncStatus != "Unknown" || len(app.Problems) == 0 || !strings.HasPrefix(app.Problems[0], "ComparisonError: ") {
		t.Errorf("Get = %+v, want Unknown with Argo CD's ComparisonError", app)
	}
	request := argocd.SyncRequest{Operator: "ann"}
	if err := a.client.Sync(t.Context(), "broken", "run8/sync/1", request); err != nil {
		t.Fatal(err)
	}
	if o := a.completed(t, "broken", "run8/sync/1", request); o.Phase != "Error" && o.Phase != "Failed" || o.Message == "" {
		t.Errorf("Operation = %+v, want it failed with a message", o)
	}
}

func TestAMissingApplication(t *testing.T) {
	a := connectArgo(t)
	var missing *argocd.MissingError
	if _, err := a.client.Get(t.Context(), "mtcamera"); !errors.As(err, &missing) {
		t.Errorf("Get = %v, want a *MissingError", err)
	}
	if err := a.client.Refresh(t.Context(), "mtcamera", false); !errors.As(err, &missing) {
		t.Errorf("Refresh = %v, want a *MissingError", err)
	}
}
