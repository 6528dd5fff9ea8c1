package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/registry"
	"github.com/lsst-ts/csu/executor/plan"
)

// registryPod is the pod of the schema registry, as seen through exec.
type registryPod struct {
	level string
	sets  int
	// put, if set, handles a PUT instead.
	put func(p *registryPod, level string) error
	// get, if set, fails a GET.
	get func() error
}

func (p *registryPod) Exec(_ context.Context, _, _, _ string, argv []string) (string, error) {
	line := strings.Join(argv, " ")
	switch {
	case argv[0] == "printenv":
		return "http://0.0.0.0:8081\n", nil
	case !strings.Contains(line, "PUT"):
		if p.get != nil {
			if err := p.get(); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("{\"compatibilityLevel\":%q}\n200", p.level), nil
	}
	p.sets++
	_, rest, _ := strings.Cut(line, `{"compatibility":"`)
	level, _, _ := strings.Cut(rest, `"`)
	if p.put != nil {
		if err := p.put(p, level); err != nil {
			return "", err
		}
	} else {
		p.level = level
	}
	return fmt.Sprintf("{\"compatibility\":%q}\n200", level), nil
}

func TestCompatibility(t *testing.T) {
	none := &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}
	forward := &plan.Compatibility{Expect: "NONE", Set: "FORWARD"}
	lost := &cluster.LostError{Op: "exec", Err: errors.New("connection reset")}
	for name, test := range map[string]struct {
		pod    registryPod
		d      *plan.Compatibility
		undoes string
		want   Verdict
		says   string
		sets   int
	}{
		"set":                     {registryPod{level: "FORWARD"}, none, "", Done, "was FORWARD and is NONE", 1},
		"unexpected level":        {registryPod{level: "BACKWARD"}, none, "", Failed, "it is BACKWARD, not FORWARD", 0},
		"left open by an upgrade": {registryPod{level: "NONE"}, none, "", Failed, "find out who set it", 0},
		"set back":                {registryPod{level: "NONE"}, forward, "schema/none", Done, "was NONE and is FORWARD", 1},
		"set back already":        {registryPod{level: "FORWARD"}, forward, "schema/none", Done, "already FORWARD", 0},
		"lost, and set": {registryPod{level: "FORWARD", put: func(p *registryPod, level string) error {
			p.level = level
			return lost
		}}, none, "", Done, "is NONE", 1},
		"lost, and not set": {registryPod{level: "FORWARD", put: func(*registryPod, string) error { return lost }}, none, "", NotDone, "still FORWARD", 1},
		"not begun": {registryPod{level: "FORWARD", put: func(*registryPod, string) error {
			return &cluster.NoPodError{Namespace: "sasquatch", Selector: "app=x"}
		}}, none, "", NotDone, "no pod", 1},
		"answered, and not set": {registryPod{level: "FORWARD", put: func(*registryPod, string) error { return nil }}, none, "", Failed, "still FORWARD", 1},
		"set by someone else": {registryPod{level: "FORWARD", put: func(p *registryPod, _ string) error {
			p.level = "FULL"
			return lost
		}}, none, "", Failed, "someone else", 1},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			y := newTry(t, &Systems{Clock: clock.Fast(now, now, 1000), Registry: registry.New(&test.pod, "sasquatch", "app=x", "")}, test.d)
			y.Step.Undoes = test.undoes
			expect(t, y.perform(t), test.want, test.says)
			if test.pod.sets != test.sets {
				t.Errorf("set %d times, want %d", test.pod.sets, test.sets)
			}
			if test.want == Done || test.want == NotDone {
				expect(t, y.probe(t), test.want)
			}
			test.pod.get = func() error { return errors.New("no route") }
			expect(t, y.probe(t), Unknown, "no route")
		})
	}
}
