package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// How an outcome was learned, as the journal records it.
const (
	viaPerform = "perform"
	viaProbe   = "probe"
	viaAwait   = "await"
)

// onlyReported reports whether a failure of the step is only reported, and the run
// continues. A final step must succeed, so its failure never is.
func onlyReported(step *plan.Step) bool { return step.OnFailure == plan.Report && !step.Final() }

// work is a goroutine's work on a step: an attempt, the check of an earlier one, or
// the decision after a failure. It runs beside the owner, and accesses the run's state
// and the task only with do.
type work struct {
	r          *run
	s          *schedule
	t          *task
	rest       plan.Rest  // of the step, without the CSCs that were set aside
	step       *plan.Step // what is done of it
	do         action.Performer
	last       state.Step // when the work began
	run, build string     // id; the attempt that began the build that the step awaits
	begin      time.Time  // of the run
	inventory  json.RawMessage

	a       *action.Attempt
	number  int  // of the attempt
	resumed bool // an earlier executor has started it
	// unanswered: the run is ending, so a question of the attempt was not answered. That
	// is no failure: the next executor asks again.
	unanswered bool
}

// workOn returns work on a step that is in no schedule yet. The owner calls it.
func (r *run) workOn(step *plan.Step) *work {
	w := &work{
		r: r, last: *r.State.Steps[step.ID],
		run: r.State.Run.ID, build: r.State.BegunBy(step), begin: r.State.Begin, inventory: r.State.Inventory[step.ID],
	}
	w.narrow(step)
	return w
}

// event returns a record about the step's attempt.
func (w *work) event(event journal.Event, text string) journal.Record {
	return journal.Record{Event: event, Stage: w.step.Stage(), Step: w.step.ID, Attempt: w.number, Text: text}
}

func (w *work) tell(kind operator.EventKind, format string, args ...any) {
	w.r.TellStep(kind, w.step, format, args...)
}

// new returns the step's attempt n for a performer.
func (w *work) new(n int) *action.Attempt {
	a := &action.Attempt{
		Plan: w.r.Plan, Step: w.step, Aside: w.rest.Out, Systems: w.r.o.Systems, Operator: w.r.OperatorName,
		Identity: action.Identity(w.run, w.step, n), Begun: w.build, Limit: time.Duration(w.step.Timeout), Inventory: w.inventory,
	}
	a.Note = func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("note of step %q: %w", w.step.ID, err)
		}
		rec := journal.Record{Event: journal.Noted, Stage: w.step.Stage(), Step: w.step.ID, Attempt: n, Evidence: raw}
		var noted *journal.Record
		if !w.r.Do(func() {
			if noted, err = w.r.Record(rec); err == nil {
				a.Notes = append(a.Notes, raw)
			}
		}) {
			return owner.ErrOver
		}
		if err != nil {
			return err
		}
		return w.r.custody.Keep(w.r.Ctx, noted.Seq)
	}
	a.Progress = func(format string, args ...any) { w.tell(operator.StepProgress, format, args...) }
	a.Ask = func(ctx context.Context, question func(context.Context) (operator.Question, bool)) (operator.Answer, error) {
		answer, err := w.r.AskIf(ctx, func(ctx context.Context, _ bool) (operator.Question, bool) {
			q, wanted := question(ctx)
			q.Stage, q.Step = w.step.Stage(), w.step.ID
			return q, wanted
		})
		w.unanswered = w.unanswered || errors.Is(err, owner.ErrEnding)
		return answer, err
	}
	return a
}

// reopen continues with the last attempt in the journal.
func (w *work) reopen() {
	st := w.last
	a := w.new(st.Attempt)
	a.Identity, a.Started, a.Evidence, a.Notes = st.Identity, st.Began, st.Evidence, slices.Clone(st.Notes)
	if a.Suspected = st.Suspected; a.Suspected && len(a.Evidence) == 0 {
		a.Started = w.begin      // the other csu may have begun it at any time
		a.Evidence = a.Inventory // of a deletion: what it would have deleted
	}
	w.a, w.number = a, st.Attempt
}

// attempt starts the step and works on it until it is finished, the operator must
// decide, or the run ends.
func (w *work) attempt() {
	r := w.r
	if w.t.step == r.Plan.Closing() {
		w.lookBeforeClosing()
	}
	if w.rest.None {
		w.leaveOut()
		return
	}
	if !w.permit() {
		return
	}
	w.number = w.last.Attempt + 1
	w.a = w.new(w.number)
	evidence, err := w.do.Prepare(r.Ctx, w.a)
	if r.Ctx.Err() != nil {
		return
	}
	if err == nil && evidence != nil {
		w.a.Evidence, err = json.Marshal(evidence)
	}
	if err != nil {
		w.notBegun(err)
		return
	}
	var started *journal.Record
	r.Do(func() { started = w.start() })
	if started == nil {
		return
	}
	if err := r.custody.Keep(r.Ctx, started.Seq); err != nil {
		w.conclude(action.Found(action.NotDone, "nothing was sent: %v", err), viaPerform)
		return
	}
	how := w.rest.Said()
	if w.number > 1 {
		how = strings.TrimSuffix(fmt.Sprintf("attempt %d; %s", w.number, how), "; ")
	}
	w.tell(operator.StepStarted, "%s", how)
	w.conclude(w.do.Perform(r.Ctx, w.a), viaPerform)
}

// start records that an attempt is about to touch something, and returns the record;
// nil if the step may no longer start. The owner calls it, so nothing can change between
// the decision and the record.
func (w *work) start() *journal.Record {
	if !w.s.mayStart() {
		return nil
	}
	rec := w.event(journal.Started, w.rest.Said())
	rec.Identity, rec.Evidence = w.a.Identity, w.a.Evidence
	written, err := w.r.Record(rec)
	if err != nil {
		return nil
	}
	w.t.tried, w.t.fresh = true, false // the check of the last attempt allowed only this start
	w.a.Started = written.Time
	return written
}

// notBegun records that an attempt could not start.
func (w *work) notBegun(cause error) {
	rec := w.event(journal.NotBegun, cause.Error())
	rec.Reported = onlyReported(w.step)
	w.r.Do(func() {
		_, err := w.r.Record(rec)
		w.s.hold(w.t, undecided, err == nil && !rec.Reported)
		w.t.tried, w.t.fresh = true, false
	})
	w.tell(operator.StepFailed, "not started: %s", rec.Text)
}

// known lets other steps start: the attempt is under way, or its outcome is known.
func (w *work) known() { w.r.Do(func() { w.s.hold(w.t, unsure, false) }) }

// conclude determines the outcome of an attempt: from the finding, by its probe, or by
// asking the operator. It leaves the attempt open if the run is interrupted.
func (w *work) conclude(f action.Finding, via string) {
	ctx := w.r.Ctx
	// waited: csu has waited until the time limit; waiting longer is the operator's
	// decision.
	waited := f.Verdict == action.Running && via != viaProbe
	for {
		if ctx.Err() != nil && f.Verdict != action.Done {
			return // it may only have been cut short
		}
		switch f.Verdict {
		case action.Done, action.Failed, action.NotDone, action.CutShort:
			w.outcome(f, via)
			return
		}
		if f.Verdict == action.Running && !waited {
			// Its answer was lost, and it is still running.
			waited = true
			w.known()
			f, via = w.do.Await(ctx, w.a), viaAwait
			continue
		}
		if w.doubtful(f, via) {
			return
		}
		if via != viaProbe {
			f, via = w.do.Probe(ctx, w.a), viaProbe
			continue
		}
		answer, now, err := w.askInDoubt(f, waited)
		f = now
		switch {
		case errors.Is(err, owner.ErrUnwanted):
			// The outcome has become known, or the attempt is running.
		case err != nil, answer.Choice == operator.Stop, answer.Choice == operator.Abort:
			return
		case answer.Choice == operator.Happened:
			w.confirm()
			return
		case answer.Choice == operator.NotHappened:
			w.tell(operator.StepFailed, "%s confirmed that it did not happen", answer.By)
			return
		case f.Verdict == action.Running:
			w.known()
			f, via = w.do.Await(ctx, w.a), viaAwait
		default:
			f, waited = w.do.Probe(ctx, w.a), false
		}
	}
}

// outcome records the result of an attempt.
func (w *work) outcome(f action.Finding, via string) {
	// If an attempt before a crash had no effect, or only intended ones, the step has
	// not failed: it is simply started again.
	fresh := w.resumed && (f.Verdict == action.NotDone && via == viaProbe || f.Verdict == action.CutShort)
	unanswered := w.unanswered && f.Verdict == action.NotDone
	rec := w.event(journal.Outcome, f.Text)
	rec.Verdict, rec.Via = string(f.Verdict), via
	var phase state.Phase
	recorded := false
	w.r.Do(func() {
		// If the gate was closed, the step has not failed: a resume tries it again.
		rec.Reported = f.Verdict != action.Done && !fresh && !unanswered && onlyReported(w.step) && !w.r.custody.Closed()
		_, err := w.r.Record(rec)
		recorded, phase = err == nil, w.t.state.Phase
		w.t.fresh = fresh
		w.s.hold(w.t, undecided, recorded && !phase.Finished() && !fresh)
	})
	switch {
	case !recorded:
	case fresh && phase == state.NotDone:
		w.tell(operator.Notice, "started again for the rest: %s", f.Text)
	case unanswered:
		w.tell(operator.Notice, "its question was not answered; csu asks again when the run is resumed")
	case phase == state.Done:
		w.tell(operator.StepDone, "%s", f.Text)
	default:
		w.tell(operator.StepFailed, "%s", f.Text)
	}
}

// doubtful records that an attempt's outcome is not known, and reports whether the step
// is finished with that: a message is never repeated, and an observation that did not
// end has changed nothing.
func (w *work) doubtful(f action.Finding, via string) bool {
	traits := w.do.Traits()
	rec := w.event(journal.Doubtful, f.Text)
	rec.Verdict, rec.Via = string(f.Verdict), via
	var before string
	finished := true
	w.r.Do(func() {
		before = w.t.state.Text
		rec.Reported = onlyReported(w.step) && (traits.Unrepeatable && !w.t.state.Suspected || traits.Observes && via != viaProbe)
		_, err := w.r.Record(rec)
		finished = err != nil || w.t.state.Phase.Finished()
	})
	kind := operator.StepInDoubt
	if rec.Reported && traits.Observes {
		kind = operator.StepFailed
	}
	if f.Text != before { // the probe may have found no more than the action did
		w.tell(kind, "%s", f.Text)
	}
	return finished
}

// resume finds out what became of the attempt that the last executor left open, and
// continues it. Nothing new starts before that is known.
func (w *work) resume() {
	w.reopen()
	w.resumed = true
	why := fmt.Sprintf("the run ended before the outcome of attempt %d was recorded", w.number)
	if w.last.Suspected {
		why = fmt.Sprintf("another csu may have begun attempt %d", w.number)
	}
	w.tell(operator.Notice, "%s; csu checks what became of it", why)
	f, via := w.do.Probe(w.r.Ctx, w.a), viaProbe
	if w.last.Suspected && w.do.Traits().Identified {
		f = w.laterAttempts(f)
	}
	if f.Verdict == action.Running && w.r.Ctx.Err() == nil {
		w.known()
		w.tell(operator.StepStarted, "still running: %s", f.Text)
		f, via = w.do.Await(w.r.Ctx, w.a), viaAwait
	}
	w.conclude(f, via)
}

// mostLater is how many later attempts of another csu are searched for.
const mostLater = 4

// laterAttempts searches for the last attempt that another csu has made of a suspected
// step, starting after the one whose finding is given, and returns what became of it.
// The next attempt gets a number above all that were searched for.
func (w *work) laterAttempts(f action.Finding) action.Finding {
	found, chosen := f, w.a
	for n := w.number + 1; n <= w.number+mostLater && found.Verdict != action.Done; n++ {
		next := w.new(n)
		next.Started, next.Suspected = w.begin, true
		later := w.do.Probe(w.r.Ctx, next)
		if w.r.Ctx.Err() != nil {
			return f
		}
		if later.Verdict != action.NotDone && (later.Verdict != action.Unknown || found.Verdict == action.NotDone) {
			found, chosen = later, next
		}
	}
	w.number += mostLater
	rec := w.event(journal.Suspected, found.Text)
	rec.Identity, rec.Evidence = chosen.Identity, chosen.Evidence
	if _, err := w.r.RecordBeside(rec); err != nil {
		return f
	}
	w.a = chosen
	return found
}
