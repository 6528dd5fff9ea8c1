package rehearsal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lsst-ts/csu/executor/plan"
)

// Deployed is what Phalanx deploys to the site. Without it, a simulated site deploys what
// the plan expects, so that no mistake of the plan about Phalanx can show.
type Deployed struct {
	Commit       string
	Applications map[string]DeployedApplication // by name
}

// DeployedApplication is an Argo CD Application.
type DeployedApplication struct {
	Revision  string // that it follows, such as main
	Resources []DeployedResource
}

// DeployedResource is an object of an application.
type DeployedResource struct {
	plan.Resource
	Image string // that a CSC's Job runs; "" for other objects
	// Needs are the ConfigMaps and claims without which a Job's pod does not start.
	Needs []plan.Resource
}

// commit returns the commit of a branch. Branches do not move during a rehearsal.
func (s *Site) commit(revision string) string {
	switch {
	case s.deployed != nil:
		return s.deployed.Commit
	case s.plan.Upgrade.Phalanx != "":
		return s.plan.Upgrade.Phalanx
	}
	sum := sha256.Sum256([]byte(revision))
	return hex.EncodeToString(sum[:20])
}

// source returns a CSC's Job in the source of its application; false if it has none.
func (s *Site) source(row *plan.CSC) (DeployedResource, bool) {
	if s.deployed == nil {
		return DeployedResource{Resource: row.Job.Resource(), Image: row.Image}, true
	}
	resources := s.deployed.Applications[row.Job.Application].Resources
	i := slices.IndexFunc(resources, func(r DeployedResource) bool { return r.Resource == row.Job.Resource() })
	if i < 0 {
		return DeployedResource{}, false
	}
	return resources[i], true
}

// image returns the image of a CSC in the source of its application; "" if the source
// does not have its Job.
func (s *Site) image(row *plan.CSC) string {
	job, _ := s.source(row)
	return job.Image
}

// otherDeployed returns the resources of an application that are not Jobs of the plan's
// CSCs. What the plan does not know is new with this revision and not there yet.
func (s *Site) otherDeployed(name string, a *application) []*otherResource {
	var known, synced []plan.Resource
	for _, row := range a.rows {
		known = append(append(known, row.Job.Resource()), row.Job.Resources...)
	}
	whole := false
	for step := range s.plan.AllSteps() {
		if sync, ok := step.Action.Parameters.(*plan.Sync); ok && sync.Application == name {
			whole = whole || len(sync.Resources) == 0
			synced = append(synced, sync.Resources...)
		}
	}
	var found []*otherResource
	for _, r := range s.deployed.Applications[name].Resources {
		if slices.ContainsFunc(a.rows, func(row *plan.CSC) bool { return row.Job.Resource() == r.Resource }) {
			continue
		}
		o := &otherResource{Resource: r.Resource}
		mounted := r.Kind == "ConfigMap" || r.Kind == "PersistentVolumeClaim"
		o.missing = r.Image != "" || mounted && !slices.Contains(known, r.Resource) && !slices.Contains(s.plan.Shared, r.Resource)
		o.outOfSync = o.missing || s.plan.Type == plan.Incremental && (whole || slices.Contains(synced, r.Resource))
		found = append(found, o)
	}
	return found
}

// lacks returns an object that a CSC's pod needs and that is not there.
func (k *cluster) lacks(row *plan.CSC) (plan.Resource, bool) {
	job, _ := k.site.source(row)
	a := k.applications[row.Job.Application]
	for _, need := range job.Needs {
		if slices.ContainsFunc(a.others, func(o *otherResource) bool { return o.Resource == need && o.missing }) {
			return need, true
		}
	}
	return plan.Resource{}, false
}

// hold lets a pod wait for an object, as Kubernetes (v1.33) does: without a claim the
// scheduler finds no node, without a ConfigMap the kubelet does not create the container.
func (k *cluster) hold(p *corev1.Pod, lacks plan.Resource) {
	k.site.effect(Effect{System: SystemCluster, Kind: PodHeld, Subject: p.Namespace + "/" + p.Name, Detail: lacks.Kind + " " + lacks.Name})
	if lacks.Kind == "PersistentVolumeClaim" {
		p.Status.ContainerStatuses = nil
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable",
			Message: fmt.Sprintf("0/6 nodes are available: persistentvolumeclaim %q not found.", lacks.Name),
		}}
		return
	}
	p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{
		Reason: "CreateContainerConfigError", Message: fmt.Sprintf("configmap %q not found", lacks.Name),
	}
}

// retryHeld starts the pods whose objects are there now.
func (k *cluster) retryHeld() {
	held := k.held
	k.held = nil
	for _, start := range held {
		start()
	}
}
