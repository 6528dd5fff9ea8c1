package preflight_test

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/preflight"
)

// TestTheHolderOfTheSiteIsNamed checks that preflight says which run has the site, and whether it is the one
// that continues.
func TestTheHolderOfTheSiteIsNamed(t *testing.T) {
	p, systems, _, dir := simulated(t, "2026-11-24-summit-incremental")
	store := ledger.In(systems.Cluster, p.LedgerName())
	for _, x := range []struct {
		holder *ledger.Holder
		runID  string // of the run that continues
		ready  bool
		want   string
	}{
		{nil, "", true, "no upgrade of summit is running"},
		{&ledger.Holder{Run: "r1", Plan: "ann.json", Digest: "0123456789abcdef", Operator: "ann", Host: "alps"}, "", false,
			`the site belongs to run r1 of plan "ann.json" (digest 0123456789ab…), led by "ann" on alps`},
		{&ledger.Holder{Run: "r1", Plan: "ann.json", Digest: "0123456789abcdef", Operator: "ann", Host: "alps"}, "r1", true, "the site is this run's"},
	} {
		err := ledger.Update(t.Context(), store, ledger.Real(), func(l *ledger.Ledger) error { l.Holder = x.holder; return nil })
		if err != nil {
			t.Fatal(err)
		}
		checks := preflight.Run(t.Context(), preflight.Options{Plan: p, Systems: systems, Stages: []string{"jobs"}, RunID: x.runID, Rehearsed: true, Folder: dir})
		var found []preflight.Check
		for _, c := range checks {
			if c.Subject == "ledger" {
				found = append(found, c)
			}
		}
		if len(found) != 1 || !strings.Contains(found[0].Text, x.want) || (found[0].Result == preflight.Ready) != x.ready {
			t.Errorf("the checks of the ledger with %+v are %+v, want one with %q, ready %t", x.holder, found, x.want, x.ready)
		}
	}
}
