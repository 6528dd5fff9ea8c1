package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is a time span in whole seconds, written like "1h30m".
type Duration time.Duration

// String writes the units that are not zero; no time at all is "0s".
func (d Duration) String() string {
	left := time.Duration(d)
	if left == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := left / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left -= n * u.unit
		}
	}
	return b.String()
}

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) {
	if d < 0 || time.Duration(d)%time.Second != 0 {
		return nil, fmt.Errorf("encode duration %v: it is not a whole, positive number of seconds", time.Duration(d))
	}
	return json.Marshal(d.String())
}

// UnmarshalJSON accepts the form that MarshalJSON writes and no other.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("a duration is a string such as \"5m\"")
	}
	parsed, err := time.ParseDuration(s)
	if err != nil || parsed < 0 || parsed%time.Second != 0 || Duration(parsed).String() != s {
		return fmt.Errorf("duration %q is not in the form 1h2m3s, in whole seconds", s)
	}
	*d = Duration(parsed)
	return nil
}
