// Package report says in sentences where a run is: what is down, what is in doubt,
// what an abort would do. Its functions read a state and change nothing.
package report

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/state"
)

// Explain returns what the phase means, in a sentence for the operator.
func Explain(p state.Phase) string {
	switch p {
	case state.Pending:
		return "Not begun: it waits for its stage, for the steps that it needs, or for a consent."
	case state.Started:
		return "Begun, and its outcome is not recorded: it is under way, or, where no csu runs this plan, in doubt; a resume looks what became of it."
	case state.InDoubt:
		return "It is not known whether it happened; a resume looks again, and asks where that does not tell."
	case state.Failed:
		return "The last attempt is over and did not come to its end; parts of it may have happened. The operator decides how to go on."
	case state.NotDone:
		return "The last attempt is known to have had no effect, or none but what it should; what is left can be started again."
	case state.Done:
		return "It happened, and what it is for has been seen."
	case state.Reported:
		return "It failed, which was told; the plan lets the run go on."
	case state.PerhapsSent:
		return "The message may have been posted or not; it is never repeated."
	case state.ByHand:
		return "A person has done it."
	case state.Skipped:
		return "The operator left it undone, with a reason."
	case state.NotNeeded:
		return "What it would undo was never begun."
	case state.LeftInDoubt:
		return "The run was given up without knowing whether it happened."
	}
	return ""
}

// Progress says how far the run has come, and what is in doubt.
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
	return strings.TrimSpace(text + ". " + Doubts(s))
}

// Doubts says in a sentence how many steps another csu may have carried out
// without the cluster; "" where there is none.
func Doubts(s *state.State) string {
	const why = "looked into before its stage goes on, because another csu may have worked without the cluster."
	switch _, suspected := s.Open(); len(suspected) {
	case 0:
		return ""
	case 1:
		return "1 unfinished step is " + why
	default:
		return fmt.Sprintf("%d unfinished steps are %s", len(suspected), strings.Replace(why, "its stage goes", "their stages go", 1))
	}
}
