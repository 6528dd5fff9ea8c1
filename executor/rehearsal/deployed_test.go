package rehearsal

import (
	"slices"
	"strings"
	"testing"
	"time"

	argocdapi "github.com/lsst-ts/csu/executor/internal/argocd"
	clusterapi "github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan"
)

const phalanxCommit = "650a0ef2cb4428baf8412f4f762eddb2854e00d1"

// asPlanned returns what Phalanx deploys if the plan is right.
func asPlanned(p *plan.Plan) *Deployed {
	d := &Deployed{Commit: phalanxCommit, Applications: map[string]DeployedApplication{}}
	for _, row := range p.CSCs {
		if row.Job == nil {
			continue
		}
		a := d.Applications[row.Job.Application]
		a.Revision = "main"
		a.Resources = append(a.Resources, DeployedResource{Resource: row.Job.Resource(), Image: row.Image})
		for _, r := range row.Job.Resources {
			a.Resources = append(a.Resources, DeployedResource{Resource: r})
		}
		d.Applications[row.Job.Application] = a
	}
	return d
}

// A simulated site deploys what it is told that Phalanx has, whatever the plan expects.
func TestDeploysWhatPhalanxHas(t *testing.T) {
	t.Parallel()
	claim := plan.Resource{Kind: "PersistentVolumeClaim", Namespace: "simonyitel", Name: "mtmount-data-pvc"}
	settings := plan.Resource{Kind: "ConfigMap", Namespace: "simonyitel", Name: "mtmount-configfile"}
	job := plan.Resource{Group: "batch", Kind: "Job", Namespace: "simonyitel", Name: "mtmount"}
	needs := func(r plan.Resource) func(a *DeployedApplication) {
		return func(a *DeployedApplication) {
			a.Resources[0].Needs = []plan.Resource{r}
			a.Resources = append(a.Resources, DeployedResource{Resource: r})
		}
	}
	for name, c := range map[string]struct {
		spoil   func(*DeployedApplication) // simonyitel
		sync    []plan.Resource            // beside the Job; nil: the whole application
		phase   string
		images  string // that run in the end; "" if the Job does not run
		why     string // part of why it does not
		created int
	}{
		"as planned":          {func(*DeployedApplication) {}, []plan.Resource{}, "Succeeded", "mtmount:c0045.007", "", 1},
		"another image":       {func(a *DeployedApplication) { a.Resources[0].Image = "reg.org/mtmount:c0045.000" }, []plan.Resource{}, "Succeeded", "mtmount:c0045.000", "", 1},
		"no such Job":         {func(a *DeployedApplication) { a.Resources[0].Name = "mtmount-main" }, []plan.Resource{}, "Failed", "", "no such Job", 0},
		"no such Job, whole":  {func(a *DeployedApplication) { a.Resources[0].Name = "mtmount-main" }, nil, "Succeeded", "", "no such Job", 0},
		"a claim is left out": {needs(claim), []plan.Resource{}, "Succeeded", "", `persistentvolumeclaim "mtmount-data-pvc" not found`, 1},
		"a claim is brought":  {needs(claim), []plan.Resource{claim}, "Succeeded", "mtmount:c0045.007", "", 1},
		"a claim, whole":      {needs(claim), nil, "Succeeded", "mtmount:c0045.007", "", 1},
		"a ConfigMap":         {needs(settings), []plan.Resource{}, "Succeeded", "", `CreateContainerConfigError: configmap "mtmount-configfile" not found`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := smallPlan()
			d := asPlanned(p)
			a := d.Applications["simonyitel"]
			c.spoil(&a)
			d.Applications["simonyitel"] = a
			s := startAt(t, Config{Plan: p, Deployed: d})
			deleteJobs(t, s, "simonyitel", "csc-class=mtmount")
			request := argocdapi.SyncRequest{Operator: "ann"}
			for _, r := range append([]plan.Resource{job}, c.sync...) {
				if c.sync != nil {
					request.Resources = append(request.Resources, argocdapi.Resource(r))
				}
			}
			if o := syncApplication(t, s, "simonyitel", "r/a/1", request); o.Phase != c.phase || o.Revision != phalanxCommit {
				t.Errorf("the sync ended %s at %s: %s", o.Phase, o.Revision, o.Message)
			}
			var found clusterapi.JobImage
			if !until(time.Millisecond, func() bool {
				images, err := s.clusterClient(t).JobImages(t.Context(), "simonyitel", []string{"mtmount"})
				if err != nil {
					t.Fatal(err)
				}
				found = images[0]
				return found.Running || c.why != "" && strings.Contains(found.Why, c.why)
			}) {
				t.Fatalf("in the end: %+v", found)
			}
			if found.Running != (c.images != "") || found.Running && !slices.ContainsFunc(found.Images, func(i string) bool { return strings.HasSuffix(i, c.images) }) {
				t.Errorf("%+v, want %q", found, c.images)
			}
			if got := s.seen(JobCreated); len(got) != c.created {
				t.Errorf("Jobs created: %q", got)
			}
		})
	}
}

// What a pod waits for may come with a later sync.
func TestHeldPodStartsOnceItsClaimIsThere(t *testing.T) {
	t.Parallel()
	p := smallPlan()
	d := asPlanned(p)
	a := d.Applications["simonyitel"]
	claim := plan.Resource{Kind: "PersistentVolumeClaim", Namespace: "simonyitel", Name: "mtmount-data-pvc"}
	a.Resources[0].Needs = []plan.Resource{claim}
	a.Resources = append(a.Resources, DeployedResource{Resource: claim})
	d.Applications["simonyitel"] = a
	s := startAt(t, Config{Plan: p, Deployed: d})
	deleteJobs(t, s, "simonyitel", "csc-class=mtmount")
	for i, r := range []plan.Resource{a.Resources[0].Resource, claim} {
		syncApplication(t, s, "simonyitel", []string{"r/a/1", "r/b/1"}[i], argocdapi.SyncRequest{Operator: "ann", Resources: []argocdapi.Resource{argocdapi.Resource(r)}})
		if i == 0 {
			s.eventually(t, "the pod waits", func() bool { return len(s.cluster.held) == 1 })
		}
	}
	s.eventually(t, "MTMount is up", func() bool { return s.csc("MTMount:0").lives() })
	if got := s.seen(PodHeld); len(got) != 1 || !strings.HasSuffix(got[0], "PersistentVolumeClaim mtmount-data-pvc") {
		t.Errorf("held: %q", got)
	}
}

// An application that Phalanx does not deploy is not there.
func TestApplicationThatPhalanxDoesNotHave(t *testing.T) {
	t.Parallel()
	p := smallPlan()
	d := asPlanned(p)
	delete(d.Applications, "simonyitel")
	s := startAt(t, Config{Plan: p, Deployed: d})
	if _, err := argocdapi.New(s.clusterClient(t), "argocd", s.clk).Get(t.Context(), "simonyitel"); err == nil || !strings.Contains(err.Error(), "no Argo CD application") {
		t.Errorf("simonyitel: %v", err)
	}
}
