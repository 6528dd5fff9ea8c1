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
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// errEnding reports that a question was not asked, or not answered, because the run is
// ending.
var errEnding = errors.New("the run is ending: no more questions are asked")

// errUnwanted reports that a question was not asked because there was nothing left to
// decide when its turn came.
var errUnwanted = errors.New("the question is no longer needed")

// openQuestions allows questions.
func (r *run) openQuestions() { r.questions, r.endQuestions = context.WithCancel(r.ctx) }

// ask asks the operator a question and records the answer. Questions are asked one at a
// time; running steps continue. The owner calls it.
func (r *run) ask(q operator.Question) (a operator.Answer, err error) {
	r.beside(func() {
		a, err = r.askIf(r.ctx, func(context.Context, bool) (operator.Question, bool) { return q, true })
	})
	return a, err
}

// askIf waits for its turn, and asks. The question is made at that moment, so that it
// shows the present state; late reports that it had to wait for another question, so
// that what the caller knows may be outdated. If the question is no longer wanted, the
// error is errUnwanted. Both askIf and question are called beside the owner.
func (r *run) askIf(ctx context.Context, question func(ctx context.Context, late bool) (q operator.Question, wanted bool)) (a operator.Answer, err error) {
	var open context.Context
	if !r.do(func() { open = r.questions }) {
		return a, errEnding
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(open, cancel)()
	// When open has ended, ctx may not have: AfterFunc cancels it in a goroutine.
	ended := func() bool { return open.Err() != nil || ctx.Err() != nil }
	late, err := r.turn(ctx)
	if err != nil {
		return a, err
	}
	defer func() { <-r.asking }()
	if ended() {
		return a, errEnding
	}
	q, wanted := question(ctx, late)
	switch {
	case !wanted:
		return a, errUnwanted
	case ended():
		return a, errEnding
	}
	a, err = r.put(ctx, q)
	switch {
	case err != nil && ended():
		return operator.Answer{}, errEnding
	case err != nil:
		r.do(func() { r.stop(halt{end: Halted, err: err}) })
		return operator.Answer{}, err
	}
	if !r.do(func() { err = r.answered(q, a) }) {
		err = errEnding
	}
	return a, err
}

// turn waits until no other question is open; late reports whether one was.
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

// put asks the operator, and checks that the question allows the answer. It is called
// beside the owner.
func (r *run) put(ctx context.Context, q operator.Question) (operator.Answer, error) {
	if q.Topic != operator.Aborting && slices.Contains(q.Choices, operator.Abort) {
		r.do(func() { q.AbortText = report.Abort(r.state) })
	}
	a, err := r.o.Operator.Ask(ctx, q)
	if err != nil {
		return operator.Answer{}, err
	}
	if err := allowed(q, a); err != nil {
		return operator.Answer{}, err
	}
	if a.By == "" {
		a.By = r.o.OperatorName
	}
	return a, nil
}

// askNow asks before there is a journal to record the answer in. The answer is recorded
// when the run begins. The owner calls it.
func (r *run) askNow(q operator.Question) (a operator.Answer, err error) {
	open := r.questions
	r.beside(func() { a, err = r.put(open, q) })
	switch {
	case err != nil && open.Err() != nil:
		return a, errEnding
	case err == nil:
		r.given = append(r.given, answerTo(q, a))
	}
	return a, err
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
		return wrong("is not one of " + strings.Join(names, ", "))
	}
	if a.Choice == operator.Skip && strings.TrimSpace(a.Reason) == "" {
		return wrong("needs a reason")
	}
	return nil
}

// answerTo returns an answer for the journal, with the question and what was shown with
// it, or would have been if it was answered beforehand: csu's reading, and whose
// agreement a yes confirms.
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

// answered records an answer and acts on it. The owner calls it.
func (r *run) answered(q operator.Question, a operator.Answer) error {
	_, err := r.record(journal.Record{Event: journal.Answered, Stage: q.Stage, Step: q.Step, Answer: answerTo(q, a)})
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
		r.endQuestions()
	case a.Choice == operator.Stop, a.Choice == operator.No && consent:
		r.stop(halt{end: Halted, text: fmt.Sprintf("%s stopped the run %s; resume with --resume", a.By, about)})
	}
	return nil
}

// permit asks about a step's doubt and for its own consent. It returns false if the step
// does not start now: it was skipped or done by hand, another step has failed meanwhile,
// or the run is ending.
func (w *work) permit() bool {
	permitted, step := final(w.step), w.step
	w.r.do(func() { permitted = permitted || w.t.permitted })
	if permitted {
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
		a, err := w.r.askIf(w.r.ctx, func(ctx context.Context, _ bool) (operator.Question, bool) {
			may := false
			if w.r.do(func() { may = w.s.mayStart() }); !may {
				return operator.Question{}, false
			}
			return operator.Question{
				Topic: topic, Stage: stageOf(step), Step: step.ID, Title: step.Title, Text: text,
				Principals: step.Principals, Reading: w.reading(ctx),
				Choices: []operator.Choice{operator.Yes, operator.ByHand, operator.Skip, operator.No, operator.Abort},
			}, true
		})
		if err != nil || a.Choice != operator.Yes {
			w.tellDecision(a)
			return false
		}
	}
	return w.r.do(func() { w.t.permitted = true })
}

// reading returns the present state of what the step is about to touch.
func (w *work) reading(ctx context.Context) string {
	text, err := w.do.Reading(ctx, w.new(w.last.Attempt+1))
	if err != nil {
		return "csu cannot read the present state: " + err.Error()
	}
	return text
}

func (w *work) tellDecision(a operator.Answer) {
	switch a.Choice {
	case operator.ByHand:
		w.tell(operator.StepDone, "done by hand, according to %s", a.By)
	case operator.Skip:
		w.tell(operator.StepSkipped, "skipped by %s: %s", a.By, a.Reason)
	case operator.Retry:
		others := false
		w.r.do(func() {
			others = slices.ContainsFunc(w.s.tasks, func(t *task) bool { return t != w.t && t.undecided })
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
	w.r.do(func() {
		for _, st := range w.r.state.In(state.Started) {
			id := st.Step.ID
			if st.Step.Takes > 0 {
				id += fmt.Sprintf(" (usually %s)", st.Step.Takes)
			}
			ids = append(ids, id)
		}
	})
	if len(ids) == 0 {
		return
	}
	then := "csu ends when these steps have finished"
	if choice == operator.Abort {
		then = "the final steps run when these steps have finished"
	}
	w.r.notice("nothing new is started; %s: %s", then, strings.Join(ids, ", "))
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
		Topic: operator.Failed, Stage: stageOf(step), Step: step.ID, Title: step.Title,
		Text:    fmt.Sprintf("%s: %s", what, st.Text),
		Reading: byHand(step),
		Choices: []operator.Choice{operator.Retry, operator.ByHand, operator.Skip, operator.Stop, operator.Abort},
	}
	if final(step) { // it must be done: it cannot be skipped, and an abort would run it as well
		q.Choices = []operator.Choice{operator.Retry, operator.ByHand, operator.Stop}
	}
	a, err := w.r.askIf(w.r.ctx, func(context.Context, bool) (operator.Question, bool) { return q, true })
	if err != nil {
		return
	}
	w.tellDecision(a)
	if a.Choice == operator.ByHand {
		w.confirm()
	}
}

// byHand returns how to do a step by hand. Commands, which are indented, begin on a line
// of their own.
func byHand(step *plan.Step) string {
	if strings.HasPrefix(step.ByHand, " ") {
		return "By hand:\n" + step.ByHand
	}
	return "By hand: " + step.ByHand
}

// askInDoubt asks what became of an attempt that its probe cannot judge. Nothing new
// starts until that is answered. If it had to wait for another question, it probes again
// at its turn and returns the new finding: minutes may have passed, and the operator must
// not decide by an outdated one. If the new finding needs no decision, the error is
// errUnwanted. waited is as in conclude.
func (w *work) askInDoubt(f action.Finding, waited bool) (operator.Answer, action.Finding, error) {
	w.r.do(func() { w.t.unsure = true })
	answer, err := w.r.askIf(w.r.ctx, func(_ context.Context, late bool) (operator.Question, bool) {
		if late {
			// Not with the context of the question: if the run begins to end, it would
			// cut the probe short, and the finding would be wrong.
			f = w.do.Probe(w.r.ctx, w.a)
		}
		return w.inDoubt(f), f.Verdict == action.Unknown || f.Verdict == action.Running && waited
	})
	w.r.do(func() {
		w.t.unsure = false
		// The operator decides first how to continue.
		w.t.undecided = w.t.undecided || err == nil && answer.Choice == operator.NotHappened
	})
	return answer, f, err
}

func (w *work) inDoubt(f action.Finding) operator.Question {
	q := operator.Question{
		Topic: operator.InDoubt, Stage: stageOf(w.step), Step: w.step.ID, Title: w.step.Title,
		Text: "It is not known whether this happened.", Reading: f.Text,
		Choices: []operator.Choice{operator.KeepWaiting, operator.Happened, operator.NotHappened, operator.Stop, operator.Abort},
	}
	if f.Verdict == action.Running {
		q.Text = fmt.Sprintf("It was started, and is still running after its time limit of %s.", w.step.Timeout)
	}
	if final(w.step) {
		q.Choices = q.Choices[:4]
	}
	return q
}
