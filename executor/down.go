package executor

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/lsst-ts/csu/executor/plan"
)

// Down returns the CSCs that the run has sent to OFFLINE, or whose Jobs it has
// deleted or whose services stopped, and that it has not seen in the state that
// they end in: the Watcher first, the others in the order of the plan's table
// (P43). What was begun counts as sent.
func (s *State) Down() []string {
	down := map[string]bool{}
	for i := range s.Plan.Stages {
		for j := range s.Plan.Stages[i].Steps {
			s.track(&s.Plan.Stages[i].Steps[j], down)
		}
	}
	var names []string
	for i := range s.Plan.CSCs {
		if name := s.Plan.CSCs[i].CSC; down[name] {
			names = append(names, name)
			delete(down, name)
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
	return fmt.Sprintf("%d CSCs were taken down and have not been seen in the state that they end in: %s", len(names), strings.Join(names, ", "))
}

// track takes in what one step did to the CSCs.
func (s *State) track(step *plan.Step, down map[string]bool) {
	st := s.Steps[step.ID]
	begun := st.Attempt > 0 || st.Phase == ByHand
	seen := st.Phase == Done || st.Phase == ByHand
	mark := func(cscs []string, is bool) {
		for _, c := range cscs {
			down[c] = is
		}
	}
	switch a := step.Action.Doer.(type) {
	case *plan.SetState:
		if a.State == plan.Offline && begun {
			mark(a.CSCs, true)
		}
		if a.State != plan.Offline && seen {
			mark(s.endingIn(a.CSCs, a.State), false)
		}
	case *plan.AwaitState:
		for _, w := range a.Want {
			up := !slices.Contains(w.States, plan.Offline)
			switch {
			case seen && up:
				mark(s.endingIn(w.CSCs, w.States...), false)
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

// endingIn returns those of the CSCs that are at the end of the upgrade in one of
// the states: one that has come up in STANDBY and is to be ENABLED is not back.
func (s *State) endingIn(cscs []string, states ...string) []string {
	var back []string
	for _, name := range cscs {
		if row, ok := s.Plan.CSC(name); !ok || row.Expect == "" || slices.Contains(states, row.Expect) {
			back = append(back, name)
		}
	}
	return back
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
