package ground_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan"
)

// One control plane and one Argo CD serve all tests of this package. Each test
// has its own namespaces and applications. The first test that needs a server
// starts it.
var (
	session = ground.NewSession(context.Background())

	shared = sync.OnceValues(func() (c *ground.Cluster, err error) {
		err = session.Do(func(t testing.TB) {
			c = ground.StartCluster(t)
			c.AddNamespace(t, "argocd", nil)
			c.AddNamespace(t, "sasquatch", nil)
		})
		return c, err
	})

	sharedArgoCD = sync.OnceValues(func() (a *ground.ArgoCD, err error) {
		c, err := shared()
		if err != nil {
			return nil, err
		}
		err = session.Do(func(t testing.TB) { a = ground.StartArgoCD(t, c, site()) })
		return a, err
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := session.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// site returns a small site: each application belongs to one test of Argo CD.
func site() *plan.Plan {
	p := &plan.Plan{
		Format: plan.Format, Site: "ground", Type: plan.Incremental,
		Upgrade: plan.Upgrade{Cycle: "c0044"},
		Targets: plan.Targets{
			Kubernetes: plan.Kubernetes{Context: "yagan"},
			ArgoCD:     plan.ArgoCD{Namespace: "argocd", Project: "telescope", AppOfApps: "science-platform"},
			Registry:   plan.Registry{Namespace: "sasquatch", Selector: "app=sasquatch-schema-registry", Container: "server"},
		},
	}
	for _, row := range []struct{ csc, application, name, class string }{
		{"MTMount:0", "simonyitel", "mtmount", "mtmount"},
		{"MTAOS:0", "simonyitel", "mtaos", "mtaos"},
		{"ESS:105", "envsys", "tma-ess105", "ess"},
		{"Watcher:0", "obssys", "watcher", "watcher"},
		{"ATDome:0", "auxtel", "atdome", "atdome"},
	} {
		p.CSCs = append(p.CSCs, plan.CSC{
			CSC: row.csc, Before: image(row.class, "c0044.006"), Image: image(row.class, "c0044.007"),
			Job: &plan.Job{Application: row.application, Namespace: row.application, Name: row.name, Label: row.name, CSCName: row.name, CSCClass: row.class},
		})
		p.Upgrade.Changed = append(p.Upgrade.Changed, plan.Change{CSC: row.csc, Revision: 7})
	}
	return p
}

// siteNamed returns a site of another name, with a ledger of its own.
func siteNamed(name string) *plan.Plan {
	p := site()
	p.Site = name
	return p
}

func image(name, tag string) string { return "ts-dockerhub.lsst.org/" + name + ":" + tag }

// connect returns the shared control plane, and csu's client for it as a user
// with exactly the permissions that csu needs.
func connect(t *testing.T, without ...cluster.Permission) (*ground.Cluster, *cluster.Cluster) {
	t.Helper()
	return connectTo(t, site(), without...)
}

// connectTo is connect for the operator of another plan.
func connectTo(t *testing.T, p *plan.Plan, without ...cluster.Permission) (*ground.Cluster, *cluster.Cluster) {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	client, err := cluster.Connect(c.Operator(t, p, without...), p.Targets.Kubernetes.Context)
	if err != nil {
		t.Fatal(err)
	}
	return c, client
}

// addJob creates a Job as the CSC chart does, and waits until its pod has
// started.
func addJob(t *testing.T, c *ground.Cluster, namespace, name, image string) {
	t.Helper()
	c.AddNamespace(t, namespace, nil)
	c.Apply(t, fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: %[2]s, namespace: %[1]s, labels: {csc: %[2]s, csc-name: %[2]s, csc-class: %[2]s}}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {csc: %[2]s}}
    spec: {restartPolicy: Never, containers: [{name: %[2]s, image: %[3]q}]}
`, namespace, name, image))
}

// awaitImage waits until a Job runs an image.
func awaitImage(t *testing.T, c *ground.Cluster, client *cluster.Cluster, namespace, job, image string) {
	t.Helper()
	c.Until(t, ground.Limit, fmt.Sprintf("Job \"%s/%s\" runs %s", namespace, job, image), func(ctx context.Context) (bool, error) {
		images, err := client.JobImages(ctx, namespace, []string{job})
		if err != nil {
			return false, err
		}
		if i := images[0]; !i.Running || len(i.Images) != 1 || i.Images[0] != image {
			return false, fmt.Errorf("%+v", i)
		}
		return true, nil
	})
}

// find returns the one Job with the name.
func find(t *testing.T, client *cluster.Cluster, namespace, name string) cluster.Object {
	t.Helper()
	jobs, err := client.Jobs(t.Context(), namespace, "csc-name="+name)
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 1 || jobs[0].Name != name || jobs[0].UID == "" {
		t.Fatalf("Jobs named %q in %q = %v, want one, with its UID", name, namespace, jobs)
	}
	return jobs[0]
}
