package action

import (
	"context"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// lookAtStates looks for the result of a step where its effects say that it shows: in the
// states of the CSCs. Since the EFD lags behind what was done by hand a moment ago, it
// waits for them a little.
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
	most := 4 * a.Systems.EFD.Lag()
	missing, err := w.await(ctx, a, a.Systems.Clock.Limit(most), most)
	switch {
	case err != nil:
		return Found(Unknown, "csu cannot determine the states of the CSCs: %v", err)
	case len(missing) == 0 && len(w.names) == len(stopped):
		return Found(Unknown, "%s are silent, but they may have been before their service was stopped", plan.CSCList(stopped))
	case len(missing) == 0:
		return Found(Done, "%s", w.count(nil))
	case slices.ContainsFunc(missing, observation.known):
		return Found(NotDone, "%s; not yet:\n%s", w.count(missing), w.lines(missing))
	}
	return Found(Unknown, "csu cannot determine the states of the CSCs:\n%s", w.lines(missing))
}
