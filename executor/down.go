package executor

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/lsst-ts/csu/executor/plan"
)

// Down returns the CSCs that the run has sent to OFFLINE, or whose Jobs it has
// deleted or whose services stopped, and that it has not seen back: the Watcher
// first, the others in the order of the plan's table (P43). What was begun counts
// as sent. One that has come up in another state than it ends in is not back
// before the step that brings it there was begun; how that came out is told by
// the step itself.
func (s *State) Down() []string {
	down, short := map[string]bool{}, map[string]bool{}
	for i := range s.Plan.Stages {
		for j := range s.Plan.Stages[i].Steps {
			s.track(&s.Plan.Stages[i].Steps[j], down, short)
		}
	}
	var names []string
	for i := range s.Plan.CSCs {
		if name := s.Plan.CSCs[i].CSC; down[name] || short[name] {
			names = append(names, name)
			delete(down, name)
			delete(short, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

func rank(csc string) int {
	if class, _, _ := strings.Cut(csc, ":"); class == "Watcher" {
		return 0
	}
	return 1
}

// DownText says which CSCs are down; "" where none is.
func (s *State) DownText() string {
	names := s.Down()
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%d CSCs were taken down and have not been seen back: %s", len(names), strings.Join(names, ", "))
}

// track takes in what one step did to the CSCs: which are down, and which are up
// but short of the state that they end in.
func (s *State) track(step *plan.Step, down, short map[string]bool) {
	st := s.Steps[step.ID]
	begun := st.Attempt > 0 || st.Phase == ByHand
	seen := st.Phase.Happened()
	mark := func(cscs []string, is bool) {
		for _, c := range cscs {
			down[c] = is
		}
	}
	up := func(cscs []string, states ...string) {
		mark(cscs, false)
		for _, c := range cscs {
			short[c] = !s.ends(c, states)
		}
	}
	switch a := step.Action.Doer.(type) {
	case *plan.SetState:
		if a.State == plan.Offline && begun {
			mark(a.CSCs, true)
		}
		if a.State != plan.Offline && seen {
			mark(a.CSCs, false)
		}
		for _, c := range a.CSCs {
			if begun && s.ends(c, []string{a.State}) {
				short[c] = false
			}
		}
	case *plan.AwaitState:
		for _, w := range a.Want {
			switch {
			case seen && !slices.Contains(w.States, plan.Offline):
				up(w.CSCs, w.States...)
			case seen && len(w.States) == 1:
				mark(w.CSCs, true)
			}
		}
	case *plan.SSH:
		if begun && a.Purpose == plan.Stop {
			mark(s.runOn(a.Host), true)
		}
	case *plan.Delete:
		if begun {
			mark(a.CSCs, true)
		}
	case *plan.Sync:
		if seen { // what speaks no SAL is seen by its image alone
			mark(slices.DeleteFunc(slices.Clone(a.CSCs), plan.ValidCSC), false)
		}
	case *plan.Script:
		if begun && strings.HasSuffix(a.Path, "system_wide_shutdown.py") {
			mark(s.shutDown(a), true)
		}
	}
}

// ends tells whether one of the states is the one that the CSC ends in.
func (s *State) ends(csc string, states []string) bool {
	row, ok := s.Plan.CSC(csc)
	return !ok || row.Expect == "" || slices.Contains(states, row.Expect)
}

// runOn returns the CSCs that a host runs.
func (s *State) runOn(host string) []string {
	var names []string
	for i := range s.Plan.CSCs {
		if s.Plan.CSCs[i].Host == host {
			names = append(names, s.Plan.CSCs[i].CSC)
		}
	}
	return names
}

// shutDown returns the CSCs that system_wide_shutdown.py takes down: all that it
// hears, but those that its configuration ignores, and the ScriptQueues.
func (s *State) shutDown(a *plan.Script) []string {
	var config struct {
		Ignore []string `json:"ignore"`
	}
	if err := yaml.Unmarshal([]byte(a.Config), &config); err != nil {
		config.Ignore = nil // then more is named than is down, which harms nobody
	}
	var names []string
	for i := range s.Plan.CSCs {
		c := &s.Plan.CSCs[i]
		class, _, _ := strings.Cut(c.CSC, ":")
		if c.Speaks() && class != "ScriptQueue" && !slices.Contains(config.Ignore, c.CSC) && !slices.Contains(config.Ignore, class) {
			names = append(names, c.CSC)
		}
	}
	return names
}
