package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func consentRules() []Rule {
	return []Rule{
		{"consent", []string{"P2"},
			"Nothing is done without the consent of the person who leads: every stage asks for it and says for what, and every doubt is asked in words.", consent},
		{"principals", []string{"P3"},
			"Whoever answers for a system has agreed before it is touched: the consent of the stage, or of the step itself, names the principal of every CSC and host that is touched.", principals},
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
	host := func(name string) {
		if h, ok := v.Host(name); ok {
			add(h.Principal)
		}
		cscs(v.on(name))
	}
	cscs(n.sends)
	switch a := n.Action.Doer.(type) {
	case *plan.SetState:
		cscs(a.CSCs)
	case *plan.Delete:
		cscs(a.CSCs)
	case *plan.Sync:
		cscs(a.CSCs)
	case *plan.SSH:
		host(a.Host)
	case *plan.Reboot:
		host(a.Host)
	}
	return out
}
