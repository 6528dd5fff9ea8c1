package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func protectedRules() []Rule {
	return []Rule{
		{"protected", []string{"P6", "P45"},
			"The CSCs that the site keeps in their states, such as MTM1M3TS in ENABLED at the summit, stay there. They are sent nowhere else, the shutdown script ignores them, " +
				"what runs them is not touched without a consent that names their principal, and their states are looked at before anything goes down and afterwards.", protected},
		{"m2-closed-loop", []string{"P4"},
			"Where the site has a mirror with a closed loop, M2 at the summit, it is in closed-loop control before the control system goes down; a person switches it on the EUI, and the plan asks.", m2ClosedLoop},
		{"m2-recovery", []string{"P5"},
			"In a recovery the CSC of such a mirror is ENABLED again, with its principal, and closed loop is confirmed before the machine that runs its EUI may be rebooted.", m2Recovery},
	}
}

// kept returns the CSCs that keep their state through an upgrade, and the state
// (P6).
func (v *view) kept() map[string]string {
	out := map[string]string{}
	for i := range v.CSCs {
		if c := &v.CSCs[i]; c.Keeps != "" {
			out[c.CSC] = c.Keeps
		}
	}
	return out
}

// keptNames returns the kept CSCs in a fixed order.
func (v *view) keptNames() []string {
	var out []string
	for c := range v.kept() {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

func protected(v *view, f *findings) {
	for _, name := range v.keptNames() {
		c, ok := v.CSC(name)
		if !ok {
			f.plan("compile the plan again", "%s is protected and does not stand in the plan's table, so that nothing can be said about it", name)
			continue
		}
		state := v.kept()[name]
		if c.Expect != state {
			f.plan("compile the plan again", "the table expects %s in %q; it stays %s", name, c.Expect, state)
		}
		var touching []*node
		for _, n := range v.steps {
			keptState(f, n, name, state)
			what := ""
			if n.touches(c.Host) {
				touching = append(touching, n)
				what = fmt.Sprintf("touches %q, which runs %s", c.Host, name)
			} else if to, _ := n.sent(name); to == state {
				what = "commands " + name
			}
			if what != "" && !agreed(v, n, c) {
				f.step(n, "give the step a consent and the principal "+quoted(v.principalOf(c)), "it %s, without a consent of its own that names the principal", what)
			}
		}
		keptSeen(v, f, name, state, touching)
		keptUnit(v, f, name, state, touching)
	}
}

// keptState refuses what would bring a kept CSC into another state.
func keptState(f *findings, n *node, name, state string) {
	if slices.Contains(n.sends, name) {
		remedy := "take it off the list"
		if n.shutdown != nil {
			remedy = "put it on the script's ignore list"
		}
		f.step(n, remedy, "it sends %s to OFFLINE, which stays %s", name, state)
	}
	if to, ok := n.sent(name); ok && to != state && to != plan.Offline {
		f.step(n, "take it off the list", "it brings %s to %s, which stays %s", name, to, state)
	}
}

// touches tells whether the step does something on the host.
func (n *node) touches(host string) bool {
	return host != "" && n.does.Host == host
}

// principalOf returns who must agree before the CSC is touched: the CSC's
// principal or else its host's.
func (v *view) principalOf(c *plan.CSC) string {
	if h, ok := v.Host(c.Host); ok && c.Principal == "" {
		return h.Principal
	}
	return c.Principal
}

// agreed tells whether the step's own consent names the CSC's principal.
func agreed(v *view, n *node, c *plan.CSC) bool {
	return n.Consent != "" && slices.Contains(n.Principals, v.principalOf(c))
}

// keptUnit wants what touches the host of a kept CSC, its way back to its state
// and the look at that to be one stage, so that it is not left half done.
func keptUnit(v *view, f *findings, name, state string, touching []*node) {
	if len(touching) == 0 {
		return
	}
	last := touching[len(touching)-1]
	for _, n := range touching {
		if n.stageAt != last.stageAt {
			f.step(n, "put stop, update, start and the way back into one stage", "it touches the host of %s apart from %s", name, last.ID)
		}
	}
	after := func(cond func(*node) bool, of ...*node) []*node {
		return v.where(func(n *node) bool {
			return n.stageAt == last.stageAt && cond(n) && !slices.ContainsFunc(of, func(t *node) bool { return !before(t, n) })
		})
	}
	back := after(func(n *node) bool { return n.sets(name, state) }, touching...)
	if len(back) == 0 {
		f.step(last, "add a set-state step behind it, in its stage", "no step of its stage brings %s back to %s afterwards", name, state)
		return
	}
	if len(after(func(n *node) bool { return slices.Equal(n.wants(name), []string{state}) }, back...)) == 0 {
		f.step(back[0], "add an await-state step behind it, in its stage", "no step of its stage looks whether %s is back in %s", name, state)
	}
}

// keptSeen wants a look at the CSC before anything goes down, but in a recovery,
// and one after everything that could have disturbed it.
func keptSeen(v *view, f *findings, name, state string, touching []*node) {
	looks := v.where(func(n *node) bool {
		return n.OnFailure == plan.Ask && slices.Equal(n.wants(name), []string{state})
	})
	down := v.down()
	if v.Type != plan.Recovery {
		early := slices.ContainsFunc(looks, func(l *node) bool {
			return !slices.ContainsFunc(down, func(d *node) bool { return !before(l, d) })
		})
		if !early {
			f.plan("add an await-state step before the first step that takes something down", "nothing looks whether %s is %s before the control system goes down", name, state)
		}
	}
	for _, l := range slices.Concat(v.looking("P41"), v.looking("P43")) {
		later := slices.ContainsFunc(touching, func(t *node) bool { return !before(t, l) })
		if !later && !slices.Equal(l.wants(name), []string{state}) {
			f.step(l, "await it in "+state+" too", "it looks where the CSCs have ended and leaves out %s, which stays %s", name, state)
		}
	}
	disturbing := append(v.where(func(n *node) bool { return len(n.sends) > 0 }), touching...)
	late := slices.ContainsFunc(looks, func(l *node) bool {
		return !slices.ContainsFunc(disturbing, func(d *node) bool { return !before(d, l) })
	})
	if !late {
		f.plan("add an await-state step behind them", "nothing looks whether %s is still %s after the steps that send CSCs to OFFLINE or touch its host", name, state)
	}
}

func m2ClosedLoop(v *view, f *findings) {
	m2 := v.Facts.ClosedLoop
	if m2 == nil {
		return
	}
	down := v.down()
	m2Goes := slices.ContainsFunc(down, func(n *node) bool { return n.down[m2.CSC] })
	if v.Type == plan.Incremental && !m2Goes {
		return
	}
	asks := v.asking("P4")
	if len(asks) == 0 {
		f.plan("add a manual step for P4 before the first step that takes something down", "nobody is asked whether %s is in closed-loop control", m2.Mirror)
		return
	}
	m2Agreed(v, f, asks)
	for _, d := range down {
		if !slices.ContainsFunc(asks, func(a *node) bool { return before(a, d) }) {
			f.step(d, "let it come after "+asks[0].ID, "it takes something down and may run before %s is known to be in closed-loop control", m2.Mirror)
		}
	}
}

func m2Recovery(v *view, f *findings) {
	m2 := v.Facts.ClosedLoop
	if m2 == nil || v.Type != plan.Recovery {
		return
	}
	asked := slices.ContainsFunc(v.asking("P5"), func(n *node) bool { return n.stageAt == 0 })
	if len(v.Stages) > 0 && !asked {
		f.stage(&v.Stages[0], "add a manual step for P5 to it", "the first stage does not ask whether the machine of %s's EUI was rebooted already", m2.Mirror)
	}
	enable := v.where(func(n *node) bool { return n.sets(m2.CSC, plan.Enabled) && n.cites("P5") })
	name := plan.CSCList([]string{m2.CSC})
	if len(enable) == 0 {
		f.plan("add a set-state step for P5 behind the syncs", "%s is not brought back to ENABLED", name)
		return
	}
	c, ok := v.CSC(m2.CSC)
	if !ok {
		return // said by known-names
	}
	first := enable[0]
	for _, n := range enable {
		if n.Consent == "" || !slices.Contains(n.Principals, v.principalOf(c)) {
			f.step(n, "give the step a consent and the principal "+quoted(v.principalOf(c)), "it brings %s to ENABLED without a consent of its own that names the principal", name)
		}
		if !slices.ContainsFunc(v.syncs(""), func(s *node) bool { return s.brings(c) && before(s, n) }) {
			f.step(n, "let it come after the sync of its application", "%s may not run yet: its Job is not surely synced before", name)
		}
	}
	asks := slices.DeleteFunc(v.asking("P5"), func(n *node) bool { return !before(first, n) })
	if !v.any(func(n *node) bool {
		return slices.Equal(n.wants(m2.CSC), []string{plan.Enabled}) && n.cites("P5") && before(first, n) &&
			!slices.ContainsFunc(asks, func(a *node) bool { return !before(n, a) })
	}) {
		f.step(first, "add an await-state step for P5 behind it", "nothing looks whether %s is ENABLED before %s is judged", name, m2.Mirror)
	}
	chained := slices.ContainsFunc(asks, func(b *node) bool {
		return speaks(b, "reboot") && slices.ContainsFunc(asks, func(a *node) bool { return speaks(a, "closed loop", "closed-loop") && before(a, b) })
	})
	if !chained {
		f.step(first, "add two manual steps for P5 behind it, the second one needing the first", "it is not followed by closed loop confirmed on the EUI and then the release of the machine's reboot")
		return
	}
	m2Agreed(v, f, v.asking("P5"))
	for _, r := range v.where(func(n *node) bool { return n.does.Rebooted != "" }) {
		for _, a := range asks {
			if !before(a, r) {
				f.step(r, "let it come after "+a.ID, "it may reboot a machine before %s is settled in %s", m2.Mirror, a.ID)
			}
		}
	}
}

// speaks tells whether the title or the text of a manual step has one of the
// words.
func speaks(n *node, words ...string) bool {
	text := strings.ToLower(n.Title + " " + n.Action.Parameters.(*plan.Manual).Text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// m2Agreed wants the questions about the mirror to be put with its principal.
func m2Agreed(v *view, f *findings, asks []*node) {
	m2 := v.Facts.ClosedLoop
	c, ok := v.CSC(m2.CSC)
	if !ok {
		return // said by known-names
	}
	for _, n := range asks {
		p := v.principalOf(c)
		if p != "" && (n.Consent == "" || !slices.Contains(n.Principals, p)) {
			f.step(n, "give the step a consent and the principal "+quoted(p), "it is about %s, without a consent of its own in which the operator confirms that the %s has agreed", m2.Mirror, p)
		}
	}
}

func quoted(s string) string { return "\"" + strings.ReplaceAll(s, "\"", "'") + "\"" }
