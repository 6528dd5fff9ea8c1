package action

import (
	"context"
	"maps"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// lookAtStates looks for the result of a step where its effects say that it shows: in the
// states of the CSCs. Since the EFD lags behind what was done by hand a moment ago, it
// waits for them a little, except at a glance.
func lookAtStates(ctx context.Context, a *Attempt) Finding {
	e := a.Step.Effects(a.Plan)
	stopped := e.DownBy(plan.ByService)
	w := wantAll(stopped, plan.Offline)
	for _, sees := range e.Sees {
		if len(sees.States) == 0 {
			continue // it only has to run
		}
		for _, name := range sees.CSCs {
			if w.states[name] == nil {
				w.names = append(w.names, name)
			}
			w.states[name] = sees.States
		}
	}
	if len(w.names) == 0 || a.Systems.EFD == nil {
		return Found(Unknown, "csu has no means of seeing it")
	}
	var missing []observation
	var err error
	if most := 4 * a.Systems.EFD.Lag(); a.Glance {
		missing, err = w.missingNow(ctx, a)
	} else {
		missing, err = w.await(ctx, a, a.Systems.Clock.Limit(most), most)
	}
	switch {
	case err != nil:
		return Found(Unknown, "csu cannot determine the states of the CSCs: %v", err)
	case len(missing) == 0 && len(w.names) == len(stopped):
		return Found(Unknown, "%s are silent, but they may have been before their service was stopped", plan.CSCList(stopped))
	case len(missing) == 0:
		return Found(Done, "%s", w.count(nil))
	case slices.ContainsFunc(missing, observation.known):
		return Found(NotDone, "%s", w.lines(missing))
	}
	return Found(Unknown, "csu cannot determine the states of the CSCs:\n%s", w.lines(missing))
}

// Missing returns those CSCs of the step that csu does not see now as the step wants
// them: to propose them for being set aside. What csu cannot see is not in it.
func Missing(ctx context.Context, a *Attempt) []string {
	if s, ok := a.Step.Action.Parameters.(*plan.Sync); ok && a.Systems != nil && a.Systems.Cluster != nil {
		problems, _ := sync{s}.imageProblems(ctx, a)
		return slices.Sorted(maps.Keys(problems))
	}
	if a.Systems == nil || a.Systems.EFD == nil {
		return nil
	}
	e := a.Step.Effects(a.Plan)
	w := want{states: map[string][]string{}}
	for _, name := range e.DownBy() {
		w.add(a.Plan, name, plan.Offline)
	}
	for _, sees := range e.Sees {
		for _, name := range sees.CSCs {
			w.add(a.Plan, name, sees.States...)
		}
	}
	if len(w.names) == 0 {
		return nil
	}
	missing, err := w.missingNow(ctx, a)
	if err != nil {
		return nil
	}
	var names []string
	for _, o := range missing {
		names = append(names, o.row.CSC)
	}
	return names
}

// add makes the states those that are wanted of a CSC, if it speaks.
func (w *want) add(p *plan.Plan, name string, states ...string) {
	if row, ok := p.CSC(name); !ok || !row.Speaks() || len(states) == 0 {
		return
	}
	if w.states[name] == nil {
		w.names = append(w.names, name)
	}
	w.states[name] = states
}
