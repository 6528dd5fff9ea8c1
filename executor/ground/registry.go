package ground

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan"
)

// registryMediaType is that of Confluent's REST API.
const registryMediaType = "application/vnd.schemaregistry.v1+json"

// Registry stands in for Confluent's schema registry: a small server with the
// answers of the real one, reached like the real one, by curl in a pod whose
// environment has the address. The pod and curl are real.
type Registry struct {
	mu     sync.Mutex
	level  string
	sets   []string
	status int
	stop   func()
}

// StartRegistry starts the registry with level FORWARD for the test, and the
// pod, in the namespace and with the labels of the target.
func StartRegistry(t testing.TB, c *Cluster, target plan.Registry) *Registry {
	t.Helper()
	if _, err := debianProgram("curl"); err != nil {
		t.Fatal(err)
	}
	r := &Registry{level: "FORWARD"}
	server := httptest.NewServer(r)
	r.stop = server.Close
	t.Cleanup(r.Stop)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.AddNamespace(t, target.Namespace, nil)
	r.addPod(t, c, target, "http://0.0.0.0:"+port)
	return r
}

// Stop ends the server but not the pod.
func (r *Registry) Stop() { r.stop() }

func (r *Registry) addPod(t testing.TB, c *Cluster, target plan.Registry, listeners string) {
	t.Helper()
	marks, err := labels.ConvertSelectorToLabelsMap(target.Selector)
	if err != nil {
		t.Fatalf("the registry's selector %q: %v", target.Selector, err)
	}
	// Each registry has its own pod, so that a test does not find another's.
	name := "schema-registry-" + strings.ToLower(rand.Text()[:8])
	container := target.Container
	if container == "" {
		container = "server"
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": target.Namespace, "labels": marks},
		"spec": map[string]any{"containers": []any{map[string]any{
			"name": container, "image": "confluentinc/cp-schema-registry:7.7.0",
			"env": []any{map[string]string{"name": "SCHEMA_REGISTRY_LISTENERS", "value": listeners}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Apply(t, string(manifest))
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := c.Admin.CoreV1().Pods(target.Namespace).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete the schema registry's pod: %v", err)
		}
	})
	admin, err := cluster.Connect(c.AdminKubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Until(t, Limit, "commands run in the registry's pod", func(ctx context.Context) (bool, error) {
		out, err := admin.Exec(ctx, target.Namespace, target.Selector, target.Container, []string{"printenv", "SCHEMA_REGISTRY_LISTENERS"})
		return err == nil && strings.TrimSpace(out) == listeners, err
	})
}

// Level returns the global level.
func (r *Registry) Level() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.level
}

// Sets returns the levels that were set, in order.
func (r *Registry) Sets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sets)
}

// Fail makes the registry answer everything with an HTTP status, until called
// with 0.
func (r *Registry) Fail(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

var compatibilityLevels = []string{"NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}

// ServeHTTP answers /config, and /config/SUBJECT for subjects without a level of
// their own.
func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	status, body := r.answer(request)
	w.Header().Set("Content-Type", registryMediaType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may be gone
}

func (r *Registry) answer(request *http.Request) (status int, body string) {
	if r.status != 0 {
		return r.status, fmt.Sprintf(`{"error_code":%d01,"message":"Error in the backend data store"}`, r.status)
	}
	rest, found := strings.CutPrefix(request.URL.Path, "/config")
	subject, own := strings.CutPrefix(rest, "/")
	switch {
	case !found || rest != "" && !own:
		return http.StatusNotFound, `{"error_code":404,"message":"HTTP 404 Not Found"}`
	case request.Method == http.MethodGet && own:
		return http.StatusNotFound, fmt.Sprintf(`{"error_code":40408,"message":"Subject '%s' does not have subject-level compatibility configured"}`, subject)
	case request.Method == http.MethodGet:
		return http.StatusOK, fmt.Sprintf(`{"compatibilityLevel":%q}`, r.level)
	case request.Method != http.MethodPut || own:
		return http.StatusMethodNotAllowed, `{"error_code":405,"message":"HTTP 405 Method Not Allowed"}`
	case request.Header.Get("Content-Type") != registryMediaType:
		return http.StatusUnsupportedMediaType, `{"error_code":415,"message":"HTTP 415 Unsupported Media Type"}`
	}
	var want struct {
		Compatibility string `json:"compatibility"`
	}
	if err := json.NewDecoder(request.Body).Decode(&want); err != nil || !slices.Contains(compatibilityLevels, want.Compatibility) {
		return http.StatusUnprocessableEntity, `{"error_code":42203,"message":"Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"}`
	}
	r.level = want.Compatibility
	r.sets = append(r.sets, want.Compatibility)
	return http.StatusOK, fmt.Sprintf(`{"compatibility":%q}`, want.Compatibility)
}
