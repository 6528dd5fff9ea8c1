package executor

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

// takeOver asks the operator whether to take the run over, claims the ledger, and stores
// its copy of the journal here. It refuses a run that another csu is working on.
func (r *run) takeOver(seen *sighting) error {
	switch {
	case seen == nil:
		return &InputError{Reason: "take over run: the plan uses no cluster, so there is no copy of its journal", Remedy: "resume with csu exec --resume where the journal is"}
	case seen.away != nil:
		return withoutLedger("take over run: read the site's ledger", seen.away)
	}
	if err := r.mayTakeOver(&seen.ledger); err != nil {
		return err
	}
	if err := r.unheld(seen, r.o.Takeover.Force); err != nil {
		return err
	}
	if err := r.mayTakeOver(&seen.ledger); err != nil { // the other csu may have written during the watch
		return err
	}
	lines, err := r.copyOf(&seen.ledger)
	if err != nil {
		return err
	}
	state, err := state.Of(r.o.Plan, r.o.Digest, lines)
	if err != nil {
		return err
	}
	if err := r.confirmTakeover(seen, state); err != nil {
		return err
	}
	if err := r.succeed(seen); err != nil {
		return err
	}
	if err := r.ownLockFree(); err != nil {
		return err
	}
	if err := r.claimTakenOver(seen); err != nil {
		return err
	}
	if lines, err = r.copyOf(&seen.ledger); err != nil {
		return err
	}
	return r.place(lines, seen.ledger.Head)
}

// ownLockFree refuses to take a run from a csu that is using the local journal: the
// operator can end that csu on this machine.
func (r *run) ownLockFree() error {
	f, err := r.o.FS.OpenFile(r.o.Journal, os.O_RDWR, 0)
	if err != nil {
		return nil // there is none, or place reports what is wrong with it
	}
	err = f.Lock()
	if closing := f.Close(); !errors.Is(err, journal.ErrLocked) {
		return closing
	}
	return &journal.LockedError{Name: r.o.Journal}
}

// claimTakenOver claims the ledger, before anything is changed here. If the run is taken
// by force from a csu that has continued meanwhile, it is taken as it is now.
func (r *run) claimTakenOver(seen *sighting) error {
	agreed := seen.ledger.Head.Head
	for {
		r.keeper = r.newKeeper(ledger.Claim{
			Run: seen.ledger.Head.Run, Plan: r.o.PlanFile, Digest: r.o.Digest, Begun: true, Alone: true,
			Has: func(journal.Head) bool { return true }, Seq: seen.ledger.Head.Seq,
		})
		err := r.claimOver(seen)
		if !errors.Is(err, ledger.ErrConflict) {
			if now := seen.ledger.Head; err == nil && now.Head != agreed {
				r.notice("the other csu has continued meanwhile, to record %d, stage %q; the run is taken over from there", now.Seq, now.Stage)
			}
			return r.unclaimed(err)
		}
		now, err := r.look()
		if err != nil {
			return err
		}
		if now.away != nil {
			return r.unclaimed(now.away)
		}
		if err := r.mayTakeOver(&now.ledger); err != nil {
			return err
		}
		if h, was := now.ledger.Holder, seen.former; h != nil && h.Process != "" && (was == nil || h.Process != was.Process || !r.o.Takeover.Force) {
			return r.unclaimed(&ledger.LiveError{Holder: *h, Head: now.ledger.Head})
		}
		seen.ledger, seen.version = now.ledger, now.version
	}
}

// unclaimed returns the error of a run that could not claim the ledger.
func (r *run) unclaimed(err error) error {
	var displaced *ledger.DisplacedError
	switch {
	case err == nil:
		return nil
	case r.ctx.Err() != nil && !errors.As(err, &displaced):
		return errEnding
	}
	return refusedBy(err)
}

// copyOf returns the ledger's copy of the journal. If the journal is too large for a
// copy, or the copy is damaged, a local journal will do if it goes as far.
func (r *run) copyOf(l *ledger.Ledger) ([]byte, error) {
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
	if here, has := journal.Upto(r.o.FS, r.o.Journal, l.Head.Head); has {
		return here, nil
	}
	if damaged != nil {
		return nil, fmt.Errorf("take over run: the ledger's copy of the journal: %w", damaged)
	}
	return nil, refuse("copy the journal here, then run csu takeover again", "the journal of run %s is too large for a copy in the cluster", l.Head.Run)
}

// mayTakeOver refuses unless the ledger has an unfinished run of the plan.
func (r *run) mayTakeOver(l *ledger.Ledger) error {
	ended, h := l.Ended(r.o.Digest), l.Holder
	var err error
	switch {
	case ended != nil && ended.Outcome != ledger.Unlocked:
		err = &ledger.EndedError{Finished: *ended}
	case h != nil && h.Digest != r.o.Digest:
		err = &ledger.HeldError{Holder: *h}
	case l.Head.Digest != r.o.Digest:
		return refuse("begin it with csu exec PLAN", "there is no run of this plan to take over")
	default:
		return nil
	}
	return refusedBy(err)
}

// confirmTakeover shows whose run it is and how far it has come, and asks.
func (r *run) confirmTakeover(seen *sighting, s *state.State) error {
	return r.requireYes(operator.Question{
		Topic: operator.TakingOver, Title: "Take this run over?",
		Text:    fmt.Sprintf("Run %s of the %s upgrade of %s, begun %s UTC.", s.Run.ID, r.o.Plan.Type, r.o.Plan.Site, s.Begin.UTC().Format("2006-01-02 15:04")),
		Reading: strings.Join(append(r.leader(seen), progress(seen, s)...), "\n"),
		Choices: []operator.Choice{operator.Yes, operator.No},
	}, "the run was not taken over")
}

// leader returns lines that say who has led the run, and whether a csu may be at work on it.
func (r *run) leader(seen *sighting) []string {
	h := seen.ledger.Holder
	if h == nil {
		return []string{seen.ledger.Ended(r.o.Digest).Text() + "."}
	}
	lines := []string{fmt.Sprintf("Led by %s on %s, last heard at %s UTC by its clock.", h.Operator, h.Host, h.Renewed.UTC().Format(time.DateTime))}
	switch {
	case h.To != "":
		return append(lines, fmt.Sprintf("It was handed over to %s.", h.To))
	case h.Process == "":
		return append(lines, "No csu is at work on it: the last one stopped properly.")
	case r.o.Takeover != nil && r.o.Takeover.Force:
		return append(lines, "Its csu may still be at work on it: --force skips the check.")
	}
	return append(lines, fmt.Sprintf("There was no sign of its csu for %s. It may have crashed, hang, or be at work without the cluster: call %s.", plan.Duration(r.o.Timing.Dead), h.Operator))
}

// progress returns lines that say how far the run has come, according to the ledger's
// copy of its journal.
func progress(seen *sighting, s *state.State) []string {
	head, holder := seen.ledger.Head, seen.ledger.Holder
	reached := fmt.Sprintf("The ledger has record %d, since %s UTC", head.Seq, head.Time.UTC().Format(time.DateTime))
	if holder != nil && holder.Process != "" { // it has not made its last write
		reached += "; the last minute may be missing"
	}
	lines := []string{reached + ".", report.Progress(s)}
	if down := report.DownText(s); down != "" {
		lines = append(lines, down+".")
	}
	return lines
}

// requireYes asks a question before there is a journal to record the answer in, and
// refuses unless the answer is yes.
func (r *run) requireYes(q operator.Question, refused string) error {
	a, err := r.askNow(q)
	switch {
	case err != nil:
		return err
	case a.Choice != operator.Yes:
		return refuse("", "%s", refused)
	}
	return nil
}

// succeed asks the operator what nothing here shows: that the former csu is stopped, if
// it did not stop properly, and whether a csu has continued without the cluster.
func (r *run) succeed(seen *sighting) error {
	if seen.former != nil {
		r.settle = true
		if err := r.formerStopped(seen.former); err != nil {
			return err
		}
	}
	if seen.former == nil && r.o.Takeover == nil {
		return nil
	}
	q := operator.Question{
		Topic: operator.FormerOutage, Title: "Has another csu worked without the cluster?",
		Text:    "Has another csu carried out steps of this run while the cluster did not answer? If you do not know, answer yes: csu then checks what became of every unfinished step before it starts anything.",
		Choices: []operator.Choice{operator.Yes, operator.No},
	}
	a, err := r.askNow(q)
	if err != nil {
		return err
	}
	r.doubted = a.Choice == operator.Yes
	return nil
}

// formerStopped asks the operator to confirm that a csu without a sign of life is
// stopped, or that it reaches the ledger and so learns that it was displaced.
func (r *run) formerStopped(h *ledger.Holder) error {
	q := operator.Question{
		Topic: operator.Former, Title: "Is the other csu stopped?",
		Text: fmt.Sprintf("Confirm that the csu of %s on %s is stopped: its process has ended, or its machine is off."+
			" If it is not, the ledger keeps it from starting anything, but only while it reaches the cluster.", h.Operator, h.Host),
		Choices: []operator.Choice{operator.Yes, operator.No},
	}
	if r.o.Takeover != nil && r.o.Takeover.Force {
		q.Title = "Take the run from a csu that may be at work?"
		q.Text = fmt.Sprintf("The csu of %s on %s starts nothing more as soon as the ledger is yours, but it may still be sending something at this moment."+
			" csu waits until that has arrived. Answer yes only if that csu reaches the cluster, or is stopped.", h.Operator, h.Host)
	}
	var refused *RefusedError
	err := r.requireYes(q, "the other csu must be stopped first")
	if errors.As(err, &refused) {
		refused.Remedy = fmt.Sprintf("ask %s to stop it, or switch off its machine, then run this command again", h.Operator)
	}
	return err
}

// place stores the copy of the journal where the run's journal belongs. An existing
// journal that contains the whole copy is used as it is; any other one is renamed. What
// it records beyond the copy may have been done all the same.
func (r *run) place(lines []byte, head ledger.Head) error {
	ours := map[int]string{} // hashes, by number
	err := journal.Lines("the cluster's copy", bytes.NewReader(lines), func(rec *journal.Record) error {
		ours[rec.Seq] = cmp.Or(rec.Original, rec.Hash)
		return nil
	})
	if err != nil {
		return err
	}
	beside := false // it has intents that the copy does not have
	there := state.New(r.o.Plan).Take(r.o.Digest)
	j, torn, err := journal.Open(r.o.FS, r.o.Journal, func(rec *journal.Record) error {
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
		return journal.Restore(r.o.FS, r.o.Journal, lines)
	case err == nil:
		has := j.Has(head.Head)
		if err := j.Close(); err != nil {
			return err
		}
		if torn != "" {
			r.notice("the last line of the local journal was incomplete; it is saved in %q", torn)
		}
		if has {
			return nil
		}
	case !errors.Is(err, journal.ErrEmpty):
		beside = true // it cannot be read
	}
	// The whole copy is on the disk before the local journal is moved.
	fresh := r.o.Journal + ".takeover-" + r.process
	if err := journal.Restore(r.o.FS, fresh, lines); err != nil {
		return err
	}
	if beside { // and so are its consequences
		r.doubted = true
		if err := r.doubtAll(fresh, head.Run); err != nil {
			return err
		}
	}
	aside, err := journal.SetAside(r.o.FS, r.o.Journal)
	if err != nil {
		return err
	}
	if err := r.o.FS.Rename(fresh, r.o.Journal); err != nil {
		return fmt.Errorf("take over run: %w; the journal is in %q", err, fresh)
	}
	how := "is out of date"
	if beside {
		how = "cannot be read, or has steps that the run's journal does not have, so csu checks every unfinished step"
	}
	r.notice("the local journal %s; it was renamed to %q", how, aside)
	return r.o.FS.SyncDir(filepath.Dir(r.o.Journal))
}

// doubtAll records in a journal that its run is resumed with every unfinished step in
// doubt. So the doubt survives if csu crashes before it records its own resume.
func (r *run) doubtAll(name, run string) error {
	j, _, err := journal.Open(r.o.FS, name, func(*journal.Record) error { return nil })
	if err != nil {
		return err
	}
	_, err = j.Append(journal.Record{Event: journal.Resumed, Time: r.o.Clock.Now(), Run: r.self(run), Text: "the local journal differed from the run's"})
	return errors.Join(err, j.Close())
}
