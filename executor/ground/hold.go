package ground

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	admission "k8s.io/api/admission/v1"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lsst-ts/csu/executor/rehearsal"
)

// Hold keeps something that has begun from finishing, so that a test can act in
// the meantime, however slow the machine is.
type Hold struct {
	begun, released chan struct{}
	begin, release  sync.Once
}

func newHold() *Hold { return &Hold{begun: make(chan struct{}), released: make(chan struct{})} }

// Begun is closed when the held effect has begun.
func (h *Hold) Begun() <-chan struct{} { return h.begun }

// Release lets it continue; so does the end of the test.
func (h *Hold) Release() { h.release.Do(func() { close(h.released) }) }

func (h *Hold) isReleased() bool {
	select {
	case <-h.released:
		return true
	default:
		return false
	}
}

// Hold holds, until released, the effects of a kind (scripts or commands of a
// host) with this subject and with this text in the detail or the identity.
func (s *Simulator) Hold(t testing.TB, kind, subject, text string) *Hold {
	t.Helper()
	h := newHold()
	t.Cleanup(h.Release)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = append(s.holds, &heldEffect{h, kind, subject, text})
	return h
}

type heldEffect struct {
	*Hold
	kind, subject, text string
}

// held is called by the model to decide whether to hold an effect that has
// begun.
func (s *Simulator) held(e rehearsal.Effect) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.holds {
		if h.isReleased() {
			continue // a later one may want the same effect
		}
		if e.Kind == h.kind && strings.Contains(e.Subject, h.subject) && strings.Contains(e.Detail+"\n"+e.Identity, h.text) {
			h.begin.Do(func() { close(h.begun) })
			return h.released
		}
	}
	return nil
}

// HoldJobs makes an admission webhook hold the creation of Jobs in a namespace,
// for at most 30 seconds, which is Kubernetes' own limit.
func (c *Cluster) HoldJobs(t testing.TB, namespace string) *Hold {
	t.Helper()
	h := newHold()
	var tried atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.admit(w, r, &tried) }))
	name := "hold-" + namespace
	webhooks := c.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	url, always, none, limit := server.URL, admissionregistration.Fail, admissionregistration.SideEffectClassNone, int32(30)
	_, err := webhooks.Create(t.Context(), &admissionregistration.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistration.ValidatingWebhook{{
			Name: "hold.ground.csu", FailurePolicy: &always, SideEffects: &none, TimeoutSeconds: &limit, AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			ClientConfig: admissionregistration.WebhookClientConfig{
				URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistration.RuleWithOperations{{
				Operations: []admissionregistration.OperationType{admissionregistration.Create},
				Rule:       admissionregistration.Rule{APIGroups: []string{"batch"}, APIVersions: []string{"v1"}, Resources: []string{"jobs"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("hold the Jobs of namespace %q: %v", namespace, err)
	}
	t.Cleanup(func() {
		h.Release()
		// The test's own context has ended by now.
		if err := webhooks.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("let the Jobs of namespace %q go: %v", namespace, err)
		}
		server.Close()
	})
	// The API server may have accepted the webhook without calling it yet.
	c.Until(t, Limit, fmt.Sprintf("the Jobs of namespace %q are held", namespace), func(ctx context.Context) (bool, error) {
		_, err := c.Admin.BatchV1().Jobs(namespace).Create(ctx, dryJob(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return tried.Load(), err
	})
	return h
}

// dryJob returns a Job for trying an admission.
func dryJob() *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "dry-"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "dry", Image: "dry"}},
		}}},
	}
}

// admit answers the API server once the hold is released. A dry run is not
// held, and sets tried.
func (h *Hold) admit(w http.ResponseWriter, r *http.Request, tried *atomic.Bool) {
	var review admission.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "not an admission review", http.StatusBadRequest)
		return
	}
	if dry := review.Request.DryRun; dry != nil && *dry {
		tried.Store(true)
	} else {
		h.begin.Do(func() { close(h.begun) })
		select {
		case <-h.released:
		case <-r.Context().Done():
		}
	}
	review.Response = &admission.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(review); err != nil {
		return // the client may be gone
	}
}
