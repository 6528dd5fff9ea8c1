package timeline

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// left returns what is not as the plan wants it, the most urgent first.
func (l *Log) left() []Left {
	s := l.state
	var out []Left
	if down := report.Down(s); len(down) > 0 {
		out = append(out, Left{"down", "", fmt.Sprintf("%d CSCs were taken down and have not been seen up again: %s", len(down), plan.CSCList(down))})
	}
	if unready := report.Unready(s); len(unready) > 0 {
		out = append(out, Left{"not ready", "", fmt.Sprintf("%d CSCs are up again, but not in the state that they should end in: %s", len(unready), plan.CSCList(unready))})
	}
	if stopped := report.Stopped(s); len(stopped) > 0 {
		out = append(out, Left{"stopped", "", "Services that were stopped and not started again: " + strings.Join(stopped, ", ")})
	}
	if text := report.BuildingText(s); text != "" {
		out = append(out, Left{"building", "", text})
	}
	for _, st := range s.Owed() {
		out = append(out, Left{"owed", st.Step.ID, "Still to run, at the end or on abort: " + st.Step.Title})
	}
	if _, parts := report.Updated(s); len(parts) > 0 {
		out = append(out, Left{"in part", "", "Perhaps updated only in part: " + strings.Join(parts, ", ")})
	}
	for _, line := range report.SetAside(s) {
		out = append(out, Left{"set aside", "", line})
	}
	for st := range s.Plan.AllSteps() {
		if a := s.Steps[st.ID].Accepted; a != nil {
			out = append(out, Left{"not seen", st.ID, fmt.Sprintf("%s: counts as done because %s said so, against the evidence: %s", st.Title, a.By, a.Reason)})
		}
		if what := remains[s.Steps[st.ID].Phase]; what != "" {
			out = append(out, Left{what, st.ID, strings.TrimSuffix(st.Title+": "+because(s.Steps[st.ID]), ": ")})
		}
	}
	return out
}

// remains says what a phase leaves behind, for those that do.
var remains = map[state.Phase]string{
	state.Skipped: "skipped", state.Reported: "failed", state.PerhapsSent: "perhaps sent", state.LeftInDoubt: "in doubt",
	state.LeftOut: "left out", state.Failed: "failed", state.NotDone: "failed", state.InDoubt: "in doubt", state.Started: "open", state.Claimed: "not seen",
}

// because returns what is known about a step's phase.
func because(st *state.Step) string {
	if st.By != "" && st.Phase == state.Skipped {
		return fmt.Sprintf("skipped by %s: %s", st.By, st.Reason)
	}
	return st.Text
}
