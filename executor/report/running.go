package report

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// Running returns the steps that are started, each with how long it usually takes.
func Running(s *state.State) []string {
	var ids []string
	for _, st := range s.In(state.Started) {
		id := st.Step.ID
		if st.Step.Takes > 0 {
			id += fmt.Sprintf(" (usually %s)", st.Step.Takes)
		}
		ids = append(ids, id)
	}
	return ids
}

// ByHand returns how to do a step by hand. Commands, which are indented, begin on a line
// of their own.
func ByHand(step *plan.Step) string {
	if strings.HasPrefix(step.ByHand, " ") {
		return "By hand:\n" + step.ByHand
	}
	return "By hand: " + step.ByHand
}
