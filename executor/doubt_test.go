package executor

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// lost has a step's effect happen, or not, and its answer be lost.
func (b *bench) lost(id string, happens bool, probe action.Verdict) {
	b.world.script[id] = behaviour{
		perform: func(_ context.Context, a *action.Attempt) action.Finding {
			if happens {
				b.world.effect(a, action.Done)
				happens = false
			}
			if strings.HasSuffix(a.Identity, "/1") {
				return action.Found(action.Unknown, "the answer was lost")
			}
			return b.world.effect(a, action.Done)
		},
		probe: func(_ context.Context, a *action.Attempt) action.Finding {
			if probe == "" {
				return b.world.look(a)
			}
			return action.Found(probe, "the probe says %s", probe)
		},
	}
}

func TestLostAnswerIsProbed(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.lost("one/a", true, "")
	b.must(Completed)
	if len(b.world.effects) != 1 || len(b.person.questions(operator.InDoubt)) != 0 {
		t.Errorf("effects %v, %d questions", b.world.effects, len(b.person.questions(operator.InDoubt)))
	}
	b = newBench(t, stage("one", step("a", host("h1"))))
	b.lost("one/a", false, "") // then it is known not to have happened, and retry is offered
	b.person.answer = choose(operator.Failed, operator.Retry)
	b.must(Completed)
	if len(b.world.effects) != 1 || len(b.person.questions(operator.Failed)) != 1 {
		t.Errorf("effects %v, %d questions", b.world.effects, len(b.person.questions(operator.Failed)))
	}
}

// TestLostAnswerOfWhatGoesOn: what its probe sees going on is waited for, and only
// asked about when its time limit has been waited.
func TestLostAnswerOfWhatGoesOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		probes []action.Verdict // one after the other, then Running
		asked  int
	}{
		{"seen at once", nil, 0},
		{"seen after keep waiting", []action.Verdict{action.Unknown}, 1},
	} {
		b := newBench(t, stage("one", step("a", host("h1"))))
		b.lost("one/a", true, action.Running)
		script := b.world.script["one/a"]
		script.probe = func(context.Context, *action.Attempt) action.Finding {
			if len(c.probes) > 0 {
				v := c.probes[0]
				c.probes = c.probes[1:]
				return action.Found(v, "the probe says %s", v)
			}
			return action.Found(action.Running, "it goes on")
		}
		script.await = func(context.Context, *action.Attempt) action.Finding {
			return action.Found(action.Done, "it has ended")
		}
		b.world.script["one/a"] = script
		b.person.answer = choose(operator.InDoubt, operator.KeepWaiting)
		b.must(Completed)
		if n := len(b.person.questions(operator.InDoubt)); n != c.asked || len(b.world.effects) != 1 {
			t.Errorf("%s: asked %d times, want %d; effects %v", c.name, n, c.asked, b.world.effects)
		}
	}
	// One that does not end within its limit is asked about, each time.
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.lost("one/a", true, action.Running)
	script := b.world.script["one/a"]
	waits := 0
	script.await = func(context.Context, *action.Attempt) action.Finding {
		if waits++; waits < 3 {
			return action.Found(action.Running, "it goes on")
		}
		return action.Found(action.Done, "it has ended")
	}
	b.world.script["one/a"] = script
	b.person.answer = choose(operator.InDoubt, operator.KeepWaiting, operator.KeepWaiting)
	b.must(Completed)
	if q := b.person.questions(operator.InDoubt); len(q) != 2 || !strings.Contains(q[0].Text, "is still running after its time limit") {
		t.Errorf("asked %+v", q)
	}
}

func TestInDoubtIsAsked(t *testing.T) {
	// It happened, and the operator sees that.
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"), "a")))
	b.lost("one/a", true, action.Unknown)
	b.person.answer = choose(operator.InDoubt, operator.KeepWaiting, operator.Happened)
	b.must(Completed)
	q := b.person.questions(operator.InDoubt)
	if len(q) != 2 || !strings.Contains(q[0].Reading, "the probe says unknown") || slices.Contains(q[0].Choices, operator.Retry) {
		t.Errorf("asked %+v", q)
	}
	if st := b.state().Steps["one/a"]; st.Phase != state.Done || st.By != "Ana" || len(b.world.effects) != 2 {
		t.Errorf("%+v, effects %v", st, b.world.effects)
	}
	// It did not happen: only then it may be tried again.
	b = newBench(t, stage("one", step("a", host("h1"))))
	b.lost("one/a", false, action.Unknown)
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		switch q.Topic {
		case operator.InDoubt:
			return operator.Answer{Choice: operator.NotHappened}, nil
		case operator.Failed:
			return operator.Answer{Choice: operator.Retry}, nil
		}
		return yes(q)
	}
	b.must(Completed)
	if len(b.person.questions(operator.Failed)) != 1 || len(b.world.effects) != 1 || b.state().Steps["one/a"].Attempt != 2 {
		t.Errorf("effects %v", b.world.effects)
	}
	// Nobody decides: it stays in doubt, over resumes, and is never repeated.
	b = newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"))))
	b.plan.Stages[0].Steps[1].Needs = []string{"one/a"}
	b.lost("one/a", true, action.Unknown)
	b.person.answer = choose(operator.InDoubt, operator.Stop)
	b.must(Halted)
	b.must(Halted, resumed)
	b.phases(map[string]state.Phase{"one/a": state.InDoubt, "one/b": state.Pending})
	b.person.answer = choose(operator.InDoubt, operator.Happened)
	b.must(Completed, resumed)
	if len(b.world.effects) != 2 {
		t.Errorf("effects %v", b.world.effects)
	}
}

// TestDoubtIsLookedIntoAtItsTurn: what is shown of a step in doubt is not as old as
// the question that was before it, and what has become known is not asked.
func TestDoubtIsLookedIntoAtItsTurn(t *testing.T) {
	for _, c := range []struct {
		then  action.Verdict // what the second look finds
		asked int
		phase state.Phase
	}{
		{action.Unknown, 1, state.Done},
		{action.Done, 0, state.Done},
		{action.Failed, 0, state.Skipped},
		{action.NotDone, 0, state.Skipped},
		{action.Running, 0, state.Done}, // it is waited for
	} {
		t.Run(string(c.then), func(t *testing.T) {
			b := newBench(t, stage("one", step("bad", host("h1")), step("lost", host("h2"))))
			begun, asked, looked := make(chan struct{}), make(chan struct{}), make(chan struct{})
			b.waiting("one/bad", action.Failed, nil, begun)
			probes := 0
			b.world.script["one/lost"] = behaviour{
				perform: func(_ context.Context, a *action.Attempt) action.Finding {
					close(begun)
					<-asked
					b.world.effect(a, action.Done)
					return action.Found(action.Unknown, "the answer was lost")
				},
				probe: func(context.Context, *action.Attempt) action.Finding {
					if probes++; probes == 1 {
						close(looked)
						return action.Found(action.Unknown, "the first look")
					}
					return action.Found(c.then, "the second look")
				},
				await: func(context.Context, *action.Attempt) action.Finding {
					return action.Found(action.Done, "it has ended")
				},
			}
			b.person.answer = func(q operator.Question) (operator.Answer, error) {
				switch {
				case q.Topic == operator.InDoubt:
					return operator.Answer{Choice: operator.Happened}, nil
				case q.Topic != operator.Failed:
					return yes(q)
				case q.Step == "one/bad":
					close(asked)
					<-looked
					b.recorded("one/lost", journal.Doubtful, viaProbe)
					time.Sleep(100 * time.Millisecond) // real: until the doubt, which is asked about next, waits for its turn
				}
				return operator.Answer{Choice: operator.Skip, Reason: "for the test"}, nil
			}
			b.must(Completed)
			b.phases(map[string]state.Phase{"one/bad": state.Skipped, "one/lost": c.phase})
			q := b.person.questions(operator.InDoubt)
			if len(q) != c.asked || probes != 2 || len(q) > 0 && q[0].Reading != "the second look" {
				t.Errorf("looked %d times, asked %+v", probes, q)
			}
			if len(b.world.effects) != 2 {
				t.Errorf("effects: %v", b.world.effects)
			}
		})
	}
}

func TestTimeLimitIsAsked(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	waited := 0
	running := func(context.Context, *action.Attempt) action.Finding {
		return action.Found(action.Running, "compiling")
	}
	b.world.script["one/a"] = behaviour{
		perform: running, probe: running,
		await: func(_ context.Context, a *action.Attempt) action.Finding {
			if waited++; waited < 3 {
				return action.Found(action.Running, "still compiling")
			}
			return b.world.effect(a, action.Done)
		},
	}
	b.person.answer = choose(operator.InDoubt, operator.KeepWaiting)
	b.must(Completed)
	q := b.person.questions(operator.InDoubt)
	if waited != 3 || len(q) != 3 || !strings.Contains(q[0].Text, "time limit of 1m") || q[0].Reading != "compiling" {
		t.Errorf("waited %d times, asked %+v", waited, q)
	}
}

// TestNothingStartsWhileInDoubt: running steps finish, new ones wait for the answer.
func TestNothingStartsWhileInDoubt(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2")), step("c", host("h3"), "b")))
	asked, begun := make(chan struct{}), make(chan struct{})
	b.world.script["one/a"] = behaviour{
		perform: func(_ context.Context, a *action.Attempt) action.Finding {
			<-begun
			b.world.effect(a, action.Done)
			return action.Found(action.Unknown, "the answer was lost")
		},
		probe: func(context.Context, *action.Attempt) action.Finding {
			return action.Found(action.Unknown, "nobody can tell")
		},
	}
	b.world.script["one/b"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		close(begun)
		<-asked
		return b.world.effect(a, action.Done)
	}}
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Topic != operator.InDoubt {
			return yes(q)
		}
		close(asked)
		time.Sleep(30 * time.Millisecond)
		if slices.Contains(b.world.steps(), "one/c") {
			t.Error("a step was started while another was in doubt")
		}
		return operator.Answer{Choice: operator.Happened}, nil
	}
	b.must(Completed)
}

func TestInDoubtWithReport(t *testing.T) {
	post := step("post", message("#summit"))
	look := step("look", &plan.AwaitState{Want: []plan.Want{{States: []string{"STANDBY"}, CSCs: []string{"A:0"}}}})
	other := step("other", host("h1"))
	for _, s := range []*plan.Step{&post, &look, &other} {
		s.OnFailure = plan.Report
	}
	b := newBench(t, stage("one", post, look, other))
	b.lost("one/post", true, action.Unknown)
	b.world.script["one/look"] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding {
		return action.Found(action.Running, "A:0 is still in OFFLINE")
	}}
	b.lost("one/other", true, action.Unknown)
	b.person.answer = choose(operator.InDoubt, operator.Happened)
	b.must(Completed)
	b.phases(map[string]state.Phase{"one/post": state.PerhapsSent, "one/look": state.Reported, "one/other": state.Done})
	if q := b.person.questions(operator.InDoubt); len(q) != 1 || q[0].Step != "one/other" {
		t.Errorf("asked %+v", q)
	}
}

func TestNotes(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.world.script["one/a"] = behaviour{
		perform: func(_ context.Context, a *action.Attempt) action.Finding {
			for i := range 2 {
				if err := a.Note(map[string]int{"n": i}); err != nil {
					t.Error(err)
				}
			}
			if len(a.Notes) != 2 {
				t.Errorf("notes: %s", a.Notes)
			}
			return action.Found(action.Unknown, "lost")
		},
		probe: func(_ context.Context, a *action.Attempt) action.Finding {
			if len(a.Notes) != 2 || string(a.Notes[1]) != `{"n":1}` || evidenceOf(a) != "one/a" {
				t.Errorf("notes %s, evidence %s", a.Notes, a.Evidence)
			}
			return action.Found(action.Unknown, "lost")
		},
	}
	b.person.answer = choose(operator.InDoubt, operator.Stop)
	b.must(Halted)
	b.must(Halted, resumed) // the same notes from the journal
}
