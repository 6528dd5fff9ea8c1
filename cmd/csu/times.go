package main

import (
	"fmt"
	"time"
	_ "time/tzdata" // the site's zone, on any machine

	"github.com/lsst-ts/csu/executor/plan"
)

// zoneOf returns the time zone of a plan's site. The rules require one that exists; of a plan
// that breaks them, nil.
func zoneOf(p *plan.Plan) *time.Location {
	if zone, err := time.LoadLocation(p.Facts.TimeZone); err == nil && p.Facts.TimeZone != "" {
		return zone
	}
	return nil
}

// atSite adds the site's own time to one that is shown in UTC; "" where that is the same, or
// not known. Times are shown in UTC, since the EFD, Argo CD and the journal have them so; the
// people at the site live by the other.
func atSite(t time.Time, zone *time.Location) string {
	if zone == nil {
		return ""
	}
	local := t.In(zone)
	if _, offset := local.Zone(); offset == 0 {
		return ""
	}
	day := ""
	if local.Format(time.DateOnly) != t.UTC().Format(time.DateOnly) {
		day = local.Format("2 January, ")
	}
	return fmt.Sprintf(" (%s%s at the site)", day, local.Format("15:04"))
}
