package executor

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/state"
)

// open creates the journal or opens the existing one, and claims the site's ledger for
// this process. If a guard refuses, nothing has been written.
func (r *run) open() error {
	seen, err := r.look()
	if err != nil {
		return err
	}
	if r.o.Takeover != nil {
		if err := r.takeOver(seen); err != nil {
			return err
		}
	}
	j, torn, err := journal.Open(r.o.FS, r.o.Journal, r.state.Take(r.o.Digest))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, journal.ErrEmpty):
		return r.openNew(seen)
	case err != nil:
		return unwrapped(err)
	}
	r.journal = j
	if torn != "" {
		r.torn = fmt.Sprintf("the last line of the journal was incomplete, so nothing had been done because of it; it is saved in %q", torn)
		r.notice("%s", r.torn)
	}
	if err := r.resumable(); err != nil {
		return cmp.Or(r.elsewhere(seen), err)
	}
	if r.state.Ended != "" {
		return nil // only its release is missing
	}
	if err := r.mayResume(seen); err != nil {
		return err
	}
	if r.abort && r.o.Confirm {
		if err := r.confirmAbort(seen); err != nil {
			return r.notAborted(err)
		}
	}
	if _, err := r.record(r.resumed()); err != nil {
		return err
	}
	return r.keepLedger(seen)
}

// elsewhere returns why, according to the ledger, the run cannot be resumed with the
// local journal.
func (r *run) elsewhere(seen *sighting) error {
	if seen == nil || seen.away != nil || r.state.Ended != "" {
		return nil
	}
	c := r.claim()
	c.Alone = true
	var behind *ledger.BehindError
	if err := c.Check(&seen.ledger); errors.As(err, &behind) {
		return refusedBy(err)
	}
	return nil
}

// openNew begins a run that has no local journal.
func (r *run) openNew(seen *sighting) error {
	err := r.admitted(seen)
	if err == nil && r.o.Resume {
		hint, what := "begin it with csu exec PLAN", "resume"
		if r.abort {
			hint, what = "look at the site with csu status PLAN", "abort"
		}
		return refuse(hint, "there is no run to %s: the journal %q does not exist or has no record", what, r.o.Journal)
	}
	if err != nil {
		return err
	}
	if err := r.neverRun(seen); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	return r.keepLedger(seen)
}

// neverRun refuses a plan whose run is over according to the record of past runs. If
// neither that record nor the ledger is available, it asks the operator.
func (r *run) neverRun(seen *sighting) error {
	found, err := "", error(ErrNoHistory)
	if r.o.CarriedOut != nil {
		found, err = r.o.CarriedOut()
	}
	switch {
	case err == nil && found != "":
		return refuse("to do the upgrade again, raise attempt in upgrade.cue and compile a new plan", "this plan was carried out: %s", found)
	case err == nil:
		return nil
	case !errors.Is(err, ErrNoHistory):
		return err
	case seen == nil && r.o.SiteMap != "", seen != nil && seen.away == nil:
		return nil
	}
	why := "neither the cluster nor the repository's history shows whether this plan was carried out"
	if seen != nil {
		why += ": " + seen.away.Error()
	}
	return r.confirmAlone(why)
}

// ErrNoHistory reports that there is no record of past runs.
var ErrNoHistory = errors.New("there is no record of past runs here")

// mayResume refuses a run that another process is working on, or has continued from
// another copy of the journal.
func (r *run) mayResume(seen *sighting) error {
	if err := r.admitted(seen); err != nil {
		return err
	}
	if seen == nil || seen.away != nil {
		return nil
	}
	if h := seen.ledger.Holder; h != nil && h.To != "" && r.o.Takeover == nil && !r.abort {
		return refuse(fmt.Sprintf("%q resumes it with csu takeover PLAN --reason TEXT; you can do the same to take it back", h.To), "this run was handed over to %q", h.To)
	}
	if r.o.Takeover != nil {
		return nil // takeOver has checked it
	}
	if err := r.unheld(seen, false); err != nil {
		return err
	}
	if err := r.admitted(seen); err != nil { // the other process may have written during the watch
		return err
	}
	return r.succeed(seen)
}

// resumed returns the record that resumes a run.
func (r *run) resumed() journal.Record {
	text := r.torn
	if t := r.o.Takeover; t != nil {
		text = strings.TrimSpace(fmt.Sprintf("taken over by %s: %s. %s", r.o.OperatorName, t.Reason, text))
	}
	return journal.Record{Event: journal.Resumed, Run: r.self(r.state.Run.ID), Text: text}
}

// unwrapped is the error of a journal that cannot be read; that it belongs to another
// plan is no damage of the line that says so.
func unwrapped(err error) error {
	var other *state.OtherPlanError
	if errors.As(err, &other) {
		return other
	}
	return err
}

func (r *run) resumable() error {
	s := r.state
	rehearsed := s.Run.SiteMap != ""
	switch {
	case s.Ended != "" && rehearsed == (r.o.SiteMap != "") && !s.Released && r.o.Ledger != nil && r.o.Takeover == nil:
		return nil // it is over, but not released
	case s.Ended == journal.Complete:
		return refuse("to do the upgrade again, raise attempt in upgrade.cue and compile a new plan", "this plan's run %s is complete: it cannot be run again", s.Run.ID)
	case s.Ended == journal.Aborted:
		return refuse("to do the upgrade again, raise attempt in upgrade.cue and compile a new plan", "this plan's run %s was aborted: it cannot be run again", s.Run.ID)
	case rehearsed != (r.o.SiteMap != ""):
		return refuse("keep a rehearsal's journal in the folder of its site map", "the run in this journal is %s, but this one would be %s", kindOfRun(rehearsed), kindOfRun(!rehearsed))
	case !r.o.Resume && s.Begun():
		return refuse("resume it with csu exec PLAN --resume, or look at it with csu status PLAN", "this plan's run %s was begun on %s and is not finished", s.Run.ID, s.Begin.UTC().Format(time.DateTime)+" UTC")
	}
	return nil
}

func kindOfRun(rehearsed bool) string {
	if rehearsed {
		return "a rehearsal"
	}
	return "a real one"
}

// begin creates the journal of a new run.
func (r *run) begin() error {
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("make a run id: %w", err)
	}
	first := journal.Record{Event: journal.RunBegun, Time: r.o.Clock.Now(), Run: r.self(hex.EncodeToString(id[:]))}
	j, err := journal.Create(r.o.FS, r.o.Journal, first)
	if err != nil {
		return err
	}
	r.journal, r.begun = j, true
	if err := r.state.Check(&first); err != nil {
		return errors.Join(err, j.Close())
	}
	r.state.Apply(&first)
	return nil
}

func (r *run) self(id string) *journal.Run {
	return &journal.Run{
		Format: journal.Format, ID: id, Digest: r.o.Digest, Plan: r.o.PlanFile,
		Operator: r.o.OperatorName, Version: r.o.Version, PID: os.Getpid(), SiteMap: r.o.SiteMap,
		Host: r.host, Process: r.process, Settle: r.settle, Doubted: r.doubted,
	}
}
