package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// stage appends a stage; its source are the numbers of its steps and its
// principals those of what they touch.
func (d *draft) stage(id string, steps ...plan.Step) {
	s := plan.Stage{ID: id, Title: id}
	v := newView(d.p)
	names := []string{d.p.Site, d.p.Upgrade.Cycle}
	for i := range steps {
		step := &steps[i]
		step.ID = id + "/" + step.ID
		for j, need := range step.Needs {
			step.Needs[j] = id + "/" + need
		}
		if a, ok := step.Action.Parameters.(*plan.Announce); ok {
			a.Text = d.p.Site + ": " + a.Text
		}
		step.ByHand = d.byHand(step.Action.Parameters)
		n := &node{Step: step}
		v.act(n)
		names = append(names, n.does.Host, n.does.LevelBefore, n.does.Level, plan.CSCList(n.does.DownBy()), plan.CSCList(n.does.Commands))
		if n.does.Namespaces != "" {
			names = append(names, "Nublado")
		}
		if step.Consent == "" {
			s.Principals = append(s.Principals, v.principalsOf(n)...)
		}
		if len(v.principalsOf(n)) > 0 {
			s.Source = append(s.Source, "P3")
		}
		s.Source = append(s.Source, step.Source...)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	s.Consent = fmt.Sprintf("Now %s, in cluster %s (%s): %s.", id, d.p.Targets.Kubernetes.Context, d.p.Targets.Kubernetes.Server, strings.Join(names, ", "))
	slices.Sort(s.Principals)
	s.Principals = slices.Compact(s.Principals)
	slices.Sort(s.Source)
	s.Source = slices.Compact(s.Source)
	s.Steps = steps
	d.p.Stages = append(d.p.Stages, s)
}

// an option changes a step.
type option func(*plan.Step)

func step(id, source string, timeout time.Duration, doer plan.Parameters, options ...option) plan.Step {
	s := plan.Step{
		ID: id, Title: id, Source: strings.Fields(source), Action: plan.Action{Parameters: doer},
		Timeout: plan.Duration(timeout), OnFailure: plan.Ask, ByHand: "by hand",
	}
	for _, o := range options {
		o(&s)
	}
	return s
}

func needs(ids ...string) option { return func(s *plan.Step) { s.Needs = append(s.Needs, ids...) } }

func consented(principals ...string) option {
	return func(s *plan.Step) { s.Consent, s.Principals = "Is this agreed?", principals }
}

func doubted(text string) option { return func(s *plan.Step) { s.Doubt = text } }

func reported(s *plan.Step) { s.OnFailure = plan.Report }

func manual(id, source, text string, options ...option) plan.Step {
	return step(id, source, time.Hour, &plan.Manual{Text: text}, options...)
}

func announce(id, source string, handover bool, options ...option) plan.Step {
	return step(id, source, time.Minute, &plan.Announce{Channel: "#site-announce", Text: "news: " + id, Handover: handover}, options...)
}

func setState(id, source, state string, group int, cscs []string, options ...option) plan.Step {
	return step(id, source, 10*time.Minute, &plan.SetState{Queue: 1, State: state, CSCs: cscs, GroupSize: group}, options...)
}

// await waits for each CSC to be in the state that of says.
func (d *draft) await(id, source string, cscs []string, of func(*plan.CSC) string, options ...option) plan.Step {
	a := &plan.AwaitState{}
	for _, name := range cscs {
		c, ok := d.p.CSC(name)
		if !ok {
			panic("no " + name)
		}
		a.Want = append(a.Want, plan.Want{States: []string{of(c)}, CSCs: []string{name}})
	}
	return step(id, source, 10*time.Minute, a, options...)
}

func comesUp(c *plan.CSC) string { return c.ComesUp }
func expected(c *plan.CSC) string {
	return c.Expect
}

func ssh(id, source string, purpose plan.Purpose, host, user, service string, options ...option) plan.Step {
	return step(id, source, 2*time.Hour, &plan.SSH{Host: host, User: user, Purpose: purpose, Service: service, Commands: []string{"./" + string(purpose)}}, options...)
}

func deleteJobs(id, source, namespace, selector string, cscs []string, options ...option) plan.Step {
	return step(id, source, 10*time.Minute, &plan.Delete{Objects: plan.Jobs, Namespace: namespace, Selector: selector, CSCs: cscs}, options...)
}

func sync(id, source, application string, cscs []string, options ...option) plan.Step {
	return step(id, source, time.Hour, &plan.Sync{Application: application, Revision: "main", CSCs: cscs}, options...)
}
