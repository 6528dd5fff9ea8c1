package report

import (
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// TestDownText: while a shutdown is under way, its CSCs may be down; they are down when it
// has an outcome. A CSC that was seen up again is not among them, but named until the step
// that brings it where it should end has begun.
func TestDownText(t *testing.T) {
	step := func(id string, does plan.Parameters) plan.Step {
		return plan.Step{ID: id, Title: id, Action: plan.Action{Parameters: does}}
	}
	see := func(id, state string, cscs ...string) plan.Step {
		return step(id, &plan.AwaitState{Want: []plan.Want{{States: []string{state}, CSCs: cscs}}})
	}
	p := &plan.Plan{
		Stages: []plan.Stage{{ID: "all", Steps: []plan.Step{
			step("all/shutdown", &plan.Script{Queue: 1, Path: "system_wide_shutdown.py", Standard: true, Config: "start_with: [Watcher]\n"}),
			step("all/jobs", &plan.Delete{Objects: plan.Jobs, Namespace: "n", Selector: "a=b", CSCs: []string{"ESS:105"}}),
			see("all/up", "STANDBY", "Watcher:0", "MTMount:0", "ESS:105"),
			step("all/watcher", &plan.SetState{Queue: 1, State: "ENABLED", CSCs: []string{"Watcher:0"}}),
			see("all/end", "ENABLED", "Watcher:0", "ESS:105"),
		}}},
		CSCs: []plan.CSC{{CSC: "ESS:105", Host: "h", Expect: "ENABLED"}, {CSC: "MTMount:0", Host: "h", Expect: "STANDBY"}, {CSC: "Watcher:0", Host: "h", Expect: "ENABLED"}},
	}
	s := state.New(p)
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	record := func(r journal.Record) {
		at = at.Add(time.Minute)
		r.Time = at
		s.Apply(&r)
	}
	record(journal.Record{Event: journal.RunBegun, Run: &journal.Run{ID: "1"}})
	for _, c := range []struct{ step, running, done string }{
		{"all/shutdown", "3 CSCs may be down by now, since all/shutdown takes them down and has no outcome yet: Watcher:0, ESS:105, MTMount:0",
			"3 CSCs were taken down and have not been seen up again: Watcher:0, ESS:105, MTMount:0"},
		{"all/jobs", "3 CSCs were taken down and have not been seen up again: Watcher:0, ESS:105, MTMount:0", "3 CSCs were taken down and have not been seen up again: Watcher:0, ESS:105, MTMount:0"},
		{"all/up", "3 CSCs were taken down and have not been seen up again: Watcher:0, ESS:105, MTMount:0",
			"2 CSCs are up again, but not in the state that they should end in: Watcher:0, ESS:105"},
		{"all/watcher", "1 CSC is up again, but not in the state that it should end in: ESS:105", "1 CSC is up again, but not in the state that it should end in: ESS:105"},
		{"all/end", "1 CSC is up again, but not in the state that it should end in: ESS:105", ""},
	} {
		record(journal.Record{Event: journal.Started, Stage: "all", Step: c.step, Attempt: 1})
		if got := DownText(s); got != c.running {
			t.Errorf("while %s runs: %q, want %q", c.step, got, c.running)
		}
		record(journal.Record{Event: journal.Outcome, Stage: "all", Step: c.step, Attempt: 1, Verdict: string(action.Done)})
		if got := DownText(s); got != c.done {
			t.Errorf("after %s: %q, want %q", c.step, got, c.done)
		}
		if c.step == "all/shutdown" {
			if got, want := Fallen(s)[0].Since, at.Add(-time.Minute); !got.Equal(want) {
				t.Errorf("the Watcher is down since %s, want %s, when the shutdown began", got, want)
			}
		}
	}
}
