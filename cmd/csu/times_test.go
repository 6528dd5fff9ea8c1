package main

import (
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// TestAtSite shows the site's time beside UTC, with its day where that is another one, and
// with summer time.
func TestAtSite(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ zone, at, want string }{
		{"America/Santiago", "2026-11-24T12:05:09Z", " (09:05 at the site)"},
		{"America/Santiago", "2026-07-24T12:05:09Z", " (08:05 at the site)"},
		{"America/Santiago", "2026-11-25T01:30:00Z", " (24 November, 22:30 at the site)"},
		{"America/Phoenix", "2026-11-24T12:05:09Z", " (05:05 at the site)"},
		{"UTC", "2026-11-24T12:05:09Z", ""},
		{"", "2026-11-24T12:05:09Z", ""},
		{"America/La_Serena", "2026-11-24T12:05:09Z", ""},
	} {
		at, err := time.Parse(time.RFC3339, x.at)
		if err != nil {
			t.Fatal(err)
		}
		p := &plan.Plan{}
		p.Facts.TimeZone = x.zone
		if got := atSite(at, zoneOf(p)); got != x.want {
			t.Errorf("%s in %s: %q, want %q", x.at, x.zone, got, x.want)
		}
	}
}
