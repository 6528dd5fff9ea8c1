package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
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
	if q := b.person.questions(operator.InDoubt); len(q) != 2 || !strings.Contains(q[0].Text, "goes on after its time limit") {
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
	if st := b.state().Steps["one/a"]; st.Phase != Done || st.By != "Ana" || len(b.world.effects) != 2 {
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
	b.phases(map[string]Phase{"one/a": InDoubt, "one/b": Pending})
	b.person.answer = choose(operator.InDoubt, operator.Happened)
	b.must(Completed, resumed)
	if len(b.world.effects) != 2 {
		t.Errorf("effects %v", b.world.effects)
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

// TestNothingStartsWhileInDoubt: other steps are let finish, new ones wait for
// the answer.
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
	b.phases(map[string]Phase{"one/post": PerhapsSent, "one/look": Reported, "one/other": Done})
	if q := b.person.questions(operator.InDoubt); len(q) != 1 || q[0].Step != "one/other" {
		t.Errorf("asked %+v", q)
	}
}

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
		var answer *AnswerError
		if _, err := b.run(); !errors.As(err, &answer) || answer.Step != "one/a" {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// TestActionAsks: what an action asks is recorded, and a choice to skip or to
// stop is obeyed.
func TestActionAsks(t *testing.T) {
	for _, c := range []struct {
		choice operator.Choice
		end    End
		phase  Phase
	}{
		{operator.Yes, Completed, Done}, {operator.Skip, Completed, Skipped},
		{operator.ByHand, Completed, ByHand}, {operator.Stop, Halted, NotDone},
	} {
		b := newBench(t, stage("one", step("a", &plan.Manual{Text: "switch M2"})))
		b.world.script["one/a"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			got, err := a.Ask(ctx, operator.Question{Topic: operator.Manual, Text: "switch M2", Choices: []operator.Choice{operator.Yes, operator.ByHand, operator.Skip, operator.Stop}})
			if err != nil || got.Choice != operator.Yes {
				return action.Found(action.NotDone, "the operator said %s", got.Choice)
			}
			return b.world.effect(a, action.Done)
		}}
		b.person.answer = choose(operator.Manual, c.choice)
		b.must(c.end)
		b.phases(map[string]Phase{"one/a": c.phase})
		recorded := slices.ContainsFunc(b.records(), func(r journal.Record) bool {
			return r.Answer != nil && r.Step == "one/a" && r.Stage == "one" && r.Answer.Choice == string(c.choice) && r.Answer.Text == "switch M2"
		})
		if !recorded {
			t.Error("the answer is not in the journal")
		}
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

// TestDiskFailureEndsTheRun: when the journal can't be written, nothing is
// started any more.
func TestDiskFailureEndsTheRun(t *testing.T) {
	for _, kind := range []string{journaltest.Write, journaltest.Sync} {
		for n := 1; ; n++ {
			b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"), "a")), stage("two", step("c", host("h1"))))
			count, done := 0, -1
			b.disk.Fault = func(op journaltest.Op) journaltest.Fault {
				if op.Kind == kind {
					if count++; count == n {
						b.world.mu.Lock()
						done = len(b.world.effects)
						b.world.mu.Unlock()
						return journaltest.Fault{Err: syscall.ENOSPC}
					}
				}
				return journaltest.Fault{}
			}
			_, err := b.run()
			if done < 0 {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			var failed *journal.FailedError
			if !errors.As(err, &failed) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%s %d: %v", kind, n, err)
			}
			if len(b.world.effects) != done {
				t.Errorf("%s %d: %d effects after the failure", kind, n, len(b.world.effects)-done)
			}
			b.disk.Fault = nil
			b.disk.Kill()
			if records := b.tryRecords(); len(records) == 0 || records[len(records)-1].Event != journal.Complete {
				b.must(Completed, func(o *Options) { o.Resume = len(records) > 0 })
			}
			if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "one/b", "two/c"}) {
				t.Errorf("%s %d: effects %v", kind, n, got)
			}
		}
	}
}

// tryRecords is records for a journal that may not exist.
func (b *bench) tryRecords() []journal.Record {
	var records []journal.Record
	if err := journal.Read(b.disk, "j", func(r *journal.Record) error { records = append(records, *r); return nil }); err != nil {
		return nil
	}
	return records
}

func TestPanicIsNotSwallowed(t *testing.T) {
	// A panic in a step's goroutine ends the process; what can be seen here is
	// that a performer's panic passes through the loop's own code.
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.world.script["one/a"] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding { panic("broken") }}
	r, err := newRun(t.Context(), b.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if got := recover(); got != "broken" {
			t.Errorf("recovered %v", got)
		}
		b.phases(map[string]Phase{"one/a": Started})
	}()
	r.try(&b.plan.Stages[0].Steps[0])
	t.Error("the panic was swallowed")
}
