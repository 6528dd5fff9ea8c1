package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

// A breach is the smallest change of a good plan that breaks a rule.
type breach struct {
	rule   string
	name   string
	plan   string // of goodPlans
	change func(*plan.Plan)
}

// at returns a step of a plan.
func at(p *plan.Plan, id string) *plan.Step {
	s, ok := p.Step(id)
	if !ok {
		panic("no step " + id)
	}
	return s
}

// act returns a step's action.
func act[T plan.Parameters](p *plan.Plan, id string) T { return at(p, id).Action.Parameters.(T) }

// csc returns a row of the plan's table.
func csc(p *plan.Plan, name string) *plan.CSC {
	c, ok := p.CSC(name)
	if !ok {
		panic("no csc " + name)
	}
	return c
}

// drop takes a step out.
func drop(id string) func(*plan.Plan) {
	return func(p *plan.Plan) {
		for i := range p.Stages {
			for j := range p.Stages[i].Steps {
				if p.Stages[i].Steps[j].ID == id {
					removeStep(p, i, j)
					return
				}
			}
		}
		panic("no step " + id)
	}
}

// unneed takes the needs of a step away.
func unneed(id string) func(*plan.Plan) {
	return func(p *plan.Plan) { at(p, id).Needs = nil }
}

// add puts a step at the end of a stage, where it needs nothing.
func add(stage string, s plan.Step) func(*plan.Plan) {
	return func(p *plan.Plan) {
		for i := range p.Stages {
			if p.Stages[i].ID == stage {
				s.ID = stage + "/" + s.ID
				p.Stages[i].Steps = append(p.Stages[i].Steps, s)
				return
			}
		}
		panic("no stage " + stage)
	}
}

const (
	sumFull, sumInc, sumRec = "summit full", "summit incremental", "summit recovery"
	ttsFull, ttsInc, ttsRec = "tucson-teststand full", "tucson-teststand incremental", "tucson-teststand recovery"
	btsInc, btsRec          = "base-teststand incremental", "base-teststand recovery"
)

func breaches() []breach {
	return slices.Concat(orderBreaches(), offlineBreaches(), protectedBreaches(), clusterBreaches(), hostBreaches(), systemBreaches(), stateBreaches(), paperBreaches(), tableBreaches(), textBreaches())
}

// TestBreaches compares what each rule says about the plans that break it with
// testdata/<rule>.golden. CSU_UPDATE=1 writes those files.
func TestBreaches(t *testing.T) {
	all, plans := breaches(), goodPlans()
	for _, r := range Rules() {
		t.Run(r.Name, func(t *testing.T) {
			var got strings.Builder
			fmt.Fprintf(&got, "%s (%s)\n%s\n", r.Name, numbers(r), r.Explain)
			cases := 0
			for _, b := range all {
				if b.rule != r.Name {
					continue
				}
				cases++
				p := clone(t, plans[b.plan])
				b.change(p)
				violations, reported := r.Check(p), Check(p)
				if len(violations) == 0 {
					t.Errorf("%s: the rule holds", b.name)
				}
				fmt.Fprintf(&got, "\n# %s: %s\n", b.plan, b.name)
				for _, v := range violations {
					fmt.Fprintf(&got, "%s\n    remedy: %s\n", v, v.Remedy)
					if v.Rule != r.Name || v.Reason == "" || v.Remedy == "" {
						t.Errorf("%s: incomplete: %+v", b.name, v)
					}
					if !slices.Contains(reported, v) {
						t.Errorf("%s: Check does not report %s", b.name, v)
					}
				}
			}
			if cases == 0 {
				t.Error("no plan breaks this rule")
			}
			golden(t, filepath.Join("testdata", r.Name+".golden"), got.String())
		})
	}
}

// numbers lists a rule's numbers, the rule about all of them briefly.
func numbers(r Rule) string {
	if len(r.Numbers) == lastNumber {
		return "all"
	}
	return strings.Join(r.Numbers, ", ")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("CSU_UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the rule says now (CSU_UPDATE=1 renews it):\n%s", name, got)
	}
}
