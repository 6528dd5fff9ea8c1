package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func lookRules() []Rule {
	return []Rule{
		{"looks-in-order", []string{"P37", "P41", "P43", "P55"},
			"A check of CSCs runs before or after the steps that move them, never in parallel. The check that ends their enabling comes after all of it.", looksInOrder},
		{"looks-complete", []string{"P37", "P39", "P41", "P43"},
			"All CSCs that went down are watched coming up, and the check that ends their enabling includes all of them.", looksComplete},
		{"awaited-states", []string{"P6", "P11", "P37", "P41", "P43"},
			"A CSC is awaited in a state that the plan's table gives it: the one in which it comes up, or its final one. It is awaited in OFFLINE only while it is down. Two states will do only for a CSC that keeps its state, where it is started: it may be in either.", awaitedStates},
	}
}

func looksInOrder(v *view, f *findings) {
	looksAfterSetting(v, f)
	looksApart(v, f)
}

// looksAfterSetting requires a check that belongs to the enabling of CSCs to come
// after all of it.
func looksAfterSetting(v *view, f *findings) {
	for _, number := range []string{"P41", "P43", "P55"} {
		for _, look := range v.looking(number) {
			for _, set := range v.setting(number) {
				if !before(set, look) {
					f.step(look, "run it after "+set.ID, "checks CSCs but may finish before %s has brought them to their states", set.ID)
				}
			}
		}
		for _, set := range v.setting(number) {
			if !slices.ContainsFunc(v.looking(number), func(l *node) bool { return before(set, l) }) {
				f.step(set, "add an await-state step for "+number+" after it", "no check for %s follows it", number)
			}
		}
	}
}

// looksApart requires a check, and a step of its stage that moves one of its CSCs,
// to be ordered. Otherwise it may see either state.
func looksApart(v *view, f *findings) {
	for _, look := range v.where(func(n *node) bool { return n.looks() }) {
		for _, m := range v.steps {
			if m.stageAt != look.stageAt || before(m, look) || before(look, m) {
				continue
			}
			for _, name := range m.commands(v) {
				if look.wants(name) != nil {
					f.step(look, "make one of them need the other", "checks %s, but %s may move it at the same time", name, m.ID)
					break
				}
			}
		}
	}
}

// commands returns the CSCs that the step takes down, starts or brings to a
// state.
func (n *node) commands(v *view) []string {
	return append(n.does.Touches(), v.On(n.does.Host)...)
}

// looksComplete requires each CSC that went down to be in a check for P37 once it
// is back, and in those for P41 and P43.
func looksComplete(v *view, f *findings) {
	left := map[*node][]string{}
	var unwatched []string
	watches := v.looking("P37")
	ends := v.where(func(n *node) bool {
		return n.looks() && (n.cites("P39") || n.cites("P41") || n.cites("P43"))
	})
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if !c.Speaks() || !v.goesDown(c) || v.removed(c.CSC) {
			continue // a removed one is seen OFFLINE at the end: see lastLook
		}
		watched := slices.ContainsFunc(watches, func(n *node) bool {
			return n.wants(c.CSC) != nil && !v.movesAfter(n, c)
		})
		if !watched {
			unwatched = append(unwatched, c.CSC)
		}
		for _, look := range ends {
			if c.Bridge && look.cites("P39") {
				continue // comes up after the services
			}
			if look.wants(c.CSC) == nil && !v.movesAfter(look, c) {
				left[look] = append(left[look], c.CSC)
			}
		}
	}
	if len(left) == 0 {
		lastLook(v, f)
	}
	if len(unwatched) > 0 {
		f.plan("add them to an await-state step for P37 after the steps that bring them back", "no step watches %s come up", list(unwatched))
	}
	for _, look := range ends {
		if len(left[look]) > 0 {
			f.step(look, "add them", "omits %s, which went down", list(left[look]))
		}
	}
}

// lastLook requires one check of all CSCs after everything that takes them down or
// starts them, so that the operator sees the whole site. CSCs that keep their
// states have their own checks.
func lastLook(v *view, f *findings) {
	protected := v.protectedStates()
	var down []*plan.CSC
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Speaks() && protected[c.CSC] == "" && v.goesDown(c) {
			down = append(down, c)
		}
	}
	var closest []string // those that the most complete check omits
	for i, look := range v.where(func(n *node) bool { return n.looks() }) {
		var out []string
		for _, c := range down {
			if look.wants(c.CSC) == nil || v.movesAfter(look, c) {
				out = append(out, c.CSC)
			}
		}
		if len(out) == 0 {
			return
		}
		if i == 0 || len(out) < len(closest) {
			closest = out
		}
	}
	if len(down) > 0 && len(closest) > 0 {
		f.plan("add an await-state step at the end with every CSC that went down", "no check at the end includes all CSCs that went down; the most complete one omits %s", list(closest))
	}
}

func awaitedStates(v *view, f *findings) {
	for _, n := range v.steps {
		if !n.looks() {
			continue
		}
		final := n.cites("P41") || n.cites("P43") || n.cites("P55")
		for _, w := range n.does.Sees {
			for _, name := range w.CSCs {
				c, ok := v.CSC(name)
				switch {
				case !ok: // reported by known-names
				case len(w.States) > 1 && c.Keeps == "":
					f.step(n, "await one state", "it accepts %s in %s: a CSC that keeps no state is in one", name, list(w.States))
				case slices.Equal(w.States, []string{plan.Offline}) && c.Expect != plan.Offline:
					if !v.downAt(n, c) {
						f.step(n, "await the state in which it comes up, or its final state", "awaits %s in OFFLINE, but no step before it sends it there", name)
					}
				case final && !slices.Equal(w.States, []string{c.Expect}) && !v.enabledLater(n, c):
					f.step(n, "await only "+c.Expect, "awaits %s in %s, but its final state is %s", name, list(w.States), c.Expect)
				case slices.ContainsFunc(w.States, func(s string) bool { return s != c.ComesUp && s != c.Expect }):
					f.step(n, "await the state in which it comes up, or its final state", "awaits %s in %s, but it comes up in %s and ends in %s", name, list(w.States), c.ComesUp, c.Expect)
				case n.cites("P37") && !slices.Contains(w.States, c.ComesUp):
					f.step(n, "await "+c.ComesUp, "awaits %s in %s, but it comes up in %s", name, list(w.States), c.ComesUp)
				default:
					leftElsewhere(v, f, n, c, w.States)
				}
			}
		}
	}
}

// leftElsewhere refuses a check for a CSC in a state other than the one in which
// the steps before it certainly left it.
func leftElsewhere(v *view, f *findings, n *node, c *plan.CSC, states []string) {
	moving := v.commanding(c)
	for _, m := range moving {
		last := before(m, n) && !slices.ContainsFunc(moving, func(x *node) bool { return x != m && !before(x, m) && !before(n, x) })
		if !last {
			continue
		}
		if state, ok := m.sent(c.CSC); ok && !slices.Contains(states, state) {
			f.step(n, "await "+state, "awaits %s in %s, but %s brings it to %s", c.CSC, list(states), m.ID, state)
		} else if !ok && m.brings(c) && !slices.Contains(states, c.ComesUp) {
			f.step(n, "bring it there first, or await "+c.ComesUp, "awaits %s in %s, but %s starts it, which leaves it in %s", c.CSC, list(states), m.ID, c.ComesUp)
		}
	}
}

// sent returns the state to which a set-state step brings the CSC.
func (n *node) sent(csc string) (state string, ok bool) {
	if !n.brought() || !n.commanded[csc] {
		return "", false
	}
	return n.does.State, true
}

// enabledLater reports whether the CSC is brought to ENABLED only after the look,
// with all of the site (P55).
func (v *view) enabledLater(n *node, c *plan.CSC) bool {
	return slices.ContainsFunc(v.setting("P55"), func(set *node) bool {
		return set.sets(c.CSC, plan.Enabled) && before(n, set)
	})
}

// downAt reports whether the CSC is down when the step checks it: sent to OFFLINE
// before, and not brought back.
func (v *view) downAt(n *node, c *plan.CSC) bool {
	sent := v.any(func(m *node) bool { return m.down[c.CSC] && before(m, n) })
	back := v.any(func(m *node) bool {
		bridge := c.Bridge && m.does.ByPerson && m.cites("P34")
		return (bridge || m.brings(c)) && !before(n, m)
	})
	return sent && !back
}
