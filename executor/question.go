package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// permit asks for the step's own consent, and about its doubt if that was not answered
// before the stage. It returns false if the step does not start now: it was skipped or
// done by hand, another step has failed meanwhile, or the run is ending.
func (w *work) permit() bool {
	permitted, step := w.step.Final(), w.step
	w.r.Do(func() { permitted = permitted || w.t.permitted })
	if permitted {
		return true
	}
	if step.Doubt != "" && w.last.Doubt == nil && !w.agreed(operator.Doubt, step.Doubt) {
		return false
	}
	if step.Consent != "" && !w.agreed(operator.StepConsent, step.Consent) {
		return false
	}
	return w.r.Do(func() { w.t.permitted = true })
}

// agreed asks about a step that may start now, and reports whether the answer is yes.
func (w *work) agreed(topic operator.Topic, text string) bool {
	open := false
	a, err := w.r.AskIf(w.r.Ctx, func(ctx context.Context, _ bool) (operator.Question, bool) {
		if !open {
			w.r.Do(func() { open = w.s.mayStart() })
		}
		if !open {
			return operator.Question{}, false
		}
		return w.permission(ctx, topic, text), true
	})
	if err != nil || a.Choice != operator.Yes {
		w.decided(a)
		return false
	}
	return true
}

// permission returns the question whether the step may be done.
func (w *work) permission(ctx context.Context, topic operator.Topic, text string) operator.Question {
	return operator.Question{
		Topic: topic, Stage: w.step.Stage(), Step: w.step.ID, Title: w.step.Title, Text: text,
		Principals: w.step.Principals, Reading: w.reading(ctx), Checked: true,
		Choices: []operator.Choice{operator.Yes, operator.ByHand, operator.Skip, operator.No, operator.Abort},
	}
}

// reading returns the present state of what the step is about to touch.
func (w *work) reading(ctx context.Context) string {
	text, err := w.do.Reading(ctx, w.new(w.last.Attempt+1))
	if err != nil {
		return "csu cannot read the present state: " + err.Error()
	}
	return text
}

// decided reports a decision. A step that is done according to the operator is looked at
// before it counts.
func (w *work) decided(a operator.Answer) {
	switch a.Choice {
	case operator.ByHand:
		w.confirm()
	case operator.Skip:
		w.tell(operator.StepSkipped, "skipped by %s: %s", a.By, a.Reason)
	case operator.SetAside:
		w.tell(operator.Notice, "%s set aside for the rest of the run by %s: %s; told: %s", plan.CSCList(a.CSCs), a.By, a.Reason, a.Told)
	case operator.Retry:
		others := false
		w.r.Do(func() {
			others = slices.ContainsFunc(w.s.tasks, func(t *task) bool { return t != w.t && t.holds&undecided != 0 })
		})
		if others {
			w.tell(operator.Notice, "it is retried once the other failed steps are decided")
		}
	case operator.Stop, operator.Abort:
		w.tellRunning(a.Choice)
	}
}

// tellRunning reports which steps csu waits for before it ends: that may take an hour.
func (w *work) tellRunning(choice operator.Choice) {
	var ids []string
	w.r.Do(func() { ids = report.Running(w.r.State) })
	if len(ids) == 0 {
		return
	}
	then := "csu ends when these steps have finished"
	if choice == operator.Abort {
		then = "the final steps run when these steps have finished"
	}
	w.r.Notice("nothing new is started; %s: %s", then, strings.Join(ids, ", "))
}

// decide asks how to continue after a failure.
func (w *work) decide() {
	st, step := w.last, w.step
	what := "it failed"
	switch {
	case st.Phase == state.NotDone && st.By != "":
		what = fmt.Sprintf("%s confirmed that nothing of it happened; csu had found", st.By)
	case st.Phase == state.NotDone:
		what = "nothing of it happened"
	}
	q := operator.Question{
		Topic: operator.Failed, Stage: step.Stage(), Step: step.ID, Title: step.Title,
		Text:    fmt.Sprintf("%s: %s", what, st.Text),
		Reading: report.ByHand(step), Checked: true,
		Choices: []operator.Choice{operator.Retry, operator.ByHand, operator.Skip, operator.Stop, operator.Abort},
	}
	if step.Final() { // it must be done: it cannot be skipped, and an abort would run it as well
		q.Choices = []operator.Choice{operator.Retry, operator.ByHand, operator.Stop}
	}
	seen, relieved := "", false
	a, err := w.r.AskIf(w.r.Ctx, func(ctx context.Context, late bool) (operator.Question, bool) {
		now := q
		w.r.Do(func() { relieved = w.r.State.Relieved(w.t.step) })
		if relieved {
			now.Reading = "the CSCs that it failed for were set aside meanwhile"
			return now, false
		}
		if now.CSCs = w.candidates(); len(now.CSCs) > 0 {
			now.Choices = slices.Insert(slices.Clone(q.Choices), slices.Index(q.Choices, operator.Stop), operator.SetAside)
		}
		if !late || !w.do.Traits().Observes {
			return now, true
		}
		// What the step was waiting for may have come about since.
		f := w.glance(ctx)
		head, missing, _ := strings.Cut(st.Text, "\n")
		if seen = f.Text; f.Verdict == action.NotDone && seen != missing {
			now.Text = fmt.Sprintf("%s: %s. Now:\n%s", what, strings.TrimRight(head, ":"), seen)
		}
		if f.Verdict == action.Done {
			now.Reading = seen
		}
		return now, f.Verdict != action.Done
	})
	switch {
	case errors.Is(err, owner.ErrUnwanted) && relieved:
		w.r.Do(func() { w.t.fresh = true })
		w.tell(operator.Notice, "started again without the CSCs that were set aside meanwhile")
	case errors.Is(err, owner.ErrUnwanted):
		w.settled(q, seen)
	case err == nil:
		w.decided(a)
	}
}

// settled has a step tried again that has failed and whose question needs no answer: what
// it was waiting for is there.
func (w *work) settled(q operator.Question, seen string) {
	pending := false
	if w.r.Do(func() { pending = w.t.state.Phase == state.Pending }); !pending {
		_ = w.r.Withdraw(q, seen) // it was not put; a journal that fails stops the run by itself
	}
}

// glance looks for the step's result, without waiting for it.
func (w *work) glance(ctx context.Context) action.Finding {
	if w.a == nil {
		w.reopen()
	}
	a := *w.a
	a.Glance = true
	return w.do.Look(ctx, &a)
}

// confirm looks for the result of a step that the operator says is done. If csu sees that
// it is not there, it asks whether to count the step as done nevertheless; until that is
// answered, no step that needs it starts.
func (w *work) confirm() {
	if w.a == nil {
		w.reopen()
	}
	w.a.Suspected = false // what was done by hand has no identity
	w.r.Do(func() { w.s.hold(w.t, unsure, true) })
	for look := true; look; {
		w.tell(operator.StepProgress, "csu checks whether it is done")
		f := w.do.Look(w.r.Ctx, w.a)
		if w.r.Ctx.Err() != nil {
			return
		}
		text := map[action.Verdict]string{action.Done: "csu sees it done: ", action.Unknown: "csu cannot see whether it is done: "}[f.Verdict]
		rec := w.event(journal.Confirmed, cmp.Or(text, "csu does not see it done: ")+f.Text)
		rec.Verdict = string(f.Verdict)
		var st state.Step
		recorded := false
		w.r.Do(func() {
			_, err := w.r.Record(rec)
			recorded, st = err == nil, *w.t.state
		})
		switch {
		case !recorded:
			return
		case st.Phase.Finished():
			w.tell(operator.StepDone, "done according to %s; %s", st.By, rec.Text)
			return
		}
		if st.Phase != state.Claimed {
			w.tell(operator.StepFailed, "%s", rec.Text)
			return // a final step, which must be seen done
		}
		look = w.askUnseen(f)
	}
}

// askUnseen asks about a step that is done according to the operator, and that csu does
// not see done. It reports whether to look again.
func (w *work) askUnseen(f action.Finding) (again bool) {
	a, err := w.r.AskIf(w.r.Ctx, func(ctx context.Context, late bool) (operator.Question, bool) {
		if late {
			f = w.glance(ctx)
		}
		return operator.Question{
			Topic: operator.Unseen, Stage: w.step.Stage(), Step: w.step.ID, Title: w.step.Title, Reading: f.Text,
			Text:    "You say that it is done, but csu sees that it is not. The steps that need it wait for your decision.",
			Choices: []operator.Choice{operator.KeepWaiting, operator.NotHappened, operator.Accept, operator.Stop, operator.Abort},
		}, f.Verdict != action.Done
	})
	switch {
	case errors.Is(err, owner.ErrUnwanted):
		return true
	case err != nil:
		return false
	case a.Choice == operator.Accept:
		w.tell(operator.StepDone, "counts as done because %s says so, against the evidence: %s", a.By, a.Reason)
	case a.Choice == operator.NotHappened:
		w.tell(operator.StepFailed, "%s confirmed that it is not done", a.By)
	}
	return a.Choice == operator.KeepWaiting
}

// askInDoubt asks what became of an attempt that its probe cannot judge. Nothing new
// starts until that is answered. If it had to wait for another question, and while it is
// open, it probes again and returns the new finding: minutes may have passed, and the
// operator must not decide by an outdated one. If the new finding needs no decision, the
// error is owner.ErrUnwanted. waited is as in conclude.
func (w *work) askInDoubt(f action.Finding, waited bool) (operator.Answer, action.Finding, error) {
	w.r.Do(func() { w.s.hold(w.t, unsure, true) })
	open := false
	answer, err := w.r.AskIf(w.r.Ctx, func(ctx context.Context, late bool) (operator.Question, bool) {
		if !open {
			// Not with the context of the question: if the run begins to end, it would
			// cut the probe short, and the finding would be wrong.
			ctx = owner.InQuestion(w.r.Ctx)
		}
		if open = true; late {
			now := w.do.Probe(ctx, w.a)
			if ctx.Err() != nil {
				return operator.Question{}, true // it may be cut short: nobody reads it
			}
			f = now
		}
		return w.inDoubt(f), f.Verdict == action.Unknown || f.Verdict == action.Running && waited
	})
	w.r.Do(func() {
		w.s.hold(w.t, unsure, false)
		if err == nil && answer.Choice == operator.NotHappened {
			w.s.hold(w.t, undecided, true) // the operator decides first how to continue
		}
	})
	return answer, f, err
}

func (w *work) inDoubt(f action.Finding) operator.Question {
	q := operator.Question{
		Topic: operator.InDoubt, Stage: w.step.Stage(), Step: w.step.ID, Title: w.step.Title,
		Text: "It is not known whether this happened.", Reading: f.Text, Checked: true,
		Choices: []operator.Choice{operator.KeepWaiting, operator.Happened, operator.NotHappened, operator.Stop, operator.Abort},
	}
	if f.Verdict == action.Running {
		q.Text = fmt.Sprintf("It was started, and is still running after its time limit of %s.", w.step.Timeout)
	}
	if w.step.Final() {
		q.Choices = q.Choices[:4]
	}
	return q
}
