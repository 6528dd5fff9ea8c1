package ledger

import (
	"context"
	"time"
)

// Timing are the times by which processes keep out of each other's way. They are
// real time by a clock that counts the time asleep, also in a rehearsal.
type Timing struct {
	// Fresh is how long after its last confirmed write a process may send effects.
	Fresh time.Duration
	// Request is longer than the longest request with an effect takes from the gate
	// to its end: a command on a host, with 15 s for the connection, 10 s for the
	// session and 30 s for the answer.
	Request time.Duration
	// Renew is how often a process writes although it has nothing to say.
	Renew time.Duration
	// Dead is how long another process must have been silent to count as dead.
	Dead time.Duration
	// Call bounds a single read or write.
	Call time.Duration
	// Now is the time since some moment.
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

// Rehearsed is the timing of a rehearsal at so many times the real speed. It
// leaves a busy machine time for what takes real time there as well.
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
