package clock

import (
	"context"
	"errors"
	"time"
)

// ErrLimit is returned by a poll when its limit has passed.
var ErrLimit = errors.New("time limit reached")

// fastest is the greatest speed at which all that passes counts. In a rehearsal
// that is faster, the site cannot keep up with its own time on a busy machine: a
// look that takes 50 ms takes three minutes of it at 3600. Of such a rehearsal,
// only the pauses count in the run's time, and all else counts in real time.
const fastest = 300

const (
	// A look may last until the limit and this part of it. So a poll ends by
	// two of them after its limit, even if nothing answers.
	lookPart = 25
	lookMost = 30 * time.Second
	// lookOnce is for the only look of a poll that has no time, which needs an answer too.
	lookOnce = 10 * time.Second
	// lookLeast is real time, since a simulated site answers no faster.
	lookLeast = time.Second
)

// Limit is a time limit that is running, in the run's time. It may be used by
// one goroutine at a time.
//
// On a real run, the time during which the machine sleeps does not count, since
// csu saw nothing of it.
type Limit struct {
	clock *Clock
	whole time.Duration
	began time.Time
	slept time.Duration // what the pauses were to last
}

// Limit returns a limit that runs from now on.
func (c *Clock) Limit(d time.Duration) *Limit {
	return &Limit{clock: c, whole: d, began: c.Now()}
}

// Spent returns how much of the limit has passed.
func (l *Limit) Spent() time.Duration {
	passed := l.clock.Since(l.began)
	if l.clock.speed <= fastest {
		return passed
	}
	return l.slept + time.Duration(float64(passed-l.slept)/l.clock.speed)
}

// Left returns how much of the limit is left. It is negative after the limit.
func (l *Limit) Left() time.Duration { return l.whole - l.Spent() }

// Extend makes sure that at least d is left.
func (l *Limit) Extend(d time.Duration) { l.whole += max(0, d-l.Left()) }

// Exclude calls f, which waits for a person, without counting its time.
func (l *Limit) Exclude(f func()) {
	before := l.Spent()
	f()
	l.whole += l.Spent() - before
}

// Poll calls look at once and after each interval every, until look reports
// done or fails, ctx ends, or the limit has passed, for which it returns
// [ErrLimit]. The last call begins at the limit itself, so that what came true
// in time is seen.
//
// The context of a call ends soon after the limit. What look returns then is
// ignored.
func (l *Limit) Poll(ctx context.Context, every time.Duration, look func(context.Context) (done bool, err error)) error {
	return l.PollFor(ctx, every, l.whole, look)
}

// PollFor is Poll with a shorter limit of its own, which is part of l.
func (l *Limit) PollFor(ctx context.Context, every, most time.Duration, look func(context.Context) (done bool, err error)) error {
	part := l.clock.Limit(min(most, max(0, l.Left())))
	defer func() { l.slept += part.slept }()
	for {
		last := part.Left() <= 0
		done, err := part.look(ctx, look)
		if done || err != nil {
			return err
		}
		if last {
			return ErrLimit
		}
		pause := min(every, part.Left())
		if pause <= 0 {
			continue
		}
		if err := l.rest(ctx, pause); err != nil {
			return err
		}
		part.slept += pause
	}
}

// breath is the least real time between two looks of a rehearsal that is faster than
// fastest. Without it csu would look again as fast as it can, and the looks would take
// the processor from the site that they wait for.
const breath = 20 * time.Millisecond

// rest is the pause between two looks.
func (l *Limit) rest(ctx context.Context, pause time.Duration) error {
	until := time.Now().Add(breath)
	if err := l.clock.Sleep(ctx, pause); err != nil || l.clock.speed <= fastest {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(until)):
		return nil
	}
}

// look calls look with a context that ends soon after the limit.
func (l *Limit) look(ctx context.Context, look func(context.Context) (bool, error)) (bool, error) {
	limited, cancel := l.Context(ctx)
	defer cancel()
	done, err := look(limited)
	if limited.Err() != nil && ctx.Err() == nil && !done {
		return false, nil
	}
	return done, err
}

// Context returns a context for reading in the limit's time. It ends soon after
// the limit.
func (l *Limit) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	reach := max(0, l.Left()) + min(l.whole/lookPart, lookMost)
	if l.whole <= 0 {
		reach = lookOnce
	}
	if speed := l.clock.speed; speed == 1 || speed > fastest {
		return context.WithTimeout(ctx, max(lookLeast, time.Duration(float64(reach)/min(speed, fastest))))
	}
	// The clock of a rehearsal may slow down while csu reads.
	ctx, cancel := context.WithCancel(ctx)
	least := time.Now().Add(lookLeast)
	go func() {
		defer cancel()
		if l.clock.Sleep(ctx, reach) != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(least)):
		}
	}()
	return ctx, cancel
}

// Poll is [Limit.Poll] with a limit that runs from now on.
func (c *Clock) Poll(ctx context.Context, every, limit time.Duration, look func(context.Context) (done bool, err error)) error {
	return c.Limit(limit).Poll(ctx, every, look)
}
