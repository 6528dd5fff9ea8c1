package executor

import (
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

// consented asks the operator for their consent to the stage and about its doubts.
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
	choices := []operator.Choice{operator.Yes, operator.No, operator.Abort}
	if s.Consent == nil {
		q := operator.Question{
			Topic: operator.StageConsent, Stage: s.Stage.ID, Title: s.Stage.Title, Text: s.Stage.Consent,
			Reading:    strings.Join(append(report.Accepted(r.State), report.SetAside(r.State)...), "\n"),
			Principals: s.Stage.Principals, Choices: choices,
		}
		if a, err := r.Ask(q); err != nil || a.Choice != operator.Yes {
			return false
		}
	}
	for _, doubt := range s.Stage.Doubts {
		if _, answered := s.Doubts[doubt]; answered {
			continue
		}
		q := operator.Question{Topic: operator.Doubt, Stage: s.Stage.ID, Title: s.Stage.Title, Text: doubt, Choices: choices}
		if a, err := r.Ask(q); err != nil || a.Choice != operator.Yes {
			return false
		}
	}
	return true
}
