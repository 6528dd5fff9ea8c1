package review

import (
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// TestRemaining: what is finished takes no time, what runs takes the rest of its usual time
// and never less than nothing, and steps that need it wait for it. A build goes on from when
// it was begun. With learned durations
// there is a range, which shrinks to what is left.
func TestRemaining(t *testing.T) {
	minutes := func(n int) plan.Duration { return plan.Duration(time.Duration(n) * time.Minute) }
	step := func(id string, takes int, needs ...string) plan.Step {
		return plan.Step{ID: id, Takes: minutes(takes), Needs: needs, Action: plan.Action{Parameters: &plan.AwaitState{Want: []plan.Want{{States: []string{"ENABLED"}, CSCs: []string{"MTMount:0"}}}}}}
	}
	p := &plan.Plan{
		Stages: []plan.Stage{
			{ID: "one", Steps: []plan.Step{step("one/a", 5), step("one/b", 10), step("one/c", 3, "one/a")}},
			{ID: "two", Steps: []plan.Step{step("two/d", 20)}},
		},
		Final: []plan.Step{step("final/f", 2)},
	}
	done := Progress{Finished: true}
	for _, c := range []struct {
		name string
		at   map[string]Progress
		want int
	}{
		{"nothing was begun", nil, 32},
		{"a and b run", map[string]Progress{"one/a": {For: minutes(4)}, "one/b": {For: minutes(9)}}, 1 + 3 + 20 + 2},
		{"b runs for long", map[string]Progress{"one/a": done, "one/c": done, "one/b": {For: minutes(50)}}, 22},
		{"the final step is left", map[string]Progress{"one/a": done, "one/b": done, "one/c": done, "two/d": done}, 2},
	} {
		low, high := Remaining(p, func(id string) Progress { return c.at[id] })
		if low != minutes(c.want) || high != low {
			t.Errorf("%s: %s to %s, want %s", c.name, low, high, minutes(c.want))
		}
	}

	build := func(id string, takes int, build string) plan.Step {
		s := step(id, takes)
		s.Action.Parameters = &plan.SSH{Host: "crio", Build: build}
		return s
	}
	building := &plan.Plan{Stages: []plan.Stage{
		{ID: "one", Steps: []plan.Step{build("one/build", 1, ""), step("one/other", 5)}},
		{ID: "two", Steps: []plan.Step{step("two/d", 20)}},
		{ID: "three", Steps: []plan.Step{build("three/built", 75, "one/build")}},
	}}
	for _, c := range []struct {
		name string
		at   map[string]Progress
		want int
	}{
		{"the build was not begun", nil, 1 + 75},
		{"the build was begun just now", map[string]Progress{"one/build": done}, 75},
		{"the build was begun 30 min ago", map[string]Progress{"one/build": {Finished: true, For: minutes(30)}, "one/other": done}, 45},
		{"the build is waited for", map[string]Progress{"one/build": {Finished: true, For: minutes(60)}, "one/other": done, "two/d": done, "three/built": {For: minutes(5)}}, 15},
		{"the build is over", map[string]Progress{"one/build": {Finished: true, For: minutes(90)}, "one/other": done}, 20},
	} {
		low, high := Remaining(building, func(id string) Progress { return c.at[id] })
		if low != minutes(c.want) || high != low {
			t.Errorf("%s: %s to %s, want %s", c.name, low, high, minutes(c.want))
		}
	}
	p.Stages[1].Steps[0].Spread = &plan.Spread{Low: minutes(15), High: minutes(40), From: 10}
	low, high := Remaining(p, func(id string) Progress { return Progress{Finished: id != "two/d"} })
	if low < minutes(12) || low > minutes(18) || high < minutes(25) || high > minutes(45) {
		t.Errorf("a step of 15 to 40 min that was not begun: %s to %s", low, high)
	}
	later, last := Remaining(p, func(id string) Progress {
		return Progress{Finished: id != "two/d", For: minutes(map[string]int{"two/d": 30}[id])}
	})
	if last <= later || last >= high {
		t.Errorf("the same step after 30 min: %s to %s more", later, last)
	}
}
