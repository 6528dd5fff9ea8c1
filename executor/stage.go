package executor

import (
	"context"
	"strings"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// stage carries out a stage, or the rest of it. It returns early when the run is ending.
func (r *run) stage(s *state.Stage) {
	if s.Done {
		return
	}
	id := s.Stage.ID
	if !s.Begun {
		if err := r.inventory(); err != nil {
			return
		}
		if !r.consented(s) {
			return
		}
		if _, err := r.Record(journal.Record{Event: journal.StageBegun, Stage: id}); err != nil {
			return
		}
	}
	r.Tell(operator.StageStarted, s.Stage, "%s", s.Stage.Title)
	if !newSchedule(r, s.Stage.Steps, false).run() {
		return
	}
	if _, err := r.Record(journal.Record{Event: journal.StageDone, Stage: id}); err == nil {
		r.Tell(operator.StageFinished, s.Stage, "all steps are finished")
	}
}

// consented asks the operator about the stage's doubts and for their consent to it.
// Answers given before a crash still count.
func (r *run) consented(s *state.Stage) bool {
	if r.o.Preflight != nil {
		var err error
		check := r.o.Preflight(s.Stage, r.State)
		r.Beside(func() { err = check(r.Ctx) })
		if r.Halted() {
			return false // the check may have failed only because of the interrupt
		}
		if err != nil {
			r.Stop(owner.Halt{End: Halted, Err: exit.Refuse("", "preflight of stage %q: %w", s.Stage.ID, err)})
			return false
		}
	}
	if !r.doubtsAnswered(s) {
		return false
	}
	if s.Consent != nil {
		return true
	}
	a, err := r.Ask(operator.Question{
		Topic: operator.StageConsent, Stage: s.Stage.ID, Title: s.Stage.Title, Text: s.Stage.Consent,
		Reading:    strings.Join(append(report.Accepted(r.State), report.SetAside(r.State)...), "\n"),
		Principals: s.Stage.Principals, Choices: []operator.Choice{operator.Yes, operator.No, operator.Abort},
	})
	return err == nil && a.Choice == operator.Yes
}

// doubtsAnswered asks about all doubts of the stage and its steps, so that no step has to
// wait for such an answer later. It returns false if the run is ending.
func (r *run) doubtsAnswered(s *state.Stage) bool {
	type doubt struct {
		w   *work // nil for a doubt of the stage
		ask owner.Questioner
	}
	var doubts []doubt
	var about []string // steps
	for _, text := range s.Stage.Doubts {
		if _, answered := s.Doubts[text]; !answered {
			q := operator.Question{
				Topic: operator.Doubt, Stage: s.Stage.ID, Title: s.Stage.Title, Text: text,
				Choices: []operator.Choice{operator.Yes, operator.No, operator.Abort},
			}
			doubts = append(doubts, doubt{nil, func(context.Context, bool) (operator.Question, bool) { return q, true }})
		}
	}
	for i := range s.Stage.Steps {
		step := &s.Stage.Steps[i]
		if st := r.State.Steps[step.ID]; step.Doubt != "" && st.Doubt == nil && st.Phase == state.Pending {
			w := r.workOn(step)
			if w.rest.None {
				continue // it is left out
			}
			about = append(about, step.ID)
			doubts = append(doubts, doubt{w, func(ctx context.Context, _ bool) (operator.Question, bool) {
				return w.permission(ctx, operator.Doubt, step.Doubt), true
			}})
		}
	}
	if len(doubts) > 1 {
		steps := ""
		if len(about) > 0 {
			steps = "; the steps that rest on them: " + strings.Join(about, ", ")
		}
		r.Tell(operator.Notice, s.Stage, "%d doubts rest on this stage; csu asks about each before your consent%s", len(doubts), steps)
	}
	for _, d := range doubts {
		a, err := r.AskBeside(d.ask)
		switch {
		case err != nil, a.Choice == operator.No, a.Choice == operator.Abort:
			return false
		case a.Choice == operator.ByHand:
			d.w.tell(operator.Notice, "%s says that it is done by hand; csu checks that when its turn comes", a.By)
		case a.Choice != operator.Yes:
			d.w.decided(a)
		}
	}
	return true
}
