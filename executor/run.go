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
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/internal/owner"
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
	// Ledger says which run may continue; nil if the plan uses no cluster.
	Ledger ledger.Store
	// Timing is the ledger's timing; the zero value means [ledger.Real].
	Timing ledger.Timing
	// Takeover makes [Run] continue a run that was begun elsewhere, from the
	// ledger's copy of its journal; nil for any other run.
	Takeover *custody.Takeover
	// CarriedOut finds the end of a run of this plan; see [custody.Options].
	CarriedOut func() (string, error)
	// Preflight returns a check that everything the stage uses is reachable and
	// permitted; it runs before the stage's consent. Preflight itself reads the state;
	// the check does not. The check is read-only. Its error stops the run, resumable.
	Preflight func(stage *plan.Stage, s *state.State) (check func(context.Context) error)
	// Day is what speaks against beginning the run today, one reason a line; "" for
	// nothing. The operator is asked before a run begins.
	Day string
	// SkipPreflight is the reason to record for running without preflight; "" with
	// preflight.
	SkipPreflight string
	// Reviewed is what to record of the plan's review.
	Reviewed []string
	// Approved is what to record of the plan's approvals when the run begins; nil for none.
	Approved *journal.Approved
	// Announcement is what Post posts to the plan's channel at the begin; "" for nothing.
	Announcement string
	Post         func(ctx context.Context, channel, text string) error
	// Performer gives the performer of an action; nil means [action.Of].
	Performer func(plan.Parameters) action.Performer
}

// End is how a call of [Run] or [Abort] ended.
type End = owner.End

// The ends.
const (
	Completed   = owner.Completed
	Excepted    = owner.Excepted
	Aborted     = owner.Aborted
	Reached     = owner.Reached
	Halted      = owner.Halted
	Interrupted = owner.Interrupted
	NotAborted  = owner.NotAborted
	HandedOver  = owner.HandedOver
	NotRun      = owner.NotRun
)

// Result is the result of a call.
type Result struct {
	End   End
	Text  string // why, and what to do
	RunID string
	State *state.State
	Down  []string      // CSCs that the run took down and has not seen up again; see [report.Down]
	Owed  []*state.Step // final steps that still have to run
	// Untouched says that this call began the run, that no stage of it has begun, and
	// that the site's ledger does not know of it. Its journal is worth nothing.
	Untouched bool
	// Unreleased is why the site was not released although the run is over; nil if it
	// was, or if there is no ledger. Resuming the run releases it.
	Unreleased error
}

// run is one executor at work on a run. The goroutine that called [Run] owns it.
type run struct {
	*owner.Run
	o          Options
	custody    *custody.Custodian
	abort      bool   // this is csu abort
	torn       string // message about the journal's incomplete last line; "" if there was none
	unreleased error  // why the site was not released at the end of the run
}

// Run carries out the plan from where its journal ends.
//
// Its errors are those of guards that did not let it begin, with the code
// [exit.Refused], [*journal.LockedError], [*operator.UnattendedError] if there was no
// operator to ask, [*operator.AnswerError], unusable options with the code [exit.Input],
// [*journal.DamageError], [*journal.FailedError], after which nothing was started, and
// [*PanicError]. After any of them, a run that was begun can be resumed.
func Run(ctx context.Context, o Options) (Result, error) {
	r, err := newRun(ctx, o, false)
	if err != nil {
		return Result{}, err
	}
	defer r.Release()
	if err := r.open(); err != nil {
		if err = r.custody.Shut(err); errors.Is(err, owner.ErrEnding) {
			return Result{End: Interrupted, State: r.State, Text: "interrupted: nothing was started"}, nil
		}
		return Result{}, err
	}
	return r.finish(r.drive())
}

// Unlock takes the site from the run that has it; see [custody.Custodian.Unlock].
func Unlock(ctx context.Context, o Options, reason string) (*ledger.Holder, error) {
	r, err := newRun(ctx, o, false)
	if err != nil {
		return nil, err
	}
	defer r.Release()
	return r.custody.Unlock(reason)
}

// HandOver hands the plan's run over to another operator; see
// [custody.Custodian.HandOver].
func HandOver(ctx context.Context, o Options, to string, waiting func(ledger.Holder)) error {
	r, err := newRun(ctx, o, false)
	if err != nil {
		return err
	}
	defer r.Release()
	return r.custody.HandOver(to, waiting)
}

// newRun returns a run whose journal is not open yet. It refuses the wrong cluster (P20).
func newRun(ctx context.Context, o Options, abort bool) (*run, error) {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.FS == nil {
		o.FS = journal.Disk
	}
	if o.Performer == nil {
		o.Performer = action.Of
		if o.Systems == nil {
			return nil, exit.Unusable("", "run plan: there are no clients for its systems")
		}
	}
	if o.Timing.Now == nil {
		o.Timing = ledger.Real()
	}
	r := &run{o: o, abort: abort}
	if ids := o.Plan.StageIDs(); o.Until != "" && !slices.Contains(ids, o.Until) {
		return nil, exit.Unusable("its stages are "+strings.Join(ids, ", "), "run until %q: the plan has no such stage%s", o.Until, plan.DidYouMean(o.Until, ids))
	}
	if o.Systems != nil {
		if err := systems.Guard(o.Plan, o.Systems, o.SiteMap != ""); err != nil {
			return nil, err
		}
	}
	ctx = gate.With(ctx, func(ctx context.Context) error { return r.custody.Pass(ctx) })
	r.Run = owner.New(ctx, owner.Config{Plan: o.Plan, Clock: o.Clock, Operator: o.Operator, OperatorName: o.OperatorName, Stop: o.Stop})
	var err error
	r.custody, err = custody.New(r.Run, custody.Options{
		Digest: o.Digest, PlanFile: o.PlanFile, Journal: o.Journal, FS: o.FS, SiteMap: o.SiteMap, Version: o.Version,
		Ledger: o.Ledger, Timing: o.Timing, Takeover: o.Takeover, Abort: abort, CarriedOut: o.CarriedOut,
		Approved: o.Approved,
	})
	if err != nil {
		r.Release()
		return nil, err
	}
	return r, nil
}

// drive carries out the stages and the final steps. If something stops it, r.Halt says
// what.
func (r *run) drive() error {
	if r.State.Ended != "" {
		return r.custody.Release()
	}
	if err := r.custody.Start(); err != nil || r.Halted() {
		return err
	}
	if err := r.inventory(); err != nil || r.Halted() {
		return err
	}
	var guarded []string
	if r.o.Systems != nil && systems.UsesCluster(r.Plan) {
		guarded = append(guarded, "the cluster is the plan's: "+r.Plan.Targets.Kubernetes.Context)
	}
	guarded = append(guarded, r.o.Reviewed...)
	if r.o.SkipPreflight != "" {
		guarded = append(guarded, fmt.Sprintf("%s continued without preflight: %s", r.OperatorName, r.o.SkipPreflight))
		r.Notice("%s", guarded[len(guarded)-1])
	}
	for _, text := range guarded {
		if _, err := r.Record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return err
		}
	}
	if r.o.Announcement != "" {
		if err := r.announce(r.o.Announcement); err != nil {
			return err
		}
	}
	repeated := r.State.Aborting
	// The answer comes first: it alone aborts the run, should csu crash right after it.
	for _, a := range r.Given {
		if _, err := r.Record(journal.Record{Event: journal.Answered, Answer: a}); err != nil {
			return err
		}
	}
	if r.abort && !repeated {
		if _, err := r.Record(journal.Record{Event: journal.Aborting, Text: fmt.Sprintf("aborted by %s", r.OperatorName)}); err != nil {
			return err
		}
	}
	for i := range r.State.Stages {
		if r.Halted() || r.State.Aborting {
			break
		}
		if r.stage(&r.State.Stages[i]); !r.State.Stages[i].Done {
			break // the operator must not even be asked about the next one
		}
		if r.o.Until == r.State.Stages[i].Stage.ID && !r.State.Aborting {
			r.Stop(owner.Halt{End: Reached, Text: fmt.Sprintf("stage %q is done, as requested; resume with --resume", r.o.Until)})
		}
	}
	r.final()
	return nil
}

// announce posts a message to the plan's channel, once in a run: a message that may have
// been posted is never posted again. A channel that does not answer stops nothing.
func (r *run) announce(text string) error {
	channel := r.Plan.Targets.Slack.Channel
	if !r.First {
		r.Notice("If %s does not have this message, post it by hand: %s", channel, text)
		return nil
	}
	if _, err := r.Record(journal.Record{Event: journal.Guarded, Text: fmt.Sprintf("to be announced on %s: %s", channel, text)}); err != nil {
		return err
	}
	outcome := "announced on " + channel
	var err error
	r.Beside(func() { err = r.o.Post(r.Ctx, channel, text) })
	if err != nil {
		outcome = fmt.Sprintf("cannot announce it on %s: %v; post it by hand: %s", channel, err, text)
	}
	r.Notice("%s", outcome)
	_, err = r.Record(journal.Record{Event: journal.Guarded, Text: outcome})
	return err
}
