package verify

import (
	"maps"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func consentRules() []Rule {
	return []Rule{
		{"consent", []string{"P2"},
			"Nothing is done without the operator's consent: every stage asks for it and says for what, and every doubt has a text.", consent},
		{"principals", []string{"P3"},
			"The principal of a system agrees before it is touched: the consent of the stage, or of the step itself, names the principal of every CSC and host that is touched.", principals},
		{"one-stage", []string{"P2", "P5", "P35", "P45", "P46", "P50", "P51", "P55"},
			"Steps that belong together are in one stage, so that the operator consents to all of them and none is left half done: bringing M2 back, a hand-over with its acknowledgement, " +
				"starting a host's service and checking its CSCs, a telescope's test.", oneStage},
	}
}

// units returns the steps that belong together, by what they are about.
func (v *view) units() map[string][]*node {
	out := map[string][]*node{}
	m2 := v.Facts.ClosedLoop
	enabling := slices.IndexFunc(v.steps, func(n *node) bool { return m2 != nil && n.sets(m2.CSC, plan.Enabled) && n.cites("P5") })
	for _, n := range v.steps {
		for _, number := range []string{"P35", "P50", "P51", "P55"} {
			if n.cites(number) {
				out[number] = append(out[number], n)
			}
		}
		if n.cites("P5") && enabling >= 0 && n.stageAt >= v.steps[enabling].stageAt {
			out["P5"] = append(out["P5"], n)
		}
		for _, number := range []string{"P45", "P46"} {
			for i := range v.Hosts {
				if h := v.Hosts[i].Name; n.cites(number) && v.isAbout(n, h) {
					out[number+" on "+h] = append(out[number+" on "+h], n)
				}
			}
		}
	}
	return out
}

// isAbout reports whether the step touches the host, or moves or checks a CSC that
// runs there.
func (v *view) isAbout(n *node, host string) bool {
	return n.touches(host) || slices.ContainsFunc(v.On(host), func(c string) bool {
		_, sets := n.sent(c)
		return sets || n.wants(c) != nil
	})
}

func oneStage(v *view, f *findings) {
	units := v.units()
	for _, what := range slices.Sorted(maps.Keys(units)) {
		count := map[int]int{}
		for _, n := range units[what] {
			count[n.stageAt]++
		}
		most := units[what][0] // a step in the stage with most of the unit
		for _, n := range units[what] {
			if count[n.stageAt] > count[most.stageAt] {
				most = n
			}
		}
		for _, n := range units[what] {
			if n.stageAt != most.stageAt {
				f.step(n, "move it to the stage of "+most.ID, "belongs to %s but is in a different stage than %s", what, most.ID)
			}
		}
	}
}

func consent(v *view, f *findings) {
	for i := range v.Stages {
		s := &v.Stages[i]
		if s.Consent == "" {
			f.stage(s, "add a consent that says what the operator agrees to", "has no consent, so it would start without asking")
		}
		if slices.Contains(s.Doubts, "") {
			f.stage(s, "say what is in doubt, or remove the entry", "one of its doubts is empty")
		}
	}
	for _, n := range v.steps {
		if len(n.Principals) > 0 && n.Consent == "" {
			f.step(n, "add a consent to the step", "names principals (%s) but has no consent in which the operator confirms that they have agreed", list(n.Principals))
		}
	}
}

func principals(v *view, f *findings) {
	for _, n := range v.steps {
		for _, p := range v.principalsOf(n) {
			asked := n.Consent != "" && slices.Contains(n.Principals, p) || n.stage != nil && slices.Contains(n.stage.Principals, p)
			if !asked {
				f.step(n, "name "+quoted(p)+" among the principals of the step, with a consent, or of its stage", "touches a system of the %s, but no consent confirms that they have agreed", p)
			}
		}
	}
}

// principalsOf returns the principals who must agree to what the step does.
func (v *view) principalsOf(n *node) []string {
	var out []string
	add := func(principal string) {
		if principal != "" && !slices.Contains(out, principal) {
			out = append(out, principal)
		}
	}
	cscs := func(names []string) {
		for _, name := range names {
			if c, ok := v.CSC(name); ok {
				add(c.Principal)
			}
		}
	}
	cscs(n.does.Touches())
	if h, ok := v.Host(n.does.Host); ok {
		add(h.Principal)
	}
	cscs(v.On(n.does.Host))
	return out
}
