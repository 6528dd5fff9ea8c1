package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// noRun returns the refusal of a command that needs a run, if there is none here; it is for
// when csu cannot ask the site's ledger. what is "resume" or "abort"; with "" it returns nil.
func (l *loaded) noRun(what string) error {
	if what == "" {
		return nil
	}
	s, err := state.Read(journal.Disk, l.journal, l.plan, l.digest)
	if err == nil && s.Records > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fail(exitRefused, "see whether it runs elsewhere with csu status PLAN; begin it with csu exec PLAN",
		"there is no run to %s: the journal %q does not exist or has no record", what, l.journal)
}

// discard removes the journal of a run of which nothing has begun, and reports whether it
// did. It holds the journal's lock, so that no other csu is using it.
func (l *loaded) discard() bool {
	s := state.New(l.plan)
	j, _, err := journal.Open(journal.Disk, l.journal, func(r *journal.Record) error {
		if err := s.Check(r); err != nil {
			return err
		}
		s.Apply(r)
		return nil
	})
	if err != nil {
		return false
	}
	removed := !s.Begun() && os.Remove(l.journal) == nil
	_ = j.Close() // nothing was written
	return removed
}

// againstToday returns what speaks against beginning a plan's run at a time, one reason a
// line: its date is another one, or deployments do not begin on this day (P54). Days are
// the site's.
func againstToday(p *plan.Plan, now time.Time) string {
	now = now.UTC()
	if zone := zoneOf(p); zone != nil {
		now = now.In(zone)
	}
	today := now.Format(time.DateOnly)
	var reasons []string
	if date := p.Upgrade.Date; date != today {
		when := "is still to come"
		if date < today {
			when = "has passed"
		}
		reasons = append(reasons, fmt.Sprintf("This plan is for %s, which %s: at %s, today is %s, %s.", date, when, p.Site, now.Weekday(), today))
	}
	begun := *p
	begun.Upgrade.Date = today
	for _, w := range verify.Warnings(&begun) {
		reasons = append(reasons, fmt.Sprintf("%s (%s).", w.Reason, w.Number))
	}
	return strings.Join(reasons, "\n")
}
