package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// slowly is an operator who does not answer a topic before its question ends, except as
// then says.
type slowly struct {
	*person
	on   operator.Topic
	then func(ctx context.Context, n int, q operator.Question) (operator.Answer, error) // the nth question; nil waits

	mu  sync.Mutex
	put []operator.Question
}

func (s *slowly) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	if q.Topic != s.on {
		return s.person.Ask(ctx, q)
	}
	s.mu.Lock()
	s.put = append(s.put, q)
	n := len(s.put)
	s.mu.Unlock()
	if s.then != nil {
		return s.then(ctx, n, q)
	}
	<-ctx.Done()
	return operator.Answer{}, ctx.Err()
}

// events returns the events of the records about a step or stage.
func (b *bench) eventsOf(topic operator.Topic) []journal.Event {
	b.t.Helper()
	var events []journal.Event
	for _, r := range b.records() {
		if r.Question != nil && r.Question.Topic == string(topic) || r.Answer != nil && r.Answer.Topic == string(topic) {
			events = append(events, r.Event)
		}
	}
	return events
}

// TestOpenQuestionSettlesItself: what is seen while a question is open can settle it. Then
// the operator is told, the journal says by what, and nobody has to answer.
func TestOpenQuestionSettlesItself(t *testing.T) {
	await := &plan.AwaitState{Want: []plan.Want{{CSCs: []string{"A:0"}, States: []string{"ENABLED"}}}}
	once := func(first, then action.Verdict) func(context.Context, *action.Attempt) action.Finding {
		var mu sync.Mutex
		n := 0
		return func(_ context.Context, a *action.Attempt) action.Finding {
			mu.Lock()
			defer mu.Unlock()
			if n++; n == 1 {
				return action.Found(first, "A:0: STANDBY; expected ENABLED")
			}
			return action.Found(then, "A:0 is in the expected state")
		}
	}
	for topic, c := range map[operator.Topic]struct {
		d      plan.Parameters
		does   func(b *bench) behaviour
		answer operator.Choice // to the question before
		want   state.Phase
	}{
		operator.InDoubt: {host("h1"), func(b *bench) behaviour {
			return behaviour{
				perform: func(context.Context, *action.Attempt) action.Finding {
					return action.Found(action.Unknown, "the answer was lost")
				},
				probe: once(action.Unknown, action.Done),
			}
		}, "", state.Done},
		operator.Failed: {await, func(b *bench) behaviour {
			return behaviour{
				perform: func(_ context.Context, a *action.Attempt) action.Finding {
					if strings.HasSuffix(a.Identity, "/1") {
						return action.Found(action.Failed, "after 1m, 1 of 1 CSCs are not in the expected state:\nA:0: STANDBY; expected ENABLED")
					}
					return action.Found(action.Done, "A:0 is in the expected state")
				},
				look: once(action.NotDone, action.Done),
			}
		}, "", state.Done},
		operator.Unseen: {host("h1"), func(b *bench) behaviour {
			return behaviour{
				perform: func(context.Context, *action.Attempt) action.Finding { return action.Found(action.Failed, "no") },
				look:    once(action.NotDone, action.Done),
			}
		}, operator.ByHand, state.ByHand},
		operator.QueuePaused: {&plan.SetState{Queue: 1, State: "OFFLINE", CSCs: []string{"A:0"}}, func(b *bench) behaviour {
			runs := once(action.NotDone, action.Done)
			return behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
				seen := action.Finding{}
				_, err := a.Ask(ctx, func(context.Context) (operator.Question, bool) {
					seen = runs(ctx, a)
					return operator.Question{Topic: operator.QueuePaused, Text: "Resume it?", Reading: seen.Text, Choices: []operator.Choice{operator.Yes}}, seen.Verdict != action.Done
				})
				if err == nil || seen.Verdict != action.Done {
					return action.Found(action.Failed, "asked: %v", err)
				}
				return b.world.effect(a, action.Done)
			}}
		}, "", state.Done},
	} {
		t.Run(string(topic), func(t *testing.T) {
			b := newBench(t, stage("one", step("a", c.d), step("b", host("h2"), "a")))
			b.world.script["one/a"] = c.does(b)
			if c.answer != "" {
				b.person.answer = choose(operator.Failed, c.answer)
			}
			who := &slowly{person: b.person, on: topic}
			b.must(Completed, func(o *Options) { o.Operator = who })
			b.phases(map[string]state.Phase{"one/a": c.want, "one/b": state.Done})
			if len(who.put) != 1 {
				t.Errorf("put %d times: %+v", len(who.put), who.put)
			}
			if got := b.eventsOf(topic); !slices.Equal(got, []journal.Event{journal.Asked, journal.Withdrawn}) {
				t.Errorf("recorded %v", got)
			}
			if !b.person.heard(operator.Notice, "settled without your answer: A:0 is in the expected state") {
				t.Errorf("the operator was told %+v", b.person.told)
			}
			if b.state().Asked != nil {
				t.Error("the question is still open at the end")
			}
		})
	}
}

// TestOutageQuestionSettlesItself: the cluster answers again while csu asks whether to
// continue without it.
func TestOutageQuestionSettlesItself(t *testing.T) {
	b := twoStages(t)
	var sent []error
	b.sending("one/b", func() { b.away(true); b.time.Advance(10*60e9, nil) }, &sent)
	who := &slowly{person: b.person, on: operator.Outage, then: func(ctx context.Context, _ int, _ operator.Question) (operator.Answer, error) {
		b.away(false)
		<-ctx.Done()
		return operator.Answer{}, ctx.Err()
	}}
	b.must(Completed, func(o *Options) { o.Operator = who })
	if got := b.eventsOf(operator.Outage); !slices.Equal(got, []journal.Event{journal.Asked, journal.Withdrawn}) {
		t.Errorf("recorded %v", got)
	}
}

// TestEvidenceWhileTheClusterIsAway: what reads a question's evidence does not ask whether
// to continue without the cluster, since that question would wait for this one for ever.
func TestEvidenceWhileTheClusterIsAway(t *testing.T) {
	b := twoStages(t)
	b.world.script["one/b"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		b.away(true)
		b.time.Advance(10*60e9, nil)
		answer, err := a.Ask(ctx, func(ctx context.Context) (operator.Question, bool) {
			q, _ := manually("switch M2")(ctx)
			q.Reading = fmt.Sprint(gate.Pass(ctx))
			return q, true
		})
		b.away(false)
		if err != nil || answer.Choice != operator.Yes {
			t.Errorf("Ask = %+v, %v", answer, err)
		}
		return b.world.effect(a, action.Done)
	}}
	b.must(Completed)
	if q := b.person.questions(operator.Manual); len(q) != 1 || !strings.Contains(q[0].Reading, "unreachable since") {
		t.Errorf("asked %+v", q)
	}
}

// TestEvidenceIsReadAgain: each minute, and when the operator asks for it. The question is
// put again where it then shows something else, or where the operator asked.
func TestEvidenceIsReadAgain(t *testing.T) {
	a := step("a", host("h1"))
	a.Consent = "Stop it?"
	b := newBench(t, stage("one", a))
	var mu sync.Mutex
	looked, changed := 0, make(chan struct{})
	reading := func() string {
		mu.Lock()
		defer mu.Unlock()
		if looked++; looked == 3 {
			close(changed)
		}
		if looked < 3 {
			return "12 namespaces"
		}
		return "13 namespaces"
	}
	b.world.script["one/a"] = behaviour{readings: reading}
	who := &slowly{person: b.person, on: operator.StepConsent, then: func(ctx context.Context, n int, q operator.Question) (operator.Answer, error) {
		switch n {
		case 1:
			<-changed // in the third minute
			<-ctx.Done()
		case 2:
			q.Refresh()
			<-ctx.Done()
		default:
			return yes(q)
		}
		return operator.Answer{}, ctx.Err()
	}}
	b.must(Completed, func(o *Options) { o.Operator = who })
	var shown []string
	for _, q := range who.put {
		shown = append(shown, q.Reading)
	}
	if !slices.Equal(shown, []string{"12 namespaces", "13 namespaces", "13 namespaces"}) {
		t.Errorf("put with %q", shown)
	}
	notices := 0
	for _, e := range b.person.told {
		if strings.Contains(e.Text, "what csu sees has changed") {
			notices++
		}
	}
	if notices != 1 {
		t.Errorf("told %d times that it changed: %+v", notices, b.person.told)
	}
	for _, r := range b.records() {
		if r.Answer != nil && r.Step == "one/a" && r.Answer.Shown != "13 namespaces" {
			t.Errorf("recorded %+v", r.Answer)
		}
	}
	if got := b.eventsOf(operator.StepConsent); !slices.Equal(got, []journal.Event{journal.Asked, journal.Answered}) {
		t.Errorf("recorded %v", got)
	}
}

// TestFailedWaitShowsWhatIsMissingNow: the question about a wait that has failed follows
// what it waits for.
func TestFailedWaitShowsWhatIsMissingNow(t *testing.T) {
	b := newBench(t, stage("one", step("a", &plan.AwaitState{Want: []plan.Want{{CSCs: []string{"A:0", "B:0"}, States: []string{"ENABLED"}}}})))
	b.world.script["one/a"] = behaviour{
		perform: func(context.Context, *action.Attempt) action.Finding {
			return action.Found(action.Failed, "after 1m, 2 of 2 CSCs are not in the expected state:\nA:0: STANDBY\nB:0: STANDBY")
		},
		look: func(_ context.Context, a *action.Attempt) action.Finding {
			if !a.Glance {
				t.Error("csu waits for what it looks at while the operator waits")
			}
			return action.Found(action.NotDone, "B:0: STANDBY")
		},
	}
	who := &slowly{person: b.person, on: operator.Failed, then: func(ctx context.Context, n int, q operator.Question) (operator.Answer, error) {
		if n == 1 {
			<-ctx.Done()
			return operator.Answer{}, ctx.Err()
		}
		if want := "it failed: after 1m, 2 of 2 CSCs are not in the expected state. Now:\nB:0: STANDBY"; q.Text != want {
			t.Errorf("asked %q, want %q", q.Text, want)
		}
		return operator.Answer{Choice: operator.Skip, Reason: "its lens is out"}, nil
	}}
	b.must(Completed, func(o *Options) { o.Operator = who })
}

// TestEvidenceBeforeAnAnswerThatComesTooLate: what csu has seen counts, and not an answer
// to a question that it was about to withdraw.
func TestEvidenceBeforeAnAnswerThatComesTooLate(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	probed := make(chan struct{})
	probes := 0
	b.world.script["one/a"] = behaviour{
		perform: func(_ context.Context, a *action.Attempt) action.Finding {
			b.world.effect(a, action.Done)
			return action.Found(action.Unknown, "the answer was lost")
		},
		probe: func(context.Context, *action.Attempt) action.Finding {
			if probes++; probes == 1 {
				return action.Found(action.Unknown, "the host does not answer")
			}
			close(probed)
			return action.Found(action.Done, "it has ended")
		},
	}
	who := &slowly{person: b.person, on: operator.InDoubt, then: func(ctx context.Context, _ int, _ operator.Question) (operator.Answer, error) {
		<-ctx.Done()
		return operator.Answer{Choice: operator.NotHappened, By: "Ana"}, nil
	}}
	b.must(Completed, func(o *Options) { o.Operator = who })
	<-probed
	b.phases(map[string]state.Phase{"one/a": state.Done})
	if len(b.world.effects) != 1 {
		t.Errorf("effects %v", b.world.effects)
	}
}

// TestQuestionThatWasOpen: a journal says what was asked when csu ended, and since when;
// a resumed run asks again.
func TestQuestionThatWasOpen(t *testing.T) {
	b := newBench(t, stage("one", step("a", &plan.Manual{Text: "switch M2"})))
	b.world.script["one/a"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		if _, err := a.Ask(ctx, manually("switch M2")); err != nil {
			return action.Found(action.NotDone, "%v", err)
		}
		return b.world.effect(a, action.Done)
	}}
	// Killed: the disk takes nothing more.
	b.disk.Fault = func(op journaltest.Op) (f journaltest.Fault) {
		if op.Kind == journaltest.Write && strings.Contains(string(op.Data), `"event":"answer"`) && strings.Contains(string(op.Data), "one/a") {
			f.Err = errors.New("no power")
		}
		return f
	}
	if _, err := b.run(); err == nil {
		t.Fatal("the disk has taken the answer")
	}
	b.disk.Fault = nil
	asked := b.state().Asked
	if asked == nil || asked.Step != "one/a" || asked.Question.Topic != string(operator.Manual) || asked.Question.Text != "switch M2" || asked.Time.IsZero() {
		t.Fatalf("asked: %+v", asked)
	}
	b.must(Completed, resumed)
	if n := len(b.person.questions(operator.Manual)); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if b.state().Asked != nil {
		t.Error("the question is still open at the end")
	}
}

// prepared is an operator who has answered everything before.
type prepared struct{ *person }

func (p prepared) Beforehand(q operator.Question) (operator.Answer, bool) {
	return operator.Answer{Choice: operator.Yes, By: "Ana", Via: "in advance"}, slices.Contains(q.Choices, operator.Yes)
}

// TestAnsweredBeforehand: a question that does not wait is not recorded as asked.
func TestAnsweredBeforehand(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.must(Completed, func(o *Options) { o.Operator = prepared{b.person} })
	if got := b.eventsOf(operator.StageConsent); !slices.Equal(got, []journal.Event{journal.Answered}) || len(b.person.asked) > 0 {
		t.Errorf("recorded %v, asked %v", got, b.person.asked)
	}
}

// doubtful is a bench whose stage and two of its steps rest on doubts.
func doubtful(t *testing.T) *bench {
	a, c := step("a", host("h1")), step("c", host("h3"), "b")
	a.Doubt, c.Doubt, c.Consent = "is it h1?", "is it h3?", "Touch h3?"
	b := newBench(t, stage("one", a, step("b", host("h2"), "a"), c))
	b.plan.Stages[0].Doubts = []string{"is it the site?"}
	return b
}

// TestDoubtsAreAskedBeforeTheStage: all of them together, and each once.
func TestDoubtsAreAskedBeforeTheStage(t *testing.T) {
	b := doubtful(t)
	b.person.answer = choose(operator.StageConsent, operator.No)
	b.must(Halted)
	var asked []string
	for _, q := range b.person.asked {
		asked = append(asked, fmt.Sprintf("%s %s%s", q.Topic, q.Text, map[bool]string{true: " " + q.Step}[q.Step != ""]))
	}
	if want := []string{"doubt is it the site?", "doubt is it h1? one/a", "doubt is it h3? one/c", "stage consent May one begin?"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if !b.person.heard(operator.Notice, "3 doubts rest on this stage; csu asks about each before your consent; the steps that rest on them: one/a, one/c") {
		t.Errorf("the operator was told %+v", b.person.told)
	}
	b.person.answer = nil
	b.must(Completed, resumed)
	if n := len(b.person.questions(operator.Doubt)); n != 3 {
		t.Errorf("doubts asked %d times", n)
	}
	if n := len(b.person.questions(operator.StepConsent)); n != 1 {
		t.Errorf("the step's consent was asked %d times", n)
	}
}

// TestDoubtAnsweredOtherwise: before the stage, a step can be left out because of its doubt,
// or be said to be done by hand, which csu checks when its turn comes.
func TestDoubtAnsweredOtherwise(t *testing.T) {
	for choice, want := range map[operator.Choice]struct {
		end   End
		phase state.Phase
	}{
		operator.ByHand: {Completed, state.ByHand},
		operator.Skip:   {Completed, state.Skipped},
		operator.No:     {Halted, state.Pending},
		operator.Abort:  {Aborted, state.Pending},
	} {
		t.Run(string(choice), func(t *testing.T) {
			b := doubtful(t)
			b.world.script["one/c"] = behaviour{look: func(context.Context, *action.Attempt) action.Finding {
				if !slices.Contains(b.world.steps(), "one/b") {
					t.Error("csu looked before what the step needs was done")
				}
				return action.Found(action.Done, "h3 is silent")
			}}
			b.person.answer = func(q operator.Question) (operator.Answer, error) {
				if q.Topic == operator.Doubt && q.Step == "one/c" {
					return operator.Answer{Choice: choice, Reason: "it is h4", By: "Ana"}, nil
				}
				return yes(q)
			}
			b.must(want.end)
			b.phases(map[string]state.Phase{"one/c": want.phase})
			if slices.Contains(b.world.steps(), "one/c") {
				t.Error("it was done all the same")
			}
			if began := slices.Contains(b.world.steps(), "one/a"); began != (want.end == Completed) {
				t.Errorf("the stage began: %v", began)
			}
		})
	}
}

// TestDoubtInAStageThatHadBegun: in the journal of an older csu the stage may have begun
// without its doubts. They are asked at their steps.
func TestDoubtInAStageThatHadBegun(t *testing.T) {
	b := doubtful(t)
	older := *b.plan
	older.Stages = slices.Clone(b.plan.Stages)
	older.Stages[0].Doubts, older.Stages[0].Steps = nil, slices.Clone(b.plan.Stages[0].Steps)
	for i := range older.Stages[0].Steps {
		older.Stages[0].Steps[i].Doubt = ""
	}
	b.failing("one/a", 1, action.Failed)
	b.person.answer = choose(operator.Failed, operator.Stop)
	b.must(Halted, func(o *Options) { o.Plan = &older })
	b.person.answer = choose(operator.Failed, operator.Retry)
	b.must(Completed, resumed)
	var about []string
	for _, q := range b.person.questions(operator.Doubt) {
		about = append(about, q.Step)
	}
	if !slices.Equal(about, []string{"one/a", "one/c"}) {
		t.Errorf("doubts asked about %q", about)
	}
}
