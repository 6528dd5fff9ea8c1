package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// Down returns the CSCs that the run has taken down and has not seen up again: the
// Watcher first, the others in the order of the plan's table (P43). A CSC counts as
// taken down when the step that does it has begun. A CSC that came up in another state
// than it should end in counts as down until the step that brings it there has begun;
// the outcome of that step is reported with the step. Those that were set aside are not in
// it; see [SetAside].
func Down(s *state.State) []string {
	if s.Judged() {
		return nil // csu has looked: see [Exceptions]
	}
	down, early := map[string]bool{}, map[string]bool{}
	for i := range s.Plan.Stages {
		for j := range s.Plan.Stages[i].Steps {
			track(s, &s.Plan.Stages[i].Steps[j], down, early)
		}
	}
	var names []string
	for i := range s.Plan.CSCs {
		if name := s.Plan.CSCs[i].CSC; (down[name] || early[name]) && !s.IsAside(name) {
			names = append(names, name)
			delete(down, name)
			delete(early, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

func rank(csc string) int {
	if class, _, _ := strings.Cut(csc, ":"); class == "Watcher" {
		return 0
	}
	return 1
}

// DownText returns a sentence about the CSCs that are down; "" if none is.
func DownText(s *state.State) string {
	names := Down(s)
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%d CSCs were taken down and have not been seen up again: %s", len(names), strings.Join(names, ", "))
}

// track records what one step did to the CSCs: which are down, and which are up but not
// yet in the state that they should end in (early).
func track(s *state.State, step *plan.Step, down, early map[string]bool) {
	st, e := s.Steps[step.ID], step.Effects(s.Plan)
	if begun := st.Attempt > 0 || st.Phase == state.ByHand; begun {
		for _, c := range e.DownBy() {
			down[c] = true
		}
		for _, c := range e.Commands {
			early[c] = early[c] && !ends(s, c, []string{e.State})
		}
	}
	if !st.Phase.Happened() {
		return
	}
	for _, w := range e.Sees {
		offline := slices.Contains(w.States, plan.Offline)
		if offline && len(w.States) > 1 {
			continue // either is possible
		}
		for _, c := range w.CSCs {
			down[c] = offline
			if e.ReadOnly && !offline {
				early[c] = !ends(s, c, w.States)
			}
		}
	}
}

// ends reports whether the CSC should end in one of the states.
func ends(s *state.State, csc string, states []string) bool {
	row, ok := s.Plan.CSC(csc)
	return !ok || row.Expect == "" || slices.Contains(states, row.Expect)
}
