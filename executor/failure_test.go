package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
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

// TestFailureSuspends: nothing new starts, what runs is let finish, and only
// then the operator is asked.
func TestFailureSuspends(t *testing.T) {
	b := newBench(t, stage("one",
		step("bad", host("h1")), step("slow", host("h2")), step("next", host("h3"), "slow"), step("after", host("h4"), "bad")))
	failed, begun := make(chan struct{}), make(chan struct{})
	b.world.script["one/bad"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		<-begun
		defer close(failed)
		return b.world.effect(a, action.Failed)
	}}
	b.world.script["one/slow"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		close(begun)
		<-failed
		time.Sleep(20 * time.Millisecond)
		return b.world.effect(a, action.Done)
	}}
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Topic != operator.Failed {
			return yes(q)
		}
		if got := b.world.steps(); !slices.Equal(got, []string{"one/bad", "one/slow"}) {
			t.Errorf("asked after %v", got)
		}
		if !strings.Contains(q.Text, "the effect of one/bad: failed") || !strings.Contains(q.Reading, "Do bad by hand.") {
			t.Errorf("asked %q, %q", q.Text, q.Reading)
		}
		return operator.Answer{Choice: operator.Skip, Reason: "not needed today"}, nil
	}
	b.must(Completed)
	b.phases(map[string]Phase{"one/bad": Skipped, "one/slow": Done, "one/next": Done, "one/after": Done})
	if st := b.state().Steps["one/bad"]; st.Reason != "not needed today" || st.By != "Ana" {
		t.Errorf("recorded: %+v", st)
	}
}

func TestChoicesAfterFailure(t *testing.T) {
	for _, c := range []struct {
		choice   operator.Choice
		end      End
		phase    Phase
		attempts int
		after    bool
	}{
		{operator.Retry, Completed, Done, 2, true},
		{operator.ByHand, Completed, ByHand, 1, true},
		{operator.Skip, Completed, Skipped, 1, true},
		{operator.Stop, Halted, Failed, 1, false},
		{operator.Abort, GivenUp, Failed, 1, false},
	} {
		t.Run(string(c.choice), func(t *testing.T) {
			b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"), "a")))
			b.failing("one/a", 1, action.Failed)
			b.person.answer = choose(operator.Failed, c.choice)
			b.must(c.end)
			b.phases(map[string]Phase{"one/a": c.phase})
			if n := b.state().Steps["one/a"].Attempt; n != c.attempts {
				t.Errorf("%d attempts", n)
			}
			if ran := slices.Contains(b.world.steps(), "one/b"); ran != c.after {
				t.Errorf("the step that needs it ran: %v", ran)
			}
			if c.end != Halted {
				return
			}
			// Taken up, what failed is asked about before anything else.
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
		b.phases(map[string]Phase{"one/a": Reported, "one/b": Done})
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
	b.phases(map[string]Phase{"one/a": Reported})
}
