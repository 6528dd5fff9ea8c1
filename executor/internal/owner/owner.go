// Package owner has the run that one goroutine owns: its state, its journal and what it
// asks the operator.
package owner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// Run is one executor's work on a run. The goroutine that has called [New] owns it. Only
// the owner touches the exported fields and the journal. Everything that takes time
// (steps, questions, the ledger) runs in goroutines beside the owner and reports to it
// with [Run.Do]. So nothing here needs a lock, and what the owner reads cannot change
// before it acts.
type Run struct {
	Config
	Ctx     context.Context // of all work of the run
	State   *state.State
	Journal *journal.Journal  // nil until it is open
	First   bool              // this executor has begun the run, not resumed it
	Halt    *Halt             // why nothing may start any more; nil while steps may start
	Given   []*journal.Answer // answers that were given before there was a journal to record them in

	cancel   context.CancelCauseFunc
	requests chan func()     // for the owner; see Do
	over     chan struct{}   // closed when the owner takes no more requests
	stopping <-chan struct{} // Config.Stop; nil once it was seen
	leaving  <-chan struct{} // Ctx.Done(); nil once it was seen

	// The context of questions ends when nothing may start any more, because a run that
	// is ending must not wait for an answer. asking holds a token while a question is
	// open.
	questions    context.Context
	endQuestions context.CancelFunc
	asking       chan struct{}
}

// Config says which plan a run carries out, and for whom.
type Config struct {
	Plan         *plan.Plan
	Clock        *clock.Clock
	Operator     operator.Operator
	OperatorName string // for the journal and the ledger
	// Stop stops the run when it is closed: nothing more starts, and running steps
	// finish.
	Stop <-chan struct{}
}

// End is how an executor ended.
type End string

// The ends.
const (
	Completed End = End(journal.Complete) // every stage and final step is finished, the journal is closed
	// Excepted is Completed with CSCs that were set aside, or that csu does not see in
	// their expected state.
	Excepted    End = "complete, with exceptions"
	Aborted     End = End(journal.Aborted) // aborted: the final steps are finished, the journal is closed
	Reached     End = "until reached"      // the requested stage is done
	Halted      End = "stopped"            // by the operator or by a failure; can be resumed
	Interrupted End = "interrupted"        // by Config.Stop or by the context; can be resumed
	NotAborted  End = "not given up"       // the operator decided against the abort; can be resumed
	HandedOver  End = "handed over"        // to another operator, who takes it over
	NotRun      End = ""                   // refused, or the journal failed; see the error
)

// Halt is why nothing may start any more.
type Halt struct {
	End  End
	Text string
	Err  error
	To   string // whom the run is handed over to
}

// Patience is how long an interrupted run waits, in real time, for its steps to return,
// and for its last write to the ledger.
const Patience = 3 * time.Second

// ErrOver reports to goroutines beside the owner that the run is over.
var ErrOver = errors.New("the run is over")

// New returns a run that has no journal yet. The caller becomes its owner, and must call
// [Run.Release].
func New(ctx context.Context, c Config) *Run {
	r := &Run{
		Config: c, State: state.New(c.Plan),
		requests: make(chan func()), over: make(chan struct{}), asking: make(chan struct{}, 1), stopping: c.Stop,
	}
	r.Ctx, r.cancel = context.WithCancelCause(ctx)
	r.leaving = r.Ctx.Done()
	r.OpenQuestions()
	return r
}

// Do makes the owner call f, and returns when f has returned. It returns false, without
// a call of f, if the run is over. Only goroutines beside the owner may call Do: the
// owner would wait for itself.
func (r *Run) Do(f func()) bool {
	done := make(chan struct{})
	select {
	case r.requests <- func() { defer close(done); f() }:
		<-done
		return true
	case <-r.over:
		return false
	}
}

// Beside calls f in another goroutine. Until f returns, the owner serves requests.
func (r *Run) Beside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for !r.Wait(done) {
	}
}

// BesideUntilEnding is Beside with a context that ends when the run is ending.
func (r *Run) BesideUntilEnding(f func(ctx context.Context)) {
	open := r.questions
	r.Beside(func() { f(open) })
}

// Wait serves the next request to the owner. It returns true if done was closed first.
func (r *Run) Wait(done <-chan struct{}) bool {
	select {
	case f := <-r.requests:
		f()
	case <-r.stopping:
		r.noticeStop()
	case <-r.leaving:
		r.noticeStop()
	case <-done:
		return true
	}
	return false
}

// noticeStop stops the run if Config.Stop or its context asks for it. It does not block.
func (r *Run) noticeStop() {
	select {
	case <-r.stopping:
		r.stopping = nil
		r.Stop(Halt{End: Interrupted, Text: "interrupted by the operator after running steps finished; resume with --resume"})
	default:
	}
	if r.leaving != nil && r.Ctx.Err() != nil {
		r.leaving = nil
		r.Stop(Halt{End: Interrupted})
	}
}

// Halted reports whether nothing may start any more.
func (r *Run) Halted() bool {
	r.noticeStop()
	return r.Halt != nil
}

// Stop lets nothing start any more. The first reason counts.
func (r *Run) Stop(h Halt) {
	if r.Halt == nil && r.State.Ended == "" {
		r.Halt = &h
	}
	r.endQuestions()
}

// Record writes a record and applies it to the state. After an error nothing starts
// any more, and running steps are cancelled.
func (r *Run) Record(rec journal.Record) (*journal.Record, error) {
	rec.Time = r.Clock.Now()
	err := r.State.Check(&rec)
	var written *journal.Record
	if err == nil {
		written, err = r.Journal.Append(rec)
	}
	if err != nil {
		r.Halt = &Halt{End: NotRun, Err: err}
		r.endQuestions()
		r.cancel(err)
		return nil, err
	}
	r.State.Apply(written)
	return written, nil
}

// RecordBeside is Record for goroutines beside the owner.
func (r *Run) RecordBeside(rec journal.Record) (written *journal.Record, err error) {
	if !r.Do(func() { written, err = r.Record(rec) }) {
		err = ErrOver
	}
	return written, err
}

// Cancel cancels all work of the run, without waiting for it.
func (r *Run) Cancel(cause error) { r.cancel(cause) }

// Release cancels everything beside the owner, and lets Do return false from now on.
func (r *Run) Release() {
	r.cancel(nil)
	select {
	case <-r.over:
	default:
		close(r.over)
	}
}

// Tell reports an event to the operator.
func (r *Run) Tell(kind operator.EventKind, stage *plan.Stage, format string, args ...any) {
	r.tell(operator.Event{Kind: kind, Stage: stage.ID, Title: stage.Title}, format, args)
}

// TellStep reports an event of a step to the operator.
func (r *Run) TellStep(kind operator.EventKind, step *plan.Step, format string, args ...any) {
	r.tell(operator.Event{Kind: kind, Stage: step.Stage(), Step: step.ID, Title: step.Title}, format, args)
}

// Notice tells the operator something about the whole run.
func (r *Run) Notice(format string, args ...any) {
	r.tell(operator.Event{Kind: operator.Notice}, format, args)
}

func (r *Run) tell(e operator.Event, format string, args []any) {
	e.Time, e.Text = r.Clock.Now(), fmt.Sprintf(format, args...)
	r.Operator.Tell(e)
}
