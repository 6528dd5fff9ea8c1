package plan_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
)

// A step is narrowed to the CSCs that were not set aside. What cannot be left out
// precisely stays in, and that is said.
func TestWithout(t *testing.T) {
	t.Parallel()
	config := func(ignore ...string) string {
		return plan.Shutdown{User: "csu", Reason: "r", StartWith: []string{"Watcher"}, Ignore: ignore}.Encode()
	}
	job := plan.Resource{Group: "batch", Kind: "Job", Namespace: "envsys", Name: "ess105"}
	for name, c := range map[string]struct {
		action plan.Parameters
		aside  []string
		want   plan.Parameters // nil: nothing is left
		said   string
	}{
		"as planned":        {&plan.SetState{State: plan.Enabled, CSCs: []string{"ESS:105"}}, []string{"MTMount:0"}, &plan.SetState{State: plan.Enabled, CSCs: []string{"ESS:105"}}, ""},
		"set-state":         {&plan.SetState{State: plan.Enabled, CSCs: []string{"ESS:105", "MTMount:0"}}, []string{"MTMount:0"}, &plan.SetState{State: plan.Enabled, CSCs: []string{"ESS:105"}}, "without MTMount, set aside"},
		"set-state of it":   {&plan.SetState{State: plan.Enabled, CSCs: []string{"MTMount:0"}}, []string{"MTMount:0"}, nil, "without MTMount, set aside"},
		"await":             {&plan.AwaitState{Want: []plan.Want{{States: []string{plan.Standby}, CSCs: []string{"MTMount:0"}}, {States: []string{plan.Enabled}, CSCs: []string{"ESS:105", "MTMount:0"}}}}, []string{"MTMount:0"}, &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Enabled}, CSCs: []string{"ESS:105"}}}}, "without MTMount, set aside"},
		"delete":            {&plan.Delete{Objects: plan.Jobs, CSCs: []string{"ESS:105", "ESS:106"}}, []string{"ESS:105"}, &plan.Delete{Objects: plan.Jobs, CSCs: []string{"ESS:106"}}, "without ESS:105, set aside"},
		"sync of resources": {&plan.Sync{Application: "envsys", Resources: []plan.Resource{job}, CSCs: []string{"ESS:105"}}, []string{"ESS:105"}, nil, "without ESS:105, set aside"},
		"sync of all":       {&plan.Sync{Application: "envsys", CSCs: []string{"ESS:105"}}, []string{"ESS:105"}, &plan.Sync{Application: "envsys", CSCs: []string{}, Resources: nil}, "without ESS:105, set aside"},
		"shutdown by name":  {&plan.Script{Path: plan.ShutdownScript, Config: config("MTM2")}, []string{"MTMount:0"}, &plan.Script{Path: plan.ShutdownScript, Config: config("MTM2", "MTMount")}, "without MTMount, set aside"},
		"shutdown by index": {&plan.Script{Path: plan.ShutdownScript, Config: config()}, []string{"ESS:105"}, &plan.Script{Path: plan.ShutdownScript, Config: config()}, "ESS:105 cannot be left out: the script compares names of components, without their index"},
		"host":              {&plan.SSH{Host: "m1m3-crio-vms", Purpose: plan.Update}, []string{"MTVMS:1"}, nil, "without MTVMS:1, set aside"},
		"reboot":            {&plan.Reboot{Host: "m1m3-crio-vms"}, []string{"MTVMS:1"}, &plan.Reboot{Host: "m1m3-crio-vms"}, ""},
		"by a person":       {&plan.Manual{Text: "Look.", CSCs: []string{"MTMount:0"}}, []string{"MTMount:0"}, &plan.Manual{Text: "Look.", CSCs: []string{"MTMount:0"}}, ""},
	} {
		p := plantest.Plan(c.action)
		step := &p.Stages[0].Steps[0]
		before := text(step.Action)
		rest := step.Without(p, c.aside)
		if rest.None != (c.want == nil) || rest.Said() != c.said {
			t.Errorf("%s: nothing left: %t, said %q, want %q", name, rest.None, rest.Said(), c.said)
		}
		if c.want != nil && text(rest.Step.Action) != text(plan.Action{Parameters: c.want}) {
			t.Errorf("%s: %s, want %s", name, text(rest.Step.Action), text(plan.Action{Parameters: c.want}))
		}
		if text(step.Action) != before {
			t.Errorf("%s: the plan itself was changed", name)
		}
		if names := rest.Step.Names(p); rest.Out != nil && !rest.None && slices.ContainsFunc(rest.Out, func(out string) bool { return slices.Contains(names, out) }) {
			t.Errorf("%s: what is left still names %q: %q", name, rest.Out, names)
		}
	}
}

func text(a plan.Action) string {
	b, err := json.Marshal(a)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
