package verify

import (
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// Warning is something unusual in a plan that keeps the rules all the same.
type Warning struct {
	Number string // of the procedure
	Reason string
	Remedy string
}

// Warnings returns what is unusual: a date on which the summit does not deploy
// (P54).
func Warnings(p *plan.Plan) []Warning {
	day, err := time.Parse(time.DateOnly, p.Upgrade.Date)
	if err != nil || p.Site != summit {
		return nil
	}
	warn := func(rule string) []Warning {
		return []Warning{{"P54", fmt.Sprintf("%s is a %s: %s", p.Upgrade.Date, day.Weekday(), rule),
			"choose another date, or agree on this one with those who are concerned"}}
	}
	switch {
	case p.Type == plan.Full && day.Weekday() != time.Tuesday:
		return warn("full deployments at the summit begin on a Tuesday at 09:00 summit time")
	case p.Type == plan.Incremental && day.Weekday() == time.Friday:
		return warn("incremental deployments at the summit are never made on a Friday")
	}
	return nil
}
