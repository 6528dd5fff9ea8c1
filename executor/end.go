package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// shut closes the journal of a run that cannot start.
func (r *run) shut(err error) error {
	r.endRenewal()
	// What the next csu has to doubt or wait for may not be recorded anywhere yet. In
	// that case the ledger keeps saying, as after a crash, that this csu did not stop
	// properly.
	if r.keeper != nil && !r.settle && !r.doubted {
		var displaced *ledger.DisplacedError
		keeping := r.lastly(true, func(ctx context.Context) error { return r.keeper.Stop(ctx, "") })
		if !errors.As(keeping, &displaced) {
			err = errors.Join(err, keeping)
		}
	}
	if r.journal == nil {
		return err
	}
	return errors.Join(err, r.journal.Close())
}

// lastly makes this process's last write to the ledger. In a hurry it tries only for
// the length of patience.
func (r *run) lastly(hurry bool, write func(context.Context) error) (err error) {
	ctx := context.WithoutCancel(r.ctx)
	if hurry {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	r.beside(func() { err = write(ctx) })
	return err
}

// notKept returns the error of a run that cannot start because its ledger is not maintained.
func (r *run) notKept(err error) error {
	if r.ctx.Err() != nil || r.halted() {
		return nil // drive sees that
	}
	return &RefusedError{Err: err, Remedy: "check that the cluster is reachable, then run the command again"}
}

// finish records how the executor ended, and closes the journal.
func (r *run) finish(err error) (Result, error) {
	r.endRenewal()
	res, err := r.concluded(err)
	res.Unreleased = r.unreleased
	err = errors.Join(err, r.rescue())
	var displaced *ledger.DisplacedError // its own message says that another process has the ledger
	if keeping := r.lastly(r.ctx.Err() != nil, r.lastWrite()); keeping != nil && !errors.As(keeping, &displaced) {
		r.notice("the site's ledger lacks the last records of this run, so resume it here, where its journal is: %v", keeping)
	}
	if closing := r.journal.Close(); closing != nil {
		err = errors.Join(err, closing)
	}
	return res, err
}

// lastWrite returns the last write to the ledger of a run that can be resumed.
func (r *run) lastWrite() func(ctx context.Context) error {
	if r.keeper == nil || r.state.Ended != "" {
		return func(context.Context) error { return nil }
	}
	sent := slices.ContainsFunc(r.state.In(state.Started), func(st *state.Step) bool { return !st.Step.Effects(r.o.Plan).ReadOnly })
	switch {
	case !r.state.Begun():
		return r.keeper.Forget // nothing was begun, so the site is free
	case r.ctx.Err() == nil:
		to := r.halt.to
		return func(ctx context.Context) error { return r.keeper.Stop(ctx, to) }
	case sent: // requests may still take effect
		return r.keeper.Leave
	}
	return func(ctx context.Context) error { return r.keeper.Stop(ctx, "") }
}

// rescue saves the journal to a new file if its own was lost during the run.
func (r *run) rescue() error {
	var lost *journal.LostFileError
	if r.halt == nil || !errors.As(r.halt.err, &lost) {
		return nil
	}
	name, err := r.journal.Save()
	if err != nil {
		return fmt.Errorf("restore the journal: %w", err)
	}
	r.notice("the journal was restored from memory as %q; the last answer is missing in it and will be asked for again", name)
	if r.keeper != nil { // so that a resume recognizes this csu by its lock
		at, err := journal.PlaceOf(r.o.FS, name)
		if err != nil {
			return err
		}
		at.Path = r.journal.Place().Path // the operator moves the file back there
		r.keeperUses(at)
	}
	return nil
}

// concluded records how the executor ended.
func (r *run) concluded(err error) (Result, error) {
	res := Result{RunID: r.state.Run.ID, State: r.state}
	switch {
	case r.halt == nil && err != nil:
		r.halt = &halt{end: Halted, err: err}
	case r.halt == nil && r.ctx.Err() != nil && r.state.Ended == "":
		r.halt = &halt{end: Interrupted}
	}
	if r.halt != nil && r.halt.end == Interrupted && r.ctx.Err() != nil {
		r.halt.text = "interrupted by the operator without waiting for running steps, which are now in doubt; --resume checks what became of them"
	}
	if h := r.halt; h != nil {
		res.End, res.Text, err = h.end, h.text, h.err
		text := h.text
		if text == "" && err != nil {
			text = err.Error()
		}
		if r.state.Ended == "" {
			if _, failed := r.record(journal.Record{Event: journal.Stopped, Text: text}); failed != nil && !errors.Is(err, failed) {
				err = errors.Join(err, failed)
			}
		}
	}
	if r.state.Ended != "" {
		res.End = End(r.state.Ended)
	}
	res.Down, res.Owed = report.Down(r.state), r.state.Owed()
	return res, err
}
