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

// run is one executor at work. One goroutine owns it, the one that called [Run]. Only
// the owner touches the state and the journal. Everything that takes time (steps,
// questions, the ledger) runs in goroutines beside the owner and reports to it with do.
// So nothing here needs a lock, and what the owner reads cannot change before it acts.
type run struct {
	o        Options
	ctx      context.Context // of all work of the run
	cancel   context.CancelCauseFunc
	requests chan func()     // for the owner; see do
	over     chan struct{}   // closed when the owner takes no more requests
	stopping <-chan struct{} // Options.Stop; nil once it was seen
	leaving  <-chan struct{} // ctx.Done(); nil once it was seen

	host    string // this machine's name
	process string // random, of this executor
	stages  map[string]*plan.Stage
	journal *journal.Journal
	state   *state.State
	halt    *halt             // why nothing may start any more; nil while steps may start
	begun   bool              // this executor has begun the run, not resumed it
	torn    string            // message about the journal's incomplete last line; "" if there was none
	given   []*journal.Answer // given before there was a journal to record them in

	// The context of questions ends when nothing may start any more, because a run that
	// is ending must not wait for an answer. asking holds a token while a question is
	// open.
	questions    context.Context
	endQuestions context.CancelFunc
	asking       chan struct{}

	abort bool // this is csu abort

	keeper     *ledger.Keeper // of the site's ledger; nil if there is none
	renewing   chan struct{}  // closed when the ledger is no longer renewed
	endRenew   context.CancelFunc
	alone      bool   // the operator has confirmed that this is the plan's only run
	doubted    bool   // another csu may have continued the run without the cluster
	settle     bool   // another csu may have requests under way
	handed     string // text of the record that handed over an idle run
	unreleased error  // why the site was not released at the end of the run
	outage     outage
}

// outage is what the operator has decided about the ledger while the cluster does not
// answer. Outages are numbered as by [ledger.Keeper.Outage].
type outage struct {
	closed    bool      // the operator did not let the run continue without the ledger
	explained int       // the outage that was explained to the operator
	agreed    int       // the outage in which the run continues without the ledger; 0 for none
	withheld  time.Time // since when the ledger lacks what was done; zero if it has everything
}

// halt is why nothing may start any more.
type halt struct {
	end  End
	text string
	err  error
	to   string // whom the run is handed over to
}

// do makes the owner call f, and returns when f has returned. It returns false, without
// a call of f, if the run is over. Only goroutines beside the owner may call do: the
// owner would wait for itself.
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

// beside calls f in another goroutine. Until f returns, the owner serves requests.
func (r *run) beside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for !r.wait(done) {
	}
}

// wait serves the next request to the owner. It returns true if done was closed first.
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

// noticeStop stops the run if Options.Stop or its context asks for it. It does not block.
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

// stop lets nothing start any more. The first reason counts.
func (r *run) stop(h halt) {
	if r.halt == nil && r.state.Ended == "" {
		r.halt = &h
	}
	r.endQuestions()
}

// record writes a record and applies it to the state. After an error nothing starts
// any more, and running steps are cancelled.
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

// release cancels everything beside the owner, and lets do return false from now on.
func (r *run) release() {
	r.cancel(nil)
	select {
	case <-r.over:
	default:
		close(r.over)
	}
}

// tell reports an event to the operator.
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

// A PanicError reports a defect of csu in a step, which is now in doubt.
type PanicError struct {
	Step  string
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("step %q: csu panicked: %v", e.Step, e.Value)
}

// Hint returns the remedy.
func (e *PanicError) Hint() string {
	return "report the defect with its stack, and resume with csu exec PLAN --resume, which checks what became of the step"
}

// errOver reports to goroutines beside the owner that the run is over.
var errOver = errors.New("the run is over")
