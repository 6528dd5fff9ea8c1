// Package executor replays a plan: exactly its steps, in its order, with a
// journal, and takes a run up again where it ended.
//
// The words:
//
//   - a run is one replay of a plan, from its first record to its last, over as
//     many executors as it takes;
//   - an attempt is one try of a step; it is started when its started record is
//     on the disk, and only then touches anything;
//   - a step whose attempt has started and whose outcome is not recorded is in
//     doubt: its probe decides, and where that can't, the operator;
//   - a step is finished when steps that need it may start: it is done, done by
//     hand, skipped, or failed in a way that the plan lets pass.
//
// [Run] decides nothing: what may start follows from the plan and the [State],
// which is the fold of the journal, and what is to be decided is asked.
package executor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/systems"
)

// Options are what a run is made of.
type Options struct {
	Plan     *plan.Plan
	Digest   string // of the plan's bytes
	PlanFile string // its name, for people
	Journal  string // the journal's path
	FS       journal.FS
	// SiteMap is the path of the site map where the run is a rehearsal.
	SiteMap  string
	Systems  *systems.Clients
	Operator operator.Operator
	// OperatorName is the name of the operator, for the journal and the ledger.
	OperatorName string
	Version      string // of csu
	// Until is the id of a stage: the run ends, resumable, when it is done.
	Until string
	// Resume takes up the run in the journal. Without it a journal in which
	// anything was begun is refused.
	Resume bool
	Clock  *clock.Clock
	// Confirm has [Abort] show what it is about to do, and ask, before it does or
	// records anything. Without it whoever calls has asked.
	Confirm bool
	// Stop, when it is closed, has the run start nothing more, let finish what
	// runs, and end resumable. The end of the context leaves at once.
	Stop <-chan struct{}
	// Ledger says in the site's cluster which run may go on; nil where the plan
	// talks to no cluster.
	Ledger ledger.Store
	// Timing is that of the ledger; the zero value is [ledger.Real].
	Timing ledger.Timing
	// Takeover has [Run] continue from the ledger's copy of the journal a run that
	// was begun elsewhere; nil for any other run.
	Takeover *Takeover
	// CarriedOut looks for the end of a run of this plan in what is kept of past
	// runs, and names it; "" where there is none. It is asked before a run begins.
	// nil, or [ErrNoHistory], means that nobody can tell.
	CarriedOut func() (string, error)
	// Preflight returns what checks, before the consent of each stage, that what the
	// stage uses is there. It reads the state at once; the check changes nothing, and
	// its error ends the run, resumable.
	Preflight func(stage *plan.Stage, s *state.State) (check func(context.Context) error)
	// SkipPreflight is why there is no preflight, for the journal; "" where there
	// is one.
	SkipPreflight string
	// Performer returns what carries out an action; nil is [action.Of].
	Performer func(plan.Parameters) action.Performer
}

// End is how a call of [Run] or [Abort] ended.
type End string

// The ends.
const (
	Completed   End = End(journal.Complete) // every stage and final step is finished, the journal is closed
	Aborted     End = End(journal.Aborted)  // given up: the final steps are finished, the journal is closed
	Reached     End = "until reached"       // the stage of Options.Until is done
	Halted      End = "stopped"             // the operator stopped, or something failed for good; to be resumed
	Interrupted End = "interrupted"         // by Stop or by the context; to be resumed
	NotAborted  End = "not given up"        // the operator did not want an abort after all; to be resumed
	HandedOver  End = "handed over"         // to somebody else, who takes it over
	NotRun      End = ""                    // refused, or the journal failed; see the error
)

// Result is what a call came to.
type Result struct {
	End   End
	Text  string // why, and what can be done
	RunID string
	State *state.State
	Down  []string      // CSCs that the run took down and has not seen back; see [State.Down]
	Owed  []*state.Step // final steps that still have to run
	// Unreleased is why the site's ledger does not have the finished run yet; nil
	// where it has, or there is none. Until then the run can be resumed for that.
	Unreleased error
}

// Run carries the plan out, from where its journal ends.
//
// Its errors: [*RefusedError] and [*journal.LockedError], a guard did not let it
// begin; [*operator.UnattendedError], there was no operator to ask; [*AnswerError];
// [*InputError]; [*journal.DamageError]; [*journal.FailedError], after which nothing
// was started; [*PanicError]. Whatever the error, a run that was begun can be resumed.
func Run(ctx context.Context, o Options) (Result, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer r.release()
	if err := r.guard(); err != nil {
		return Result{}, err
	}
	if err := r.open(); err != nil {
		if err = r.shut(err); errors.Is(err, errEnding) {
			return Result{End: Interrupted, State: r.state, Text: "interrupted: nothing was started"}, nil
		}
		return Result{}, err
	}
	return r.finish(r.drive())
}

func newRun(ctx context.Context, o Options) (*run, error) {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.FS == nil {
		o.FS = journal.Disk
	}
	if o.Performer == nil {
		o.Performer = action.Of
		if o.Systems == nil {
			return nil, &InputError{Reason: "run: there are no systems to talk to"}
		}
	}
	if o.Timing.Now == nil {
		o.Timing = ledger.Real()
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read this machine's name: %w", err)
	}
	r := &run{
		o: o, host: host, process: rand.Text(), state: state.New(o.Plan), stages: map[string]*plan.Stage{},
		requests: make(chan func()), over: make(chan struct{}), asking: make(chan struct{}, 1), stopping: o.Stop,
	}
	for i := range o.Plan.Stages {
		r.stages[o.Plan.Stages[i].ID] = &o.Plan.Stages[i]
	}
	if o.Until != "" && r.stages[o.Until] == nil {
		var ids []string
		for i := range o.Plan.Stages {
			ids = append(ids, o.Plan.Stages[i].ID)
		}
		return nil, &InputError{
			Reason: fmt.Sprintf("run until %q: the plan has no such stage%s", o.Until, plan.DidYouMean(o.Until, ids)),
			Remedy: "its stages are " + strings.Join(ids, ", "),
		}
	}
	r.ctx, r.cancel = context.WithCancelCause(gate.With(ctx, r.pass))
	r.leaving = r.ctx.Done()
	r.openQuestions()
	return r, nil
}

// guard refuses the wrong cluster (P20).
func (r *run) guard() error {
	if r.o.Systems == nil {
		return nil
	}
	return systems.Guard(r.o.Plan, r.o.Systems, r.o.SiteMap != "")
}

// drive goes through the stages and the final steps. What stops it on its way is
// in r.halt when it returns.
func (r *run) drive() error {
	if r.state.Ended != "" {
		return r.releaseLater()
	}
	if err := r.startUp(); err != nil || r.halted() {
		return err
	}
	if r.o.Systems != nil && systems.UsesCluster(r.o.Plan) {
		if _, err := r.record(journal.Record{Event: journal.Guarded, Text: "the cluster is the plan's: " + r.o.Plan.Targets.Kubernetes.Context}); err != nil {
			return err
		}
	}
	if r.o.SkipPreflight != "" {
		text := fmt.Sprintf("%s went on without preflight: %s", r.o.OperatorName, r.o.SkipPreflight)
		if _, err := r.record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return err
		}
		r.notice("%s", text)
	}
	repeated := r.state.Aborting
	// The reason comes first: it alone has the run aborted, should csu end right after it.
	for _, a := range r.given {
		if _, err := r.record(journal.Record{Event: journal.Answered, Answer: a}); err != nil {
			return err
		}
	}
	if r.abort && !repeated {
		if _, err := r.record(journal.Record{Event: journal.Aborting, Text: fmt.Sprintf("aborted by %s", r.o.OperatorName)}); err != nil {
			return err
		}
	}
	for i := range r.state.Stages {
		if r.halted() || r.state.Aborting {
			break
		}
		if r.stage(&r.state.Stages[i]); !r.state.Stages[i].Done {
			break // the next one must not even be asked about
		}
		if r.o.Until == r.state.Stages[i].Stage.ID && !r.state.Aborting {
			r.stop(halt{end: Reached, text: fmt.Sprintf("stage %q is done, as requested; resume with csu exec PLAN --resume", r.o.Until)})
		}
	}
	r.final()
	return nil
}

// startUp brings the run to where its first stage may begin: the site's ledger is
// this process's, or the operator goes on without it, and what the run may delete
// is written down.
func (r *run) startUp() error {
	if r.keeper == nil {
		return r.inventory()
	}
	r.renew()
	var err error
	head := r.journal.Head().Seq
	if r.beside(func() { err = r.keep(r.ctx, head) }); err != nil {
		return r.notKept(err)
	}
	if epoch := r.keeper.Epoch(); epoch > 0 {
		text := fmt.Sprintf("the site's ledger is this run's, epoch %d", epoch)
		if _, err := r.record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return err
		}
	}
	if r.state.Settle {
		wait := r.o.Timing.Fresh + r.o.Timing.Request
		r.notice("csu waits %s, until what the other csu has sent must have arrived", wait)
		if r.beside(func() { err = r.o.Timing.Sleep(r.ctx, wait) }); err != nil {
			return nil // interrupted; drive sees that
		}
	}
	if r.state.Doubted {
		if err := r.suspect(); err != nil {
			return err
		}
	}
	return r.inventory()
}
