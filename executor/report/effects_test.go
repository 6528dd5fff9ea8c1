package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
	"github.com/lsst-ts/csu/executor/state"
)

// begun is the state of a run whose only step was begun, and ended as the verdict
// says; "" where it is under way.
func begun(d plan.Parameters, verdict action.Verdict) *state.State {
	s := state.New(plantest.Plan(d))
	s.Apply(&journal.Record{Event: journal.RunBegun, Run: &journal.Run{ID: "1"}})
	s.Apply(&journal.Record{Event: journal.Started, Stage: "all", Step: "all/1", Attempt: 1})
	if verdict != "" {
		s.Apply(&journal.Record{Event: journal.Outcome, Stage: "all", Step: "all/1", Attempt: 1, Verdict: string(verdict)})
	}
	return s
}

// What is down and what an abort leaves as it is follow from the effects of the steps
// alone: the same is reported of an imaginary kind with the same effects.
func TestEffectsSteerTheReport(t *testing.T) {
	down := map[string]string{
		"shutdown":              "Watcher:0 MTMount:0 ESS:105 LOVE:0 ESS:106 MTVMS:1 MTM2:0 MTCamera:0",
		"shutdown in parts":     "Watcher:0 MTMount:0 ESS:105 LOVE:0 ESS:106 MTVMS:1 MTM2:0 MTCamera:0",
		"shutdown without some": "Watcher:0 MTMount:0 LOVE:0 MTM2:0 MTCamera:0",
		"set-state down":        "Watcher:0 MTMount:0",
		"ssh stop":              "MTVMS:1",
		"reboot":                "MTM2:0",
		"delete jobs":           "ESS:105 ESS:106",
	}
	left := map[string]string{
		"ssh stop":    "These services stay stopped until they are started by hand: ts-VMS on m1m3-crio-vms.",
		"ssh update":  "These stay updated: ts-VMS on m1m3-crio-vms.",
		"ssh build":   "Begun on hosts, and going on without csu: the build of ts-VMS on m1m3-crio-vms. Stop them by hand if they should not go on.",
		"sync":        "These stay updated: application love.",
		"sync of one": "These stay updated: application envsys.",
	}
	for _, sample := range plantest.Samples(t) {
		p := plantest.Plan(sample.Action)
		disguised := sample.Disguised(p)
		s, same := begun(sample.Action, ""), begun(disguised, "")
		if got := strings.Join(Down(s), " "); got != down[sample.Name] {
			t.Errorf("%s: down when it was begun: %q, want %q", sample.Name, got, down[sample.Name])
		}
		if got, want := Down(same), Down(s); !slices.Equal(got, want) {
			t.Errorf("%s: its effects alone take down %q, want %q", sample.Name, got, want)
		}
		for _, verdict := range []action.Verdict{action.Failed, action.Done} {
			s, same := begun(sample.Action, verdict), begun(disguised, verdict)
			if got, want := Abort(same), Abort(s); got != want {
				t.Errorf("%s, %s: an abort says of its effects alone:\n%s\nwant:\n%s", sample.Name, verdict, got, want)
			}
			if verdict == action.Done && !strings.Contains(Abort(s), left[sample.Name]) {
				t.Errorf("%s: an abort does not say %q:\n%s", sample.Name, left[sample.Name], Abort(s))
			}
		}
	}
}
