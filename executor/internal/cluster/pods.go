package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// JobImage describes what a Job is running now.
type JobImage struct {
	Namespace, Job string
	// Images are those of the running containers, as named in the pod's
	// specification and in its status. The status may give the registry's full
	// name or a digest for the same image. They are sorted, without duplicates.
	Images []string
	// Running reports whether all containers of one of the Job's pods are
	// running. A pod that is being deleted does not count.
	Running bool
	// Why says what keeps it from running: no such Job, no pod yet, or
	// Kubernetes' reason, such as ImagePullBackOff.
	Why string
	// Age is the age of the newest pod, or of the Job if it has no pod.
	Age time.Duration
}

// JobImages returns, for each named Job of a namespace in that order, which
// images it runs, or why it runs none.
func (c *Cluster) JobImages(ctx context.Context, namespace string, jobs []string) ([]JobImage, error) {
	found, err := c.listJobs(ctx, fmt.Sprintf("list Jobs in namespace %q", namespace), namespace, "")
	if err != nil {
		return nil, err
	}
	pods, err := c.listPods(ctx, namespace, "")
	if err != nil {
		return nil, err
	}
	images := make([]JobImage, 0, len(jobs))
	for _, name := range jobs {
		i := slices.IndexFunc(found, func(j batchv1.Job) bool { return j.Name == name })
		if i < 0 {
			images = append(images, JobImage{Namespace: namespace, Job: name, Why: "no such Job"})
			continue
		}
		images = append(images, c.jobImage(&found[i], podsOf(&found[i], pods)))
	}
	return images, nil
}

func (c *Cluster) jobImage(job *batchv1.Job, pods []*corev1.Pod) JobImage {
	image := JobImage{Namespace: job.Namespace, Job: job.Name}
	if len(pods) == 0 {
		image.Why = whyNoPod(job)
		image.Age = c.clock.Since(job.CreationTimestamp.Time)
		return image
	}
	newest := slices.MaxFunc(pods, func(a, b *corev1.Pod) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	image.Age = c.clock.Since(newest.CreationTimestamp.Time)
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		running, all := runningImages(pod)
		image.Images = append(image.Images, running...)
		image.Running = image.Running || all
	}
	slices.Sort(image.Images)
	image.Images = slices.Compact(image.Images)
	if !image.Running {
		image.Why = whyNotRunning(newest)
	}
	return image
}

// runningImages returns the images of a pod's running containers, and whether
// all of its containers are running.
func runningImages(pod *corev1.Pod) (images []string, all bool) {
	all = pod.Status.Phase == corev1.PodRunning
	for _, container := range pod.Spec.Containers {
		i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == container.Name })
		if i < 0 || pod.Status.ContainerStatuses[i].State.Running == nil {
			all = false
			continue
		}
		images = append(images, container.Image)
		if image := pod.Status.ContainerStatuses[i].Image; image != "" {
			images = append(images, image)
		}
	}
	return images, all
}

// PodEnded reports whether every pod of a Job has ended. That is evidence that
// its CSC is OFFLINE, since a CSC's Job never restarts its pod. It is known
// only if Kubernetes has seen the containers end. A missing Job, a pod not yet
// created, and a pod on a node that does not answer prove nothing.
func (c *Cluster) PodEnded(ctx context.Context, namespace, job string) (ended, known bool, err error) {
	found, err := c.listJobs(ctx, fmt.Sprintf("list Jobs in namespace %q", namespace), namespace, "")
	if err != nil {
		return false, false, err
	}
	i := slices.IndexFunc(found, func(j batchv1.Job) bool { return j.Name == job })
	if i < 0 {
		return false, false, nil
	}
	all, err := c.listPods(ctx, namespace, "")
	if err != nil {
		return false, false, err
	}
	pods := podsOf(&found[i], all)
	if len(pods) == 0 {
		_, finished := finished(&found[i])
		return finished, finished, nil
	}
	ended, known = true, true
	for _, pod := range pods {
		podEnded, podKnown := podEnded(pod)
		if podKnown && !podEnded {
			return false, true, nil // one running pod is enough
		}
		ended, known = ended && podEnded, known && podKnown
	}
	return ended && known, known, nil
}

// podEnded reports whether a pod's containers have ended. Phase Failed alone
// does not prove it: the control plane also gives it to the pods of lost nodes,
// where the containers may still be running.
func podEnded(pod *corev1.Pod) (ended, known bool) {
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return true, true
	case corev1.PodFailed:
		statuses := pod.Status.ContainerStatuses
		seen := len(statuses) > 0 && !slices.ContainsFunc(statuses, func(s corev1.ContainerStatus) bool { return s.State.Terminated == nil })
		return seen, seen
	case corev1.PodRunning, corev1.PodPending:
		return false, true
	}
	return false, false
}

func podsOf(job *batchv1.Job, pods []corev1.Pod) []*corev1.Pod {
	var own []*corev1.Pod
	for i := range pods {
		if madeBy(&pods[i], objectOf(job)) {
			own = append(own, &pods[i])
		}
	}
	return own
}

// finished returns the condition that says that a Job has ended.
func finished(job *batchv1.Job) (batchv1.JobCondition, bool) {
	for _, condition := range job.Status.Conditions {
		if condition.Status == corev1.ConditionTrue && (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) {
			return condition, true
		}
	}
	return batchv1.JobCondition{}, false
}

func whyNoPod(job *batchv1.Job) string {
	if condition, ok := finished(job); ok {
		return sentence("the Job has ended: "+string(condition.Type), condition.Reason, condition.Message)
	}
	if job.Spec.Suspend != nil && *job.Spec.Suspend {
		return "the Job is suspended"
	}
	if job.DeletionTimestamp != nil {
		return "the Job is being deleted"
	}
	return "the Job has no pod yet"
}

func whyNotRunning(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return fmt.Sprintf("pod %q is being deleted", pod.Name)
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch state := s.State; {
		case state.Waiting != nil:
			return sentence(fmt.Sprintf("container %q is waiting", s.Name), state.Waiting.Reason, state.Waiting.Message)
		case state.Terminated != nil && (state.Terminated.ExitCode != 0 || pod.Status.Phase != corev1.PodPending):
			reason := fmt.Sprintf("%s, exit status %d", state.Terminated.Reason, state.Terminated.ExitCode)
			return sentence(fmt.Sprintf("container %q has ended", s.Name), reason, state.Terminated.Message)
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return sentence(fmt.Sprintf("pod %q has no node", pod.Name), condition.Reason, condition.Message)
		}
	}
	return sentence(fmt.Sprintf("pod %q is %s", pod.Name, pod.Status.Phase), pod.Status.Reason, pod.Status.Message)
}

// sentence joins its non-empty parts.
func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}

// ready reports whether a command can be run in the container of a pod; "" is
// its first one.
func ready(pod *corev1.Pod, container string) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
		return false
	}
	if container == "" && len(pod.Spec.Containers) > 0 {
		container = pod.Spec.Containers[0].Name
	}
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.Name == container && s.State.Running != nil
	})
}
