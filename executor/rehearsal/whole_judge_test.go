package rehearsal_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/campaign"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/state"
)

// TestWholePlans runs one of the project's plans to its end with each fault of the
// catalogue. The fault must strike, the operator must see what it affects, and the site
// must end up as after an undisturbed run.
func TestWholePlans(t *testing.T) {
	t.Parallel()
	for file, faults := range rehearsal.WholePlans(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			quiet := rehearsal.CarryThrough(t, file, "")
			ref, err := campaign.NewReference(campaign.Setting{Plan: quiet.Plan, Digest: quiet.Digest, Seed: 1}, finished(quiet))
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range ref.Judge(finished(quiet)) {
				t.Error("undisturbed:", problem)
			}
			for _, fault := range faults {
				t.Run(fault, func(t *testing.T) {
					t.Parallel()
					got := rehearsal.CarryThrough(t, file, fault)
					got.CheckStruck(t, quiet)
					for _, problem := range ref.JudgeFaulted(finished(got)) {
						t.Error(problem)
					}
					for _, st := range got.Plan.Final {
						if phase := got.State.Steps[st.ID].Phase; phase != state.Done {
							t.Errorf("the final step %s is %s", st.ID, phase)
						}
					}
				})
			}
		})
	}
}

// finished converts a run to the form that the campaign's judge takes.
func finished(c *rehearsal.Carried) campaign.Finished {
	f := campaign.Finished{Records: c.Records, State: c.State, Effects: c.Effects, Trusting: len(c.Hands) == 0}
	for _, h := range c.Hands {
		f.Hands = append(f.Hands, campaign.Hand(h))
	}
	return f
}
