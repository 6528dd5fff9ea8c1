package report

import (
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// Building returns what the run has begun on hosts and what goes on by itself when csu
// ends: builds whose end no step has seen.
func Building(s *state.State) []string {
	ended := map[string]bool{}
	for step := range s.Plan.AllSteps() {
		if e := step.Effects(s.Plan); e.Ended != "" && s.Steps[step.ID].Phase.Happened() {
			ended[e.Ended] = true
		}
	}
	var names []string
	for step := range s.Plan.AllSteps() {
		if build := buildBegun(s, step); build != "" && !ended[build] {
			names = append(names, build)
		}
	}
	return names
}

// BuildingText returns a sentence about what is being built on hosts; "" if nothing is.
func BuildingText(s *state.State) string {
	names := Building(s)
	if len(names) == 0 {
		return ""
	}
	return "Begun on hosts, and going on without csu: " + strings.Join(names, ", ")
}

// buildBegun returns what the step has begun, or may have.
func buildBegun(s *state.State, step *plan.Step) string {
	if st := s.Steps[step.ID]; st.Phase == state.Done || st.Phase.Open() || st.Phase == state.LeftInDoubt {
		return step.Effects(s.Plan).Begun
	}
	return ""
}
