package ledger

import (
	"context"
	"time"
)

// Timing holds the times that keep processes from interfering with each other.
// They are real time, even in a rehearsal, by a clock that includes the time
// asleep.
type Timing struct {
	// Fresh is how long after its last confirmed write a process may send
	// effects.
	Fresh time.Duration
	// Request is longer than the longest request with an effect takes from the
	// gate to its end: a command on a host, with 15 s for the connection, 10 s
	// for the session and 30 s for the answer.
	Request time.Duration
	// Renew is how often a process writes even if nothing has changed.
	Renew time.Duration
	// Dead is how long another process must be silent to count as dead.
	Dead time.Duration
	// Call limits a single read or write.
	Call time.Duration
	// Now returns the time since some fixed moment.
	Now func() time.Duration
	// Sleep waits, or returns the context's error.
	Sleep func(context.Context, time.Duration) error
}

// Real is the timing of real runs.
func Real() Timing {
	return Timing{
		Fresh: 10 * time.Second, Request: time.Minute, Renew: time.Minute, Dead: 3 * time.Minute, Call: 5 * time.Second,
		Now: sinceBoot, Sleep: sleep,
	}
}

// Rehearsed is the timing of a rehearsal at a multiple of the real speed. It
// allows a busy machine enough time for what takes real time there as well.
func Rehearsed(speed float64) Timing {
	t := Real()
	faster := func(d *time.Duration, least time.Duration) {
		*d = max(least, min(*d, time.Duration(float64(*d)/max(speed, 1))))
	}
	faster(&t.Fresh, 2*time.Second)
	faster(&t.Request, time.Second)
	faster(&t.Renew, 2*time.Second)
	faster(&t.Dead, 20*time.Second)
	return t
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
