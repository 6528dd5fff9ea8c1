package executor

import (
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
)

// begun is the state of a run whose only step was begun, or is done.
func begun(d plan.Parameters, phase Phase) *State {
	s := NewState(plantest.Plan(d))
	step := s.Steps["all/1"]
	step.Attempt, step.Phase, step.touched = 1, phase, true
	return s
}

// What is down, what an abort leaves as it is, and which systems and credentials a
// run needs follow from the effects of the steps alone: an imaginary kind with the
// same effects is told the same.
func TestEffectsSteerTheRun(t *testing.T) {
	down := map[string]string{
		"shutdown":              "Watcher:0 MTMount:0 ESS:105 LOVE:0 ESS:106 MTVMS:1 MTM2:0 MTCamera:0",
		"shutdown in parts":     "Watcher:0 MTMount:0 ESS:105 LOVE:0 ESS:106 MTVMS:1 MTM2:0 MTCamera:0",
		"shutdown without some": "Watcher:0 MTMount:0 LOVE:0 MTM2:0 MTCamera:0",
		"set-state down":        "Watcher:0 MTMount:0",
		"ssh stop":              "MTVMS:1",
		"reboot":                "MTM2:0",
		"delete jobs":           "ESS:105 ESS:106",
	}
	systems := map[string]string{
		"manual": "", "manual with states": "EFD", "manual with applications": "cluster", "announce": "",
		"await-state": "EFD", "ssh stop": "", "ssh update": "", "ssh start": "", "ssh start where silent": "EFD", "reboot": "",
		"delete jobs": "cluster", "delete namespaces": "cluster", "sync": "cluster", "sync of one": "cluster", "compatibility": "cluster",
	}
	left := map[string]string{
		"ssh stop":    "These services stay stopped until somebody starts them: ts-VMS on m1m3-crio-vms.",
		"ssh update":  "These stay updated: ts-VMS on m1m3-crio-vms.",
		"sync":        "These stay updated: application love.",
		"sync of one": "These stay updated: application envsys.",
	}
	for _, sample := range plantest.Samples(t) {
		p := plantest.Plan(sample.Action)
		disguised := sample.Disguised(p)
		s, same := begun(sample.Action, Started), begun(disguised, Started)
		if got := strings.Join(s.Down(), " "); got != down[sample.Name] {
			t.Errorf("%s: down when it was begun: %q, want %q", sample.Name, got, down[sample.Name])
		}
		if got, want := same.Down(), s.Down(); !slices.Equal(got, want) {
			t.Errorf("%s: its effects alone take down %q, want %q", sample.Name, got, want)
		}
		for _, phase := range []Phase{Failed, Done} {
			s, same := begun(sample.Action, phase), begun(disguised, phase)
			if got, want := same.AbortText(), s.AbortText(); got != want {
				t.Errorf("%s, %s: an abort says of its effects alone:\n%s\nwant:\n%s", sample.Name, phase, got, want)
			}
			if phase == Done && !strings.Contains(s.AbortText(), left[sample.Name]) {
				t.Errorf("%s: an abort does not say %q:\n%s", sample.Name, left[sample.Name], s.AbortText())
			}
		}
		want, named := systems[sample.Name]
		if !named { // scripts
			want = "LOVE EFD"
		}
		if got := systemsOf(t, p); got != want {
			t.Errorf("%s: it uses %q, want %q", sample.Name, got, want)
		}
		if got := systemsOf(t, plantest.Plan(disguised)); got != want {
			t.Errorf("%s: its effects alone use %q, want %q", sample.Name, got, want)
		}
	}
}

// systemsOf names the systems for which a plan needs credentials, and the cluster.
func systemsOf(t *testing.T, p *plan.Plan) string {
	t.Helper()
	c := connection{lookup: func(string) (string, error) { return "", nil }}
	_, err := c.secrets(usesOf(p), false)
	var names []string
	for _, s := range []struct{ name, user, password string }{{"LOVE", LOVEUsername, LOVEPassword}, {"EFD", EFDUsername, EFDPassword}} {
		missing := err != nil && strings.Contains(err.Error(), s.user) && strings.Contains(err.Error(), s.password)
		if missing {
			names = append(names, s.name)
		}
	}
	if UsesCluster(p) {
		names = append(names, "cluster")
	}
	return strings.Join(names, " ")
}
