package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// sending has a step send two effects through the gate, with something in between.
func (b *bench) sending(id string, between func(), sent *[]error) {
	b.world.script[id] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		for i := range 2 {
			if i == 1 {
				between()
			}
			err := gate.Pass(ctx)
			*sent = append(*sent, err)
			if err != nil {
				return action.Found(action.NotDone, "%v", err)
			}
		}
		return b.world.effect(a, action.Done)
	}}
}

// TestClusterAway: the cluster does not answer for ten minutes in the middle of a
// step. Without consent nothing is sent; with it the run goes on, and when the
// cluster is back it has the ledger again.
func TestClusterAway(t *testing.T) {
	for _, c := range []struct {
		name   string
		typ    plan.Type
		answer operator.Choice // to going on without the ledger; "" asks nobody
		want   End
		asked  int
	}{
		{"with consent", plan.Full, operator.Yes, Completed, 1},
		{"without consent", plan.Full, operator.Stop, Halted, 1},
		{"a recovery consents beforehand", plan.Recovery, operator.Stop, Completed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := twoStages(t)
			b.plan.Type = c.typ
			var sent []error
			b.sending("one/b", func() { b.away(true); b.time.Advance(10*time.Minute, nil) }, &sent)
			b.world.script["two/c"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
				b.away(false)
				b.time.Advance(time.Minute, nil)
				if err := gate.Pass(ctx); err != nil {
					t.Error(err)
				}
				return b.world.effect(a, action.Done)
			}}
			b.person.answer = choose(operator.Outage, c.answer)
			res := b.must(c.want)
			if n := len(b.person.questions(operator.Outage)); n != c.asked {
				t.Errorf("asked %d times", n)
			}
			passed := len(sent) == 2 && sent[1] == nil
			if passed != (c.want == Completed) {
				t.Errorf("sent: %v", sent)
			}
			if c.want == Halted {
				if s := b.state(); s.Steps["one/b"].Phase != state.NotDone || !strings.Contains(res.Text, "resume") {
					t.Errorf("%s: %q", s.Steps["one/b"].Phase, res.Text)
				}
				b.away(false)
				delete(b.world.script, "one/b")
				delete(b.world.script, "two/c")
				b.must(Completed, resumed)
			}
			if !slices.ContainsFunc(b.records(), func(r journal.Record) bool {
				return strings.Contains(r.Text, "answers again") && strings.Contains(r.Text, "epoch 1")
			}) && c.want == Completed {
				t.Error("the journal does not say that the cluster is back")
			}
			if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "one/b", "two/c", "two/d", "final/f"}) {
				t.Errorf("effects: %v", got)
			}
			if l := b.ledger.Now(); l.Holder != nil || l.Ended(b.options().Digest) == nil {
				t.Errorf("the ledger: %+v", l)
			}
		})
	}
}

// TestClusterAwayUnattended: where nobody can be asked, csu stops.
func TestClusterAwayUnattended(t *testing.T) {
	b := twoStages(t)
	var sent []error
	b.sending("one/b", func() { b.away(true); b.time.Advance(10*time.Minute, nil) }, &sent)
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Topic == operator.Outage {
			return operator.Answer{}, &operator.UnattendedError{Question: q, Want: "a terminal"}
		}
		return yes(q)
	}
	var unattended *operator.UnattendedError
	if _, err := b.run(); !errors.As(err, &unattended) || len(sent) != 2 || sent[1] == nil {
		t.Errorf("run = %v, sent %v", err, sent)
	}
	if l := b.ledger.Now(); l.Holder == nil {
		t.Error("the site is free")
	}
}

// TestClusterAwayAtTheBegin: nothing is started before somebody has said that this is
// the only run, and that it may go on without the ledger.
func TestClusterAwayAtTheBegin(t *testing.T) {
	for _, history := range []error{custody.ErrNoHistory, nil} {
		b := twoStages(t)
		b.away(true)
		known := func(o *Options) { o.CarriedOut = func() (string, error) { return "", history } }
		b.person.answer = choose(operator.Outage, operator.Stop)
		b.must(Halted, known)
		want := 0
		if history != nil {
			want = 1
		}
		if n := len(b.person.questions(operator.Alone)); n != want || len(b.world.steps()) != 0 || len(b.person.questions(operator.StageConsent)) != 0 {
			t.Errorf("history %v: asked %d times whether it is the only run, effects %v", history, n, b.world.steps())
		}
		b.person.answer = choose(operator.Outage, operator.Yes)
		b.must(Reached, resumed, known, func(o *Options) { o.Until = "one" })
		b.away(false)
		b.must(Completed, resumed, known)
		if l := b.ledger.Now(); l.Epoch != 1 || l.Holder != nil {
			t.Errorf("the ledger: %+v", l)
		}
	}
	b := twoStages(t)
	b.away(true)
	b.person.answer = choose(operator.Alone, operator.No)
	if _, err := b.run(); exit.CodeOf(err) != exit.Refused {
		t.Errorf("not the only run: %v", err)
	}
	if _, made := b.disk.Content("j"); made {
		t.Error("a journal was made")
	}
}

// TestRecoveryTakenUpWhileAway: a recovery begins without the cluster unasked, but
// whether its journal is the newest only the operator can say.
func TestRecoveryTakenUpWhileAway(t *testing.T) {
	b := twoStages(t)
	b.plan.Type = plan.Recovery
	b.away(true)
	b.must(Reached, func(o *Options) { o.Until = "one" })
	if n := len(b.person.questions(operator.Outage)); n != 0 {
		t.Errorf("asked %d times at the begin", n)
	}
	b.person.answer = choose(operator.Outage, operator.Stop)
	b.must(Halted, resumed)
	q := b.person.questions(operator.Outage)
	if len(q) != 1 || !strings.Contains(q[0].Text, "another copy of its journal") {
		t.Errorf("asked: %v", q)
	}
	if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "one/b"}) {
		t.Errorf("effects: %v", got)
	}
}

// TestCarriedOutInHistory: a plan cannot begin again if its finished journal is in the
// repository, whatever the cluster says.
func TestCarriedOutInHistory(t *testing.T) {
	for _, away := range []bool{false, true} {
		b := twoStages(t)
		b.away(away)
		_, err := b.run(func(o *Options) { o.CarriedOut = func() (string, error) { return "commit 1234 has its journal", nil } })
		if exit.CodeOf(err) != exit.Refused || !strings.Contains(err.Error(), "commit 1234") {
			t.Errorf("run = %v", err)
		}
		broken := errors.New("git is broken")
		if _, err := b.run(func(o *Options) { o.CarriedOut = func() (string, error) { return "", broken } }); !errors.Is(err, broken) {
			t.Errorf("run = %v", err)
		}
		if _, made := b.disk.Content("j"); made || b.ledger.Now().Epoch != 0 {
			t.Error("something was begun")
		}
	}
}

// TestTakeoverAfterAnOutage: what the first csu did without the cluster is found by
// step, whatever attempt it was, and a message is not posted again unasked.
func TestTakeoverAfterAnOutage(t *testing.T) {
	for _, stillAway := range []bool{false, true} {
		t.Run(fmt.Sprint("while it is away: ", stillAway), func(t *testing.T) {
			b := twoStages(t)
			var sent []error
			b.sending("one/b", func() { b.away(true); b.time.Advance(10*time.Minute, nil) }, &sent)
			b.person.answer = choose(operator.Outage, operator.Yes)
			ctx, cancel := context.WithCancel(t.Context())
			b.failing("two/c", 1, action.Failed) // the second attempt succeeds
			b.world.script["final/f"] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding {
				cancel()
				return action.Found(action.Unknown, "killed")
			}}
			b.person.answer = func(q operator.Question) (operator.Answer, error) {
				if q.Topic == operator.Failed {
					return operator.Answer{Choice: operator.Retry, By: "Ana"}, nil
				}
				return yes(q)
			}
			if _, err := Run(ctx, b.options()); err != nil {
				t.Fatal(err)
			}
			clear(b.world.script)
			if l := b.ledger.Now(); l.Head.Stage != "one" {
				t.Fatalf("the ledger has seen more than it could: %+v", l.Head)
			}
			c := b.colleague()
			if stillAway {
				if _, err := c.run(takingOver(true)); exit.CodeOf(err) != exit.Failed || !strings.Contains(exit.HintOf(err), "check that the cluster is reachable") {
					t.Errorf("takeover without the cluster = %v", err)
				}
			}
			c.away(false)
			before := len(c.world.effects)
			c.world.script["two/d"] = behaviour{probe: func(context.Context, *action.Attempt) action.Finding {
				return action.Found(action.Unknown, "perhaps posted")
			}}
			c.person.answer = choose(operator.InDoubt, operator.Happened)
			c.must(Completed, takingOver(true))
			if got := c.world.steps()[before:]; !slices.Equal(got, []string{"final/f"}) {
				t.Errorf("done again: %v", got)
			}
			if q := c.person.questions(operator.InDoubt); len(q) != 1 || q[0].Step != "two/d" {
				t.Errorf("asked in doubt: %v", q)
			}
			s := c.state()
			// Its second attempt was found; another one would be numbered beyond all that
			// were looked for.
			if st := s.Steps["two/c"]; st.Phase != state.Done || !strings.HasSuffix(st.Identity, "/two/c/2") || st.Attempt != 1+mostLater {
				t.Errorf("two/c is %s, attempt %d, %s", st.Phase, st.Attempt, st.Identity)
			}
		})
	}
}

// TestAbortWhileAway: an abort goes through the same gate.
func TestAbortWhileAway(t *testing.T) {
	for _, consent := range []operator.Choice{operator.Yes, operator.Stop} {
		b := twoStages(t)
		b.must(Reached, func(o *Options) { o.Until = "one" })
		b.away(true)
		b.person.answer = choose(operator.Outage, consent)
		res, err := Abort(t.Context(), b.options())
		got := b.world.steps()
		if consent == operator.Stop {
			if err != nil || res.End != Halted || slices.Contains(got, "final/f") || b.state().Aborting {
				t.Errorf("not agreed: %q, %v, effects %v", res.End, err, got)
			}
			continue
		}
		if err != nil || res.End != Aborted || res.Unreleased == nil || !slices.Contains(got, "final/f") {
			t.Errorf("agreed: %q, %v, unreleased %v, effects %v", res.End, err, res.Unreleased, got)
		}
		if l := b.ledger.Now(); l.Holder == nil {
			t.Error("the site is free")
		}
		// It is released when the cluster is back, and by nothing else before.
		if _, err := b.run(resumed); err == nil {
			t.Error("released without the cluster")
		}
		b.away(false)
		b.must(Aborted, resumed)
		if l := b.ledger.Now(); l.Holder != nil || l.Ended(b.options().Digest).Outcome != ledger.Aborted {
			t.Errorf("the ledger: %+v", l)
		}
		if _, err := b.run(resumed); exit.CodeOf(err) != exit.Refused {
			t.Errorf("once more: %v", err)
		}
	}
}

// TestReleasedLate: a run whose end the ledger does not have can be resumed for that
// alone.
func TestReleasedLate(t *testing.T) {
	b := twoStages(t)
	b.world.script["final/f"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		defer b.away(true)
		return b.world.effect(a, action.Done)
	}}
	res := b.must(Completed)
	if res.Unreleased == nil || b.state().Released || b.state().Ended != journal.Complete {
		t.Fatalf("unreleased: %v", res.Unreleased)
	}
	effects := len(b.world.steps())
	b.away(false)
	// Nobody else begins meanwhile.
	c := b.colleague()
	if _, err := c.run(); exit.CodeOf(err) != exit.Refused {
		t.Errorf("a fresh clone: %v", err)
	}
	if res := b.must(Completed, resumed); res.Unreleased != nil || len(b.world.steps()) != effects {
		t.Errorf("unreleased: %v, effects %v", res.Unreleased, b.world.steps())
	}
	if s := b.state(); !s.Released || b.ledger.Now().Holder != nil {
		t.Errorf("released: %t, held by %v", s.Released, b.ledger.Now().Holder)
	}
	// Who was taken over meanwhile has nothing to release.
	b = twoStages(t)
	b.world.script["final/f"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		defer b.away(true)
		return b.world.effect(a, action.Done)
	}}
	b.must(Completed)
	b.away(false)
	delete(b.world.script, "final/f")
	c = b.colleague()
	c.person.answer = choose(operator.FormerOutage, operator.No)
	c.must(Reached, takingOver(true), func(o *Options) { o.Until = "two" })
	var behind *ledger.BehindError
	if _, err := b.run(resumed); !errors.As(err, &behind) || b.ledger.Now().Holder == nil {
		t.Errorf("taken over: %v", err)
	}
}

// TestJournalLost: whatever becomes of the journal's file, csu stops, keeps all
// records, and neither it nor anybody else begins again.
func TestJournalLost(t *testing.T) {
	for name, lose := range map[string]func(b *bench){
		"deleted":   func(b *bench) { b.disk.Remove("j") },
		"moved":     func(b *bench) { _ = b.disk.Rename("j", "k") },
		"truncated": func(b *bench) { b.disk.Resize("j", 100) },
		"emptied":   func(b *bench) { b.disk.Resize("j", 0) },
		"replaced":  func(b *bench) { b.disk.Put("j", []byte("something else\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := twoStages(t)
			b.world.script["one/a"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
				lose(b)
				return b.world.effect(a, action.Done)
			}}
			_, err := b.run()
			var lost *journal.LostFileError
			if !errors.As(err, &lost) {
				t.Fatalf("run = %v", err)
			}
			clear(b.world.script)
			saved := "j"
			if name != "deleted" && name != "moved" {
				saved = "j.saved-1"
			}
			if !b.person.heard(operator.Notice, fmt.Sprintf("%q", saved)) {
				t.Errorf("told: %v", b.person.told)
			}
			if _, there := b.disk.Content(saved); !there {
				t.Fatalf("there is no %s", saved)
			}
			// Beside the saved journal nothing goes on.
			if saved != "j" {
				if _, err := b.run(resumed); err == nil {
					t.Error("the lost journal was used")
				}
				b.disk.Remove("j")
				if err := b.disk.Rename(saved, "j"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.run(); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("begun again: %v", err)
			}
			// This csu has ended by itself, and nobody is asked whether it is at work.
			began := b.time.Now()
			b.must(Completed, resumed)
			if waited := b.time.Now() - began; waited != 0 || len(b.person.questions(operator.Former)) != 0 {
				t.Errorf("waited %s, asked %v", waited, b.person.questions(operator.Former))
			}
			if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "one/b", "two/c", "two/d", "final/f"}) {
				t.Errorf("effects: %v", got)
			}
		})
	}
}

// TestHandOver: the csu that is at work lets finish what runs, and ends; a run that
// nobody is at work on is handed over at once.
func TestHandOver(t *testing.T) {
	b := twoStages(t)
	asked := make(chan struct{})
	b.world.script["one/a"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		b.ledger.Edit(func(l *ledger.Ledger) { l.Holder.Asked = &ledger.Handover{To: "Bob", By: "Cleo"} })
		close(asked)
		b.time.Advance(time.Minute, nil)
		if err := gate.Pass(ctx); err != nil {
			t.Errorf("what runs may finish: %v", err)
		}
		return b.world.effect(a, action.Done)
	}}
	res := b.must(HandedOver)
	<-asked
	if got := b.world.steps(); !slices.Equal(got, []string{"one/a"}) || !strings.Contains(res.Text, "Bob") {
		t.Errorf("effects %v, %q", got, res.Text)
	}
	if h := b.ledger.Now().Holder; h == nil || h.Process != "" || h.To != "Bob" || h.Asked != nil {
		t.Errorf("the holder: %+v", h)
	}
	clear(b.world.script)
	if _, err := b.run(resumed); exit.CodeOf(err) != exit.Refused || !strings.Contains(err.Error(), "Bob") {
		t.Errorf("a resume after the hand-over = %v", err)
	}
	c := b.colleague()
	began := c.time.Now()
	c.person.answer = choose(operator.FormerOutage, operator.No)
	c.must(Completed, takingOver(false))
	if c.time.Now() != began || len(c.person.questions(operator.Former)) != 0 {
		t.Errorf("waited %s, asked %v", c.time.Now()-began, c.person.asked)
	}
}

// TestBackAtTheVeryEnd: that the cluster is back when the run is over is no record of
// a run that is over.
func TestBackAtTheVeryEnd(t *testing.T) {
	b := twoStages(t)
	b.world.script["final/f"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		b.away(true)
		b.time.Advance(time.Minute, nil)
		return b.world.effect(a, action.Done)
	}}
	o := b.options()
	hurried := o.Timing.Sleep
	o.Timing.Sleep = func(ctx context.Context, d time.Duration) error {
		if d == time.Second && b.state().Ended != "" {
			b.away(false) // after the first try to release the site
		}
		return hurried(ctx, d)
	}
	b.valid()
	res, err := Run(t.Context(), o)
	if err != nil || res.End != Completed || res.Unreleased != nil || !b.state().Released {
		t.Errorf("%q, %v, unreleased %v", res.End, err, res.Unreleased)
	}
}

// TestDoubtOfAFinalStep: what never has to be undone is not suspected either, so that
// a run of which everything is doubted can finish.
func TestDoubtOfAFinalStep(t *testing.T) {
	b := twoStages(t)
	b.person.answer = choose(operator.Failed, operator.Skip)
	b.world.script["one/b"] = behaviour{prepare: func(context.Context, *action.Attempt) (any, error) { return nil, errors.New("not possible") }}
	b.must(Reached, func(o *Options) { o.Until = "one" })
	c := b.colleague()
	c.person.answer = choose(operator.InDoubt, operator.NotHappened)
	answer := c.person.answer
	c.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Topic == operator.Failed {
			return operator.Answer{Choice: operator.Retry, By: "Bob"}, nil
		}
		return answer(q)
	}
	c.must(Completed, takingOver(false))
	c.phases(map[string]state.Phase{"one/b": state.Skipped, "final/f": state.NotNeeded, "two/c": state.Done})
}

// TestOpenStepsAreDoubted: an attempt that the copy has as begun may have been over
// and made again, without the cluster.
func TestOpenStepsAreDoubted(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	run := b.ledger.Now().Head.Run
	b.world.mu.Lock()
	b.world.verdicts["csu-"+run+"/one/b/1"] = action.NotDone
	b.world.verdicts["csu-"+run+"/one/b/3"] = action.Done
	b.world.mu.Unlock()
	c := b.colleague()
	before := len(c.world.effects)
	c.must(Reached, takingOver(true), func(o *Options) { o.Until = "one" })
	if got := c.world.steps()[before:]; len(got) != 0 {
		t.Errorf("done again: %v", got)
	}
	if st := c.state().Steps["one/b"]; st.Phase != state.Done || !strings.HasSuffix(st.Identity, "/one/b/3") {
		t.Errorf("one/b is %s, %s", st.Phase, st.Identity)
	}
}

// TestDoubtedAgain: what was found out about a step after one takeover says nothing of
// what another csu did before the next.
func TestDoubtedAgain(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	sent := action.Found(action.Unknown, "perhaps posted")
	b.world.script["two/d"] = behaviour{probe: func(context.Context, *action.Attempt) action.Finding { return sent }}
	c := b.colleague()
	c.person.answer = func(q operator.Question) (operator.Answer, error) {
		switch q.Topic {
		case operator.InDoubt:
			return operator.Answer{Choice: operator.NotHappened, By: "Bob"}, nil
		case operator.Failed:
			return operator.Answer{Choice: operator.Retry, By: "Bob"}, nil
		}
		return yes(q)
	}
	c.died("two/c", takingOver(true))
	if st := c.state().Steps["two/d"]; st.Phase != state.Pending {
		t.Fatalf("two/d is %s", st.Phase)
	}
	d := b.colleague()
	d.person.answer = choose(operator.InDoubt, operator.Happened)
	d.must(Completed, takingOver(true))
	if q := d.person.questions(operator.InDoubt); len(q) != 1 || q[0].Step != "two/d" {
		t.Errorf("asked in doubt: %v", q)
	}
	if slices.Contains(d.world.steps(), "two/d") {
		t.Error("two/d was posted by whom nobody had asked")
	}
}

// TestResumedBlindly: who could not read the ledger at the start does not take it from
// a csu that nobody has watched.
func TestResumedBlindly(t *testing.T) {
	b := twoStages(t)
	b.died("one/b")
	c := b.colleague()
	c.disk.Put("j", []byte(b.content()))
	c.away(true)
	o := c.options()
	o.Resume = true
	hurried, renew := o.Timing.Sleep, o.Timing.Renew
	sleeps := 0
	o.Timing.Sleep = func(ctx context.Context, d time.Duration) error {
		if d != renew { // which sleeps beside
			if sleeps++; sleeps == 3 { // the look is over
				c.away(false)
			}
		}
		return hurried(ctx, d)
	}
	var live *ledger.LiveError
	if _, err := Run(t.Context(), o); !errors.As(err, &live) {
		t.Errorf("run = %v", err)
	}
	if l := c.ledger.Now(); l.Epoch != 1 || len(c.world.steps()) != 1 {
		t.Errorf("epoch %d, effects %v", l.Epoch, c.world.steps())
	}
}
