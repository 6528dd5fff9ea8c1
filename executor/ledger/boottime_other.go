//go:build !linux

package ledger

import "time"

// sinceBoot returns the time since some moment. The wall clock counts the time
// that a laptop sleeps, Go's monotonic clock does not.
func sinceBoot() time.Duration { return time.Duration(time.Now().UnixNano()) }
