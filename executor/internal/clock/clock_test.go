package clock

import (
	"context"
	"errors"
	"testing"
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

func TestPollCountsWhatItSleepsInTheRunsTime(t *testing.T) {
	c := Fast(time.Now(), time.Now(), 216000)
	looks := 0
	err := c.Poll(context.Background(), 10*time.Minute, time.Hour, func(context.Context) (bool, error) {
		looks++
		time.Sleep(time.Millisecond) // 3.6 minutes if it counted in the run's time
		return false, nil
	})
	if !errors.Is(err, ErrLimit) {
		t.Fatalf("Poll = %v, want ErrLimit", err)
	}
	if looks != 7 {
		t.Errorf("Poll called look %d times in 1h, every 10m, want 7", looks)
	}
}

func TestPollEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	err := Real().Poll(ctx, time.Hour, 2*time.Hour, func(context.Context) (bool, error) {
		cancel()
		return false, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Poll = %v, want context.Canceled", err)
	}
}

func TestPollReturnsTheErrorOfLook(t *testing.T) {
	want := errors.New("no route")
	err := Real().Poll(context.Background(), time.Second, time.Minute, func(context.Context) (bool, error) { return false, want })
	if !errors.Is(err, want) {
		t.Errorf("Poll = %v, want %v", err, want)
	}
}
