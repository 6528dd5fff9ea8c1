// Package ledgertest provides, for tests, a ledger in memory and a clock that
// only moves when told to.
package ledgertest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/ledger"
)

// ErrAway is the error of a store that is away.
var ErrAway = errors.New("the API server does not answer")

// Outcome is the result of a request.
type Outcome string

// The outcomes; "" means carried out and answered.
const (
	Away Outcome = "away" // it does not arrive
	Lost Outcome = "lost" // it is carried out, and its answer is lost
)

// Store is a [ledger.Store] in memory. Its zero value is a ledger that was created and never written.
type Store struct {
	// Fault decides the outcome of each request, "read" or "write"; if nil, all
	// succeed. It must not call methods of the store.
	Fault func(op string) Outcome
	// Broken, unless nil, is the error of all reads and writes.
	Broken error
	// Wrote is called with each ledger that was written, with the store's lock
	// held.
	Wrote func(ledger.Ledger)
	// Conflict is called when a write finds another version, with the store's lock held.
	Conflict func()

	mu      sync.Mutex
	version int
	now     ledger.Ledger
	writes  int
}

func (s *Store) fault(op string) Outcome {
	if s.Fault == nil {
		return ""
	}
	return s.Fault(op)
}

// Read implements [ledger.Store].
func (s *Store) Read(ctx context.Context) (ledger.Ledger, ledger.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Broken != nil {
		return ledger.Ledger{}, nil, s.Broken
	}
	if s.fault("read") != "" || ctx.Err() != nil {
		return ledger.Ledger{}, nil, ErrAway
	}
	return s.now, s.version, nil
}

// Write implements [ledger.Store].
func (s *Store) Write(ctx context.Context, l ledger.Ledger, v ledger.Version) (ledger.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Broken != nil {
		return nil, s.Broken
	}
	outcome := s.fault("write")
	switch {
	case outcome == Away || ctx.Err() != nil:
		return nil, ErrAway
	case v != s.version:
		if s.Conflict != nil {
			s.Conflict()
		}
		return nil, ledger.ErrConflict
	}
	if l.Holder != nil {
		h := *l.Holder
		l.Holder = &h
	}
	s.now = l
	s.version++
	s.writes++
	if s.Wrote != nil {
		s.Wrote(l)
	}
	if outcome == Lost {
		return nil, ledger.ErrLost
	}
	return s.version, nil
}

// Now returns the ledger as it is.
func (s *Store) Now() ledger.Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Edit changes the ledger as another process would.
func (s *Store) Edit(change func(*ledger.Ledger)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Holder != nil {
		h := *s.now.Holder
		s.now.Holder = &h
	}
	change(&s.now)
	s.version++
}

// Copy returns an independent store with the same ledger.
func (s *Store) Copy() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Store{now: s.now, version: s.version}
}

// Writes returns how often the ledger was written.
func (s *Store) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Clock is a clock that moves when told to. The zero value is at 0.
type Clock struct {
	mu       sync.Mutex
	now      time.Duration
	sleepers []*sleeper
}

type sleeper struct {
	until time.Duration
	wake  chan struct{}
}

// Now returns the time.
func (c *Clock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep waits until the clock has advanced by d, or ctx has ended.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	c.mu.Lock()
	s := &sleeper{c.now + d, make(chan struct{})}
	c.sleepers = append(c.sleepers, s)
	c.mu.Unlock()
	select {
	case <-s.wake:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sleepers = slices.DeleteFunc(c.sleepers, func(o *sleeper) bool { return o == s })
		return ctx.Err()
	}
}

// Advance moves the clock and wakes the sleepers whose time has come, in order.
// It calls between, unless nil, after each.
func (c *Clock) Advance(d time.Duration, between func()) {
	c.mu.Lock()
	c.now += d
	c.mu.Unlock()
	for c.wake() {
		if between != nil {
			between()
		}
	}
}

// wake wakes the sleeper that is most overdue.
func (c *Clock) wake() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sleepers) == 0 {
		return false
	}
	s := slices.MinFunc(c.sleepers, func(a, b *sleeper) int { return cmp.Compare(a.until, b.until) })
	if s.until > c.now {
		return false
	}
	c.sleepers = slices.DeleteFunc(c.sleepers, func(o *sleeper) bool { return o == s })
	close(s.wake)
	return true
}

// Timing is the timing of real runs by this clock.
func (c *Clock) Timing() ledger.Timing {
	t := ledger.Real()
	t.Now, t.Sleep = c.Now, c.Sleep
	return t
}

// Hurried is the timing of real runs by a clock that moves by itself during
// every sleep except a renewal's.
func (c *Clock) Hurried() ledger.Timing {
	t := c.Timing()
	t.Sleep = func(ctx context.Context, d time.Duration) error {
		if d != t.Renew {
			c.Advance(d, nil)
			return ctx.Err()
		}
		return c.Sleep(ctx, d)
	}
	return t
}
