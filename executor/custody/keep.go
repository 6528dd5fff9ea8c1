package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/state"
)

// Claim makes the keeper of the ledger, and claims the ledger as it was seen. If the
// cluster does not answer, the first effect claims it.
func (c *Custodian) Claim() error {
	if c.seen == nil {
		return nil
	}
	if c.keeper != nil { // a takeover has claimed it
		c.use(c.run.Journal.Place())
		return nil
	}
	claim := c.claim()
	claim.Alone = true // the operator has confirmed it if necessary
	c.keeper = c.newKeeper(claim)
	c.use(c.run.Journal.Place())
	for c.seen.away == nil { // if it is away, the first effect asks
		err := c.claimSeen()
		var displaced *ledger.DisplacedError
		var away *ledger.AwayError
		switch {
		case c.run.Ctx.Err() != nil, errors.As(err, &away): // an interrupt is seen later
			return nil
		case errors.As(err, &displaced):
			return exit.RefuseBy("", err)
		case !errors.Is(err, ledger.ErrConflict):
			return err
		}
		now, err := c.look()
		switch {
		case c.run.Ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if h, was := now.ledger.Holder, c.seen.ledger.Holder; h != nil && h.Process != "" && (was == nil || h.Process != was.Process || !h.Renewed.Equal(was.Renewed)) {
			return exit.RefuseBy("", &ledger.LiveError{Holder: *h, Head: now.ledger.Head})
		}
		c.seen = now
	}
	return nil
}

// claimSeen claims the ledger as it was seen.
func (c *Custodian) claimSeen() (err error) {
	c.run.Beside(func() { err = c.keeper.ClaimOver(c.run.Ctx, c.seen.ledger, c.seen.version) })
	return err
}

// Rescue saves the journal to a new file if its own was lost during the run.
func (c *Custodian) Rescue() error {
	var lost *journal.LostFileError
	if c.run.Halt == nil || !errors.As(c.run.Halt.Err, &lost) {
		return nil
	}
	name, err := c.run.Journal.Save()
	if err != nil {
		return fmt.Errorf("restore the journal: %w", err)
	}
	c.run.Notice("the journal was restored from memory as %q; the last answer is missing in it and will be asked for again", name)
	at, err := journal.PlaceOf(c.o.FS, name)
	if err != nil {
		return err
	}
	at.Path = c.run.Journal.Place().Path // the operator moves the file back there
	c.use(at)                            // so that a resume recognizes this csu by its lock
	return nil
}

// use makes the ledger copy this run's journal, which is at the place.
func (c *Custodian) use(at journal.Place) {
	if c.keeper == nil {
		return
	}
	c.run.Beside(func() { c.keeper.Use(c.run.Journal, at) })
}

// Start makes sure, before the first stage, that this process has the site's ledger, or
// that the operator continues without it. From now on the ledger is renewed, until
// [Custodian.EndRenewal].
func (c *Custodian) Start() error {
	if c.keeper == nil {
		return nil
	}
	c.renew()
	var err error
	head := c.run.Journal.Head().Seq
	if c.run.Beside(func() { err = c.Keep(c.run.Ctx, head) }); err != nil {
		if c.run.Halted() {
			return nil // an interrupt is seen later
		}
		return exit.RefuseBy("check that the cluster is reachable, then run the command again", err)
	}
	if epoch := c.keeper.Epoch(); epoch > 0 {
		text := fmt.Sprintf("the site's ledger is this run's, epoch %d", epoch)
		if _, err := c.run.Record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return err
		}
	}
	if c.run.State.Settle {
		wait := c.o.Timing.Fresh + c.o.Timing.Request
		c.run.Notice("csu waits %s, so that all requests of the other csu have arrived", wait)
		c.run.BesideUntilEnding(func(ctx context.Context) { err = c.o.Timing.Sleep(ctx, wait) })
		if err != nil {
			return nil // an interrupt is seen later
		}
	}
	if c.run.State.Doubted {
		return c.suspect()
	}
	return nil
}

// renew starts to renew the ledger, until EndRenewal.
func (c *Custodian) renew() {
	ctx, cancel := context.WithCancel(c.run.Ctx)
	c.endRenew, c.renewing = cancel, make(chan struct{})
	go func() {
		defer close(c.renewing)
		c.keeper.Renew(ctx)
	}()
}

// EndRenewal stops the renewal, and returns when it has stopped.
func (c *Custodian) EndRenewal() {
	if c.renewing != nil {
		c.endRenew()
		for !c.run.Wait(c.renewing) {
		}
	}
}

// newKeeper returns the keeper of a ledger that is about to be claimed.
func (c *Custodian) newKeeper(claim ledger.Claim) *ledger.Keeper {
	return ledger.NewKeeper(c.o.Ledger, c.o.Timing, ledger.Options{
		Claim: claim, Now: c.run.Clock.Now,
		Holder: ledger.Holder{
			Run: claim.Run, Plan: c.o.PlanFile, Digest: c.o.Digest, Operator: c.run.OperatorName, Host: c.host, Process: c.process,
		},
		Stage:     c.stageNow,
		Away:      c.stillAway,
		Back:      c.back,
		Displaced: c.displaced,
		Asked: func(h ledger.Handover) {
			c.run.Do(func() {
				c.run.Stop(owner.Halt{End: owner.HandedOver, Text: fmt.Sprintf("handed over to %s at the request of %s", h.To, h.By), To: h.To})
			})
		},
	})
}

// stageNow returns the run's current stage, for people who read the ledger.
func (c *Custodian) stageNow() string {
	id := ""
	c.run.Do(func() {
		if s := c.run.State.Stage(); s != nil {
			id = s.Stage.ID
		}
	})
	return id
}

// Pass is the gate of every effect.
func (c *Custodian) Pass(ctx context.Context) error { return c.Keep(ctx, 0) }

// Keep returns when the ledger has the journal up to record seq and effects may be sent,
// or when the operator has agreed to continue without the ledger.
func (c *Custodian) Keep(ctx context.Context, seq int) error {
	if c.keeper == nil {
		return nil
	}
	for {
		err := c.keeper.Keep(ctx, seq)
		var away *ledger.AwayError
		if err == nil || !errors.As(err, &away) || owner.Asking(ctx) {
			return err
		}
		if agreed, err := c.without(ctx); err != nil || agreed {
			if err != nil {
				c.run.Do(func() { c.outage.closed = true })
			}
			return err
		}
	}
}

// Release releases the site at the end of the run, in the process that has ended it or
// in a later one. Until that succeeds, the run is over, but not released.
func (c *Custodian) Release() error {
	if c.o.Ledger == nil {
		return nil
	}
	outcome := ledger.Complete
	if c.run.State.Ended == journal.Aborted {
		outcome = ledger.Aborted
	}
	var err error
	if c.keeper != nil {
		c.EndRenewal()
		c.run.Beside(func() { err = c.keeper.Finish(context.WithoutCancel(c.run.Ctx), outcome) })
	} else {
		err = c.releaseLater(outcome)
	}
	if err == nil {
		_, err = c.run.Record(journal.Record{Event: journal.Released, Text: "the site's ledger has the finished run"})
	}
	return err
}

// releaseLater releases the site of a run that ended in another process.
func (c *Custodian) releaseLater(outcome ledger.Outcome) error {
	f := ledger.Finished{
		Digest: c.o.Digest, Run: c.run.State.Run.ID, Plan: c.o.PlanFile, Outcome: outcome, Operator: c.run.OperatorName,
		Time: c.run.Clock.Now().UTC().Round(0), Head: c.run.Journal.Head(),
	}
	claim := c.claim()
	claim.Alone = true
	err := c.update(func(l *ledger.Ledger) error {
		err := claim.Check(l)
		var ended *ledger.EndedError
		if errors.As(err, &ended) && ended.Finished.Run == f.Run && ended.Finished.Outcome == f.Outcome {
			err = nil // it was released, and csu crashed before it could record that
		}
		if err == nil {
			l.End(f)
		}
		return err
	})
	if err != nil {
		return withoutLedger("the run is over, but the site's ledger does not say so yet", err)
	}
	return nil
}

// Shut closes the journal of a run that cannot start because of err, which it returns.
func (c *Custodian) Shut(err error) error {
	c.EndRenewal()
	// What the next csu has to doubt or wait for may not be recorded anywhere yet. In
	// that case the ledger keeps saying, as after a crash, that this csu did not stop
	// properly.
	if c.keeper != nil && !c.settle && !c.doubted {
		err = errors.Join(err, c.lastly(true, func(ctx context.Context) error { return c.keeper.Stop(ctx, "") }))
	}
	if c.run.Journal == nil {
		return err
	}
	return errors.Join(err, c.run.Journal.Close())
}

// Leave makes this process's last write to the ledger. After that, a run that is not over
// can be resumed anywhere, if it succeeds.
func (c *Custodian) Leave() error {
	if c.keeper == nil || c.run.State.Ended != "" {
		return nil
	}
	hurry := c.run.Ctx.Err() != nil
	sent := slices.ContainsFunc(c.run.State.In(state.Started), func(st *state.Step) bool { return !st.Step.Effects(c.run.Plan).ReadOnly })
	switch to := c.run.Halt.To; {
	case !c.run.State.Begun(): // so the site is free
		return c.lastly(hurry, c.keeper.Forget)
	case hurry && sent: // requests may still take effect
		return c.lastly(hurry, c.keeper.Leave)
	default:
		return c.lastly(hurry, func(ctx context.Context) error { return c.keeper.Stop(ctx, to) })
	}
}

// lastly writes to the ledger even if the run was cancelled; in a hurry it tries only for
// the length of [owner.Patience]. That another process has the ledger is no error: the
// run's own message says so.
func (c *Custodian) lastly(hurry bool, write func(context.Context) error) (err error) {
	ctx := context.WithoutCancel(c.run.Ctx)
	if hurry {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, owner.Patience)
		defer cancel()
	}
	c.run.Beside(func() { err = write(ctx) })
	var displaced *ledger.DisplacedError
	if errors.As(err, &displaced) {
		return nil
	}
	return err
}
