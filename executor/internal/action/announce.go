package action

import (
	"context"
	"errors"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// announce posts to a Slack channel. A message that may have been posted is
// never posted again.
type announce struct{ d *plan.Announce }

// Traits implements [Performer].
func (announce) Traits() Traits { return Traits{Unrepeatable: true} }

// Prepare has nothing to read.
func (s announce) Prepare(context.Context, *Attempt) (any, error) { return nil, nil }

func (s announce) Perform(ctx context.Context, a *Attempt) Finding {
	err := a.Systems.Slack.Post(ctx, s.d.Channel, s.d.Text)
	var lost *slack.LostError
	switch {
	case err == nil:
		return Found(Done, "posted to %s", s.d.Channel)
	case errors.As(err, &lost):
		return Found(Unknown, "%v; look at %s whether it is there", err, s.d.Channel)
	case s.d.Handover:
		return s.handOver(ctx, a, err)
	}
	return Found(Failed, "nothing was posted to %s: %v; it can be posted by hand:\n%s", s.d.Channel, err, s.d.Text)
}

// handOver has the operator tell those who wait for the message.
func (s announce) handOver(ctx context.Context, a *Attempt, cause error) Finding {
	answer, err := a.ask(ctx, operator.Handover,
		fmt.Sprintf("The message could not be posted, and somebody waits for it. Tell them yourself, on %s or by voice: %s", s.d.Channel, s.d.Text),
		cause.Error(), operator.Yes, operator.No)
	switch {
	case err != nil:
		return Found(NotDone, "nothing was posted to %s: %v; and the operator did not say that those who wait were told: %v", s.d.Channel, cause, err)
	case answer.Choice != operator.Yes:
		return Found(NotDone, "%s", because(fmt.Sprintf("nothing was posted to %s: %v; and the operator has not told those who wait", s.d.Channel, cause), answer))
	}
	return Found(Done, "told by hand by %s, since it could not be posted: %v", answer.By, cause)
}

// Probe can't look: csu may not be allowed to read the channel, and Slack has no
// identity by which a message could be found.
func (s announce) Probe(context.Context, *Attempt) Finding {
	if s.d.Handover {
		return Found(Unknown, "perhaps posted, perhaps not, and somebody waits for it: look at %s, and where it is not there, tell them yourself:\n%s", s.d.Channel, s.d.Text)
	}
	return Found(Unknown, "perhaps posted, perhaps not: look at %s whether it has the message:\n%s", s.d.Channel, s.d.Text)
}

func (s announce) Await(ctx context.Context, a *Attempt) Finding { return s.Probe(ctx, a) }

// Reading shows what will be posted.
func (s announce) Reading(context.Context, *Attempt) (string, error) {
	return fmt.Sprintf("to %s: %s", s.d.Channel, s.d.Text), nil
}
