package preflight_test

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/preflight"
)

// The holder of the site's Lease is named as far as the Lease does: another
// version of csu may not have written the plan's file into it.
func TestTheHolderOfTheLeaseIsNamed(t *testing.T) {
	p, systems, _, dir := simulated(t, "2026-11-24-summit-incremental")
	for _, x := range []struct {
		holder executor.Holder
		runID  string // that of the run that goes on
		want   string
	}{
		{executor.Holder{Plan: "ann.json", Digest: "0123456789abcdef", RunID: "r1", Operator: "ann"}, "", `UTC, of plan "ann.json" (digest 0123456789ab…), holds the site`},
		{executor.Holder{Digest: "0123456789abcdef", RunID: "r2", Operator: "ann"}, "", "UTC, of the plan with the digest 0123456789ab…, holds the site"},
		{executor.Holder{Digest: "0123456789abcdef", RunID: "r3", Operator: "ann"}, "r3", "it is this run's"},
	} {
		lease := executor.NewLease(p, systems)
		if err := lease.Acquire(t.Context(), x.holder); err != nil {
			t.Fatal(err)
		}
		checks := preflight.Run(t.Context(), preflight.Options{Plan: p, Systems: systems, Stages: []string{"jobs"}, RunID: x.runID, Rehearsed: true, Folder: dir})
		var found []preflight.Check
		for _, c := range checks {
			if c.Subject == "lease" {
				found = append(found, c)
			}
		}
		if len(found) != 1 || !strings.HasSuffix(found[0].Text, x.want) || (found[0].Result == preflight.Ready) != (x.runID != "") {
			t.Errorf("the checks of the Lease of %+v are %+v, want one that ends with %q", x.holder, found, x.want)
		}
		if err := lease.Release(t.Context(), x.holder.RunID); err != nil {
			t.Fatal(err)
		}
	}
}
