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
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
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
	Systems  *action.Systems // see [Connect]
	Operator operator.Operator
	Name     string // the operator's name
	Version  string // of csu
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
	// Preflight looks, before the consent of each stage, whether what the stage
	// uses is there. It changes nothing; its error ends the run, resumable.
	Preflight func(ctx context.Context, stage *plan.Stage, s *State) error
	// SkipPreflight is why there is no preflight, for the journal; "" where there
	// is one.
	SkipPreflight string
	// Performer returns what carries out an action; nil is [action.Of].
	Performer func(plan.Doer) action.Performer
}

// End is how a call of [Run] or [Abort] ended.
type End string

// The ends.
const (
	Completed   End = "complete"      // every stage and final step is finished, the journal is closed
	GivenUp     End = "aborted"       // given up: the final steps are finished, the journal is closed
	Reached     End = "until reached" // the stage of Options.Until is done
	Halted      End = "stopped"       // the operator stopped, or something failed for good; to be resumed
	Interrupted End = "interrupted"   // by Stop or by the context; to be resumed
	Kept        End = "not given up"  // the operator did not want an abort after all; to be resumed
	HandedOver  End = "handed over"   // to somebody else, who takes it over
	NotRun      End = ""              // refused, or the journal failed; see the error
)

// Result is what a call came to.
type Result struct {
	End   End
	Text  string // why, and what can be done
	RunID string
	State *State
	Down  []string     // CSCs that the run took down and has not seen back; see [State.Down]
	Owed  []*StepState // final steps that still have to run
	// Unreleased is why the site's ledger does not have the finished run yet; nil
	// where it has, or there is none. Until then the run can be resumed for that.
	Unreleased error
}

// Run carries the plan out, from where its journal stands.
//
// Its errors: [*RefusedError] and [*journal.LockedError], a guard did not let it
// begin; [*operator.UnattendedError], a question met nobody; [*AnswerError];
// [*InputError]; [*journal.DamageError]; [*journal.FailedError], after which
// nothing was started. Whatever the error, a run that was begun can be resumed.
func Run(ctx context.Context, o Options) (Result, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer r.cancel(nil)
	if err := r.guard(); err != nil {
		return Result{}, err
	}
	go r.watch()
	if err := r.open(); err != nil {
		if err = r.shut(err); errors.Is(err, errEnding) {
			return Result{End: Interrupted, State: r.state, Text: "interrupted: nothing was started"}, nil
		}
		return Result{}, err
	}
	return r.finish(r.drive())
}

// run is one executor at work.
type run struct {
	o          Options
	ctx        context.Context // of everything that is under way
	cancel     context.CancelCauseFunc
	asking     chan struct{} // holds a token while a question is put
	changed    chan struct{} // wakes the scheduler
	stages     map[string]*plan.Stage
	begun      bool              // by this executor, and not taken up
	giveUp     bool              // this is csu abort
	given      []*journal.Answer // before there was a journal to record them in
	torn       string            // what became of the journal's last line, which was cut off; "" where it was not
	host       string            // this machine's name
	process    string            // random, of this executor
	keeper     *ledger.Keeper    // of the site's ledger; nil where there is none
	alone      bool              // the operator has confirmed that this is the plan's only run
	doubted    bool              // another csu may have gone on without the cluster
	handed     string            // that the run was handed over without a csu at work
	settle     bool              // another csu may have requests under way
	renewal    sync.WaitGroup
	unrenew    context.CancelFunc
	unreleased error // why the site was not given back at the run's end

	mu      sync.Mutex // guards what follows
	journal *journal.Journal
	state   *State
	halt    *halt
	// questions is the context of questions: it ends when nothing may start any
	// more, since a run that is ending must not wait for an answer.
	questions context.Context
	hush      context.CancelFunc
	holds     int             // steps in doubt that are being looked into: nothing starts meanwhile
	failing   map[string]bool // steps that have failed: nothing starts until the operator has decided on each
	permitted map[string]bool // steps that were consented to in this process
	closed    bool            // the operator did not let the run go on without the ledger
	awayTold  int             // the outage that the operator was told of in full
	// withoutSince is since when the run goes on without the ledger; zero where the
	// ledger has all of it.
	withoutSince time.Time
	ungated      int // the outage of the cluster in which the run goes on without the ledger; 0 for none
}

// halt is why nothing is started any more.
type halt struct {
	end  End
	text string
	err  error
	to   string // whom the run is handed over to
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
		host: host, process: rand.Text(), unrenew: func() {},
		o: o, asking: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		state: NewState(o.Plan), stages: map[string]*plan.Stage{}, failing: map[string]bool{}, permitted: map[string]bool{},
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
			Hint:   "its stages are " + strings.Join(ids, ", "),
		}
	}
	r.ctx, r.cancel = context.WithCancelCause(gate.With(ctx, r.pass))
	r.questions, r.hush = context.WithCancel(r.ctx)
	return r, nil
}

// guard refuses the wrong cluster (P20).
func (r *run) guard() error {
	if r.o.Systems == nil {
		return nil
	}
	return Guard(r.o.Plan, r.o.Systems, r.o.SiteMap != "")
}

// open creates the journal, or opens the one that is there, and claims the site's
// ledger for this process. Where it refuses, nothing was written.
func (r *run) open() error {
	seen, err := r.look()
	if err != nil {
		return err
	}
	if r.o.Takeover != nil {
		if err := r.takeOver(seen); err != nil {
			return err
		}
	}
	j, torn, err := journal.Open(r.o.FS, r.o.Journal, r.state.fold(r.o.Digest))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, journal.ErrEmpty):
		return r.openNew(seen)
	case err != nil:
		return classify(err)
	}
	r.journal = j
	if torn != "" {
		r.torn = fmt.Sprintf("the last line of the journal was cut off while it was written; it is kept in %q, and nothing was done on it", torn)
		r.tell(operator.Notice, "", "", "%s", r.torn)
	}
	if err := r.resumable(); err != nil {
		return cmp.Or(r.elsewhere(seen), err)
	}
	if r.state.Ended != "" {
		return nil // it is only to be released
	}
	if err := r.mayGoOn(seen); err != nil {
		return err
	}
	if r.giveUp && r.o.Confirm {
		if err := r.agree(seen); err != nil {
			return r.kept(err)
		}
	}
	if err := r.record(r.again()); err != nil {
		return err
	}
	return r.keepLedger(seen)
}

// elsewhere is why a run cannot be taken up with the journal that is here, as far as
// the ledger knows.
func (r *run) elsewhere(seen *sighting) error {
	if seen == nil || seen.away != nil || r.state.Ended != "" {
		return nil
	}
	c := r.claim()
	c.Alone = true
	var behind *ledger.BehindError
	if err := c.Check(&seen.ledger); errors.As(err, &behind) {
		return &RefusedError{Err: err, Hint: hintOf(err)}
	}
	return nil
}

// openNew begins a run that has no journal here.
func (r *run) openNew(seen *sighting) error {
	err := r.admitted(seen)
	if err == nil && r.o.Resume {
		hint, what := "begin it with csu exec PLAN", "take up"
		if r.giveUp {
			hint, what = "look at the site with csu status PLAN", "give up"
		}
		return refuse(hint, "there is no run to %s: the journal %q does not exist or has no record", what, r.o.Journal)
	}
	if err != nil {
		return err
	}
	if err := r.neverRun(seen); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	return r.keepLedger(seen)
}

// neverRun refuses a plan whose run is over according to what is kept of past
// runs. Where neither that nor the ledger can tell, the operator is asked.
func (r *run) neverRun(seen *sighting) error {
	found, err := "", error(ErrNoHistory)
	if r.o.CarriedOut != nil {
		found, err = r.o.CarriedOut()
	}
	switch {
	case err == nil && found != "":
		return refuse("to do the upgrade again, raise attempt in upgrade.cue and compile a new plan", "this plan was carried out: %s", found)
	case err == nil:
		return nil
	case !errors.Is(err, ErrNoHistory):
		return err
	case seen == nil && r.o.SiteMap != "", seen != nil && seen.away == nil:
		return nil
	}
	why := "neither the cluster nor the repository's history shows whether this plan was carried out"
	if seen != nil {
		why += ": " + seen.away.Error()
	}
	return r.confirmAlone(why)
}

// ErrNoHistory says that there is nothing from which past runs could be told.
var ErrNoHistory = errors.New("past runs are not kept here")

// mayGoOn refuses a run that another process carries on, or has carried on from
// another copy of the journal.
func (r *run) mayGoOn(seen *sighting) error {
	if err := r.admitted(seen); err != nil {
		return err
	}
	if seen == nil || seen.away != nil {
		return nil
	}
	if h := seen.ledger.Holder; h != nil && h.To != "" && r.o.Takeover == nil && !r.giveUp {
		return refuse(fmt.Sprintf("%q resumes it with csu takeover PLAN --reason TEXT; so can you, to take it back", h.To), "this run was handed over to %q", h.To)
	}
	if r.o.Takeover != nil {
		return nil // it was found out already
	}
	if err := r.unheld(seen, false); err != nil {
		return err
	}
	if err := r.admitted(seen); err != nil { // the other process may have written while it was watched
		return err
	}
	return r.succeed(seen)
}

// shut closes the journal of a run that does not go on.
func (r *run) shut(err error) error {
	r.endRenewal()
	if r.keeper != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), leaving)
		defer cancel()
		var displaced *ledger.DisplacedError
		if keeping := r.keeper.Stop(ctx, ""); !errors.As(keeping, &displaced) {
			err = errors.Join(err, keeping)
		}
	}
	if r.journal == nil {
		return err
	}
	return errors.Join(err, r.journal.Close())
}

// again is the record with which a run is taken up.
func (r *run) again() journal.Record {
	text := r.torn
	if t := r.o.Takeover; t != nil {
		text = strings.TrimSpace(fmt.Sprintf("taken over by %s: %s. %s", r.o.Name, t.Reason, text))
	}
	return journal.Record{Event: journal.Resumed, Run: r.me(r.state.Run.ID), Text: text}
}

// classify finds the errors of ours within those that name the journal's line.
func classify(err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused
	}
	return err
}

func (r *run) resumable() error {
	s := r.state
	rehearsed := s.Run.SiteMap != ""
	switch {
	case s.Ended != "" && rehearsed == (r.o.SiteMap != "") && !s.Released && r.o.Ledger != nil && r.o.Takeover == nil:
		return nil // but for that it is over
	case s.Ended == Completed:
		return refuse("an upgrade is done again with another plan: raise the request's attempt and compile", "this plan's run %s is complete: it can't be run again", s.Run.ID)
	case s.Ended == GivenUp:
		return refuse("raise the request's attempt and compile a new plan", "this plan's run %s was aborted: it can't be run again", s.Run.ID)
	case rehearsed != (r.o.SiteMap != ""):
		return refuse("a rehearsal's journal is kept in the folder of its site map", "the run in this journal is %s, this one would be %s", kindOfRun(rehearsed), kindOfRun(!rehearsed))
	case !r.o.Resume && s.Begun():
		return refuse("resume it with csu exec PLAN --resume, or look at it with csu status PLAN", "this plan's run %s was begun on %s and is not finished", s.Run.ID, s.Begin.UTC().Format(time.DateTime)+" UTC")
	}
	return nil
}

func kindOfRun(rehearsed bool) string {
	if rehearsed {
		return "a rehearsal"
	}
	return "a real one"
}

// begin creates the journal of a new run.
func (r *run) begin() error {
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("make a run id: %w", err)
	}
	first := journal.Record{Event: journal.RunBegun, Time: r.o.Clock.Now(), Run: r.me(hex.EncodeToString(id[:]))}
	j, err := journal.Create(r.o.FS, r.o.Journal, first)
	if err != nil {
		return err
	}
	r.journal, r.begun = j, true
	if err := r.state.check(&first); err != nil {
		return errors.Join(err, j.Close())
	}
	r.state.apply(&first)
	return nil
}

func (r *run) me(id string) *journal.Run {
	return &journal.Run{
		Format: journal.Format, ID: id, Digest: r.o.Digest, Plan: r.o.PlanFile,
		Operator: r.o.Name, Version: r.o.Version, PID: os.Getpid(), SiteMap: r.o.SiteMap,
		Host: r.host, Process: r.process, Settle: r.settle, Doubted: r.doubted,
	}
}

// drive goes through the stages and the final steps. What stops it on its way is
// in r.halt when it returns.
func (r *run) drive() error {
	if r.state.Ended != "" {
		return r.releaseLater()
	}
	if err := r.startUp(); err != nil || r.halted() || r.ctx.Err() != nil {
		return err
	}
	if r.o.Systems != nil && UsesCluster(r.o.Plan) {
		if err := r.record(journal.Record{Event: journal.Guarded, Text: "the cluster is the plan's: " + r.o.Plan.Targets.Kubernetes.Context}); err != nil {
			return err
		}
	}
	if r.o.SkipPreflight != "" {
		text := fmt.Sprintf("%s went on without preflight: %s", r.o.Name, r.o.SkipPreflight)
		if err := r.record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return err
		}
		r.tell(operator.Notice, "", "", "%s", text)
	}
	repeated := r.aborting()
	// The reason comes first: it alone has the run given up, should csu end behind it.
	for _, a := range r.given {
		if err := r.record(journal.Record{Event: journal.Answered, Answer: a}); err != nil {
			return err
		}
	}
	if r.giveUp && !repeated {
		if err := r.record(journal.Record{Event: journal.Aborting, Text: fmt.Sprintf("given up by %s", r.o.Name)}); err != nil {
			return err
		}
	}
	for i := range r.state.Stages {
		if r.ending() {
			break
		}
		if r.stage(&r.state.Stages[i]); !r.state.Stages[i].Done {
			break // the next one must not even be asked about
		}
		if r.o.Until == r.state.Stages[i].Stage.ID && !r.aborting() {
			r.stop(halt{end: Reached, text: fmt.Sprintf("stage %q is done, as was asked for; take the run up with --resume", r.o.Until)})
		}
	}
	r.end()
	return nil
}

// startUp brings the run to where its first stage may begin: the site's ledger is
// this process's, or the operator goes on without it, and what the run may delete
// is written down.
func (r *run) startUp() error {
	if r.keeper == nil {
		return r.inventory()
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.unrenew = cancel
	r.renewal.Go(func() { r.keeper.Renew(ctx) })
	if err := r.keep(r.ctx, r.journal.Head().Seq); err != nil {
		return r.notKept(err)
	}
	if epoch := r.keeper.Epoch(); epoch > 0 {
		text := fmt.Sprintf("the site's ledger is this run's, epoch %d", epoch)
		if err := r.record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return err
		}
	}
	if r.state.Settle {
		wait := r.o.Timing.Fresh + r.o.Timing.Request
		r.tell(operator.Notice, "", "", "csu waits %s, until what the other csu has sent must have arrived", wait)
		if err := r.o.Timing.Sleep(r.ctx, wait); err != nil {
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

// notKept is the error of a run that cannot start since its ledger is not kept.
func (r *run) notKept(err error) error {
	if r.ctx.Err() != nil || r.halted() {
		return nil // drive sees that
	}
	return &RefusedError{Err: err, Hint: "check that the cluster is reachable, then run the command again"}
}

// endRenewal has the ledger written no more but by what follows.
func (r *run) endRenewal() {
	r.unrenew()
	r.renewal.Wait()
}

// watch ends the run when it is asked to.
func (r *run) watch() {
	select {
	case <-r.o.Stop:
		r.stop(halt{end: Interrupted, text: "interrupted by the operator: what ran was let finish; take the run up with --resume"})
	case <-r.ctx.Done():
		r.interrupted()
	}
}

// interrupted is for a run whose context has ended.
func (r *run) interrupted() {
	r.stop(halt{end: Interrupted})
}

// stop has nothing start any more. The first reason counts.
func (r *run) stop(h halt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopLocked(h)
}

func (r *run) stopLocked(h halt) {
	if r.halt == nil {
		r.halt = &h
	}
	r.hush()
	r.wake()
}

func (r *run) wake() {
	select {
	case r.changed <- struct{}{}:
	default: // it has been woken already
	}
}

// ending tells whether nothing of the stages may start any more.
func (r *run) ending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halt != nil || r.state.Aborting
}

func (r *run) halted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halt != nil
}

func (r *run) aborting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Aborting
}

// record writes a record and takes it into the state. After an error nothing is
// started any more, and what runs is left at once.
func (r *run) record(rec journal.Record) error {
	_, err := r.recorded(rec)
	return err
}

func (r *run) recorded(rec journal.Record) (*journal.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recordLocked(rec)
}

func (r *run) recordLocked(rec journal.Record) (*journal.Record, error) {
	rec.Time = r.o.Clock.Now()
	err := r.state.check(&rec)
	var written *journal.Record
	if err == nil {
		written, err = r.journal.Append(rec)
	}
	if err != nil {
		r.halt = &halt{end: NotRun, err: err}
		r.hush()
		r.cancel(err)
		return nil, err
	}
	r.state.apply(written)
	return written, nil
}

// finish writes how the executor ended and closes the journal.
func (r *run) finish(err error) (Result, error) {
	r.endRenewal()
	res, err := r.concluded(err)
	res.Unreleased = r.unreleased
	err = errors.Join(err, r.rescue())
	var displaced *ledger.DisplacedError // it says itself that the ledger is another's
	if keeping := r.lastWord(res); keeping != nil && !errors.As(keeping, &displaced) {
		r.tell(operator.Notice, "", "", "the site's ledger lacks the last records of this run: resume it here, where its journal is: %v", keeping)
	}
	if closing := r.journal.Close(); closing != nil {
		err = errors.Join(err, closing)
	}
	return res, err
}

// lastWord is the last write to the ledger of a run that can be resumed.
func (r *run) lastWord(res Result) error {
	if r.keeper == nil || r.state.Ended != "" {
		return nil
	}
	ctx := context.WithoutCancel(r.ctx)
	switch {
	case !r.state.Begun():
		return r.keeper.Forget(ctx) // so that nobody need be kept away
	case r.ctx.Err() != nil:
		ctx, cancel := context.WithTimeout(ctx, leaving)
		defer cancel()
		if slices.ContainsFunc(r.state.In(Started), sends) { // what was under way may still take effect
			return r.keeper.Leave(ctx)
		}
		return r.keeper.Stop(ctx, "")
	}
	return r.keeper.Stop(ctx, r.halt.to)
}

// sends tells whether a step's attempt changes anything itself.
func sends(st *StepState) bool {
	kind := st.Step.Action.Kind()
	return kind != plan.KindManual && kind != plan.KindAwaitState
}

// rescue writes a journal that was lost under the run to a file again.
func (r *run) rescue() error {
	var lost *journal.LostFileError
	if r.halt == nil || !errors.As(r.halt.err, &lost) {
		return nil
	}
	name, err := r.journal.Save()
	if err != nil {
		return fmt.Errorf("restore the journal: %w", err)
	}
	r.tell(operator.Notice, "", "", "the journal was written anew as %q, from memory; what was answered last is not in it and is asked again", name)
	if r.keeper != nil { // so that a resume knows this csu by its lock
		at, err := journal.PlaceOf(r.o.FS, name)
		if err != nil {
			return err
		}
		at.Path = r.journal.Place().Path // to which it is moved back
		r.keeper.Use(r.journal, at)
	}
	return nil
}

// concluded writes down how the executor ended.
func (r *run) concluded(err error) (Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := Result{RunID: r.state.Run.ID, State: r.state}
	switch {
	case r.halt == nil && err != nil:
		r.halt = &halt{end: Halted, err: err}
	case r.halt == nil && r.ctx.Err() != nil && r.state.Ended == "":
		r.halt = &halt{end: Interrupted}
	}
	if r.halt != nil && r.halt.end == Interrupted && r.ctx.Err() != nil {
		r.halt.text = "interrupted at once by the operator: what ran is in doubt, and is looked into when the run is taken up with --resume"
	}
	if h := r.halt; h != nil {
		res.End, res.Text, err = h.end, h.text, h.err
		text := h.text
		if text == "" && err != nil {
			text = err.Error()
		}
		if r.state.Ended == "" {
			if _, failed := r.recordLocked(journal.Record{Event: journal.Stopped, Text: text}); failed != nil && !errors.Is(err, failed) {
				err = errors.Join(err, failed)
			}
		}
	}
	if r.state.Ended != "" {
		res.End = r.state.Ended
	}
	res.Down, res.Owed = r.state.Down(), r.state.Owed()
	return res, err
}

// tell tells the operator something.
func (r *run) tell(kind operator.EventKind, stage, step, format string, args ...any) {
	e := operator.Event{Time: r.o.Clock.Now(), Kind: kind, Stage: stage, Step: step, Text: fmt.Sprintf(format, args...)}
	if st := r.state.Steps[step]; st != nil {
		e.Title = st.Step.Title
	} else if s := r.stages[stage]; s != nil {
		e.Title = s.Title
	}
	r.o.Operator.Tell(e)
}
