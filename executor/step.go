package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// The ways in which an outcome was learned, as the journal names them.
const (
	viaPerform = "perform"
	viaProbe   = "probe"
	viaAwait   = "await"
)

// final tells whether a step is one of the plan's final ones.
func final(step *plan.Step) bool { return step.Undoes != "" }

func stageOf(step *plan.Step) string {
	if final(step) {
		return ""
	}
	stage, _, _ := strings.Cut(step.ID, "/")
	return stage
}

func (r *run) tellStep(kind operator.EventKind, step *plan.Step, format string, args ...any) {
	r.tell(kind, stageOf(step), step.ID, format, args...)
}

// identity is by what an attempt is found again wherever it has its effects.
func (r *run) identity(step *plan.Step, attempt int) string {
	return fmt.Sprintf("csu-%s/%s/%d", r.state.Run.ID, step.ID, attempt)
}

// newAttempt makes what a performer is given for the step's attempt n.
func (r *run) newAttempt(step *plan.Step, n int) *action.Attempt {
	a := &action.Attempt{
		Plan: r.o.Plan, Step: step, Systems: r.o.Systems, Operator: r.o.Name,
		Identity: r.identity(step, n), Limit: time.Duration(step.Timeout), Inventory: r.state.Inventory[step.ID],
	}
	var mu sync.Mutex
	a.Note = func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("note of step %q: %w", step.ID, err)
		}
		noted, err := r.recorded(journal.Record{Event: journal.Noted, Stage: stageOf(step), Step: step.ID, Attempt: n, Evidence: raw})
		if err != nil {
			return err
		}
		if err := r.keep(r.ctx, noted.Seq); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		a.Notes = append(a.Notes, raw)
		return nil
	}
	a.Progress = func(format string, args ...any) { r.tellStep(operator.StepProgress, step, format, args...) }
	a.Ask = func(ctx context.Context, question func(context.Context) (operator.Question, bool)) (operator.Answer, error) {
		return r.askIf(ctx, func(ctx context.Context, _ bool) (operator.Question, bool) {
			q, wanted := question(ctx)
			q.Stage, q.Step = stageOf(step), step.ID
			return q, wanted
		})
	}
	return a
}

// lastAttempt is newAttempt for the one that the journal has as the last.
func (r *run) lastAttempt(step *plan.Step) (a *action.Attempt, n int) {
	r.mu.Lock()
	st := *r.state.Steps[step.ID]
	r.mu.Unlock()
	a = r.newAttempt(step, st.Attempt)
	a.Identity, a.Started, a.Evidence, a.Notes = st.Identity, st.Began, st.Evidence, slices.Clone(st.Notes)
	if a.Suspected = st.Suspected; a.Suspected && len(a.Evidence) == 0 {
		a.Started = r.state.Begin // the other csu may have begun it at any time
		a.Evidence = a.Inventory  // of a deletion: what it would have taken
	}
	return a, st.Attempt
}

// attempt starts a step and carries it to where it is finished, or where the
// operator must decide, or the run ends.
func (r *run) attempt(t *task) {
	t.fresh = false // what the probe of the attempt before allowed is used up
	if r.permit(t.step) {
		r.try(t.step)
	}
}

// try makes a new attempt.
func (r *run) try(step *plan.Step) {
	r.mu.Lock()
	n := r.state.Steps[step.ID].Attempt + 1
	r.mu.Unlock()
	a := r.newAttempt(step, n)
	do := r.o.Performer(step.Action.Parameters)
	evidence, err := do.Prepare(r.ctx, a)
	if r.ctx.Err() != nil {
		return
	}
	if err == nil && evidence != nil {
		a.Evidence, err = json.Marshal(evidence)
	}
	if err != nil {
		r.notBegun(step, n, err)
		return
	}
	seq, ok := r.started(a, n)
	if !ok {
		return
	}
	w := work{a: a, do: do, number: n, known: func() {}}
	if err := r.keep(r.ctx, seq); err != nil {
		r.conclude(w, action.Found(action.NotDone, "nothing was sent: %v", err), viaPerform)
		return
	}
	r.tellStep(operator.StepStarted, step, "%s", nth(n))
	r.conclude(w, do.Perform(r.ctx, a), viaPerform)
}

func nth(attempt int) string {
	if attempt == 1 {
		return ""
	}
	return fmt.Sprintf("attempt %d", attempt)
}

// started records that an attempt is about to touch something, and returns the
// record's number; false if that is not wanted any more. The decision and the
// record are one.
func (r *run) started(a *action.Attempt, n int) (seq int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	step := a.Step
	if !r.mayStartLocked(step) {
		return 0, false
	}
	rec, err := r.recordLocked(journal.Record{
		Event: journal.Started, Stage: stageOf(step), Step: step.ID, Attempt: n, Identity: a.Identity, Evidence: a.Evidence,
	})
	if err != nil {
		return 0, false
	}
	a.Started = rec.Time
	return rec.Seq, true
}

func (r *run) mayStartLocked(step *plan.Step) bool {
	if final(step) {
		return r.halt == nil
	}
	return r.halt == nil && !r.state.Aborting && len(r.failing) == 0 && r.holds == 0
}

func (r *run) mayStart(step *plan.Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mayStartLocked(step)
}

// reports tells whether a failure of the step is told and the run goes on. What
// a final step undoes must be undone: there it does not count.
func reports(step *plan.Step) bool { return step.OnFailure == plan.Report && !final(step) }

// notBegun records that an attempt could not begin.
func (r *run) notBegun(step *plan.Step, n int, cause error) {
	r.mu.Lock()
	rec := journal.Record{
		Event: journal.NotBegun, Stage: stageOf(step), Step: step.ID, Attempt: n,
		Text: cause.Error(), Reported: reports(step),
	}
	if _, err := r.recordLocked(rec); err == nil && !rec.Reported {
		r.failing[step.ID] = true
	}
	r.mu.Unlock()
	r.tellStep(operator.StepFailed, step, "it was not begun: %s", rec.Text)
}

// work is an attempt on its way to its outcome.
type work struct {
	a      *action.Attempt
	do     action.Performer
	number int
	// takenUp: an earlier executor has started it.
	takenUp bool
	// known is called when it is clear that the attempt is waited for, or has
	// its outcome.
	known func()
}

// conclude brings an attempt to its outcome: by what was found, by its probe, or
// by the operator's word. It leaves the attempt open where the run is
// interrupted. It returns whether it is known, without anybody's word, that
// nothing of it is open and a new attempt may simply follow.
func (r *run) conclude(w work, f action.Finding, via string) (fresh bool) {
	// waited: it was waited for up to its time limit, so that to go on waiting
	// is the operator's to say.
	waited := f.Verdict == action.Running && via != viaProbe
	for {
		if r.ctx.Err() != nil && f.Verdict != action.Done {
			return false // what was cut short can't be told from what failed
		}
		switch f.Verdict {
		case action.Done, action.Failed, action.NotDone, action.CutShort:
			// That nothing happened before a crash, or nothing but what should,
			// is no failure of the step.
			fresh = w.takenUp && (f.Verdict == action.NotDone && via == viaProbe || f.Verdict == action.CutShort)
			r.outcome(w, f, via, fresh)
			return fresh
		}
		if f.Verdict == action.Running && !waited {
			// Its answer was lost, and it goes on.
			waited = true
			w.known()
			f, via = w.do.Await(r.ctx, w.a), viaAwait
			continue
		}
		if r.doubtful(w, f, via) {
			return false
		}
		if via != viaProbe {
			f, via = w.do.Probe(r.ctx, w.a), viaProbe
			continue
		}
		answer, now, err := r.askInDoubt(w, f, waited)
		f = now
		switch {
		case errors.Is(err, errUnwanted):
			// It has become known, or is seen going on.
		case err != nil, answer.Choice == operator.Stop, answer.Choice == operator.Abort:
			return false
		case answer.Choice == operator.Happened:
			r.tellStep(operator.StepDone, w.a.Step, "%s has seen that it happened", answer.By)
			return false
		case answer.Choice == operator.NotHappened:
			r.tellStep(operator.StepFailed, w.a.Step, "%s has seen that it did not happen", answer.By)
			return false
		case f.Verdict == action.Running:
			w.known()
			f, via = w.do.Await(r.ctx, w.a), viaAwait
		default:
			f, waited = w.do.Probe(r.ctx, w.a), false
		}
	}
}

// outcome records what an attempt came to.
func (r *run) outcome(w work, f action.Finding, via string, fresh bool) {
	step := w.a.Step
	rec := journal.Record{
		Event: journal.Outcome, Stage: stageOf(step), Step: step.ID, Attempt: w.number,
		Verdict: string(f.Verdict), Via: via, Text: f.Text,
	}
	r.mu.Lock()
	// That the gate was closed is no failure of the step: a resume tries it again.
	rec.Reported = f.Verdict != action.Done && !fresh && reports(step) && !r.closed
	_, err := r.recordLocked(rec)
	phase := r.state.Steps[step.ID].Phase
	if err == nil && !phase.Finished() && !fresh {
		r.failing[step.ID] = true
	}
	r.mu.Unlock()
	if err != nil || fresh && phase == NotDone {
		return // of a new attempt that follows, lookInto tells
	}
	switch phase {
	case Done:
		r.tellStep(operator.StepDone, step, "%s", f.Text)
	default:
		r.tellStep(operator.StepFailed, step, "%s", f.Text)
	}
}

// doubtful records that an attempt's outcome is not known, and tells whether it
// is left at that: a message is never repeated, and a look that came to no end
// has done nothing.
func (r *run) doubtful(w work, f action.Finding, via string) bool {
	step := w.a.Step
	traits := w.do.Traits()
	r.mu.Lock()
	before, suspected := r.state.Steps[step.ID].Text, r.state.Steps[step.ID].Suspected
	r.mu.Unlock()
	goesOn := reports(step) && (traits.Unrepeatable && !suspected || traits.Observes && via != viaProbe)
	err := r.record(journal.Record{
		Event: journal.Doubtful, Stage: stageOf(step), Step: step.ID, Attempt: w.number,
		Verdict: string(f.Verdict), Via: via, Text: f.Text, Reported: goesOn,
	})
	if err != nil {
		return true
	}
	told := operator.StepInDoubt
	if goesOn && traits.Observes {
		told = operator.StepFailed
	}
	if f.Text != before { // the probe may see no more than the action did
		r.tellStep(told, step, "%s", f.Text)
	}
	return r.phase(r.state.Steps[step.ID]).Finished()
}

// resume finds out what became of the attempt that the last executor left open.
// It is called with a hold, so that nothing new starts before that is known.
func (r *run) resume(t *task) {
	t.fresh = r.lookInto(t.step, sync.OnceFunc(r.release))
}

// lookInto probes an open attempt and carries it on. It calls known, perhaps
// more than once, when it is clear how the attempt stands. It returns whether
// a new one may be started without a question.
func (r *run) lookInto(step *plan.Step, known func()) (fresh bool) {
	defer known()
	a, n := r.lastAttempt(step)
	w := work{a: a, do: r.o.Performer(step.Action.Parameters), number: n, takenUp: true, known: known}
	why := fmt.Sprintf("the run ended before the outcome of attempt %d was recorded", n)
	if r.suspected(step) {
		why = fmt.Sprintf("another csu may have begun attempt %d", n)
	}
	r.tellStep(operator.Notice, step, "%s; csu looks what became of it", why)
	f, via := w.do.Probe(r.ctx, a), viaProbe
	if r.suspected(step) {
		w, f = r.laterAttempts(w, f)
		a = w.a
	}
	if f.Verdict == action.Running && r.ctx.Err() == nil {
		known()
		r.tellStep(operator.StepStarted, step, "it goes on: %s", f.Text)
		f, via = w.do.Await(r.ctx, a), viaAwait
	}
	if fresh = r.conclude(w, f, via); fresh {
		r.tellStep(operator.Notice, step, "it is started again for what is left: %s", f.Text)
	}
	return fresh
}

func (r *run) suspected(step *plan.Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Steps[step.ID].Suspected
}

// mostLater is how many further attempts of another csu are looked for.
const mostLater = 4

// laterAttempts looks for the last attempt of a suspected step that another csu has
// made, from the one that was probed first on, and returns what became of it. The
// next attempt is numbered beyond all that were looked for.
func (r *run) laterAttempts(w work, f action.Finding) (work, action.Finding) {
	if !w.do.Traits().Identified {
		return w, f
	}
	found, chosen := f, w.a
	for n := w.number + 1; n <= w.number+mostLater && found.Verdict != action.Done; n++ {
		next := r.newAttempt(w.a.Step, n)
		next.Started, next.Suspected = r.state.Begin, true
		later := w.do.Probe(r.ctx, next)
		if r.ctx.Err() != nil {
			return w, f
		}
		if later.Verdict != action.NotDone && (later.Verdict != action.Unknown || found.Verdict == action.NotDone) {
			found, chosen = later, next
		}
	}
	rec := journal.Record{
		Event: journal.Suspected, Stage: stageOf(w.a.Step), Step: w.a.Step.ID, Attempt: w.number + mostLater, Identity: chosen.Identity,
		Evidence: chosen.Evidence, Text: found.Text,
	}
	if r.record(rec) != nil {
		return w, f
	}
	w.a, w.number = chosen, w.number+mostLater
	return w, found
}

// confirm looks whether what a person has done is seen, where looking can tell.
func (r *run) confirm(step *plan.Step) {
	do := r.o.Performer(step.Action.Parameters)
	if !do.Traits().ConfirmsByHand {
		return // it is found by csu's own identity, which a person's doing does not have
	}
	a, n := r.lastAttempt(step)
	if n == 0 && !final(step) || do.Traits().NeedsEvidence && len(a.Evidence) == 0 {
		return // there is no evidence of how it was before
	}
	a.Suspected = false // what a person did has no identity either
	f := do.Probe(r.ctx, a)
	if r.ctx.Err() != nil {
		return
	}
	text := "csu sees it done: " + f.Text
	if f.Verdict != action.Done {
		text = fmt.Sprintf("csu does not see it done (%s): %s", f.Verdict, f.Text)
	}
	if r.record(journal.Record{Event: journal.Confirmed, Stage: stageOf(step), Step: step.ID, Attempt: n, Verdict: string(f.Verdict), Text: text}) == nil {
		r.tellStep(operator.Notice, step, "%s", text)
	}
}
