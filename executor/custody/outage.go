package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// outage is what the operator has decided about the ledger while the cluster does not
// answer. Outages are numbered as by [ledger.Keeper.Outage].
type outage struct {
	closed    bool      // the operator did not let the run continue without the ledger
	explained int       // the outage that was explained to the operator
	agreed    int       // the outage in which the run continues without the ledger; 0 for none
	withheld  time.Time // since when the ledger lacks what was done; zero if it has everything
}

// Closed reports whether the operator did not let the run continue without the ledger.
func (c *Custodian) Closed() bool { return c.outage.closed }

// without asks, once in each outage, whether the run may continue without the ledger. A
// recovery may without being asked, since the cluster may be what is being recovered. It
// returns false if the cluster answers again.
func (c *Custodian) without(ctx context.Context) (agreed bool, err error) {
	away, n := c.keeper.Outage()
	if away == nil {
		return false, nil
	}
	// A resumed journal may be out of date, which only the ledger shows.
	newest := c.keeper.Epoch() > 0 || c.run.First
	text := fmt.Sprintf("the run continues without the site's ledger, as a recovery may: make sure that no other csu is at work on the site. %v", away)
	recovery := false
	over := !c.run.Do(func() {
		agreed = c.outage.agreed == n
		if recovery = !agreed && newest && c.run.Plan.Type == plan.Recovery && !c.run.State.Aborting; !recovery {
			return
		}
		if _, err = c.run.Record(journal.Record{Event: journal.Guarded, Text: text}); err == nil {
			c.continueWithout(n)
			agreed = true
		}
	})
	switch {
	case over:
		return false, owner.ErrOver
	case recovery && agreed:
		c.run.Notice("%s", text)
	}
	if agreed || err != nil {
		return agreed, err
	}
	text = "Continue without the site's ledger? Until the cluster answers again, nothing keeps another csu from working on the site, and a colleague who takes over cannot see what was done." +
		" Answer yes only if you know that no other csu is at work"
	if !newest {
		text += ", and that no other csu has continued this run from another copy of its journal"
	}
	a, err := c.run.AskIf(ctx, func(ctx context.Context, late bool) (operator.Question, bool) {
		if late {
			_ = c.keeper.Pass(ctx) // the operator need not wait for the next renewal; Outage has the result
		}
		now, again := c.keeper.Outage()
		wanted, reading := now != nil && again == n, away.Error() // whatever its next error is
		if c.run.Do(func() { wanted = wanted && c.outage.agreed != n }); !wanted {
			reading = "the cluster answers again"
		}
		return operator.Question{
			Topic: operator.Outage, Title: "The cluster does not answer",
			Text:    text + ".",
			Reading: reading, Choices: []operator.Choice{operator.Yes, operator.Stop},
		}, wanted
	})
	switch {
	case errors.Is(err, owner.ErrUnwanted):
		return false, nil
	case err != nil:
		return false, err
	case a.Choice != operator.Yes:
		return false, away
	}
	return c.run.Do(func() { c.continueWithout(n) }), nil
}

// continueWithout lets the run continue without the ledger in this outage.
func (c *Custodian) continueWithout(outage int) {
	c.outage.agreed = outage
	if away, _ := c.keeper.Outage(); away != nil && c.outage.withheld.IsZero() {
		c.outage.withheld = away.Since
	}
}

// stillAway explains the outage to the operator when the first renewal fails, and reports
// at each later one that it continues.
func (c *Custodian) stillAway(away *ledger.AwayError) {
	_, n := c.keeper.Outage()
	var agreed, explained bool
	c.run.Do(func() {
		agreed, explained = c.outage.agreed == n, c.outage.explained == n
		c.outage.explained = n
	})
	since := away.Since.UTC().Format("15:04:05")
	if explained {
		how := ""
		if agreed {
			how = "; the run continues WITHOUT THE SITE'S LEDGER"
		}
		c.run.Notice("the cluster still does not answer (since %s)%s", since, how)
		return
	}
	how := "nothing is sent until it answers or you agree to continue without it"
	if agreed {
		how = "the run continues WITHOUT THE SITE'S LEDGER: make sure that no other csu is at work on the site"
	}
	c.run.Notice("the cluster has not answered since %s; %s: %v", since, how, away.Err)
}

func (c *Custodian) back(epoch int) {
	text := fmt.Sprintf("the cluster answers again, and the site's ledger is still this run's (epoch %d)", epoch)
	c.run.Notice("%s", text)
	c.run.Do(func() {
		c.outage.withheld = time.Time{} // the ledger has everything now
		if c.run.State.Ended == "" {
			_, _ = c.run.Record(journal.Record{Event: journal.Guarded, Text: text}) // a journal that fails stops the run by itself
		}
	})
}

// displaced ends a run that another process has taken over. It does not wait for running
// steps, since nothing more may be done here.
func (c *Custodian) displaced(d *ledger.DisplacedError) {
	c.run.Do(func() { c.stopDisplaced(d) })
	c.run.Cancel(d)
}

func (c *Custodian) stopDisplaced(d *ledger.DisplacedError) {
	hint, who := exit.HintOf(d), "the people in the site's channel"
	if d.Holder != nil {
		who = fmt.Sprintf("%q", d.Holder.Operator)
	}
	switch did := c.didAlone(); {
	case did != "":
		hint = fmt.Sprintf("tell %s what this csu did without the ledger: %s; keep this journal, the only one that records it", who, did)
	case d.Holder != nil && d.Holder.Digest != c.o.Digest:
		hint = (&ledger.HeldError{Holder: *d.Holder}).Hint()
	case d.Err == nil && d.Holder != nil:
		hint = fmt.Sprintf("ask %s; to have the run handed back: csu handover PLAN --to %q, then csu takeover PLAN --reason TEXT", who, c.run.OperatorName)
	}
	hint = cmp.Or(hint, "ask in the site's channel who did this, then resume with csu exec PLAN --resume")
	c.run.Stop(owner.Halt{End: owner.Halted, Err: exit.RefuseBy(hint, d)})
}

// didAlone names the steps that this csu has begun or finished while the run continued
// without the ledger; "" for none.
func (c *Custodian) didAlone() string {
	if c.outage.withheld.IsZero() {
		return ""
	}
	var did []string
	for step := range c.run.Plan.AllSteps() {
		if st := c.run.State.Steps[step.ID]; st.Attempt > 0 && !st.Since.Before(c.outage.withheld) {
			did = append(did, fmt.Sprintf("%s (%s)", step.ID, st.Phase))
		}
	}
	if did == nil {
		return ""
	}
	return fmt.Sprintf("since %s UTC %s", c.outage.withheld.UTC().Format(time.TimeOnly), strings.Join(did, ", "))
}
