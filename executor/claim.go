package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// NewLedger returns the store of the site's ledger in its cluster, or nil if the plan
// uses no cluster.
func NewLedger(p *plan.Plan, s *action.Systems) ledger.Store {
	if s.Cluster == nil {
		return nil
	}
	return ledger.In(s.Cluster, p.LedgerName())
}

// sighting is the site's ledger as it was read before the run continues.
type sighting struct {
	ledger  ledger.Ledger
	version ledger.Version
	away    error // why it could not be read; nil if it was read
	// former is the process that was at work and did not stop properly; nil if there
	// was none, or if the lock on its journal shows that it is dead.
	former *ledger.Holder
}

// look reads the site's ledger; it returns nil if there is none.
func (r *run) look() (*sighting, error) {
	if r.o.Ledger == nil {
		return nil, nil
	}
	var l ledger.Ledger
	var v ledger.Version
	var err error
	r.beside(func() { l, v, err = ledger.Read(r.ctx, r.o.Ledger, r.o.Timing) })
	switch {
	case err == nil:
		return &sighting{ledger: l, version: v}, nil
	case r.ctx.Err() != nil:
		return nil, errEnding
	case !ledger.Away(err):
		return nil, refusedBy(err)
	}
	return &sighting{away: err}, nil
}

// claim returns what entitles this process to the ledger; without a journal, what
// entitles it to begin a run.
func (r *run) claim() ledger.Claim {
	c := ledger.Claim{Run: r.state.Run.ID, Plan: r.o.PlanFile, Digest: r.o.Digest, Begun: r.state.Begun(), Alone: r.alone}
	if r.journal != nil {
		c.Has, c.Seq = r.journal.Has, r.journal.Head().Seq
	}
	return c
}

// admitted refuses a run that the ledger does not let continue. If the ledger knows
// nothing of a run that was begun, it asks the operator.
func (r *run) admitted(s *sighting) error {
	if s == nil || s.away != nil {
		return nil
	}
	c := r.claim()
	err := c.Check(&s.ledger)
	var unknown *ledger.UnknownError
	if errors.As(err, &unknown) {
		return r.confirmAlone(err.Error())
	}
	if err != nil {
		return refusedBy(err)
	}
	return nil
}

// confirmAlone asks the operator to confirm that this is the plan's only run, which
// neither a journal nor a ledger shows.
func (r *run) confirmAlone(why string) error {
	q := operator.Question{
		Topic: operator.Alone, Title: "Is this the only run of this plan?",
		Text:    "Confirm that this plan has never been carried out elsewhere, and that no other csu is at work on it.",
		Reading: why, Choices: []operator.Choice{operator.Yes, operator.No},
	}
	a, err := r.askNow(q)
	switch {
	case err != nil:
		return err
	case a.Choice != operator.Yes:
		return refuse("check with csu status and in the site's channel whether this plan was carried out", "%s did not confirm that this is the only run of the plan", a.By)
	}
	r.alone = true
	return nil
}

// unheld makes sure that no other process is at work on the run. This may take some
// minutes, which force skips.
func (r *run) unheld(s *sighting, force bool) error {
	if s == nil || s.away != nil || s.ledger.Holder == nil || s.ledger.Holder.Process == "" {
		return nil
	}
	h := *s.ledger.Holder
	if r.journal != nil && h.Journal == r.journal.Place() {
		return nil // the lock on this very file was free
	}
	if !force {
		r.notice("the csu of %q on %s may still be at work on this run; csu watches the ledger for up to %s for a sign of it",
			h.Operator, h.Host, r.o.Timing.Dead)
		var l ledger.Ledger
		var v ledger.Version
		var err error
		r.beside(func() { l, v, err = ledger.Watch(r.ctx, r.o.Ledger, r.o.Timing, s.ledger, s.version) })
		if r.ctx.Err() != nil {
			return errEnding
		}
		if err != nil && h.Digest != r.o.Digest {
			return &RefusedError{Err: err, Remedy: (&ledger.HeldError{Holder: h}).Hint()}
		}
		if err != nil {
			return refusedBy(err)
		}
		s.ledger, s.version = l, v
	}
	if s.ledger.Holder != nil && s.ledger.Holder.Process != "" {
		s.former = &h
	}
	return nil
}

// keepLedger makes the keeper of the ledger, and claims the ledger as it was sighted. If
// the cluster does not answer, the first effect claims it.
func (r *run) keepLedger(s *sighting) error {
	if s == nil {
		return nil
	}
	if r.keeper != nil { // a takeover has claimed it
		r.keeperUses(r.journal.Place())
		return nil
	}
	claim := r.claim()
	claim.Alone = true // the operator has confirmed it if necessary
	r.keeper = r.newKeeper(claim)
	r.keeperUses(r.journal.Place())
	if s.away != nil {
		return nil
	}
	for {
		err := r.claimOver(s)
		if r.ctx.Err() != nil {
			return nil // interrupted; drive sees that
		}
		if !errors.Is(err, ledger.ErrConflict) {
			var displaced *ledger.DisplacedError
			if errors.As(err, &displaced) {
				return refusedBy(err)
			}
			var away *ledger.AwayError
			if errors.As(err, &away) {
				return nil // the first effect asks
			}
			return err
		}
		now, err := r.look()
		switch {
		case r.ctx.Err() != nil:
			return nil // interrupted; drive sees that
		case err != nil:
			return err
		case now.away != nil:
			return nil // the first effect asks
		}
		if h, was := now.ledger.Holder, s.ledger.Holder; h != nil && h.Process != "" && (was == nil || h.Process != was.Process || !h.Renewed.Equal(was.Renewed)) {
			err := &ledger.LiveError{Holder: *h, Head: now.ledger.Head}
			return refusedBy(err)
		}
		s.ledger, s.version = now.ledger, now.version
	}
}

// claimOver claims the ledger as it was sighted.
func (r *run) claimOver(s *sighting) (err error) {
	r.beside(func() { err = r.keeper.ClaimOver(r.ctx, s.ledger, s.version) })
	return err
}

// keeperUses makes the keeper copy this run's journal, which is at the place.
func (r *run) keeperUses(at journal.Place) {
	r.beside(func() { r.keeper.Use(r.journal, at) })
}

// renew starts to renew the ledger, until endRenewal.
func (r *run) renew() {
	ctx, cancel := context.WithCancel(r.ctx)
	r.endRenew, r.renewing = cancel, make(chan struct{})
	go func() {
		defer close(r.renewing)
		r.keeper.Renew(ctx)
	}()
}

// endRenewal stops the renewal, and returns when it has stopped.
func (r *run) endRenewal() {
	if r.renewing != nil {
		r.endRenew()
		for !r.wait(r.renewing) {
		}
	}
}

// newKeeper returns the keeper of a ledger that is about to be claimed.
func (r *run) newKeeper(claim ledger.Claim) *ledger.Keeper {
	return ledger.NewKeeper(r.o.Ledger, r.o.Timing, ledger.Options{
		Claim: claim, Now: r.o.Clock.Now,
		Holder: ledger.Holder{
			Run: claim.Run, Plan: r.o.PlanFile, Digest: r.o.Digest, Operator: r.o.OperatorName, Host: r.host, Process: r.process,
		},
		Stage:     r.stageNow,
		Away:      r.stillAway,
		Back:      r.back,
		Displaced: r.displaced,
		Asked: func(h ledger.Handover) {
			r.do(func() {
				r.stop(halt{end: HandedOver, text: fmt.Sprintf("handed over to %s at the request of %s", h.To, h.By), to: h.To})
			})
		},
	})
}

// stageNow returns the run's current stage, for people who read the ledger.
func (r *run) stageNow() string {
	id := ""
	r.do(func() {
		if s := r.state.Stage(); s != nil {
			id = s.Stage.ID
		}
	})
	return id
}

// pass is the gate of every effect.
func (r *run) pass(ctx context.Context) error { return r.keep(ctx, 0) }

// keep returns when the ledger has the journal up to record seq and effects may be sent,
// or when the operator has agreed to continue without the ledger.
func (r *run) keep(ctx context.Context, seq int) error {
	if r.keeper == nil {
		return nil
	}
	for {
		err := r.keeper.Keep(ctx, seq)
		var away *ledger.AwayError
		if err == nil || !errors.As(err, &away) {
			return err
		}
		if agreed, err := r.without(ctx); err != nil || agreed {
			if err != nil {
				r.do(func() { r.outage.closed = true })
			}
			return err
		}
	}
}

// without asks, once in each outage, whether the run may continue without the ledger. A
// recovery may without being asked, since the cluster may be what is being recovered. It
// returns false if the cluster answers again.
func (r *run) without(ctx context.Context) (agreed bool, err error) {
	away, n := r.keeper.Outage()
	if away == nil {
		return false, nil
	}
	// A resumed journal may be out of date, which only the ledger shows.
	newest := r.keeper.Epoch() > 0 || r.begun
	text := fmt.Sprintf("the run continues without the site's ledger, as a recovery may: make sure that no other csu is at work on the site. %v", away)
	recovery := false
	over := !r.do(func() {
		agreed = r.outage.agreed == n
		if recovery = !agreed && newest && r.o.Plan.Type == plan.Recovery && !r.state.Aborting; !recovery {
			return
		}
		if _, err = r.record(journal.Record{Event: journal.Guarded, Text: text}); err == nil {
			r.continueWithout(n)
			agreed = true
		}
	})
	switch {
	case over:
		return false, errOver
	case recovery && agreed:
		r.notice("%s", text)
	}
	if agreed || err != nil {
		return agreed, err
	}
	text = "Continue without the site's ledger? Until the cluster answers again, nothing keeps another csu from working on the site, and a colleague who takes over cannot see what was done." +
		" Answer yes only if you know that no other csu is at work"
	if !newest {
		text += ", and that no other csu has continued this run from another copy of its journal"
	}
	a, err := r.askIf(ctx, func(context.Context, bool) (operator.Question, bool) {
		now, again := r.keeper.Outage()
		wanted := now != nil && again == n
		r.do(func() { wanted = wanted && r.outage.agreed != n })
		return operator.Question{
			Topic: operator.Outage, Title: "The cluster does not answer",
			Text:    text + ".",
			Reading: fmt.Sprint(now), Choices: []operator.Choice{operator.Yes, operator.Stop},
		}, wanted
	})
	switch {
	case errors.Is(err, errUnwanted):
		return false, nil
	case err != nil:
		return false, err
	case a.Choice != operator.Yes:
		return false, away
	}
	return r.do(func() { r.continueWithout(n) }), nil
}

// continueWithout lets the run continue without the ledger in this outage.
func (r *run) continueWithout(outage int) {
	r.outage.agreed = outage
	if away, _ := r.keeper.Outage(); away != nil && r.outage.withheld.IsZero() {
		r.outage.withheld = away.Since
	}
}

// stillAway explains the outage to the operator when the first renewal fails, and reports
// at each later one that it continues.
func (r *run) stillAway(away *ledger.AwayError) {
	_, n := r.keeper.Outage()
	var agreed, explained bool
	r.do(func() {
		agreed, explained = r.outage.agreed == n, r.outage.explained == n
		r.outage.explained = n
	})
	since := away.Since.UTC().Format("15:04:05")
	if explained {
		how := ""
		if agreed {
			how = "; the run continues WITHOUT THE SITE'S LEDGER"
		}
		r.notice("the cluster still does not answer (since %s)%s", since, how)
		return
	}
	how := "nothing is sent until it answers or you agree to continue without it"
	if agreed {
		how = "the run continues WITHOUT THE SITE'S LEDGER: make sure that no other csu is at work on the site"
	}
	r.notice("the cluster has not answered since %s; %s: %v", since, how, away.Err)
}

func (r *run) back(epoch int) {
	text := fmt.Sprintf("the cluster answers again, and the site's ledger is still this run's (epoch %d)", epoch)
	r.notice("%s", text)
	r.do(func() {
		r.outage.withheld = time.Time{} // the ledger has everything now
		if r.state.Ended == "" {
			_, _ = r.record(journal.Record{Event: journal.Guarded, Text: text}) // a journal that fails stops the run by itself
		}
	})
}

// displaced ends a run that another process has taken over. It does not wait for running
// steps, since nothing more may be done here.
func (r *run) displaced(d *ledger.DisplacedError) {
	r.do(func() { r.stopDisplaced(d) })
	r.cancel(d)
}

func (r *run) stopDisplaced(d *ledger.DisplacedError) {
	hint, who := exit.HintOf(d), "the people in the site's channel"
	if d.Holder != nil {
		who = fmt.Sprintf("%q", d.Holder.Operator)
	}
	switch did := r.didAlone(); {
	case did != "":
		hint = fmt.Sprintf("tell %s what this csu did without the ledger: %s; keep this journal, the only one that records it", who, did)
	case d.Holder != nil && d.Holder.Digest != r.o.Digest:
		hint = (&ledger.HeldError{Holder: *d.Holder}).Hint()
	case d.Err == nil && d.Holder != nil:
		hint = fmt.Sprintf("ask %s; to have the run handed back: csu handover PLAN --to %q, then csu takeover PLAN --reason TEXT", who, r.o.OperatorName)
	}
	r.stop(halt{end: Halted, err: &RefusedError{Err: d, Remedy: cmp.Or(hint, "ask in the site's channel who did this, then resume with csu exec PLAN --resume")}})
}

// didAlone names the steps that this csu has begun or finished while the run continued
// without the ledger; "" for none.
func (r *run) didAlone() string {
	if r.outage.withheld.IsZero() {
		return ""
	}
	var did []string
	for step := range r.o.Plan.AllSteps() {
		if st := r.state.Steps[step.ID]; st.Attempt > 0 && !st.Since.Before(r.outage.withheld) {
			did = append(did, fmt.Sprintf("%s (%s)", step.ID, st.Phase))
		}
	}
	if did == nil {
		return ""
	}
	return fmt.Sprintf("since %s UTC %s", r.outage.withheld.UTC().Format(time.TimeOnly), strings.Join(did, ", "))
}

// suspect puts every unfinished step in doubt, because another csu may have continued the
// run without the cluster: no journal here records what it did.
func (r *run) suspect() error {
	for step := range r.o.Plan.AllSteps() {
		st := r.state.Steps[step.ID]
		if st.Phase.Finished() || st.Suspected && st.Phase.Open() || final(step) && !r.state.Needed(step) && r.state.Steps[step.Undoes].Phase.Finished() {
			continue
		}
		n := st.Attempt
		if !st.Phase.Open() {
			n++
		}
		rec := journal.Record{
			Event: journal.Suspected, Stage: stageOf(step), Step: step.ID, Attempt: n,
			Identity: identity(r.state.Run.ID, step, n), Text: "another csu may have continued with this while the cluster did not answer",
		}
		if _, err := r.record(rec); err != nil {
			return err
		}
	}
	return nil
}

// releaseSite releases the site at the end of the run. Until that succeeds, the run is
// over, but not released.
func (r *run) releaseSite() error {
	if r.keeper == nil {
		return nil
	}
	outcome := ledger.Complete
	if r.state.Ended == journal.Aborted {
		outcome = ledger.Aborted
	}
	var err error
	if r.beside(func() { err = r.keeper.Finish(context.WithoutCancel(r.ctx), outcome) }); err == nil {
		_, err = r.record(journal.Record{Event: journal.Released, Text: released})
	}
	return err
}

// releaseLater releases the site of a run that ended in another process.
func (r *run) releaseLater() error {
	s, head := r.state, r.journal.Head()
	f := ledger.Finished{
		Digest: r.o.Digest, Run: s.Run.ID, Plan: r.o.PlanFile, Outcome: ledger.Complete, Operator: r.o.OperatorName,
		Time: r.o.Clock.Now().UTC().Round(0), Head: head,
	}
	if s.Ended == journal.Aborted {
		f.Outcome = ledger.Aborted
	}
	claim := r.claim()
	claim.Alone = true
	err := r.update(func(l *ledger.Ledger) error {
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
	_, err = r.record(journal.Record{Event: journal.Released, Text: released})
	return err
}

// update changes the ledger, beside the owner.
func (r *run) update(change func(*ledger.Ledger) error) (err error) {
	r.beside(func() { err = ledger.Update(r.ctx, r.o.Ledger, r.o.Timing, change) })
	return err
}

const released = "the site's ledger has the finished run"
