package custody

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/state"
)

// Unlock takes the site from the run that has it, and returns that run's holder; nil if
// no run had the site. It first shows the operator how far the run has come, and asks.
// It refuses if a csu is at work on the run. If the run's journal is here, it records
// the reason there first.
func (c *Custodian) Unlock(reason string) (*ledger.Holder, error) {
	if err := c.mustLook(); err != nil {
		return nil, err
	}
	holder := c.seen.ledger.Holder
	if holder == nil {
		return nil, nil
	}
	if err := c.openOwn(); err != nil {
		return holder, c.Shut(err)
	}
	if err := c.unheld(false); err != nil {
		return holder, c.Shut(err)
	}
	changed := func() error {
		return exit.Refuse("look at it with csu status PLAN, then run the command again", "the site's ledger has changed meanwhile")
	}
	if holder = c.seen.ledger.Holder; holder == nil {
		return nil, c.Shut(changed())
	}
	if err := c.confirmUnlock(); err != nil {
		return holder, c.Shut(err)
	}
	if c.run.Journal != nil && c.run.State.Run.ID == holder.Run && c.run.State.Ended == "" {
		text := fmt.Sprintf("%s takes the site from this run: %s", c.run.OperatorName, reason)
		if _, err := c.run.Record(journal.Record{Event: journal.Guarded, Text: text}); err != nil {
			return holder, c.Shut(err)
		}
	}
	err := c.update(func(l *ledger.Ledger) error {
		h := l.Holder
		if h == nil || h.Run != holder.Run || h.Process != holder.Process || h.Process != "" && !h.Renewed.Equal(holder.Renewed) {
			return changed()
		}
		l.End(ledger.Finished{
			Digest: h.Digest, Run: h.Run, Plan: h.Plan, Outcome: ledger.Unlocked, Operator: c.run.OperatorName,
			Time: c.run.Clock.Now().UTC().Round(0), Reason: reason, Head: l.Head.Head,
		})
		return nil
	})
	return holder, c.Shut(err)
}

// confirmUnlock shows whose run it is and what stays undone, and asks.
func (c *Custodian) confirmUnlock() error {
	h, head := c.seen.ledger.Holder, c.seen.ledger.Head
	lines := c.leader()
	var s *state.State
	copied, _, err := journal.Unpack(c.seen.ledger.Copy)
	if err == nil {
		s, err = state.Of(c.run.Plan, c.o.Digest, copied)
	}
	if err != nil { // it is of another plan, or has no copy
		lines = append(lines, fmt.Sprintf("It has reached record %d, stage %q.", head.Seq, head.Stage))
	} else {
		lines = append(lines, c.progress(s)...)
		for _, st := range s.Owed() {
			lines = append(lines, fmt.Sprintf("Still to run: %s, %s.", st.Step.ID, st.Step.Title))
		}
	}
	lines = append(lines, "All of that stays as it is. It does not include what a csu may have done without the cluster.")
	err = c.run.RequireYes(operator.Question{
		Topic: operator.Unlocking, Title: fmt.Sprintf("Take %s from its run?", c.run.Plan.Site),
		Text:    fmt.Sprintf("Run %s of plan %q. Unlock a site only if its run will never be resumed: csu abort aborts a run properly.", h.Run, h.Plan),
		Reading: strings.Join(lines, "\n"),
	}, "", "the site was not unlocked")
	if err != nil || c.seen.former == nil {
		return err
	}
	return c.formerStopped(c.seen.former)
}
