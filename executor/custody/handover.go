package custody

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
)

// HandOver asks the csu that is at work on the plan's run to stop when its running steps
// have finished, so that another operator can take the run over. It returns when that
// csu has stopped, or at once if none is at work. [ErrNothingBegun] means that the other
// operator begins the plan instead.
func (c *Custodian) HandOver(to string, waiting func(ledger.Holder)) error {
	if err := c.mustLook(); err != nil {
		return err
	}
	h := c.seen.ledger.Holder
	switch {
	case h == nil || h.Digest != c.o.Digest:
		return exit.Refuse("look at the site with csu status PLAN", "no run of this plan has the site")
	case h.Process == "":
		return c.handOverIdle(to)
	}
	err := c.update(func(l *ledger.Ledger) error {
		if l.Holder == nil || l.Holder.Process != h.Process {
			return nil // it has stopped meanwhile
		}
		holder := *l.Holder
		holder.Asked = &ledger.Handover{To: to, By: c.run.OperatorName}
		l.Holder = &holder
		return nil
	})
	if err != nil {
		return err
	}
	waiting(*h)
	// That csu sees the request with its next write. Until its running steps have
	// finished, it keeps renewing.
	renewed, heard := h.Renewed, c.o.Timing.Now()
	for {
		c.run.BesideUntilEnding(func(ctx context.Context) {
			err = c.o.Timing.Sleep(ctx, min(c.o.Timing.Renew/6, 5*time.Second))
		})
		if err != nil {
			return err
		}
		now, err := c.look()
		switch {
		case err != nil:
			return err
		case now.away != nil:
			continue
		case now.ledger.Holder == nil || now.ledger.Holder.Process != h.Process:
			return c.handedOver(now.ledger, to)
		case !now.ledger.Holder.Renewed.Equal(renewed):
			renewed, heard = now.ledger.Holder.Renewed, c.o.Timing.Now()
		case c.o.Timing.Now()-heard > c.o.Timing.Dead:
			return exit.Refuse(fmt.Sprintf("call %s; %s can continue the run with csu takeover PLAN --reason TEXT", h.Operator, to),
				"there was no sign of the csu of %q on %s for %s: it may have crashed, hang, or be at work without the cluster", h.Operator, h.Host, plan.Duration(c.o.Timing.Dead))
		}
	}
}

// handedOver returns nil if a run whose csu has stopped was handed over, or else why not.
func (c *Custodian) handedOver(l ledger.Ledger, to string) error {
	switch ended := l.Ended(c.o.Digest); {
	case l.Holder == nil && ended != nil:
		return exit.Refuse("look at it with csu status PLAN", "the run was not handed over: %s", ended.Text())
	case l.Holder == nil:
		return ErrNothingBegun
	case l.Holder.To != to:
		return exit.Refuse("look at it with csu status PLAN", "the run was not handed over: %q has it now", l.Holder.Operator)
	}
	return nil
}

// ErrNothingBegun reports that nothing was handed over, since no part of the plan had
// been begun. The site is free.
var ErrNothingBegun = errors.New("nothing of the plan had been begun")

// handOverIdle hands over a run that no csu is working on.
func (c *Custodian) handOverIdle(to string) error {
	if err := c.openOwn(); err != nil {
		return c.Shut(err)
	}
	if c.run.Journal == nil {
		return exit.Refuse(fmt.Sprintf("%s resumes it with csu takeover PLAN --reason TEXT", to), "no csu is at work on the run, and its journal is not here: there is nothing to hand over")
	}
	claim := c.claim()
	err := c.update(func(l *ledger.Ledger) error {
		if err := claim.Check(l); err != nil {
			return exit.RefuseBy("", err)
		}
		if l.Holder == nil {
			return exit.Refuse("look at the site with csu status PLAN", "the site was taken from the run in the meantime")
		}
		if c.handed == "" { // else this is a retry after a conflict
			c.handed = fmt.Sprintf("handed over to %s by %s", to, c.run.OperatorName)
			if _, err := c.run.RecordBeside(journal.Record{Event: journal.Stopped, Text: c.handed}); err != nil {
				return err
			}
		}
		holder := *l.Holder
		holder.To = to
		l.Holder = &holder
		l.Head.Head, l.Head.Time, l.Copy = c.run.Journal.Head(), c.run.Clock.Now().UTC().Round(0), c.run.Journal.Copy().Packed
		return nil
	})
	return c.Shut(err)
}

// mustLook reads the site's ledger for a command that is about the ledger alone.
func (c *Custodian) mustLook() error {
	if c.o.Ledger == nil {
		return exit.Unusable("", "the plan uses no cluster, so its site has no ledger")
	}
	err := c.Look()
	if err == nil && c.seen.away != nil {
		err = withoutLedger("read the site's ledger", c.seen.away)
	}
	return err
}

// openOwn opens the local journal, if there is one; it may be in another clone, or lost.
func (c *Custodian) openOwn() error {
	_, err := c.OpenJournal()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, journal.ErrEmpty) {
		return nil
	}
	return err
}
