package ground_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/cluster"
)

func awaitGone(t *testing.T, c *ground.Cluster, client *cluster.Cluster, jobs ...cluster.Object) {
	t.Helper()
	c.Until(t, ground.Limit, fmt.Sprintf("%v are gone with their pods", jobs), func(ctx context.Context) (bool, error) {
		left, err := client.RemainingJobs(ctx, jobs)
		return err == nil && len(left) == 0, err
	})
}

// hold keeps a deleted object from being gone until release. It creates the object if necessary.
func hold(t *testing.T, c *ground.Cluster, apiVersion, kind, namespace, name string) (release func()) {
	t.Helper()
	apply := func(finalizers string) {
		t.Helper()
		c.Apply(t, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {namespace: %s, name: %s, finalizers: [%s]}}", apiVersion, kind, namespace, name, finalizers))
	}
	apply("ground.csu.lsst.org/held")
	return func() { t.Helper(); apply("") }
}

// podOf returns the name of the one pod of a Job.
func podOf(t *testing.T, c *ground.Cluster, namespace, job string) string {
	t.Helper()
	pods, err := c.Admin.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=" + job})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods of Job \"%s/%s\", %v, want one", len(pods.Items), namespace, job, err)
	}
	return pods.Items[0].Name
}

func TestAJobIsDeletedWithItsPods(t *testing.T) {
	c, client := connect(t)
	addJob(t, c, "deletion", "mtmount", image("mtmount", "c0044"))
	addJob(t, c, "deletion", "mtaos", image("mtaos", "c0044"))
	awaitImage(t, c, client, "deletion", "mtmount", image("mtmount", "c0044"))
	awaitImage(t, c, client, "deletion", "mtaos", image("mtaos", "c0044"))
	mount := find(t, client, "deletion", "mtmount")
	release := hold(t, c, "v1", "Pod", "deletion", podOf(t, c, "deletion", "mtmount"))
	if err := client.DeleteJob(t.Context(), mount); err != nil {
		t.Fatal(err)
	}
	// The Job itself is gone at once; its pod takes a while.
	if jobs, err := client.Jobs(t.Context(), "deletion", "csc-name=mtmount"); err != nil || len(jobs) != 0 {
		t.Errorf("Jobs = %v, %v, want none after a background deletion", jobs, err)
	}
	left, err := client.RemainingJobs(t.Context(), []cluster.Object{mount})
	if err != nil || !slices.Equal(left, []cluster.Object{mount}) {
		t.Errorf("RemainingJobs = %v, %v, want the Job, whose pod still exists", left, err)
	}
	release()
	awaitGone(t, c, client, mount)
	pods, err := c.Admin.CoreV1().Pods("deletion").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 1 || pods.Items[0].Labels["csc"] != "mtaos" {
		t.Errorf("pods = %v, %v, want the other Job's only", pods, err)
	}
	if err := client.DeleteJob(t.Context(), mount); err != nil {
		t.Errorf("DeleteJob of a deleted Job = %v, want nil", err)
	}
}

// This is not what csu does: without a propagation policy the pods stay. They
// still belong to the Job.
func TestPodsThatWereOrphanedRemain(t *testing.T) {
	c, client := connect(t)
	addJob(t, c, "orphans", "mtmount", image("mtmount", "c0044"))
	awaitImage(t, c, client, "orphans", "mtmount", image("mtmount", "c0044"))
	job := find(t, client, "orphans", "mtmount")
	if err := c.Admin.BatchV1().Jobs("orphans").Delete(t.Context(), "mtmount", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Until(t, ground.Limit, "the Job is gone, and its pod has no owner", func(ctx context.Context) (bool, error) {
		jobs, err := client.Jobs(ctx, "orphans", "csc")
		if err != nil || len(jobs) != 0 {
			return false, err
		}
		pods, err := c.Admin.CoreV1().Pods("orphans").List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items) == 1 && len(pods.Items[0].OwnerReferences) == 0, err
	})
	if left, err := client.RemainingJobs(t.Context(), []cluster.Object{job}); err != nil || !slices.Equal(left, []cluster.Object{job}) {
		t.Errorf("RemainingJobs = %v, %v, want the Job, whose pod is still running", left, err)
	}
}

func TestANewerJobIsSpared(t *testing.T) {
	c, client := connect(t)
	addJob(t, c, "spared", "mtmount", image("mtmount", "c0044"))
	awaitImage(t, c, client, "spared", "mtmount", image("mtmount", "c0044"))
	old := find(t, client, "spared", "mtmount")
	if err := client.DeleteJob(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, c, client, old)
	addJob(t, c, "spared", "mtmount", image("mtmount", "c0045"))
	awaitImage(t, c, client, "spared", "mtmount", image("mtmount", "c0045"))
	newer := find(t, client, "spared", "mtmount")
	if err := client.DeleteJob(t.Context(), old); err != nil {
		t.Errorf("DeleteJob of a Job with a successor = %v, want nil", err)
	}
	if left, err := client.RemainingJobs(t.Context(), []cluster.Object{old}); err != nil || len(left) != 0 {
		t.Errorf("RemainingJobs = %v, %v, want none: the successor's pod is not the old one's", left, err)
	}
	if now := find(t, client, "spared", "mtmount"); now != newer || newer == old {
		t.Errorf("the Job is now %v, want %v, as it was before the deletion of %v", now, newer, old)
	}
	awaitImage(t, c, client, "spared", "mtmount", image("mtmount", "c0045"))
}

func TestAnAbsentNamespaceIsEmpty(t *testing.T) {
	_, client := connect(t)
	if jobs, err := client.Jobs(t.Context(), "absent", "csc"); err != nil || len(jobs) != 0 {
		t.Errorf("Jobs = %v, %v, want none", jobs, err)
	}
	if ended, known, err := client.PodEnded(t.Context(), "absent", "mtmount"); err != nil || ended || known {
		t.Errorf("PodEnded = %v, %v, %v, want unknown", ended, known, err)
	}
	images, err := client.JobImages(t.Context(), "absent", []string{"mtmount"})
	want := []cluster.JobImage{{Namespace: "absent", Job: "mtmount", Why: "no such Job"}}
	if err != nil || !cmp.Equal(want, images) {
		t.Errorf("JobImages = %+v, %v, want %+v", images, err, want)
	}
}

func TestNamespacesAreDeletedWithWhatIsInThem(t *testing.T) {
	c, client := connect(t)
	sessions := map[string]string{"argocd.argoproj.io/instance": "nublado-users"}
	for _, name := range []string{"nublado-ann", "nublado-bob"} {
		c.AddNamespace(t, name, sessions)
		addJob(t, c, name, "session", image("nublado", "c0044"))
	}
	found, err := client.Namespaces(t.Context(), "argocd.argoproj.io/instance=nublado-users")
	if err != nil || len(found) != 2 || found[0].Name != "nublado-ann" || found[1].Name != "nublado-bob" {
		t.Fatalf("Namespaces = %v, %v, want ann's and bob's", found, err)
	}
	ann := found[0]
	release := hold(t, c, "v1", "ConfigMap", "nublado-ann", "notebook")
	if err := client.DeleteNamespace(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	if left, err := client.RemainingNamespaces(t.Context(), found); err != nil || !slices.Equal(left, found) {
		t.Errorf("RemainingNamespaces = %v, %v, want both: one of them is being deleted", left, err)
	}
	if err := client.DeleteNamespace(t.Context(), ann); err != nil {
		t.Errorf("DeleteNamespace of a namespace that is being deleted = %v, want nil", err)
	}
	release()
	c.Until(t, ground.Limit, "the namespace is gone", func(ctx context.Context) (bool, error) {
		left, err := client.RemainingNamespaces(ctx, found)
		return err == nil && len(left) == 1 && left[0].Name == "nublado-bob", err
	})
	if err := client.DeleteNamespace(t.Context(), ann); err != nil {
		t.Errorf("DeleteNamespace of a deleted namespace = %v, want nil", err)
	}
	c.AddNamespace(t, "nublado-ann", sessions) // she is back
	if err := client.DeleteNamespace(t.Context(), ann); err != nil {
		t.Errorf("DeleteNamespace of a namespace with a successor = %v, want nil", err)
	}
	now, err := c.Admin.CoreV1().Namespaces().Get(t.Context(), "nublado-ann", metav1.GetOptions{})
	if err != nil || now.DeletionTimestamp != nil || string(now.UID) == ann.UID {
		t.Errorf("namespace = %+v, %v, want the newer one, unchanged", now, err)
	}
}

func TestAMissingRightIsNamed(t *testing.T) {
	all := ground.OperatorRights(site())
	_, client := connect(t)
	if denied, err := client.Allowed(t.Context(), all); err != nil || len(denied) != 0 {
		t.Errorf("Allowed = %v, %v, want nothing denied", denied, err)
	}
	beyond := cluster.Permission{Verb: "delete", Group: "apps", Resource: "deployments", Namespace: "simonyitel"}
	if denied, err := client.Allowed(t.Context(), []cluster.Permission{beyond}); err != nil || !slices.Equal(denied, []cluster.Permission{beyond}) {
		t.Errorf("Allowed = %v, %v, want %q denied", denied, err, beyond)
	}
	for _, lacking := range all {
		t.Run(strings.ReplaceAll(lacking.String(), "/", " "), func(t *testing.T) {
			_, client := connect(t, lacking)
			denied, err := client.Allowed(t.Context(), all)
			if err != nil || !slices.Equal(denied, []cluster.Permission{lacking}) {
				t.Errorf("Allowed = %v, %v, want %q denied", denied, err, lacking)
			}
		})
	}
}

func TestWhatIsForbiddenIsNotInDoubt(t *testing.T) {
	c, client := connect(t, cluster.Permission{Verb: "delete", Group: "batch", Resource: "jobs"})
	addJob(t, c, "forbidden", "mtmount", image("mtmount", "c0044"))
	awaitImage(t, c, client, "forbidden", "mtmount", image("mtmount", "c0044"))
	job := find(t, client, "forbidden", "mtmount")
	err := client.DeleteJob(t.Context(), job)
	var lost *cluster.LostError
	if err == nil || errors.As(err, &lost) || !strings.Contains(err.Error(), "permission") {
		t.Errorf("DeleteJob = %v, want a refusal that says what to ask for, and is no *LostError", err)
	}
	if now := find(t, client, "forbidden", "mtmount"); now != job {
		t.Errorf("the Job is now %v, want %v", now, job)
	}
}

func TestExecRunsACommandInAPod(t *testing.T) {
	c, client := connect(t)
	addJob(t, c, "sasquatch", "shell", image("shell", "c0044"))
	awaitImage(t, c, client, "sasquatch", "shell", image("shell", "c0044"))
	run := func(argv ...string) (string, error) {
		return client.Exec(t.Context(), "sasquatch", "csc=shell", "", argv)
	}
	before := websockets(t, c)
	if out, err := run("printf", "%s|%s", "two words", `"$HOME"`); err != nil || out != `two words|"$HOME"` {
		t.Errorf("Exec = %q, %v, want its arguments unchanged, without a shell", out, err)
	}
	// The API server counts a command only after reporting its end.
	n := 0
	c.Until(t, ground.Limit, "the API server has counted the command", func(context.Context) (bool, error) {
		n = websockets(t, c) - before
		return n > 0, nil
	})
	if n != 1 {
		t.Errorf("the API server has served %d commands over a websocket, want the one", n)
	}
	out, err := run("sh", "-c", "echo out; echo no such schema >&2; exit 7")
	var exit *cluster.ExitError
	if !errors.As(err, &exit) || exit.Status != 7 || strings.TrimSpace(exit.Stderr) != "no such schema" || out != "out\n" {
		t.Errorf("Exec = %q, %v, want exit status 7 and both outputs", out, err)
	}
	if out, err := run("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done"); err != nil || len(out) != 3000*41 {
		t.Errorf("Exec returned %d bytes, %v, want %d", len(out), err, 3000*41)
	}
	var missing *cluster.NoPodError
	if _, err := client.Exec(t.Context(), "sasquatch", "csc=none", "", []string{"true"}); !errors.As(err, &missing) {
		t.Errorf("Exec without a pod = %v, want a *NoPodError", err)
	}
	if err := c.EndPods(t.Context(), "sasquatch", "shell", 0); err != nil {
		t.Fatal(err)
	}
	c.Until(t, ground.Limit, "the ended pod accepts no command", func(ctx context.Context) (bool, error) {
		_, err := run("true")
		return errors.As(err, &missing) && len(missing.Found) == 1 && strings.HasSuffix(missing.Found[0], "(Succeeded)"), err
	})
}

func TestACommandThatIsCutOffIsInDoubt(t *testing.T) {
	c, client := connect(t)
	addJob(t, c, "sasquatch", "slow", image("slow", "c0044"))
	awaitImage(t, c, client, "sasquatch", "slow", image("slow", "c0044"))
	begun := filepath.Join(t.TempDir(), "begun")
	before := websockets(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := client.Exec(ctx, "sasquatch", "csc=slow", "", []string{"sh", "-c", "echo begun >" + begun + "; while [ -e " + begun + " ]; do sleep 0.1; done"})
		ended <- err
	}()
	c.Until(t, ground.Limit, "the command has begun", func(context.Context) (bool, error) {
		text, err := os.ReadFile(begun)
		return string(text) == "begun\n", err
	})
	cancel()
	err := <-ended
	var lost *cluster.LostError
	if !errors.As(err, &lost) {
		t.Errorf("Exec = %v, want a *LostError", err)
	}
	if err := os.Remove(begun); err != nil {
		t.Fatal(err)
	}
	// Otherwise another test could count it as one of its own.
	c.Until(t, ground.Limit, "the API server has counted the command", func(context.Context) (bool, error) {
		return websockets(t, c) > before, nil
	})
}

// websockets returns how many commands reached the API server over a websocket,
// by the server's own count.
func websockets(t *testing.T, c *ground.Cluster) (n int) {
	t.Helper()
	text, err := c.Admin.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "apiserver_stream_translator_requests_total{") {
			fields := strings.Fields(line)
			count, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				t.Fatalf("the API server's metric %q: %v", line, err)
			}
			n += count
		}
	}
	return n
}

// A websocket needs the permissions to get and to create pods/exec, SPDY only
// the latter. Without the former the API server refuses the websocket, as a
// proxy without websockets would.
func TestExecGoesBySPDYWhereAWebsocketIsRefused(t *testing.T) {
	c, client := connect(t, cluster.Permission{Verb: "get", Resource: "pods", Subresource: "exec", Namespace: "sasquatch"})
	addJob(t, c, "sasquatch", "spdy", image("spdy", "c0044"))
	awaitImage(t, c, client, "sasquatch", "spdy", image("spdy", "c0044"))
	before := websockets(t, c)
	out, err := client.Exec(t.Context(), "sasquatch", "csc=spdy", "", []string{"sh", "-c", "echo out; exit 3"})
	var exit *cluster.ExitError
	if !errors.As(err, &exit) || exit.Status != 3 || out != "out\n" {
		t.Errorf("Exec = %q, %v, want the output and exit status 3", out, err)
	}
	if n := websockets(t, c) - before; n != 0 {
		t.Errorf("the API server has served %d commands over a websocket, want none", n)
	}
}

func TestExecThatIsForbiddenHasNotBegun(t *testing.T) {
	c, client := connect(t, cluster.Permission{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: "sasquatch"})
	addJob(t, c, "sasquatch", "closed", image("closed", "c0044"))
	awaitImage(t, c, client, "sasquatch", "closed", image("closed", "c0044"))
	_, err := client.Exec(t.Context(), "sasquatch", "csc=closed", "", []string{"true"})
	var lost *cluster.LostError
	if err == nil || errors.As(err, &lost) || !strings.Contains(err.Error(), "permission") {
		t.Errorf("Exec = %v, want a refusal that is no *LostError", err)
	}
}

func TestWhatAJobRuns(t *testing.T) {
	c, client := connect(t)
	addJob(t, c, "images", "mtmount", image("mtmount", "c0044.007"))
	addJob(t, c, "images", "mtaos", image("mtaos", "absent"))
	awaitImage(t, c, client, "images", "mtmount", image("mtmount", "c0044.007"))
	c.Until(t, ground.Limit, "the image that cannot be pulled is reported", func(ctx context.Context) (bool, error) {
		images, err := client.JobImages(ctx, "images", []string{"mtaos", "mtmount"})
		if err != nil {
			return false, err
		}
		if len(images) != 2 || images[0].Running || len(images[0].Images) != 0 || !strings.Contains(images[0].Why, "ImagePullBackOff") || !images[1].Running {
			return false, fmt.Errorf("%+v", images)
		}
		return true, nil
	})
}

func TestAPodThatHasEndedIsAWitness(t *testing.T) {
	c, client := connect(t)
	for status, name := range map[int]string{0: "mtmount", 1: "mtaos"} {
		addJob(t, c, "witness", name, image(name, "c0044"))
		awaitImage(t, c, client, "witness", name, image(name, "c0044"))
		if ended, known, err := client.PodEnded(t.Context(), "witness", name); err != nil || ended || !known {
			t.Errorf("PodEnded of a running pod = %v, %v, %v, want false and known", ended, known, err)
		}
		if err := c.EndPods(t.Context(), "witness", name, status); err != nil {
			t.Fatal(err)
		}
		c.Until(t, ground.Limit, fmt.Sprintf("the pod of %s has ended with status %d", name, status), func(ctx context.Context) (bool, error) {
			ended, known, err := client.PodEnded(ctx, "witness", name)
			return ended && known, err
		})
	}
	// No other pod replaces it.
	pods, err := c.Admin.CoreV1().Pods("witness").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 2 {
		t.Errorf("%d pods, %v, want the two that have ended", len(pods.Items), err)
	}
	if ended, known, err := client.PodEnded(t.Context(), "witness", "none"); err != nil || ended || known {
		t.Errorf("PodEnded of a missing Job = %v, %v, %v, want unknown", ended, known, err)
	}
}
