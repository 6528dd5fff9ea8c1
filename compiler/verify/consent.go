package verify

import (
	"maps"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func consentRules() []Rule {
	return []Rule{
		{"consent", []string{"P2"},
			"Nothing is done without the consent of the person who leads: every stage asks for it and says for what, and every doubt is asked in words.", consent},
		{"principals", []string{"P3"},
			"Whoever answers for a system has agreed before it is touched: the consent of the stage, or of the step itself, names the principal of every CSC and host that is touched.", principals},
		{"one-stage", []string{"P2", "P5", "P35", "P45", "P46", "P50", "P51", "P55"},
			"What belongs together stands in one stage, so that the operator consents to the whole and it is not left half done: M2's way back, a hand-over with its answer, " +
				"the start of a host's service with the look for its CSCs, a telescope's test.", oneStage},
	}
}

// units are the steps that belong together, by what they are about.
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

// isAbout tells whether the step touches the host, or moves or looks at a CSC
// that runs there.
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
		most := units[what][0] // where most of the unit stands
		for _, n := range units[what] {
			if count[n.stageAt] > count[most.stageAt] {
				most = n
			}
		}
		for _, n := range units[what] {
			if n.stageAt != most.stageAt {
				f.step(n, "put it into the stage of "+most.ID, "it belongs to %s and stands in another stage than %s", what, most.ID)
			}
		}
	}
}

func consent(v *view, f *findings) {
	for i := range v.Stages {
		s := &v.Stages[i]
		if s.Consent == "" {
			f.stage(s, "say in its consent what the operator consents to", "it has no consent, and would begin unasked")
		}
		if slices.Contains(s.Doubts, "") {
			f.stage(s, "say what is in doubt, or take the entry out", "one of its doubts is empty: there is nothing to ask")
		}
	}
	for _, n := range v.steps {
		if len(n.Principals) > 0 && n.Consent == "" {
			f.step(n, "give the step a consent", "it names principals (%s), and no consent of its own in which the operator could confirm that they have agreed", list(n.Principals))
		}
	}
}

func principals(v *view, f *findings) {
	for _, n := range v.steps {
		for _, p := range v.principalsOf(n) {
			asked := n.Consent != "" && slices.Contains(n.Principals, p) || n.stage != nil && slices.Contains(n.stage.Principals, p)
			if !asked {
				f.step(n, "name "+quoted(p)+" among the principals of the step, with a consent, or of its stage", "it touches what the %s answers for, and nobody confirms that they have agreed", p)
			}
		}
	}
}

// principalsOf returns who must have agreed to what the step does.
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
