package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
)

// shut closes the journal of a run that does not go on.
func (r *run) shut(err error) error {
	r.endRenewal()
	// What the next csu has to doubt, or to wait for, may be written down nowhere: then
	// the ledger says, as after a crash, that this one did not end properly.
	if r.keeper != nil && !r.settle && !r.doubted {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), leaving)
		defer cancel()
		var displaced *ledger.DisplacedError
		if keeping := r.keeper.Stop(ctx, ""); !errors.As(keeping, &displaced) {
			err = errors.Join(err, keeping)
		}
	}
	if r.journal == nil {
		return err
	}
	return errors.Join(err, r.journal.Close())
}

// notKept is the error of a run that cannot start since its ledger is not kept.
func (r *run) notKept(err error) error {
	if r.ctx.Err() != nil || r.halted() {
		return nil // drive sees that
	}
	return &RefusedError{Err: err, Remedy: "check that the cluster is reachable, then run the command again"}
}

// endRenewal has the ledger written no more but by what follows.
func (r *run) endRenewal() {
	r.unrenew()
	r.renewal.Wait()
}

// finish writes how the executor ended and closes the journal.
func (r *run) finish(err error) (Result, error) {
	r.endRenewal()
	res, err := r.concluded(err)
	res.Unreleased = r.unreleased
	err = errors.Join(err, r.rescue())
	var displaced *ledger.DisplacedError // it says itself that the ledger is another's
	if keeping := r.lastWord(res); keeping != nil && !errors.As(keeping, &displaced) {
		r.tell(operator.Notice, "", "", "the site's ledger lacks the last records of this run: resume it here, where its journal is: %v", keeping)
	}
	if closing := r.journal.Close(); closing != nil {
		err = errors.Join(err, closing)
	}
	return res, err
}

// lastWord is the last write to the ledger of a run that can be resumed.
func (r *run) lastWord(res Result) error {
	if r.keeper == nil || r.state.Ended != "" {
		return nil
	}
	ctx := context.WithoutCancel(r.ctx)
	switch {
	case !r.state.Begun():
		return r.keeper.Forget(ctx) // so that nobody need be kept away
	case r.ctx.Err() != nil:
		ctx, cancel := context.WithTimeout(ctx, leaving)
		defer cancel()
		if slices.ContainsFunc(r.state.In(Started), func(st *StepState) bool { return !st.Step.Effects(r.o.Plan).ReadOnly }) { // what was under way may still take effect
			return r.keeper.Leave(ctx)
		}
		return r.keeper.Stop(ctx, "")
	}
	return r.keeper.Stop(ctx, r.halt.to)
}

// rescue writes a journal that was lost under the run to a file again.
func (r *run) rescue() error {
	var lost *journal.LostFileError
	if r.halt == nil || !errors.As(r.halt.err, &lost) {
		return nil
	}
	name, err := r.journal.Save()
	if err != nil {
		return fmt.Errorf("restore the journal: %w", err)
	}
	r.tell(operator.Notice, "", "", "the journal was written anew as %q, from memory; what was answered last is not in it and is asked again", name)
	if r.keeper != nil { // so that a resume knows this csu by its lock
		at, err := journal.PlaceOf(r.o.FS, name)
		if err != nil {
			return err
		}
		at.Path = r.journal.Place().Path // to which it is moved back
		r.keeper.Use(r.journal, at)
	}
	return nil
}

// concluded writes down how the executor ended.
func (r *run) concluded(err error) (Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := Result{RunID: r.state.Run.ID, State: r.state}
	switch {
	case r.halt == nil && err != nil:
		r.halt = &halt{end: Halted, err: err}
	case r.halt == nil && r.ctx.Err() != nil && r.state.Ended == "":
		r.halt = &halt{end: Interrupted}
	}
	if r.halt != nil && r.halt.end == Interrupted && r.ctx.Err() != nil {
		r.halt.text = "interrupted at once by the operator: what ran is in doubt, and is looked into when the run is taken up with --resume"
	}
	if h := r.halt; h != nil {
		res.End, res.Text, err = h.end, h.text, h.err
		text := h.text
		if text == "" && err != nil {
			text = err.Error()
		}
		if r.state.Ended == "" {
			if _, failed := r.recordLocked(journal.Record{Event: journal.Stopped, Text: text}); failed != nil && !errors.Is(err, failed) {
				err = errors.Join(err, failed)
			}
		}
	}
	if r.state.Ended != "" {
		res.End = r.state.Ended
	}
	res.Down, res.Owed = r.state.Down(), r.state.Owed()
	return res, err
}
