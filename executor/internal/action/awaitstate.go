package action

import (
	"context"
	"fmt"

	"github.com/lsst-ts/csu/executor/plan"
)

// awaitState watches the EFD until every CSC is in one of its states. It has no
// effect, so that it can always be done again.
type awaitState struct{ d *plan.AwaitState }

// Traits implements [Performer].
func (awaitState) Traits() Traits { return Traits{Observes: true, ConfirmsByHand: true} }

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
	missing, err := w.await(ctx, a, a.patience(), a.Limit)
	switch {
	case ctx.Err() != nil:
		return s.Probe(ctx, a)
	case err != nil:
		return Found(Failed, "after %s it can't be told where the CSCs are; see in Chronograf whether the EFD takes data in, then retry: %v", a.Limit, err)
	case len(missing) == 0:
		return Found(Done, "%d of %d there", len(w.names), len(w.names))
	}
	return Found(Failed, "after %s, %d of %d CSCs are not where they should be; a retry waits as long again:\n%s", a.Limit, len(missing), len(w.names), w.lines(missing))
}

// Probe never finds anything under way: a look that was broken off is over.
func (s awaitState) Probe(context.Context, *Attempt) Finding {
	return Found(NotDone, "csu was waiting for CSCs, which changes nothing; it can wait again")
}

func (s awaitState) Await(ctx context.Context, a *Attempt) Finding { return s.Perform(ctx, a) }

// Reading shows how many are there, and where the others are.
func (s awaitState) Reading(ctx context.Context, a *Attempt) (string, error) {
	w := s.want()
	missing, err := w.glance(ctx, a)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d of %d there", len(w.names)-len(missing), len(w.names))
	if len(missing) > 0 {
		text += ", not yet:\n" + lines(missing)
	}
	return text, nil
}
