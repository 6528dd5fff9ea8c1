package report

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

func TestEveryPhaseIsExplained(t *testing.T) {
	seen := map[string]state.Phase{}
	for _, p := range []state.Phase{state.Pending, state.Started, state.InDoubt, state.Failed, state.NotDone, state.Done, state.Reported, state.PerhapsSent, state.Claimed, state.ByHand, state.Skipped, state.NotNeeded, state.LeftOut, state.LeftInDoubt} {
		text := Explain(p)
		if !strings.HasSuffix(text, ".") || seen[text] != "" {
			t.Errorf("%q is explained as %q", p, text)
		}
		seen[text] = p
		if p.Finished() && p.Open() {
			t.Errorf("%q is both finished and open", p)
		}
	}
}

// TestProgressText: the steps that another csu may have carried out are counted, and
// not named as under way.
func TestProgressText(t *testing.T) {
	p := &plan.Plan{
		Stages: []plan.Stage{
			{ID: "one", Steps: []plan.Step{{ID: "one/a"}, {ID: "one/b"}}},
			{ID: "two", Steps: []plan.Step{{ID: "two/c"}, {ID: "two/d"}}},
		},
		Final: []plan.Step{{ID: "final/f", Undoes: "two/d"}},
	}
	many := " 3 unfinished steps are checked before their stages continue, because another csu may have worked without the cluster."
	for name, c := range map[string]struct {
		begun, suspected []string
		want             string
	}{
		"nothing":       {nil, nil, `0 of 5 steps are finished; its next stage is "one".`},
		"under way":     {[]string{"one/a"}, nil, `0 of 5 steps are finished; its next stage is "one"; under way or in doubt: one/a.`},
		"one suspected": {nil, []string{"two/c"}, `0 of 5 steps are finished; its next stage is "one". 1 unfinished step is checked before its stage continues, because another csu may have worked without the cluster.`},
		"both":          {[]string{"one/a"}, []string{"one/b", "two/c", "two/d"}, `0 of 5 steps are finished; its next stage is "one"; under way or in doubt: one/a.` + many},
	} {
		s := state.New(p)
		for _, id := range c.begun {
			s.Steps[id].Phase = state.Started
		}
		for _, id := range c.suspected {
			s.Steps[id].Phase, s.Steps[id].Suspected = state.InDoubt, true
		}
		s.Steps["final/f"].Suspected = true // it was found out about
		if got := Progress(s); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
