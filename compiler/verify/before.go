package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// before compares what a CSC runs before the upgrade with what it runs after it, and with
// the reason that the request gives.
func (v *view) before(f *findings, c *plan.CSC) {
	i := slices.IndexFunc(v.Upgrade.Changed, func(x plan.Change) bool { return x.CSC == c.CSC })
	var why plan.Why
	if i >= 0 {
		why = v.Upgrade.Changed[i].Why
	}
	const remedy = "correct the request and recompile the plan"
	_, old := plan.CutTag(c.Before)
	_, now := plan.CutTag(c.Image)
	switch {
	case v.removed(c.CSC):
		if c.Before == "" || c.Image != "" {
			f.plan(remedy, "the request removes %s, but the table has %q before and %q after", c.CSC, c.Before, c.Image)
		}
	case v.added(c.CSC):
		if c.Before != "" {
			f.plan(remedy, "the request adds %s, but the table has %q before", c.CSC, c.Before)
		}
	case c.Before == c.Image && c.Image != "":
		f.plan("recompile the plan", "the table has %q as what %s runs before, which is what it runs after", c.Before, c.CSC)
	case why == plan.Configuration && c.Before != "" && old != now:
		f.plan(remedy, "the request changes only the configuration of %s, but its image goes from %s to %s", c.CSC, old, now)
	case why == plan.Rollback && old <= now, why == plan.Unpinned && c.Before == "":
		f.plan(remedy, "the request calls the change of %s a %s, but its image goes from %q to %q", c.CSC, why, old, now)
	case v.Type == plan.Incremental && c.Before != "" && i < 0:
		f.plan(remedy, "the image of %s goes from %s to %s, but the request does not name it", c.CSC, old, now)
	case v.Type == plan.Incremental && old > now && why == plan.NewRevision:
		f.plan(remedy, "the image of %s goes back from %s to %s, but the request does not call it a rollback", c.CSC, old, now)
	case v.Type == plan.Full && c.Before != "" && !v.comesFrom(old):
		f.plan(remedy, "%s runs %s before the upgrade, which is not of the cycle %s that it comes from", c.CSC, old, v.Upgrade.From)
	}
}

// comesFrom reports whether a tag is of the cycle from which a full upgrade comes.
func (v *view) comesFrom(tag string) bool {
	n := len("c0044")
	return v.Upgrade.From != "" && len(tag) >= n && tag[:n] == v.Upgrade.From
}
