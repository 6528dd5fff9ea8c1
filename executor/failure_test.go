package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// failing has the first n attempts of a step end with the verdict.
func (b *bench) failing(id string, n int, v action.Verdict) {
	b.world.script[id] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		if n--; n >= 0 {
			if v == action.NotDone {
				return action.Found(v, "refused")
			}
			return b.world.effect(a, v)
		}
		return b.world.effect(a, action.Done)
	}}
}

// done waits until a step has had its effect.
func (b *bench) done(id string) {
	b.t.Helper()
	b.until(id+" has its effect", func() bool { return slices.Contains(b.world.steps(), id) })
}

// waiting has a step wait, once it has begun, before it has its effect.
func (b *bench) waiting(id string, v action.Verdict, begun chan<- struct{}, until <-chan struct{}) {
	b.world.script[id] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		if begun != nil {
			close(begun)
		}
		<-until
		return b.world.effect(a, v)
	}}
}

// TestFailureSuspends: the operator is asked at once. Running steps finish meanwhile, and
// nothing new starts before the answer.
func TestFailureSuspends(t *testing.T) {
	b := newBench(t, stage("one",
		step("bad", host("h1")), step("slow", host("h2")), step("next", host("h3"), "slow"), step("after", host("h4"), "bad")))
	asked, begun := make(chan struct{}), make(chan struct{})
	b.waiting("one/bad", action.Failed, nil, begun)
	b.waiting("one/slow", action.Done, begun, asked)
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Topic != operator.Failed {
			return yes(q)
		}
		close(asked)
		b.done("one/slow")
		time.Sleep(20 * time.Millisecond)
		if got := b.world.steps(); !slices.Equal(got, []string{"one/bad", "one/slow"}) {
			t.Errorf("before the answer ran %v", got)
		}
		if !strings.Contains(q.Text, "the effect of one/bad: failed") || !strings.Contains(q.Reading, "Do bad by hand.") {
			t.Errorf("asked %q, %q", q.Text, q.Reading)
		}
		return operator.Answer{Choice: operator.Skip, Reason: "not needed today"}, nil
	}
	b.must(Completed)
	b.phases(map[string]state.Phase{"one/bad": state.Skipped, "one/slow": state.Done, "one/next": state.Done, "one/after": state.Done})
	if st := b.state().Steps["one/bad"]; st.Reason != "not needed today" || st.By != "Ana" {
		t.Errorf("recorded: %+v", st)
	}
}

// TestRetryWhileOthersRun: what is tried again need not wait for the others.
func TestRetryWhileOthersRun(t *testing.T) {
	b := newBench(t, stage("one", step("bad", host("h1")), step("slow", host("h2"))))
	retried := make(chan struct{})
	b.waiting("one/slow", action.Done, nil, retried)
	b.failing("one/bad", 1, action.Failed)
	once := b.world.script["one/bad"].perform
	b.world.script["one/bad"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		if strings.HasSuffix(a.Identity, "/2") {
			close(retried)
		}
		return once(ctx, a)
	}}
	b.person.answer = choose(operator.Failed, operator.Retry)
	b.must(Completed)
	b.phases(map[string]state.Phase{"one/bad": state.Done, "one/slow": state.Done})
}

// TestTwoFailures: a step that fails while the operator is asked about another
// one is asked about next, and nothing new starts between the two answers.
func TestTwoFailures(t *testing.T) {
	for _, choice := range []operator.Choice{operator.Skip, operator.Retry, operator.ByHand} {
		b := newBench(t, stage("one", step("second", host("h1")), step("first", host("h2")), step("next", host("h3"), "first")))
		asked, begun := make(chan struct{}), make(chan struct{})
		b.waiting("one/second", action.Failed, begun, asked)
		b.waiting("one/first", action.Failed, nil, begun)
		b.person.answer = func(q operator.Question) (operator.Answer, error) {
			a := operator.Answer{Choice: choice, Reason: "so it is"}
			switch {
			case q.Topic != operator.Failed:
				return yes(q)
			case q.Step == "one/first":
				close(asked)
				b.recorded("one/second", journal.Outcome, viaPerform)
				b.world.mu.Lock()
				delete(b.world.script, "one/first")
				delete(b.world.script, "one/second")
				b.world.mu.Unlock()
			default:
				time.Sleep(20 * time.Millisecond)
				if got := b.world.steps(); len(got) != 2 {
					t.Errorf("%s: between the answers ran %v", choice, got)
				}
			}
			return a, nil
		}
		b.must(Completed)
		q := b.person.questions(operator.Failed)
		if len(q) != 2 || q[0].Step != "one/first" || q[1].Step != "one/second" {
			t.Errorf("%s: asked %+v", choice, q)
		}
		b.phases(map[string]state.Phase{"one/next": state.Done})
		if got, want := b.person.heard(operator.Notice, "is retried once"), choice == operator.Retry; got != want {
			t.Errorf("%s: told that a retry waits for the other decision: %t", choice, got)
		}
	}
}

// TestStopWhileOthersRun: when the operator stops the run, running steps finish, and
// failed steps stay failed.
func TestStopWhileOthersRun(t *testing.T) {
	for choice, end := range map[operator.Choice]End{operator.Stop: Halted, operator.Abort: Aborted} {
		b := newBench(t, stage("one", step("bad", host("h1")), step("slow", host("h2")), step("next", host("h3"), "slow")))
		stopped, begun := make(chan struct{}), make(chan struct{})
		b.waiting("one/bad", action.Failed, nil, begun)
		b.waiting("one/slow", action.Done, begun, stopped)
		b.person.answer = func(q operator.Question) (operator.Answer, error) {
			if q.Topic != operator.Failed {
				return yes(q)
			}
			return operator.Answer{Choice: choice}, nil
		}
		// The slow step goes on until the operator is told that it is waited for.
		goOn := sync.OnceFunc(func() { close(stopped) })
		b.person.hear = func(e operator.Event) {
			if e.Kind == operator.Notice && strings.Contains(e.Text, "nothing new is started") {
				goOn()
			}
		}
		give := time.AfterFunc(inVain, goOn)
		b.must(end)
		give.Stop()
		b.phases(map[string]state.Phase{"one/bad": state.Failed, "one/slow": state.Done, "one/next": state.Pending})
		if n := len(b.person.questions(operator.Failed)); n != 1 {
			t.Errorf("%s: asked %d times", choice, n)
		}
		if !b.person.heard(operator.Notice, "when these steps have finished: one/slow") {
			t.Errorf("%s: the operator is not told what csu waits for", choice)
		}
	}
}

func TestChoicesAfterFailure(t *testing.T) {
	for _, c := range []struct {
		choice   operator.Choice
		end      End
		phase    state.Phase
		attempts int
		after    bool
	}{
		{operator.Retry, Completed, state.Done, 2, true},
		{operator.ByHand, Completed, state.ByHand, 1, true},
		{operator.Skip, Completed, state.Skipped, 1, true},
		{operator.Stop, Halted, state.Failed, 1, false},
		{operator.Abort, Aborted, state.Failed, 1, false},
	} {
		t.Run(string(c.choice), func(t *testing.T) {
			b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"), "a")))
			b.failing("one/a", 1, action.Failed)
			b.person.answer = choose(operator.Failed, c.choice)
			b.must(c.end)
			b.phases(map[string]state.Phase{"one/a": c.phase})
			if n := b.state().Steps["one/a"].Attempt; n != c.attempts {
				t.Errorf("%d attempts", n)
			}
			if ran := slices.Contains(b.world.steps(), "one/b"); ran != c.after {
				t.Errorf("the step that needs it ran: %v", ran)
			}
			if c.end != Halted {
				return
			}
			// The resumed run asks about the failed step again, and runs it only after the answer.
			b.person.answer = choose(operator.Failed, operator.Retry)
			b.must(Completed, resumed)
			if n := len(b.person.questions(operator.Failed)); n != 2 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestNotBegun(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	fail := true
	b.world.script["one/a"] = behaviour{prepare: func(context.Context, *action.Attempt) (any, error) {
		if fail {
			fail = false
			return nil, errors.New("no route to h1")
		}
		return nil, nil
	}}
	b.person.answer = choose(operator.Failed, operator.Retry)
	b.must(Completed)
	if q := b.person.questions(operator.Failed); len(q) != 1 || !strings.Contains(q[0].Text, "nothing of it happened") || !strings.Contains(q[0].Text, "no route to h1") {
		t.Errorf("asked %+v", q)
	}
	if got := b.world.effects; len(got) != 1 || !strings.HasSuffix(got[0], "/one/a/1") {
		t.Errorf("effects: %v", got)
	}
}

func TestReport(t *testing.T) {
	for _, v := range []action.Verdict{action.Failed, action.NotDone} {
		a := step("a", host("h1"))
		a.OnFailure = plan.Report
		b := newBench(t, stage("one", a, step("b", host("h2"), "a")))
		b.failing("one/a", 1, v)
		b.must(Completed)
		b.phases(map[string]state.Phase{"one/a": state.Reported, "one/b": state.Done})
		told := slices.ContainsFunc(b.person.told, func(e operator.Event) bool { return e.Kind == operator.StepFailed && e.Step == "one/a" })
		if !told {
			t.Error("it was not told")
		}
	}
	a := step("a", host("h1"))
	a.OnFailure = plan.Report
	b := newBench(t, stage("one", a))
	b.world.script["one/a"] = behaviour{prepare: func(context.Context, *action.Attempt) (any, error) { return nil, errors.New("no route") }}
	b.must(Completed)
	b.phases(map[string]state.Phase{"one/a": state.Reported})
}

// hangingUp is an operator who interrupts csu instead of answering on a topic.
type hangingUp struct {
	*person
	on        operator.Topic
	interrupt func()
}

func (h hangingUp) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	if q.Topic != h.on {
		return h.person.Ask(ctx, q)
	}
	h.interrupt()
	<-ctx.Done()
	return operator.Answer{}, ctx.Err()
}

// cutShort has one/bad fail and one/slow be under way when the context ends, at
// the question about one/bad; one/next needs one/slow.
func cutShort(t *testing.T) *bench {
	b := newBench(t, stage("one", step("bad", host("h1")), step("slow", host("h2")), step("next", host("h3"), "slow")))
	begun := make(chan struct{})
	b.waiting("one/bad", action.Failed, nil, begun)
	b.world.script["one/slow"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		b.world.effect(a, action.Done)
		close(begun)
		<-ctx.Done()
		return action.Found(action.Failed, "the connection was closed")
	}}
	ctx, cancel := context.WithCancel(t.Context())
	o := b.options()
	o.Operator = hangingUp{b.person, operator.Failed, cancel}
	if res, err := Run(ctx, o); err != nil || res.End != Interrupted {
		t.Fatalf("run = %q (%s), %v", res.End, res.Text, err)
	}
	b.phases(map[string]state.Phase{"one/bad": state.Failed, "one/slow": state.Started, "one/next": state.Pending})
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	clear(b.world.script)
	return b
}

// TestInterruptAtAFailure: the question is withdrawn. Running steps finish, or are in doubt
// if the context ends, and nothing is done twice.
func TestInterruptAtAFailure(t *testing.T) {
	b := newBench(t, stage("one", step("bad", host("h1")), step("slow", host("h2")), step("next", host("h3"), "slow")))
	begun, stop, hungUp := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b.waiting("one/bad", action.Failed, nil, begun)
	b.waiting("one/slow", action.Done, begun, hungUp)
	b.must(Interrupted, func(o *Options) {
		o.Stop = stop
		o.Operator = hangingUp{b.person, operator.Failed, func() {
			close(stop)
			time.AfterFunc(20*time.Millisecond, func() { close(hungUp) })
		}}
	})
	b.phases(map[string]state.Phase{"one/bad": state.Failed, "one/slow": state.Done, "one/next": state.Pending})
	for _, b := range []*bench{b, cutShort(t)} {
		b.person.answer = choose(operator.Failed, operator.Skip)
		b.must(Completed, resumed)
		got := b.world.steps()
		slices.Sort(got)
		if !slices.Equal(got, []string{"one/bad", "one/next", "one/slow"}) {
			t.Errorf("effects: %v", got)
		}
		b.phases(map[string]state.Phase{"one/bad": state.Skipped, "one/slow": state.Done, "one/next": state.Done})
	}
}

// TestResumeWithFailedAndOpen: a step that failed and one that is in doubt are both
// decided on before anything starts.
func TestResumeWithFailedAndOpen(t *testing.T) {
	b := cutShort(t)
	b.world.script["one/slow"] = behaviour{probe: func(context.Context, *action.Attempt) action.Finding {
		return action.Found(action.Unknown, "nobody can tell")
	}}
	decided := 0
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Topic == operator.StageConsent {
			return yes(q)
		}
		time.Sleep(20 * time.Millisecond)
		if got := b.world.steps(); len(got) != 2 {
			t.Errorf("after %d answers ran %v", decided, got)
		}
		decided++
		if q.Topic == operator.InDoubt {
			return operator.Answer{Choice: operator.Happened}, nil
		}
		return operator.Answer{Choice: operator.Retry}, nil
	}
	b.must(Completed, resumed)
	if decided != 2 || b.state().Steps["one/bad"].Attempt != 2 || b.state().Steps["one/slow"].Attempt != 1 {
		t.Errorf("%d answers, effects %v", decided, b.world.steps())
	}
	b.phases(map[string]state.Phase{"one/bad": state.Done, "one/slow": state.Done, "one/next": state.Done})
}

// TestDoubtAndFailure: whichever comes first, nothing starts before the operator
// has said what to do about both.
func TestDoubtAndFailure(t *testing.T) {
	for first, second := range map[string]string{"one/bad": "one/lost", "one/lost": "one/bad"} {
		b := newBench(t, stage("one", step("bad", host("h1")), step("lost", host("h2")), step("free", host("h3")), step("next", host("h4"), "free")))
		var begun sync.WaitGroup
		begun.Add(3)
		asked := make(chan struct{})
		for id, v := range map[string]action.Verdict{"one/bad": action.Failed, "one/lost": action.Unknown, "one/free": action.Done} {
			b.world.script[id] = behaviour{
				perform: func(_ context.Context, a *action.Attempt) action.Finding {
					if strings.HasSuffix(a.Identity, "/2") {
						return b.world.effect(a, action.Done)
					}
					begun.Done()
					begun.Wait()
					if id != first {
						<-asked
					}
					return b.world.effect(a, v)
				},
				probe: func(context.Context, *action.Attempt) action.Finding {
					return action.Found(action.Unknown, "nobody can tell")
				},
			}
		}
		var order []string
		b.person.answer = func(q operator.Question) (operator.Answer, error) {
			if q.Topic == operator.StageConsent {
				return yes(q)
			}
			if order = append(order, q.Step); len(order) == 1 {
				close(asked)
				b.done("one/free")
				if second == "one/lost" {
					b.recorded(second, journal.Doubtful, viaProbe) // it waits for its turn in a moment
				} else {
					b.recorded(second, journal.Outcome, viaPerform)
				}
			}
			time.Sleep(20 * time.Millisecond)
			if got := b.world.steps(); len(got) != 3 || got[0] != first {
				t.Errorf("before the answer to %v ran %v", order, got)
			}
			if q.Topic == operator.InDoubt {
				return operator.Answer{Choice: operator.Happened}, nil
			}
			return operator.Answer{Choice: operator.Retry}, nil
		}
		b.must(Completed)
		if !slices.Equal(order, []string{first, second}) {
			t.Errorf("asked about %v, want %s first", order, first)
		}
		b.phases(map[string]state.Phase{"one/bad": state.Done, "one/lost": state.Done, "one/free": state.Done, "one/next": state.Done})
	}
}
