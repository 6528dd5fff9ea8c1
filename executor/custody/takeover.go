package custody

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// Takeover is how a run that was begun elsewhere is continued here.
type Takeover struct {
	Reason string
	// Force takes the run even from a csu that is still at work.
	Force bool
}

// TakeOver asks the operator whether to take the run over, claims the ledger, and stores
// its copy of the journal here. It refuses a run that another csu is working on.
func (c *Custodian) TakeOver() error {
	switch {
	case c.seen == nil:
		return exit.Unusable("resume with csu exec --resume where the journal is", "take over run: the plan uses no cluster, so there is no copy of its journal")
	case c.seen.away != nil:
		return withoutLedger("take over run: read the site's ledger", c.seen.away)
	}
	if err := c.mayTakeOver(&c.seen.ledger); err != nil {
		return err
	}
	if err := c.unheld(c.o.Takeover.Force); err != nil {
		return err
	}
	if err := c.mayTakeOver(&c.seen.ledger); err != nil { // the other csu may have written during the watch
		return err
	}
	lines, err := c.copyOf(&c.seen.ledger)
	if err != nil {
		return err
	}
	s, err := state.Of(c.run.Plan, c.o.Digest, lines)
	if err != nil {
		return err
	}
	if err := c.confirmTakeover(s); err != nil {
		return err
	}
	if err := c.succeed(); err != nil {
		return err
	}
	if err := c.ownLockFree(); err != nil {
		return err
	}
	if err := c.claimTakenOver(); err != nil {
		return err
	}
	if lines, err = c.copyOf(&c.seen.ledger); err != nil {
		return err
	}
	return c.place(lines, c.seen.ledger.Head)
}

// ownLockFree refuses to take a run from a csu that is using the local journal: the
// operator can end that csu on this machine.
func (c *Custodian) ownLockFree() error {
	f, err := c.o.FS.OpenFile(c.o.Journal, os.O_RDWR, 0)
	if err != nil {
		return nil // there is none, or place reports what is wrong with it
	}
	err = f.Lock()
	if closing := f.Close(); !errors.Is(err, journal.ErrLocked) {
		return closing
	}
	return &journal.LockedError{Name: c.o.Journal}
}

// claimTakenOver claims the ledger, before anything is changed here. If the run is taken
// by force from a csu that has continued meanwhile, it is taken as it is now.
func (c *Custodian) claimTakenOver() error {
	agreed := c.seen.ledger.Head.Head
	for {
		head := c.seen.ledger.Head
		c.keeper = c.newKeeper(ledger.Claim{
			Run: head.Run, Plan: c.o.PlanFile, Digest: c.o.Digest, Begun: true, Alone: true,
			Has: func(journal.Head) bool { return true }, Seq: head.Seq,
		})
		err := c.claimSeen()
		var displaced *ledger.DisplacedError
		switch {
		case err == nil:
			if head.Head != agreed {
				c.run.Notice("the other csu has continued meanwhile, to record %d, stage %q; the run is taken over from there", head.Seq, head.Stage)
			}
			return nil
		case c.run.Ctx.Err() != nil && !errors.As(err, &displaced):
			return owner.ErrEnding
		case !errors.Is(err, ledger.ErrConflict):
			return exit.RefuseBy("", err)
		}
		now, err := c.look()
		switch {
		case err != nil:
			return err
		case now.away != nil:
			return exit.RefuseBy("", now.away)
		}
		if err := c.mayTakeOver(&now.ledger); err != nil {
			return err
		}
		if h, was := now.ledger.Holder, c.seen.former; h != nil && h.Process != "" && (was == nil || h.Process != was.Process || !c.o.Takeover.Force) {
			return exit.RefuseBy("", &ledger.LiveError{Holder: *h, Head: now.ledger.Head})
		}
		now.former = c.seen.former
		c.seen = now
	}
}

// copyOf returns the ledger's copy of the journal. If the journal is too large for a
// copy, or the copy is damaged, a local journal will do if it goes as far.
func (c *Custodian) copyOf(l *ledger.Ledger) ([]byte, error) {
	var damaged error
	if len(l.Copy) > 0 {
		lines, head, err := journal.Unpack(l.Copy)
		switch {
		case err == nil && head == l.Head.Head:
			return lines, nil
		case err == nil:
			return nil, fmt.Errorf("take over run: the ledger's copy of the journal ends at record %d, not at %d as the ledger says", head.Seq, l.Head.Seq)
		}
		damaged = err
	}
	if here, has := journal.Upto(c.o.FS, c.o.Journal, l.Head.Head); has {
		return here, nil
	}
	if damaged != nil {
		return nil, fmt.Errorf("take over run: the ledger's copy of the journal: %w", damaged)
	}
	return nil, exit.Refuse("copy the journal here, then run csu takeover again", "the journal of run %s is too large for a copy in the cluster", l.Head.Run)
}

// mayTakeOver refuses unless the ledger has an unfinished run of the plan.
func (c *Custodian) mayTakeOver(l *ledger.Ledger) error {
	ended, h := l.Ended(c.o.Digest), l.Holder
	var err error
	switch {
	case ended != nil && ended.Outcome != ledger.Unlocked:
		err = &ledger.EndedError{Finished: *ended}
	case h != nil && h.Digest != c.o.Digest:
		err = &ledger.HeldError{Holder: *h}
	case l.Head.Digest != c.o.Digest:
		return exit.Refuse("begin it with csu exec PLAN", "there is no run of this plan to take over")
	default:
		return nil
	}
	return exit.RefuseBy("", err)
}

// confirmTakeover shows whose run it is and how far it has come, and asks.
func (c *Custodian) confirmTakeover(s *state.State) error {
	return c.run.RequireYes(operator.Question{
		Topic: operator.TakingOver, Title: "Take this run over?",
		Text:    fmt.Sprintf("Run %s of the %s upgrade of %s, begun %s UTC.", s.Run.ID, c.run.Plan.Type, c.run.Plan.Site, s.Begin.UTC().Format("2006-01-02 15:04")),
		Reading: strings.Join(append(c.leader(), c.progress(s)...), "\n"),
	}, "", "the run was not taken over")
}

// leader returns lines that say who has led the run, and whether a csu may be at work on it.
func (c *Custodian) leader() []string {
	h := c.seen.ledger.Holder
	if h == nil {
		return []string{c.seen.ledger.Ended(c.o.Digest).Text() + "."}
	}
	lines := []string{fmt.Sprintf("Led by %s on %s, last heard at %s UTC by its clock.", h.Operator, h.Host, h.Renewed.UTC().Format(time.DateTime))}
	switch {
	case h.To != "":
		return append(lines, fmt.Sprintf("It was handed over to %s.", h.To))
	case h.Process == "":
		return append(lines, "No csu is at work on it: the last one stopped properly.")
	case c.o.Takeover != nil && c.o.Takeover.Force:
		return append(lines, "Its csu may still be at work on it: --force skips the check.")
	}
	return append(lines, fmt.Sprintf("There was no sign of its csu for %s. It may have crashed, hang, or be at work without the cluster: call %s.", plan.Duration(c.o.Timing.Dead), h.Operator))
}

// progress returns lines that say how far the run has come, according to the ledger's
// copy of its journal.
func (c *Custodian) progress(s *state.State) []string {
	head, holder := c.seen.ledger.Head, c.seen.ledger.Holder
	reached := fmt.Sprintf("The ledger has record %d, since %s UTC", head.Seq, head.Time.UTC().Format(time.DateTime))
	if holder != nil && holder.Process != "" { // it has not made its last write
		reached += "; the last minute may be missing"
	}
	lines := []string{reached + ".", report.Progress(s)}
	for _, line := range report.SetAside(s) {
		lines = append(lines, line+".")
	}
	if down := report.DownText(s); down != "" {
		lines = append(lines, down+".")
	}
	return lines
}

// place stores the copy of the journal where the run's journal belongs. An existing
// journal that contains the whole copy is used as it is; any other one is renamed. What
// it records beyond the copy may have been done all the same.
func (c *Custodian) place(lines []byte, head ledger.Head) error {
	ours := map[int]string{} // hashes, by number
	err := journal.Lines("the cluster's copy", bytes.NewReader(lines), func(rec *journal.Record) error {
		ours[rec.Seq] = cmp.Or(rec.Original, rec.Hash)
		return nil
	})
	if err != nil {
		return err
	}
	beside := false // it has intents that the copy does not have
	there := state.New(c.run.Plan).Take(c.o.Digest)
	j, torn, err := journal.Open(c.o.FS, c.o.Journal, func(rec *journal.Record) error {
		switch rec.Event {
		case journal.Started, journal.Noted, journal.Suspected:
			beside = beside || ours[rec.Seq] != rec.Hash
		}
		return there(rec)
	})
	var locked *journal.LockedError
	switch {
	case errors.As(err, &locked):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return journal.Restore(c.o.FS, c.o.Journal, lines)
	case err == nil:
		has := j.Has(head.Head)
		if err := j.Close(); err != nil {
			return err
		}
		if torn != "" {
			c.run.Notice("the last line of the local journal was incomplete; it is saved in %q", torn)
		}
		if has {
			return nil
		}
	case !errors.Is(err, journal.ErrEmpty):
		beside = true // it cannot be read
	}
	// The whole copy is on the disk before the local journal is moved.
	fresh := c.o.Journal + ".takeover-" + c.process
	if err := journal.Restore(c.o.FS, fresh, lines); err != nil {
		return err
	}
	if beside { // and so are its consequences
		c.doubted = true
		if err := c.doubtAll(fresh, head.Run); err != nil {
			return err
		}
	}
	aside, err := journal.SetAside(c.o.FS, c.o.Journal)
	if err != nil {
		return err
	}
	if err := c.o.FS.Rename(fresh, c.o.Journal); err != nil {
		return fmt.Errorf("take over run: %w; the journal is in %q", err, fresh)
	}
	how := "is out of date"
	if beside {
		how = "cannot be read, or has steps that the run's journal does not have, so csu checks every unfinished step"
	}
	c.run.Notice("the local journal %s; it was renamed to %q", how, aside)
	return c.o.FS.SyncDir(filepath.Dir(c.o.Journal))
}

// doubtAll records in a journal that its run is resumed with every unfinished step in
// doubt. So the doubt survives if csu crashes before it records its own resume.
func (c *Custodian) doubtAll(name, run string) error {
	j, _, err := journal.Open(c.o.FS, name, func(*journal.Record) error { return nil })
	if err != nil {
		return err
	}
	_, err = j.Append(journal.Record{Event: journal.Resumed, Time: c.run.Clock.Now(), Run: c.Self(run), Text: "the local journal differed from the run's"})
	return errors.Join(err, j.Close())
}
