//go:build !linux

package ledger

import "time"

// sinceBoot returns the time since some fixed moment. The wall clock includes
// the time that a laptop sleeps, unlike Go's monotonic clock.
func sinceBoot() time.Duration { return time.Duration(time.Now().UnixNano()) }
