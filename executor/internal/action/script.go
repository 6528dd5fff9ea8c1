package action

import (
	"context"
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/plan"
)

// script adds a SAL script to a ScriptQueue through LOVE and follows it in the
// EFD.
type script struct{ d *plan.Script }

// Traits implements [Performer].
func (script) Traits() Traits { return Traits{Identified: true} }

// Prepare has nothing to read: the attempt's identity and time suffice to find
// the script.
func (s script) Prepare(context.Context, *Attempt) (any, error) { return nil, nil }

func (s script) queueing(a *Attempt) *queueing {
	return &queueing{a: a, queue: s.d.Queue, limit: a.limit()}
}

func (s script) Perform(ctx context.Context, a *Attempt) Finding {
	q := s.queueing(a)
	if problem := q.ready(ctx); problem != "" {
		return Found(NotDone, "%s", problem)
	}
	n, result, why := q.add(ctx, a.Identity, s.d.Path, s.d.Standard, s.d.Config)
	switch result {
	case addedNo:
		return Found(NotDone, "%s was not added to %s: %s", s.d.Path, q.name(), why)
	case addedUnknown:
		return Found(Unknown, "cannot determine whether %s was added to %s: %s", s.d.Path, q.name(), why)
	}
	return s.follow(ctx, q, n)
}

func (s script) follow(ctx context.Context, q *queueing, n queueNote) Finding {
	event, err := q.follow(ctx, n)
	switch {
	case err == nil || event.Ended():
		return s.judge(ctx, q, event)
	case event.Index == 0:
		return unfinished(err, Found(Unknown, "%s, %s, was added to %s, but %s; check the queue in LOVE", numbered(n.Script), s.d.Path, q.name(), q.unseen()))
	}
	return unfinished(err, Found(Running, "%s", describeScript(event)))
}

// judge compares a script's outcome with the outcomes that the step accepts.
func (s script) judge(ctx context.Context, q *queueing, e efd.ScriptEvent) Finding {
	switch outcome := e.Outcome(); {
	case outcome == "":
		return Found(Running, "%s", describeScript(e))
	case !slices.Contains(s.d.Accept, outcome):
		return Found(Failed, "script %d, %s, ended %s; %s", e.Index, e.Path, outcome, q.account(ctx, e))
	case e.Succeeded():
		return Found(Done, "script %d, %s, ended DONE", e.Index, e.Path)
	default:
		return Found(Done, "script %d, %s, ended %s, which this step accepts; %s", e.Index, e.Path, outcome, q.account(ctx, e))
	}
}

func (s script) Probe(ctx context.Context, a *Attempt) Finding {
	q := s.queueing(a)
	n, begun := q.last(ctx, []string{a.Identity})
	if !begun {
		return Found(NotDone, "csu had not yet added %s to %s", s.d.Path, q.name())
	}
	event, result, why := q.resolve(ctx, n)
	switch result {
	case addedYes:
		return s.judge(ctx, q, event)
	case addedNo:
		return Found(NotDone, "%s was not added to %s: %s", s.d.Path, q.name(), why)
	}
	return Found(Unknown, "cannot determine what became of %s on %s: %s", s.d.Path, q.name(), why)
}

func (s script) Await(ctx context.Context, a *Attempt) Finding {
	q := s.queueing(a)
	n, begun := q.last(ctx, []string{a.Identity})
	if !begun {
		return s.Probe(ctx, a)
	}
	return s.follow(ctx, q, n)
}

// Look implements [Performer].
func (s script) Look(ctx context.Context, a *Attempt) Finding { return lookAtStates(ctx, a) }

// Reading returns the content of the queue.
func (s script) Reading(ctx context.Context, a *Attempt) (string, error) {
	q := s.queueing(a)
	now, err := a.Systems.EFD.Queue(ctx, s.d.Queue)
	switch {
	case err != nil:
		return "", fmt.Errorf("read the content of %s: %w", q.name(), err)
	case !now.Known:
		return fmt.Sprintf("the EFD has no record of the content of %s in the last 30 days", q.name()), nil
	case !now.Running:
		return fmt.Sprintf("%s is paused, %s", q.name(), q.content(ctx, now)), nil
	}
	return fmt.Sprintf("%s, %s", q.name(), q.content(ctx, now)), nil
}
