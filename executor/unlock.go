package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
)

// Unlock takes the site from the run that has it, and returns who that was; nil
// where no run had it. A run that somebody is at work on is refused. Where the
// run's journal is at hand, the reason is recorded there first.
func Unlock(ctx context.Context, o Options, reason string) (*ledger.Holder, error) {
	r, seen, err := commanding(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.cancel(nil)
	holder := seen.ledger.Holder
	if holder == nil {
		return nil, nil
	}
	if err := r.openOwn(); err != nil {
		return holder, r.shut(err)
	}
	if err := r.unheld(seen, false); err != nil {
		return holder, r.shut(err)
	}
	if r.journal != nil && r.state.Run.ID == holder.Run && r.state.Ended == "" {
		text := fmt.Sprintf("%s takes the site from this run: %s", o.Name, reason)
		if err := r.record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return holder, r.shut(err)
		}
	}
	err = ledger.Update(ctx, o.Ledger, r.o.Timing, func(l *ledger.Ledger) error {
		h := l.Holder
		if h == nil || h.Run != holder.Run || h.Process != holder.Process {
			return refuse("look at it with csu status, then run the command again", "the site's ledger has changed meanwhile")
		}
		l.End(ledger.Finished{
			Digest: h.Digest, Run: h.Run, Plan: h.Plan, Outcome: ledger.Unlocked, Operator: o.Name,
			Time: r.o.Clock.Now().UTC().Round(0), Head: l.Head.Head,
		})
		return nil
	})
	return holder, r.shut(err)
}

// HandOver has the csu that is at work on the plan's run stop, when what runs has
// finished, for somebody else to take the run over. It returns when that csu has
// stopped, or at once where none is at work.
func HandOver(ctx context.Context, o Options, to string, waiting func(ledger.Holder)) error {
	r, seen, err := commanding(ctx, o)
	if err != nil {
		return err
	}
	defer r.cancel(nil)
	h := seen.ledger.Holder
	switch {
	case h == nil || h.Digest != o.Digest:
		return refuse("look at the site with csu status", "no run of this plan has the site")
	case h.Process == "":
		return r.handOverIdle(to)
	}
	err = ledger.Update(ctx, o.Ledger, r.o.Timing, func(l *ledger.Ledger) error {
		if l.Holder == nil || l.Holder.Process != h.Process {
			return nil // it has stopped meanwhile
		}
		holder := *l.Holder
		holder.Asked = &ledger.Handover{To: to, By: o.Name}
		l.Holder = &holder
		return nil
	})
	if err != nil {
		return err
	}
	waiting(*h)
	// It sees the request with its next write, and then lets finish what runs; until
	// then it renews.
	renewed, heard := h.Renewed, r.o.Timing.Now()
	for {
		if err := r.o.Timing.Sleep(ctx, min(r.o.Timing.Renew/6, 5*time.Second)); err != nil {
			return err
		}
		now, err := r.look()
		switch {
		case err != nil:
			return err
		case now.away != nil:
			continue
		case now.ledger.Holder == nil || now.ledger.Holder.Process != h.Process:
			return r.handedOver(now.ledger, to)
		case !now.ledger.Holder.Renewed.Equal(renewed):
			renewed, heard = now.ledger.Holder.Renewed, r.o.Timing.Now()
		case r.o.Timing.Now()-heard > r.o.Timing.Dead:
			return refuse(fmt.Sprintf("%s can continue it with csu takeover", to), "the csu of %q on %s was not heard for %s: it is not at work any more", h.Operator, h.Host, r.o.Timing.Dead)
		}
	}
}

func (r *run) handedOver(l ledger.Ledger, to string) error {
	if l.Holder == nil {
		return refuse("", "the run has ended before it could be handed over")
	}
	if l.Holder.To != to {
		return refuse("look at the site with csu status", "the run was not handed over: %q has it now", l.Holder.Operator)
	}
	return nil
}

// handOverIdle hands over a run that nobody is at work on.
func (r *run) handOverIdle(to string) error {
	if err := r.openOwn(); err != nil {
		return r.shut(err)
	}
	if r.journal == nil {
		return refuse(fmt.Sprintf("%s resumes it with csu takeover", to), "no csu is at work on the run, and its journal is not here: there is nothing to hand over")
	}
	err := ledger.Update(r.ctx, r.o.Ledger, r.o.Timing, func(l *ledger.Ledger) error {
		claim := r.claim()
		if err := claim.Check(l); err != nil {
			return &RefusedError{Err: err, Hint: hintOf(err)}
		}
		if l.Holder == nil {
			return refuse("look at the site with csu status", "the site was taken from the run meanwhile")
		}
		if r.handed == "" { // else the ledger was written meanwhile
			r.handed = fmt.Sprintf("handed over to %s by %s", to, r.o.Name)
			if err := r.record(journal.Record{Event: journal.Stopped, Text: r.handed}); err != nil {
				return err
			}
		}
		holder := *l.Holder
		holder.To = to
		l.Holder = &holder
		l.Head.Head, l.Copy = r.journal.Head(), r.journal.Copy().Packed
		return nil
	})
	return r.shut(err)
}

// commanding makes what a command needs that reads and writes the site's ledger
// and carries nothing out.
func commanding(ctx context.Context, o Options) (*run, *sighting, error) {
	if o.Ledger == nil {
		return nil, nil, &InputError{Reason: "the plan uses no cluster, so its site has no ledger"}
	}
	if err := Guard(o.Plan, o.Systems, o.SiteMap != ""); err != nil {
		return nil, nil, err
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	seen, err := r.look()
	if err == nil && seen.away != nil {
		err = &RefusedError{Reason: "the site's ledger cannot be read", Err: seen.away, Hint: "check that the cluster is reachable, then run the command again"}
	}
	if err != nil {
		r.cancel(nil)
		return nil, nil, err
	}
	return r, seen, nil
}

// openOwn opens the journal that is here, if one is.
func (r *run) openOwn() error {
	j, _, err := journal.Open(r.o.FS, r.o.Journal, r.state.fold(r.o.Digest))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, journal.ErrEmpty):
		return nil // it is in another clone, or lost
	case err != nil:
		return classify(err)
	}
	r.journal = j
	return nil
}
