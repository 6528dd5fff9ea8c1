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
			"The CSCs that the site keeps in their states, such as MTM1M3TS in ENABLED at the summit, stay there. No step sends them elsewhere, the shutdown script ignores them, " +
				"what runs them is touched only with a consent that names their principal, which may be one for stop, update, start and the way back, and their states are checked before anything goes down and afterwards.", protected},
		{"m2-closed-loop", []string{"P4"},
			"A mirror with a closed loop, such as M2 at the summit, is in closed-loop control before the control system goes down. It is switched by hand on the EUI, and the plan asks.", m2ClosedLoop},
		{"m2-recovery", []string{"P5"},
			"In a recovery the CSC of such a mirror is ENABLED again, with its principal, and closed loop is confirmed before the machine that runs its EUI may be rebooted.", m2Recovery},
	}
}

// protectedStates returns the states of the CSCs that keep theirs through an
// upgrade, by CSC (P6).
func (v *view) protectedStates() map[string]string {
	out := map[string]string{}
	for i := range v.CSCs {
		if c := &v.CSCs[i]; c.Keeps != "" {
			out[c.CSC] = c.Keeps
		}
	}
	return out
}

// protectedNames returns the CSCs that keep their states, sorted.
func (v *view) protectedNames() []string {
	var out []string
	for c := range v.protectedStates() {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

func protected(v *view, f *findings) {
	for _, name := range v.protectedNames() {
		c, ok := v.CSC(name)
		if !ok {
			f.plan("recompile the plan", "%s is protected but is not in the plan's table", name)
			continue
		}
		state := v.protectedStates()[name]
		if c.Expect != state {
			f.plan("recompile the plan", "the table expects %s in %q, but it must stay %s", name, c.Expect, state)
		}
		var touching []*node
		for _, n := range v.steps {
			noOtherState(f, n, name, state)
			what := ""
			if n.touches(c.Host) && n.builds() {
				if n.does.Begun != "" {
					what = fmt.Sprintf("builds on %q, which runs %s", c.Host, name)
				}
			} else if n.touches(c.Host) {
				touching = append(touching, n)
				what = fmt.Sprintf("touches %q, which runs %s", c.Host, name)
			} else if to, _ := n.sent(name); to == state {
				what = "commands " + name
			}
			if what != "" && !agreed(v, n, c) && !v.inAgreedUnit(n, c) {
				f.step(n, "add a consent and the principal "+quoted(v.principalOf(c)), "it %s, without its own consent that names the principal", what)
			}
		}
		protectedSeen(v, f, name, state, touching)
		protectedUnit(v, f, name, state, touching)
	}
}

// noOtherState refuses what would bring a protected CSC to another state.
func noOtherState(f *findings, n *node, name, state string) {
	if slices.Contains(n.sends, name) {
		remedy := "remove it from the list"
		if n.shutdown != nil {
			remedy = "add it to the script's ignore list"
		}
		f.step(n, remedy, "sends %s to OFFLINE, but it must stay %s", name, state)
	}
	if to, ok := n.sent(name); ok && to != state && to != plan.Offline {
		f.step(n, "remove it from the list", "brings %s to %s, but it must stay %s", name, to, state)
	}
}

// touches reports whether the step acts on the host.
func (n *node) touches(host string) bool {
	return host != "" && n.does.Host == host
}

// builds reports whether the step begins a build on a host or waits for one, which leaves
// what runs there alone.
func (n *node) builds() bool { return n.does.Begun != "" || n.does.Ended != "" }

// principalOf returns the principal who must agree before the CSC is touched: the
// CSC's, or else its host's.
func (v *view) principalOf(c *plan.CSC) string {
	if h, ok := v.Host(c.Host); ok && c.Principal == "" {
		return h.Principal
	}
	return c.Principal
}

// agreed reports whether the step's own consent names the CSC's principal.
func agreed(v *view, n *node, c *plan.CSC) bool {
	return n.Consent != "" && slices.Contains(n.Principals, v.principalOf(c))
}

// inAgreedUnit reports whether the step follows, in its stage, a stop of the CSC's service
// whose own consent names the principal: that consent is for the whole unit.
func (v *view) inAgreedUnit(n *node, c *plan.CSC) bool {
	return v.any(func(s *node) bool {
		return s.does.Stopped != "" && s.touches(c.Host) && s.stageAt == n.stageAt && before(s, n) && agreed(v, s, c)
	})
}

// protectedUnit requires the steps that touch the host of a protected CSC, bring it
// back to its state and check that to be in one stage, so that none is left half
// done.
func protectedUnit(v *view, f *findings, name, state string, touching []*node) {
	if len(touching) == 0 {
		return
	}
	last := touching[len(touching)-1]
	for _, n := range touching {
		if n.stageAt != last.stageAt {
			f.step(n, "put stop, update, start and the return to the state into one stage", "touches the host of %s in a different stage than %s", name, last.ID)
		}
	}
	after := func(cond func(*node) bool, of ...*node) []*node {
		return v.where(func(n *node) bool {
			return n.stageAt == last.stageAt && cond(n) && !slices.ContainsFunc(of, func(t *node) bool { return !before(t, n) })
		})
	}
	back := after(func(n *node) bool { return n.sets(name, state) }, touching...)
	if len(back) == 0 {
		f.step(last, "add a set-state step after it, in its stage", "no step of its stage brings %s back to %s afterwards", name, state)
		return
	}
	if len(after(func(n *node) bool { return slices.Equal(n.wants(name), []string{state}) }, back...)) == 0 {
		f.step(back[0], "add an await-state step after it, in its stage", "no step of its stage checks that %s is back in %s", name, state)
	}
}

// protectedSeen requires a check of the CSC before anything goes down, except in a
// recovery, and one after everything that could have disturbed it.
func protectedSeen(v *view, f *findings, name, state string, touching []*node) {
	if v.Quiet() {
		return // nothing that speaks SAL goes down
	}
	looks := v.where(func(n *node) bool {
		return n.OnFailure == plan.Ask && slices.Equal(n.wants(name), []string{state})
	})
	down := v.down()
	if v.Type != plan.Recovery {
		early := slices.ContainsFunc(looks, func(l *node) bool {
			return !slices.ContainsFunc(down, func(d *node) bool { return !before(l, d) })
		})
		if !early {
			f.plan("add an await-state step before the first step that takes something down", "no step checks that %s is %s before the control system goes down", name, state)
		}
	}
	for _, l := range slices.Concat(v.looking("P41"), v.looking("P43")) {
		later := slices.ContainsFunc(touching, func(t *node) bool { return !before(t, l) })
		if !later && !slices.Equal(l.wants(name), []string{state}) {
			f.step(l, "await it in "+state+" too", "checks the CSCs' final states but omits %s, which must stay %s", name, state)
		}
	}
	disturbing := append(v.where(func(n *node) bool { return len(n.sends) > 0 }), touching...)
	late := slices.ContainsFunc(looks, func(l *node) bool {
		return !slices.ContainsFunc(disturbing, func(d *node) bool { return !before(d, l) })
	})
	if !late {
		f.plan("add an await-state step after them", "no step checks that %s is still %s after the steps that send CSCs to OFFLINE or touch its host", name, state)
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
		f.plan("add a manual step for P4 before the first step that takes something down", "no step asks whether %s is in closed-loop control", m2.Mirror)
		return
	}
	m2Agreed(v, f, asks)
	for _, d := range down {
		if !slices.ContainsFunc(asks, func(a *node) bool { return before(a, d) }) {
			f.step(d, "run it after "+asks[0].ID, "takes something down but may run before %s is known to be in closed-loop control", m2.Mirror)
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
		f.stage(&v.Stages[0], "add a manual step for P5 to it", "does not ask whether the machine of %s's EUI has already been rebooted", m2.Mirror)
	}
	enable := v.where(func(n *node) bool { return n.sets(m2.CSC, plan.Enabled) && n.cites("P5") })
	name := plan.CSCList([]string{m2.CSC})
	if len(enable) == 0 {
		f.plan("add a set-state step for P5 after the syncs", "no step brings %s back to ENABLED", name)
		return
	}
	c, ok := v.CSC(m2.CSC)
	if !ok {
		return // reported by known-names
	}
	first := enable[0]
	for _, n := range enable {
		if n.Consent == "" || !slices.Contains(n.Principals, v.principalOf(c)) {
			f.step(n, "add a consent and the principal "+quoted(v.principalOf(c)), "brings %s to ENABLED without its own consent that names the principal", name)
		}
		if !slices.ContainsFunc(v.syncs(""), func(s *node) bool { return s.brings(c) && before(s, n) }) {
			f.step(n, "let it come after the sync of its application", "%s may not run yet: its Job may not be synced before", name)
		}
	}
	asks := slices.DeleteFunc(v.asking("P5"), func(n *node) bool { return !before(first, n) })
	if !v.any(func(n *node) bool {
		return slices.Equal(n.wants(m2.CSC), []string{plan.Enabled}) && n.cites("P5") && before(first, n) &&
			!slices.ContainsFunc(asks, func(a *node) bool { return !before(n, a) })
	}) {
		f.step(first, "add an await-state step for P5 after it", "no step checks that %s is ENABLED before the questions about %s", name, m2.Mirror)
	}
	chained := slices.ContainsFunc(asks, func(b *node) bool {
		return speaks(b, "reboot") && slices.ContainsFunc(asks, func(a *node) bool { return speaks(a, "closed loop", "closed-loop") && before(a, b) })
	})
	if !chained {
		f.step(first, "add two manual steps for P5 after it, the second needing the first", "no steps after it confirm closed loop on the EUI and then release the machine for its reboot")
		return
	}
	m2Agreed(v, f, v.asking("P5"))
	for _, r := range v.where(func(n *node) bool { return n.does.Rebooted != "" }) {
		for _, a := range asks {
			if !before(a, r) {
				f.step(r, "run it after "+a.ID, "may reboot a machine before %s is confirmed in %s", m2.Mirror, a.ID)
			}
		}
	}
}

// speaks reports whether the title or text of a manual step contains one of the
// words.
func speaks(n *node, words ...string) bool {
	text := strings.ToLower(n.Title + " " + n.Action.Parameters.(*plan.Manual).Text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// m2Agreed requires the questions about the mirror to name its principal.
func m2Agreed(v *view, f *findings, asks []*node) {
	m2 := v.Facts.ClosedLoop
	c, ok := v.CSC(m2.CSC)
	if !ok {
		return // reported by known-names
	}
	for _, n := range asks {
		p := v.principalOf(c)
		if p != "" && (n.Consent == "" || !slices.Contains(n.Principals, p)) {
			f.step(n, "add a consent and the principal "+quoted(p), "is about %s but has no consent in which the operator confirms that the %s has agreed", m2.Mirror, p)
		}
	}
}

func quoted(s string) string { return "\"" + strings.ReplaceAll(s, "\"", "'") + "\"" }
