package rehearsal

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lsst-ts/csu/executor/plan"
)

var (
	jobs = schema.GroupResource{Group: "batch", Resource: "jobs"}
	pods = schema.GroupResource{Resource: "pods"}
)

// job is a Job and the CSC that its pod runs, which is nil if it runs none.
type job struct {
	batchv1.Job
	csc *csc
}

func (j *job) key() string { return j.Namespace + "/" + j.Name }

func (j *job) image() string { return j.Spec.Template.Spec.Containers[0].Image }

// jobKey returns the key of a Job of the plan.
func jobKey(row *plan.Job) string { return row.Namespace + "/" + row.Name }

// cscLabels returns the labels that the CSC chart sets.
func cscLabels(row *plan.Job) map[string]string {
	return map[string]string{
		"csc": row.Label, "csc-name": row.CSCName, "csc-class": row.CSCClass, "csc-is-primary": "true",
		"app.kubernetes.io/instance": row.Application,
	}
}

// addJob adds a Job without a pod.
func (k *cluster) addJob(namespace, name, image string, labels map[string]string, c *csc) *job {
	k.addNamespace(namespace, nil)
	j := &job{csc: c}
	j.TypeMeta = metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}
	j.ObjectMeta = k.meta(namespace, name, labels)
	podLabels := map[string]string{batchv1.JobNameLabel: name, "job-name": name, batchv1.ControllerUidLabel: string(j.UID), "controller-uid": string(j.UID)}
	for l, v := range labels {
		podLabels[l] = v
	}
	j.Spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: podLabels},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: name, Image: image}}},
	}
	j.Status.Active = 1
	k.jobs[j.key()] = j
	return j
}

// createJob creates a Job as a sync does. Its pod is created, pulls its image and runs.
func (k *cluster) createJob(row *plan.CSC, c *csc, image string) {
	s := k.site
	j := k.addJob(row.Job.Namespace, row.Job.Name, image, cscLabels(row.Job), c)
	s.effect(Effect{System: SystemCluster, Kind: JobCreated, Subject: j.key(), Detail: image, Identity: string(j.UID)})
	s.after(s.between("pod "+j.key(), time.Second, 3*time.Second), func() {
		if k.jobs[j.key()] != j {
			return
		}
		k.startPod(row, j, k.addPod(j), image)
	})
}

// startPod lets a new pod pull its image and run, as soon as all that it needs is there.
func (k *cluster) startPod(row *plan.CSC, j *job, p *corev1.Pod, image string) {
	s := k.site
	if need, lacks := k.lacks(row); lacks {
		status := p.Status
		k.hold(p, need)
		k.held = append(k.held, func() {
			if p.DeletionTimestamp == nil {
				p.Status = status
				k.startPod(row, j, p, image)
			}
		})
		return
	}
	if s.strikes(podNeverStarts, row.CSC) {
		p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{
			Reason: "CreateContainerConfigError", Message: `secret "ts-salkafka" not found`,
		}
		return
	}
	pull := s.between("start "+j.key(), time.Second, 4*time.Second)
	if !k.pulled[image] {
		pull = s.between("pull "+image, 10*time.Second, 5*time.Minute)
	}
	if s.strikesOnce(imagePullSlow, row.CSC) {
		pull = 20 * time.Minute
	}
	s.after(pull, func() {
		if p.DeletionTimestamp == nil {
			k.pulled[image] = true
			k.runPod(p, j)
		}
	})
}

// startPods starts the pending pods of a CSC.
func (k *cluster) startPods(c *csc) {
	for _, p := range k.pods {
		if j := k.jobs[jobKey(c.row.Job)]; j != nil && ownedBy(p, j) && p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil {
			k.runPod(p, j)
		}
	}
}

// addPod adds a Job's pod, which waits for its image.
func (k *cluster) addPod(j *job) *corev1.Pod {
	controls := true
	p := &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, Spec: j.Spec.Template.Spec}
	p.ObjectMeta = k.meta(j.Namespace, j.Name+"-"+strings.ToLower(string(newUID())[:5]), j.Spec.Template.Labels)
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: j.Name, UID: j.UID, Controller: &controls, BlockOwnerDeletion: &controls}}
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: j.Name, Image: j.image(),
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
	}}}
	k.pods[p.Namespace+"/"+p.Name] = p
	k.changed(j)
	return p
}

// runPod sets a pod to Running and brings up its CSC some seconds later.
func (k *cluster) runPod(p *corev1.Pod, j *job) {
	p.Status.Phase = corev1.PodRunning
	status := &p.Status.ContainerStatuses[0]
	status.Ready = true
	status.ImageID = status.Image + "@sha256:" + strings.Repeat("0", 64)
	status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(k.site.clk.Now())}}
	p.ResourceVersion = k.bump()
	k.changed(j)
	if j.csc == nil || j.csc.component == "" {
		return
	}
	k.site.after(k.site.between("come up "+j.csc.row.CSC, 5*time.Second, 30*time.Second), func() {
		if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			k.site.up(j.csc)
		}
	})
}

// endPod marks a pod's container as terminated.
func (k *cluster) endPod(p *corev1.Pod, phase corev1.PodPhase, exit int32, reason string) {
	p.Status.Phase = phase
	p.Status.ContainerStatuses[0].Ready = false
	p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: exit, Reason: reason, FinishedAt: metav1.NewTime(k.site.clk.Now()),
	}}
	p.ResourceVersion = k.bump()
}

// processEnded updates the service or the pod of a CSC whose process has ended by
// itself. The Jobs of CSCs never restart their pods.
func (s *Site) processEnded(c *csc) {
	k := s.cluster
	if c.row.Job == nil {
		if h := s.hosts[c.row.Host]; h != nil {
			for _, v := range h.services {
				if !slices.ContainsFunc(v.cscs, (*csc).lives) && slices.Contains(v.cscs, c) {
					v.running = false
				}
			}
		}
		return
	}
	if s.outside != nil {
		s.outside.Ended(c.row)
		return
	}
	j := k.jobs[jobKey(c.row.Job)]
	for _, p := range k.pods {
		if j != nil && ownedBy(p, j) && p.Status.Phase == corev1.PodRunning {
			k.endPod(p, corev1.PodSucceeded, 0, "Completed")
			j.finish(batchv1.JobComplete, metav1.NewTime(s.clk.Now()))
			j.ResourceVersion = k.bump()
			k.changed(j)
		}
	}
}

func (j *job) finish(how batchv1.JobConditionType, at metav1.Time) {
	j.Status.Active = 0
	if how == batchv1.JobComplete {
		j.Status.Succeeded, j.Status.CompletionTime = 1, &at
	} else {
		j.Status.Failed = 1
	}
	j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: how, Status: corev1.ConditionTrue, LastTransitionTime: at})
}

func (j *job) finished() (batchv1.JobConditionType, bool) {
	if len(j.Status.Conditions) == 0 {
		return "", false
	}
	return j.Status.Conditions[0].Type, true
}

func ownedBy(p *corev1.Pod, j *job) bool {
	owner := metav1.GetControllerOf(p)
	return owner != nil && owner.UID == j.UID
}

// removeJob deletes a Job. Unless the policy propagates, its pods are orphaned, which
// is the default of the batch/v1 API.
func (k *cluster) removeJob(j *job, propagation metav1.DeletionPropagation) {
	s := k.site
	s.effect(Effect{System: SystemCluster, Kind: JobDeleted, Subject: j.key(), Detail: j.image(), Identity: string(j.UID)})
	foreground := propagation == metav1.DeletePropagationForeground
	if foreground {
		now := metav1.NewTime(s.clk.Now())
		j.DeletionTimestamp, j.ResourceVersion = &now, k.bump()
	} else {
		delete(k.jobs, j.key())
		k.bump()
	}
	k.changed(j)
	last := time.Duration(0)
	for name, p := range k.pods {
		if !ownedBy(p, j) {
			continue
		}
		if propagation != metav1.DeletePropagationBackground && !foreground {
			p.OwnerReferences = nil
			continue
		}
		takes := s.between("kill "+name, time.Second, 15*time.Second)
		last = max(last, takes)
		k.killPod(p, j.csc, takes)
	}
	if foreground {
		s.after(last+time.Second, func() {
			delete(k.jobs, j.key())
			k.bump()
			k.changed(j)
		})
	}
}

func (k *cluster) killPod(p *corev1.Pod, c *csc, takes time.Duration) {
	now := metav1.NewTime(k.site.clk.Now())
	ends := now.Add(takes)
	ran := p.Status.Phase == corev1.PodRunning
	p.DeletionTimestamp, p.ResourceVersion = &now, k.bump()
	life := 0
	if c != nil {
		life = len(c.alive)
	}
	k.site.after(takes, func() {
		if ran && c != nil && len(c.alive) == life {
			k.site.downAt(c, "its Job was deleted", ends)
		}
		delete(k.pods, p.Namespace+"/"+p.Name)
		k.bump()
	})
}

func (k *cluster) listJobs(r *http.Request) (any, error) {
	found, err := chosen(r, func(yield func(*batchv1.Job)) {
		for _, j := range k.jobs {
			yield(&j.Job)
		}
	})
	return k.list("batch/v1", "JobList", found), err
}

func (k *cluster) getJob(r *http.Request) (any, error) {
	if j := k.jobs[key(r)]; j != nil {
		return &j.Job, nil
	}
	return nil, apierrors.NewNotFound(jobs, r.PathValue("name"))
}

func (k *cluster) deleteJob(r *http.Request) (any, error) {
	j := k.jobs[key(r)]
	if j == nil {
		return nil, apierrors.NewNotFound(jobs, r.PathValue("name"))
	}
	options, err := deleteOptions(r, jobs, j)
	if err != nil {
		return nil, err
	}
	if j.DeletionTimestamp != nil {
		return nil, apierrors.NewConflict(jobs, j.Name, errors.New("the Job is already being deleted"))
	}
	propagation := metav1.DeletePropagationOrphan
	if options.PropagationPolicy != nil {
		propagation = *options.PropagationPolicy
	}
	k.removeJob(j, propagation)
	return deleted(), nil
}

func (k *cluster) listPods(r *http.Request) (any, error) {
	found, err := chosen(r, func(yield func(*corev1.Pod)) {
		for _, p := range k.pods {
			yield(p)
		}
	})
	return k.list("v1", "PodList", found), err
}

func (k *cluster) getPod(r *http.Request) (any, error) {
	if p := k.pods[key(r)]; p != nil {
		return p, nil
	}
	return nil, apierrors.NewNotFound(pods, r.PathValue("name"))
}
