package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/state"

	"github.com/lsst-ts/csu/executor/plan"
)

// Down returns the CSCs that the run has sent to OFFLINE, or whose Jobs it has
// deleted or whose services stopped, and that it has not seen back: the Watcher
// first, the others in the order of the plan's table (P43). What was begun counts
// as sent. One that has come up in another state than it ends in is not back
// before the step that brings it there was begun; how that came out is told by
// the step itself.
func Down(s *state.State) []string {
	down, short := map[string]bool{}, map[string]bool{}
	for i := range s.Plan.Stages {
		for j := range s.Plan.Stages[i].Steps {
			track(s, &s.Plan.Stages[i].Steps[j], down, short)
		}
	}
	var names []string
	for i := range s.Plan.CSCs {
		if name := s.Plan.CSCs[i].CSC; down[name] || short[name] {
			names = append(names, name)
			delete(down, name)
			delete(short, name)
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

// DownText says which CSCs are down; "" where none is.
func DownText(s *state.State) string {
	names := Down(s)
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%d CSCs were taken down and have not been seen back: %s", len(names), strings.Join(names, ", "))
}

// track takes in what one step did to the CSCs: which are down, and which are up
// but short of the state that they end in.
func track(s *state.State, step *plan.Step, down, short map[string]bool) {
	st, e := s.Steps[step.ID], step.Effects(s.Plan)
	if begun := st.Attempt > 0 || st.Phase == state.ByHand; begun {
		for _, c := range e.DownBy() {
			down[c] = true
		}
		for _, c := range e.Commands {
			short[c] = short[c] && !ends(s, c, []string{e.State})
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
				short[c] = !ends(s, c, w.States)
			}
		}
	}
}

// ends tells whether one of the states is the one that the CSC ends in.
func ends(s *state.State, csc string, states []string) bool {
	row, ok := s.Plan.CSC(csc)
	return !ok || row.Expect == "" || slices.Contains(states, row.Expect)
}
