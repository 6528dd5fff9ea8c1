package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// Warning is something unusual in a plan that still follows the rules.
type Warning struct {
	Number string // of the procedure
	Reason string
	Remedy string
}

// Warnings returns what is unusual in a plan: a date on which the site does not
// deploy (P54).
func Warnings(p *plan.Plan) []Warning {
	day, err := time.Parse(time.DateOnly, p.Upgrade.Date)
	begins := p.Facts.Begins
	if err != nil || begins == nil {
		return nil
	}
	on := day.Weekday().String()
	var rule string
	switch {
	case len(begins.Only) > 0 && !slices.Contains(begins.Only, on):
		rule = fmt.Sprintf("%s deployments at %s begin on a %s at %s %s time", p.Type, p.Site, strings.Join(begins.Only, ", "), begins.At, p.Site)
	case slices.Contains(begins.Never, on):
		rule = fmt.Sprintf("%s deployments at %s never begin on a %s", p.Type, p.Site, strings.Join(begins.Never, ", "))
	default:
		return nil
	}
	return []Warning{{"P54", fmt.Sprintf("%s is a %s: %s", p.Upgrade.Date, on, rule),
		"choose another date, or agree on this one with everyone affected"}}
}
