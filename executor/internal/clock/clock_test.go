package clock

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestFastRunsFaster(t *testing.T) {
	epoch, began := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), time.Now().Add(-time.Second)
	c := Fast(epoch, began, 3600)
	// The time between the two readings is hours on the clock.
	least := time.Since(began) * 3600
	got := c.Since(epoch)
	if most := time.Since(began) * 3600; got < least-time.Second || got > most+time.Second {
		t.Errorf("a second after its start the clock is %v past the epoch, want between %v and %v", got, least, most)
	}
}

// While it is slow, a rehearsal's clock runs at real speed, for those that
// already sleep as well.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Fast(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), time.Now(), 60)
		began, real := c.Now(), time.Now()
		woke := make(chan time.Duration, 1)
		go func() {
			if c.Sleep(context.Background(), 5*time.Minute) == nil {
				woke <- c.Since(began)
			}
		}()
		time.Sleep(time.Second)
		rate := c.Slow(true)
		if rate.Speed != 1 || c.Speed() != 60 {
			t.Errorf("the slow rate is %+v, the clock's speed %v", rate, c.Speed())
		}
		time.Sleep(2 * time.Minute)
		if got := c.Since(began); got != 3*time.Minute {
			t.Errorf("after a second at 60 and two minutes at 1 the clock has run %v", got)
		}
		c.Slow(false)
		if got := <-woke; got != 5*time.Minute || time.Since(real) != 2*time.Minute+3*time.Second {
			t.Errorf("Sleep ended after %v, in %v", got, time.Since(real))
		}
	})
}

// A clock that learns of another's rate a little late does not go back.
func TestChangeDoesNotGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		site, run := Fast(now, now, 300), Fast(now, now, 300)
		time.Sleep(time.Second)
		rate := site.Slow(true)
		time.Sleep(10 * time.Millisecond) // 3 s of the run's time
		before := run.Now()
		run.Change(rate)
		if got := run.Now(); !got.Equal(before) {
			t.Errorf("the clock went from %v to %v", before, got)
		}
		time.Sleep(time.Minute)
		if !run.Now().Equal(site.Now()) {
			t.Errorf("the run's clock shows %v, the site's %v", run.Now(), site.Now())
		}
	})
}
