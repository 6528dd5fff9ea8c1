package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// errEnding says that a question was not put, or not answered, since the run is
// ending.
var errEnding = errors.New("the run is ending: nothing is asked any more")

// ask puts a question to the operator and records the answer. Questions are put
// one at a time; other steps keep running.
func (r *run) ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	return r.askIf(ctx, func() bool { return true }, func(context.Context) operator.Question { return q })
}

// askIf asks when it is its turn, if it is still wanted then; the question is
// made at that moment, so that what it shows is new.
func (r *run) askIf(ctx context.Context, wanted func() bool, question func(context.Context) operator.Question) (operator.Answer, error) {
	r.mu.Lock()
	open := r.questions
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(open, cancel)()
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return operator.Answer{}, errEnding
	}
	if ctx.Err() != nil || !wanted() {
		return operator.Answer{}, errEnding
	}
	q := question(ctx)
	a, err := r.put(ctx, q)
	switch {
	case err != nil && ctx.Err() != nil:
		return operator.Answer{}, errEnding
	case err != nil:
		r.stop(halt{end: Halted, err: err})
		return operator.Answer{}, err
	}
	return a, r.answered(q, a)
}

// put asks the operator, and makes sure that the answer is one of the
// question's.
func (r *run) put(ctx context.Context, q operator.Question) (operator.Answer, error) {
	a, err := r.o.Operator.Ask(ctx, q)
	if err != nil {
		return operator.Answer{}, err
	}
	if err := allowed(q, a); err != nil {
		return operator.Answer{}, err
	}
	if a.By == "" {
		a.By = r.o.Name
	}
	return a, nil
}

func allowed(q operator.Question, a operator.Answer) error {
	wrong := func(reason string) error {
		return &AnswerError{Stage: q.Stage, Step: q.Step, Topic: string(q.Topic), Choice: string(a.Choice), Reason: reason}
	}
	if !slices.Contains(q.Choices, a.Choice) {
		var names []string
		for _, c := range q.Choices {
			names = append(names, string(c))
		}
		return wrong("is none of: " + strings.Join(names, ", "))
	}
	if a.Choice == operator.Skip && strings.TrimSpace(a.Reason) == "" {
		return wrong("needs a reason")
	}
	return nil
}

// answerTo is an answer as the journal keeps it: with what was asked, and what
// was shown or, where it was answered beforehand, stood to be shown: csu's
// reading, and whose agreement a yes confirms.
func answerTo(q operator.Question, a operator.Answer) *journal.Answer {
	shown := q.Reading
	if len(q.Principals) > 0 {
		shown = strings.TrimSpace(shown + "\nA yes confirms that these have agreed: " + strings.Join(q.Principals, ", ") + ".")
	}
	return &journal.Answer{
		Topic: string(q.Topic), Text: q.Text, Shown: shown,
		Choice: string(a.Choice), Reason: a.Reason, By: a.By, Via: a.Via,
	}
}

// answered records an answer and has it take effect.
func (r *run) answered(q operator.Question, a operator.Answer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.recordLocked(journal.Record{
		Event: journal.Answered, Stage: q.Stage, Step: q.Step, Answer: answerTo(q, a),
	})
	if err != nil {
		return err
	}
	about := fmt.Sprintf("stage %q", q.Stage)
	if q.Step != "" {
		about = fmt.Sprintf("step %q", q.Step)
	}
	consent := q.Topic == operator.StageConsent || q.Topic == operator.StepConsent || q.Topic == operator.Doubt
	switch {
	case a.Choice == operator.Abort:
		r.hush()
		r.wake()
	case a.Choice == operator.Stop, a.Choice == operator.No && consent:
		r.stopLocked(halt{end: Halted, text: fmt.Sprintf("%s stopped the run at %s, %s; take it up with --resume", a.By, about, q.Topic)})
	}
	return nil
}

// permit asks a step's doubt and its own consent. False means that the step does
// not start now: it was skipped or done by hand, something else has failed
// meanwhile, or the run is ending.
func (r *run) permit(step *plan.Step) bool {
	r.mu.Lock()
	permitted := r.permitted[step.ID]
	r.mu.Unlock()
	if permitted || final(step) {
		return true
	}
	for _, topic := range []operator.Topic{operator.Doubt, operator.StepConsent} {
		text := step.Consent
		if topic == operator.Doubt {
			text = step.Doubt
		}
		if text == "" {
			continue
		}
		a, err := r.askIf(r.ctx, func() bool { return r.mayStart(step) }, func(ctx context.Context) operator.Question {
			return operator.Question{
				Topic: topic, Stage: stageOf(step), Step: step.ID, Title: step.Title, Text: text,
				Principals: step.Principals, Reading: r.reading(ctx, step),
				Choices: []operator.Choice{operator.Yes, operator.ByHand, operator.Skip, operator.No, operator.Abort},
			}
		})
		if err != nil || a.Choice != operator.Yes {
			r.tellDecision(step, a)
			return false
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.permitted[step.ID] = true
	return true
}

// reading is what csu reads at this moment of what the step is about to touch.
func (r *run) reading(ctx context.Context, step *plan.Step) string {
	r.mu.Lock()
	n := r.state.Steps[step.ID].Attempt + 1
	r.mu.Unlock()
	text, err := r.o.Performer(step.Action.Doer).Reading(ctx, r.newAttempt(step, n))
	if err != nil {
		return "csu could not read how it stands: " + err.Error()
	}
	return text
}

func (r *run) tellDecision(step *plan.Step, a operator.Answer) {
	switch a.Choice {
	case operator.ByHand:
		r.tellStep(operator.StepDone, step, "done by hand, says %s", a.By)
	case operator.Skip:
		r.tellStep(operator.StepSkipped, step, "skipped by %s: %s", a.By, a.Reason)
	}
}

// decide asks how to go on after a failure, and returns whether that is decided.
func (r *run) decide(step *plan.Step) bool {
	r.mu.Lock()
	st := *r.state.Steps[step.ID]
	r.mu.Unlock()
	what := "it failed"
	switch {
	case st.Phase == NotDone && st.By != "":
		what = fmt.Sprintf("%s has seen that nothing of it happened; csu had found", st.By)
	case st.Phase == NotDone:
		what = "nothing of it happened"
	}
	q := operator.Question{
		Topic: operator.Failed, Stage: stageOf(step), Step: step.ID, Title: step.Title,
		Text:    fmt.Sprintf("%s: %s", what, st.Text),
		Reading: "By hand: " + step.ByHand,
		Choices: []operator.Choice{operator.Retry, operator.ByHand, operator.Skip, operator.Stop, operator.Abort},
	}
	if final(step) { // it is owed: it can't be skipped, and an abort would run it as well
		q.Choices = []operator.Choice{operator.Retry, operator.ByHand, operator.Stop}
	}
	a, err := r.ask(r.ctx, q)
	if err != nil {
		return false
	}
	r.tellDecision(step, a)
	switch a.Choice {
	case operator.ByHand:
		r.confirm(step)
	case operator.Retry, operator.Skip:
	default:
		return false
	}
	return !r.halted()
}

// askInDoubt asks what became of an attempt that its probe can't judge. Nothing
// new starts until that is answered.
func (r *run) askInDoubt(a *action.Attempt, f action.Finding) (operator.Answer, error) {
	r.hold()
	defer r.release()
	text := "It is not known whether this happened."
	if f.Verdict == action.Running {
		text = fmt.Sprintf("It was started, and goes on after its time limit of %s.", a.Step.Timeout)
	}
	q := operator.Question{
		Topic: operator.InDoubt, Stage: stageOf(a.Step), Step: a.Step.ID, Title: a.Step.Title,
		Text: text, Reading: f.Text,
		Choices: []operator.Choice{operator.KeepWaiting, operator.Happened, operator.NotHappened, operator.Stop, operator.Abort},
	}
	if final(a.Step) {
		q.Choices = q.Choices[:4]
	}
	answer, err := r.ask(r.ctx, q)
	if err == nil && answer.Choice == operator.NotHappened {
		r.suspend(a.Step.ID) // before the hold ends: the operator decides first how to go on
	}
	return answer, err
}
