package review

import (
	"fmt"
	"slices"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

// TestTurns checks which steps wait for each other because they use one resource.
func TestTurns(t *testing.T) {
	step := func(id, host string, needs ...string) plan.Step {
		return plan.Step{ID: id, Needs: needs, Action: plan.Action{Parameters: &plan.SSH{Host: host}}}
	}
	for what, one := range map[string]struct {
		steps []plan.Step
		want  string
	}{
		"another resource":       {[]plan.Step{step("a", "x"), step("b", "y")}, "map[]"},
		"ready at the same time": {[]plan.Step{step("a", "x"), step("b", "x")}, "map[b:[{a host x true}]]"},
		"three in a row":         {[]plan.Step{step("a", "x"), step("b", "x"), step("c", "x")}, "map[b:[{a host x true}] c:[{b host x true}]]"},
		"needed anyway":          {[]plan.Step{step("a", "x"), step("b", "x", "a"), step("c", "x", "b")}, "map[]"},
		"needed indirectly":      {[]plan.Step{step("a", "x"), step("b", "y", "a"), step("c", "x", "b")}, "map[]"},
		"needed by a turn":       {[]plan.Step{step("a", "x"), step("b", "x"), step("c", "y", "b"), step("d", "x", "c")}, "map[b:[{a host x true}]]"},
		"the later may be ready": {[]plan.Step{step("a", "y"), step("b", "x", "a"), step("c", "x")}, "map[c:[{b host x false}]]"},
		"the same needs":         {[]plan.Step{step("a", "y"), step("b", "x", "a"), step("c", "x", "a")}, "map[c:[{b host x true}]]"},
		"the earlier needs it":   {[]plan.Step{step("a", "x", "b"), step("b", "x")}, "map[]"},
	} {
		got := fmt.Sprint(turns(&plan.Plan{}, &plan.Stage{Steps: one.steps}))
		if got != one.want {
			t.Errorf("%s: %s, want %s", what, got, one.want)
		}
	}
}

// TestWaits checks that every document says for which step a step waits, and why.
func TestWaits(t *testing.T) {
	s := &plan.Step{Needs: []string{"s/a", "s/b"}}
	for _, one := range []struct {
		wait []turn
		want string
	}{
		{nil, "after a, b"},
		{[]turn{{"s/c", "host x", true}}, "after a, b, c (host x)"},
		{[]turn{{"s/c", "host x", true}, {"s/d", "host x", false}}, "after a, b, c (host x); not together with d (host x)"},
	} {
		if got := waits(s, one.wait, func(id string) string { return id[2:] }); got != one.want {
			t.Errorf("%v: %q, want %q", one.wait, got, one.want)
		}
	}
	p := read(t, summitIncremental)
	i := slices.IndexFunc(p.Stages, func(s plan.Stage) bool { return s.ID == "jobs" })
	wait := turns(p, &p.Stages[i])
	if got := fmt.Sprint(wait["jobs/watcher"]); got != "[{jobs/scriptqueue namespace obssys true}]" {
		t.Errorf("the Watcher's Job waits for %s", got)
	}
}
