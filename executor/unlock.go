package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// Unlock takes the site from the run that has it, and returns that run's holder; nil if
// no run had the site. It first shows the operator how far the run has come, and asks.
// It refuses if a csu is at work on the run. If the run's journal is here, it records
// the reason there first.
func Unlock(ctx context.Context, o Options, reason string) (*ledger.Holder, error) {
	r, seen, err := commanding(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.release()
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
	const changed = "the site's ledger has changed meanwhile"
	if holder = seen.ledger.Holder; holder == nil {
		return nil, r.shut(refuse("look at it with csu status PLAN, then run the command again", changed))
	}
	if err := r.confirmUnlock(seen); err != nil {
		return holder, r.shut(err)
	}
	if r.journal != nil && r.state.Run.ID == holder.Run && r.state.Ended == "" {
		text := fmt.Sprintf("%s takes the site from this run: %s", o.OperatorName, reason)
		if _, err := r.record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return holder, r.shut(err)
		}
	}
	err = r.update(func(l *ledger.Ledger) error {
		h := l.Holder
		if h == nil || h.Run != holder.Run || h.Process != holder.Process || h.Process != "" && !h.Renewed.Equal(holder.Renewed) {
			return refuse("look at it with csu status PLAN, then run the command again", changed)
		}
		l.End(ledger.Finished{
			Digest: h.Digest, Run: h.Run, Plan: h.Plan, Outcome: ledger.Unlocked, Operator: o.OperatorName,
			Time: r.o.Clock.Now().UTC().Round(0), Reason: reason, Head: l.Head.Head,
		})
		return nil
	})
	return holder, r.shut(err)
}

// confirmUnlock shows whose run it is and what stays undone, and asks.
func (r *run) confirmUnlock(seen *sighting) error {
	h, head := seen.ledger.Holder, seen.ledger.Head
	lines := r.leader(seen)
	var s *state.State
	copied, _, err := journal.Unpack(seen.ledger.Copy)
	if err == nil {
		s, err = state.Of(r.o.Plan, r.o.Digest, copied)
	}
	if err != nil { // it is of another plan, or has no copy
		lines = append(lines, fmt.Sprintf("It has reached record %d, stage %q.", head.Seq, head.Stage))
	} else {
		lines = append(lines, progress(seen, s)...)
		for _, st := range s.Owed() {
			lines = append(lines, fmt.Sprintf("Still to be run: %s: %s.", st.Step.ID, st.Step.Title))
		}
	}
	lines = append(lines, "All of that stays as it is. It does not include what a csu may have done without the cluster.")
	err = r.requireYes(operator.Question{
		Topic: operator.Unlocking, Title: fmt.Sprintf("Take %s from its run?", r.o.Plan.Site),
		Text:    fmt.Sprintf("Run %s of plan %q. Unlock a site only if its run will never be resumed: csu abort aborts a run properly.", h.Run, h.Plan),
		Reading: strings.Join(lines, "\n"), Choices: []operator.Choice{operator.Yes, operator.No},
	}, "the site was not unlocked")
	if err != nil || seen.former == nil {
		return err
	}
	return r.formerStopped(seen.former)
}

// HandOver asks the csu that is at work on the plan's run to stop when its running steps
// have finished, so that another operator can take the run over. It returns when that
// csu has stopped, or at once if none is at work. [ErrNothingBegun] means that the other
// operator begins the plan instead.
func HandOver(ctx context.Context, o Options, to string, waiting func(ledger.Holder)) error {
	r, seen, err := commanding(ctx, o)
	if err != nil {
		return err
	}
	defer r.release()
	h := seen.ledger.Holder
	switch {
	case h == nil || h.Digest != o.Digest:
		return refuse("look at the site with csu status PLAN", "no run of this plan has the site")
	case h.Process == "":
		return r.handOverIdle(to)
	}
	err = r.update(func(l *ledger.Ledger) error {
		if l.Holder == nil || l.Holder.Process != h.Process {
			return nil // it has stopped meanwhile
		}
		holder := *l.Holder
		holder.Asked = &ledger.Handover{To: to, By: o.OperatorName}
		l.Holder = &holder
		return nil
	})
	if err != nil {
		return err
	}
	waiting(*h)
	// That csu sees the request with its next write. Until its running steps have
	// finished, it keeps renewing.
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
			return refuse(fmt.Sprintf("call %s; %s can continue the run with csu takeover PLAN --reason TEXT", h.Operator, to),
				"there was no sign of the csu of %q on %s for %s: it may have crashed, hang, or be at work without the cluster", h.Operator, h.Host, plan.Duration(r.o.Timing.Dead))
		}
	}
}

// handedOver returns nil if a run whose csu has stopped was handed over, or else why not.
func (r *run) handedOver(l ledger.Ledger, to string) error {
	switch ended := l.Ended(r.o.Digest); {
	case l.Holder == nil && ended != nil:
		return refuse("look at it with csu status PLAN", "the run was not handed over: %s", ended.Text())
	case l.Holder == nil:
		return ErrNothingBegun
	case l.Holder.To != to:
		return refuse("look at it with csu status PLAN", "the run was not handed over: %q has it now", l.Holder.Operator)
	}
	return nil
}

// ErrNothingBegun reports that nothing was handed over, since no part of the plan had
// been begun. The site is free.
var ErrNothingBegun = errors.New("nothing of the plan had been begun")

// handOverIdle hands over a run that no csu is working on.
func (r *run) handOverIdle(to string) error {
	if err := r.openOwn(); err != nil {
		return r.shut(err)
	}
	if r.journal == nil {
		return refuse(fmt.Sprintf("%s resumes it with csu takeover PLAN --reason TEXT", to), "no csu is at work on the run, and its journal is not here: there is nothing to hand over")
	}
	claim := r.claim()
	err := r.update(func(l *ledger.Ledger) error {
		if err := claim.Check(l); err != nil {
			return refusedBy(err)
		}
		if l.Holder == nil {
			return refuse("look at the site with csu status PLAN", "the site was taken from the run in the meantime")
		}
		if r.handed == "" { // else this is a retry after a conflict
			r.handed = fmt.Sprintf("handed over to %s by %s", to, r.o.OperatorName)
			if _, err := r.recordBeside(journal.Record{Event: journal.Stopped, Text: r.handed}); err != nil {
				return err
			}
		}
		holder := *l.Holder
		holder.To = to
		l.Holder = &holder
		l.Head.Head, l.Head.Time, l.Copy = r.journal.Head(), r.o.Clock.Now().UTC().Round(0), r.journal.Copy().Packed
		return nil
	})
	return r.shut(err)
}

// commanding returns a run for a command that only reads and writes the site's ledger,
// and the ledger as it is now.
func commanding(ctx context.Context, o Options) (*run, *sighting, error) {
	if o.Ledger == nil {
		return nil, nil, &InputError{Reason: "the plan uses no cluster, so its site has no ledger"}
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	if err := r.guard(); err != nil {
		r.release()
		return nil, nil, err
	}
	seen, err := r.look()
	if err == nil && seen.away != nil {
		err = withoutLedger("read the site's ledger", seen.away)
	}
	if err != nil {
		r.release()
		return nil, nil, err
	}
	return r, seen, nil
}

// openOwn opens the local journal, if there is one.
func (r *run) openOwn() error {
	j, _, err := journal.Open(r.o.FS, r.o.Journal, r.state.Take(r.o.Digest))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, journal.ErrEmpty):
		return nil // it is in another clone, or lost
	case err != nil:
		return unwrapped(err)
	}
	r.journal = j
	return nil
}
