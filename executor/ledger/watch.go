package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// looks is how often an observer reads a ledger within an interval of renewal.
const looks = 6

// LiveError reports that another process is at work on a run.
type LiveError struct {
	Holder Holder
	Head   Head // how far it has got
}

func (e *LiveError) Error() string {
	h := e.Holder
	return fmt.Sprintf("another csu is at work on this run: that of %q on %s, last heard from at %s; it has reached %s", h.Operator, h.Host, clock(h.Renewed), e.Head.place())
}

// Hint says what the operator can do.
func (e *LiveError) Hint() string {
	h := e.Holder
	return fmt.Sprintf("ask %q to stop it, or have it stopped with csu handover PLAN --to NAME; csu takeover PLAN --reason TEXT --force takes the run from a csu that cannot be stopped", h.Operator)
}

// Watch finds out whether the process that the ledger names is at work, which
// it is if it writes within [Timing.Dead] by the observer's own clock. Watch
// returns the ledger as last seen, and a [*LiveError] if the process writes.
func Watch(ctx context.Context, store Store, timing Timing, l Ledger, v Version) (Ledger, Version, error) {
	if l.Holder == nil || l.Holder.Process == "" {
		return l, v, nil
	}
	for began := timing.Now(); ; {
		left := timing.Dead - (timing.Now() - began)
		if err := timing.Sleep(ctx, min(max(left, 0), timing.Renew/looks)); err != nil {
			return l, v, err
		}
		now, version, err := read(ctx, store, timing)
		switch {
		case err != nil && left > 0:
			continue
		case err != nil:
			return l, v, fmt.Errorf("check whether another csu is at work: %w", err)
		case now.Holder != nil && now.Holder.Process != "" && !now.same(&l):
			return now, version, &LiveError{*now.Holder, now.Head}
		case !now.same(&l) || left <= 0:
			return now, version, nil
		}
	}
}

// Update changes a ledger for a command that carries nothing out. change sees
// the current ledger and may refuse. It is called again if another process has
// written in the meantime, or if an answer was lost.
func Update(ctx context.Context, store Store, timing Timing, change func(*Ledger) error) error {
	for try := 1; ; {
		l, v, err := Read(ctx, store, timing)
		if err != nil {
			return err
		}
		if err := change(&l); err != nil {
			return err
		}
		call, cancel := context.WithTimeout(ctx, timing.Call)
		_, err = store.Write(call, l, v)
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrConflict):
			continue
		case try == tries || timing.Sleep(ctx, time.Duration(try)*time.Second) != nil:
			return err
		}
		try++
	}
}

// withoutUnlocked omits the entry that the site was taken from a run that
// continues.
func withoutUnlocked(finished []Finished, run string) []Finished {
	var rest []Finished
	for _, f := range finished {
		if f.Run != run || f.Outcome != Unlocked {
			rest = append(rest, f)
		}
	}
	return rest
}
