package action

import (
	"context"

	"github.com/lsst-ts/csu/executor/plan"
)

// awaitState watches the EFD until every CSC is in one of its expected states.
// It has no effect, so it can always be repeated.
type awaitState struct{ d *plan.AwaitState }

// Traits implements [Performer].
func (awaitState) Traits() Traits { return Traits{Observes: true} }

func (s awaitState) want() want {
	w := want{states: map[string][]string{}}
	for _, set := range s.d.Want {
		for _, name := range set.CSCs {
			w.names = append(w.names, name)
			w.states[name] = set.States
		}
	}
	return w
}

// Prepare has nothing to read.
func (s awaitState) Prepare(context.Context, *Attempt) (any, error) { return nil, nil }

func (s awaitState) Perform(ctx context.Context, a *Attempt) Finding {
	w := s.want()
	missing, err := w.await(ctx, a, a.limit(), a.Limit)
	switch {
	case ctx.Err() != nil:
		return s.Probe(ctx, a)
	case err != nil:
		return Found(Failed, "after %s, csu still cannot determine the states of the CSCs: %v; check in Chronograf that the EFD is ingesting data, then retry", a.Limit, err)
	case len(missing) == 0:
		return Found(Done, "%s", w.count(nil))
	}
	return Found(Failed, "after %s, %d of %d CSCs are not in the expected state; a retry waits as long again:\n%s", a.Limit, len(missing), len(w.names), w.lines(missing))
}

// Probe never finds anything under way, since an interrupted wait leaves nothing behind.
func (s awaitState) Probe(context.Context, *Attempt) Finding {
	return Found(NotDone, "csu was only waiting for CSCs and changed nothing; it can wait again")
}

func (s awaitState) Await(ctx context.Context, a *Attempt) Finding { return s.Perform(ctx, a) }

// Look implements [Performer].
func (s awaitState) Look(ctx context.Context, a *Attempt) Finding { return lookAtStates(ctx, a) }

// Reading returns how many CSCs are in the expected state, and the states of the others.
func (s awaitState) Reading(ctx context.Context, a *Attempt) (string, error) {
	w := s.want()
	missing, err := w.missingNow(ctx, a)
	if err != nil {
		return "", err
	}
	text := w.count(missing)
	if len(missing) > 0 {
		text += "; not yet:\n" + lines(missing)
	}
	return text, nil
}
