package ground

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// exitStatus is the annotation that ends a pod, see nodes.yaml.
const exitStatus = "ground.csu.lsst.org/exit-status"

// Cluster is a running Kubernetes control plane whose node is kwok: Jobs get
// pods, pods become Running and stay so, and a command in a pod runs on this
// machine.
type Cluster struct {
	URL             string // of the API server
	AdminKubeconfig string // a file with all permissions

	Admin   kubernetes.Interface
	Dynamic dynamic.Interface

	dir    string
	tools  *Tools
	plane  *controlPlane
	mapper *restmapper.DeferredDiscoveryRESTMapper

	mu        sync.Mutex
	operators int
}

// StartCluster starts a separate control plane for the test, on free ports, and
// ends it with the test. If the programs have not been built yet, it builds
// them, which takes many minutes, and says so on standard error.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	tools, err := BuildTools(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{dir: t.TempDir(), tools: tools}
	c.plane = &controlPlane{Cluster: c, tools: tools, authority: newAuthority(t)}
	c.plane.start(t)
	return c
}

// connect creates the administrator's clients.
func (c *Cluster) connect(t testing.TB) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 200, 400
	config.WarningHandler = rest.NoWarnings{}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if c.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	c.Admin = typed
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
}

// Until calls look repeatedly until it reports true, and fails the test after
// the limit, in real time. what describes what it waits for. The failure shows
// the error of the last call.
func (c *Cluster) Until(t testing.TB, limit time.Duration, what string, look func(context.Context) (bool, error)) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		yes, err := look(t.Context())
		if yes {
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("not within %s: %s (%v)", limit, what, err)
		}
	}
}

// Apply creates or changes the objects of a YAML or JSON text.
func (c *Cluster) Apply(t testing.TB, manifests string) {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(manifests)), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("read manifests: %v", err)
		}
		if len(object.Object) == 0 {
			continue // a comment between two separators
		}
		if err := c.apply(t.Context(), &object); err != nil {
			t.Fatalf("apply %s %q: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

func (c *Cluster) applyFile(t testing.TB, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c.Apply(t, string(text))
}

// mapping returns the resource of a kind.
func (c *Cluster) mapping(kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset() // its definition may be new
		return c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	return mapping, err
}

func (c *Cluster) apply(ctx context.Context, object *unstructured.Unstructured) error {
	mapping, err := c.mapping(object.GroupVersionKind())
	if err != nil {
		return err
	}
	var resource dynamic.ResourceInterface = c.Dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		resource = c.Dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	_, err = resource.Patch(ctx, object.GetName(), types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: "ground", Force: &force})
	return err
}

// AddNamespace creates a namespace, unless it exists, and waits until pods can
// be created in it.
func (c *Cluster) AddNamespace(t testing.TB, name string, labels map[string]string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	_, err := c.Admin.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("make namespace %q: %v", name, err)
	}
	c.Until(t, Limit, fmt.Sprintf("namespace %q has its service account", name), func(ctx context.Context) (bool, error) {
		_, err := c.Admin.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	})
}

// EndPods ends the pods of a Job with an exit status, as a CSC does when it
// goes to OFFLINE. It takes a moment until the pods show as ended.
func (c *Cluster) EndPods(ctx context.Context, namespace, job string, status int) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{exitStatus: strconv.Itoa(status)}}})
	if err != nil {
		return err
	}
	pods, err := c.Admin.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + job})
	if err != nil {
		return fmt.Errorf("end the pods of Job \"%s/%s\": %w", namespace, job, err)
	}
	for _, pod := range pods.Items {
		_, err := c.Admin.CoreV1().Pods(namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("end the pods of Job \"%s/%s\": %w", namespace, job, err)
		}
	}
	return nil
}
