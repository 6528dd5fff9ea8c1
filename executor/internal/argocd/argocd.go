// Package argocd reads and syncs Argo CD Applications through the Kubernetes
// API.
//
// An Application has no status subresource. A sync is requested by writing the
// Application's field operation. The application controller picks it up, keeps
// it while it works, and moves it into status.operationState (argoproj/argo-cd,
// pkg/apis/application/v1alpha1 and controller/appcontroller.go). There is no
// other queue: writing over a running operation replaces it. So csu writes a
// sync only when no operation is under way, with the resourceVersion that it
// read, and with an identity by which it finds the sync again.
package argocd

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
)

var applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

const (
	refreshAnnotation = "argocd.argoproj.io/refresh"
	refreshEvery      = 2 * time.Second
	refreshLimit      = 3 * time.Minute
)

// Client reads and syncs the Applications of one namespace.
type Client struct {
	cluster   *cluster.Cluster
	namespace string
	clock     *clock.Clock
}

// New returns a client for the Applications of a namespace.
func New(c *cluster.Cluster, namespace string, clk *clock.Clock) *Client {
	return &Client{cluster: c, namespace: namespace, clock: clk}
}

// Application is what csu reads of an Application.
type Application struct {
	Name, Project   string
	SelfHeals       bool   // Argo CD syncs it by itself, and so brings back what is deleted
	TargetRevision  string // of several sources: joined by commas; so is Revision
	SyncStatus      string // Synced, OutOfSync, Unknown
	Revision        string // the one that SyncStatus is the comparison with
	Health          string // Healthy, Progressing, Degraded, Suspended, Missing, Unknown; "" while Stale
	Stale           bool   // Argo CD has not compared since the last operation ended: SyncStatus, OutOfSync and Images are older
	OutOfSync       []Resource
	Problems        []string // the conditions that keep Argo CD from comparing or syncing
	OperationBy     string   // who started the operation that is running, or ran last
	ResourceVersion string
	Images          []string  // of all its resources, as Argo CD lists them
	ReconciledAt    time.Time // when Argo CD last compared; to the second

	// OperationRunning reports whether an operation is waiting or running.
	OperationRunning bool
}

// Resource names a Kubernetes object of an Application.
type Resource struct {
	Group, Kind, Namespace, Name string
}

// String returns kind namespace/name.
func (r Resource) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// MissingError reports that an Application does not exist.
type MissingError struct{ Namespace, Name string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("there is no Argo CD application %q in namespace %q; is it enabled for this site, and has the app of apps been synced?", e.Name, e.Namespace)
}

// Get returns an Application as it is now, or a [*MissingError] if there is
// none.
func (a *Client) Get(ctx context.Context, name string) (Application, error) {
	_, v, err := a.read(ctx, name)
	if err != nil {
		return Application{}, err
	}
	return v.application(), nil
}

// AskRefresh asks Argo CD to compare an Application with its source again, as
// its Refresh button does. A hard refresh also renders the manifests again. A
// refresh syncs nothing, so a request whose answer was lost is safely repeated.
func (a *Client) AskRefresh(ctx context.Context, name string, hard bool) error {
	kind := "normal"
	if hard {
		kind = "hard"
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, refreshAnnotation, kind)
	err := a.cluster.Read(ctx, refreshing(name), func(ctx context.Context) error {
		_, err := a.resource().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return &MissingError{Namespace: a.namespace, Name: name}
	}
	return err
}

func refreshing(name string) string { return fmt.Sprintf("refresh Argo CD application %q", name) }

// Refresh asks for a refresh and waits until Argo CD has made it, for at most 3
// minutes of the run's time ([clock.ErrLimit]).
func (a *Client) Refresh(ctx context.Context, name string, hard bool) error {
	if err := a.AskRefresh(ctx, name, hard); err != nil {
		return err
	}
	err := a.clock.Poll(ctx, refreshEvery, refreshLimit, func(ctx context.Context) (bool, error) {
		app, _, err := a.read(ctx, name)
		if err != nil {
			return false, err
		}
		_, asked := app.GetAnnotations()[refreshAnnotation]
		return !asked, nil
	})
	if err != nil {
		return fmt.Errorf("%s: wait for Argo CD's application controller: %w", refreshing(name), err)
	}
	return nil
}

func (a *Client) resource() dynamic.ResourceInterface {
	return a.cluster.Dynamic().Resource(applications).Namespace(a.namespace)
}

// read returns the complete Application and csu's view of it.
func (a *Client) read(ctx context.Context, name string) (*unstructured.Unstructured, *view, error) {
	op := fmt.Sprintf("read Argo CD application %q", name)
	var app *unstructured.Unstructured
	err := a.cluster.Read(ctx, op, func(ctx context.Context) (err error) {
		app, err = a.resource().Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, nil, &MissingError{Namespace: a.namespace, Name: name}
	}
	if err != nil {
		return nil, nil, err
	}
	v, err := viewOf(app)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", op, err)
	}
	return app, v, nil
}
