package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func lookRules() []Rule {
	return []Rule{
		{"looks-in-order", []string{"P37", "P41", "P43", "P55"},
			"A look at CSCs comes before or after what moves them, never beside it, and the one that ends their enabling comes after all of that.", looksInOrder},
		{"looks-complete", []string{"P37", "P39", "P41", "P43"},
			"All CSCs that went down are watched coming up, and the look that ends their enabling leaves none of them out.", looksComplete},
		{"awaited-states", []string{"P11", "P37", "P41", "P43"},
			"A CSC is awaited in the states that the plan's table gives it: the one in which it comes up, or the one in which it ends; and in OFFLINE only while it is down.", awaitedStates},
	}
}

func looksInOrder(v *view, f *findings) {
	looksAfterSetting(v, f)
	looksApart(v, f)
}

// looksAfterSetting wants a look that belongs to the enabling of CSCs to come
// after all of that.
func looksAfterSetting(v *view, f *findings) {
	for _, number := range []string{"P41", "P43", "P55"} {
		for _, look := range v.looking(number) {
			for _, set := range v.setting(number) {
				if !before(set, look) {
					f.step(look, "let it come after "+set.ID, "it looks where CSCs are and may be over before %s has brought them there", set.ID)
				}
			}
		}
		for _, set := range v.setting(number) {
			if !slices.ContainsFunc(v.looking(number), func(l *node) bool { return before(set, l) }) {
				f.step(set, "add an await-state step for "+number+" behind it", "no look for %s follows it", number)
			}
		}
	}
}

// looksApart wants a look and a step of its stage that moves one of its CSCs to
// be in an order: else it sees now the one state and now the other.
func looksApart(v *view, f *findings) {
	for _, look := range v.where(func(n *node) bool { return n.looks() }) {
		for _, m := range v.steps {
			if m.stageAt != look.stageAt || before(m, look) || before(look, m) {
				continue
			}
			for _, name := range m.commands(v) {
				if look.wants(name) != nil {
					f.step(look, "let one of them need the other", "it looks for %s, and %s may move that at the same time", name, m.ID)
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

// looksComplete wants each CSC that went down in a look of P37 once it is back,
// and in those of P41 and P43.
func looksComplete(v *view, f *findings) {
	left := map[*node][]string{}
	var unwatched []string
	watches := v.looking("P37")
	ends := v.where(func(n *node) bool {
		return n.looks() && (n.cites("P39") || n.cites("P41") || n.cites("P43"))
	})
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if !c.Speaks() || !v.goesDown(c) {
			continue
		}
		watched := slices.ContainsFunc(watches, func(n *node) bool {
			return n.wants(c.CSC) != nil && !v.movesBehind(n, c)
		})
		if !watched {
			unwatched = append(unwatched, c.CSC)
		}
		for _, look := range ends {
			if c.Bridge && look.cites("P39") {
				continue // comes up after the services
			}
			if look.wants(c.CSC) == nil && !v.movesBehind(look, c) {
				left[look] = append(left[look], c.CSC)
			}
		}
	}
	if len(left) == 0 {
		lastLook(v, f)
	}
	if len(unwatched) > 0 {
		f.plan("name them in an await-state step for P37 behind the steps that bring them back", "nothing watches %s come up", list(unwatched))
	}
	for _, look := range ends {
		if len(left[look]) > 0 {
			f.step(look, "name them too", "it leaves out %s, which went down", list(left[look]))
		}
	}
}

// lastLook wants one look behind everything that takes CSCs down or starts them
// that names all of them, so that somebody sees the site as a whole. Those that
// keep their states have looks of their own.
func lastLook(v *view, f *findings) {
	kept := v.kept()
	var down []*plan.CSC
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Speaks() && kept[c.CSC] == "" && v.goesDown(c) {
			down = append(down, c)
		}
	}
	var closest []string // those that the best of the looks leaves out
	for i, look := range v.where(func(n *node) bool { return n.looks() }) {
		var out []string
		for _, c := range down {
			if look.wants(c.CSC) == nil || v.movesBehind(look, c) {
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
		f.plan("add an await-state step behind all of them that names every CSC that went down", "no look at the end is at all CSCs that went down; the one that comes closest leaves out %s", list(closest))
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
				case !ok: // said by known-names
				case slices.Equal(w.States, []string{plan.Offline}) && c.Expect != plan.Offline:
					if !v.downAt(n, c) {
						f.step(n, "await the state in which it comes up or ends", "it awaits %s in OFFLINE, where no step before it has left it", name)
					}
				case final && !slices.Equal(w.States, []string{c.Expect}) && !v.enabledLater(n, c):
					f.step(n, "await "+c.Expect+" alone", "it awaits %s in %s; the upgrade ends with it in %s", name, list(w.States), c.Expect)
				case slices.ContainsFunc(w.States, func(s string) bool { return s != c.ComesUp && s != c.Expect }):
					f.step(n, "await the state in which it comes up or ends", "it awaits %s in %s; it comes up in %s and ends in %s", name, list(w.States), c.ComesUp, c.Expect)
				case n.cites("P37") && !slices.Contains(w.States, c.ComesUp):
					f.step(n, "await "+c.ComesUp, "it watches %s come up, and awaits %s, though it comes up in %s", name, list(w.States), c.ComesUp)
				default:
					leftElsewhere(v, f, n, c, w.States)
				}
			}
		}
	}
}

// leftElsewhere refuses a look for a CSC in a state other than the one in which
// the steps before it have surely left it.
func leftElsewhere(v *view, f *findings, n *node, c *plan.CSC, states []string) {
	moving := v.commanding(c)
	for _, m := range moving {
		last := before(m, n) && !slices.ContainsFunc(moving, func(x *node) bool { return x != m && !before(x, m) && !before(n, x) })
		if !last {
			continue
		}
		if state, ok := m.sent(c.CSC); ok && !slices.Contains(states, state) {
			f.step(n, "await "+state, "it awaits %s in %s, and %s brings it to %s", c.CSC, list(states), m.ID, state)
		} else if !ok && m.brings(c) && !slices.Contains(states, c.ComesUp) {
			f.step(n, "bring it there before, or await "+c.ComesUp, "it awaits %s in %s, and %s starts it, which leaves it in %s", c.CSC, list(states), m.ID, c.ComesUp)
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

// enabledLater tells whether the CSC is brought to ENABLED only after the look,
// with all of the site (P55).
func (v *view) enabledLater(n *node, c *plan.CSC) bool {
	return slices.ContainsFunc(v.setting("P55"), func(set *node) bool {
		return set.sets(c.CSC, plan.Enabled) && before(n, set)
	})
}

// downAt tells whether the CSC is down when the step looks: sent to OFFLINE
// before, and not brought back.
func (v *view) downAt(n *node, c *plan.CSC) bool {
	sent := v.any(func(m *node) bool { return m.down[c.CSC] && before(m, n) })
	back := v.any(func(m *node) bool {
		bridge := c.Bridge && m.does.ByPerson && m.cites("P34")
		return (bridge || m.brings(c)) && !before(n, m)
	})
	return sent && !back
}
