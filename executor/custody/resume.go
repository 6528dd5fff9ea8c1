package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
)

// Admit refuses a run that the ledger does not let continue. If the ledger knows nothing
// of a run that was begun, it asks the operator.
func (c *Custodian) Admit() error {
	l := c.known()
	if l == nil {
		return nil
	}
	claim := c.claim()
	err := claim.Check(l)
	var unknown *ledger.UnknownError
	switch {
	case errors.As(err, &unknown):
		return c.confirmAlone(err.Error())
	case err != nil:
		return exit.RefuseBy("", err)
	}
	return nil
}

// confirmAlone asks the operator to confirm that this is the plan's only run, which
// neither a journal nor a ledger shows.
func (c *Custodian) confirmAlone(why string) error {
	err := c.run.RequireYes(operator.Question{
		Topic: operator.Alone, Title: "Is this the only run of this plan?",
		Text:    "Confirm that this plan has never been carried out elsewhere, and that no other csu is at work on it.",
		Reading: why,
	}, "check with csu status and in the site's channel whether this plan was carried out", "it was not confirmed that this is the only run of the plan")
	c.alone = err == nil
	return err
}

// NeverRun refuses a plan whose run is over according to the record of past runs. If
// neither that record nor the ledger is available, it asks the operator.
func (c *Custodian) NeverRun() error {
	found, err := "", error(ErrNoHistory)
	if c.o.CarriedOut != nil {
		found, err = c.o.CarriedOut()
	}
	switch {
	case err == nil && found != "":
		return exit.Refuse("to do the upgrade again, raise attempt in upgrade.cue and compile a new plan", "this plan was carried out: %s", found)
	case err == nil:
		return nil
	case !errors.Is(err, ErrNoHistory):
		return err
	case c.seen == nil && c.o.SiteMap != "", c.known() != nil:
		return nil
	}
	why := "neither the cluster nor the repository's history shows whether this plan was carried out"
	if c.seen != nil {
		why += ": " + c.seen.away.Error()
	}
	return c.confirmAlone(why)
}

// Resumable refuses a run that is over, or that is not to be resumed by this command:
// resume says whether it is to be resumed at all.
func (c *Custodian) Resumable(resume bool) error {
	s := c.run.State
	rehearsed := s.Run.SiteMap != ""
	switch {
	case s.Ended != "" && rehearsed == (c.o.SiteMap != "") && !s.Released && c.o.Ledger != nil && c.o.Takeover == nil:
		return nil // it is over, but not released
	case s.Ended == journal.Complete:
		return exit.Refuse("to do the upgrade again, raise attempt in upgrade.cue and compile a new plan", "this plan's run %s is complete: it cannot be run again", s.Run.ID)
	case s.Ended == journal.Aborted:
		return exit.Refuse("to do the upgrade again, raise attempt in upgrade.cue and compile a new plan", "this plan's run %s was aborted: it cannot be run again", s.Run.ID)
	case rehearsed != (c.o.SiteMap != ""):
		return exit.Refuse("keep a rehearsal's journal in the folder of its site map", "the run in this journal is %s, but this one would be %s", kindOfRun(rehearsed), kindOfRun(!rehearsed))
	case !resume && s.Begun():
		return exit.Refuse("resume it with csu exec PLAN --resume, or look at it with csu status PLAN", "this plan's run %s was begun on %s and is not finished", s.Run.ID, s.Begin.UTC().Format(time.DateTime)+" UTC")
	}
	return nil
}

func kindOfRun(rehearsed bool) string {
	if rehearsed {
		return "a rehearsal"
	}
	return "a real one"
}

// MayResume refuses a run that another process is working on, or has continued from
// another copy of the journal.
func (c *Custodian) MayResume() error {
	if err := c.Admit(); err != nil {
		return err
	}
	l := c.known()
	if l == nil || c.o.Takeover != nil { // TakeOver has checked it
		return nil
	}
	if to := c.HandedTo(); to != "" && !c.o.Abort {
		return exit.Refuse(fmt.Sprintf("%q resumes it with csu takeover PLAN --reason TEXT; you can do the same to take it back", to), "this run was handed over to %q", to)
	}
	if err := c.unheld(false); err != nil {
		return err
	}
	if err := c.Admit(); err != nil { // the other process may have written during the watch
		return err
	}
	return c.succeed()
}

// Elsewhere returns why, according to the ledger, the run cannot be resumed with the
// local journal; nil if it can.
func (c *Custodian) Elsewhere() error {
	l := c.known()
	if l == nil || c.run.State.Ended != "" {
		return nil
	}
	claim := c.claim()
	claim.Alone = true
	var behind *ledger.BehindError
	if err := claim.Check(l); errors.As(err, &behind) {
		return exit.RefuseBy("", err)
	}
	return nil
}

// unheld makes sure that no other process is at work on the run. This may take some
// minutes, which force skips.
func (c *Custodian) unheld(force bool) error {
	l := c.known()
	if l == nil || l.Holder == nil || l.Holder.Process == "" {
		return nil
	}
	h := *l.Holder
	if c.run.Journal != nil && h.Journal == c.run.Journal.Place() {
		return nil // the lock on this very file was free
	}
	if !force {
		c.run.Notice("the csu of %q on %s may still be at work on this run; csu watches the ledger for up to %s for a sign of it",
			h.Operator, h.Host, c.o.Timing.Dead)
		var now ledger.Ledger
		var v ledger.Version
		var err error
		c.run.BesideUntilEnding(func(ctx context.Context) {
			now, v, err = ledger.Watch(ctx, c.o.Ledger, c.o.Timing, *l, c.seen.version)
		})
		switch {
		case c.run.Halted():
			return owner.ErrEnding
		case err != nil && h.Digest != c.o.Digest:
			return exit.RefuseBy((&ledger.HeldError{Holder: h}).Hint(), err)
		case err != nil:
			return exit.RefuseBy("", err)
		}
		c.seen = &sighting{ledger: now, version: v}
	}
	if now := c.seen.ledger.Holder; now != nil && now.Process != "" {
		c.seen.former = &h
	}
	return nil
}

// succeed asks the operator what nothing here shows: that the former csu is stopped, if
// it did not stop properly, and whether a csu has continued without the cluster.
func (c *Custodian) succeed() error {
	if c.seen.former != nil {
		c.settle = true
		if err := c.formerStopped(c.seen.former); err != nil {
			return err
		}
	}
	if c.seen.former == nil && c.o.Takeover == nil {
		return nil
	}
	q := operator.Question{
		Topic: operator.FormerOutage, Title: "Has another csu worked without the cluster?",
		Text:    "Has another csu carried out steps of this run while the cluster did not answer? If you do not know, answer yes: csu then checks what became of every unfinished step before it starts anything.",
		Choices: []operator.Choice{operator.Yes, operator.No},
	}
	a, err := c.run.AskNow(q)
	if err != nil {
		return err
	}
	c.doubted = a.Choice == operator.Yes
	return nil
}

// formerStopped asks the operator to confirm that a csu without a sign of life is
// stopped, or that it reaches the ledger and so learns that it was displaced.
func (c *Custodian) formerStopped(h *ledger.Holder) error {
	q := operator.Question{
		Topic: operator.Former, Title: "Is the other csu stopped?",
		Text: fmt.Sprintf("Confirm that the csu of %s on %s is stopped: its process has ended, or its machine is off."+
			" If it is not, the ledger keeps it from starting anything, but only while it reaches the cluster.", h.Operator, h.Host),
	}
	if c.o.Takeover != nil && c.o.Takeover.Force {
		q.Title = "Take the run from a csu that may be at work?"
		q.Text = fmt.Sprintf("The csu of %s on %s starts nothing more as soon as the ledger is yours, but it may still be sending something at this moment."+
			" csu waits until that has arrived. Answer yes only if that csu reaches the cluster, or is stopped.", h.Operator, h.Host)
	}
	return c.run.RequireYes(q, fmt.Sprintf("ask %s to stop it, or switch off its machine, then run this command again", h.Operator), "the other csu must be stopped first")
}

// suspect puts every unfinished step in doubt, because another csu may have continued the
// run without the cluster: no journal here records what it did.
func (c *Custodian) suspect() error {
	for step := range c.run.Plan.AllSteps() {
		st := c.run.State.Steps[step.ID]
		if st.Phase.Finished() || st.Suspected && st.Phase.Open() || step.Final() && !c.run.State.Needed(step) && c.run.State.Steps[step.Undoes].Phase.Finished() {
			continue
		}
		n := st.Attempt
		if !st.Phase.Open() {
			n++
		}
		rec := journal.Record{
			Event: journal.Suspected, Stage: step.Stage(), Step: step.ID, Attempt: n,
			Identity: action.Identity(c.run.State.Run.ID, step, n), Text: "another csu may have continued with this while the cluster did not answer",
		}
		if _, err := c.run.Record(rec); err != nil {
			return err
		}
	}
	return nil
}
