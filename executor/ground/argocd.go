package ground

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lsst-ts/csu/executor/plan"
)

// argoNamespace is where Argo CD is at every site.
const argoNamespace = "argocd"

//go:embed argocd.yaml
var argoManifests string

var applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

// ArgoCD is a running Argo CD, its application controller and repo server, with
// a site's applications in a Git repository on disk.
type ArgoCD struct {
	Deployment *Deployment

	cluster *Cluster
	dir     string
}

// StartArgoCD starts Argo CD and Redis for the test, deploys the site's
// applications as they are before the plan's upgrade, and waits until the pods
// of all Jobs are running.
func StartArgoCD(t testing.TB, c *Cluster, p *plan.Plan) *ArgoCD {
	t.Helper()
	if p.Targets.ArgoCD.Namespace != argoNamespace {
		t.Fatalf("the plan's Argo CD is in namespace %q, the ground's in %q", p.Targets.ArgoCD.Namespace, argoNamespace)
	}
	a := &ArgoCD{Deployment: newDeployment(t, p), cluster: c, dir: t.TempDir()}
	c.AddNamespace(t, argoNamespace, nil)
	for _, crd := range []string{"application-crd.yaml", "appproject-crd.yaml"} {
		c.applyFile(t, filepath.Join(c.tools.ArgoCDCRDs, crd))
	}
	// A new kind is served, and listed among the server's kinds, at different moments.
	c.Until(t, Limit, "the API server serves Argo CD's kinds", func(ctx context.Context) (bool, error) {
		for _, kind := range []string{"Application", "AppProject"} {
			mapping, err := c.mapping(applications.GroupVersion().WithKind(kind))
			if err != nil {
				return false, err
			}
			if _, err := c.Dynamic.Resource(mapping.Resource).Namespace(argoNamespace).List(ctx, metav1.ListOptions{}); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	c.Apply(t, strings.NewReplacer(
		"@NAMESPACE@", argoNamespace, "@PROJECT@", p.Targets.ArgoCD.Project,
		"@REPOSITORY@", a.Deployment.URL, "@BRANCH@", a.Deployment.Branch,
	).Replace(argoManifests))
	redis := a.startRedis(t)
	a.startController(t, redis, a.startRepoServer(t, redis))
	a.deploy(t)
	return a
}

func (a *ArgoCD) startRedis(t testing.TB) (address string) {
	t.Helper()
	program, err := debianProgram("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	ports := server{
		name: "redis-server", program: program, dir: a.dir, ports: 1,
		arguments: func(ports []int) []string {
			return []string{"--bind", "127.0.0.1", "--port", fmt.Sprint(ports[0]), "--save", "", "--appendonly", "no", "--dir", a.dir}
		},
		ready: answers,
	}.start(t)
	return local(ports[0])
}

// folder makes a folder below the ground's own.
func (a *ArgoCD) folder(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(a.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (a *ArgoCD) startRepoServer(t testing.TB, redis string) (address string) {
	t.Helper()
	ports := server{
		name: "argocd-repo-server", program: a.cluster.tools.RepoServer, dir: a.dir, ports: 2,
		env: []string{
			"KUBECONFIG=" + a.cluster.AdminKubeconfig, "ARGOCD_FAKE_IN_CLUSTER=true", "ARGOCD_GPG_ENABLED=false",
			"ARGOCD_TLS_DATA_PATH=" + a.folder(t, "tls"), "ARGOCD_SSH_DATA_PATH=" + a.folder(t, "ssh"), "ARGOCD_GPG_DATA_PATH=" + a.folder(t, "gpg"),
			"ARGOCD_PLUGINSOCKFILEPATH=" + a.folder(t, "plugins"),
			"TMPDIR=" + a.folder(t, "clones"), "HOME=" + a.dir,
		},
		arguments: func(ports []int) []string {
			return []string{
				"--redis=" + redis, "--disable-tls", "--address=127.0.0.1", fmt.Sprintf("--port=%d", ports[0]),
				"--metrics-address=127.0.0.1", fmt.Sprintf("--metrics-port=%d", ports[1]), "--logformat=text",
			}
		},
		ready: answers,
	}.start(t)
	return local(ports[0])
}

func (a *ArgoCD) startController(t testing.TB, redis, repoServer string) {
	t.Helper()
	server{
		name: "argocd-application-controller", program: a.cluster.tools.ApplicationController, dir: a.dir, ports: 1,
		env: []string{
			"KUBECONFIG=" + a.cluster.AdminKubeconfig, "ARGOCD_FAKE_IN_CLUSTER=true",
			"ARGOCD_TLS_DATA_PATH=" + a.folder(t, "tls"), "ARGOCD_SSH_DATA_PATH=" + a.folder(t, "ssh"),
			"TMPDIR=" + a.folder(t, "controller"), "HOME=" + a.dir,
		},
		arguments: func(ports []int) []string {
			return []string{
				"--namespace=" + argoNamespace, "--redis=" + redis, "--repo-server=" + repoServer, "--repo-server-plaintext",
				fmt.Sprintf("--metrics-port=%d", ports[0]), "--logformat=text",
			}
		},
		ready: answers,
	}.start(t)
}

// deploy syncs everything and waits until all pods are running.
func (a *ArgoCD) deploy(t testing.TB) {
	t.Helper()
	a.Sync(t, appOfApps)
	apps := a.Deployment.applications()
	for _, name := range apps {
		a.begin(t, name)
	}
	for _, name := range apps {
		a.await(t, name)
	}
	a.cluster.AwaitPods(t)
}

// Sync syncs a whole application, not as csu but as another client, and waits
// until the sync ends.
func (a *ArgoCD) Sync(t testing.TB, name string) {
	t.Helper()
	a.begin(t, name)
	a.await(t, name)
}

func (a *ArgoCD) begin(t testing.TB, name string) {
	t.Helper()
	const operation = `{"operation":{"initiatedBy":{"username":"ground"},"sync":{"syncStrategy":{"hook":{}}}}}`
	_, err := a.cluster.Dynamic.Resource(applications).Namespace(argoNamespace).Patch(t.Context(), name, types.MergePatchType, []byte(operation), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("sync Argo CD application %q: %v", name, err)
	}
}

func (a *ArgoCD) await(t testing.TB, name string) {
	t.Helper()
	a.cluster.Until(t, Limit, fmt.Sprintf("Argo CD application %q is synced", name), func(ctx context.Context) (bool, error) {
		app, err := a.cluster.Dynamic.Resource(applications).Namespace(argoNamespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if _, waits := app.Object["operation"]; waits {
			return false, nil
		}
		state, _, err := unstructured.NestedMap(app.Object, "status", "operationState")
		if err != nil {
			return false, err
		}
		if state["phase"] != "Succeeded" {
			return false, errors.New(describe(state))
		}
		return true, nil
	})
}

func describe(state map[string]any) string {
	text, err := json.Marshal(map[string]any{"phase": state["phase"], "message": state["message"], "syncResult": state["syncResult"]})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// AwaitPods waits until every pod of the cluster has started.
func (c *Cluster) AwaitPods(t testing.TB) {
	t.Helper()
	c.Until(t, Limit, "all Jobs have pods, and all pods have started", func(ctx context.Context) (bool, error) {
		jobs, err := c.Admin.BatchV1().Jobs("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, job := range jobs.Items {
			if job.Status.Active+job.Status.Succeeded+job.Status.Failed == 0 {
				return false, fmt.Errorf("no pod of Job \"%s/%s\"", job.Namespace, job.Name)
			}
		}
		pods, err := c.Admin.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, pod := range pods.Items {
			if pod.Status.Phase == corev1.PodPending {
				return false, fmt.Errorf("pod \"%s/%s\" is pending", pod.Namespace, pod.Name)
			}
		}
		return true, nil
	})
}
