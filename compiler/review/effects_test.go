package review

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/plan/plantest"
)

// What the summary counts follows from the effects of the steps alone: an
// imaginary kind with the same effects has the same summary.
func TestSummaryFollowsTheEffects(t *testing.T) {
	const all = "Watcher:0 MTMount:0 ESS:105 LOVE:0 ESS:106 MTVMS:1 MTM2:0 MTCamera:0"
	// The CSCs that go down; those that are touched; what is irreversible.
	want := map[string][3]string{
		"manual": {}, "manual with states": {}, "manual with applications": {}, "await-state": {}, "script": {},
		"announce":               {"", "", "a message is posted to #summit"},
		"shutdown":               {all, all, ""},
		"shutdown in parts":      {all, all, ""},
		"shutdown without some":  {"Watcher:0 MTMount:0 LOVE:0 MTM2:0 MTCamera:0", "Watcher:0 MTMount:0 LOVE:0 MTM2:0 MTCamera:0", ""},
		"set-state down":         {"Watcher:0 MTMount:0", "Watcher:0 MTMount:0", ""},
		"set-state up":           {"", "MTMount:0 MTVMS:1", ""},
		"ssh stop":               {"MTVMS:1", "MTVMS:1", ""},
		"ssh update":             {"", "MTVMS:1", "ts-VMS is updated, and csu cannot restore the previous version"},
		"ssh build":              {"", "MTVMS:1", ""},
		"ssh await-build":        {"", "MTVMS:1", ""},
		"ssh start":              {"", "MTVMS:1", ""},
		"ssh start where silent": {"", "MTVMS:1", ""},
		"reboot":                 {"MTM2:0", "MTM2:0", "azar02 is rebooted"},
		"delete jobs":            {"ESS:105 ESS:106", "ESS:105 ESS:106", ""},
		"delete namespaces": {"", "", `the namespaces with label "argocd.argoproj.io/instance=nublado-users" are deleted, ` +
			"with their sessions and all unsaved work"},
		"sync":          {"", "LOVE:0 love-commander", ""},
		"sync of one":   {"", "ESS:105", ""},
		"compatibility": {"", "", "schemas registered while the compatibility level is NONE remain after it is set back to FORWARD"},
	}
	for _, sample := range plantest.Samples(t) {
		p := plantest.Plan(sample.Action)
		s := Summarize(p)
		var lost []string
		for _, asked := range s.Irreversible {
			lost = append(lost, asked.Text)
		}
		got := [3]string{strings.Join(s.Down, " "), strings.Join(s.Touched, " "), strings.Join(lost, "; ")}
		if expected, ok := want[sample.Name]; !ok || got != expected {
			t.Errorf("%s: down, touched, irreversible:\n%q, want\n%q", sample.Name, got, expected)
		}
		if diff := cmp.Diff(s, Summarize(plantest.Plan(sample.Disguised(p)))); diff != "" {
			t.Errorf("%s: the summary of its effects alone (-want +got):\n%s", sample.Name, diff)
		}
	}
}
