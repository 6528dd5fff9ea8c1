package executor

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
)

// narrow lets the work continue without the CSCs that were set aside. The closing
// message gets the exceptions, which the operator sees before it is posted. The owner
// calls it.
func (w *work) narrow(step *plan.Step) {
	w.rest = w.r.State.Rest(step)
	w.step = w.rest.Step
	if message, ok := w.step.Action.Parameters.(*plan.Announce); ok && step == w.r.Plan.Closing() {
		if text := report.Closing(w.r.State, message.Text); text != message.Text {
			changed, longer := *w.step, *message
			longer.Text = text
			changed.Action.Parameters = &longer
			if changed.Consent == "" {
				changed.Consent = "Not every CSC is as the plan wants it. csu names the exceptions at the end of the message. Post it?"
			}
			w.step = &changed
		}
	}
	w.do = w.r.o.Performer(w.step.Action.Parameters)
}

// leaveOut finishes a step of which nothing is left to do.
func (w *work) leaveOut() {
	text := "left out: " + plan.CSCList(w.rest.Out) + " set aside"
	w.r.Do(func() {
		if w.s.mayStart() {
			if _, err := w.r.Record(journal.Record{Event: journal.NotNeeded, Stage: w.step.Stage(), Step: w.step.ID, Text: text}); err == nil {
				w.r.TellStep(operator.StepSkipped, w.step, "%s", text)
			}
		}
	})
}

// candidates returns the CSCs of the step that may be set aside. For a final step there
// are none: it must be done.
func (w *work) candidates() []operator.CSC {
	if w.step.Final() {
		return nil
	}
	var cscs []operator.CSC
	var missing []string
	names := w.step.Names(w.r.Plan)
	if len(names) > 0 {
		missing = action.Missing(w.r.Ctx, w.new(w.last.Attempt))
	}
	for _, name := range names {
		if row, ok := w.r.Plan.CSC(name); ok && !slices.Contains(w.rest.Out, name) && !slices.Contains(w.rest.In, name) {
			cscs = append(cscs, operator.CSC{Name: name, Principal: row.Principal, Missing: slices.Contains(missing, name)})
		}
	}
	return cscs
}

// look returns the record of csu's own look at the CSCs at the end; nil if csu has no
// means of seeing them, or the run is interrupted.
func (r *run) look(aside []string) *journal.Record {
	if r.o.Systems == nil || r.o.Systems.EFD == nil {
		return nil
	}
	rec := journal.Record{Event: journal.Looked}
	astray, err := action.LookAtEnd(r.Ctx, r.o.Systems, r.Plan, aside)
	if err == nil {
		rec.Evidence, err = json.Marshal(astray)
	}
	if err != nil {
		rec.Text = err.Error()
	}
	if r.Ctx.Err() != nil {
		return nil
	}
	return &rec
}

// lookBeforeClosing looks at the CSCs before the end is announced.
func (w *work) lookBeforeClosing() {
	var aside []string
	w.r.Do(func() { aside = w.r.State.AsideNames() })
	rec := w.r.look(aside)
	w.r.Do(func() {
		if w.r.recordIf(rec) == nil {
			w.narrow(w.t.step)
		}
	})
}

// lookAtEnd looks at the CSCs before the run is complete.
func (r *run) lookAtEnd() error {
	var rec *journal.Record
	aside := r.State.AsideNames()
	r.Beside(func() { rec = r.look(aside) })
	return cmp.Or(r.Ctx.Err(), r.recordIf(rec))
}

func (r *run) recordIf(rec *journal.Record) error {
	if rec == nil {
		return nil
	}
	_, err := r.Record(*rec)
	return err
}
