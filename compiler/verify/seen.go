package verify

import (
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func seenRules() []Rule {
	return []Rule{
		{"seen-back", []string{"P37", "P39", "P43"},
			"Every CSC that the plan takes down, starts or brings to another state is seen in its final state after all of that.", seenBack},
		{"watcher-enabled", []string{"P37", "P41", "P43"},
			"The Watcher ends ENABLED; otherwise the site has no alarms. The exception is a site that enables CSCs only if necessary, such as a test stand, when integration testing follows.", watcherEnabled},
		{"enabled-list", []string{"P41", "P43"},
			"A site's list of CSCs to enable has the Watcher and every ESS. Steps for that number bring those that went down to ENABLED, unless integration testing follows at a site that enables them only if necessary.", enabledList},
		{"enabled-in-groups", []string{"P10", "P41", "P43", "P55"},
			"set_summary_state.py stops at its first failure. So CSCs go to OFFLINE one by one, and are brought up in groups of five at most, and the Watcher last by its own script, so that one dead ESS does not keep the others down.", enabledInGroups},
		{"enabled-if-necessary", []string{"P41"},
			"At a site that says so, such as a test stand, CSCs are enabled after a full upgrade or a recovery only if necessary: the step asks.", enabledIfNecessary},
		{"up-before-command", []string{"P37", "P41", "P43", "P45"},
			"A CSC that was taken down is commanded only after it was seen to come up.", upBeforeCommand},
	}
}

func seenBack(v *view, f *findings) {
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if !c.Speaks() {
			continue
		}
		moving := v.moves(c)
		if len(moving) == 0 {
			continue
		}
		if c.Expect == "" {
			f.plan("recompile the plan", "the plan takes %s down or starts it, but its table has no final state for it", c.CSC)
			continue
		}
		brought := c.ComesUp == c.Expect || v.any(func(n *node) bool {
			if !n.sets(c.CSC, c.Expect) || n.cites("P49") {
				return false
			}
			early := slices.ContainsFunc(moving, func(m *node) bool { return m.brings(c) && !before(m, n) })
			return !early
		})
		if !brought {
			f.step(moving[0], "add a set-state step", "%s comes up in %s and ends in %s, but no step after its start brings it there", c.CSC, c.ComesUp, c.Expect)
		}
		seen := v.any(func(n *node) bool {
			if !n.sets(c.CSC, c.Expect) && !endsIn(n.wants(c.CSC), c.Expect) {
				return false
			}
			return !slices.ContainsFunc(moving, func(m *node) bool { return !before(m, n) })
		})
		if !seen {
			f.step(moving[0], "add an await-state step after all these steps", "%s is never seen in %s after the steps that take it down or bring it up (%s)", c.CSC, c.Expect, ids(moving))
		}
	}
}

// moves returns the steps that take the CSC down, start it, or bring it to a
// state that is not the one in which it ends.
func (v *view) moves(c *plan.CSC) []*node {
	if c.Bridge {
		return v.where(func(n *node) bool { return v.startsBridge(n, c) || v.movesOn(n, c) })
	}
	var out []*node
	for _, n := range v.commanding(c) {
		if v.movesOn(n, c) {
			out = append(out, n)
		}
	}
	return out
}

func (v *view) movesOn(n *node, c *plan.CSC) bool {
	state, sets := n.sent(c.CSC)
	return sets && state != c.Expect || n.down[c.CSC] || n.brings(c)
}

// startsBridge reports whether the step starts the bridge by hand. Only bridges
// that the plan has stopped are started by hand.
func (v *view) startsBridge(n *node, c *plan.CSC) bool {
	return n.does.ByPerson && n.cites("P34") && v.any(func(s *node) bool { return s.does.Stopped != "" && s.does.Host == c.Host })
}

// endsIn reports whether a CSC that is in one of the states is in the expected
// one, or up and on its way to it.
func endsIn(states []string, expect string) bool {
	if !slices.Contains(states, expect) {
		return false
	}
	return !slices.ContainsFunc(states, func(s string) bool {
		return s != expect && (s == plan.Offline || s == plan.Fault)
	})
}

func watcherEnabled(v *view, f *findings) {
	moved := v.any(func(n *node) bool { return n.down[watcher] })
	left := v.Facts.EnableIfNecessary && v.Upgrade.IntegrationTestingFollows && v.Type != plan.Incremental
	c, ok := v.CSC(watcher)
	switch {
	case !ok:
		f.plan("recompile the plan", "the Watcher is not in the plan's table")
	case moved && !left && c.Expect != plan.Enabled:
		f.plan("recompile the plan", "in the table the Watcher ends in %q, not in ENABLED", c.Expect)
	}
}

func enabledList(v *view, f *findings) {
	number := "P41"
	if v.Type == plan.Incremental {
		number = "P43"
	} else if !v.enables() {
		return
	}
	var missed []string
	for i := range v.CSCs {
		c := &v.CSCs[i]
		listed := c.CSC == watcher || plan.Component(c.CSC) == "ESS" && c.Speaks()
		if !listed || !v.goesDown(c) || v.removed(c.CSC) {
			continue
		}
		if !slices.ContainsFunc(v.setting(number), func(n *node) bool { return n.sets(c.CSC, plan.Enabled) }) {
			missed = append(missed, c.CSC)
		}
	}
	if len(missed) > 0 {
		f.plan("name them in a set-state step for "+number, "%s went down, but no step for %s brings them to ENABLED", list(missed), number)
	}
}

// enabledTogether is how many CSCs one script brings up at most (P41).
const enabledTogether = 5

func enabledInGroups(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.SetState)
		queues := ok && a.State == plan.Offline && !slices.ContainsFunc(a.CSCs, func(c string) bool { return !isQueue(c) })
		switch {
		case !ok || len(a.CSCs) < 2 && a.GroupSize <= enabledTogether || queues && a.GroupSize == 0:
		case a.State == plan.Offline && !queues && a.GroupSize != 1:
			f.step(n, "set groupSize to 1", "one script takes %d CSCs to OFFLINE, and the first that fails keeps the others up", groupOf(a))
		case a.GroupSize == 0 || a.GroupSize > enabledTogether:
			f.step(n, fmt.Sprintf("set groupSize to %d", enabledTogether), "one script has %d CSCs, and the first that fails keeps the others down", groupOf(a))
		}
	}
	enabledWatcherLast(v, f)
}

// enabledWatcherLast requires the Watcher to be enabled last, when there is
// something to watch.
func enabledWatcherLast(v *view, f *findings) {
	for _, number := range []string{"P41", "P43"} {
		setting := v.setting(number)
		for _, w := range setting {
			if !w.sets(watcher, plan.Enabled) {
				continue
			}
			if len(w.does.Commands) > 1 {
				f.step(w, "give the Watcher its own step", "brings up the Watcher together with others")
			}
			for _, n := range setting {
				if n != w && !before(n, w) {
					f.step(w, "run it after "+n.ID, "the Watcher may be ENABLED before %s is done, and raise alarms about CSCs that are still coming up", n.ID)
				}
			}
		}
	}
}

func enabledIfNecessary(v *view, f *findings) {
	if !v.Facts.EnableIfNecessary || v.Type == plan.Incremental {
		return
	}
	for _, n := range v.setting("P41") {
		if n.Consent == "" {
			f.step(n, "add a consent to the step", "enables CSCs without asking whether that is necessary")
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
		if n.does.State == plan.Offline {
			continue
		}
		var unseen []string
		for _, name := range n.does.Commands {
			if c, ok := v.CSC(name); ok && !v.upBefore(n, c) {
				unseen = append(unseen, name)
			}
		}
		if len(unseen) > 0 {
			f.step(n, "run it after an await-state step that sees them come up", "%s may not be up yet when the script commands them", list(unseen))
		}
	}
}

// upBefore reports whether the CSC is certainly up when the step starts: every
// step that takes it down or starts it is followed by a check.
func (v *view) upBefore(n *node, c *plan.CSC) bool {
	for _, m := range v.moving(c) {
		if before(n, m) {
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
