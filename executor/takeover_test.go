package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// colleague is another machine at the same site, with no journal.
func (b *bench) colleague() *bench {
	c := *b
	c.disk, c.person = &journaltest.Disk{}, &person{t: b.t}
	return &c
}

func takingOver(force bool) func(*Options) {
	return func(o *Options) {
		o.Resume, o.OperatorName, o.Takeover = true, "Bob", &custody.Takeover{Reason: "her laptop is lost", Force: force}
	}
}

// died ends the run as a crash would, within the step.
func (b *bench) died(id string, change ...func(*Options)) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	store := b.ledger
	b.world.script[id] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding {
		cancel()
		// Nothing more reaches the ledger.
		store.Fault = func(string) ledgertest.Outcome { return ledgertest.Away }
		return action.Found(action.Unknown, "killed")
	}}
	o := b.options()
	for _, c := range change {
		c(&o)
	}
	if _, err := Run(ctx, o); err != nil {
		b.t.Fatal(err)
	}
	b.away(false)
	delete(b.world.script, id)
	if h := b.ledger.Now().Holder; h == nil || h.Process == "" {
		b.t.Fatalf("the run did not die: %+v", h)
	}
}

// leave ends the run in its second stage by a crash, or properly before it.
func (b *bench) leave(died bool) {
	b.t.Helper()
	if died {
		b.died("two/c")
		return
	}
	b.must(Reached, func(o *Options) { o.Until = "one" })
}

func twoStages(t *testing.T) *bench {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h1"), "a")), stage("two", step("c", host("h1")), step("d", message("#x"), "c")))
	b.plan.Final = []plan.Step{undoing("f", "one/b")}
	return b
}

func TestTakeover(t *testing.T) {
	for _, force := range []bool{false, true} {
		b := twoStages(t)
		b.died("one/b")
		c := b.colleague()
		began := c.time.Now()
		c.person.answer = choose(operator.FormerOutage, operator.No)
		res := c.must(Completed, takingOver(force))
		if got := c.world.steps(); !slices.Equal(got, []string{"one/a", "one/b", "two/c", "two/d", "final/f"}) {
			t.Errorf("effects: %v", got)
		}
		l := c.ledger.Now()
		if f := l.Ended(c.options().Digest); l.Epoch != 2 || f == nil || f.Run != res.RunID || f.Operator != "Bob" {
			t.Errorf("the ledger: %+v", l)
		}
		waited, timing := c.time.Now()-began, ledger.Real()
		if !force && waited < timing.Dead || force && (waited < timing.Fresh+timing.Request || waited > timing.Dead) {
			t.Errorf("force %t: waited %s", force, waited)
		}
		var topics []operator.Topic
		for _, q := range c.person.asked[:3] {
			topics = append(topics, q.Topic)
		}
		if !slices.Equal(topics, []operator.Topic{operator.TakingOver, operator.Former, operator.FormerOutage}) {
			t.Errorf("asked about %q", topics)
		}
		if q := c.person.asked[0]; !strings.Contains(q.Reading, "Ana") || !strings.Contains(q.Reading, "1 of 5 steps") || !strings.Contains(q.Reading, "one/b") {
			t.Errorf("shown: %s", q.Reading)
		}
		// The journal here is whole, and says who took over and why.
		if text := resumedText(c); !strings.Contains(text, "Bob") || !strings.Contains(text, "her laptop is lost") {
			t.Errorf("recorded: %q", text)
		}
		// The first journal is of no use any more.
		var ended *ledger.EndedError
		if _, err := b.run(resumed); !errors.As(err, &ended) {
			t.Errorf("a resume of the first: %v", err)
		}
		if _, err := b.colleague().run(); !errors.As(err, &ended) {
			t.Errorf("a fresh clone: %v", err)
		}
	}
}

func resumedText(b *bench) string {
	for _, r := range slices.Backward(b.records()) {
		if r.Event == journal.Resumed {
			return r.Text
		}
	}
	return ""
}

// TestTakeoverRefused: nothing is claimed, nothing written.
func TestTakeoverRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before func(b *bench)
		answer func(operator.Question) (operator.Answer, error)
		want   string
	}{
		"nothing was begun":        {func(b *bench) { b.ledger = &ledgertest.Store{} }, nil, "no run of this plan"},
		"another plan":             {func(b *bench) { b.ledger.Edit(anothers) }, nil, "belongs to run another"},
		"no copy":                  {func(b *bench) { b.ledger.Edit(func(l *ledger.Ledger) { l.Copy = nil }) }, nil, "too large"},
		"a damaged copy":           {func(b *bench) { b.ledger.Edit(func(l *ledger.Ledger) { l.Copy = []byte("x") }) }, nil, "copy of the journal"},
		"a copy of another time":   {func(b *bench) { b.ledger.Edit(func(l *ledger.Ledger) { l.Head.Seq++ }) }, nil, "as the ledger says"},
		"the cluster is away":      {func(b *bench) { b.away(true) }, nil, "take over run: read the site's ledger: "},
		"not wanted":               {nil, choose(operator.TakingOver, operator.No), "not taken over"},
		"the other is not stopped": {nil, choose(operator.Former, operator.No), "must be stopped first"},
		"nobody to ask": {nil, func(q operator.Question) (operator.Answer, error) {
			return operator.Answer{}, &operator.UnattendedError{Question: q, Want: "a terminal"}
		}, "no terminal"},
	} {
		t.Run(name, func(t *testing.T) {
			b := twoStages(t)
			b.died("one/b")
			d := b.colleague()
			d.person.answer = c.answer
			if c.before != nil {
				c.before(d)
			}
			epoch, effects := d.ledger.Now().Epoch, len(d.world.steps())
			_, err := d.run(takingOver(false))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("takeover = %v, want %q", err, c.want)
			}
			if _, made := d.disk.Content("j"); made || d.ledger.Now().Epoch != epoch || len(d.world.steps()) != effects {
				t.Errorf("a journal was made: %t, epoch %d", made, d.ledger.Now().Epoch)
			}
		})
	}
	b := twoStages(t)
	if _, err := b.run(takingOver(false), func(o *Options) { o.Ledger = nil }); exit.CodeOf(err) != exit.Input {
		t.Errorf("without a cluster: %v", err)
	}
}

// TestTakeoverOfALiveRun: it is refused without force; with force the first csu
// starts nothing more, runs no final step, and says who has the run.
func TestTakeoverOfALiveRun(t *testing.T) {
	b := twoStages(t)
	begun, gone := make(chan struct{}), make(chan struct{})
	b.world.script["one/b"] = behaviour{
		perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			close(begun)
			<-gone
			if err := gate.Pass(ctx); err == nil {
				t.Error("the gate let it pass")
			}
			<-ctx.Done()
			return action.Found(action.Unknown, "cut short")
		},
		probe: func(context.Context, *action.Attempt) action.Finding { return action.Found(action.NotDone, "nothing") },
	}
	first := make(chan error)
	go func() {
		_, err := b.run()
		first <- err
	}()
	<-begun
	c := b.colleague()
	// A renewal of the first is heard while the second watches.
	o := c.options()
	hurried, looks := o.Timing.Sleep, 0
	watching := func(o *Options) {
		o.Timing.Sleep = func(ctx context.Context, d time.Duration) error {
			if looks++; looks == 3 {
				c.ledger.Edit(func(l *ledger.Ledger) { l.Holder.Renewed = l.Holder.Renewed.Add(time.Minute) })
			}
			return hurried(ctx, d)
		}
	}
	var live *ledger.LiveError
	if _, err := c.run(takingOver(false), watching); !errors.As(err, &live) || live.Holder.Operator != "Ana" {
		t.Errorf("takeover of a live run = %v", err)
	}
	// It renews, while the operator reads and answers.
	c.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Topic == operator.FormerOutage {
			c.ledger.Edit(func(l *ledger.Ledger) { l.Holder.Renewed = l.Holder.Renewed.Add(time.Minute) })
			return operator.Answer{Choice: operator.No, By: "Bob"}, nil
		}
		return yes(q)
	}
	c.person.hear = func(e operator.Event) {
		if e.Kind == operator.StageStarted { // the claim is behind it
			select {
			case <-gone:
			default:
				close(gone)
				err := <-first
				var displaced *ledger.DisplacedError
				if exit.CodeOf(err) != exit.Refused || !errors.As(err, &displaced) || displaced.Holder.Operator != "Bob" || !strings.Contains(exit.HintOf(err), "takeover") {
					t.Errorf("the first run: %v", err)
				}
				c.world.mu.Lock()
				delete(c.world.script, "one/b")
				c.world.mu.Unlock()
			}
		}
	}
	c.must(Completed, takingOver(true))
	if got := c.world.steps(); !slices.Equal(got, []string{"one/a", "one/b", "two/c", "two/d", "final/f"}) {
		t.Errorf("effects: %v", got)
	}
	var ended *ledger.EndedError
	if _, err := b.run(resumed); !errors.As(err, &ended) {
		t.Errorf("a resume of the first: %v", err)
	}
}

// TestInterruptWhileWatching: one interrupt ends every wait for another csu, and nothing
// is changed.
func TestInterruptWhileWatching(t *testing.T) {
	for what, wait := range map[string]func(c *bench, change ...func(*Options)) error{
		"a resume on another machine": func(c *bench, change ...func(*Options)) error {
			res, err := c.run(append(change, takingOver(false))...)
			if err == nil && res.End != Interrupted {
				t.Errorf("the run ended %q, want %q", res.End, Interrupted)
			}
			return err
		},
		"a handover": func(c *bench, change ...func(*Options)) error {
			o := c.options()
			for _, f := range change {
				f(&o)
			}
			return HandOver(t.Context(), o, "Bob", func(ledger.Holder) {})
		},
	} {
		t.Run(what, func(t *testing.T) {
			b := twoStages(t)
			b.died("one/b")
			c := b.colleague()
			stop := make(chan struct{})
			err := wait(c, func(o *Options) {
				o.Stop = stop
				o.Timing.Sleep = func(ctx context.Context, _ time.Duration) error {
					select {
					case <-stop:
					default:
						close(stop)
					}
					<-ctx.Done()
					return ctx.Err()
				}
			})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("err = %v", err)
			}
			if now := c.ledger.Now(); now.Holder == nil || now.Holder.Operator != "Ana" || now.Holder.To != "" {
				t.Errorf("the ledger's holder is %+v, want it as it was", now.Holder)
			}
		})
	}
}

// TestTakeoverOfARunThatGoesOn: what the csu from which a run is taken by force does
// while the operator reads and answers is taken over too. Where another csu has come
// meanwhile, nobody has agreed to that, and nothing is changed here.
func TestTakeoverOfARunThatGoesOn(t *testing.T) {
	for _, another := range []bool{false, true} {
		t.Run(fmt.Sprint("another csu ", another), func(t *testing.T) {
			b := twoStages(t)
			b.died("one/b")
			before := b.ledger.Now()
			b.must(Reached, resumed, func(o *Options) { o.Until = "one" })
			after := b.ledger.Now()
			after.Epoch, after.Holder = before.Epoch, before.Holder
			if another {
				h := *after.Holder
				h.Process = "another"
				after.Holder = &h
			}
			c := b.colleague()
			c.ledger.Edit(func(l *ledger.Ledger) { *l = before })
			c.disk.Put("j", []byte("what was here"))
			c.person.answer = func(q operator.Question) (operator.Answer, error) {
				if q.Topic == operator.FormerOutage {
					c.ledger.Edit(func(l *ledger.Ledger) { *l = after })
					return operator.Answer{Choice: operator.No, By: "Bob"}, nil
				}
				return yes(q)
			}
			sent := len(c.world.effects)
			if another {
				var live *ledger.LiveError
				if _, err := c.run(takingOver(true)); !errors.As(err, &live) || c.content() != "what was here" {
					t.Errorf("takeover = %v; the journal is %q", err, c.content())
				}
				return
			}
			c.must(Completed, takingOver(true))
			if got := c.world.steps()[sent:]; !slices.Equal(got, []string{"two/c", "two/d", "final/f"}) {
				t.Errorf("effects: %v", got)
			}
			if h := c.ledger.Now(); h.Epoch != before.Epoch+1 {
				t.Errorf("epoch %d", h.Epoch)
			}
		})
	}
}

// TestTakeoverOfALedgerThatIsLost: the ledger changes before the claim, and cannot be
// read again.
func TestTakeoverOfALedgerThatIsLost(t *testing.T) {
	for name, lose := range map[string]func(*bench){
		"away": func(c *bench) { c.away(true) },
		"new":  func(c *bench) { c.ledger.Broken = &ledger.FormatError{Reason: "its format is new"} },
	} {
		t.Run(name, func(t *testing.T) {
			b := twoStages(t)
			b.died("one/b")
			c := b.colleague()
			c.person.answer = func(q operator.Question) (operator.Answer, error) {
				if q.Topic == operator.FormerOutage {
					c.ledger.Edit(func(l *ledger.Ledger) { l.Holder.Renewed = l.Holder.Renewed.Add(time.Minute) })
					c.ledger.Conflict = func() { lose(c) }
					return operator.Answer{Choice: operator.No, By: "Bob"}, nil
				}
				return yes(q)
			}
			if _, err := c.run(takingOver(true)); err == nil {
				t.Error("taken over")
			}
			if _, there := c.disk.Content("j"); there || len(c.world.steps()) != 1 {
				t.Errorf("a journal is here: %t; effects %v", there, c.world.steps())
			}
		})
	}
}

// TestTakeoverThatFails: where the disk does not take the run, the ledger names a csu
// that did not end properly only if the next one has to doubt or to wait for something.
func TestTakeoverThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		died     bool
		doubted  operator.Choice
		properly bool
	}{
		"stopped":             {false, operator.No, true},
		"stopped and doubted": {false, operator.Yes, false},
		"died":                {true, operator.No, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := twoStages(t)
			b.leave(c.died)
			bob := b.colleague()
			bob.person.answer = func(q operator.Question) (operator.Answer, error) {
				if q.Topic == operator.FormerOutage {
					return operator.Answer{Choice: c.doubted, By: "Bob"}, nil
				}
				return yes(q)
			}
			bob.disk.Fault = func(o journaltest.Op) journaltest.Fault {
				if o.Kind == journaltest.Write {
					return journaltest.Fault{Err: errors.New("no space left")}
				}
				return journaltest.Fault{}
			}
			if _, err := bob.run(takingOver(true)); err == nil || !strings.Contains(err.Error(), "no space left") {
				t.Errorf("takeover = %v", err)
			}
			l := bob.ledger.Now()
			if properly := l.Holder.Process == ""; properly != c.properly || l.Holder.Operator != "Bob" || len(l.Copy) == 0 {
				t.Errorf("the ledger: %+v", l.Holder)
			}
			bob.disk.Fault = nil
			bob.person = &person{t: t, answer: choose(operator.FormerOutage, operator.No)}
			bob.must(Completed, takingOver(false))
			if asked := len(bob.person.questions(operator.Former)) == 1; asked == c.properly {
				t.Errorf("asked %v", bob.person.asked)
			}
		})
	}
}

// TestTakeoverOnTheSameMachine: a csu that writes the journal that is here is ended
// here, and not displaced.
func TestTakeoverOnTheSameMachine(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	j, _, err := journal.Open(b.disk, "j", func(*journal.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	before := b.ledger.Now()
	var locked *journal.LockedError
	if _, err := b.run(takingOver(true)); !errors.As(err, &locked) || b.ledger.Now().Epoch != before.Epoch {
		t.Errorf("takeover = %v, epoch %d", err, b.ledger.Now().Epoch)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b.person.answer = choose(operator.FormerOutage, operator.No)
	b.must(Completed, takingOver(true))
}

// TestDoubtedAndStopped: a run that was taken over in doubt counts as begun, whatever
// its copy says.
func TestDoubtedAndStopped(t *testing.T) {
	b := twoStages(t)
	b.person.answer = choose(operator.StageConsent, operator.No)
	if res, err := b.run(); err != nil || res.End != Halted {
		t.Fatal(res.End, err)
	}
	b.ledger.Edit(func(l *ledger.Ledger) { // its laptop died after all, with steps of its own
		c := b.copyHere()
		l.Head = ledger.Head{Run: b.state().Run.ID, Plan: "plan.json", Digest: b.options().Digest, Head: c.Head}
		l.Copy, l.Holder = c.Packed, &ledger.Holder{Run: l.Head.Run, Digest: l.Head.Digest, Operator: "Ana", Process: "gone"}
	})
	c := b.colleague()
	c.person.answer = choose(operator.StageConsent, operator.No)
	if res, err := c.run(takingOver(true)); err != nil || res.End != Halted || !res.State.Begun() {
		t.Fatal(res.End, err)
	}
	if l := c.ledger.Now(); l.Holder == nil || l.Head.Run == "" {
		t.Errorf("the run is forgotten: %+v", l)
	}
}

// copyHere is what the ledger would have of the journal here.
func (b *bench) copyHere() journal.Copy {
	b.t.Helper()
	j, _, err := journal.Open(b.disk, "j", func(*journal.Record) error { return nil })
	if err != nil {
		b.t.Fatal(err)
	}
	defer j.Close()
	return j.Copy()
}

// TestTakeoverKeepsWhatIsHere: a journal that is out of date is set aside; one that
// has more than the cluster is used.
func TestTakeoverKeepsWhatIsHere(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	whole := b.content()
	lines := strings.SplitAfter(whole, "\n")
	for name, c := range map[string]struct {
		here  string
		aside bool
		doubt bool
	}{
		"older":       {strings.Join(lines[:3], ""), true, false},
		"newer":       {whole, false, false},
		"of nowhere":  {"no journal at all\n", true, true},
		"of a branch": {branch(t, b, lines[:3]), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			store := b.ledger.Copy()
			c0 := b.colleague()
			c0.ledger, c0.world = store, newWorld(t)
			c0.disk.Put("j", []byte(c.here))
			c0.person.answer = choose(operator.FormerOutage, operator.No)
			c0.must(Reached, takingOver(false), func(o *Options) { o.Until = "one" })
			kept, there := c0.disk.Content("j.aside-1")
			if there != c.aside || there && !bytes.Equal(kept, []byte(c.here)) {
				t.Errorf("set aside: %t", there)
			}
			if s := c0.state(); s.Steps["two/d"].Suspected != c.doubt {
				t.Errorf("doubted: %t", s.Steps["two/d"].Suspected)
			}
		})
	}
}

// TestDoubtOutlivesACrash: wherever a takeover ends that finds another branch of the
// journal, its steps are in doubt for the next csu.
func TestDoubtOutlivesACrash(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	here := branch(t, b, strings.SplitAfter(b.content(), "\n")[:3])
	for op := 1; ; op++ {
		c := b.colleague()
		c.ledger, c.world = b.ledger.Copy(), newWorld(t)
		c.disk.Put("j", []byte(here))
		c.person.answer = choose(operator.FormerOutage, operator.No)
		failed := false
		c.disk.Fault = func(o journaltest.Op) journaltest.Fault {
			if failed = failed || o.N == op; failed {
				return journaltest.Fault{Err: errors.New("the disk has died")}
			}
			return journaltest.Fault{}
		}
		_, err := c.run(takingOver(true), func(o *Options) { o.Until = "one" })
		if !failed {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations", op-1)
			return
		}
		c.disk.Fault = nil
		c.disk.Kill()
		change := takingOver(true)
		if now, _ := c.disk.Content("j"); len(now) > 0 && string(now) != here {
			change = resumed
		}
		c.must(Reached, change, func(o *Options) { o.Until = "one" })
		if !c.state().Steps["two/d"].Suspected {
			t.Errorf("operation %d failed: the doubt is gone\n%s", op, c.content())
		}
	}
}

// branch is a journal that goes on otherwise after some lines.
func branch(t *testing.T, b *bench, lines []string) string {
	t.Helper()
	d := &journaltest.Disk{}
	d.Put("j", []byte(strings.Join(lines, "")))
	j, _, err := journal.Open(d, "j", func(*journal.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(journal.Record{Event: journal.Started, Stage: "one", Step: "one/a", Attempt: 1, Identity: "another"}); err != nil {
		t.Fatal(err)
	}
	data, _ := d.Content("j")
	return string(data)
}

// TestStaleJournals: whatever record a copy of the journal was made at, once the
// run has gone on elsewhere no resume of it is let go on.
func TestStaleJournals(t *testing.T) {
	b := twoStages(t)
	b.must(Reached, func(o *Options) { o.Until = "one" })
	early := b.content()
	b.must(Completed, resumed)
	whole := strings.SplitAfter(b.content(), "\n")
	effects := len(b.world.steps())
	for n := 1; n < len(b.records())-1; n++ { // with the last two records the run is over here, too
		c := b.colleague()
		c.disk.Put("j", []byte(strings.Join(whole[:n], "")))
		if _, err := c.run(resumed); exit.CodeOf(err) != exit.Refused {
			t.Errorf("resumed at record %d: %v", n, err)
		}
	}
	if len(b.world.steps()) != effects {
		t.Errorf("effects: %v", b.world.steps())
	}
	if !strings.HasPrefix(b.content(), early) {
		t.Error("the journal does not begin as it did")
	}
}

// TestResumeOnAnotherMachine: with the newest journal the run goes on there, when
// the first csu was not heard for long enough.
func TestResumeOnAnotherMachine(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	c := b.colleague()
	c.disk.Put("j", []byte(b.content()))
	c.person.answer = choose(operator.FormerOutage, operator.No)
	began := c.time.Now()
	c.must(Completed, resumed)
	if waited := c.time.Now() - began; waited < ledger.Real().Dead {
		t.Errorf("waited %s", waited)
	}
	if n := len(c.person.questions(operator.Former)); n != 1 {
		t.Errorf("%d questions about the first csu", n)
	}
	// After a clean stop nobody needs be waited for, nor asked about.
	b = twoStages(t)
	b.must(Reached, func(o *Options) { o.Until = "one" })
	c = b.colleague()
	c.disk.Put("j", []byte(b.content()))
	began = c.time.Now()
	c.must(Completed, resumed)
	if waited := c.time.Now() - began; waited != 0 || len(c.person.questions(operator.Former)) != 0 {
		t.Errorf("waited %s, asked %v", waited, c.person.questions(operator.Former))
	}
}

// TestSettleOutlivesACrash: who takes over by force waits for what the other csu has
// sent, also if their own csu ends meanwhile.
func TestSettleOutlivesACrash(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	c := b.colleague()
	c.person.answer = choose(operator.FormerOutage, operator.No)
	ctx, cancel := context.WithCancel(t.Context())
	o := c.options()
	takingOver(true)(&o)
	hurried := o.Timing.Sleep
	settle := o.Timing.Fresh + o.Timing.Request
	o.Timing.Sleep = func(sleeping context.Context, d time.Duration) error {
		if d == settle {
			cancel()
			return context.Canceled
		}
		return hurried(sleeping, d)
	}
	if res, err := Run(ctx, o); err != nil || res.End != Interrupted {
		t.Fatalf("%q, %v", res.End, err)
	}
	began := c.time.Now()
	c.must(Completed, resumed)
	if waited := c.time.Now() - began; waited < settle {
		t.Errorf("waited %s", waited)
	}
}
