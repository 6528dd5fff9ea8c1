// Package clock provides the time that csu works by: the real one, or that of a
// rehearsal, in which an hour passes in about a second.
//
// Everything that waits, polls or compares times uses a [Clock]. Only the
// limits of single network calls are real time, since a simulated site answers
// no faster than a real one.
package clock

import (
	"context"
	"errors"
	"time"
)

// ErrLimit is returned by [Clock.Poll] when its limit has passed.
var ErrLimit = errors.New("time limit reached")

// Clock maps real time to the time of a run. The zero value is not usable.
type Clock struct {
	epoch, real time.Time
	speed       float64
}

// Real returns the clock of real runs.
func Real() *Clock {
	now := time.Now()
	return &Clock{epoch: now, real: now, speed: 1}
}

// Fast returns a clock that shows epoch at the real time real and runs speed
// times faster from there. A speed of zero or less counts as 1.
func Fast(epoch, real time.Time, speed float64) *Clock {
	if speed <= 0 {
		speed = 1
	}
	return &Clock{epoch: epoch, real: real, speed: speed}
}

// Speed returns how many seconds of the run pass in a real second.
func (c *Clock) Speed() float64 { return c.speed }

// Now returns the current time of the run.
func (c *Clock) Now() time.Time {
	if c.speed == 1 && c.epoch.Equal(c.real) {
		// After a laptop has slept, the wall clock is right; an offset from the
		// start by the monotonic clock would not be.
		return time.Now()
	}
	return c.epoch.Add(time.Duration(float64(time.Since(c.real)) * c.speed))
}

// Since returns the time of the run elapsed since t.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Sleep waits for d of the run's time. If ctx ends first, it returns the error
// of ctx.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(time.Duration(float64(d) / c.speed))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Poll calls look at once and after each interval every, until look reports
// done or fails, ctx ends, or limit has passed, for which it returns
// [ErrLimit]. The last call is at the limit itself.
//
// Sleeping counts in the run's time and look in real time, so that a fast
// rehearsal does not run into its limits on a slow machine.
func (c *Clock) Poll(ctx context.Context, every, limit time.Duration, look func(context.Context) (done bool, err error)) error {
	var spent time.Duration
	for {
		began := time.Now()
		done, err := look(ctx)
		if err != nil || done {
			return err
		}
		spent += time.Since(began)
		if spent >= limit {
			return ErrLimit
		}
		pause := min(every, limit-spent)
		if err := c.Sleep(ctx, pause); err != nil {
			return err
		}
		spent += pause
	}
}
