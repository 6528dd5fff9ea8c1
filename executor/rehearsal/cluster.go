package rehearsal

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/lsst-ts/csu/executor/plan"
)

// cluster is the Kubernetes cluster of the site: the objects of its API server, and
// the controllers behind it.
type cluster struct {
	site         *Site
	version      int // resourceVersion of the last write
	namespaces   map[string]*corev1.Namespace
	jobs         map[string]*job        // by namespace/name
	pods         map[string]*corev1.Pod // by namespace/name
	pulled       map[string]bool        // images that the nodes have
	ledger       *corev1.ConfigMap      // the only ConfigMap that is served
	applications map[string]*application
	held         []func() // start the pods that wait for an object
	token        string
}

func newCluster(s *Site) *cluster {
	return &cluster{
		site: s, namespaces: map[string]*corev1.Namespace{}, jobs: map[string]*job{}, pods: map[string]*corev1.Pod{},
		pulled: map[string]bool{}, applications: map[string]*application{},
		token: rand.Text(),
	}
}

// meta returns the metadata of a new object.
func (k *cluster) meta(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: labels, UID: newUID(),
		CreationTimestamp: metav1.NewTime(k.site.clk.Now()), ResourceVersion: k.bump(),
	}
}

func (k *cluster) bump() string {
	k.version++
	return strconv.Itoa(k.version)
}

func newUID() types.UID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return types.UID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// serveCluster starts the API server and writes the kubeconfig.
func (s *Site) serveCluster() error {
	certificate, authority, err := newCertificate()
	if err != nil {
		return err
	}
	base, err := s.listen(s.clusterHandler(), &certificate)
	if err != nil {
		return err
	}
	s.apiGate = s.gates[len(s.gates)-1]
	name := s.plan.Targets.Kubernetes.Context
	if name == "" {
		name = "rehearsal"
	}
	config, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": map[string]any{"server": base, "certificate-authority-data": authority}}},
		"users":    []any{map[string]any{"name": name, "user": map[string]any{"token": s.cluster.token}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
	})
	if err != nil {
		return err
	}
	s.Map.Kubeconfig = filepath.Join(s.dir, "kubeconfig")
	return plan.WriteFile(s.Map.Kubeconfig, config, 0o600)
}

// clusterHandler serves the part of the Kubernetes API that csu uses.
func (s *Site) clusterHandler() http.Handler {
	k := s.cluster
	mux := http.NewServeMux()
	api := func(pattern string, f func(r *http.Request) (any, error)) { mux.HandleFunc(pattern, k.locked(f)) }
	api("GET /version", func(*http.Request) (any, error) {
		return map[string]string{"major": "1", "minor": "33", "gitVersion": "v1.33.0"}, nil
	})
	api("GET /api/v1/namespaces", k.listNamespaces)
	api("GET /api/v1/namespaces/{name}", k.getNamespace)
	api("DELETE /api/v1/namespaces/{name}", k.deleteNamespace)
	api("GET /api/v1/pods", k.listPods)
	api("GET /api/v1/namespaces/{namespace}/pods", k.listPods)
	api("GET /api/v1/namespaces/{namespace}/pods/{name}", k.getPod)
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/pods/{name}/exec", k.exec)
	api("GET /apis/batch/v1/jobs", k.listJobs)
	api("GET /apis/batch/v1/namespaces/{namespace}/jobs", k.listJobs)
	api("GET /apis/batch/v1/namespaces/{namespace}/jobs/{name}", k.getJob)
	api("DELETE /apis/batch/v1/namespaces/{namespace}/jobs/{name}", k.deleteJob)
	api("GET /api/v1/namespaces/{namespace}/configmaps/{name}", k.getConfigMap)
	api("PUT /api/v1/namespaces/{namespace}/configmaps/{name}", k.updateConfigMap)
	api("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", k.review)
	const applications = "/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications"
	api("GET "+applications, k.listApplications)
	api("GET "+applications+"/{name}", k.getApplication)
	api("PUT "+applications+"/{name}", k.updateApplication)
	api("PATCH "+applications+"/{name}", k.patchApplication)
	api("/", func(r *http.Request) (any, error) {
		return nil, apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, schema.GroupResource{}, r.URL.Path, "the simulated site does not serve this", 0, true)
	})
	return mux
}

// locked returns a handler that calls f with the lock.
func (k *cluster) locked(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !k.authorized(r) {
			writeStatus(w, apierrors.NewUnauthorized("Unauthorized"))
			return
		}
		if r.URL.Query().Get("watch") != "" {
			writeStatus(w, apierrors.NewMethodNotSupported(schema.GroupResource{}, "watch"))
			return
		}
		k.site.mu.Lock()
		object, err := f(r)
		var text []byte
		if err == nil {
			text, err = json.Marshal(object) // under the lock, since object belongs to the model
		}
		k.site.mu.Unlock()
		if err != nil {
			writeStatus(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write(text) // the client notices a lost answer itself
	}
}

func (k *cluster) authorized(r *http.Request) bool {
	return r.Header.Get("Authorization") == "Bearer "+k.token
}

func writeStatus(w http.ResponseWriter, err error) {
	var api apierrors.APIStatus
	if !errors.As(err, &api) {
		err := apierrors.NewBadRequest(err.Error())
		api = err
	}
	status := api.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	writeJSON(w, int(status.Code), status)
}

// list returns a Kubernetes list of objects.
func (k *cluster) list(apiVersion, kind string, items any) any {
	return map[string]any{
		"apiVersion": apiVersion, "kind": kind, "items": items,
		"metadata": map[string]string{"resourceVersion": strconv.Itoa(k.version)},
	}
}

func selector(r *http.Request) (labels.Selector, error) {
	s, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return s, nil
}

// chosen returns the objects in the request's namespace that match its selector,
// sorted by name.
func chosen[T metav1.Object](r *http.Request, objects func(yield func(T))) ([]T, error) {
	s, err := selector(r)
	if err != nil {
		return nil, err
	}
	namespace := r.PathValue("namespace")
	found := []T{}
	objects(func(o T) {
		if (namespace == "" || o.GetNamespace() == namespace) && s.Matches(labels.Set(o.GetLabels())) {
			found = append(found, o)
		}
	})
	slices.SortFunc(found, func(a, b T) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	return found, nil
}

func key(r *http.Request) string { return r.PathValue("namespace") + "/" + r.PathValue("name") }

// body decodes a request's JSON body.
func body(r *http.Request, into any) error {
	if r.ContentLength == 0 {
		return nil
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 4<<20)).Decode(into); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("the body is not valid JSON: %v", err))
	}
	return nil
}

// deleteOptions reads a deletion's options and checks their preconditions.
func deleteOptions(r *http.Request, resource schema.GroupResource, o metav1.Object) (metav1.DeleteOptions, error) {
	var options metav1.DeleteOptions
	if err := body(r, &options); err != nil {
		return options, err
	}
	if p := metav1.DeletionPropagation(r.URL.Query().Get("propagationPolicy")); p != "" {
		options.PropagationPolicy = &p
	}
	conflict := func(what string, want, have any) error {
		return apierrors.NewConflict(resource, o.GetName(), fmt.Errorf("the %s in the precondition (%v) does not match the %s in record (%v)", what, want, what, have))
	}
	if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != o.GetUID() {
		return options, conflict("UID", *p.UID, o.GetUID())
	}
	if p := options.Preconditions; p != nil && p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion() {
		return options, conflict("ResourceVersion", *p.ResourceVersion, o.GetResourceVersion())
	}
	return options, nil
}

func deleted() any {
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}
}

// Namespaces.

var namespaces = schema.GroupResource{Resource: "namespaces"}

func (k *cluster) addNamespace(name string, labels map[string]string) {
	if k.namespaces[name] != nil {
		return
	}
	all := map[string]string{corev1.LabelMetadataName: name}
	for l, v := range labels {
		all[l] = v
	}
	k.namespaces[name] = &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}, ObjectMeta: k.meta("", name, all),
		Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

func (k *cluster) listNamespaces(r *http.Request) (any, error) {
	found, err := chosen(r, func(yield func(*corev1.Namespace)) {
		for _, n := range k.namespaces {
			yield(n)
		}
	})
	return k.list("v1", "NamespaceList", found), err
}

func (k *cluster) getNamespace(r *http.Request) (any, error) {
	if n := k.namespaces[r.PathValue("name")]; n != nil {
		return n, nil
	}
	return nil, apierrors.NewNotFound(namespaces, r.PathValue("name"))
}

func (k *cluster) deleteNamespace(r *http.Request) (any, error) {
	n := k.namespaces[r.PathValue("name")]
	if n == nil {
		return nil, apierrors.NewNotFound(namespaces, r.PathValue("name"))
	}
	if _, err := deleteOptions(r, namespaces, n); err != nil {
		return nil, err
	}
	if n.DeletionTimestamp != nil {
		return nil, apierrors.NewConflict(namespaces, n.Name, errors.New("the namespace is already being deleted"))
	}
	now := metav1.NewTime(k.site.clk.Now())
	n.DeletionTimestamp, n.Status.Phase, n.ResourceVersion = &now, corev1.NamespaceTerminating, k.bump()
	k.site.after(k.site.between("namespace "+n.Name, 5*time.Second, 40*time.Second), func() { k.endNamespace(n) })
	return n, nil
}

// endNamespace removes a namespace and everything in it.
func (k *cluster) endNamespace(n *corev1.Namespace) {
	for _, j := range k.jobs {
		if j.Namespace == n.Name {
			k.removeJob(j, metav1.DeletePropagationBackground)
		}
	}
	delete(k.namespaces, n.Name)
	k.site.effect(Effect{System: SystemCluster, Kind: NamespaceGone, Subject: n.Name, Identity: string(n.UID)})
}

// review answers that the operator is allowed to do everything.
func (k *cluster) review(r *http.Request) (any, error) {
	var review authorizationv1.SelfSubjectAccessReview
	if err := body(r, &review); err != nil {
		return nil, err
	}
	review.Kind, review.APIVersion = "SelfSubjectAccessReview", "authorization.k8s.io/v1"
	review.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: true}
	return review, nil
}
