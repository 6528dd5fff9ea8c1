package verify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
)

// What the rules believe of a step, and whose agreement they want for it, follows
// from its effects alone: of an imaginary kind with the same effects they believe
// the same.
func TestRulesDrawOnTheEffects(t *testing.T) {
	principals := map[string]string{
		"shutdown":               "mount team, mirror team, M2 team, camera team",
		"shutdown in parts":      "mirror team, mount team, M2 team, camera team",
		"shutdown without some":  "mount team, M2 team, camera team",
		"set-state down":         "mount team",
		"set-state up":           "mirror team, mount team",
		"ssh stop":               "mirror team",
		"ssh update":             "mirror team",
		"ssh start":              "mirror team",
		"ssh build":              "mirror team",
		"ssh await-build":        "mirror team",
		"ssh start where silent": "mirror team",
		"reboot":                 "M2 team, IT",
	}
	takesDown := []string{"shutdown", "shutdown in parts", "shutdown without some", "set-state down", "ssh stop", "reboot", "delete jobs"}
	for _, sample := range plantest.Samples(t) {
		p := plantest.Plan(sample.Action)
		got := believed(p)
		want := strings.Contains(strings.Join(takesDown, "|")+"|", sample.Name+"|")
		if got.Principals != principals[sample.Name] || got.TakesDown != want {
			t.Errorf("%s: %q must agree, takes down: %v; want %q, %v", sample.Name, got.Principals, got.TakesDown, principals[sample.Name], want)
		}
		if diff := cmp.Diff(got, believed(plantest.Plan(sample.Disguised(p)))); diff != "" {
			t.Errorf("%s: its effects alone (-want +got):\n%s", sample.Name, diff)
		}
	}
}

// belief is what the rules know of a step.
type belief struct {
	Principals          string
	TakesDown, Looks    bool
	Down, Sent, Starts  []string
	Deletes, Stops      []string
	Commanded           map[string]bool
	Awaits              map[string][]string
	Phase               int
	Manual, Touched     bool
	AskedFor, Announced int
}

func believed(p *plan.Plan) belief {
	v := newView(p)
	n := v.steps[0]
	return belief{
		Principals: strings.Join(v.principalsOf(n), ", "), TakesDown: n.takesDown(), Looks: n.looks(),
		Down: n.does.DownBy(), Sent: n.sends, Starts: n.does.Starts, Deletes: n.deletes, Stops: n.stops,
		Commanded: n.commanded, Awaits: n.awaits, Phase: v.phase(n), Manual: n.does.ByPerson, Touched: n.touches("azar02"),
		AskedFor: len(v.asking("P1")), Announced: len(v.announcing("P1")),
	}
}
