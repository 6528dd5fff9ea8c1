package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// sees makes a look at a step find the verdicts in turn, the last one for ever.
func sees(verdicts ...action.Verdict) func(context.Context, *action.Attempt) action.Finding {
	var mu sync.Mutex
	return func(context.Context, *action.Attempt) action.Finding {
		mu.Lock()
		defer mu.Unlock()
		v := verdicts[0]
		verdicts = verdicts[min(1, len(verdicts)-1):]
		return action.Found(v, "A:0 is ENABLED")
	}
}

// TestWordAgainstEvidence: a step that is done according to the operator counts only when
// csu has looked. What csu sees not done counts when the operator accepts it with a
// reason; the steps that need it wait until then.
func TestWordAgainstEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		sees    []action.Verdict
		answers []operator.Choice // about what csu does not see
		phase   state.Phase
		against bool
	}{
		"seen":                   {[]action.Verdict{action.Done}, nil, state.ByHand, false},
		"cannot be seen":         {[]action.Verdict{action.Unknown}, nil, state.ByHand, false},
		"seen at the third look": {[]action.Verdict{action.NotDone, action.NotDone, action.Done}, []operator.Choice{operator.KeepWaiting, operator.KeepWaiting}, state.ByHand, false},
		"accepted":               {[]action.Verdict{action.NotDone}, []operator.Choice{operator.Accept}, state.ByHand, true},
		"taken back, then done":  {[]action.Verdict{action.NotDone, action.Done}, []operator.Choice{operator.NotHappened}, state.ByHand, false},
	} {
		for _, topic := range []operator.Topic{operator.Failed, operator.StepConsent} {
			t.Run(name+", "+string(topic), func(t *testing.T) {
				a := step("a", &plan.SetState{Queue: 1, State: "OFFLINE", CSCs: []string{"A:0"}})
				if topic == operator.StepConsent {
					a.Consent = "Take it down?"
				}
				b := newBench(t, stage("one", a, step("b", host("h1"), "a")), stage("two", step("c", host("h1"))))
				if topic == operator.Failed {
					b.failing("one/a", 1, action.Failed)
				}
				script := b.world.script["one/a"]
				script.look = sees(c.sees...)
				b.world.script["one/a"] = script
				answers := c.answers
				b.person.answer = func(q operator.Question) (operator.Answer, error) {
					switch q.Topic {
					case operator.Unseen:
						if slices.Contains(b.world.steps(), "one/b") {
							t.Error("a step that needs it has started")
						}
						if q.Reading != "A:0 is ENABLED" {
							t.Errorf("the question shows %q", q.Reading)
						}
						next := answers[0]
						answers = answers[1:]
						return operator.Answer{Choice: next, Reason: "the EFD is wrong", By: "Ana"}, nil
					case operator.Failed, operator.StepConsent:
						return operator.Answer{Choice: operator.ByHand, By: "Ana"}, nil
					}
					return yes(q)
				}
				b.must(Completed)
				st := b.state().Steps["one/a"]
				if st.Phase != c.phase || (st.Accepted != nil) != c.against || len(answers) > 0 {
					t.Errorf("one/a is %s, accepted %+v, answers left: %q", st.Phase, st.Accepted, answers)
				}
				var accepted []string
				if c.against {
					accepted = []string{"one/a (Do a) counts as done because Ana said so, against the evidence: A:0 is ENABLED. Reason: the EFD is wrong"}
				}
				if got := report.Accepted(b.state()); !slices.Equal(got, accepted) {
					t.Errorf("accepted: %q, want %q", got, accepted)
				}
				consents := b.person.questions(operator.StageConsent)
				if got := consents[len(consents)-1].Reading; got != strings.Join(accepted, "\n") {
					t.Errorf("the next stage's consent shows %q", got)
				}
			})
		}
	}
}

// TestItHappenedAgainstEvidence: so does an attempt in doubt that happened according to
// the operator.
func TestItHappenedAgainstEvidence(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h1"), "a")))
	b.lost("one/a", false, action.Unknown)
	script := b.world.script["one/a"]
	script.look = sees(action.NotDone)
	b.world.script["one/a"] = script
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		switch q.Topic {
		case operator.InDoubt:
			return operator.Answer{Choice: operator.Happened, By: "Ana"}, nil
		case operator.Unseen:
			return operator.Answer{Choice: operator.Stop, By: "Ana"}, nil
		}
		return yes(q)
	}
	b.must(Halted)
	b.phases(map[string]state.Phase{"one/a": state.Claimed, "one/b": state.Pending})
	// The next csu looks again before anything else.
	script.look = sees(action.Done)
	b.world.script["one/a"] = script
	b.must(Completed, resumed)
	b.phases(map[string]state.Phase{"one/a": state.Done, "one/b": state.Done})
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

// askedOnce lets another operator answer what a step asks.
type askedOnce struct {
	operator.Operator
	step operator.Operator
}

func (a askedOnce) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	if q.Topic == operator.Manual {
		return a.step.Ask(ctx, q)
	}
	return a.Operator.Ask(ctx, q)
}

// TestInterruptAtAQuestion: an interrupt while a step asks is no failure of the step,
// whatever the plan makes of its failures: the next executor asks again.
func TestInterruptAtAQuestion(t *testing.T) {
	for _, onFailure := range []plan.OnFailure{plan.Ask, plan.Report} {
		a := step("a", &plan.SetState{Queue: 1, State: "OFFLINE", CSCs: []string{"A:0"}})
		a.OnFailure = onFailure
		b := newBench(t, stage("one", a, step("b", host("h1"), "a")))
		b.world.script["one/a"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			if got, err := a.Ask(ctx, manually("resume the queue")); err != nil || got.Choice != operator.Yes {
				return action.Found(action.NotDone, "the queue is paused: %v", err)
			}
			return b.world.effect(a, action.Done)
		}}
		stop := make(chan struct{})
		o := b.options()
		o.Stop, o.Operator = stop, askedOnce{b.person, interrupting{b.person, stop}}
		res, err := Run(t.Context(), o)
		if err != nil || res.End != Interrupted {
			t.Fatalf("%s: the run ended %q, %v", onFailure, res.End, err)
		}
		if b.person.heard(operator.StepFailed, "") || !b.person.heard(operator.Notice, "csu asks again when the run is resumed") {
			t.Errorf("%s: the operator was told %+v", onFailure, b.person.told)
		}
		b.phases(map[string]state.Phase{"one/a": state.NotDone, "one/b": state.Pending})
		b.person.answer = nil
		b.must(Completed, resumed)
		b.phases(map[string]state.Phase{"one/a": state.Done, "one/b": state.Done})
		if n := len(b.person.questions(operator.Failed)); n != 0 {
			t.Errorf("%s: asked %d times how to continue after a failure", onFailure, n)
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
