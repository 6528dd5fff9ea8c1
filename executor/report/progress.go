// Package report describes a run in sentences: what is down, what is in doubt, what an
// abort would do. Its functions read a state and change nothing.
package report

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/state"
)

// Explain explains a phase to the operator.
func Explain(p state.Phase) string {
	switch p {
	case state.Pending:
		return "Not started: it is waiting for its stage, for steps that it needs, or for consent."
	case state.Started:
		return "Started, but no outcome is recorded. If a csu is running this plan, the step is under way; otherwise it is in doubt, and a resume checks what became of it."
	case state.InDoubt:
		return "It is not known whether it happened. A resume checks again, and asks you if it still cannot tell."
	case state.Failed:
		return "The last attempt failed partway; some of it may have taken effect. The operator decides how to continue."
	case state.NotDone:
		return "The last attempt is known to have had no effect, or only intended ones. The rest can be started again."
	case state.Done:
		return "It happened, and csu or the operator has confirmed the result."
	case state.Reported:
		return "It failed. The failure was reported, and the plan lets the run continue."
	case state.PerhapsSent:
		return "The message may or may not have been posted; it is never repeated."
	case state.Claimed:
		return "The operator says that it is done. csu has looked, or still has to look, and does not see it done yet."
	case state.ByHand:
		return "It was done by hand."
	case state.Skipped:
		return "The operator left it undone, with a reason."
	case state.NotNeeded:
		return "The step that it would undo was never started."
	case state.LeftOut:
		return "Nothing of it is left to do, since its CSCs were set aside."
	case state.LeftInDoubt:
		return "The run was aborted without knowing whether it happened."
	}
	return ""
}

// Progress returns sentences about how far the run has come and what is in doubt.
func Progress(s *state.State) string {
	finished := 0
	for _, st := range s.Steps {
		if st.Phase.Finished() {
			finished++
		}
	}
	text := fmt.Sprintf("%d of %d steps are finished", finished, len(s.Steps))
	switch stage := s.Stage(); {
	case stage == nil:
		text += "; every stage is done"
	case stage.Begun:
		text += fmt.Sprintf("; it is in stage %q", stage.Stage.ID)
	default:
		text += fmt.Sprintf("; its next stage is %q", stage.Stage.ID)
	}
	if open, _ := s.Open(); len(open) > 0 {
		const most = 6 // a stage may have many steps under way
		var ids []string
		for _, st := range open[:min(len(open), most)] {
			ids = append(ids, st.Step.ID)
		}
		text += "; under way or in doubt: " + strings.Join(ids, ", ")
		if len(open) > most {
			text += fmt.Sprintf(" and %d more", len(open)-most)
		}
	}
	if building := BuildingText(s); building != "" {
		text += ". " + building
	}
	return strings.TrimSpace(text + ". " + Doubts(s))
}

// Accepted returns a line for each step that counts as done although csu saw that it was
// not, in the plan's order.
func Accepted(s *state.State) []string {
	var lines []string
	for step := range s.Plan.AllSteps() {
		if a := s.Steps[step.ID].Accepted; a != nil {
			lines = append(lines, fmt.Sprintf("%s (%s) counts as done because %s said so, against the evidence: %s. Reason: %s", step.ID, step.Title, a.By, strings.ReplaceAll(a.Shown, "\n", "; "), a.Reason))
		}
	}
	return lines
}

// Doubts returns a sentence about the steps that another csu may have carried out
// without the cluster; "" if there are none.
func Doubts(s *state.State) string {
	const why = "because another csu may have worked without the cluster."
	switch _, suspected := s.Open(); len(suspected) {
	case 0:
		return ""
	case 1:
		return "1 unfinished step is checked before its stage continues, " + why
	default:
		return fmt.Sprintf("%d unfinished steps are checked before their stages continue, %s", len(suspected), why)
	}
}
