// Package clock provides the time that csu works by: the real one, or that of a
// rehearsal, in which an hour passes in about a second.
//
// Everything that waits, polls or compares times uses a [Clock]. Only the
// limits of single network calls are real time, since a simulated site answers
// no faster than a real one.
package clock

import (
	"context"
	"math"
	"sync"
	"time"
)

// Rate maps real time to the time of a rehearsal: the rehearsal's time is Epoch
// at the real time Real, and runs Speed times faster from there.
type Rate struct {
	Epoch time.Time `json:"epoch"`
	Real  time.Time `json:"real"`
	Speed float64   `json:"speed"`
}

func (r Rate) now() time.Time {
	return r.Epoch.Add(time.Duration(float64(time.Since(r.Real)) * r.Speed))
}

// Clock maps real time to the time of a run. The zero value is not usable.
type Clock struct {
	speed float64 // of a rehearsal, except while it runs at real speed

	mu      sync.Mutex
	real    bool
	rate    Rate
	least   time.Time     // the clock never goes back behind it
	changed chan struct{} // closed when the rate changes
}

// Real returns the clock of real runs.
func Real() *Clock {
	now := time.Now()
	return Fast(now, now, 1)
}

// Fast returns a clock that shows epoch at the real time real and runs speed
// times faster from there. A speed of zero or less counts as 1.
func Fast(epoch, real time.Time, speed float64) *Clock {
	if speed <= 0 {
		speed = 1
	}
	c := At(Rate{Epoch: epoch, Real: real, Speed: speed}, speed)
	c.real = speed == 1 && epoch.Equal(real)
	return c
}

// At returns the clock of a rehearsal that now runs at a rate, and at the speed while no
// question is open.
func At(rate Rate, speed float64) *Clock {
	return &Clock{speed: speed, rate: rate, changed: make(chan struct{})}
}

// Speed returns how many seconds of the run pass in a real second, while no
// question is open.
func (c *Clock) Speed() float64 { return c.speed }

// Now returns the current time of the run.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if c.real {
		// After a laptop has slept, the wall clock is right; an offset from the
		// start by the monotonic clock would not be.
		return time.Now()
	}
	now := c.rate.now()
	if now.Before(c.least) {
		return c.least
	}
	return now
}

// Rate returns the present rate, and a channel that is closed when it changes.
func (c *Clock) Rate() (Rate, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rate, c.changed
}

// Since returns the time of the run elapsed since t.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Change lets the clock run at another rate. It does not go back, but stands
// still until the new rate has caught up.
func (c *Clock) Change(rate Rate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(rate)
}

// Slow lets the clock run at real speed from now on, or at its own speed again,
// and returns the new rate.
func (c *Clock) Slow(slow bool) Rate {
	c.mu.Lock()
	defer c.mu.Unlock()
	rate := Rate{Epoch: c.now(), Real: time.Now(), Speed: c.speed}
	if slow {
		rate.Speed = 1
	}
	c.change(rate)
	return rate
}

func (c *Clock) change(rate Rate) {
	c.least, c.rate, c.real = c.now(), rate, false
	close(c.changed)
	c.changed = make(chan struct{})
}

// Sleep waits for d of the run's time. If ctx ends first, it returns the error
// of ctx.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	until := c.Now().Add(d)
	for {
		c.mu.Lock()
		speed, changed := c.rate.Speed, c.changed
		c.mu.Unlock()
		timer := time.NewTimer(time.Duration(math.Ceil(float64(d) / speed)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-changed:
			timer.Stop()
		}
		d = until.Sub(c.Now())
	}
}
