// Package executor replays a plan: exactly its steps, in its order, with a
// journal. It resumes a run where it ended.
//
// The words:
//
//   - a run is one replay of a plan, from its first record to its last, over as
//     many executors as it takes;
//   - an attempt is one try of a step; it is started when its started record is
//     on the disk, and only then touches anything;
//   - a step whose attempt has started and whose outcome is not recorded is in
//     doubt: its probe decides, or the operator if the probe cannot;
//   - a step is finished when steps that need it may start: it is done, done by
//     hand, skipped, or failed in a way that the plan accepts.
//
// [Run] makes no decisions. What may start follows from the plan and the
// [state.State], which is the fold of the journal. The operator decides the rest.
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

// Options configure a run.
type Options struct {
	Plan     *plan.Plan
	Digest   string // of the plan's bytes
	PlanFile string // its name, as shown to people
	Journal  string // the journal's path
	FS       journal.FS
	// SiteMap is the path of the site map; "" unless the run is a rehearsal.
	SiteMap  string
	Systems  *systems.Clients
	Operator operator.Operator
	// OperatorName is the name of the operator, for the journal and the ledger.
	OperatorName string
	Version      string // of csu
	// Until is the id of a stage: the run stops, resumable, when the stage is done.
	Until string
	// Resume resumes the run in the journal. Without it, a journal in which
	// anything was begun is refused.
	Resume bool
	Clock  *clock.Clock
	// Confirm makes [Abort] show what it is about to do, and ask, before it does or
	// records anything. Without it, the caller has asked.
	Confirm bool
	// Stop stops the run when it is closed: nothing more starts, running steps
	// finish, and the run can be resumed. When the context ends, the run does not
	// wait for running steps.
	Stop <-chan struct{}
	// Ledger says in the site's cluster which run may continue; nil if the plan
	// uses no cluster.
	Ledger ledger.Store
	// Timing is the ledger's timing; the zero value means [ledger.Real].
	Timing ledger.Timing
	// Takeover makes [Run] continue a run that was begun elsewhere, from the
	// ledger's copy of its journal; nil for any other run.
	Takeover *Takeover
	// CarriedOut finds the end of a run of this plan in the record of past runs,
	// and returns a description of it, or "" if there is none. It is called before a
	// run begins. If it is nil, or returns [ErrNoHistory], there is no such record.
	CarriedOut func() (string, error)
	// Preflight returns a check that everything the stage uses is reachable and
	// permitted; it runs before the stage's consent. Preflight itself reads the state;
	// the check does not. The check is read-only. Its error stops the run, resumable.
	Preflight func(stage *plan.Stage, s *state.State) (check func(context.Context) error)
	// SkipPreflight is the reason to record for running without preflight; "" with
	// preflight.
	SkipPreflight string
	// Performer returns the performer of an action; nil means [action.Of].
	Performer func(plan.Parameters) action.Performer
}

// End is how a call of [Run] or [Abort] ended.
type End string

// The ends.
const (
	Completed   End = End(journal.Complete) // every stage and final step is finished, the journal is closed
	Aborted     End = End(journal.Aborted)  // aborted: the final steps are finished, the journal is closed
	Reached     End = "until reached"       // the stage of Options.Until is done
	Halted      End = "stopped"             // by the operator or by a failure; can be resumed
	Interrupted End = "interrupted"         // by Stop or by the context; can be resumed
	NotAborted  End = "not given up"        // the operator decided against the abort; can be resumed
	HandedOver  End = "handed over"         // to another operator, who takes it over
	NotRun      End = ""                    // refused, or the journal failed; see the error
)

// Result is the result of a call.
type Result struct {
	End   End
	Text  string // why, and what to do
	RunID string
	State *state.State
	Down  []string      // CSCs that the run took down and has not seen up again; see [report.Down]
	Owed  []*state.Step // final steps that still have to run
	// Unreleased is why the site was not released although the run is over; nil if it
	// was, or if there is no ledger. Resuming the run releases it.
	Unreleased error
}

// Run carries out the plan from where its journal ends.
//
// Its errors are [*RefusedError] and [*journal.LockedError] if a guard did not let it
// begin, [*operator.UnattendedError] if there was no operator to ask, [*AnswerError],
// [*InputError], [*journal.DamageError], [*journal.FailedError], after which nothing was
// started, and [*PanicError]. After any of them, a run that was begun can be resumed.
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
			return nil, &InputError{Reason: "run plan: there are no clients for its systems"}
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

// drive carries out the stages and the final steps. If something stops it, r.halt says
// what.
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
		text := fmt.Sprintf("%s continued without preflight: %s", r.o.OperatorName, r.o.SkipPreflight)
		if _, err := r.record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return err
		}
		r.notice("%s", text)
	}
	repeated := r.state.Aborting
	// The answer comes first: it alone aborts the run, should csu crash right after it.
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
			break // the operator must not even be asked about the next one
		}
		if r.o.Until == r.state.Stages[i].Stage.ID && !r.state.Aborting {
			r.stop(halt{end: Reached, text: fmt.Sprintf("stage %q is done, as requested; resume with --resume", r.o.Until)})
		}
	}
	r.final()
	return nil
}

// startUp does what must precede the first stage: it makes sure that this process has
// the site's ledger, or that the operator continues without it, and records which Jobs
// the run may delete.
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
		r.notice("csu waits %s, so that all requests of the other csu have arrived", wait)
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
