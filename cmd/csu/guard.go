package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// A guard is what a command that talks to the site requires of its plan before csu
// reads any secret: that the plan follows the rules and is what the sources give.
type guard struct {
	merged bool // the plan must also be in origin's default branch
	// begun says that the command only continues or ends a run that has begun. Then a
	// failure is a warning: nobody may be locked out of a half-done night because csu or
	// the repository has moved on since. That the plan is still the same one is for the
	// journal.
	begun      bool
	unreviewed string // the reason to carry out a plan that was not reviewed; "" for none
	canForce   bool   // the command has the flag --unreviewed
	approvals  bool   // the plan must also have the approvals that its site asks for
	emergency  emergency
	// readsOnly says that the command only reads the site's ledger, with the kubeconfig's
	// own address and credentials. It requires nothing of the plan.
	readsOnly bool
}

// How the journal records that a guard did not stop a run; csu verify prints those.
const (
	nevertheless = "; it is carried out nevertheless: "
	continues    = "; the run has begun, so it continues"
)

// The guards of the commands without --unreviewed.
var (
	beforeMerge = guard{}
	afterMerge  = guard{merged: true}
	ofRehearsal = guard{approvals: true}
	ofBegunRun  = guard{merged: true, begun: true}
	ofStatus    = guard{readsOnly: true}
)

// apply applies the guard to a plan, whose bytes are data.
func (g guard) apply(c *console, l *loaded, data []byte) error {
	if g.readsOnly {
		return nil
	}
	if err := g.unlessBegun(c, l, c.followsRules(l)); err != nil {
		return err
	}
	var forced error
	if l.siteMap == nil { // a rehearsal may come before the review
		var err error
		if forced, err = g.review(c, l, data); err != nil {
			return err
		}
	}
	if err := g.approved(c, l, data); err != nil {
		return err
	}
	if forced != nil {
		c.difference(forced)
		c.warn(forced, "the plan runs nevertheless: "+g.unreviewed)
	}
	return nil
}

// review checks that the plan was reviewed. It returns in forced what is wrong if the
// operator wants the plan to run nevertheless.
func (g guard) review(c *console, l *loaded, data []byte) (forced, err error) {
	found, err := c.reviewed(l, data, g.merged)
	if err == nil {
		l.reviewed = append(l.reviewed, found)
		return nil, nil
	}
	if g.unreviewed == "" {
		return nil, g.unlessBegun(c, l, err)
	}
	l.reviewed = append(l.reviewed, fmt.Sprintf("%v%s%s", err, nevertheless, g.unreviewed))
	return err, nil
}

// unlessBegun returns the error of a check, or warns of it if a run has begun.
func (g guard) unlessBegun(c *console, l *loaded, err error) error {
	if err == nil {
		return nil
	}
	begun := g.begun
	if !begun {
		s, unread := state.Read(journal.Disk, l.journal, l.plan, l.digest)
		if unread != nil && !errors.Is(unread, fs.ErrNotExist) {
			return unread
		}
		// A rehearsal's journal beside the plan does not count for a real run.
		begun = unread == nil && s.Begun() && (s.Run.SiteMap != "") == (l.siteMap != nil)
	}
	if begun {
		text := err.Error() + continues
		if slices.Contains(l.reviewed, text) {
			return nil // the review and the approvals have the same reason
		}
		l.reviewed = append(l.reviewed, text)
		c.warn(err, "this does not stop a run that has begun")
		return nil
	}
	c.difference(err)
	if g.canForce && exit.CodeOf(err) == exit.Refused && !errors.Is(err, errRules) && !errors.Is(err, errNoGit) {
		return fail(exitRefused, exit.HintOf(err)+"; to carry the plan out all the same, give --unreviewed REASON", "%w", err)
	}
	return err
}

// difference prints how the plan differs from what its sources give, if that is the
// error.
func (c *console) difference(err error) {
	var d *differenceError
	if errors.As(err, &d) {
		fmt.Fprintln(c.err, d.lines)
	}
}

// warn prints an error that does not stop the command, and why not.
func (c *console) warn(err error, why string) {
	fmt.Fprintln(c.err, fit(c.err, fmt.Sprintf("warning: %v; %s", err, why)))
}

var errRules = errors.New("breaks the rules")

// followsRules prints each place in which the plan breaks the rules.
func (c *console) followsRules(l *loaded) error {
	violations := verify.Check(l.plan)
	if len(violations) == 0 {
		return nil
	}
	for _, v := range violations {
		line(c.err, "%s: %s", l.file, v)
	}
	return fail(exitRefused, "correct the site's files or the request, then compile the plan again", "plan %q %w in %s", l.file, errRules, plan.Counted(len(violations), "place"))
}
