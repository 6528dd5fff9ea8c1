package owner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/report"
)

// ErrEnding reports that a question was not asked, or not answered, because the run is
// ending.
var ErrEnding = errors.New("the run is ending: no more questions are asked")

// ErrUnwanted reports that a question was not asked because there was nothing left to
// decide when its turn came.
var ErrUnwanted = errors.New("the question is no longer needed")

// OpenQuestions allows questions.
func (r *Run) OpenQuestions() { r.questions, r.endQuestions = context.WithCancel(r.Ctx) }

// Ask asks the operator a question and records the answer. Questions are asked one at a
// time; running steps continue. The owner calls it.
func (r *Run) Ask(q operator.Question) (a operator.Answer, err error) {
	r.Beside(func() {
		a, err = r.AskIf(r.Ctx, func(context.Context, bool) (operator.Question, bool) { return q, true })
	})
	return a, err
}

// AskIf waits for its turn, and asks. The question is made at that moment, so that it
// shows the present state; late reports that it had to wait for another question, so
// that what the caller knows may be outdated. If the question is no longer wanted, the
// error is [ErrUnwanted]. Both AskIf and question are called beside the owner.
func (r *Run) AskIf(ctx context.Context, question func(ctx context.Context, late bool) (q operator.Question, wanted bool)) (a operator.Answer, err error) {
	var open context.Context
	if !r.Do(func() { open = r.questions }) {
		return a, ErrEnding
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
		return a, ErrEnding
	}
	q, wanted := question(ctx, late)
	switch {
	case !wanted:
		return a, ErrUnwanted
	case ended():
		return a, ErrEnding
	}
	a, err = r.put(ctx, q)
	switch {
	case err != nil && ended():
		return operator.Answer{}, ErrEnding
	case err != nil:
		r.Do(func() { r.Stop(Halt{End: Halted, Err: err}) })
		return operator.Answer{}, err
	}
	if !r.Do(func() { err = r.answered(q, a) }) {
		err = ErrEnding
	}
	return a, err
}

// turn waits until no other question is open; late reports whether one was.
func (r *Run) turn(ctx context.Context) (late bool, err error) {
	select {
	case r.asking <- struct{}{}:
		return false, nil
	default:
	}
	select {
	case r.asking <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return true, ErrEnding
	}
}

// put asks the operator, and checks that the question allows the answer. It is called
// beside the owner.
func (r *Run) put(ctx context.Context, q operator.Question) (operator.Answer, error) {
	if q.Topic != operator.Aborting && slices.Contains(q.Choices, operator.Abort) {
		r.Do(func() { q.AbortText = report.Abort(r.State) })
	}
	a, err := r.Operator.Ask(ctx, q)
	if err == nil {
		err = q.Allows(a)
	}
	if err != nil {
		return operator.Answer{}, err
	}
	if a.By == "" {
		a.By = r.OperatorName
	}
	return a, nil
}

// AskNow asks before there is a journal to record the answer in. The answer is recorded
// when the run begins. The owner calls it.
func (r *Run) AskNow(q operator.Question) (a operator.Answer, err error) {
	open := r.questions
	r.Beside(func() { a, err = r.put(open, q) })
	switch {
	case err != nil && open.Err() != nil:
		return a, ErrEnding
	case err == nil:
		r.Given = append(r.Given, answerTo(q, a))
	}
	return a, err
}

// answerTo returns an answer for the journal, with the question and what was shown with
// it, or would have been if it was answered beforehand: csu's reading, and whose
// agreement a yes confirms.
func answerTo(q operator.Question, a operator.Answer) *journal.Answer {
	shown := q.Reading
	if agreed := q.Agreement(); agreed != "" {
		shown = strings.TrimSpace(shown + "\n" + agreed)
	}
	return &journal.Answer{
		Topic: string(q.Topic), Text: q.Text, Shown: shown,
		Choice: string(a.Choice), Reason: a.Reason, CSCs: a.CSCs, Told: a.Told, By: a.By, Via: a.Via, Checked: q.Checked && (a.Choice == operator.ByHand || a.Choice == operator.Happened),
	}
}

// answered records an answer and acts on it. The owner calls it.
func (r *Run) answered(q operator.Question, a operator.Answer) error {
	_, err := r.Record(journal.Record{Event: journal.Answered, Stage: q.Stage, Step: q.Step, Answer: answerTo(q, a)})
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
		r.Stop(Halt{End: Halted, Text: fmt.Sprintf("%s stopped the run %s; resume with --resume", a.By, about)})
	}
	return nil
}
