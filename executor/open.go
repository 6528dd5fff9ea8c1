package executor

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
)

// open creates the journal or opens the existing one, and claims the site's ledger for
// this process. If a guard refuses, nothing has been written.
func (r *run) open() error {
	if err := r.custody.Look(); err != nil {
		return err
	}
	if r.o.Takeover != nil {
		if err := r.custody.TakeOver(); err != nil {
			return err
		}
	}
	torn, err := r.custody.OpenJournal()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, journal.ErrEmpty):
		return r.openNew()
	case err != nil:
		return err
	}
	if torn != "" {
		r.torn = fmt.Sprintf("the last line of the journal was incomplete, so nothing had been done because of it; it is saved in %q", torn)
		r.Notice("%s", r.torn)
	}
	if err := r.custody.Resumable(r.o.Resume); err != nil {
		return cmp.Or(r.custody.Elsewhere(), err)
	}
	if r.State.Ended != "" {
		return nil // only its release is missing
	}
	if err := r.custody.MayResume(); err != nil {
		return err
	}
	if !r.abort && !r.State.Begun() {
		if err := r.confirmDay(); err != nil {
			return err
		}
	}
	if r.abort && r.o.Confirm {
		if err := r.confirmAbort(); err != nil {
			return r.notAborted(err)
		}
	}
	if _, err := r.Record(r.resumed()); err != nil {
		return err
	}
	return r.custody.Claim()
}

// openNew begins a run that has no local journal.
func (r *run) openNew() error {
	err := r.custody.Admit()
	if err == nil && r.o.Resume {
		hint, what := "begin it with csu exec PLAN", "resume"
		if r.abort {
			hint, what = "look at the site with csu status PLAN", "abort"
		}
		return exit.Refuse(hint, "there is no run to %s: the journal %q does not exist or has no record", what, r.o.Journal)
	}
	if err != nil {
		return err
	}
	if err := r.custody.NeverRun(); err != nil {
		return err
	}
	if err := r.confirmDay(); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	return r.custody.Claim()
}

// confirmDay asks the operator if something speaks against beginning the run today (P54).
// The answer is recorded once there is a journal.
func (r *run) confirmDay() error {
	if r.o.Day == "" {
		return nil
	}
	return r.RequireYes(operator.Question{
		Topic: operator.OtherDay, Title: "Begin today?",
		Text:    fmt.Sprintf("Begin the %s upgrade of %s today all the same?", r.Plan.Type, r.Plan.Site),
		Reading: r.o.Day, Choices: []operator.Choice{operator.No, operator.Yes}, // 1 is the harmless one
	}, "begin it on the plan's day, or set another date in the site's upgrade.cue, compile the plan again and have it reviewed", "the run was not begun today")
}

// resumed returns the record that resumes a run.
func (r *run) resumed() journal.Record {
	text := r.torn
	if t := r.o.Takeover; t != nil {
		text = strings.TrimSpace(fmt.Sprintf("taken over by %s: %s. %s", r.OperatorName, t.Reason, text))
	}
	return journal.Record{Event: journal.Resumed, Run: r.custody.Self(r.State.Run.ID), Text: text}
}

// begin creates the journal of a new run.
func (r *run) begin() error {
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("make a run id: %w", err)
	}
	first := journal.Record{Event: journal.RunBegun, Time: r.Clock.Now(), Run: r.custody.Self(hex.EncodeToString(id[:]))}
	j, err := journal.Create(r.o.FS, r.o.Journal, first)
	if err != nil {
		return err
	}
	r.Run.Journal, r.First = j, true
	if err := r.State.Check(&first); err != nil {
		return errors.Join(err, j.Close())
	}
	r.State.Apply(&first)
	return nil
}
