package executor

import (
	"errors"

	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/report"
)

// finish records how the executor ended, and closes the journal.
func (r *run) finish(err error) (Result, error) {
	r.custody.EndRenewal()
	res, err := r.concluded(err)
	res.Unreleased = r.unreleased
	err = errors.Join(err, r.custody.Rescue())
	keeping := r.custody.Leave()
	res.Untouched = r.First && !r.State.Begun() && keeping == nil
	if keeping != nil {
		r.Notice("the site's ledger lacks the last records of this run, so resume it here, where its journal is: %v", keeping)
	}
	return res, errors.Join(err, r.Journal.Close())
}

// concluded records how the executor ended.
func (r *run) concluded(err error) (Result, error) {
	res := Result{RunID: r.State.Run.ID, State: r.State}
	switch {
	case r.Halt == nil && err != nil:
		r.Halt = &owner.Halt{End: Halted, Err: err}
	case r.Halt == nil && r.Ctx.Err() != nil && r.State.Ended == "":
		r.Halt = &owner.Halt{End: Interrupted}
	}
	if r.Halt != nil && r.Halt.End == Interrupted && r.Ctx.Err() != nil {
		r.Halt.Text = "interrupted by the operator without waiting for running steps, which are now in doubt; --resume checks what became of them"
	}
	if h := r.Halt; h != nil {
		res.End, res.Text, err = h.End, h.Text, h.Err
		text := h.Text
		if text == "" && err != nil {
			text = err.Error()
		}
		if r.State.Ended == "" {
			if _, failed := r.Record(journal.Record{Event: journal.Stopped, Text: text}); failed != nil && !errors.Is(err, failed) {
				err = errors.Join(err, failed)
			}
		}
	}
	if r.State.Ended != "" {
		if res.End = End(r.State.Ended); res.End == Completed && r.State.Excepted() {
			res.End = Excepted
		}
	}
	res.Down, res.Owed = report.Down(r.State), r.State.Owed()
	return res, err
}
