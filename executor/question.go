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

// errUnwanted says that a question was not put, since when it was its turn
// nothing was left to be asked.
var errUnwanted = errors.New("the question is not wanted any more")

// ask puts a question to the operator and records the answer. Questions are put
// one at a time; other steps keep running.
func (r *run) ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	return r.askIf(ctx, func(context.Context, bool) (operator.Question, bool) { return q, true })
}

// askIf asks when it is its turn. The question is made at that moment, so that
// what it shows is new; late tells that another one was before it, so that what
// was known when askIf was called may be old. Where it is not wanted any more, the
// error is errUnwanted.
func (r *run) askIf(ctx context.Context, question func(ctx context.Context, late bool) (q operator.Question, wanted bool)) (operator.Answer, error) {
	r.mu.Lock()
	open := r.questions
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(open, cancel)()
	// That open has ended is not yet seen in ctx: AfterFunc cancels it in a
	// goroutine.
	ended := func() bool { return open.Err() != nil || ctx.Err() != nil }
	late, err := r.turn(ctx)
	if err != nil {
		return operator.Answer{}, err
	}
	defer func() { <-r.asking }()
	if ended() {
		return operator.Answer{}, errEnding
	}
	q, wanted := question(ctx, late)
	switch {
	case !wanted:
		return operator.Answer{}, errUnwanted
	case ended():
		return operator.Answer{}, errEnding
	}
	a, err := r.put(ctx, q)
	switch {
	case err != nil && ended():
		return operator.Answer{}, errEnding
	case err != nil:
		r.stop(halt{end: Halted, err: err})
		return operator.Answer{}, err
	}
	return a, r.answered(q, a)
}

// turn waits until no other question is open; late tells that one was.
func (r *run) turn(ctx context.Context) (late bool, err error) {
	select {
	case r.asking <- struct{}{}:
		return false, nil
	default:
	}
	select {
	case r.asking <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return true, errEnding
	}
}

// put asks the operator, and makes sure that the answer is one of the
// question's.
func (r *run) put(ctx context.Context, q operator.Question) (operator.Answer, error) {
	if q.Topic != operator.GivingUp && slices.Contains(q.Choices, operator.Abort) {
		r.mu.Lock()
		q.GivingUp = r.state.AbortText()
		r.mu.Unlock()
	}
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
	var about string
	switch {
	case q.Step != "":
		about = fmt.Sprintf("at step %q, %s", q.Step, q.Topic)
	case q.Stage != "":
		about = fmt.Sprintf("at stage %q, %s", q.Stage, q.Topic)
	case q.Topic == operator.Outage:
		about = "while the cluster did not answer"
	default:
		about = fmt.Sprintf("when asked about: %s", q.Topic)
	}
	consent := q.Topic == operator.StageConsent || q.Topic == operator.StepConsent || q.Topic == operator.Doubt
	switch {
	case a.Choice == operator.Abort:
		r.hush()
		r.wake()
	case a.Choice == operator.Stop, a.Choice == operator.No && consent:
		r.stopLocked(halt{end: Halted, text: fmt.Sprintf("%s stopped the run %s; take it up with --resume", a.By, about)})
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
		a, err := r.askIf(r.ctx, func(ctx context.Context, _ bool) (operator.Question, bool) {
			if !r.mayStart(step) {
				return operator.Question{}, false
			}
			return operator.Question{
				Topic: topic, Stage: stageOf(step), Step: step.ID, Title: step.Title, Text: text,
				Principals: step.Principals, Reading: r.reading(ctx, step),
				Choices: []operator.Choice{operator.Yes, operator.ByHand, operator.Skip, operator.No, operator.Abort},
			}, true
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
	text, err := r.o.Performer(step.Action.Parameters).Reading(ctx, r.newAttempt(step, n))
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
	case operator.Retry:
		r.mu.Lock()
		others := len(r.failing) - 1
		r.mu.Unlock()
		if others > 0 {
			r.tellStep(operator.Notice, step, "it is tried again as soon as what else has failed is decided on")
		}
	case operator.Stop, operator.Abort:
		r.tellLetFinish(a.Choice)
	}
}

// tellLetFinish says what csu waits for before it ends: that may take an hour.
func (r *run) tellLetFinish(choice operator.Choice) {
	r.mu.Lock()
	running := r.state.In(Started)
	r.mu.Unlock()
	if len(running) == 0 {
		return
	}
	var ids []string
	for _, st := range running {
		id := st.Step.ID
		if st.Step.Takes > 0 {
			id += fmt.Sprintf(" (usually %s)", st.Step.Takes)
		}
		ids = append(ids, id)
	}
	then := "csu ends when this is done"
	if choice == operator.Abort {
		then = "the final steps run when this is done"
	}
	r.tell(operator.Notice, "", "", "nothing new is started, and %s: %s", then, strings.Join(ids, ", "))
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
		Reading: byHand(step),
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

// byHand says how a person does a step; commands, which stand behind spaces, begin
// on a line of their own.
func byHand(step *plan.Step) string {
	if strings.HasPrefix(step.ByHand, " ") {
		return "By hand:\n" + step.ByHand
	}
	return "By hand: " + step.ByHand
}

// askInDoubt asks what became of an attempt that its probe can't judge. Nothing
// new starts until that is answered. Where another question was before it, it
// looks again at its turn, and returns what it sees now: minutes may have passed,
// and nobody must decide on what was seen then. It is errUnwanted if that needs
// nobody's word; waited is as in conclude.
func (r *run) askInDoubt(w work, f action.Finding, waited bool) (operator.Answer, action.Finding, error) {
	r.hold()
	defer r.release()
	step := w.a.Step
	answer, err := r.askIf(r.ctx, func(_ context.Context, late bool) (operator.Question, bool) {
		if late {
			// Not with the context of the question: a look that is cut short
			// because the run begins to end would not tell the truth.
			f = w.do.Probe(r.ctx, w.a)
		}
		return inDoubt(step, f), f.Verdict == action.Unknown || f.Verdict == action.Running && waited
	})
	if err == nil && answer.Choice == operator.NotHappened {
		r.suspend(step.ID) // before the hold ends: the operator decides first how to go on
	}
	return answer, f, err
}

func inDoubt(step *plan.Step, f action.Finding) operator.Question {
	q := operator.Question{
		Topic: operator.InDoubt, Stage: stageOf(step), Step: step.ID, Title: step.Title,
		Text: "It is not known whether this happened.", Reading: f.Text,
		Choices: []operator.Choice{operator.KeepWaiting, operator.Happened, operator.NotHappened, operator.Stop, operator.Abort},
	}
	if f.Verdict == action.Running {
		q.Text = fmt.Sprintf("It was started, and goes on after its time limit of %s.", step.Timeout)
	}
	if final(step) {
		q.Choices = q.Choices[:4]
	}
	return q
}
