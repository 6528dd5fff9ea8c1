package ground

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// FollowWork calls begin when Argo CD or Kubernetes has something to do, and what that
// returns when neither has, until ctx ends.
//
// The time of a site runs at real speed meanwhile: these work in real time, on a machine
// that may be busy, so limits that pass [siteSpeed] times faster would be a matter of luck.
func (c *Cluster) FollowWork(ctx context.Context, begin func() (end func())) error {
	p := &patience{begin: begin, busy: map[types.UID]bool{}}
	all := dynamicinformer.NewDynamicSharedInformerFactory(c.Dynamic, 0)
	for _, r := range []schema.GroupVersionResource{applications, {Version: "v1", Resource: "pods"}, {Group: "batch", Version: "v1", Resource: "jobs"}} {
		_, err := all.ForResource(r).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { p.saw(o, false) },
			UpdateFunc: func(_, o any) { p.saw(o, false) },
			DeleteFunc: func(o any) { p.saw(o, true) },
		})
		if err != nil {
			return err
		}
	}
	all.Start(ctx.Done())
	<-ctx.Done()
	all.Shutdown()
	if p.end != nil {
		p.end()
	}
	return p.failed
}

// patience is what [Cluster.FollowWork] knows.
type patience struct {
	begin func() (end func())

	mu     sync.Mutex
	busy   map[types.UID]bool
	end    func() // nil while nothing is busy
	failed error
}

func (p *patience) saw(o any, gone bool) {
	if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		p.failed = fmt.Errorf("an informer gave a %T", o)
		return
	}
	delete(p.busy, object.GetUID())
	if !gone && underWay(object) {
		p.busy[object.GetUID()] = true
	}
	switch {
	case len(p.busy) > 0 && p.end == nil:
		p.end = p.begin()
	case len(p.busy) == 0 && p.end != nil:
		p.end()
		p.end = nil
	}
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
