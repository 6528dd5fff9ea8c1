package main

import (
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// once are the effects that a run has no more than once at its site, whichever
// csu continues it.
var once = []string{
	rehearsal.ScriptAdded, rehearsal.StateChanged, rehearsal.CommandRun, rehearsal.ServiceStop, rehearsal.ServiceStart, rehearsal.Rebooted,
	rehearsal.JobCreated, rehearsal.JobDeleted, rehearsal.SyncStarted, rehearsal.MessagePosted,
}

// harmed returns what a site's record shows that two csu should not have done:
// effects that there are twice, a second process of a CSC, and CSCs that are down.
func harmed(p *plan.Plan, record string) ([]string, error) {
	effects, err := rehearsal.ReadRecord(record)
	if err != nil {
		return nil, err
	}
	var harm []string
	seen := map[string]int{}
	for _, e := range effects {
		if e.Kind == rehearsal.CSCDuplicate {
			harm = append(harm, fmt.Sprintf("effect %d: %s of %s", e.Seq, e.Kind, e.Subject))
		}
		if !slices.Contains(once, e.Kind) {
			continue
		}
		what := fmt.Sprintf("%s of %s: %s", e.Kind, e.Subject, e.Detail)
		if e.Kind == rehearsal.ScriptAdded { // a later attempt is for the CSCs that are left
			what += " for " + e.Identity
		}
		if first := seen[what]; first > 0 {
			harm = append(harm, fmt.Sprintf("effects %d and %d: %s", first, e.Seq, what))
		}
		seen[what] = e.Seq
	}
	for _, csc := range rehearsal.Summarize(p, effects).Astray {
		harm = append(harm, "astray: "+csc)
	}
	return harm, nil
}
