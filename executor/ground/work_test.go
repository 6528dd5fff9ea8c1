package ground

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// TestWorkBeginsAndEnds: it ends with the last of what is under way, done or gone.
func TestWorkBeginsAndEnds(t *testing.T) {
	t.Parallel()
	working := 0
	p := &patience{begin: func() func() { working++; return func() { working-- } }, busy: map[types.UID]bool{}}
	saw := func(uid, kind string, status map[string]any, gone bool, want int) {
		t.Helper()
		o := &unstructured.Unstructured{Object: map[string]any{"kind": kind, "status": status}}
		o.SetUID(types.UID(uid))
		if p.saw(o, gone); working != want {
			t.Errorf("%s %s: %d times at work, want %d", kind, uid, working, want)
		}
	}
	operation := func(phase string) map[string]any {
		return map[string]any{"operationState": map[string]any{"phase": phase}}
	}
	saw("a", "Application", operation("Succeeded"), false, 0)
	saw("a", "Application", operation("Running"), false, 1)
	saw("p", "Pod", map[string]any{"phase": "Pending"}, false, 1)
	saw("a", "Application", operation("Failed"), false, 1)
	saw("p", "Pod", map[string]any{"phase": "Running"}, false, 0)
	saw("j", "Job", map[string]any{}, false, 1)
	saw("j", "Job", map[string]any{}, true, 0)
	if p.saw("no object", false); p.failed == nil {
		t.Error("what is no object is accepted")
	}
}
