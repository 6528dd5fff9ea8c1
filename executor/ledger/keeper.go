package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
)

// Keeper maintains the ledger for one process. Its methods may be called from
// several goroutines.
type Keeper struct {
	store  Store
	timing Timing
	o      Options
	turn   chan struct{} // holds a token while the ledger is read or written

	mu        sync.Mutex // guards the fields below
	claimed   bool
	displaced *DisplacedError
	last      Ledger // as this process last read or wrote it
	version   Version
	confirmed time.Duration // just before the last confirmed write was sent
	away      *AwayError    // nil while the cluster answers
	outages   int           // how many times it stopped answering
}

// Options say which process the keeper works for and whom it notifies.
type Options struct {
	Claim  Claim
	Holder Holder // this process; the keeper sets the times
	// Journal is the journal to copy into the ledger. While it is nil, the
	// existing copy stays; see [Keeper.Use].
	Journal Journal
	Stage   func() string // the run's current stage
	Now     func() time.Time
	// Back is called when the cluster answers again after an outage.
	Back func(epoch int)
	// Away is called at each renewal that fails.
	Away func(*AwayError)
	// Displaced is called once, when another process has the ledger.
	Displaced func(*DisplacedError)
	// Asked is called when someone asks for the run to be handed over.
	Asked func(Handover)
}

// Journal is the journal that the ledger keeps a copy of.
type Journal interface{ Copy() journal.Copy }

// AwayError reports that the ledger could not be read or written.
type AwayError struct {
	Since time.Time // of the first failure, by the run's clock
	Err   error
}

func (e *AwayError) Error() string {
	return fmt.Sprintf("the site's ledger has been unreachable since %s: %v", clock(e.Since), e.Err)
}

// Unwrap returns the cause.
func (e *AwayError) Unwrap() error { return e.Err }

// DisplacedError reports that another process has the ledger. This process must
// start nothing more.
type DisplacedError struct {
	Holder *Holder // nil if the site was taken from the run
	Epoch  int
	Err    error // why this process could not claim the ledger; nil if it had it before
}

func (e *DisplacedError) Error() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Holder == nil:
		return "the site was taken from this run with csu unlock"
	}
	h := e.Holder
	return fmt.Sprintf("this run was taken over by %q on %s at %s (epoch %d): nothing more will be started here", h.Operator, h.Host, clock(h.Since), e.Epoch)
}

// Unwrap returns the cause.
func (e *DisplacedError) Unwrap() error { return e.Err }

// Use makes the keeper copy the journal, which is at the place.
func (k *Keeper) Use(j Journal, at journal.Place) {
	k.turn <- struct{}{}
	defer k.give()
	k.o.Journal, k.o.Holder.Journal = j, at
}

// errAgain says that the ledger just read changes what must be written.
var errAgain = errors.New("the ledger was changed for this process")

// tries is how often a write is tried before the cluster counts as away. The
// pauses between the tries are one and two seconds.
const tries = 3

// NewKeeper returns a keeper that has not claimed the ledger.
func NewKeeper(store Store, timing Timing, o Options) *Keeper {
	return &Keeper{store: store, timing: timing, o: o, turn: make(chan struct{}, 1)}
}

// take waits for the turn to use the store.
func (k *Keeper) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *Keeper) give() { <-k.turn }

// Read returns the ledger as it is now.
func Read(ctx context.Context, store Store, timing Timing) (Ledger, Version, error) {
	for try := 1; ; try++ {
		l, v, err := read(ctx, store, timing)
		if err == nil || Missing(err) || try == tries || timing.Sleep(ctx, time.Duration(try)*time.Second) != nil {
			return l, v, err
		}
	}
}

func read(ctx context.Context, store Store, timing Timing) (Ledger, Version, error) {
	ctx, cancel := context.WithTimeout(ctx, timing.Call)
	defer cancel()
	return store.Read(ctx)
}

func (k *Keeper) write(ctx context.Context, l Ledger, v Version) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timing.Call)
	defer cancel()
	return k.store.Write(ctx, l, v)
}

// Pass returns when an effect may be sent: it has been confirmed within
// [Timing.Fresh] that this process has the ledger. Its error is a
// [*DisplacedError], an [*AwayError], or the context's.
func (k *Keeper) Pass(ctx context.Context) error { return k.Keep(ctx, 0) }

// Keep is like Pass, but first makes sure that the ledger has the journal up to
// record seq.
func (k *Keeper) Keep(ctx context.Context, seq int) error {
	if done, err := k.kept(seq); done {
		return err
	}
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.give()
	if done, err := k.kept(seq); done { // another step's write included it
		return err
	}
	most := tries
	if away, _ := k.Outage(); away != nil {
		most = 1 // or each effect would wait for the retries
	}
	return k.patiently(ctx, most, k.renewed)
}

// patiently calls once, and retries up to most times if the cluster does not
// answer.
func (k *Keeper) patiently(ctx context.Context, most int, change func(*Ledger)) error {
	for try := 1; ; try++ {
		err := k.once(ctx, change)
		var unanswered *AwayError
		if !errors.As(err, &unanswered) || try == most || k.timing.Sleep(ctx, time.Duration(try)*time.Second) != nil {
			return err
		}
	}
}

// kept reports whether an effect can pass, or fail for good, without a write.
func (k *Keeper) kept(seq int) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.displaced != nil {
		return true, k.displaced
	}
	fresh := k.timing.Now()-k.confirmed < k.timing.Fresh
	return k.claimed && fresh && k.last.Head.Seq >= seq, nil
}

// Renew writes the ledger once an interval until ctx ends.
func (k *Keeper) Renew(ctx context.Context) {
	for k.timing.Sleep(ctx, k.timing.Renew) == nil {
		if k.take(ctx) != nil {
			return
		}
		err := k.once(ctx, k.renewed)
		k.give()
		var away *AwayError
		var displaced *DisplacedError
		switch {
		case errors.As(err, &displaced):
			return
		case errors.As(err, &away) && ctx.Err() == nil && k.o.Away != nil:
			k.o.Away(away)
		}
	}
}

// Outage returns why the cluster counts as away and the number of this outage; nil while the cluster answers.
func (k *Keeper) Outage() (*AwayError, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.away, k.outages
}

// Finish releases the site at the end of the run, and records in the ledger
// that the plan was carried out or aborted.
func (k *Keeper) Finish(ctx context.Context, outcome Outcome) error {
	if k.Epoch() == 0 { // the cluster was away throughout
		if err := k.Pass(ctx); err != nil {
			return err
		}
	}
	return k.lastly(ctx, func(l *Ledger) {
		k.head(l)
		l.End(k.finished(outcome))
	})
}

func (k *Keeper) finished(outcome Outcome) Finished {
	h := k.o.Holder
	return Finished{
		Digest: h.Digest, Run: h.Run, Plan: h.Plan, Outcome: outcome, Operator: h.Operator,
		Time: k.o.Now().UTC().Round(0), Head: k.o.Journal.Copy().Head,
	}
}

// Stop records everything that this process knows, and that no process is at
// work any more. With a name, the run is handed over.
func (k *Keeper) Stop(ctx context.Context, to string) error {
	return k.lastly(ctx, func(l *Ledger) {
		k.renewed(l)
		l.Holder.Process, l.Holder.Asked, l.Holder.To = "", nil, to
	})
}

// Leave records everything that this process knows, but that its requests may still arrive.
func (k *Keeper) Leave(ctx context.Context) error { return k.lastly(ctx, k.renewed) }

// Forget releases the site as if the run, of which nothing has begun, had never
// been.
func (k *Keeper) Forget(ctx context.Context) error {
	return k.lastly(ctx, func(l *Ledger) { l.Holder, l.Head, l.Copy = nil, Head{}, nil })
}

// lastly makes the last write of this process, if it has the ledger.
func (k *Keeper) lastly(ctx context.Context, change func(*Ledger)) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.give()
	if k.Epoch() == 0 {
		return nil
	}
	return k.patiently(ctx, tries, change)
}

// renewed updates the ledger for this process at work.
func (k *Keeper) renewed(l *Ledger) {
	h := k.o.Holder
	h.Renewed = k.o.Now().UTC().Round(0)
	if l.Holder != nil {
		h.Asked = l.Holder.Asked
	}
	l.Holder = &h
	k.head(l)
}

// head records how far the journal goes.
func (k *Keeper) head(l *Ledger) {
	if k.o.Journal == nil {
		return
	}
	c, h := k.o.Journal.Copy(), k.o.Holder
	at := l.Head.Time
	if l.Head.Run != h.Run || l.Head.Head != c.Head {
		at = k.o.Now().UTC().Round(0)
	}
	l.Copy = c.Packed
	l.Head = Head{Run: h.Run, Plan: h.Plan, Digest: h.Digest, Head: c.Head, Stage: k.o.Stage(), Time: at}
}

// once reads and writes until no other write interferes. The caller must have
// the turn.
func (k *Keeper) once(ctx context.Context, change func(*Ledger)) error {
	for {
		k.mu.Lock()
		claimed, displaced := k.claimed, k.displaced
		k.mu.Unlock()
		var err error
		switch {
		case displaced != nil:
			return displaced
		case !claimed:
			err = k.claim(ctx)
		default:
			err = k.swap(ctx, change)
		}
		if !errors.Is(err, errAgain) {
			return err
		}
	}
}

// swap replaces the ledger that this process knows.
func (k *Keeper) swap(ctx context.Context, change func(*Ledger)) error {
	k.mu.Lock()
	next, version := k.last, k.version
	k.mu.Unlock()
	change(&next)
	sent := k.timing.Now()
	v, err := k.write(ctx, next, version)
	switch {
	case err == nil:
		k.accept(next, v, sent)
		return nil
	case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrLost):
		return k.unanswered(ctx, err)
	}
	now, v, failed := read(ctx, k.store, k.timing)
	if failed != nil {
		return k.unanswered(ctx, errors.Join(err, failed))
	}
	return k.found(now, v, next, sent)
}

// found judges the ledger after a lost answer or a conflict. It may contain
// this very write, another write for this process, or another process's.
func (k *Keeper) found(now Ledger, v Version, next Ledger, sent time.Duration) error {
	switch {
	case now.same(&next):
		k.accept(now, v, sent)
		return nil
	case now.Epoch != next.Epoch || now.Holder == nil || now.Holder.Process != k.o.Holder.Process:
		return k.displace(&DisplacedError{Holder: now.Holder, Epoch: now.Epoch})
	}
	k.mu.Lock()
	k.last, k.version = now, v
	k.mu.Unlock()
	k.heard(now)
	return errAgain
}

// same reports whether two ledgers are the same write of one process.
func (l *Ledger) same(o *Ledger) bool {
	if l.Epoch != o.Epoch || l.Head.Run != o.Head.Run || l.Head.Head != o.Head.Head || (l.Holder == nil) != (o.Holder == nil) {
		return false
	}
	return l.Holder == nil || l.Holder.Process == o.Holder.Process && l.Holder.Renewed.Equal(o.Holder.Renewed)
}

// accept records a confirmed write.
func (k *Keeper) accept(l Ledger, v Version, sent time.Duration) {
	k.mu.Lock()
	k.last, k.version, k.confirmed = l, v, sent
	back := k.away != nil
	k.away = nil
	k.mu.Unlock()
	if back && k.o.Back != nil {
		k.o.Back(l.Epoch)
	}
	k.heard(l)
}

// heard reports a request for the run.
func (k *Keeper) heard(l Ledger) {
	if l.Holder != nil && l.Holder.Asked != nil && k.o.Asked != nil {
		k.o.Asked(*l.Holder.Asked)
	}
}

// unanswered records that the cluster gave no useful answer.
func (k *Keeper) unanswered(ctx context.Context, err error) error {
	var format *FormatError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &format): // another version of csu wrote it
		return k.displace(&DisplacedError{Err: err})
	}
	if !Away(err) {
		return err // such as lost permissions: there is a remedy, so it is not an outage
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away == nil {
		k.outages++
		k.away = &AwayError{Since: k.o.Now()}
	}
	// A new value, since another goroutine may be using the old one.
	k.away = &AwayError{Since: k.away.Since, Err: err}
	return k.away
}

func (k *Keeper) displace(d *DisplacedError) error {
	k.mu.Lock()
	k.displaced = d
	k.mu.Unlock()
	if k.o.Displaced != nil {
		k.o.Displaced(d)
	}
	return d
}

// claim claims the ledger for a process that was started while the cluster was away. It does so only if the
// ledger allows it and no other process may be at work.
func (k *Keeper) claim(ctx context.Context) error {
	l, v, err := read(ctx, k.store, k.timing)
	if err != nil {
		return k.unanswered(ctx, err)
	}
	if h := l.Holder; h != nil && h.Process != "" && h.Run == k.o.Holder.Run && h.Journal != k.o.Holder.Journal {
		// This process has not watched whether that one is at work.
		return k.displace(&DisplacedError{Holder: h, Epoch: l.Epoch, Err: &LiveError{*h, l.Head}})
	}
	if err = k.claimOver(ctx, l, v); errors.Is(err, ErrConflict) {
		return errAgain
	}
	return err
}

// ClaimOver claims the ledger that was just read and judged. [ErrConflict]
// means that it has changed since, and must be judged again.
func (k *Keeper) ClaimOver(ctx context.Context, l Ledger, v Version) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.give()
	return k.claimOver(ctx, l, v)
}

func (k *Keeper) claimOver(ctx context.Context, l Ledger, v Version) error {
	if err := k.o.Claim.Check(&l); err != nil {
		return k.displace(&DisplacedError{Holder: l.Holder, Epoch: l.Epoch, Err: err})
	}
	next := l
	next.Epoch++
	next.Finished = withoutUnlocked(l.Finished, k.o.Holder.Run)
	next.Holder = nil // and with it any request to the process before
	k.o.Holder.Since = k.o.Now().UTC().Round(0)
	k.renewed(&next)
	sent := k.timing.Now()
	written, err := k.write(ctx, next, v)
	if errors.Is(err, ErrLost) {
		now, version, failed := read(ctx, k.store, k.timing)
		switch {
		case failed != nil:
			return k.unanswered(ctx, errors.Join(err, failed))
		case now.Holder == nil || now.Holder.Process != next.Holder.Process:
			return ErrConflict // it did not arrive, or another process was first
		}
		next, written, err = now, version, nil
	}
	switch {
	case errors.Is(err, ErrConflict):
		return err
	case err != nil:
		return k.unanswered(ctx, err)
	}
	k.mu.Lock()
	k.claimed = true
	k.mu.Unlock()
	k.accept(next, written, sent)
	return nil
}

// Epoch returns the epoch at which this process has the ledger; 0 if it has not
// claimed it.
func (k *Keeper) Epoch() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.claimed {
		return 0
	}
	return k.last.Epoch
}
