package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Object identifies a Job or a namespace. Its UID distinguishes it from a later
// one of the same name. A namespace has no Namespace.
type Object struct {
	Namespace, Name string
	UID             string
}

// String returns namespace/name, or the name alone.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

// Jobs returns the Jobs of a namespace that match a label selector, sorted by
// name. A namespace that does not exist has none. An empty selector is refused,
// since it would match all Jobs.
func (c *Cluster) Jobs(ctx context.Context, namespace, selector string) ([]Object, error) {
	op := fmt.Sprintf("list Jobs %q in namespace %q", selector, namespace)
	if err := checkSelector(selector); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	jobs, err := c.listJobs(ctx, op, namespace, selector)
	if err != nil {
		return nil, err
	}
	found := make([]Object, 0, len(jobs))
	for i := range jobs {
		found = append(found, objectOf(&jobs[i]))
	}
	slices.SortFunc(found, byName)
	return found, nil
}

// Namespaces returns the namespaces that match a label selector, sorted by
// name. An empty selector is refused, since it would match all namespaces.
func (c *Cluster) Namespaces(ctx context.Context, selector string) ([]Object, error) {
	op := fmt.Sprintf("list namespaces %q", selector)
	if err := checkSelector(selector); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return c.listNamespaces(ctx, op, selector)
}

// DeleteJob deletes the Job with this UID and, in the background, its pods. It
// succeeds if the Job is gone, even if a newer one has its name.
// [Cluster.RemainingJobs] reports when the Job and its pods are gone.
func (c *Cluster) DeleteJob(ctx context.Context, job Object) error {
	op := fmt.Sprintf("delete Job %q", job)
	return c.deleteObject(ctx, op, job, func(ctx context.Context, options metav1.DeleteOptions) error {
		background := metav1.DeletePropagationBackground // without it the pods stay
		options.PropagationPolicy = &background
		return c.typed.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, options)
	}, func(ctx context.Context) (metav1.Object, error) {
		return c.typed.BatchV1().Jobs(job.Namespace).Get(ctx, job.Name, metav1.GetOptions{})
	})
}

// DeleteNamespace deletes the namespace with this UID and everything in it. It
// succeeds if the namespace is gone, even if a newer one has its name.
func (c *Cluster) DeleteNamespace(ctx context.Context, namespace Object) error {
	op := fmt.Sprintf("delete namespace %q", namespace.Name)
	return c.deleteObject(ctx, op, namespace, func(ctx context.Context, options metav1.DeleteOptions) error {
		return c.typed.CoreV1().Namespaces().Delete(ctx, namespace.Name, options)
	}, func(ctx context.Context) (metav1.Object, error) {
		return c.typed.CoreV1().Namespaces().Get(ctx, namespace.Name, metav1.GetOptions{})
	})
}

func (c *Cluster) deleteObject(ctx context.Context, op string, object Object,
	remove func(context.Context, metav1.DeleteOptions) error, get func(context.Context) (metav1.Object, error)) error {
	if object.UID == "" {
		return fmt.Errorf("%s: its UID is unknown, and without it a newer object of the same name could be deleted", op)
	}
	uid := types.UID(object.UID)
	err := c.Write(ctx, op, func(ctx context.Context) error {
		return remove(ctx, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if !apierrors.IsConflict(err) {
		return err
	}
	// A conflict means another UID, or an object that is already being deleted.
	var now metav1.Object
	look := c.Read(ctx, op, func(ctx context.Context) (err error) {
		now, err = get(ctx)
		return err
	})
	switch {
	case apierrors.IsNotFound(look):
		return nil
	case look != nil:
		return errors.Join(err, look)
	case now.GetUID() != uid || now.GetDeletionTimestamp() != nil:
		return nil
	}
	return err
}

// RemainingJobs returns those of the given Jobs that are not gone: the Job with
// that UID, or a pod of it, still exists.
func (c *Cluster) RemainingJobs(ctx context.Context, jobs []Object) ([]Object, error) {
	there := map[Object]bool{}
	for _, namespace := range namespacesOf(jobs) {
		found, err := c.listJobs(ctx, fmt.Sprintf("list Jobs in namespace %q", namespace), namespace, "")
		if err != nil {
			return nil, err
		}
		pods, err := c.listPods(ctx, namespace, "")
		if err != nil {
			return nil, err
		}
		for _, job := range jobs {
			if job.Namespace != namespace {
				continue
			}
			there[job] = slices.ContainsFunc(found, func(j batchv1.Job) bool { return string(j.UID) == job.UID }) ||
				slices.ContainsFunc(pods, func(p corev1.Pod) bool { return madeBy(&p, job) })
		}
	}
	return slices.DeleteFunc(slices.Clone(jobs), func(job Object) bool { return !there[job] }), nil
}

// RemainingNamespaces returns those of the given namespaces that still exist,
// including those that are being deleted.
func (c *Cluster) RemainingNamespaces(ctx context.Context, namespaces []Object) ([]Object, error) {
	if len(namespaces) == 0 {
		return nil, nil
	}
	found, err := c.listNamespaces(ctx, "list namespaces", "")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(namespaces), func(n Object) bool {
		return !slices.ContainsFunc(found, func(f Object) bool { return f.UID == n.UID })
	}), nil
}

// madeBy reports whether a pod belongs to this very Job. The owner's UID
// decides; an orphaned pod still has the UID in a label. The label with the
// Job's name counts only if the pod has neither, since a newer Job's pods carry
// the same name.
func madeBy(pod *corev1.Pod, job Object) bool {
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return string(owner.UID) == job.UID
	}
	for _, key := range []string{batchv1.ControllerUidLabel, "controller-uid"} {
		if uid, ok := pod.Labels[key]; ok {
			return uid == job.UID
		}
	}
	return jobLabel(pod) == job.Name
}

// jobLabel returns the name of the Job in a pod's labels, or "".
func jobLabel(pod *corev1.Pod) string {
	if name, ok := pod.Labels[batchv1.JobNameLabel]; ok {
		return name
	}
	return pod.Labels["job-name"]
}

func (c *Cluster) listJobs(ctx context.Context, op, namespace, selector string) ([]batchv1.Job, error) {
	var jobs []batchv1.Job
	err := c.Read(ctx, op, func(ctx context.Context) error {
		list, err := c.typed.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err == nil {
			jobs = list.Items
		}
		return err
	})
	return jobs, err
}

func (c *Cluster) listPods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	op := fmt.Sprintf("list pods %q in namespace %q", selector, namespace)
	if selector == "" {
		op = fmt.Sprintf("list pods in namespace %q", namespace)
	}
	var pods []corev1.Pod
	err := c.Read(ctx, op, func(ctx context.Context) error {
		list, err := c.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err == nil {
			pods = list.Items
		}
		return err
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods, err
}

func (c *Cluster) listNamespaces(ctx context.Context, op, selector string) ([]Object, error) {
	var found []Object
	err := c.Read(ctx, op, func(ctx context.Context) error {
		list, err := c.typed.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		found = make([]Object, 0, len(list.Items))
		for i := range list.Items {
			found = append(found, objectOf(&list.Items[i]))
		}
		return nil
	})
	slices.SortFunc(found, byName)
	return found, err
}

// checkSelector refuses an invalid label selector and one that selects
// everything.
func checkSelector(selector string) error {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return err
	}
	if parsed.Empty() {
		return errors.New("the selector is empty, which selects everything")
	}
	return nil
}

func objectOf(o metav1.Object) Object {
	return Object{Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID())}
}

func byName(a, b Object) int { return strings.Compare(a.String(), b.String()) }

func namespacesOf(objects []Object) []string {
	var names []string
	for _, o := range objects {
		if !slices.Contains(names, o.Namespace) {
			names = append(names, o.Namespace)
		}
	}
	return names
}
