package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func seenRules() []Rule {
	return []Rule{
		{"seen-back", []string{"P37", "P39", "P43"},
			"Every CSC that the plan takes down, starts or brings to another state is seen, after all of that, in the state in which the upgrade ends.", seenBack},
		{"watcher-enabled", []string{"P37", "P41", "P43"},
			"The Watcher ends ENABLED, or the site has no alarms. Only at a test stand, when integration testing follows, is that left to others.", watcherEnabled},
		{"enabled-in-groups", []string{"P41", "P43", "P55"},
			"set_summary_state.py stops at its first failure: CSCs are brought up in groups, and the Watcher by a script of its own, so that one dead ESS does not keep the others down.", enabledInGroups},
		{"up-before-command", []string{"P37", "P41", "P43", "P45"},
			"A CSC that was taken down is sent to a state only after it was seen to have come up.", upBeforeCommand},
	}
}

func seenBack(v *view, f *findings) {
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if !c.Speaks() {
			continue
		}
		moving := v.where(func(n *node) bool { return v.moves(n, c) })
		if len(moving) == 0 {
			continue
		}
		if c.Expect == "" {
			f.plan("compile the plan again", "the plan takes %s down or starts it, and its table does not say in which state that ends", c.CSC)
			continue
		}
		brought := c.ComesUp == c.Expect || v.any(func(n *node) bool { return n.sets(c.CSC, c.Expect) })
		if !brought {
			f.step(moving[0], "add a set-state step", "%s comes up in %s and ends in %s, and no step brings it there", c.CSC, c.ComesUp, c.Expect)
		}
		seen := v.any(func(n *node) bool {
			if !n.sets(c.CSC, c.Expect) && !endsIn(n.wants(c.CSC), c.Expect) {
				return false
			}
			return !slices.ContainsFunc(moving, func(m *node) bool { return !before(m, n) })
		})
		if !seen {
			f.step(moving[0], "add an await-state step behind all steps that concern it", "%s is never seen in %s after the steps that take it down or bring it up (%s)", c.CSC, c.Expect, ids(moving))
		}
	}
}

// moves tells whether the step takes the CSC down, starts it, or brings it to a
// state that is not the one in which it ends.
func (v *view) moves(n *node, c *plan.CSC) bool {
	a, ok := n.Action.Doer.(*plan.SetState)
	other := ok && a.State != c.Expect && slices.Contains(a.CSCs, c.CSC)
	bridge := c.Bridge && n.kind() == plan.KindManual && n.cites("P34")
	return other || bridge || slices.Contains(n.downs(), c.CSC) || v.brings(n, c)
}

// endsIn tells whether a CSC that is in one of the states is in the expected
// one, or up and on its way there.
func endsIn(states []string, expect string) bool {
	if !slices.Contains(states, expect) {
		return false
	}
	return !slices.ContainsFunc(states, func(s string) bool {
		return s != expect && (s == plan.Offline || s == plan.Fault)
	})
}

func watcherEnabled(v *view, f *findings) {
	moved := v.any(func(n *node) bool { return slices.Contains(n.downs(), watcher) })
	left := v.atTestStand() && v.Upgrade.IntegrationTestingFollows && v.Type != plan.Incremental
	c, ok := v.CSC(watcher)
	switch {
	case !ok:
		f.plan("compile the plan again", "the Watcher does not stand in the plan's table")
	case moved && !left && c.Expect != plan.Enabled:
		f.plan("compile the plan again", "the table lets the Watcher end in %q, not in ENABLED", c.Expect)
	}
}

func enabledInGroups(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Doer.(*plan.SetState)
		if !ok || a.State == plan.Offline || len(a.CSCs) < 2 {
			continue
		}
		if a.GroupSize == 0 || a.GroupSize >= len(a.CSCs) && len(a.CSCs) > 5 || a.GroupSize > 10 {
			f.step(n, "set groupSize to 5", "one script takes %d CSCs, and the first that fails keeps the others down", groupOf(a))
		}
	}
}

func groupOf(a *plan.SetState) int {
	if a.GroupSize == 0 {
		return len(a.CSCs)
	}
	return min(a.GroupSize, len(a.CSCs))
}

func upBeforeCommand(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Doer.(*plan.SetState)
		if !ok || a.State == plan.Offline {
			continue
		}
		var unseen []string
		for _, name := range a.CSCs {
			if c, ok := v.CSC(name); ok && !v.upBefore(n, c) {
				unseen = append(unseen, name)
			}
		}
		if len(unseen) > 0 {
			f.step(n, "let it come after an await-state step that sees them come up", "%s may not have come up yet, or not again, when the script commands them", list(unseen))
		}
	}
}

// upBefore tells whether the CSC is surely up when the step starts: whatever
// took it down or started it was followed by a look.
func (v *view) upBefore(n *node, c *plan.CSC) bool {
	for _, m := range v.steps {
		if !slices.Contains(m.downs(), c.CSC) && !v.brings(m, c) || before(n, m) {
			continue
		}
		seen := v.any(func(l *node) bool {
			states := l.wants(c.CSC)
			return len(states) > 0 && !slices.Contains(states, plan.Offline) && before(m, l) && before(l, n)
		})
		if !seen {
			return false
		}
	}
	return true
}
