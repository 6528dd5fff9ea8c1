package executor

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
)

// TestUnlock: an operator sees how far the run has come, and takes the site from it only
// if they agree.
func TestUnlock(t *testing.T) {
	for name, c := range map[string]struct {
		died   bool
		answer map[operator.Topic]operator.Choice
		done   bool
		asked  []operator.Topic
	}{
		"stopped":                      {false, nil, true, []operator.Topic{operator.Unlocking}},
		"not wanted":                   {false, map[operator.Topic]operator.Choice{operator.Unlocking: operator.No}, false, []operator.Topic{operator.Unlocking}},
		"no sign of its csu":           {true, nil, true, []operator.Topic{operator.Unlocking, operator.Former}},
		"its csu may not have stopped": {true, map[operator.Topic]operator.Choice{operator.Former: operator.No}, false, []operator.Topic{operator.Unlocking, operator.Former}},
	} {
		t.Run(name, func(t *testing.T) {
			b := twoStages(t)
			b.leave(c.died)
			bob := b.colleague()
			bob.person.answer = func(q operator.Question) (operator.Answer, error) {
				if choice, ok := c.answer[q.Topic]; ok {
					return operator.Answer{Choice: choice, By: "Bob"}, nil
				}
				return yes(q)
			}
			o := bob.options()
			o.OperatorName = "Bob"
			holder, err := Unlock(t.Context(), o, "Ana is ill")
			if holder == nil || (err == nil) != c.done || err != nil && exit.CodeOf(err) != exit.Refused {
				t.Fatalf("Unlock = %+v, %v", holder, err)
			}
			var asked []operator.Topic
			for _, q := range bob.person.asked {
				asked = append(asked, q.Topic)
			}
			if len(asked) != len(c.asked) || asked[0] != c.asked[0] {
				t.Errorf("asked %v, want %v", asked, c.asked)
			}
			reading := bob.person.asked[0].Reading
			for _, want := range []string{"Led by Ana", "2 of 5 steps are finished", "Still to run: final/f"} {
				if !strings.Contains(reading, want) {
					t.Errorf("shown: %s\nwithout %q", reading, want)
				}
			}
			now := b.ledger.Now()
			ended := now.Ended(o.Digest)
			if (ended != nil) != c.done || ended != nil && !strings.Contains(ended.Text(), `"Bob" took the site from run `) {
				t.Fatalf("ended: %+v", ended)
			}
			if !c.done {
				return
			}
			// Who takes it over is told who unlocked it, and why.
			cleo := b.colleague()
			cleo.person.answer = choose(operator.FormerOutage, operator.No)
			cleo.must(Completed, takingOver(false))
			if q := cleo.person.questions(operator.TakingOver); len(q) != 1 || !strings.Contains(q[0].Reading, "Ana is ill") {
				t.Errorf("shown: %+v", q)
			}
		})
	}
}

// TestUnlockMeanwhile: what happens to the run while unlock watches, or while its
// operator reads, counts.
func TestUnlockMeanwhile(t *testing.T) {
	comesBack := func(l *ledger.Ledger) { l.Holder.Renewed = l.Holder.Renewed.Add(time.Minute) }
	for name, c := range map[string]struct {
		while  string
		change func(*ledger.Ledger)
	}{
		"its csu comes back":    {"asked", comesBack},
		"its csu is heard":      {"watched", comesBack},
		"its csu has forgotten": {"watched", func(l *ledger.Ledger) { l.Holder, l.Head, l.Copy = nil, ledger.Head{}, nil }},
		"its csu has finished": {"watched", func(l *ledger.Ledger) {
			l.End(ledger.Finished{Digest: l.Holder.Digest, Run: l.Holder.Run, Outcome: ledger.Complete})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := twoStages(t)
			b.died("two/c")
			bob := b.colleague()
			o := bob.options()
			once := sync.OnceFunc(func() { bob.ledger.Edit(c.change) })
			hurried := o.Timing.Sleep
			o.Timing.Sleep = func(ctx context.Context, d time.Duration) error {
				if c.while == "watched" {
					once()
				}
				return hurried(ctx, d)
			}
			bob.person.answer = func(q operator.Question) (operator.Answer, error) {
				once()
				return yes(q)
			}
			if _, err := Unlock(t.Context(), o, "Ana is ill"); exit.CodeOf(err) != exit.Refused {
				t.Errorf("Unlock = %v", err)
			}
			now := bob.ledger.Now()
			if ended := now.Ended(o.Digest); ended != nil && ended.Outcome == ledger.Unlocked {
				t.Error("the site was taken from its run")
			}
		})
	}
}

// TestUnlockOfAnotherPlan: what is known of a run without its plan is shown.
func TestUnlockOfAnotherPlan(t *testing.T) {
	b := twoStages(t)
	b.must(Reached, func(o *Options) { o.Until = "one" })
	c := b.colleague()
	o := c.options()
	o.Digest = strings.Repeat("cd", 32)
	if _, err := Unlock(t.Context(), o, "it is never resumed"); err != nil {
		t.Fatal(err)
	}
	if reading := c.person.asked[0].Reading; !strings.Contains(reading, `It has reached record`) || !strings.Contains(reading, `stage "two"`) {
		t.Errorf("shown: %s", reading)
	}
}

// TestHandOverOfNothing: a run of which nothing was begun is not handed over: the
// site is free.
func TestHandOverOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoStages(t)
		handed, over := make(chan error, 1), make(chan struct{})
		asking := b.colleague().options()
		asking.Timing.Sleep = func(context.Context, time.Duration) error { <-over; return nil }
		o := b.options()
		o.Operator = thinking(func() {
			asked := make(chan struct{})
			go func() {
				handed <- HandOver(t.Context(), asking, "Bob", func(ledger.Holder) { close(asked) })
			}()
			<-asked
			synctest.Wait()
			b.time.Advance(ledger.Real().Renew, nil) // csu sees it with its next renewal
		})
		b.valid()
		res, err := Run(t.Context(), o)
		close(over)
		if err != nil || res.End != HandedOver || res.State.Begun() {
			t.Fatalf("Run = %q, %v", res.End, err)
		}
		if err := <-handed; !errors.Is(err, custody.ErrNothingBegun) {
			t.Errorf("HandOver = %v", err)
		}
		if l := b.ledger.Now(); l.Holder != nil || l.Head.Run != "" {
			t.Errorf("the ledger: %+v", l)
		}
		c := b.colleague()
		c.must(Completed)
	})
}

// thinking is an operator who does something instead of answering.
type thinking func()

func (f thinking) Ask(ctx context.Context, _ operator.Question) (operator.Answer, error) {
	f()
	<-ctx.Done()
	return operator.Answer{}, ctx.Err()
}

func (thinking) Tell(operator.Event) {}

// TestDisplacedAfterAnOutage: an operator who continued without the ledger, and is
// displaced, learns what only their journal records.
func TestDisplacedAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoStages(t)
		var sent []error
		b.sending("one/b", func() { time.Sleep(time.Second); b.away(true); b.time.Advance(10*time.Minute, nil) }, &sent)
		b.person.answer = choose(operator.Outage, operator.Yes)
		b.world.script["two/c"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			b.away(false)
			b.ledger.Edit(func(l *ledger.Ledger) {
				l.Epoch++
				l.Holder.Process, l.Holder.Operator = "another", "Bob"
			})
			synctest.Wait()
			b.time.Advance(time.Minute, nil) // a renewal
			<-ctx.Done()
			return action.Found(action.Unknown, "cut short")
		}}
		_, err := b.run()
		if exit.CodeOf(err) != exit.Refused {
			t.Fatalf("Run = %v", err)
		}
		for _, want := range []string{`tell "Bob"`, "one/b (done)", "two/c (started)", "keep this journal"} {
			if !strings.Contains(exit.HintOf(err), want) {
				t.Errorf("hint: %s\nwithout %q", exit.HintOf(err), want)
			}
		}
		if strings.Contains(exit.HintOf(err), "one/a") {
			t.Errorf("hint: %s", exit.HintOf(err))
		}
	})
}

// TestAbortOfARunThatWasHandedOver says to whom.
func TestAbortOfARunThatWasHandedOver(t *testing.T) {
	b := twoStages(t)
	b.must(Reached, func(o *Options) { o.Until = "one" })
	if err := HandOver(t.Context(), b.options(), "Cleo", nil); err != nil {
		t.Fatal(err)
	}
	o := b.options()
	o.Confirm = true
	b.person.answer = choose(operator.Aborting, operator.No)
	if res, err := Abort(t.Context(), o); err != nil || res.End != NotAborted {
		t.Fatalf("Abort = %q, %v", res.End, err)
	}
	if q := b.person.questions(operator.Aborting); len(q) != 1 || !strings.Contains(q[0].Reading, "handed over to Cleo") {
		t.Errorf("shown: %+v", q)
	}
}

// TestBegunWhereItIsStale: without --resume, too, a journal that is out of date is
// named as such.
func TestBegunWhereItIsStale(t *testing.T) {
	b := twoStages(t)
	b.must(Reached, func(o *Options) { o.Until = "one" })
	stale := b.content()
	b.must(Reached, resumed, func(o *Options) { o.Until = "two" })
	b.disk.Put("j", []byte(stale))
	var behind *ledger.BehindError
	if _, err := b.run(); !errors.As(err, &behind) {
		t.Errorf("Run = %v", err)
	}
}
