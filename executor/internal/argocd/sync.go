package argocd

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// infoName is the entry of operation.info that carries the identity of a
	// csu sync.
	infoName = "csu"
	// syncTries is how often a sync is written in all when the Application
	// keeps changing between the read and the write.
	syncTries = 5
)

// SyncRequest says what a sync is to do.
type SyncRequest struct {
	Revision  string     // "" is the Application's target revision
	Resources []Resource // none means all
	Prune     bool
	Operator  string // whom Argo CD shows as having started it
}

// BusyError reports that an operation is already waiting or running.
type BusyError struct {
	Application    string
	By             string // who started it
	Phase, Message string // of a running operation; "" if it is waiting
}

func (e *BusyError) Error() string {
	text := fmt.Sprintf("Argo CD application %q has an operation by %s", e.Application, e.By)
	if e.Phase == "" {
		text += " waiting"
	} else {
		text += fmt.Sprintf(" in phase %s", e.Phase)
	}
	if e.Message != "" {
		text += fmt.Sprintf(" (%s)", e.Message)
	}
	return text + "; wait until it ends or terminate it in Argo CD, then retry"
}

// Sync requests a sync under an identity, by which [Client.Operation] finds it
// again. It does not wait for the sync. If the Application already has this
// operation, it writes nothing. It returns a [*BusyError] if another operation
// is waiting or running, a [*MissingError] if there is no such Application, and
// a cluster.LostError if it is unknown whether Argo CD has the sync.
func (a *Client) Sync(ctx context.Context, name, identity string, req SyncRequest) error {
	op := fmt.Sprintf("sync Argo CD application %q", name)
	if identity == "" {
		return fmt.Errorf("%s: the request has no identity, so it could not be found again", op)
	}
	for try := 1; ; try++ {
		app, v, err := a.read(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if v.has(identity) {
			return nil
		}
		if v.Metadata.DeletionTimestamp != nil {
			return fmt.Errorf("%s: the application is being deleted", op)
		}
		if v.running() {
			return v.busy()
		}
		if err := setOperation(app, operationOf(identity, req, v.syncOptions())); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		err = a.cluster.Write(ctx, op, func(ctx context.Context) error {
			_, err := a.resource().Update(ctx, app, metav1.UpdateOptions{})
			return err
		})
		switch {
		case apierrors.IsNotFound(err):
			return &MissingError{Namespace: a.namespace, Name: name}
		case !apierrors.IsConflict(err) || try == syncTries:
			return err
		}
		// The controller or another client has written in between, so the
		// server refused the update. Check again whether a sync may be
		// requested.
	}
}

// operationOf returns the operation in the API's form.
func operationOf(identity string, req SyncRequest, options []string) map[string]any {
	return map[string]any{
		"initiatedBy": map[string]any{"username": req.Operator},
		"info":        []infoView{{Name: infoName, Value: identity}},
		"sync":        syncOf(req, options),
	}
}

func syncOf(req SyncRequest, options []string) syncView {
	sync := syncView{Revision: req.Revision, Prune: req.Prune, SyncOptions: options}
	for _, r := range req.Resources {
		sync.Resources = append(sync.Resources, resourceView(r))
	}
	return sync
}

// setOperation puts an operation into an Application and removes the state of
// the last one. Some controllers merge the old operation into the new one,
// which turns a full sync into one of some resources only (argo-cd issues
// 28701, 29332).
func setOperation(app *unstructured.Unstructured, operation map[string]any) error {
	text, err := json.Marshal(operation)
	if err != nil {
		return err
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		return err
	}
	app.Object["operation"] = plain
	unstructured.RemoveNestedField(app.Object, "status", "operationState")
	return nil
}

// Operation is the progress or the result of a sync.
type Operation struct {
	// Found reports whether the Application has the operation with our
	// identity. A later operation replaces it; then it is no longer found.
	Found bool
	// Pending reports whether the controller has yet to start it.
	Pending bool
	// Phase is Running, Terminating, Succeeded, Failed or Error; "" while
	// Pending.
	Phase string
	// Message is Argo CD's own. A sync window shows only here, as "Sync
	// operation blocked by sync window", in a phase Running that never ends.
	Message string
	// Revision is the revision that was synced; of several sources, joined by
	// commas.
	Revision string
	// SyncChanged reports whether Argo CD is carrying out something other than
	// what was sent.
	SyncChanged bool
	// Other is who started another operation that is waiting, is running, or
	// ran last; "" if there is none. OtherIdentity is its identity if it is
	// csu's.
	Other, OtherIdentity string
	// LastStarted is when the operation started that is running or ran last, to
	// the second. It is zero if there was none or its start is unknown.
	LastStarted time.Time
	// Synced reports whether Argo CD's history has a sync at all, by csu or not.
	Synced     bool
	FinishedAt time.Time // to the second
	Results    []ResourceResult
}

// Completed reports whether the operation has ended.
func (o Operation) Completed() bool { return (&stateView{Phase: o.Phase}).completed() }

// ResourceResult is what a sync did with one resource.
type ResourceResult struct {
	Resource
	Status  string // Synced, SyncFailed, Pruned, PruneSkipped; a hook's phase
	Message string
}

// Operation looks for the sync that was sent under an identity.
func (a *Client) Operation(ctx context.Context, name, identity string, sent SyncRequest) (Operation, error) {
	_, v, err := a.read(ctx, name)
	if err != nil {
		return Operation{}, err
	}
	o := Operation{Synced: len(v.Status.History) > 0}
	if v.Operation != nil {
		if v.Operation.identity() == identity {
			o.Found, o.Pending = true, true
			o.SyncChanged = v.Operation.differs(sent, v.syncOptions())
		} else {
			o.Other, o.OtherIdentity = v.Operation.from(), v.Operation.identity()
		}
	}
	state := v.Status.OperationState
	if state == nil {
		return o, nil
	}
	o.LastStarted = timeOf(state.StartedAt)
	if state.Operation.identity() != identity {
		if o.Other == "" {
			o.Other, o.OtherIdentity = state.Operation.from(), state.Operation.identity()
		}
		return o, nil
	}
	o.Found, o.Pending = true, false
	o.Phase, o.Message = state.Phase, state.Message
	o.SyncChanged = state.Operation.differs(sent, v.syncOptions())
	o.FinishedAt = timeOf(state.FinishedAt)
	if state.SyncResult != nil {
		o.Revision = joined(state.SyncResult.Revision, state.SyncResult.Revisions)
		o.Results = state.results()
	}
	return o, nil
}

func (s *stateView) results() []ResourceResult {
	var results []ResourceResult
	for _, r := range s.SyncResult.Resources {
		result := ResourceResult{Resource: r.resource(), Status: r.Status, Message: r.Message}
		if result.Status == "" {
			result.Status = r.HookPhase
		}
		results = append(results, result)
	}
	return results
}

// has reports whether the operation with this identity is waiting, is running,
// or ran last.
func (v *view) has(identity string) bool {
	return v.Operation != nil && v.Operation.identity() == identity ||
		v.Status.OperationState != nil && v.Status.OperationState.Operation.identity() == identity
}

func (v *view) busy() *BusyError {
	busy := &BusyError{Application: v.Metadata.Name, By: v.operator()}
	if state := v.Status.OperationState; state != nil && !state.completed() {
		busy.Phase, busy.Message = state.Phase, state.Message
	}
	return busy
}

// differs reports whether an operation is not the one that csu would have
// written for the request. An operation with retries differs, since csu
// requests none.
func (o *operationView) differs(sent SyncRequest, options []string) bool {
	if o.Sync == nil || o.Retry.Limit != 0 {
		return true
	}
	return !reflect.DeepEqual(normal(*o.Sync), normal(syncOf(sent, options)))
}

// normal returns a sync in a form that can be compared.
func normal(s syncView) syncView {
	s.Resources = slices.Clone(s.Resources)
	slices.SortFunc(s.Resources, func(x, y resourceView) int {
		return strings.Compare(x.resource().String()+x.Group, y.resource().String()+y.Group)
	})
	s.SyncOptions = slices.Sorted(slices.Values(s.SyncOptions))
	for _, raw := range []*json.RawMessage{&s.SyncStrategy, &s.Source, &s.Sources} {
		if text := string(*raw); text == "null" || text == "{}" || text == "[]" {
			*raw = nil
		}
	}
	for _, list := range []*[]string{&s.Revisions, &s.SyncOptions, &s.Manifests} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if len(s.Resources) == 0 {
		s.Resources = nil
	}
	return s
}
