package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/report"
)

// Abort gives up the run in the journal: its final steps are run, what is in
// doubt is left so, and the journal is closed. Where a final step fails, the
// journal stays open and Abort can be repeated. With [Options.Confirm] the
// operator is shown [State.AbortText] first and asked; unless they choose to
// abort, nothing is done, and nothing recorded but that the journal's last line
// was cut off, if it was; the result is [NotAborted]. The errors are those of [Run].
func Abort(ctx context.Context, o Options) (Result, error) {
	o.Resume, o.Until = true, ""
	r, err := newRun(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer r.release()
	r.abort = true
	if err := r.guard(); err != nil {
		return Result{}, err
	}
	err = r.open()
	changed := "nothing was changed"
	if r.torn != "" {
		changed += " but the journal: " + r.torn
	}
	switch kept := (Result{RunID: r.state.Run.ID, State: r.state, End: NotAborted}); {
	case errors.Is(err, errNotAborted):
		kept.Text = "Nothing was given up, and " + changed + "."
		return kept, nil
	case errors.Is(err, errEnding):
		kept.End, kept.Text = Interrupted, "Interrupted: nothing was given up, and "+changed+"."
		return kept, nil
	case err != nil:
		return Result{}, r.shut(err)
	}
	return r.finish(r.drive())
}

// errNotAborted says that the operator did not want the run to be given up after all.
var errNotAborted = errors.New("the run is not given up")

// agree has the operator see what an abort will do, and agree to it. The
// journal is locked meanwhile, so that it stays as they see it, but the answer is
// recorded only when the abort begins: one that is not wanted leaves no trace.
func (r *run) agree(seen *sighting) error {
	reading := report.Abort(r.state)
	if seen != nil && seen.ledger.Holder != nil && seen.ledger.Holder.To != "" {
		reading = fmt.Sprintf("The run was handed over to %s, who was told to resume it.\n", seen.ledger.Holder.To) + reading
	}
	q := operator.Question{
		Topic: operator.Aborting,
		Text: fmt.Sprintf("Run %s of the %s upgrade of %s, begun %s UTC.",
			r.state.Run.ID, r.o.Plan.Type, r.o.Plan.Site, r.state.Begin.UTC().Format("2006-01-02 15:04")),
		Reading: reading,
		Choices: []operator.Choice{operator.Abort, operator.No},
	}
	a, err := r.askNow(q)
	switch {
	case err != nil:
		return err
	case a.Choice != operator.Abort:
		return errNotAborted
	}
	return nil
}

// kept closes the journal of a run that is not given up after all, and returns
// why. The loss of the journal's last line is recorded here, or nobody would hear
// of it again.
func (r *run) kept(why error) error {
	var failed error
	if r.torn != "" {
		if _, failed = r.record(r.resumed()); failed == nil {
			_, failed = r.record(journal.Record{Event: journal.Stopped, Text: "an abort was asked for and not confirmed: " + why.Error()})
		}
	}
	if failed = errors.Join(failed, r.journal.Close()); failed != nil {
		return fmt.Errorf("%v; %w", why, failed)
	}
	return why
}
