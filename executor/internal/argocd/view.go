package argocd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The views hold the fields of Argo CD's API v1alpha1 that csu reads. All other
// fields stay in the unstructured object and are written back unchanged.

type view struct {
	Metadata struct {
		Name              string       `json:"name"`
		ResourceVersion   string       `json:"resourceVersion"`
		DeletionTimestamp *metav1.Time `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Project    string       `json:"project"`
		Source     *sourceView  `json:"source"`
		Sources    []sourceView `json:"sources"`
		SyncPolicy *struct {
			SyncOptions []string `json:"syncOptions"`
			Automated   *struct {
				Enabled  *bool `json:"enabled"` // since Argo CD 3.0; absent means true
				SelfHeal bool  `json:"selfHeal"`
			} `json:"automated"`
		} `json:"syncPolicy"`
	} `json:"spec"`
	Operation *operationView `json:"operation"`
	Status    struct {
		Sync struct {
			Status    string   `json:"status"`
			Revision  string   `json:"revision"`
			Revisions []string `json:"revisions"`
		} `json:"sync"`
		Health struct {
			Status string `json:"status"`
		} `json:"health"`
		Resources []struct {
			resourceView
			Status string `json:"status"`
		} `json:"resources"`
		Conditions []struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"conditions"`
		ReconciledAt *metav1.Time `json:"reconciledAt"`
		Summary      struct {
			Images []string `json:"images"`
		} `json:"summary"`
		OperationState *stateView `json:"operationState"`
		// History has the application's successful syncs of all resources. It
		// does not say who started them.
		History []struct{} `json:"history"`
	} `json:"status"`
}

type sourceView struct {
	TargetRevision string `json:"targetRevision"`
}

type resourceView struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

type operationView struct {
	InitiatedBy struct {
		Username  string `json:"username"`
		Automated bool   `json:"automated"`
	} `json:"initiatedBy"`
	Info  []infoView `json:"info"`
	Sync  *syncView  `json:"sync"`
	Retry struct {
		Limit int64 `json:"limit"`
	} `json:"retry"`
}

type infoView struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// syncView is a sync as csu writes it and as Argo CD echoes it. csu never
// writes some of the fields; they are here to detect that another operation's
// fields were merged into ours.
type syncView struct {
	Revision     string          `json:"revision,omitempty"`
	Revisions    []string        `json:"revisions,omitempty"`
	Prune        bool            `json:"prune,omitempty"`
	DryRun       bool            `json:"dryRun,omitempty"`
	Resources    []resourceView  `json:"resources,omitempty"`
	SyncOptions  []string        `json:"syncOptions,omitempty"`
	SyncStrategy json.RawMessage `json:"syncStrategy,omitempty"`
	Manifests    []string        `json:"manifests,omitempty"`
	Source       json.RawMessage `json:"source,omitempty"`
	Sources      json.RawMessage `json:"sources,omitempty"`
}

type stateView struct {
	Operation  operationView `json:"operation"`
	Phase      string        `json:"phase"`
	Message    string        `json:"message"`
	StartedAt  *metav1.Time  `json:"startedAt"`
	FinishedAt *metav1.Time  `json:"finishedAt"`
	SyncResult *struct {
		Revision  string   `json:"revision"`
		Revisions []string `json:"revisions"`
		Resources []struct {
			resourceView
			Status    string `json:"status"`
			Message   string `json:"message"`
			HookPhase string `json:"hookPhase"`
		} `json:"resources"`
	} `json:"syncResult"`
}

func viewOf(app *unstructured.Unstructured) (*view, error) {
	text, err := app.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var v view
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("application %q does not have the form of API version v1alpha1: %w", app.GetName(), err)
	}
	return &v, nil
}

// selfHeals reports whether Argo CD syncs the application by itself whenever the cluster
// differs from it (spec.syncPolicy.automated of argoproj/argo-cd at v3.2.0,
// pkg/apis/application/v1alpha1/types.go).
func (v *view) selfHeals() bool {
	p := v.Spec.SyncPolicy
	if p == nil || p.Automated == nil {
		return false
	}
	return p.Automated.SelfHeal && (p.Automated.Enabled == nil || *p.Automated.Enabled)
}

func (v *view) application() Application {
	app := Application{
		Name:            v.Metadata.Name,
		Project:         v.Spec.Project,
		TargetRevision:  v.targetRevision(),
		SelfHeals:       v.selfHeals(),
		SyncStatus:      v.Status.Sync.Status,
		Revision:        joined(v.Status.Sync.Revision, v.Status.Sync.Revisions),
		Health:          v.Status.Health.Status,
		ResourceVersion: v.Metadata.ResourceVersion,
		Images:          v.Status.Summary.Images,
		ReconciledAt:    timeOf(v.Status.ReconciledAt),
	}
	app.OperationRunning, app.OperationBy = v.running(), v.operator()
	if app.Stale = v.stale(); app.Stale {
		app.Health = ""
	}
	for _, r := range v.Status.Resources {
		if r.Status == "OutOfSync" {
			app.OutOfSync = append(app.OutOfSync, r.resource())
		}
	}
	for _, c := range v.Status.Conditions {
		if strings.HasSuffix(c.Type, "Error") { // as Argo CD itself distinguishes errors from warnings
			app.Problems = append(app.Problems, c.Type+": "+c.Message)
		}
	}
	return app
}

func (v *view) targetRevision() string {
	if len(v.Spec.Sources) == 0 {
		if v.Spec.Source == nil {
			return ""
		}
		return v.Spec.Source.TargetRevision
	}
	var revisions []string
	for _, s := range v.Spec.Sources {
		revisions = append(revisions, s.TargetRevision)
	}
	return strings.Join(revisions, ",")
}

// syncOptions returns the sync options of the Application. Argo CD's controller
// reads them from the operation alone. Its API server copies them there, and so
// does csu.
func (v *view) syncOptions() []string {
	if v.Spec.SyncPolicy == nil {
		return nil
	}
	return v.Spec.SyncPolicy.SyncOptions
}

// running reports whether an operation is waiting or running, and so must not
// be overwritten.
func (v *view) running() bool {
	state := v.Status.OperationState
	return v.Operation != nil || state != nil && !state.completed()
}

// stale reports whether the status is older than the end of the last operation.
func (v *view) stale() bool {
	state := v.Status.OperationState
	if state == nil || !state.completed() {
		return false
	}
	ended := timeOf(state.FinishedAt)
	if ended.IsZero() {
		ended = timeOf(state.StartedAt) // some controllers lose it
	}
	return timeOf(v.Status.ReconciledAt).Before(ended)
}

// operator returns who started the operation that is waiting, is running, or
// ran last.
func (v *view) operator() string {
	if v.Operation != nil {
		return v.Operation.from()
	}
	if v.Status.OperationState != nil {
		return v.Status.OperationState.Operation.from()
	}
	return ""
}

// from returns who started an operation: `ann`, `ann (csu 1f3c/sync/mtmount/1)`.
func (o *operationView) from() string {
	by := o.InitiatedBy.Username
	switch {
	case o.InitiatedBy.Automated:
		by = "automated sync"
	case by == "":
		by = "unknown"
	}
	if identity := o.identity(); identity != "" {
		by += " (csu " + identity + ")"
	}
	return by
}

// identity returns the identity that csu gave an operation, or "".
func (o *operationView) identity() string {
	i := slices.IndexFunc(o.Info, func(i infoView) bool { return i.Name == infoName })
	if i < 0 {
		return ""
	}
	return o.Info[i].Value
}

func (s *stateView) completed() bool {
	return s.Phase == "Succeeded" || s.Phase == "Failed" || s.Phase == "Error"
}

func (r resourceView) resource() Resource {
	return Resource(r)
}

func joined(one string, several []string) string {
	if len(several) > 0 {
		return strings.Join(several, ",")
	}
	return one
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
