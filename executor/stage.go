package executor

import (
	"fmt"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
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
		if _, err := r.record(journal.Record{Event: journal.StageBegun, Stage: id}); err != nil {
			return
		}
	}
	r.tell(operator.StageStarted, id, "", "%s", s.Stage.Title)
	if !newSchedule(r, s.Stage.Steps, false).run() {
		return
	}
	if _, err := r.record(journal.Record{Event: journal.StageDone, Stage: id}); err == nil {
		r.tell(operator.StageFinished, id, "", "all steps are finished")
	}
}

// consented asks the operator for their consent to the stage and about its doubts.
// Answers given before a crash still count.
func (r *run) consented(s *state.Stage) bool {
	if r.o.Preflight != nil {
		var err error
		check := r.o.Preflight(s.Stage, r.state)
		r.beside(func() { err = check(r.ctx) })
		if r.halted() {
			return false // the check may have failed only because of the interrupt
		}
		if err != nil {
			r.stop(halt{end: Halted, err: &RefusedError{Reason: fmt.Sprintf("preflight of stage %q", s.Stage.ID), Err: err}})
			return false
		}
	}
	choices := []operator.Choice{operator.Yes, operator.No, operator.Abort}
	if s.Consent == nil {
		q := operator.Question{
			Topic: operator.StageConsent, Stage: s.Stage.ID, Title: s.Stage.Title, Text: s.Stage.Consent,
			Principals: s.Stage.Principals, Choices: choices,
		}
		if a, err := r.ask(q); err != nil || a.Choice != operator.Yes {
			return false
		}
	}
	for _, doubt := range s.Stage.Doubts {
		if _, answered := s.Doubts[doubt]; answered {
			continue
		}
		q := operator.Question{Topic: operator.Doubt, Stage: s.Stage.ID, Title: s.Stage.Title, Text: doubt, Choices: choices}
		if a, err := r.ask(q); err != nil || a.Choice != operator.Yes {
			return false
		}
	}
	return true
}
