package rehearsal

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/lsst-ts/csu/executor/plan"
)

// history is how far back the EFD's data go.
const history = 30 * 24 * time.Hour

// populate creates the site as it is before the upgrade. For a recovery, that is the
// state that the upgrade of the OS or of Kubernetes has left.
func (s *Site) populate() error {
	s.efd = newEFD(s)
	s.cluster = newCluster(s)
	s.cluster.addLedger()
	s.love = love{tokens: map[string]bool{}}
	s.slack = slackChannels{}
	s.registry = registry{site: s, level: "FORWARD", subjects: map[string]string{}}
	s.beginFaults()
	for i := range s.plan.CSCs {
		s.addCSC(&s.plan.CSCs[i])
	}
	if err := s.addHosts(); err != nil {
		return err
	}
	s.addNamespaces()
	for _, c := range s.cscs {
		s.addPast(c)
	}
	for _, h := range s.hosts {
		for _, v := range h.services {
			v.running = len(v.cscs) == 0 || slices.ContainsFunc(v.cscs, (*csc).lives)
		}
	}
	s.addApplications()
	s.addRegistryPod()
	return nil
}

func (s *Site) addCSC(row *plan.CSC) {
	if s.byName[row.CSC] != nil {
		return
	}
	c := newCSC(row)
	c.reportsOffline = c.component != "MTVMS" && !s.chance("says OFFLINE "+row.CSC, 0.08) && !s.strikes(cscSaysStandby, row.CSC)
	s.cscs = append(s.cscs, c)
	s.byName[row.CSC] = c
	s.efd.components[c.component] = append(s.efd.components[c.component], c)
	if c.component == "ScriptQueue" {
		c.reportsOffline = true
		c.queue = newQueue(s, c)
		s.queues[c.index] = c.queue
	}
}

// past is the state of a CSC before the upgrade.
type past struct {
	state  state
	alive  bool
	podRan bool // its pod runs, even if the CSC is silent
}

func (s *Site) pastOf(c *csc) past {
	was, ok := stateOf(c.row.Expect)
	if removed := c.row.Image == ""; !ok || removed && c.row.Job != nil {
		if was, ok = stateOf(c.row.ComesUp); !ok {
			was = standby
		}
	}
	p := past{state: was, alive: was != offline || c.row.Bridge, podRan: was != offline}
	switch s.plan.Type {
	case plan.Full:
		if c.row.Bridge || was == standby && s.chance("state before "+c.row.CSC, 0.6) {
			p.state = enabled
		}
	case plan.Recovery:
		if c.row.Job == nil {
			p.alive = p.alive && !s.hasSSH(c.row.Host)
			break
		}
		// Most nodes were drained. Some pods still run, and in some of those the
		// CSC is silent.
		fate := s.draw("after the IT upgrade " + c.row.CSC).Float64()
		p.podRan = fate < 0.2 && c.queue == nil
		p.alive = fate < 0.1 && c.queue == nil
	}
	return p
}

func (s *Site) hasSSH(host string) bool {
	for step := range s.plan.AllSteps() {
		if a, ok := step.Action.Parameters.(*plan.SSH); ok && a.Host == host {
			return true
		}
	}
	return false
}

// addPast adds the history of a CSC, with its Job and pod.
func (s *Site) addPast(c *csc) {
	if slices.Contains(s.plan.Upgrade.Added, c.row.CSC) {
		c.state = offline // it has none
		return
	}
	p := s.pastOf(c)
	c.podRan = p.podRan
	since := s.Map.Epoch.Add(-s.between("lives since "+c.row.CSC, 24*time.Hour, 20*24*time.Hour))
	if c.component != "" {
		c.state = p.state
		c.alive = []span{{from: since}}
		found := p.state.String()
		if !p.alive {
			c.alive[0].to = s.Map.Epoch.Add(-2 * time.Hour)
			found = "silent"
		}
		s.effect(Effect{System: SystemCSC, Kind: CSCFound, Subject: c.row.CSC, Detail: found})
		s.efd.add(measurement(c.component, "logevent_summaryState"), since, fields{"salIndex": c.index, "summaryState": int(p.state)})
		s.efd.order(measurement(c.component, "logevent_summaryState"))
	}
	if c.row.Job != nil {
		s.addPastJob(c, p, since)
	}
	if c.queue != nil && p.alive {
		c.queue.openAt(since) // long enough ago that the EFD has it
		s.efd.order(measurement(c.component, "logevent_queue"))
		if s.strikes(queuePaused, "") {
			c.queue.pause("fault queue-paused")
		}
	}
}

func (s *Site) addPastJob(c *csc, p past, since time.Time) {
	k := s.cluster
	image := s.imageBefore(c.row)
	j := k.addJob(c.row.Job.Namespace, c.row.Job.Name, image, cscLabels(c.row.Job), c)
	j.CreationTimestamp = metav1.NewTime(since)
	pod := k.addPod(j)
	pod.CreationTimestamp = j.CreationTimestamp
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: j.CreationTimestamp}}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses[0].Ready = true
	if s.plan.Type != plan.Recovery {
		k.pulled[image] = true
	}
	switch {
	case p.podRan:
	case s.plan.Type == plan.Recovery:
		k.endPod(pod, corev1.PodFailed, 255, "Unknown")
		j.finish(batchv1.JobFailed, metav1.NewTime(s.Map.Epoch.Add(-2*time.Hour)))
	default:
		k.endPod(pod, corev1.PodSucceeded, 0, "Completed")
		j.finish(batchv1.JobComplete, metav1.NewTime(s.Map.Epoch.Add(-2*time.Hour)))
	}
}

// imageBefore returns the image that a CSC runs before the upgrade.
func (s *Site) imageBefore(row *plan.CSC) string { return cmp.Or(row.Before, row.Image) }

// labelsFor returns labels that a selector matches.
func labelsFor(text string) map[string]string {
	found := map[string]string{}
	parsed, err := labels.Parse(text)
	if err != nil {
		return found
	}
	requirements, _ := parsed.Requirements()
	for _, r := range requirements {
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			found[r.Key()] = r.Values().List()[0]
		case selection.Exists:
			found[r.Key()] = "true"
		}
	}
	return found
}

// addNamespaces adds the namespaces of the site, including some users' Nublado
// sessions, and other Jobs in the namespaces that the plan cleans up.
func (s *Site) addNamespaces() {
	k := s.cluster
	for _, n := range []string{"default", "kube-system", "nublado", k.argoNamespace(), s.plan.Targets.Registry.Namespace} {
		if n != "" {
			k.addNamespace(n, nil)
		}
	}
	for step := range s.plan.AllSteps() {
		if d, ok := step.Action.Parameters.(*plan.Delete); ok && d.Objects == plan.Namespaces {
			users := 3 + s.draw("sessions").IntN(7)
			for i := range users {
				k.addNamespace(fmt.Sprintf("nublado-user%02d", i+1), labelsFor(d.Selector))
			}
			break
		}
	}
	for _, c := range s.cscs {
		if c.row.Job != nil && c.row.Job.Namespace == "uws" && k.jobs["uws/uws-server-job"] == nil {
			// This Job is not a CSC's, so cleaning up its namespace must not delete it.
			j := k.addJob("uws", "uws-server-job", "ghcr.io/lsst-sqre/vo-cutouts:5.0.0", map[string]string{"app.kubernetes.io/name": "uws-server"}, nil)
			k.runPod(k.addPod(j), j)
		}
	}
}

func (s *Site) addRegistryPod() {
	t := s.plan.Targets.Registry
	if t.Namespace == "" {
		return
	}
	container := t.Container
	if container == "" {
		container = "schema-registry"
	}
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: s.cluster.meta(t.Namespace, "sasquatch-schema-registry-5d8f7c9b6-x2x7k", labelsFor(t.Selector)),
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: container, Image: "confluentinc/cp-schema-registry:7.7.0"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: container, Image: "confluentinc/cp-schema-registry:7.7.0", Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.Map.Epoch)}},
		}}},
	}
	s.cluster.pods[pod.Namespace+"/"+pod.Name] = pod
	s.registry.pod = pod
}

// addApplications adds the applications of the CSCs, and those that the plan names.
func (s *Site) addApplications() {
	k := s.cluster
	names := map[string]string{} // revision by name
	add := func(name, revision string) {
		if names[name] == "" || revision != "" {
			names[name] = revision
		}
	}
	common := "main"
	for step := range s.plan.AllSteps() {
		switch a := step.Action.Parameters.(type) {
		case *plan.Sync:
			add(a.Application, a.Revision)
			common = a.Revision
		case *plan.Manual:
			for _, name := range a.Applications {
				add(name, "")
			}
		}
	}
	for _, c := range s.cscs {
		if c.row.Job != nil {
			add(c.row.Job.Application, "")
		}
	}
	add(s.appOfApps(), "")
	later := s.rendersLater()
	for name, revision := range names {
		if revision == "" {
			revision = common
		}
		if s.deployed != nil && name != s.appOfApps() {
			of, deployed := s.deployed.Applications[name]
			if !deployed {
				continue
			}
			revision = of.Revision
		}
		a := k.addApplication(name, revision)
		for _, c := range s.cscs {
			if c.row.Job != nil && c.row.Job.Application == name && c.row.Image != "" { // Phalanx has no removed ones
				a.rows = append(a.rows, c.row)
				a.wanted[c.row.CSC] = s.image(c.row)
				if later {
					a.wanted[c.row.CSC] = s.imageBefore(c.row)
				}
			}
		}
	}
	for name, a := range k.applications {
		a.others = s.otherResources(name, a)
		k.reconcile(a)
	}
}

// appOfApps renders the other Applications, including the image tag of the cycle.
func (s *Site) appOfApps() string { return s.plan.Targets.ArgoCD.AppOfApps }

// rendersLater reports whether the applications get the images of the plan only when
// the app of apps is synced.
func (s *Site) rendersLater() bool {
	if s.plan.Type == plan.Full {
		return true
	}
	for step := range s.plan.AllSteps() {
		if a, ok := step.Action.Parameters.(*plan.Sync); ok && a.Application == s.appOfApps() {
			return true
		}
	}
	return false
}

// otherResources returns the resources of an application that are not Jobs of CSCs.
func (s *Site) otherResources(name string, a *application) []*otherResource {
	k := s.cluster
	if s.deployed != nil && name != s.appOfApps() {
		return s.otherDeployed(name, a)
	}
	var found []*otherResource
	if name == s.appOfApps() {
		for _, app := range k.applicationNames() {
			if app != name {
				r := plan.Resource{Group: "argoproj.io", Kind: "Application", Namespace: k.argoNamespace(), Name: app}
				found = append(found, &otherResource{Resource: r, outOfSync: s.rendersLater()})
			}
		}
		return found
	}
	changed := s.plan.Type == plan.Incremental
	whole := false
	for step := range s.plan.AllSteps() {
		sync, ok := step.Action.Parameters.(*plan.Sync)
		if !ok || sync.Application != name {
			continue
		}
		whole = whole || len(sync.Resources) == 0
		for _, r := range sync.Resources {
			job := r.Kind == "Job"
			if !job && !slices.ContainsFunc(found, func(o *otherResource) bool { return o.Resource == r }) {
				found = append(found, &otherResource{Resource: r, outOfSync: changed})
			}
		}
	}
	namespace := name
	if len(a.rows) > 0 {
		namespace = a.rows[0].Job.Namespace
	}
	return append(found, &otherResource{Resource: plan.Resource{Kind: "ConfigMap", Namespace: namespace, Name: name + "-config"}, outOfSync: changed && whole})
}
