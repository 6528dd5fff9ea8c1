package compiler

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// structural are the mutations of order, presence, need, consent, doubt, final
// step, state, queue and width.
func structural() []operator {
	var out []operator
	add := func(name string, places func(*plan.Plan) []place) {
		out = append(out, operator{name, true, places})
	}
	presence(add)
	sequence(add)
	asking(add)
	states(add)
	width(add)
	additions(add)
	edits(add)
	return out
}

type adder func(name string, places func(*plan.Plan) []place)

// eachStep is a place for each step that a condition holds for, final steps
// included.
func eachStep(cond func(*plan.Step) bool, change func(p *plan.Plan, s *plan.Step)) func(*plan.Plan) []place {
	return func(p *plan.Plan) []place {
		var out []place
		for s := range p.AllSteps() {
			if id := s.ID; cond(s) {
				out = append(out, place{id, func(p *plan.Plan) { c, _ := p.Step(id); change(p, c) }})
			}
		}
		return out
	}
}

// eachOf is a place for each element of a list that a step has.
func eachOf(list func(*plan.Step) int, change func(p *plan.Plan, s *plan.Step, k int)) func(*plan.Plan) []place {
	return func(p *plan.Plan) []place {
		var out []place
		for s := range p.AllSteps() {
			id := s.ID
			for k := range list(s) {
				out = append(out, place{fmt.Sprintf("%s %d", id, k), func(p *plan.Plan) { c, _ := p.Step(id); change(p, c, k) }})
			}
		}
		return out
	}
}

// eachAction is a place for each action of a kind that a condition holds for.
func eachAction[T plan.Parameters](cond func(T) bool, change func(p *plan.Plan, s *plan.Step, a T)) func(*plan.Plan) []place {
	return eachStep(func(s *plan.Step) bool {
		a, ok := s.Action.Parameters.(T)
		return ok && cond(a)
	}, func(p *plan.Plan, s *plan.Step) { change(p, s, s.Action.Parameters.(T)) })
}

// eachName is a place for each element of a list of an action.
func eachName[T plan.Parameters](list func(T) *[]string, change func(p *plan.Plan, names *[]string, k int)) func(*plan.Plan) []place {
	return eachOf(func(s *plan.Step) int {
		if a, ok := s.Action.Parameters.(T); ok {
			return len(*list(a))
		}
		return 0
	}, func(p *plan.Plan, s *plan.Step, k int) { change(p, list(s.Action.Parameters.(T)), k) })
}

// eachStage is a place for each stage that a condition holds for.
func eachStage(cond func(p *plan.Plan, i int) bool, change func(p *plan.Plan, i int)) func(*plan.Plan) []place {
	return func(p *plan.Plan) []place {
		var out []place
		for i := range p.Stages {
			if cond(p, i) {
				out = append(out, place{p.Stages[i].ID, func(p *plan.Plan) { change(p, i) }})
			}
		}
		return out
	}
}

// once is a single place.
func once(change func(*plan.Plan)) func(*plan.Plan) []place {
	return func(*plan.Plan) []place { return []place{{"the plan", change}} }
}

func always[T any](T) bool { return true }

func without[T any](list []T, k int) []T { return slices.Delete(slices.Clone(list), k, k+1) }

// find returns where a step stands; i is len(p.Stages) for a final one.
func find(p *plan.Plan, id string) (i, j int) {
	at := func(steps []plan.Step) int {
		return slices.IndexFunc(steps, func(s plan.Step) bool { return s.ID == id })
	}
	for i := range p.Stages {
		if j := at(p.Stages[i].Steps); j >= 0 {
			return i, j
		}
	}
	return len(p.Stages), at(p.Final)
}

func inStage(s *plan.Step) bool { return !strings.HasPrefix(s.ID, "final/") }

// takeOut removes a step of a stage; what needed it needs what it needed, or
// with cut nothing instead.
func takeOut(p *plan.Plan, id string, cut bool) plan.Step {
	i, j := find(p, id)
	stage := &p.Stages[i]
	s := stage.Steps[j]
	stage.Steps = without(stage.Steps, j)
	for k := range stage.Steps {
		t := &stage.Steps[k]
		at := slices.Index(t.Needs, id)
		if at < 0 {
			continue
		}
		t.Needs = without(t.Needs, at)
		if !cut {
			t.Needs = append(t.Needs, slices.DeleteFunc(slices.Clone(s.Needs), func(n string) bool { return slices.Contains(t.Needs, n) })...)
		}
	}
	if len(stage.Steps) == 0 {
		p.Stages = without(p.Stages, i)
	}
	return s
}

func presence(add adder) {
	add("drop a step, joining its needs", eachStep(inStage, func(p *plan.Plan, s *plan.Step) { takeOut(p, s.ID, false) }))
	add("drop a step, cutting its needs", eachStep(inStage, func(p *plan.Plan, s *plan.Step) { takeOut(p, s.ID, true) }))
	add("drop a stage", eachStage(func(*plan.Plan, int) bool { return true }, func(p *plan.Plan, i int) { p.Stages = without(p.Stages, i) }))
	add("drop a final step", func(p *plan.Plan) []place {
		var out []place
		for i := range p.Final {
			out = append(out, place{p.Final[i].ID, func(p *plan.Plan) { p.Final = without(p.Final, i) }})
		}
		return out
	})
	add("duplicate a step", eachStep(inStage, func(p *plan.Plan, s *plan.Step) {
		i, _ := find(p, s.ID)
		c := *s
		c.ID += "-again"
		p.Stages[i].Steps = append(p.Stages[i].Steps, c)
	}))
	add("duplicate a step behind itself", eachStep(inStage, func(p *plan.Plan, s *plan.Step) {
		i, _ := find(p, s.ID)
		c := *s
		c.ID, c.Needs = s.ID+"-again", []string{s.ID}
		p.Stages[i].Steps = append(p.Stages[i].Steps, c)
	}))
	add("duplicate a step under its own id", eachStep(inStage, func(p *plan.Plan, s *plan.Step) {
		i, _ := find(p, s.ID)
		p.Stages[i].Steps = append(p.Stages[i].Steps, *s)
	}))
	add("drop a step's source", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Source = nil }))
	add("drop a stage's source", eachStage(func(*plan.Plan, int) bool { return true }, func(p *plan.Plan, i int) { p.Stages[i].Source = nil }))
	add("drop what a final step undoes", eachStep(func(s *plan.Step) bool { return s.Undoes != "" }, func(_ *plan.Plan, s *plan.Step) { s.Undoes = "" }))
	add("let a final step undo another step", eachStep(func(s *plan.Step) bool { return s.Undoes != "" }, func(p *plan.Plan, s *plan.Step) { s.Undoes = p.Stages[0].Steps[0].ID }))
}

// ordered reports whether a is surely done before b, a step of its stage.
func ordered(stage *plan.Stage, a, b string) bool {
	for i := range stage.Steps {
		if s := &stage.Steps[i]; s.ID == b {
			return slices.ContainsFunc(s.Needs, func(n string) bool { return n == a || ordered(stage, a, n) })
		}
	}
	return false
}

// idle reports whether dropping the k-th need of a step leaves the order as it is,
// since another need implies it.
func idle(p *plan.Plan, s *plan.Step, k int) bool {
	i, _ := find(p, s.ID)
	for j, n := range s.Needs {
		if j != k && ordered(&p.Stages[i], s.Needs[k], n) {
			return true
		}
	}
	return false
}

func sequence(add adder) {
	add("drop a need", func(p *plan.Plan) []place {
		var out []place
		for s := range p.AllSteps() {
			for k, need := range s.Needs {
				if id := s.ID; !idle(p, s, k) {
					out = append(out, place{id + " for " + need, func(p *plan.Plan) { c, _ := p.Step(id); c.Needs = without(c.Needs, k) }})
				}
			}
		}
		return out
	})
	add("drop all needs of a step", eachStep(func(s *plan.Step) bool { return len(s.Needs) > 0 }, func(_ *plan.Plan, s *plan.Step) { s.Needs = nil }))
	add("need a step of another stage", eachStep(inStage, func(p *plan.Plan, s *plan.Step) {
		other := p.Stages[0].Steps[0].ID
		if i, _ := find(p, s.ID); i == 0 {
			other = p.Stages[1].Steps[0].ID
		}
		s.Needs = append(s.Needs, other)
	}))
	add("let a step and what it needs need each other", eachStep(func(s *plan.Step) bool { return len(s.Needs) > 0 }, func(p *plan.Plan, s *plan.Step) {
		n, _ := p.Step(s.Needs[0])
		n.Needs = append(n.Needs, s.ID)
	}))
	add("swap a step with one that it needs", eachOf(func(s *plan.Step) int { return len(s.Needs) }, func(p *plan.Plan, s *plan.Step, k int) {
		n, _ := p.Step(s.Needs[k])
		s.Needs, n.Needs = n.Needs, s.Needs
		s.ID, n.ID = n.ID, s.ID
	}))
	add("swap a stage with the next", eachStage(func(p *plan.Plan, i int) bool { return i+1 < len(p.Stages) }, func(p *plan.Plan, i int) {
		p.Stages[i], p.Stages[i+1] = p.Stages[i+1], p.Stages[i]
	}))
	move := func(to func(p *plan.Plan, i int) int) func(*plan.Plan) []place {
		return func(p *plan.Plan) []place {
			var out []place
			for s := range p.AllSteps() {
				id := s.ID
				i, _ := find(p, id)
				if !inStage(s) || to(p, i) < 0 || to(p, i) >= len(p.Stages) || to(p, i) == i {
					continue
				}
				target := p.Stages[to(p, i)].ID
				out = append(out, place{id + " to " + target, func(p *plan.Plan) { moveTo(p, id, target) }})
			}
			return out
		}
	}
	add("move a step to the stage before", move(func(_ *plan.Plan, i int) int { return i - 1 }))
	add("move a step to the stage behind", move(func(_ *plan.Plan, i int) int { return i + 1 }))
	add("move a step to the first stage", move(func(*plan.Plan, int) int { return 0 }))
	add("move a step to the last stage", move(func(p *plan.Plan, _ int) int { return len(p.Stages) - 1 }))
	add("reverse the CSCs of a set-state step to OFFLINE that takes down queues", eachAction(
		func(a *plan.SetState) bool {
			return a.State == plan.Offline && strings.HasPrefix(a.CSCs[0], "ScriptQueue:")
		},
		func(_ *plan.Plan, _ *plan.Step, a *plan.SetState) { slices.Reverse(a.CSCs) }))
}

// moveTo puts a step at the end of another stage, where it needs nothing. Its
// principals and numbers go with it, so that these don't give it away.
func moveTo(p *plan.Plan, id, target string) {
	i, _ := find(p, id)
	principals := slices.Clone(p.Stages[i].Principals)
	s := takeOut(p, id, false)
	for i := range p.Stages {
		if stage := &p.Stages[i]; stage.ID == target {
			s.ID, s.Needs = target+"/moved", nil
			stage.Principals = append(stage.Principals, principals...)
			stage.Source = append(stage.Source, s.Source...)
			stage.Steps = append(stage.Steps, s)
		}
	}
}

func asking(add adder) {
	any := func(*plan.Plan, int) bool { return true }
	add("drop a stage's consent", eachStage(any, func(p *plan.Plan, i int) { p.Stages[i].Consent = "" }))
	add("drop a step's consent", eachStep(func(s *plan.Step) bool { return s.Consent != "" }, func(_ *plan.Plan, s *plan.Step) { s.Consent = "" }))
	add("drop a step's consent and principals", eachStep(func(s *plan.Step) bool { return s.Consent != "" }, func(_ *plan.Plan, s *plan.Step) { s.Consent, s.Principals = "", nil }))
	add("drop a step's consent, its principals to the stage", eachStep(func(s *plan.Step) bool { return s.Consent != "" }, func(p *plan.Plan, s *plan.Step) {
		i, _ := find(p, s.ID)
		p.Stages[i].Principals = append(p.Stages[i].Principals, s.Principals...)
		s.Consent, s.Principals = "", nil
	}))
	add("drop a doubt of a stage", func(p *plan.Plan) []place {
		var out []place
		for i := range p.Stages {
			for k := range p.Stages[i].Doubts {
				out = append(out, place{fmt.Sprintf("%s %d", p.Stages[i].ID, k), func(p *plan.Plan) { p.Stages[i].Doubts = without(p.Stages[i].Doubts, k) }})
			}
		}
		return out
	})
	add("drop a step's doubt", eachStep(func(s *plan.Step) bool { return s.Doubt != "" }, func(_ *plan.Plan, s *plan.Step) { s.Doubt = "" }))
	add("drop a principal of a stage", func(p *plan.Plan) []place {
		var out []place
		for i := range p.Stages {
			for k, name := range p.Stages[i].Principals {
				out = append(out, place{p.Stages[i].ID + " " + name, func(p *plan.Plan) { p.Stages[i].Principals = without(p.Stages[i].Principals, k) }})
			}
		}
		return out
	})
	add("drop a step's principals", eachStep(func(s *plan.Step) bool { return len(s.Principals) > 0 }, func(_ *plan.Plan, s *plan.Step) { s.Principals = nil }))
	add("only report a failure", eachStep(func(s *plan.Step) bool { return s.OnFailure == plan.Ask }, func(_ *plan.Plan, s *plan.Step) { s.OnFailure = plan.Report }))
	add("let a handover be a mere message", eachAction(func(a *plan.Announce) bool { return a.Handover }, func(_ *plan.Plan, _ *plan.Step, a *plan.Announce) { a.Handover = false }))
	add("leave an application out of what is shown", eachName(func(a *plan.Manual) *[]string { return &a.Applications }, func(_ *plan.Plan, names *[]string, k int) { *names = without(*names, k) }))
	add("a time limit of zero", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Timeout = 0 }))
}

func states(add adder) {
	add("another state of a set-state step", eachAction(always[*plan.SetState], func(_ *plan.Plan, _ *plan.Step, a *plan.SetState) {
		a.State = otherState(a.State)
	}))
	add("another queue", eachStep(func(s *plan.Step) bool {
		return s.Action.Kind() == plan.KindScript || s.Action.Kind() == plan.KindSetState
	}, func(_ *plan.Plan, s *plan.Step) {
		switch a := s.Action.Parameters.(type) {
		case *plan.Script:
			a.Queue = a.Queue%3 + 1
		case *plan.SetState:
			a.Queue = a.Queue%3 + 1
		}
	}))
	add("a queue that is not there", eachAction(always[*plan.SetState], func(_ *plan.Plan, _ *plan.Step, a *plan.SetState) { a.Queue = 0 }))
	wants := func(s *plan.Step) int {
		if a, ok := s.Action.Parameters.(*plan.AwaitState); ok {
			return len(a.Want)
		}
		return 0
	}
	add("another awaited state", eachOf(wants, func(_ *plan.Plan, s *plan.Step, k int) {
		w := &s.Action.Parameters.(*plan.AwaitState).Want[k]
		w.States = []string{otherState(w.States[0])}
	}))
	add("FAULT will do", eachOf(wants, func(_ *plan.Plan, s *plan.Step, k int) {
		w := &s.Action.Parameters.(*plan.AwaitState).Want[k]
		w.States = append(w.States, plan.Fault)
	}))
	add("leave a set of CSCs out of a look", eachOf(wants, func(_ *plan.Plan, s *plan.Step, k int) {
		a := s.Action.Parameters.(*plan.AwaitState)
		a.Want = without(a.Want, k)
	}))
	add("all CSCs in one script", eachAction(func(a *plan.SetState) bool { return a.GroupSize > 0 && len(a.CSCs) > 1 && a.State != plan.Offline },
		func(_ *plan.Plan, _ *plan.Step, a *plan.SetState) { a.GroupSize = 0 }))
	add("start without silence", eachAction(func(a *plan.SSH) bool { return len(a.Silent) > 0 }, func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) { a.Silent = nil }))
	add("another registry level", eachAction(always[*plan.Compatibility], func(_ *plan.Plan, _ *plan.Step, a *plan.Compatibility) { a.Set = "BACKWARD" }))
	add("expect another registry level", eachAction(always[*plan.Compatibility], func(_ *plan.Plan, _ *plan.Step, a *plan.Compatibility) { a.Expect = "FULL" }))
	add("another end of a script will do", eachAction(always[*plan.Script], func(_ *plan.Plan, _ *plan.Step, a *plan.Script) { a.Accept = append(a.Accept, "STOPPED") }))
	builds(add)
}

func otherState(state string) string {
	return map[string]string{
		plan.Enabled: plan.Disabled, plan.Disabled: plan.Standby, plan.Standby: plan.Enabled, plan.Offline: plan.Standby, plan.OfflineAvailable: plan.Offline,
	}[state]
}

func width(add adder) {
	isJobs := func(a *plan.Delete) bool { return a.Objects == plan.Jobs }
	add("widen a selector", eachAction(func(a *plan.Delete) bool { return isJobs(a) && a.Selector != "csc" && a.Selector != "csc-class" }, func(_ *plan.Plan, _ *plan.Step, a *plan.Delete) { a.Selector = "csc-class" }))
	add("select everything", eachAction(always[*plan.Delete], func(_ *plan.Plan, _ *plan.Step, a *plan.Delete) { a.Selector = "!nothing" }))
	add("narrow a selector", eachAction(isJobs, func(_ *plan.Plan, _ *plan.Step, a *plan.Delete) { a.Selector += ",csc-name=nothing" }))
	add("delete namespaces instead of Jobs", eachAction(isJobs, func(_ *plan.Plan, _ *plan.Step, a *plan.Delete) { a.Objects, a.Namespace = plan.Namespaces, "" }))
	leaveOut := func(_ *plan.Plan, names *[]string, k int) { *names = without(*names, k) }
	add("leave a CSC out of a set-state step", eachName(func(a *plan.SetState) *[]string { return &a.CSCs }, leaveOut))
	add("leave a CSC out of a deletion", eachName(func(a *plan.Delete) *[]string { return &a.CSCs }, leaveOut))
	add("leave a CSC out of a sync", eachName(func(a *plan.Sync) *[]string { return &a.CSCs }, leaveOut))
	add("leave a CSC out of a look", func(p *plan.Plan) []place {
		var out []place
		for s := range p.AllSteps() {
			a, ok := s.Action.Parameters.(*plan.AwaitState)
			if !ok {
				continue
			}
			for k, w := range a.Want {
				for c, name := range w.CSCs {
					id := s.ID
					out = append(out, place{id + " " + name, func(p *plan.Plan) {
						s, _ := p.Step(id)
						w := &s.Action.Parameters.(*plan.AwaitState).Want[k]
						w.CSCs = without(w.CSCs, c)
					}})
				}
			}
		}
		return out
	})
	add("one more CSC in a set-state step", eachAction(always[*plan.SetState], func(p *plan.Plan, _ *plan.Step, a *plan.SetState) {
		a.CSCs = append(a.CSCs, outsider(p, a.CSCs))
	}))
	add("one more CSC in a deletion", eachAction(isJobs, func(p *plan.Plan, _ *plan.Step, a *plan.Delete) { a.CSCs = append(a.CSCs, outsider(p, a.CSCs)) }))
	add("one more CSC in a sync", eachAction(always[*plan.Sync], func(p *plan.Plan, _ *plan.Step, a *plan.Sync) { a.CSCs = append(a.CSCs, outsider(p, a.CSCs)) }))
	add("a CSC twice in a set-state step", eachAction(always[*plan.SetState], func(_ *plan.Plan, _ *plan.Step, a *plan.SetState) { a.CSCs = append(a.CSCs, a.CSCs[0]) }))
	add("sync a whole application instead of its Jobs", eachAction(func(a *plan.Sync) bool { return len(a.Resources) > 0 }, func(_ *plan.Plan, _ *plan.Step, a *plan.Sync) { a.Resources = nil }))
	add("leave a Job out of a sync's resources", eachOf(func(s *plan.Step) int {
		if a, ok := s.Action.Parameters.(*plan.Sync); ok {
			return len(a.Resources)
		}
		return 0
	}, func(_ *plan.Plan, s *plan.Step, k int) {
		a := s.Action.Parameters.(*plan.Sync)
		a.Resources = without(a.Resources, k)
	}))
	add("sync a part of a whole application", eachAction(func(a *plan.Sync) bool { return len(a.Resources) == 0 && len(a.CSCs) > 0 }, func(p *plan.Plan, _ *plan.Step, a *plan.Sync) {
		c, _ := p.CSC(a.CSCs[0])
		a.Resources = []plan.Resource{{Group: "batch", Kind: "Job", Namespace: c.Job.Namespace, Name: c.Job.Name}}
	}))
	add("sync a Secret too", eachAction(func(a *plan.Sync) bool { return len(a.Resources) > 0 }, func(_ *plan.Plan, _ *plan.Step, a *plan.Sync) {
		a.Resources = append(a.Resources, plan.Resource{Kind: "Secret", Namespace: a.Resources[0].Namespace, Name: "secret"})
	}))
}

// outsider returns a CSC of the table that the list lacks.
func outsider(p *plan.Plan, list []string) string {
	for i := range p.CSCs {
		if c := &p.CSCs[i]; c.Speaks() && !slices.Contains(list, c.CSC) {
			return c.CSC
		}
	}
	return ""
}

// additions are steps that no plan should have.
func additions(add adder) {
	put := func(source string, limit time.Duration, doer func(p *plan.Plan) plan.Parameters) func(p *plan.Plan, i int) {
		return func(p *plan.Plan, i int) {
			st := &p.Stages[i]
			st.Source = append(st.Source, source)
			st.Steps = append(st.Steps, plan.Step{
				ID: st.ID + "/more", Title: "One more", Source: []string{source}, Action: plan.Action{Parameters: doer(p)},
				Timeout: plan.Duration(limit), OnFailure: plan.Ask, ByHand: "by hand",
			})
		}
	}
	any := func(*plan.Plan, int) bool { return true }
	atSummit := func(p *plan.Plan, _ int) bool { return p.Site == "summit" }
	add("add a step that stops a protected CSC's service", eachStage(atSummit, put("P17", 10*time.Minute, func(*plan.Plan) plan.Parameters {
		return &plan.SSH{Host: "m1m3-crio-ss", User: "admin", Purpose: plan.Stop, Service: "ts-M1M3support", Commands: []string{"/etc/init.d/ts-M1M3support stop"}}
	})))
	add("add a step that sends a protected CSC to OFFLINE", eachStage(atSummit, put("P10", 10*time.Minute, func(p *plan.Plan) plan.Parameters {
		return &plan.SetState{Queue: p.Upgrade.Queue, State: plan.Offline, CSCs: []string{"MTM1M3TS:0"}}
	})))
	add("add a script while its queue is down", eachStage(func(p *plan.Plan, i int) bool {
		down := false
		for _, s := range p.Stages[:i] {
			down = down || s.ID == "jobs"
		}
		for _, s := range p.Stages[:i+1] {
			down = down && s.ID != "watch"
		}
		return down
	}, put("P41", 10*time.Minute, func(p *plan.Plan) plan.Parameters {
		return &plan.SetState{Queue: p.Upgrade.Queue, State: plan.Enabled, CSCs: []string{"Watcher:0"}}
	})))
	add("add a step that sets states by a script", eachStage(any, put("P14", 10*time.Minute, func(p *plan.Plan) plan.Parameters {
		return &plan.Script{Queue: p.Upgrade.Queue, Path: "set_summary_state.py", Standard: true, Config: "data:\n- [Watcher, OFFLINE]\n", Accept: []string{"DONE"}}
	})))
	shutsDown := func(a *plan.Script) bool { return a.Path == plan.ShutdownScript }
	reconfigure := func(change func(*plan.Shutdown)) func(*plan.Plan, *plan.Step, *plan.Script) {
		return func(_ *plan.Plan, _ *plan.Step, a *plan.Script) {
			config, _, err := a.Shutdown()
			if err != nil {
				panic(err)
			}
			change(&config)
			a.Config = config.Encode()
		}
	}
	// The script compares names of components: an entry with an index has no effect.
	add("ignore CSCs by their indices", eachAction(func(a *plan.Script) bool {
		config, runs, err := a.Shutdown()
		return runs && err == nil && len(config.Ignore) > 0
	}, reconfigure(func(s *plan.Shutdown) {
		for i := range s.Ignore {
			s.Ignore[i] += ":0"
		}
	})))
	add("start the shutdown with the Watcher by its index", eachAction(shutsDown, reconfigure(func(s *plan.Shutdown) { s.StartWith = []string{"Watcher:0"} })))
	add("add a reboot", eachStage(any, put("P47", 30*time.Minute, func(p *plan.Plan) plan.Parameters {
		h := p.Hosts[0]
		return &plan.Reboot{Host: h.Name, User: h.Users[0].Name, Command: "sudo systemctl reboot"}
	})))
	add("add a deletion of all Jobs of a namespace", eachStage(any, put("P18", 15*time.Minute, func(p *plan.Plan) plan.Parameters {
		return &plan.Delete{Objects: plan.Jobs, Namespace: p.CSCs[0].Job.Namespace, Selector: "csc", CSCs: []string{p.CSCs[0].CSC}}
	})))
	add("add a deletion of Nublado's namespaces", eachStage(any, put("P19", 15*time.Minute, func(*plan.Plan) plan.Parameters {
		return &plan.Delete{Objects: plan.Namespaces, Selector: "argocd.argoproj.io/instance=nublado-users"}
	})))
	add("add a change of the registry's level", eachStage(any, put("P24", time.Minute, func(*plan.Plan) plan.Parameters {
		return &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}
	})))
	add("add a sync of sasquatch", eachStage(any, put("P31", time.Hour, func(*plan.Plan) plan.Parameters {
		return &plan.Sync{Application: "sasquatch", Revision: "main"}
	})))
	add("add a final step that does something else", once(func(p *plan.Plan) {
		p.Final = append(p.Final, plan.Step{ID: "final/more", Title: "One more", Source: []string{"P18"}, Action: plan.Action{Parameters: &plan.Delete{Objects: plan.Jobs, Namespace: "obssys", Selector: "csc", CSCs: []string{"Watcher:0"}}},
			Timeout: plan.Duration(15 * time.Minute), OnFailure: plan.Ask, ByHand: "by hand", Undoes: p.Stages[0].Steps[0].ID})
	}))
}
