// Package kubetest is a small server for tests that speaks the REST form of the
// Kubernetes API: objects with UIDs and resourceVersions, label selectors,
// preconditions, conflicts, and lost answers. It records the writes that had an
// effect.
//
// It validates nothing and runs no controllers. Whatever depends on those is
// tested against a real kube-apiserver.
package kubetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Object is an object of the API as JSON has it.
type Object = map[string]any

// Write is a request that changed something.
type Write struct {
	Method, Path string
	Propagation  metav1.DeletionPropagation // if it is a deletion
}

// Fault is what goes wrong with a request; the zero value is nothing.
type Fault struct {
	Status     int  // the server answers with this HTTP status and carries out nothing
	CutBefore  bool // the server closes the connection and carries out nothing
	CutAfter   bool // the server carries out the request, then closes the connection
	RetryAfter int  // seconds, with Status
}

// Server is the API server of a test.
type Server struct {
	URL string
	// Context is the context in the kubeconfig that [Server.Kubeconfig] writes.
	Context string
	// Faults, if set, is called before each request, in order.
	Faults func(*http.Request) Fault
	// Before, if set, is called before a request is carried out, without the
	// server's lock held. A test uses it to make changes in between, as another
	// client would.
	Before func(*http.Request)
	// Allowed, if set, answers SelfSubjectAccessReviews by their
	// resourceAttributes. Without it, everything is allowed.
	Allowed func(attributes Object) bool
	// Exec, if set, serves the exec subresource of pods.
	Exec http.HandlerFunc

	mu      sync.Mutex
	objects map[string]Object // by path
	version int
	writes  []Write
	count   map[string]int
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	s := &Server{Context: "yagan", objects: map[string]Object{}, count: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Kubeconfig writes a kubeconfig for the server and returns its path.
func (s *Server) Kubeconfig(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: other
clusters:
- {name: here, cluster: {server: %q}}
- {name: elsewhere, cluster: {server: "https://127.0.0.1:1"}}
users:
- {name: operator, user: {token: secret-token}}
contexts:
- {name: %q, context: {cluster: here, user: operator}}
- {name: other, context: {cluster: elsewhere, user: operator}}
`, s.URL, s.Context)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Put stores an object under its API path, such as
// /apis/batch/v1/namespaces/simonyitel/jobs/mtmount, and returns its UID.
func (s *Server) Put(objectPath string, object Object) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store(objectPath, object)
}

// Get returns a copy of a stored object, or nil if there is none.
func (s *Server) Get(objectPath string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.objects[objectPath])
}

// Edit changes a stored object as a controller would.
func (s *Server) Edit(objectPath string, change func(Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if object := s.objects[objectPath]; object != nil {
		change(object)
		s.touch(object)
	}
}

// Remove removes an object without recording it.
func (s *Server) Remove(objectPath string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, objectPath)
}

// Writes returns the record of the writes that were carried out.
func (s *Server) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Requests returns how many requests with this method arrived.
func (s *Server) Requests(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[method]
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.count[r.Method]++
	faults, before := s.Faults, s.Before
	s.mu.Unlock()

	var fault Fault
	if faults != nil {
		fault = faults(r)
	}
	if before != nil {
		before(r)
	}
	switch {
	case fault.CutBefore:
		cut(w)
		return
	case fault.Status != 0:
		if fault.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(fault.RetryAfter))
		}
		err := apierrors.NewGenericServerResponse(fault.Status, r.Method, schema.GroupResource{}, "", "as the test asks", 0, true)
		answer(w, fault.Status, err.Status())
		return
	case strings.HasSuffix(r.URL.Path, "/exec") && s.Exec != nil:
		s.Exec(w, r)
		return
	}
	status, body := s.carryOut(r)
	if fault.CutAfter {
		cut(w)
		return
	}
	answer(w, status, body)
}

func (s *Server) carryOut(r *http.Request) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, named := kindAt(r.URL.Path)
	var body Object
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil && !errors.Is(err, io.EOF) {
		return failure(apierrors.NewBadRequest(err.Error()))
	}
	switch {
	case r.Method == http.MethodGet && !named:
		return s.list(r, kind)
	case kind == "SelfSubjectAccessReview":
		return http.StatusCreated, s.review(body)
	case r.Method == http.MethodPost:
		return s.create(r.URL.Path, body)
	}
	object := s.objects[r.URL.Path]
	if object == nil {
		return failure(apierrors.NewNotFound(resourceAt(r.URL.Path), path.Base(r.URL.Path)))
	}
	switch r.Method {
	case http.MethodGet:
		return http.StatusOK, clone(object)
	case http.MethodPut:
		return s.update(r.URL.Path, object, body)
	case http.MethodPatch:
		merge(object, body)
		s.touch(object)
		s.writes = append(s.writes, Write{Method: r.Method, Path: r.URL.Path})
		return http.StatusOK, clone(object)
	case http.MethodDelete:
		return s.delete(r.URL.Path, object, body)
	}
	return failure(apierrors.NewMethodNotSupported(resourceAt(r.URL.Path), r.Method))
}

func (s *Server) list(r *http.Request, kind string) (int, any) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return failure(apierrors.NewBadRequest(err.Error()))
	}
	items := []any{}
	for _, p := range slices.Sorted(maps.Keys(s.objects)) {
		if path.Dir(p) == r.URL.Path && selector.Matches(labelsOf(s.objects[p])) {
			items = append(items, clone(s.objects[p]))
		}
	}
	return http.StatusOK, Object{
		"kind": kind + "List", "apiVersion": apiVersionAt(r.URL.Path),
		"metadata": Object{"resourceVersion": strconv.Itoa(s.version)}, "items": items,
	}
}

func (s *Server) create(collection string, body Object) (int, any) {
	name, _ := meta(body)["name"].(string)
	at := collection + "/" + name
	if namespace, ok := namespaceAt(collection); ok && s.objects["/api/v1/namespaces/"+namespace] == nil {
		return failure(apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, namespace))
	}
	if s.objects[at] != nil {
		return failure(apierrors.NewAlreadyExists(resourceAt(at), name))
	}
	s.store(at, body)
	s.writes = append(s.writes, Write{Method: http.MethodPost, Path: at})
	return http.StatusCreated, clone(s.objects[at])
}

func (s *Server) review(body Object) Object {
	spec, _ := body["spec"].(Object)
	attributes, _ := spec["resourceAttributes"].(Object)
	body["status"] = Object{"allowed": s.Allowed == nil || s.Allowed(attributes)}
	return body
}

func (s *Server) update(at string, object, body Object) (int, any) {
	if v := meta(body)["resourceVersion"]; v != nil && v != meta(object)["resourceVersion"] {
		return failure(apierrors.NewConflict(resourceAt(at), path.Base(at), fmt.Errorf("the object has been modified")))
	}
	meta(body)["uid"] = meta(object)["uid"]
	s.objects[at] = body
	s.touch(body)
	s.writes = append(s.writes, Write{Method: http.MethodPut, Path: at})
	return http.StatusOK, clone(body)
}

func (s *Server) delete(at string, object, body Object) (int, any) {
	options := metav1.DeleteOptions{}
	if text, err := json.Marshal(body); err == nil {
		_ = json.Unmarshal(text, &options) // an invalid body gives no preconditions
	}
	if p := options.Preconditions; p != nil {
		if p.UID != nil && string(*p.UID) != meta(object)["uid"] ||
			p.ResourceVersion != nil && *p.ResourceVersion != meta(object)["resourceVersion"] {
			return failure(apierrors.NewConflict(resourceAt(at), path.Base(at), fmt.Errorf("precondition failed")))
		}
	}
	write := Write{Method: http.MethodDelete, Path: at}
	if options.PropagationPolicy != nil {
		write.Propagation = *options.PropagationPolicy
	}
	s.writes = append(s.writes, write)
	if kind, _ := kindAt(at); kind == "Namespace" {
		// A namespace remains until its content is gone.
		meta(object)["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
		s.touch(object)
		return http.StatusOK, clone(object)
	}
	delete(s.objects, at)
	return http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}
}

// store adds to an object what the API server would.
func (s *Server) store(at string, object Object) string {
	object = clone(object)
	kind, _ := kindAt(at)
	m := meta(object)
	defaults := Object{"name": path.Base(at), "creationTimestamp": time.Now().UTC().Format(time.RFC3339)}
	if namespace, ok := namespaceAt(at); ok {
		defaults["namespace"] = namespace
	}
	if object["kind"] == nil {
		object["kind"], object["apiVersion"] = kind, apiVersionAt(at)
	}
	for key, value := range defaults {
		if m[key] == nil {
			m[key] = value
		}
	}
	s.objects[at] = object
	s.touch(object)
	if m["uid"] == nil {
		m["uid"] = fmt.Sprintf("uid-%d", s.version)
	}
	return m["uid"].(string)
}

func (s *Server) touch(object Object) {
	s.version++
	meta(object)["resourceVersion"] = strconv.Itoa(s.version)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

func failure(err *apierrors.StatusError) (int, any) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return int(status.Code), status
}

func cut(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if connection, _, err := hijacker.Hijack(); err == nil {
			_ = connection.Close() // breaking it is the point
		}
	}
}

var kinds = map[string]string{
	"namespaces": "Namespace", "pods": "Pod", "jobs": "Job", "configmaps": "ConfigMap",
	"applications": "Application", "selfsubjectaccessreviews": "SelfSubjectAccessReview",
}

// kindAt returns the kind of the objects at a path, and whether the path names a single object.
func kindAt(p string) (kind string, named bool) {
	if kind, ok := kinds[path.Base(p)]; ok {
		return kind, false
	}
	return kinds[path.Base(path.Dir(p))], true
}

func resourceAt(p string) schema.GroupResource {
	if _, named := kindAt(p); named {
		p = path.Dir(p)
	}
	group, _, _ := strings.Cut(apiVersionAt(p), "/")
	if group == "v1" {
		group = ""
	}
	return schema.GroupResource{Group: group, Resource: path.Base(p)}
}

func apiVersionAt(p string) string {
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	if parts[0] == "api" && len(parts) > 1 {
		return parts[1]
	}
	if len(parts) > 2 {
		return parts[1] + "/" + parts[2]
	}
	return ""
}

// namespaceAt returns the namespace in a path.
func namespaceAt(p string) (string, bool) {
	_, rest, ok := strings.Cut(p, "/namespaces/")
	if !ok {
		return "", false
	}
	namespace, _, inside := strings.Cut(rest, "/")
	return namespace, inside
}

func meta(object Object) Object {
	m, ok := object["metadata"].(Object)
	if !ok {
		m = Object{}
		object["metadata"] = m
	}
	return m
}

func labelsOf(object Object) labels.Set {
	set := labels.Set{}
	values, _ := meta(object)["labels"].(Object)
	for key, value := range values {
		set[key] = fmt.Sprint(value)
	}
	return set
}

// merge applies a JSON merge patch (RFC 7386).
func merge(object, patch Object) {
	for key, value := range patch {
		inner, isObject := value.(Object)
		switch {
		case value == nil:
			delete(object, key)
		case isObject:
			target, ok := object[key].(Object)
			if !ok {
				target = Object{}
				object[key] = target
			}
			merge(target, inner)
		default:
			object[key] = value
		}
	}
}

// clone copies an object through JSON, which also converts the Go types that a
// test used into those of JSON.
func clone(object Object) Object {
	if object == nil {
		return nil
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err) // the test's object is not JSON
	}
	var copied Object
	if err := json.Unmarshal(text, &copied); err != nil {
		panic(err)
	}
	return copied
}

// Owner returns the reference by which a pod names the Job that made it.
func Owner(job string, uid string) Object {
	return Object{"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": types.UID(uid), "controller": true}
}
