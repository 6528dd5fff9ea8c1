package ground

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// patience lets the site's time run at real speed as long as Argo CD or Kubernetes is at
// work. These work in real time, on a machine that may be busy, so limits that pass
// [siteSpeed] times faster would be a matter of luck.
type patience struct {
	clock string // the address of the site's clock
	fail  func(error)

	mu   sync.Mutex
	busy map[types.UID]bool
	slow context.CancelFunc // lets the clock run at its own speed again; nil if it does
	wait sync.WaitGroup
}

// follow watches the objects until ctx ends.
func (p *patience) follow(ctx context.Context, c *Cluster) error {
	all := dynamicinformer.NewDynamicSharedInformerFactory(c.Dynamic, 0)
	for _, r := range []schema.GroupVersionResource{applications, {Version: "v1", Resource: "pods"}, {Group: "batch", Version: "v1", Resource: "jobs"}} {
		_, err := all.ForResource(r).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { p.saw(ctx, o, false) },
			UpdateFunc: func(_, o any) { p.saw(ctx, o, false) },
			DeleteFunc: func(o any) { p.saw(ctx, o, true) },
		})
		if err != nil {
			return err
		}
	}
	all.Start(ctx.Done())
	<-ctx.Done()
	all.Shutdown()
	p.wait.Wait()
	return nil
}

func (p *patience) saw(ctx context.Context, o any, gone bool) {
	if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		p.fail(fmt.Errorf("an informer gave a %T", o))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, object.GetUID())
	if !gone && underWay(object) {
		p.busy[object.GetUID()] = true
	}
	switch {
	case len(p.busy) > 0 && p.slow == nil:
		var request context.Context
		request, p.slow = context.WithCancel(ctx)
		p.wait.Go(func() { p.slowly(request) })
	case len(p.busy) == 0 && p.slow != nil:
		p.slow()
		p.slow = nil
	}
}

// slowly lets the clock run at real speed until ctx ends, as a csu with an open question
// does.
func (p *patience) slowly(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.clock, nil)
	if err != nil {
		p.fail(err)
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.fail(err)
		return
	}
	defer answer.Body.Close()
	<-ctx.Done()
}

// underWay reports whether a server has something to do for an object: Argo CD to refresh
// or sync an Application, Kubernetes to start a Job or a pod, or either to delete it.
func underWay(o *unstructured.Unstructured) bool {
	if o.GetDeletionTimestamp() != nil {
		return true
	}
	has := func(path ...string) bool {
		_, found, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
		return found
	}
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(o.Object, path...)
		return value
	}
	switch o.GetKind() {
	case "Application":
		phase := text("status", "operationState", "phase")
		return o.GetAnnotations()["argocd.argoproj.io/refresh"] != "" || has("operation") || phase == "Running" || phase == "Terminating"
	case "Pod":
		return text("status", "phase") == "Pending"
	case "Job":
		return !has("status", "startTime")
	}
	return false
}
