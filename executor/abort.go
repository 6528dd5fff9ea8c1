package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/report"
)

// Abort aborts the run in the journal: it runs the final steps, leaves in doubt what
// is in doubt, and closes the journal. If a final step fails, the journal stays open
// and Abort can be repeated. With [Options.Confirm] it first shows the operator
// [report.Abort] and asks. If they decide against the abort, the result is
// [NotAborted]; nothing is done, and nothing is recorded except a cut-off last line of
// the journal. The errors are those of [Run].
func Abort(ctx context.Context, o Options) (Result, error) {
	o.Resume, o.Until = true, ""
	r, err := newRun(ctx, o, true)
	if err != nil {
		return Result{}, err
	}
	defer r.Release()
	err = r.open()
	changed := "nothing was changed"
	if r.torn != "" {
		changed += " except the journal: " + r.torn
	}
	switch result := (Result{RunID: r.State.Run.ID, State: r.State, End: NotAborted}); {
	case errors.Is(err, errNotAborted):
		result.Text = "The run was not aborted, and " + changed + "."
		return result, nil
	case errors.Is(err, owner.ErrEnding):
		result.End, result.Text = Interrupted, "Interrupted: the run was not aborted, and "+changed+"."
		return result, nil
	case err != nil:
		return Result{}, r.custody.Shut(err)
	}
	return r.finish(r.drive())
}

// errNotAborted reports that the operator decided against the abort.
var errNotAborted = errors.New("the run was not aborted")

// confirmAbort shows the operator what the abort will do, and asks. The journal is
// locked meanwhile, so it stays as they see it. The answer is recorded only when the
// abort begins, so an abort that is not confirmed leaves no trace.
func (r *run) confirmAbort() error {
	reading := report.Abort(r.State)
	if to := r.custody.HandedTo(); to != "" {
		reading = fmt.Sprintf("The run was handed over to %s, who was asked to resume it.\n", to) + reading
	}
	q := operator.Question{
		Topic: operator.Aborting,
		Text: fmt.Sprintf("Run %s of the %s upgrade of %s, begun %s UTC.",
			r.State.Run.ID, r.Plan.Type, r.Plan.Site, r.State.Begin.UTC().Format("2006-01-02 15:04")),
		Reading: reading,
		Choices: []operator.Choice{operator.No, operator.Abort}, // as elsewhere, 1 is not the one that cannot be undone
	}
	a, err := r.AskNow(q)
	switch {
	case err != nil:
		return err
	case a.Choice != operator.Abort:
		return errNotAborted
	}
	return nil
}

// notAborted closes the journal of a run whose abort was not confirmed, and returns
// why. It records the loss of the journal's last line, which no later command would
// report.
func (r *run) notAborted(why error) error {
	var failed error
	if r.torn != "" {
		if _, failed = r.Record(r.resumed()); failed == nil {
			_, failed = r.Record(journal.Record{Event: journal.Stopped, Text: "an abort was requested but not confirmed: " + why.Error()})
		}
	}
	if failed = errors.Join(failed, r.Journal.Close()); failed != nil {
		return fmt.Errorf("%v; %w", why, failed)
	}
	return why
}
