package efd

import "time"

// Presence is what can be said about whether a CSC runs.
type Presence int

const (
	// Unknown: neither the CSC nor any other was heard. The EFD itself may be
	// down, or the way to it.
	Unknown Presence = iota
	// Speaking: its heartbeats come.
	Speaking
	// Silent: it does not send heartbeats, and that is not the EFD's fault.
	Silent
)

func (p Presence) String() string {
	switch p {
	case Speaking:
		return "speaking"
	case Silent:
		return "silent"
	}
	return "unknown"
}

// offlineHolds bounds how long ago a CSC may have written OFFLINE for that to
// stand without a witness: the day of an upgrade. With the EFD down, what was
// written weeks ago says nothing about a CSC that was started since.
const offlineHolds = 24 * time.Hour

// Judge tells from a sight, and from what else the same look saw, whether the
// CSC runs. now is the time of the look.
//
// Silence needs a witness: another CSC that was heard in the same look. The
// witness shows that the EFD takes data in. The CSC's own word counts as one:
// its last summary state is OFFLINE, from within the last day, and no heartbeat
// came later than the lag after it. That it was still heard just before or just
// after it said so changes nothing.
func Judge(s Sight, all []Sight, now time.Time, lag time.Duration) Presence {
	saidOffline := s.State == "OFFLINE" &&
		!s.StateAt.Before(now.Add(-offlineHolds)) &&
		!s.StateAt.Before(s.HeartbeatAt.Add(-lag))
	if saidOffline {
		return Silent
	}
	if s.Heard {
		return Speaking
	}
	if _, ok := Witness(s.CSC, all); ok {
		return Silent
	}
	return Unknown
}

// Witness returns the sight of the CSC other than csc that was heard last, or
// false if no other was heard.
func Witness(csc CSC, all []Sight) (Sight, bool) {
	var witness Sight
	for _, s := range all {
		if s.CSC != csc && s.Heard && s.HeartbeatAt.After(witness.HeartbeatAt) {
			witness = s
		}
	}
	return witness, witness.Heard
}
