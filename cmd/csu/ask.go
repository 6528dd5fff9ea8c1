package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/operator"
)

// asker gives the answers that were prepared, and otherwise asks at the terminal, if
// there is one.
type asker struct {
	name     string   // the operator's
	consents []string // stages, or "all"
	yes      bool     // --yes: abort the run, or release its site, without asking
	file     string
	answers  []prepared
	screen   *screen
	shown    *live.Recorder // what csu status and csu watch show of it; may be nil
	attended bool           // there is a terminal
	// slow lets the clock of a rehearsal run at real speed until end is called.
	slow func(context.Context) (end func())
}

// Beforehand implements [operator.Prepared]. What was answered beforehand is shown
// nevertheless: the operator sees what was agreed to, and with whom.
func (a *asker) Beforehand(q operator.Question) (operator.Answer, bool) {
	ans, given := a.beforehand(q)
	if given {
		a.screen.show(q, fmt.Sprintf("Answered %s: %s.", ans.Via, ans.Choice))
	}
	return ans, given
}

// Ask implements [operator.Operator].
func (a *asker) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	if !a.attended {
		a.screen.show(q, "There is no terminal to ask on.")
		return operator.Answer{}, &operator.UnattendedError{Question: q, Want: want(q)}
	}
	defer a.shown.Ask(q)()
	defer a.slow(ctx)()
	return a.screen.Ask(ctx, q)
}

// Tell implements [operator.Operator].
func (a *asker) Tell(e operator.Event) {
	a.shown.Tell(e)
	a.screen.Tell(e)
}

// terminalOnly are the topics that are answered only at a terminal: an operator must
// look before answering.
var terminalOnly = []operator.Topic{
	operator.Failed, operator.InDoubt, operator.Unseen, operator.Unexpected, operator.BuildLost, operator.Revision, operator.Outage, operator.Alone, operator.OtherDay,
	operator.TakingOver, operator.Unlocking, operator.Former, operator.FormerOutage,
}

// beforehand returns the answer that was given before the question came up; its
// Via says so, and by what.
func (a *asker) beforehand(q operator.Question) (operator.Answer, bool) {
	given := func(c operator.Choice, reason, by string) (operator.Answer, bool) {
		return operator.Answer{Choice: c, Reason: reason, By: a.name, Via: operator.InAdvance + by}, true
	}
	switch {
	case q.Topic == operator.Aborting:
		if a.yes {
			return given(operator.Abort, "", "--yes")
		}
		return operator.Answer{}, false
	case q.Topic == operator.Unlocking && a.yes:
		return given(operator.Yes, "", "--yes")
	case slices.Contains(a.consents, "all") && !slices.Contains(terminalOnly, q.Topic):
		return given(operator.Yes, "", "--consent all")
	case slices.Contains(a.consents, q.Stage) && q.Topic == operator.StageConsent:
		return given(operator.Yes, "", "--consent "+q.Stage)
	}
	for i := range a.answers {
		if p := &a.answers[i]; p.answers(q) {
			return given(p.Choice, p.Reason, a.file)
		}
	}
	return operator.Answer{}, false
}

// want returns the remedy for a question without an answer.
func want(q operator.Question) string {
	switch q.Topic {
	case operator.StageConsent:
		return fmt.Sprintf("give --consent %s, or run csu in a terminal", q.Stage)
	case operator.Aborting, operator.Unlocking:
		return "give --yes, or run csu in a terminal"
	}
	if slices.Contains(terminalOnly, q.Topic) {
		return "run csu in a terminal: an operator must look before deciding this"
	}
	at := q.Step
	if at == "" {
		at = q.Stage
	}
	return fmt.Sprintf("give --answers with {\"at\": %q, \"topic\": %q, \"choice\": \"yes\"}, or run csu in a terminal", at, q.Topic)
}
