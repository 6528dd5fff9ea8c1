package action

import (
	"context"
	"errors"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// announce posts a message to a Slack channel. A message that may have been
// posted is never posted again.
type announce struct{ d *plan.Announce }

// Traits implements [Performer].
func (announce) Traits() Traits { return Traits{Unrepeatable: true} }

// Prepare has nothing to read.
func (s announce) Prepare(context.Context, *Attempt) (any, error) { return nil, nil }

func (s announce) Perform(ctx context.Context, a *Attempt) Finding {
	err := a.Systems.Slack.Post(ctx, s.d.Channel, s.d.Text, a.Limit)
	var lost *slack.LostError
	switch {
	case err == nil:
		return Found(Done, "posted to %s", s.d.Channel)
	case errors.As(err, &lost):
		return Found(Unknown, "%v; check whether the message is in %s", err, s.d.Channel)
	case s.d.Handover:
		return s.handOver(ctx, a, err)
	}
	return Found(Failed, "nothing was posted to %s: %v; post the message by hand:\n%s", s.d.Channel, err, s.d.Text)
}

// handOver asks the operator to tell those who are waiting for the message.
func (s announce) handOver(ctx context.Context, a *Attempt, cause error) Finding {
	answer, err := a.ask(ctx, operator.Handover,
		fmt.Sprintf("The message could not be posted, and others are waiting for it. Tell them yourself, on %s or by voice: %s", s.d.Channel, s.d.Text),
		cause.Error(), operator.Yes, operator.No)
	switch {
	case err != nil:
		return Found(NotDone, "nothing was posted to %s: %v; the operator did not confirm that those waiting were told: %v", s.d.Channel, cause, err)
	case answer.Choice != operator.Yes:
		return Found(NotDone, "%s", because(fmt.Sprintf("nothing was posted to %s: %v; the operator has not told those waiting", s.d.Channel, cause), answer))
	}
	return Found(Done, "%s told those waiting by hand, since the message could not be posted: %v", answer.By, cause)
}

// Probe cannot find out: csu may have no permission to read the channel, and
// Slack has no identity by which to find a message.
func (s announce) Probe(context.Context, *Attempt) Finding {
	if s.d.Handover {
		return Found(Unknown, "the message may or may not have been posted, and others are waiting for it: check %s and, if it is not there, tell them yourself:\n%s", s.d.Channel, s.d.Text)
	}
	return Found(Unknown, "the message may or may not have been posted: check whether it is in %s:\n%s", s.d.Channel, s.d.Text)
}

func (s announce) Await(ctx context.Context, a *Attempt) Finding { return s.Probe(ctx, a) }

// Look implements [Performer].
func (announce) Look(context.Context, *Attempt) Finding {
	return Found(Unknown, "csu cannot see messages that others have posted")
}

// Reading returns the channel and the message.
func (s announce) Reading(context.Context, *Attempt) (string, error) {
	return fmt.Sprintf("to %s: %s", s.d.Channel, s.d.Text), nil
}
