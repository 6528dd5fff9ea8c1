package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lsst-ts/csu/executor/plan"
)

const refreshAnnotation = "argocd.argoproj.io/refresh"

var applicationsResource = schema.GroupResource{Group: "argoproj.io", Resource: "applications"}

// application is an Argo CD Application: the API object, and what the application
// controller knows about its source.
type application struct {
	unstructured.Unstructured
	rows   []*plan.CSC       // CSCs whose Jobs belong to it
	wanted map[string]string // image of each CSC in the source
	others []*otherResource  // resources that are not CSCs' Jobs
	// reconciling means that a comparison is already under way.
	reconciling bool
}

// otherResource is an object of which the model knows only whether it is in sync.
type otherResource struct {
	plan.Resource
	outOfSync bool
	missing   bool // not there yet
}

func (k *cluster) addApplication(name, revision string) *application {
	a := &application{wanted: map[string]string{}}
	a.Object = map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": map[string]any{
			"name": name, "namespace": k.argoNamespace(), "uid": string(newUID()), "resourceVersion": k.bump(),
			"creationTimestamp": k.site.clk.Now().UTC().Format(time.RFC3339),
		},
		"spec": map[string]any{
			"project":     k.site.plan.Targets.ArgoCD.Project,
			"source":      map[string]any{"repoURL": "https://github.com/lsst-sqre/phalanx", "path": "applications/" + name, "targetRevision": revision},
			"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": name},
		},
		"status": map[string]any{},
	}
	k.applications[name] = a
	return a
}

func (k *cluster) argoNamespace() string {
	if n := k.site.plan.Targets.ArgoCD.Namespace; n != "" {
		return n
	}
	return "argocd"
}

func (a *application) revision() string {
	r, _, _ := unstructured.NestedString(a.Object, "spec", "source", "targetRevision")
	return r
}

// resourceState is a resource of an application as a comparison finds it.
type resourceState struct {
	plan.Resource
	sync, health string
	image        string
}

// compare returns the sync status and health of an application's resources.
func (k *cluster) compare(a *application) []resourceState {
	var states []resourceState
	for _, row := range a.rows {
		r := resourceState{
			Resource: plan.Resource{Group: "batch", Kind: "Job", Namespace: row.Job.Namespace, Name: row.Job.Name},
			sync:     "Synced", health: "Progressing",
		}
		j := k.jobs[jobKey(row.Job)]
		if j == nil && a.wanted[row.CSC] == "" {
			continue // neither there nor in the source
		}
		switch {
		case j == nil:
			r.sync, r.health = "OutOfSync", "Missing"
		default:
			r.image = j.image()
			if r.image != a.wanted[row.CSC] {
				r.sync = "OutOfSync"
			}
			switch how, _ := j.finished(); how {
			case batchv1.JobComplete:
				r.health = "Healthy"
			case batchv1.JobFailed:
				r.health = "Degraded"
			}
		}
		states = append(states, r)
	}
	for _, o := range a.others {
		r := resourceState{Resource: o.Resource, sync: "Synced"}
		if o.outOfSync {
			r.sync = "OutOfSync"
		}
		if o.missing {
			r.health = "Missing"
		}
		states = append(states, r)
	}
	return states
}

// reconcile compares an application with its source and updates its status.
func (k *cluster) reconcile(a *application) {
	a.reconciling = false
	sync, health := "Synced", "Healthy"
	worst := []string{"Healthy", "Progressing", "Degraded", "Missing"}
	images := []any{}
	resources := []any{}
	for _, r := range k.compare(a) {
		if r.sync == "OutOfSync" {
			sync = "OutOfSync"
		}
		if slices.Index(worst, r.health) > slices.Index(worst, health) {
			health = r.health
		}
		if r.image != "" && !slices.Contains(images, any(r.image)) {
			images = append(images, r.image)
		}
		entry := map[string]any{"version": "v1", "kind": r.Kind, "namespace": r.Namespace, "name": r.Name, "status": r.sync}
		if r.Group != "" {
			entry["group"] = r.Group
		}
		if r.health != "" {
			entry["health"] = map[string]any{"status": r.health}
		}
		resources = append(resources, entry)
	}
	spec := runtime.DeepCopyJSON(a.Object["spec"].(map[string]any))
	status := a.status()
	status["sync"] = map[string]any{"status": sync, "revision": k.site.commit(a.revision()), "comparedTo": map[string]any{"source": spec["source"], "destination": spec["destination"]}}
	status["health"] = map[string]any{"status": health}
	status["resources"] = resources
	status["summary"] = map[string]any{"images": images}
	status["reconciledAt"] = k.now()
	annotations := a.GetAnnotations()
	delete(annotations, refreshAnnotation)
	a.SetAnnotations(annotations)
	a.SetResourceVersion(k.bump())
}

func (k *cluster) now() string { return k.site.clk.Now().UTC().Format(time.RFC3339) }

// status returns the Application's status. It adds an empty one if a client has
// left it out.
func (a *application) status() map[string]any {
	status, ok := a.Object["status"].(map[string]any)
	if !ok {
		status = map[string]any{}
		a.Object["status"] = status
	}
	return status
}

// compareSoon makes the controller compare an application in a few seconds.
func (k *cluster) compareSoon(a *application) {
	if a.reconciling {
		return
	}
	a.reconciling = true
	k.site.after(k.site.between("compare "+a.GetName(), time.Second, 4*time.Second), func() { k.reconcile(a) })
}

// changed is called when a Job or its pod has changed, since the controller watches
// them.
func (k *cluster) changed(j *job) {
	if j.csc == nil {
		return
	}
	if a := k.applications[j.csc.row.Job.Application]; a != nil {
		k.compareSoon(a)
	}
}

// written is called when a client has written an Application. The controller then
// carries out the requested refresh and operation.
func (k *cluster) written(a *application) {
	_, refresh := a.GetAnnotations()[refreshAnnotation]
	if refresh {
		k.compareSoon(a)
	}
	_, asked := a.Object["operation"].(map[string]any)
	if asked && !a.running() && (refresh || !k.site.strikesOnce(syncOverlooked, a.GetName())) {
		k.site.after(k.site.between("pick up "+a.GetName(), time.Second, 3*time.Second), func() { k.begin(a) })
	}
}

func (a *application) running() bool {
	phase, _, _ := unstructured.NestedString(a.Object, "status", "operationState", "phase")
	return phase == "Running" || phase == "Terminating"
}

// operation is the part of an operation that the model reads.
type operation struct {
	Info []struct{ Name, Value string } `json:"info"`
	Sync *struct {
		Revision  string          `json:"revision"`
		Resources []plan.Resource `json:"resources"`
	} `json:"sync"`
}

func (o operation) identity() string {
	var values []string
	for _, i := range o.Info {
		values = append(values, i.Value)
	}
	return strings.Join(values, " ")
}

// begin starts an operation.
func (k *cluster) begin(a *application) {
	asked, ok := a.Object["operation"].(map[string]any)
	if !ok || a.running() {
		return
	}
	if k.site.strikesOnce(syncTakenOver, a.GetName()) {
		asked = k.othersOperation(a)
		a.Object["operation"] = asked
	}
	a.status()["operationState"] = map[string]any{
		"operation": runtime.DeepCopyJSON(asked), "phase": "Running", "message": "one or more tasks are running", "startedAt": k.now(),
	}
	if k.site.strikes(syncBlocked, a.GetName()) {
		a.status()["operationState"].(map[string]any)["message"] = "Sync operation blocked by sync window"
		a.SetResourceVersion(k.bump())
		return
	}
	k.carryOut(a)
}

// othersOperation returns another user's sync, of resources other than CSCs' Jobs.
func (k *cluster) othersOperation(a *application) map[string]any {
	resources := []any{}
	for _, o := range a.others {
		resources = append(resources, map[string]any{"group": o.Group, "kind": o.Kind, "namespace": o.Namespace, "name": o.Name})
	}
	return map[string]any{
		"initiatedBy": map[string]any{"username": "somebody.else"},
		"sync":        map[string]any{"revision": a.revision(), "resources": resources},
	}
}

// carryOut carries out an operation that has started.
func (k *cluster) carryOut(a *application) {
	var o operation
	text, err := json.Marshal(a.Object["operation"])
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if state, ok := a.status()["operationState"].(map[string]any); ok {
		state["message"] = "one or more tasks are running"
	}
	a.SetResourceVersion(k.bump())
	k.site.effect(Effect{System: SystemArgoCD, Kind: SyncStarted, Subject: a.GetName(), Identity: o.identity()})
	k.site.after(k.site.between("sync "+a.GetName(), 4*time.Second, 20*time.Second), func() {
		phase, message, results := "Error", "the operation cannot be carried out", []any{}
		switch {
		case err != nil || o.Sync == nil:
		case k.site.strikesOnce(syncFails, a.GetName()):
			phase, message = "Failed", "one or more objects failed to apply, reason: etcdserver: request timed out"
		default:
			phase, message, results = k.apply(a, o.Sync.Resources)
		}
		k.finish(a, o, phase, message, results)
	})
}

func (k *cluster) finish(a *application, o operation, phase, message string, results []any) {
	state, ok := a.status()["operationState"].(map[string]any)
	if !ok { // a client has removed it in the meantime
		state = map[string]any{"operation": a.Object["operation"], "startedAt": k.now()}
		a.status()["operationState"] = state
	}
	state["phase"], state["message"], state["finishedAt"] = phase, message, k.now()
	state["syncResult"] = map[string]any{"revision": k.site.commit(a.revision()), "resources": results, "source": a.Object["spec"].(map[string]any)["source"]}
	delete(a.Object, "operation")
	a.SetResourceVersion(k.bump())
	k.site.effect(Effect{System: SystemArgoCD, Kind: SyncEnded, Subject: a.GetName(), Detail: phase + ": " + message, Identity: o.identity()})
	if phase == "Succeeded" && a.GetName() == k.site.appOfApps() {
		k.release()
	}
	k.compareSoon(a)
}

// apply brings the resources of a sync to the state in the source.
func (k *cluster) apply(a *application, only []plan.Resource) (phase, message string, results []any) {
	failed := 0
	results = []any{}
	result := func(r plan.Resource, status, text string) {
		entry := map[string]any{"version": "v1", "kind": r.Kind, "namespace": r.Namespace, "name": r.Name, "status": status, "message": text, "syncPhase": "Sync"}
		if r.Group != "" {
			entry["group"] = r.Group
		}
		results = append(results, entry)
	}
	selected := func(r plan.Resource) bool { return len(only) == 0 || slices.Contains(only, r) }
	for _, row := range a.rows {
		r := plan.Resource{Group: "batch", Kind: "Job", Namespace: row.Job.Namespace, Name: row.Job.Name}
		if !selected(r) || a.wanted[row.CSC] == "" {
			continue // Argo CD passes over what its source does not have
		}
		switch j := k.jobs[jobKey(row.Job)]; {
		case j == nil:
			k.createJob(row, k.site.byName[row.CSC], a.wanted[row.CSC])
			result(r, "Synced", "job.batch/"+r.Name+" created")
		case j.image() != a.wanted[row.CSC]:
			failed++
			result(r, "SyncFailed", fmt.Sprintf("Job.batch %q is invalid: spec.template: Invalid value: field is immutable", r.Name))
		default:
			result(r, "Synced", "job.batch/"+r.Name+" unchanged")
		}
	}
	for _, o := range a.others {
		if selected(o.Resource) {
			o.outOfSync, o.missing = false, false
			result(o.Resource, "Synced", strings.ToLower(o.Kind)+"/"+o.Name+" configured")
		}
	}
	k.retryHeld()
	switch {
	case failed > 0:
		return "Failed", fmt.Sprintf("one or more objects failed to apply (%d), reason: field is immutable", failed), results
	case len(only) > 0 && len(results) == 0:
		return "Failed", "one or more synchronization tasks are not valid: none of the resources belong to the application", results
	}
	return "Succeeded", "successfully synced (all tasks run)", results
}

// release sets the images of the new cycle in the applications' sources, as the app
// of apps renders them.
func (k *cluster) release() {
	for name, a := range k.applications {
		changed := false
		for _, row := range a.rows {
			changed = changed || a.wanted[row.CSC] != k.site.image(row)
			a.wanted[row.CSC] = k.site.image(row)
		}
		for _, o := range a.others {
			if name != k.site.appOfApps() && k.site.plan.Type == plan.Full {
				o.outOfSync, changed = true, true
			}
		}
		if changed {
			k.compareSoon(a)
		}
	}
}

func (k *cluster) listApplications(r *http.Request) (any, error) {
	found := []any{}
	for _, name := range k.applicationNames() {
		if k.applications[name].GetNamespace() == r.PathValue("namespace") {
			found = append(found, k.applications[name].Object)
		}
	}
	return k.list("argoproj.io/v1alpha1", "ApplicationList", found), nil
}

func (k *cluster) applicationNames() []string {
	var names []string
	for name := range k.applications {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (k *cluster) application(r *http.Request) (*application, error) {
	if a := k.applications[r.PathValue("name")]; a != nil && a.GetNamespace() == r.PathValue("namespace") {
		return a, nil
	}
	return nil, apierrors.NewNotFound(applicationsResource, r.PathValue("name"))
}

func (k *cluster) getApplication(r *http.Request) (any, error) {
	a, err := k.application(r)
	if err != nil {
		return nil, err
	}
	return a.Object, nil
}

func (k *cluster) updateApplication(r *http.Request) (any, error) {
	var object map[string]any
	if err := body(r, &object); err != nil {
		return nil, err
	}
	return k.replace(r, object)
}

func (k *cluster) patchApplication(r *http.Request) (any, error) {
	if t := r.Header.Get("Content-Type"); t != string(types.MergePatchType) {
		return nil, apierrors.NewBadRequest("the simulated site accepts only merge patches, not " + t)
	}
	a, err := k.application(r)
	if err != nil {
		return nil, err
	}
	var patch map[string]any
	if err := body(r, &patch); err != nil {
		return nil, err
	}
	return k.replace(r, merge(runtime.DeepCopyJSON(a.Object), patch))
}

// merge applies a JSON merge patch (RFC 7396).
func merge(object, patch map[string]any) map[string]any {
	if object == nil {
		object = map[string]any{}
	}
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(object, name)
		case map[string]any:
			inner, _ := object[name].(map[string]any)
			object[name] = merge(inner, v)
		default:
			object[name] = value
		}
	}
	return object
}

// replace replaces an Application. Its status is not a subresource, so a write
// replaces that too.
func (k *cluster) replace(r *http.Request, object map[string]any) (any, error) {
	a, err := k.application(r)
	if err != nil {
		return nil, err
	}
	next := unstructured.Unstructured{Object: object}
	if v := next.GetResourceVersion(); v != "" && v != a.GetResourceVersion() {
		return nil, apierrors.NewConflict(applicationsResource, a.GetName(), errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	}
	if _, ok := object["spec"].(map[string]any); !ok {
		return nil, apierrors.NewBadRequest("an Application needs its spec")
	}
	next.SetName(a.GetName())
	next.SetNamespace(a.GetNamespace())
	next.SetUID(a.GetUID())
	next.SetResourceVersion(k.bump())
	a.Unstructured = next
	k.written(a)
	return a.Object, nil
}

// running returns a pod, and whether it is running.
func (k *cluster) running(namespace, name string) (*corev1.Pod, bool) {
	p := k.pods[namespace+"/"+name]
	return p, p != nil && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil
}
