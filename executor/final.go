package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// end runs the final steps and closes the run, when every stage is done or the
// run is given up.
func (r *run) end() {
	aborting, ok := r.toEnd()
	if !ok {
		return
	}
	if aborting && !r.leaveOpen() {
		return
	}
	for i := range r.o.Plan.Final {
		if !r.final(&r.o.Plan.Final[i]) {
			r.owe(&r.o.Plan.Final[i])
			return
		}
	}
	if r.ctx.Err() != nil || r.broken() {
		return
	}
	last := journal.Record{Event: journal.Complete}
	if aborting {
		last.Event = journal.Aborted
	}
	r.mu.Lock()
	last.Text = r.state.DownText()
	_, err := r.recordLocked(last)
	if err == nil {
		// An interrupt that comes now comes too late.
		r.halt = nil
	}
	r.mu.Unlock()
	if err == nil {
		r.endRenewal()
		r.unreleased = r.giveBack()
	}
}

// broken tells whether the journal takes no more records.
func (r *run) broken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halt != nil && r.halt.end == NotRun
}

// toEnd tells whether the final steps' time has come, and opens the questions
// again that an abort has closed.
func (r *run) toEnd() (aborting, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halt != nil {
		return false, false
	}
	if !r.state.Aborting && r.state.Stage() != nil {
		return false, false
	}
	r.questions, r.hush = context.WithCancel(r.ctx)
	return r.state.Aborting, true
}

// leaveOpen records which steps an abort leaves in doubt.
func (r *run) leaveOpen() bool {
	for _, st := range r.state.In(Started, InDoubt) {
		if final(st.Step) {
			continue
		}
		if r.record(journal.Record{Event: journal.Left, Stage: stageOf(st.Step), Step: st.Step.ID, Attempt: st.Attempt, Text: st.Text}) != nil {
			return false
		}
		r.tellStep(operator.StepInDoubt, st.Step, "it is left in doubt by the abort: look by hand what became of attempt %d", st.Attempt)
	}
	return true
}

// final brings a final step to its end, without consent. False means that it is
// still owed.
func (r *run) final(step *plan.Step) bool {
	st := r.state.Steps[step.ID]
	if r.phase(st).Finished() {
		return true
	}
	if r.halted() {
		return false
	}
	if !r.state.needed(step) {
		text := fmt.Sprintf("step %q was never begun", step.Undoes)
		if r.record(journal.Record{Event: journal.NotNeeded, Step: step.ID, Text: text}) != nil {
			return false
		}
		r.tellStep(operator.StepSkipped, step, "not needed: %s", text)
		return true
	}
	if r.phase(st).Open() {
		r.lookInto(step, func() {})
	}
	// What failed before this executor was started is simply tried again: that
	// is what it was started for.
	tried := false
	for !r.phase(st).Finished() {
		switch {
		case r.halted() || r.ctx.Err() != nil || r.phase(st).Open():
			return false
		case tried && r.phase(st) != Pending && !r.decide(step):
			return false
		case r.phase(st).Finished():
		default:
			tried = true
			r.try(step)
		}
	}
	return true
}

// owe says what is left to be done when a final step did not come to its end.
func (r *run) owe(step *plan.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := halt{end: Halted}
	if r.halt != nil {
		h = *r.halt
	}
	var unattended *operator.UnattendedError
	if errors.As(h.err, &unattended) {
		h.err = nil // the failure is what is to be told, not that nobody was there to ask
	}
	if h.end == NotRun || h.end == Interrupted || r.ctx.Err() != nil {
		return
	}
	again := "take the run up with --resume, or abort it"
	if r.state.Aborting {
		again = "repeat csu abort"
	}
	parts := []string{fmt.Sprintf("final step %q is not done: %s", step.ID, r.state.Steps[step.ID].Text)}
	if h.text != "" {
		parts = append(parts, h.text)
	}
	parts = append(parts, "the journal stays open; "+again)
	h.text = strings.Join(parts, "; ")
	r.halt = &h
}
