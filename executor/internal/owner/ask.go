package owner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/report"
)

// ErrEnding reports that a question was not asked, or not answered, because the run is
// ending.
var ErrEnding = errors.New("the run is ending: no more questions are asked")

// ErrUnwanted reports that a question was not asked, or was withdrawn, because there was
// nothing left to decide.
var ErrUnwanted = errors.New("the question is no longer needed")

// rereadAfter is how often the evidence of an open question is read again, in the run's
// time.
const rereadAfter = time.Minute

// rereadLimit is how long that may take, in real time, so that a host that does not answer
// keeps nobody waiting who has asked for it.
const rereadLimit = 30 * time.Second

type inQuestion struct{}

// InQuestion returns a context for reading the evidence of a question; see [Asking].
func InQuestion(ctx context.Context) context.Context {
	return context.WithValue(ctx, inQuestion{}, true)
}

// Asking reports whether the context is that of a question's evidence. What reads it must
// not ask: it would wait for the very question that waits for it.
func Asking(ctx context.Context) bool { return ctx.Value(inQuestion{}) != nil }

// Questioner makes a question from the present evidence. late reports that time has
// passed since the caller read it: the question had to wait for another one, or it is
// open, and is made again. If it is not wanted, there is nothing left to decide, and its
// Reading says why.
type Questioner func(ctx context.Context, late bool) (q operator.Question, wanted bool)

// OpenQuestions allows questions.
func (r *Run) OpenQuestions() { r.questions, r.endQuestions = context.WithCancel(r.Ctx) }

// Ask asks the operator a question and records the answer. Questions are asked one at a
// time; running steps continue. The owner calls it.
func (r *Run) Ask(q operator.Question) (operator.Answer, error) {
	return r.AskBeside(func(context.Context, bool) (operator.Question, bool) { return q, true })
}

// AskBeside is [Run.AskIf] for the owner.
func (r *Run) AskBeside(question Questioner) (a operator.Answer, err error) {
	r.Beside(func() { a, err = r.AskIf(r.Ctx, question) })
	return a, err
}

// AskIf waits for its turn, and asks. The question is made at that moment, so that it
// shows the present state. While it is open, it is made again each minute and when the
// operator asks for that; if it then shows something else, it is put again. If it is not
// wanted any more, it is withdrawn, and the error is [ErrUnwanted]. Both AskIf and
// question are called beside the owner, and no two calls of question at once.
func (r *Run) AskIf(ctx context.Context, question Questioner) (a operator.Answer, err error) {
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
	q, wanted := question(InQuestion(ctx), late)
	switch {
	case !wanted:
		return a, ErrUnwanted
	case ended():
		return a, ErrEnding
	}
	q, a, err = r.put(ctx, q, question)
	switch {
	case errors.Is(err, ErrUnwanted):
		return a, err
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

// put asks the operator until they answer, and returns the question as it was put last.
// That the question waits is recorded, unless its answer was given beforehand.
func (r *Run) put(ctx context.Context, q operator.Question, question Questioner) (operator.Question, operator.Answer, error) {
	if a, given := r.beforehand(q); given {
		a, err := r.checked(q, a)
		return q, a, err
	}
	asked := journal.Record{Event: journal.Asked, Stage: q.Stage, Step: q.Step, Question: &journal.Question{Topic: string(q.Topic), Text: q.Text}}
	put, err := r.RecordBeside(asked)
	if err != nil {
		return q, operator.Answer{}, err
	}
	for {
		q.Since = put.Time
		a, again, err := r.open(ctx, q, question)
		switch {
		case again != nil && !again.wanted:
			return q, a, r.Withdraw(q, again.q.Reading)
		case err == nil:
			a, err = r.checked(q, a)
			return q, a, err
		case again == nil || ctx.Err() != nil:
			return q, a, err
		case again.changed:
			r.about(q, "what csu sees has changed; it asks again")
		}
		q = again.q
	}
}

// remade is an open question that was made again.
type remade struct {
	q               operator.Question
	wanted, changed bool
}

// open puts a question. While it is open, it is made again; if it must then be put again
// or withdrawn, the operator's prompt ends, and again is not nil.
func (r *Run) open(ctx context.Context, q operator.Question, question Questioner) (a operator.Answer, again *remade, err error) {
	prompt, end := context.WithCancel(ctx)
	defer end()
	pause, refresh := context.WithCancel(prompt)
	defer refresh()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			asked := r.Clock.Sleep(pause, rereadAfter) != nil
			if prompt.Err() != nil {
				return
			}
			look, enough := context.WithTimeout(InQuestion(prompt), rereadLimit)
			now, wanted := question(look, true)
			short := look.Err() != nil
			if enough(); prompt.Err() != nil {
				return
			}
			if short { // so it says nothing
				now, wanted = q, true
			}
			changed := now.Text != q.Text || now.Reading != q.Reading || !slices.Equal(now.Choices, q.Choices)
			if asked || changed || !wanted {
				again = &remade{now, wanted, changed}
				end()
				return
			}
		}
	}()
	shown := r.complete(q)
	shown.Refresh = refresh
	a, err = r.Operator.Ask(prompt, shown)
	end()
	<-watched
	return a, again, err
}

// Withdraw records that a question needs no answer, and why. Its error is [ErrUnwanted],
// or the journal's. It is called beside the owner.
func (r *Run) Withdraw(q operator.Question, why string) error {
	_, err := r.RecordBeside(journal.Record{Event: journal.Withdrawn, Stage: q.Stage, Step: q.Step, Question: &journal.Question{Topic: string(q.Topic)}, Text: why})
	if err != nil {
		return err
	}
	r.about(q, "settled without your answer: %s", why)
	return ErrUnwanted
}

// about tells the operator something about a question.
func (r *Run) about(q operator.Question, format string, args ...any) {
	r.tell(operator.Event{Kind: operator.Notice, Stage: q.Stage, Step: q.Step, Title: q.Title}, format, args)
}

// beforehand returns the answer that was given before the question came up.
func (r *Run) beforehand(q operator.Question) (operator.Answer, bool) {
	if p, prepared := r.Operator.(operator.Prepared); prepared {
		return p.Beforehand(r.complete(q))
	}
	return operator.Answer{}, false
}

// complete adds what an abort would do to a question that offers it. It is called beside
// the owner.
func (r *Run) complete(q operator.Question) operator.Question {
	if q.Topic != operator.Aborting && slices.Contains(q.Choices, operator.Abort) {
		r.Do(func() { q.AbortText = report.Abort(r.State) })
	}
	return q
}

// checked checks that the question allows the answer.
func (r *Run) checked(q operator.Question, a operator.Answer) (operator.Answer, error) {
	if err := q.Allows(a); err != nil {
		return operator.Answer{}, err
	}
	a.By = cmp.Or(a.By, r.OperatorName)
	return a, nil
}

// AskNow asks before there is a journal to record the answer in. The answer is recorded
// when the run begins. The owner calls it.
func (r *Run) AskNow(q operator.Question) (a operator.Answer, err error) {
	open := r.questions
	r.Beside(func() {
		given := false
		if a, given = r.beforehand(q); !given {
			a, err = r.Operator.Ask(open, r.complete(q))
		}
		if err == nil {
			a, err = r.checked(q, a)
		}
	})
	switch {
	case err != nil && open.Err() != nil:
		return a, ErrEnding
	case err == nil:
		r.Given = append(r.Given, answerTo(q, a))
	}
	return a, err
}

// RequireYes is [Run.AskNow] for a question that must be answered with yes: any other
// answer is refused, with the remedy. The owner calls it.
func (r *Run) RequireYes(q operator.Question, remedy, refused string) error {
	if q.Choices == nil {
		q.Choices = []operator.Choice{operator.Yes, operator.No}
	}
	a, err := r.AskNow(q)
	if err == nil && a.Choice != operator.Yes {
		return exit.Refuse(remedy, "%s", refused)
	}
	return err
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
