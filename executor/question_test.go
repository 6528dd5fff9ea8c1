package executor

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

func TestByHandIsConfirmedByAProbe(t *testing.T) {
	b := newBench(t, stage("one", step("a", &plan.SetState{Queue: 1, State: "OFFLINE", CSCs: []string{"A:0"}}), step("b", host("h1"))))
	b.failing("one/a", 1, action.Failed)
	b.failing("one/b", 1, action.Failed)
	b.world.script["one/a"] = behaviour{perform: b.world.script["one/a"].perform, probe: func(context.Context, *action.Attempt) action.Finding {
		return action.Found(action.Done, "A:0 is OFFLINE")
	}}
	b.person.answer = choose(operator.Failed, operator.ByHand)
	b.must(Completed)
	s := b.state()
	if got := s.Steps["one/a"].Confirmed; got != "csu sees it done: A:0 is OFFLINE" {
		t.Errorf("confirmed %q", got)
	}
	if got := s.Steps["one/b"].Confirmed; got != "" {
		t.Errorf("a command that has csu's own name can't be confirmed by it: %q", got)
	}
}

func TestWrongAnswers(t *testing.T) {
	for _, wrong := range []operator.Answer{{Choice: operator.Happened}, {Choice: operator.Skip, Reason: " "}, {}} {
		b := newBench(t, stage("one", step("a", host("h1"))))
		b.failing("one/a", 1, action.Failed)
		b.person.answer = func(q operator.Question) (operator.Answer, error) {
			if q.Topic == operator.Failed {
				return wrong, nil
			}
			return yes(q)
		}
		var answer *operator.AnswerError
		if _, err := b.run(); !errors.As(err, &answer) || answer.Step != "one/a" {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// manually makes the question of a manual step.
func manually(text string) func(context.Context) (operator.Question, bool) {
	return func(context.Context) (operator.Question, bool) {
		return operator.Question{Topic: operator.Manual, Text: text, Choices: []operator.Choice{operator.Yes, operator.No}}, true
	}
}

// TestActionAsks: what an action asks is recorded as a question about its step;
// how to go on after a no is asked apart.
func TestActionAsks(t *testing.T) {
	for _, c := range []struct {
		choice operator.Choice
		phase  state.Phase
		failed int
	}{{operator.Yes, state.Done, 0}, {operator.No, state.Skipped, 1}} {
		b := newBench(t, stage("one", step("a", &plan.Manual{Text: "switch M2"})))
		b.world.script["one/a"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			got, err := a.Ask(ctx, manually("switch M2"))
			if err != nil || got.Choice != operator.Yes {
				return action.Found(action.NotDone, "the operator said %s", got.Choice)
			}
			return b.world.effect(a, action.Done)
		}}
		b.person.answer = func(q operator.Question) (operator.Answer, error) {
			if q.Topic == operator.Failed {
				return operator.Answer{Choice: operator.Skip, Reason: "not today"}, nil
			}
			return operator.Answer{Choice: map[operator.Topic]operator.Choice{operator.StageConsent: operator.Yes, operator.Manual: c.choice}[q.Topic]}, nil
		}
		b.must(Completed)
		b.phases(map[string]state.Phase{"one/a": c.phase})
		if n := len(b.person.questions(operator.Failed)); n != c.failed {
			t.Errorf("after %s asked %d times how to go on", c.choice, n)
		}
		recorded := slices.ContainsFunc(b.records(), func(r journal.Record) bool {
			return r.Answer != nil && r.Step == "one/a" && r.Stage == "one" && r.Answer.Choice == string(c.choice) && r.Answer.Text == "switch M2"
		})
		if !recorded {
			t.Error("the answer is not in the journal")
		}
	}
}

// TestNothingIsAskedAtTheEnd: what runs when the operator ends the run is not let
// ask any more.
func TestNothingIsAskedAtTheEnd(t *testing.T) {
	for choice, end := range map[operator.Choice]End{operator.Stop: Halted, operator.Abort: Aborted} {
		b := newBench(t, stage("one", step("bad", host("h1")), step("man", &plan.Manual{Text: "switch M2"})))
		begun := make(chan struct{})
		b.waiting("one/bad", action.Failed, nil, begun)
		b.world.script["one/man"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			close(begun)
			b.until("the answer is recorded", func() bool {
				return slices.ContainsFunc(b.records(), func(r journal.Record) bool { return r.Answer != nil && r.Answer.Choice == string(choice) })
			})
			_, err := a.Ask(ctx, manually("switch M2"))
			if !errors.Is(err, owner.ErrEnding) {
				t.Errorf("%s: ask = %v", choice, err)
			}
			return action.Found(action.NotDone, "nobody said that it is done")
		}}
		b.person.answer = choose(operator.Failed, choice)
		b.must(end)
		if n := len(b.person.questions(operator.Manual)); n != 0 {
			t.Errorf("%s: asked %d times", choice, n)
		}
	}
}
