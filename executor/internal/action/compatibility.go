package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	levelPause = 5 * time.Second
	// levelLimit is how long a request may still reach the registry after its
	// answer was lost.
	levelLimit = 30 * time.Second
)

// compatibility sets the schema registry's global compatibility level and reads
// it back.
type compatibility struct{ d *plan.Compatibility }

// Traits implements [Performer].
func (compatibility) Traits() Traits { return Traits{} }

// levelBefore is the evidence: the level before csu set it.
type levelBefore struct {
	Level string `json:"level"`
}

func (c compatibility) Prepare(ctx context.Context, a *Attempt) (any, error) {
	level, err := a.Systems.Registry.Level(ctx)
	if err != nil {
		return nil, err
	}
	return levelBefore{level}, nil
}

// before returns the level recorded in the evidence.
func (c compatibility) before(a *Attempt) (string, error) {
	var b levelBefore
	if err := json.Unmarshal(a.Evidence, &b); err != nil {
		return "", fmt.Errorf("read the previous level from the journal: %w", err)
	}
	return b.Level, nil
}

func (c compatibility) Perform(ctx context.Context, a *Attempt) Finding {
	before, err := c.before(a)
	switch {
	case err != nil:
		return Found(NotDone, "the level was not set: %v", err)
	case before == c.d.Expect:
	case before == c.d.Set && a.Step.Undoes != "":
		return Found(Done, "nothing to do: the level is already %s", c.d.Set)
	default:
		return Found(Failed, "the level was not set: it is %s, not %s as the plan expects; find out who set it (an unfinished earlier upgrade?) before changing it", before, c.d.Expect)
	}
	limit := a.limit()
	err = a.Systems.Registry.SetLevel(ctx, c.d.Set)
	var lost *cluster.LostError
	if err != nil && !errors.As(err, &lost) {
		return Found(NotDone, "the level is still %s: %v", before, err)
	}
	return c.readBack(ctx, a, limit, before, err == nil, a.Systems.Clock.Now())
}

// readBack determines whether the level was set. A request without an answer may
// reach the registry until levelLimit after it was sent.
func (c compatibility) readBack(ctx context.Context, a *Attempt, limit *clock.Limit, before string, answered bool, sent time.Time) Finding {
	var level string
	over := func() bool { return answered || a.Systems.Clock.Since(sent) > levelLimit }
	err := limit.PollFor(ctx, levelPause, 2*levelLimit, func(ctx context.Context) (bool, error) {
		now, err := a.Systems.Registry.Level(ctx)
		if err != nil {
			return false, err
		}
		level = now
		return level == c.d.Set || level != before || over(), nil
	})
	switch {
	case err != nil && (level == "" || !errors.Is(err, clock.ErrLimit)):
		return Found(Unknown, "cannot determine whether the level was set to %s: %v", c.d.Set, err)
	case level == c.d.Set:
		return Found(Done, "the level was %s and is %s", before, level)
	case level != before:
		return Found(Failed, "the level is %s, neither %s as before nor %s: someone else has set it", level, before, c.d.Set)
	case answered:
		return Found(Failed, "the registry reported that it set the level to %s, but it is still %s", c.d.Set, level)
	case !over():
		return Found(Unknown, "the level is still %s, but the request may still reach the registry", level)
	}
	return Found(NotDone, "the level is still %s", level)
}

func (c compatibility) Probe(ctx context.Context, a *Attempt) Finding {
	if len(a.Evidence) == 0 { // another csu may have tried, or a person
		return c.Look(ctx, a)
	}
	before, err := c.before(a)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	limit := a.limit()
	limit.Extend(2 * levelLimit) // the attempt's limit is not that of its probe
	return c.readBack(ctx, a, limit, before, false, a.Started)
}

// Await only probes again, since setting the level never takes long.
func (c compatibility) Await(ctx context.Context, a *Attempt) Finding { return c.Probe(ctx, a) }

// Look implements [Performer].
func (c compatibility) Look(ctx context.Context, a *Attempt) Finding {
	level, err := a.Systems.Registry.Level(ctx)
	switch {
	case err != nil:
		return Found(Unknown, "cannot read the level: %v", err)
	case level != c.d.Set:
		return Found(NotDone, "the level is %s, not %s", level, c.d.Set)
	}
	return Found(Done, "the level is %s", level)
}

// Reading returns the current level.
func (c compatibility) Reading(ctx context.Context, a *Attempt) (string, error) {
	level, err := a.Systems.Registry.Level(ctx)
	if err != nil {
		return "", err
	}
	return "the schema registry's compatibility level is " + level, nil
}
