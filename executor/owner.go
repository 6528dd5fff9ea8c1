package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// run is one executor at work. One goroutine owns it, the one that called [Run],
// and it alone touches state and journal. Everything that takes time (steps,
// questions, the ledger) runs in goroutines beside the owner and sends it what
// happened, with do. So nothing here needs a lock, and what the owner has looked at
// stays as it is until it has acted on it.
type run struct {
	o        Options
	ctx      context.Context // of everything that is under way
	cancel   context.CancelCauseFunc
	requests chan func()     // for the owner; see do
	over     chan struct{}   // closed when the owner takes no more requests
	stopping <-chan struct{} // Options.Stop until it was seen; then nil
	leaving  <-chan struct{} // the end of ctx until it was seen; then nil

	host    string // this machine's name
	process string // random, of this executor
	stages  map[string]*plan.Stage
	journal *journal.Journal
	state   *state.State
	halt    *halt // why nothing starts any more; nil while steps may start
	begun   bool  // the run was begun by this executor, not resumed
	torn    string
	given   []*journal.Answer // before there was a journal to record them in

	// Questions: their context ends when nothing may start any more, since a run that
	// is ending must not wait for an answer. asking holds a token while one is open.
	questions    context.Context
	endQuestions context.CancelFunc
	asking       chan struct{}

	abort bool // this is csu abort

	keeper     *ledger.Keeper // of the site's ledger; nil where there is none
	renewing   chan struct{}  // closed when the ledger is not renewed any more
	endRenew   context.CancelFunc
	alone      bool   // the operator has confirmed that this is the plan's only run
	doubted    bool   // another csu may have continued the run without the cluster
	settle     bool   // another csu may have requests under way
	handed     string // that the run was handed over without a csu at work
	unreleased error  // why the site was not given back at the run's end
	outage     outage
}

// outage is how the run stands to the ledger while the cluster does not answer.
type outage struct {
	closed   bool      // the operator did not let the run continue without the ledger
	told     int       // the outage that the operator was told of in full
	agreed   int       // the outage in which the run continues without the ledger; 0 for none
	withheld time.Time // since when the ledger lacks what was done; zero where it has all of it
}

// halt is why nothing is started any more.
type halt struct {
	end  End
	text string
	err  error
	to   string // whom the run is handed over to
}

// do has the owner call f, and returns when it has; false means that the run is over
// and f was not called. It is for goroutines beside the owner, never for the owner.
func (r *run) do(f func()) bool {
	done := make(chan struct{})
	select {
	case r.requests <- func() { defer close(done); f() }:
		<-done
		return true
	case <-r.over:
		return false
	}
}

// beside calls f in another goroutine; the owner does what others ask for until f
// returns.
func (r *run) beside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for !r.wait(done) {
	}
}

// wait does the next thing that is asked of the owner; true means that done was
// closed first.
func (r *run) wait(done <-chan struct{}) bool {
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

// noticeStop has the run end where it was asked to, without waiting for that.
func (r *run) noticeStop() {
	select {
	case <-r.stopping:
		r.stopping = nil
		r.stop(halt{end: Interrupted, text: "interrupted by the operator after running steps finished; resume with --resume"})
	default:
	}
	if r.leaving != nil && r.ctx.Err() != nil {
		r.leaving = nil
		r.stop(halt{end: Interrupted})
	}
}

// halted reports whether nothing may start any more.
func (r *run) halted() bool {
	r.noticeStop()
	return r.halt != nil
}

// stop has nothing start any more. The first reason counts.
func (r *run) stop(h halt) {
	if r.halt == nil && r.state.Ended == "" {
		r.halt = &h
	}
	r.endQuestions()
}

// record writes a record and takes it into the state. After an error nothing is
// started any more, and running steps are left at once.
func (r *run) record(rec journal.Record) (*journal.Record, error) {
	rec.Time = r.o.Clock.Now()
	err := r.state.Check(&rec)
	var written *journal.Record
	if err == nil {
		written, err = r.journal.Append(rec)
	}
	if err != nil {
		r.halt = &halt{end: NotRun, err: err}
		r.endQuestions()
		r.cancel(err)
		return nil, err
	}
	r.state.Apply(written)
	return written, nil
}

// release ends everything beside the owner, and what they ask for.
func (r *run) release() {
	r.cancel(nil)
	select {
	case <-r.over:
	default:
		close(r.over)
	}
}

// tell tells the operator something.
func (r *run) tell(kind operator.EventKind, stage, step, format string, args ...any) {
	e := operator.Event{Time: r.o.Clock.Now(), Kind: kind, Stage: stage, Step: step, Text: fmt.Sprintf(format, args...)}
	if st, ok := r.o.Plan.Step(step); ok {
		e.Title = st.Title
	} else if s := r.stages[stage]; s != nil {
		e.Title = s.Title
	}
	r.o.Operator.Tell(e)
}

func (r *run) notice(format string, args ...any) { r.tell(operator.Notice, "", "", format, args...) }

func (r *run) tellStep(kind operator.EventKind, step *plan.Step, format string, args ...any) {
	r.tell(kind, stageOf(step), step.ID, format, args...)
}

// A PanicError reports a defect of csu in a step, which is in doubt.
type PanicError struct {
	Step  string
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("csu failed at step %q: %v", e.Step, e.Value)
}

// Hint returns what can be done.
func (e *PanicError) Hint() string {
	return "resume with csu exec PLAN --resume: csu then checks what became of the step; report the defect with its stack"
}

// errOver reports that the run is over for what is still at work beside it.
var errOver = errors.New("the run is over")
