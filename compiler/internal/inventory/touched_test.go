package inventory

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/compiler/phalanxtest"
	"github.com/lsst-ts/csu/executor/plan"
)

// at returns a revision with its rendering.
func at(t *testing.T, c *phalanxtest.Clone, rev string) Side {
	t.Helper()
	r, err := phalanx.Open(t.Context(), c.Dir, rev)
	if err != nil {
		t.Fatal(err)
	}
	rendering, err := r.Render(t.Context(), "summit", "telescope")
	if err != nil {
		t.Fatal(err)
	}
	return Side{r, rendering}
}

// TestTouched: of what a merge changes, only what the plan deploys counts.
func TestTouched(t *testing.T) {
	t.Parallel()
	const simonyitel, envsys = "applications/simonyitel/values-summit.yaml", "applications/envsys/values-summit.yaml"
	for name, test := range map[string]struct {
		change         func(c *phalanxtest.Clone)
		found, differs string // what is not as the plan says, and not as at the first commit
	}{
		"nothing":        {func(*phalanxtest.Clone) {}, "", ""},
		"another CSC":    {func(c *phalanxtest.Clone) { c.Replace(simonyitel, "revision: 6", "revision: 7") }, "", ""},
		"beside the CSC": {func(c *phalanxtest.Clone) { c.Replace(envsys, "--state enabled", "--state disabled") }, "", ""},
		"its image": {func(c *phalanxtest.Clone) { c.Replace(envsys, "revision: 0", "revision: 1") },
			"image tag of ESS:105: the plan has c0044.000, Phalanx deploys c0044.001", "application envsys: Job tma-ess105"},
		"its configuration": {func(c *phalanxtest.Clone) { c.Replace(envsys, "revision: 0", "revision: 0, env: {A: b}") },
			"", "application envsys: Job tma-ess105"},
		"a claim of its own": {func(c *phalanxtest.Clone) { c.Replace(envsys, "claims: [data]", "claims: [data, more]") },
			"application envsys: the plan brings back the Job, but not what belongs to it: PersistentVolumeClaim tma-ess105-more-pvc", "application envsys: Job tma-ess105"},
		"what is shared": {func(c *phalanxtest.Clone) {
			c.Replace("charts/shared/templates/shared.yaml", "data: {", "data: {A: b, ")
		}, "", "application envsys: ConfigMap all-cscs"},
		"a whole application": {func(c *phalanxtest.Clone) {
			c.Replace("environments/templates/sasquatch.yaml", `value: "3"`, `value: "4"`)
		}, "", "application science-platform: sasquatch|application sasquatch: its chart or its values"},
		"its files": {func(c *phalanxtest.Clone) { c.Write("applications/sasquatch/values.yaml", "a: b\n") },
			"", "application sasquatch: its chart or its values"},
		"another application": {func(c *phalanxtest.Clone) { c.Application("more", "") }, "", "application science-platform: more"},
		"no longer there": {func(c *phalanxtest.Clone) {
			c.Replace("environments/values-summit.yaml", "  envsys: true\n", "")
		}, "in the plan, but not deployed by Phalanx: ESS:105|application envsys: the plan syncs it, but the environment summit does not have it",
			"application science-platform: envsys|application envsys: only one of them has it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := observatory(t)
			first := c.Commit("First")
			p := planOf(right(t, c))
			test.change(c)
			c.Commit("Second")
			if got := strings.Join(CheckTouched(p, right(t, c)), "|"); got != test.found {
				t.Errorf("not as the plan says: %s\nwant %s", got, test.found)
			}
			differ, err := Differences(t.Context(), p, at(t, c, first), at(t, c, "HEAD"))
			if got := strings.Join(differ, "|"); err != nil || got != test.differs {
				t.Errorf("differs: %s (%v)\nwant %s", got, err, test.differs)
			}
		})
	}
}

// TestTouchedWhole: a sync of a whole application brings all of its CSCs.
func TestTouchedWhole(t *testing.T) {
	t.Parallel()
	c := observatory(t)
	c.Commit("First")
	p := planOf(right(t, c))
	p.Stages[0].Steps[2].Action.Parameters = &plan.Sync{Application: "envsys", Revision: "main", CSCs: []string{"ESS:105"}}
	c.Replace("applications/envsys/values-summit.yaml", "--state enabled", "--state disabled")
	c.Commit("Second")
	want := "state after the start of HVAC: the plan has ENABLED, Phalanx deploys DISABLED"
	if got := strings.Join(CheckTouched(p, right(t, c)), "|"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
