package ledger

import (
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
)

// Claim describes a process that wants the ledger.
type Claim struct {
	Run    string // id
	Plan   string // name of the plan's file, for people
	Digest string // of the plan
	// Has reports whether the process's journal has a record. It is nil if the
	// process has no journal and begins a run.
	Has func(journal.Head) bool
	Seq int // the journal's last record
	// Begun says that part of the plan has begun, as far as the journal knows.
	Begun bool
	// Alone says that the operator has confirmed that no one else has continued
	// this run, when the ledger has no record of it.
	Alone bool
}

// HeldError reports that another run has the site.
type HeldError struct{ Holder Holder }

func (e *HeldError) Error() string {
	h := e.Holder
	return fmt.Sprintf("the site belongs to run %s of plan %q (digest %.12s…), led by %q on %s since %s",
		h.Run, h.Plan, h.Digest, h.Operator, h.Host, clock(h.Since))
}

// Hint says what the operator can do.
func (e *HeldError) Hint() string {
	h := e.Holder
	return fmt.Sprintf("ask %q; run %s must be completed or aborted first: csu exec --resume, csu takeover or csu abort of plan %q; csu unlock takes the site from a run that will never be resumed", h.Operator, h.Run, h.Plan)
}

// EndedError reports that a plan was carried out, aborted or unlocked before.
type EndedError struct{ Finished Finished }

func (e *EndedError) Error() string {
	f := e.Finished
	switch f.Outcome {
	case Complete:
		return fmt.Sprintf("this plan has already been carried out: run %s of %q completed at %s", f.Run, f.Operator, clock(f.Time))
	case Aborted:
		return fmt.Sprintf("this plan's run %s was aborted by %q at %s: the plan cannot be run again", f.Run, f.Operator, clock(f.Time))
	}
	return fmt.Sprintf("this plan was begun before: at record %d, %s", f.Seq, f.Text())
}

// Text says how a run ended, by whom, when and why.
func (f *Finished) Text() string {
	if f.Outcome != Unlocked {
		return fmt.Sprintf("run %s of %q ended at %s: %s", f.Run, f.Operator, clock(f.Time), f.Outcome)
	}
	text := fmt.Sprintf("%q took the site from run %s with csu unlock at %s", f.Operator, f.Run, clock(f.Time))
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	return text
}

// Hint says what the operator can do.
func (e *EndedError) Hint() string {
	if e.Finished.Outcome == Unlocked {
		return "resume that run with csu exec PLAN --resume where its journal is, or with csu takeover PLAN --reason TEXT; or raise attempt in upgrade.cue and compile a new plan"
	}
	return "to do the upgrade again, raise attempt in upgrade.cue and compile a new plan"
}

// ElsewhereError reports that a run of the plan is under way and that its journal is not here.
type ElsewhereError struct {
	Head   Head
	Holder Holder
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("this plan is already being carried out: run %s of %q on %s has reached %s, and its journal is not here",
		e.Holder.Run, e.Holder.Operator, e.Holder.Host, e.Head.place())
}

// Hint says what the operator can do.
func (e *ElsewhereError) Hint() string {
	return fmt.Sprintf("ask %q; if they cannot continue, resume from the cluster's copy with csu takeover PLAN --reason TEXT", e.Holder.Operator)
}

// BehindError reports that a run has continued with another copy of its
// journal.
type BehindError struct {
	Seq    int // of the journal here
	Head   Head
	Holder *Holder // nil if the run no longer has the site
}

func (e *BehindError) Error() string {
	who := ""
	if e.Holder != nil {
		who = fmt.Sprintf(" under %q on %s", e.Holder.Operator, e.Holder.Host)
	}
	if e.Seq < e.Head.Seq {
		return fmt.Sprintf("this journal is out of date: it ends at record %d, but run %s has continued%s to %s", e.Seq, e.Head.Run, who, e.Head.place())
	}
	return fmt.Sprintf("this journal has diverged: run %s has continued%s from another copy, to %s", e.Head.Run, who, e.Head.place())
}

// Hint says what the operator can do.
func (e *BehindError) Hint() string {
	return "resume from the cluster's copy with csu takeover PLAN --reason TEXT; this journal is kept under another name"
}

// UnknownError reports that the ledger has no record of a run that was begun.
type UnknownError struct{ Run string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the site's ledger has no record of run %s: the ledger was recreated, or many runs have ended since", e.Run)
}

// place says how far the run has got.
func (h Head) place() string {
	at := fmt.Sprintf("record %d", h.Seq)
	if h.Stage != "" {
		at += fmt.Sprintf(", stage %q", h.Stage)
	}
	return at + ", at " + clock(h.Time)
}

func clock(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// Check reports whether the ledger lets the process proceed, whether or not
// another one is still at work. A [*HeldError], [*EndedError],
// [*ElsewhereError], [*BehindError] or [*UnknownError] says why not.
func (c *Claim) Check(l *Ledger) error {
	h, ended := l.Holder, l.Ended(c.Digest)
	switch {
	case ended != nil && (c.Has == nil || ended.Run != c.Run || ended.Outcome != Unlocked):
		return &EndedError{*ended}
	case h != nil && h.Digest == c.Digest && c.Has == nil:
		return &ElsewhereError{l.Head, *h}
	case h != nil && h.Run != c.Run:
		return &HeldError{*h}
	case c.Has == nil:
		return nil
	case ended != nil && !c.Has(ended.Head):
		return &BehindError{c.Seq, Head{Run: ended.Run, Head: ended.Head, Time: ended.Time}, nil}
	case l.Head.Run == c.Run && !c.Has(l.Head.Head):
		return &BehindError{c.Seq, l.Head, h}
	case l.Head.Run != c.Run && ended == nil && c.Begun && !c.Alone:
		return &UnknownError{c.Run}
	}
	return nil
}
