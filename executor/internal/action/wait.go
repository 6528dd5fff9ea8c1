package action

import (
	"context"
	"errors"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

// limit returns the attempt's time limit, running from now on.
func (a *Attempt) limit() *clock.Limit { return a.Systems.Clock.Limit(a.Limit) }

// watch polls until look returns a finding that is settled, and reports each
// finding. At the limit it returns the last one.
func (a *Attempt) watch(ctx context.Context, limit *clock.Limit, every time.Duration, look func(context.Context) (f Finding, settled bool)) Finding {
	finding, report := a.silent(), a.reporter()
	err := limit.Poll(ctx, every, func(ctx context.Context) (bool, error) {
		now, settled := look(ctx)
		if ctx.Err() != nil {
			return false, ctx.Err() // an answer that was cut short says nothing
		}
		finding = now
		report.say(finding.Text)
		return settled, nil
	})
	if err != nil {
		return unfinished(err, finding)
	}
	return finding
}

// silent is the finding if nothing has answered before the limit.
func (a *Attempt) silent() Finding {
	return Found(Unknown, "cannot determine the outcome: nothing answered within %s", a.Limit)
}

// reporter reports progress without repeating itself, since a poll mostly finds
// the same again.
type reporter struct {
	report func(format string, args ...any)
	last   string
}

func (a *Attempt) reporter() *reporter { return &reporter{report: a.Progress} }

func (r *reporter) say(text string) {
	if text != "" && text != r.last {
		r.last = text
		r.report("%s", text)
	}
}

// unfinished returns the finding for a poll that returned an error: atLimit if
// the time ran out, otherwise an unknown outcome with the reason.
func unfinished(err error, atLimit Finding) Finding {
	switch {
	case errors.Is(err, clock.ErrLimit):
		return atLimit
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Found(Unknown, "csu was interrupted while waiting; the outcome is unknown until csu checks again")
	}
	return Found(Unknown, "%v", err)
}
