package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

// clone returns a plan that shares nothing with p.
func clone(t testing.TB, p *plan.Plan) *plan.Plan {
	t.Helper()
	data, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	c, err := plan.Decode("clone", data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// copyOf copies what a mutant may change: stages, steps and their lists, but not
// what the actions hold.
func copyOf(p *plan.Plan) *plan.Plan {
	c := *p
	steps := func(in []plan.Step) []plan.Step {
		out := slices.Clone(in)
		for i := range out {
			out[i].Needs = slices.Clone(out[i].Needs)
			out[i].Principals = slices.Clone(out[i].Principals)
		}
		return out
	}
	c.Stages = slices.Clone(p.Stages)
	for i := range c.Stages {
		c.Stages[i].Steps = steps(c.Stages[i].Steps)
		c.Stages[i].Principals = slices.Clone(c.Stages[i].Principals)
	}
	c.Final = steps(p.Final)
	return &c
}

// A mutant is a good plan with one structural change.
type mutant struct {
	name string
	make func(*plan.Plan)
}

// mutants lists the structural changes of a plan: each step taken out, each
// need dropped, each consent dropped, each step moved to a neighbouring stage
// and so on.
func mutants(p *plan.Plan) []mutant {
	var out []mutant
	add := func(name string, make func(*plan.Plan)) { out = append(out, mutant{name, make}) }
	for i := range p.Stages {
		add(fmt.Sprintf("drop stage %s", p.Stages[i].ID), func(p *plan.Plan) { p.Stages = slices.Delete(p.Stages, i, i+1) })
		add(fmt.Sprintf("drop consent of stage %s", p.Stages[i].ID), func(p *plan.Plan) { p.Stages[i].Consent = "" })
		if len(p.Stages[i].Principals) > 0 {
			add(fmt.Sprintf("drop principals of stage %s", p.Stages[i].ID), func(p *plan.Plan) { p.Stages[i].Principals = nil })
		}
		if i > 0 {
			add(fmt.Sprintf("swap stage %s with the one before", p.Stages[i].ID), func(p *plan.Plan) { p.Stages[i], p.Stages[i-1] = p.Stages[i-1], p.Stages[i] })
		}
		for j := range p.Stages[i].Steps {
			s := &p.Stages[i].Steps[j]
			add("drop "+s.ID, func(p *plan.Plan) { removeStep(p, i, j) })
			add("duplicate "+s.ID, func(p *plan.Plan) {
				c := p.Stages[i].Steps[j]
				c.ID += "-again"
				p.Stages[i].Steps = append(p.Stages[i].Steps, c)
			})
			if i > 0 {
				add("move up "+s.ID, func(p *plan.Plan) { moveStep(p, i, j, i-1) })
			}
			if i+1 < len(p.Stages) {
				add("move down "+s.ID, func(p *plan.Plan) { moveStep(p, i, j, i+1) })
			}
			for k, need := range s.Needs {
				if reachedOtherwise(p.Stages[i].Steps, s, k) {
					continue // dropping it changes nothing
				}
				add(fmt.Sprintf("drop need of %s for %s", s.ID, need), func(p *plan.Plan) {
					st := &p.Stages[i].Steps[j]
					st.Needs = slices.Delete(st.Needs, k, k+1)
				})
			}
			if s.Consent != "" {
				add("drop consent of "+s.ID, func(p *plan.Plan) { p.Stages[i].Steps[j].Consent, p.Stages[i].Steps[j].Principals = "", nil })
			}
			if s.OnFailure == plan.Ask {
				add("report failure of "+s.ID, func(p *plan.Plan) { p.Stages[i].Steps[j].OnFailure = plan.Report })
			}
		}
	}
	for i := range p.Final {
		add("drop final "+p.Final[i].ID, func(p *plan.Plan) { p.Final = slices.Delete(p.Final, i, i+1) })
	}
	return out
}

// reachedOtherwise reports whether a step's k-th need is also a need of another one
// of its needs.
func reachedOtherwise(stage []plan.Step, s *plan.Step, k int) bool {
	reached := map[string]bool{}
	var visit func(id string)
	visit = func(id string) {
		for i := range stage {
			if stage[i].ID == id && !reached[id] {
				reached[id] = true
				for _, n := range stage[i].Needs {
					visit(n)
				}
			}
		}
	}
	for j, need := range s.Needs {
		if j != k {
			visit(need)
		}
	}
	return reached[s.Needs[k]]
}

// removeStep takes a step out; what needed it needs what it needed.
func removeStep(p *plan.Plan, i, j int) {
	s := p.Stages[i].Steps[j]
	p.Stages[i].Steps = slices.Delete(p.Stages[i].Steps, j, j+1)
	for k := range p.Stages[i].Steps {
		st := &p.Stages[i].Steps[k]
		if at := slices.Index(st.Needs, s.ID); at >= 0 {
			st.Needs = slices.Concat(st.Needs[:at], s.Needs, st.Needs[at+1:])
		}
	}
}

// moveStep puts a step into another stage, where it needs nothing.
func moveStep(p *plan.Plan, i, j, to int) {
	s := p.Stages[i].Steps[j]
	removeStep(p, i, j)
	s.ID = p.Stages[to].ID + "/moved"
	s.Needs = nil
	p.Stages[to].Steps = append(p.Stages[to].Steps, s)
	p.Stages[to].Principals = append(p.Stages[to].Principals, p.Stages[i].Principals...)
}

// harmless are mutants that keep every rule, with the reason why that is right.
var harmless = map[string]string{
	"swap stage cameras-up with the one before":    "the procedure leaves open whether the bridges or the services come first",
	"swap stage testing-p51 with the one before":   "the telescopes are tested in any order",
	"swap stage m1m3-crio-ss with the one before":  "its place after the syncs is free",
	"swap stage m1m3-crio-ts with the one before":  "one cRIO or the other first",
	"swap stage m1m3-crio-vms with the one before": "one cRIO or the other first",
	"move up m1m3-crio-vms/start":                  "one cRIO or the other first",
	"swap stage restart with the one before":       "P45, P46 and P47 have no order",
	"swap stage reboot with the one before":        "P45, P46 and P47 have no order",
	"report failure of enable/watcher":             "the step enable/seen asks",
}

// TestStructuralMutants breaks the good plans in every place where a step, a
// need, a consent or a stage can be taken out, doubled or moved.
func TestStructuralMutants(t *testing.T) {
	for name, p := range goodPlans() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, kept := 0, 0
			for _, m := range mutants(p) {
				c := copyOf(p)
				m.make(c)
				all++
				if len(c.Validate()) > 0 || len(Check(c)) > 0 {
					continue
				}
				kept++
				if harmless[m.name] == "" {
					t.Errorf("no rule is broken by: %s", m.name)
				}
			}
			if kept*50 > all*2 {
				t.Errorf("%d of %d mutants keep all rules: more than 4 %%", kept, all)
			}
		})
	}
}

// rename gives the plan's site another name, in its texts too.
func rename(p *plan.Plan, name string) {
	for i := range p.Stages {
		p.Stages[i].Consent = strings.ReplaceAll(p.Stages[i].Consent, p.Site, name)
	}
	for s := range p.AllSteps() {
		if a, ok := s.Action.Parameters.(*plan.Announce); ok {
			c := *a
			c.Text = strings.ReplaceAll(c.Text, p.Site, name)
			s.Action.Parameters, s.ByHand = &c, strings.ReplaceAll(s.ByHand, p.Site, name)
		}
	}
	p.Site = name
}

// TestRulesKnowNoSite: a plan of another site with the same facts is held to the
// same rules: whatever step is missing, the violations are the same.
func TestRulesKnowNoSite(t *testing.T) {
	for name, p := range goodPlans() {
		for i := range p.Stages {
			for j := range p.Stages[i].Steps {
				here := copyOf(p)
				removeStep(here, i, j)
				elsewhere := copyOf(here)
				rename(elsewhere, "elsewhere")
				if a, b := fmt.Sprint(Check(here)), strings.ReplaceAll(fmt.Sprint(Check(elsewhere)), "elsewhere", p.Site); a != b {
					t.Errorf("%s without %s: %s\nelsewhere: %s", name, p.Stages[i].Steps[j].ID, a, b)
				}
			}
		}
	}
}
