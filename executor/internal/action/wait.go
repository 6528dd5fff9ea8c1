package action

import (
	"context"
	"errors"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

// patience is what is left of an attempt's time limit, for actions that wait
// more than once.
type patience struct {
	clock *clock.Clock
	left  time.Duration // in the run's time
}

func (a *Attempt) patience() *patience {
	return &patience{clock: a.Systems.Clock, left: a.Limit}
}

// poll is [clock.Clock.Poll] with what is left as its limit.
func (p *patience) poll(ctx context.Context, every time.Duration, look func(context.Context) (bool, error)) error {
	return p.within(ctx, every, p.left, look)
}

// within polls at most for limit, and no longer than what is left.
func (p *patience) within(ctx context.Context, every, limit time.Duration, look func(context.Context) (bool, error)) error {
	var looks time.Duration
	err := p.clock.Poll(ctx, every, min(limit, p.left), func(ctx context.Context) (bool, error) {
		looks++
		return look(ctx)
	})
	p.left = max(0, p.left-(looks-1)*every)
	return err
}

// reporter passes on what is new: a poll finds the same again and again.
type reporter struct {
	tell func(format string, args ...any)
	last string
}

func (a *Attempt) reporter() *reporter { return &reporter{tell: a.Progress} }

func (r *reporter) say(text string) {
	if text != "" && text != r.last {
		r.last = text
		r.tell("%s", text)
	}
}

// ended returns the finding for a poll that came to no end by itself: atLimit
// where the time was up, and otherwise that it was interrupted or why looking
// failed.
func ended(err error, atLimit Finding) Finding {
	switch {
	case errors.Is(err, clock.ErrLimit):
		return atLimit
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Found(Unknown, "csu was interrupted while it waited; what became of it has to be looked for")
	}
	return Found(Unknown, "%v", err)
}
