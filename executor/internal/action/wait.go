package action

import (
	"context"
	"errors"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

// budget is what is left of an attempt's time limit, for actions that wait more
// than once.
type budget struct {
	clock *clock.Clock
	left  time.Duration // in the run's time
}

func (a *Attempt) budget() *budget {
	return &budget{clock: a.Systems.Clock, left: a.Limit}
}

// poll is [clock.Clock.Poll] with the remaining time as its limit.
func (b *budget) poll(ctx context.Context, every time.Duration, look func(context.Context) (bool, error)) error {
	return b.within(ctx, every, b.left, look)
}

// within polls for at most limit, and no longer than the remaining time.
func (b *budget) within(ctx context.Context, every, limit time.Duration, look func(context.Context) (bool, error)) error {
	var looks time.Duration
	err := b.clock.Poll(ctx, every, min(limit, b.left), func(ctx context.Context) (bool, error) {
		looks++
		return look(ctx)
	})
	b.left = max(0, b.left-(looks-1)*every)
	return err
}

// reporter reports progress without repeating itself, since a poll mostly finds
// the same again.
type reporter struct {
	report func(format string, args ...any)
	last   string
}

func (a *Attempt) reporter() *reporter { return &reporter{report: a.Progress} }

func (r *reporter) say(text string) {
	if text != "" && text != r.last {
		r.last = text
		r.report("%s", text)
	}
}

// unfinished returns the finding for a poll that returned an error: atLimit if
// the time ran out, otherwise an unknown outcome with the reason.
func unfinished(err error, atLimit Finding) Finding {
	switch {
	case errors.Is(err, clock.ErrLimit):
		return atLimit
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Found(Unknown, "csu was interrupted while waiting; the outcome is unknown until csu checks again")
	}
	return Found(Unknown, "%v", err)
}
