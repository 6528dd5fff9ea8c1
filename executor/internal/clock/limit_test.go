package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// waits is a look that takes d and then returns done, unless its context ends first.
func waits(d time.Duration, done func() bool) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		if err := Real().Sleep(ctx, d); err != nil {
			return false, err
		}
		return done(), nil
	}
}

func never() bool { return false }

// A poll keeps to its limit whatever a look costs. Time is that of the bubble,
// so the machine's speed does not matter.
func TestPollKeepsToItsLimit(t *testing.T) {
	forever := time.Duration(1 << 62)
	for name, c := range map[string]struct {
		speed              float64
		every, limit, look time.Duration // look is real time
		most               time.Duration
	}{
		"look costs nothing":            {1, 5 * time.Second, time.Minute, 0, time.Minute},
		"look costs half the limit":     {1, 5 * time.Second, 10 * time.Minute, 5 * time.Minute, 11 * time.Minute},
		"look costs as much as a pause": {1, 5 * time.Second, time.Minute, 5 * time.Second, 66 * time.Second},
		"nothing answers":               {1, 5 * time.Second, time.Hour, forever, time.Hour + 2*lookMost},
		"pause is longer":               {1, time.Hour, time.Minute, 0, time.Minute},
		"rehearsal at 60":               {60, 5 * time.Second, 15 * time.Minute, 20 * time.Millisecond, 16 * time.Minute},
		"rehearsal at 300":              {300, 5 * time.Second, time.Hour, 20 * time.Millisecond, 61 * time.Minute},
		"rehearsal, slow looks":         {300, 5 * time.Second, time.Hour, 6 * time.Second, 66 * time.Minute},
		"nothing answers at 300":        {300, 5 * time.Second, time.Hour, forever, 66*time.Minute + 300*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clk := Fast(time.Now(), time.Now(), c.speed)
				began := clk.Now()
				if err := clk.Poll(t.Context(), c.every, c.limit, waits(c.look, never)); !errors.Is(err, ErrLimit) {
					t.Errorf("Poll = %v, want ErrLimit", err)
				}
				if took := clk.Since(began); took < c.limit || took > c.most {
					t.Errorf("Poll took %v, want %v to %v", took, c.limit, c.most)
				}
			})
		})
	}
}

// What came true in time is seen, even if the last pause spans it.
func TestPollLooksAtItsLimit(t *testing.T) {
	for _, look := range []time.Duration{0, 7 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			clk := Real()
			began := clk.Now()
			err := clk.Poll(t.Context(), 45*time.Second, 10*time.Minute, waits(look, func() bool { return clk.Since(began) >= 10*time.Minute-time.Second }))
			if took := clk.Since(began); err != nil || took > 11*time.Minute {
				t.Errorf("looks that take %v: Poll = %v after %v", look, err, took)
			}
		})
	}
}

// A poll without time looks once, and waits for the answer.
func TestPollWithoutTimeLooksOnce(t *testing.T) {
	for name, c := range map[string]struct {
		look time.Duration
		want error
		took time.Duration
	}{
		"a slow answer": {9 * time.Second, nil, 9 * time.Second},
		"no answer":     {time.Hour, ErrLimit, lookOnce},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := Real().Poll(t.Context(), 5*time.Second, 0, waits(c.look, func() bool { return true }))
				if took := time.Since(began); !errors.Is(err, c.want) || took != c.took {
					t.Errorf("Poll = %v after %v, want %v after %v", err, took, c.want, c.took)
				}
			})
		})
	}
}

// A look lasts until the limit by the run's clock, which runs at real speed while the site
// works in real time.
func TestLookLastsWhileTheClockIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := Fast(time.Now(), time.Now(), 60)
		began := time.Now()
		err := clk.Poll(t.Context(), 5*time.Second, time.Minute, func(ctx context.Context) (bool, error) {
			clk.Slow(true)
			defer clk.Slow(false)
			return waits(20*time.Second, func() bool { return true })(ctx)
		})
		if took := time.Since(began); err != nil || took != 20*time.Second {
			t.Errorf("Poll = %v after %v of real time, want the look's answer after 20s", err, took)
		}
	})
}

// In a rehearsal that is too fast for its site, a look counts in real time.
func TestLooksCountInRealTimeAboveTheFastestSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := Fast(time.Now(), time.Now(), 10*fastest)
		looks := 0
		err := clk.Poll(t.Context(), time.Minute, time.Hour, waits(100*time.Millisecond, func() bool { looks++; return false }))
		// A look takes 5 minutes of the run's time, and 60 looks make 6 s of real time.
		if !errors.Is(err, ErrLimit) || looks != 61 {
			t.Errorf("Poll = %v after %d looks, want ErrLimit after 61", err, looks)
		}
	})
}

// Such a rehearsal leaves its site some real time between two looks, which does not
// shorten the limit.
func TestLooksAreApartAboveTheFastestSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk, began, looks := Fast(time.Now(), time.Now(), 12*fastest), time.Now(), 0
		err := clk.Poll(t.Context(), 2*time.Second, 20*time.Second, func(context.Context) (bool, error) { looks++; return false, nil })
		if took := time.Since(began); !errors.Is(err, ErrLimit) || looks != 11 || took < 10*breath || took > 11*breath {
			t.Errorf("Poll = %v after %d looks and %v of real time, want ErrLimit after 11 and %v", err, looks, took, 10*breath)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(breath/2, cancel)
		if err := clk.Poll(ctx, 2*time.Second, 20*time.Second, func(context.Context) (bool, error) { return false, nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("in the middle of a pause the context ends: Poll = %v", err)
		}
	})
}

func TestLimitIsForAllItsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := Fast(time.Now(), time.Now(), 600).Limit(10 * time.Minute)
		polls := 0
		look := func(context.Context) (bool, error) { polls++; return false, nil }
		if err := limit.PollFor(t.Context(), time.Minute, 4*time.Minute, look); !errors.Is(err, ErrLimit) || polls != 5 {
			t.Errorf("the first poll: %v after %d looks, want the limit after 5", err, polls)
		}
		polls = 0
		limit.Exclude(func() { time.Sleep(time.Hour) }) // the operator is asked
		if err := limit.PollFor(t.Context(), time.Minute, time.Hour, look); !errors.Is(err, ErrLimit) || polls != 7 {
			t.Errorf("the second poll: %v after %d looks, want the limit after the 6 minutes that were left", err, polls)
		}
		polls = 0
		if err := limit.Poll(t.Context(), time.Minute, look); !errors.Is(err, ErrLimit) || polls != 1 {
			t.Errorf("the third poll: %v after %d looks, want one look and no waiting", err, polls)
		}
		polls = 0
		limit.Extend(2 * time.Minute)
		if err := limit.Poll(t.Context(), time.Minute, look); !errors.Is(err, ErrLimit) || polls != 3 {
			t.Errorf("the extended poll: %v after %d looks, want the limit after 3", err, polls)
		}
	})
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
