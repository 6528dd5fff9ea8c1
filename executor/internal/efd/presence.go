package efd

import "time"

// Presence says whether a CSC is running, as far as is known.
type Presence int

const (
	// Unknown: neither the CSC nor any other was heard, so that the EFD, or the
	// connection to it, may be down; or the CSC's times are in the future.
	Unknown Presence = iota
	// Speaking: its heartbeats arrive.
	Speaking
	// Silent: it sends no heartbeats, and the EFD is not to blame.
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

// offlineHolds is how long a CSC's own OFFLINE is believed without a witness:
// the day of an upgrade. If the EFD is down, an OFFLINE from weeks ago proves
// nothing about a CSC that has been started since.
const offlineHolds = 24 * time.Hour

// Judge decides from a sight, and from the other sights of the same look,
// whether the CSC is running. now is the time of the look.
//
// Silence needs a witness: another CSC that was heard in the same look, which
// shows that the EFD is recording. The CSC's own word counts as one: its last
// summary state is OFFLINE, from within the last day, and no heartbeat came
// later than the lag after it. A heartbeat just before or just after it does
// not matter.
func Judge(s Sight, all []Sight, now time.Time, lag time.Duration) Presence {
	if s.Ahead > 0 {
		return Unknown
	}
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

// Witness returns the most recently heard CSC other than csc, or false if no
// other was heard.
func Witness(csc CSC, all []Sight) (Sight, bool) {
	var witness Sight
	for _, s := range all {
		if s.CSC != csc && s.Heard && s.HeartbeatAt.After(witness.HeartbeatAt) {
			witness = s
		}
	}
	return witness, witness.Heard
}
