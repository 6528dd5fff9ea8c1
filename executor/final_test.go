package executor

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// schema is a plan with a step that a final one undoes.
func schema(t *testing.T) *bench {
	b := newBench(t, stage("one", step("x", host("h1"))), stage("two", step("none", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"})), stage("three", step("y", host("h1"))))
	b.plan.Final = []plan.Step{undoing("forward", "two/none"), undoing("other", "three/y")}
	return b
}

func TestFinalStepsRunAtTheEnd(t *testing.T) {
	b := schema(t)
	b.must(Completed)
	if got := b.world.steps(); !slices.Equal(got, []string{"one/x", "two/none", "three/y", "final/forward", "final/other"}) {
		t.Errorf("effects: %v", got)
	}
	if len(b.person.questions(operator.StepConsent)) != 0 || len(b.person.questions(operator.StageConsent)) != 3 {
		t.Error("a final step was asked about")
	}
}

// TestAbortAtEveryStep: a final step runs exactly if what it undoes was begun, or
// is in doubt.
func TestAbortAtEveryStep(t *testing.T) {
	for _, c := range []struct {
		at      string // the step at which the operator aborts
		forward state.Phase
		other   state.Phase
	}{
		{"one/x", state.NotNeeded, state.NotNeeded},
		{"two/none", state.Done, state.NotNeeded},
		{"three/y", state.Done, state.Done},
	} {
		for _, verdict := range []action.Verdict{action.Failed, action.NotDone, action.Unknown} {
			t.Run(c.at+" "+string(verdict), func(t *testing.T) {
				b := schema(t)
				if verdict == action.Unknown {
					b.lost(c.at, true, action.Unknown)
				} else {
					b.failing(c.at, 1, verdict)
				}
				b.person.answer = func(q operator.Question) (operator.Answer, error) {
					if q.Topic == operator.Failed || q.Topic == operator.InDoubt {
						return operator.Answer{Choice: operator.Abort}, nil
					}
					return yes(q)
				}
				res := b.must(Aborted)
				want := map[string]state.Phase{"final/forward": c.forward, "final/other": c.other}
				if verdict == action.Unknown {
					want[c.at] = state.LeftInDoubt
				}
				b.phases(want)
				if res.State.Ended != journal.Aborted || len(res.Owed) != 0 || b.ledger.Now().Holder != nil {
					t.Errorf("ended %q, owed %v, the site is held by %v", res.State.Ended, res.Owed, b.ledger.Now().Holder)
				}
			})
		}
	}
}

func TestAbortCommand(t *testing.T) {
	b := schema(t)
	b.must(Reached, func(o *Options) { o.Until = "two" })
	res, err := Abort(t.Context(), b.options())
	if err != nil || res.End != Aborted {
		t.Fatalf("abort = %q, %v", res.End, err)
	}
	b.phases(map[string]state.Phase{"three/y": state.Pending, "final/forward": state.Done, "final/other": state.NotNeeded})
	if got := b.world.steps(); !slices.Equal(got, []string{"one/x", "two/none", "final/forward"}) {
		t.Errorf("effects: %v", got)
	}
	for name, again := range map[string]func() error{
		"abort":  func() error { _, err := Abort(t.Context(), b.options()); return err },
		"resume": func() error { _, err := b.run(resumed); return err },
		"run":    func() error { _, err := b.run(); return err },
	} {
		if err := again(); exit.CodeOf(err) != exit.Refused || !strings.Contains(err.Error(), "aborted") {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

func TestAbortWithoutARun(t *testing.T) {
	b := schema(t)
	if _, err := Abort(t.Context(), b.options()); exit.CodeOf(err) != exit.Refused {
		t.Errorf("abort = %v", err)
	}
	if _, there := b.disk.Content("j"); there {
		t.Error("a journal was made")
	}
}

// TestAbortOfAnothersSite: a refused abort leaves the run as it was.
func TestAbortOfAnothersSite(t *testing.T) {
	b := schema(t)
	b.must(Reached, func(o *Options) { o.Until = "two" })
	before := b.ledger.Now()
	b.ledger.Edit(anothers)
	if _, err := Abort(t.Context(), b.options()); exit.CodeOf(err) != exit.Refused || b.state().Aborting {
		t.Errorf("abort = %v, aborting %v", err, b.state().Aborting)
	}
	b.ledger.Edit(func(l *ledger.Ledger) { *l = before })
	if res, err := Abort(t.Context(), b.options()); err != nil || res.End != Aborted {
		t.Errorf("abort = %q, %v", res.End, err)
	}
}

// TestAbortAfterACrash leaves what is in doubt so, without looking.
func TestAbortAfterACrash(t *testing.T) {
	b := schema(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.world.script["two/none"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		cancel()
		return action.Found(action.Unknown, "killed")
	}}
	if _, err := Run(ctx, b.options()); err != nil {
		t.Fatal(err)
	}
	res, err := Abort(t.Context(), b.options())
	if err != nil || res.End != Aborted {
		t.Fatalf("abort = %q, %v", res.End, err)
	}
	b.phases(map[string]state.Phase{"two/none": state.LeftInDoubt, "final/forward": state.Done})
}

// TestFinalStepFails: the journal stays open, and abort or resume repeats it.
func TestFinalStepFails(t *testing.T) {
	for _, repeat := range []string{"abort", "resume"} {
		b := schema(t)
		b.failing("final/forward", 2, action.Failed)
		res := b.must(Halted) // nobody answers what to do
		if len(res.Owed) != 2 || !strings.Contains(res.Text, "final/forward") || !strings.Contains(res.Text, "stays open") {
			t.Errorf("owed %v, %q", res.Owed, res.Text)
		}
		if slices.Contains(b.world.steps(), "final/other") {
			t.Error("a final step ran out of order")
		}
		again := func(end End) {
			t.Helper()
			if repeat == "resume" {
				b.must(map[End]End{Halted: Halted, Aborted: Completed}[end], resumed)
				return
			}
			if res, err := Abort(t.Context(), b.options()); err != nil || res.End != end {
				t.Fatalf("abort = %q, %v", res.End, err)
			}
		}
		again(Halted)
		again(Aborted)
		b.phases(map[string]state.Phase{"final/forward": state.Done, "final/other": state.Done})
		if n := b.state().Steps["final/forward"].Attempt; n != 3 {
			t.Errorf("%d attempts", n)
		}
	}
}

func TestFinalStepByHand(t *testing.T) {
	for _, seen := range []action.Verdict{action.Done, action.NotDone} {
		b := schema(t)
		level := action.NotDone
		b.world.script["final/forward"] = behaviour{
			perform: func(_ context.Context, a *action.Attempt) action.Finding {
				return action.Found(action.Failed, "no pod")
			},
			look: func(context.Context, *action.Attempt) action.Finding {
				defer func() { level = action.Done }()
				if seen == action.Done {
					return action.Found(action.Done, "the level is FORWARD")
				}
				return action.Found(level, "the level is read")
			},
		}
		b.person.answer = choose(operator.Failed, operator.ByHand)
		b.must(Completed)
		want := 1 + map[action.Verdict]int{action.Done: 0, action.NotDone: 1}[seen]
		q := b.person.questions(operator.Failed)
		if len(q) != want {
			t.Errorf("%s: asked %d times, want %d", seen, len(q), want)
		}
		if slices.Contains(q[0].Choices, operator.Skip) || slices.Contains(q[0].Choices, operator.Abort) {
			t.Error("a final step can be left out")
		}
	}
}

// TestUndoneByHand: what a person did has to be undone as well.
func TestUndoneByHand(t *testing.T) {
	b := schema(t)
	b.plan.Stages[1].Steps[0].Consent = "really?"
	b.person.answer = choose(operator.StepConsent, operator.ByHand)
	b.must(Completed)
	b.phases(map[string]state.Phase{"two/none": state.ByHand, "final/forward": state.Done})
	b = schema(t)
	b.plan.Stages[1].Steps[0].Consent = "really?"
	b.person.answer = choose(operator.StepConsent, operator.Skip)
	b.must(Completed)
	b.phases(map[string]state.Phase{"two/none": state.Skipped, "final/forward": state.NotNeeded})
}

// TestAbortIsResumed: an abort that was interrupted goes on as an abort.
func TestAbortIsResumed(t *testing.T) {
	b := schema(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.failing("two/none", 1, action.Failed)
	b.person.answer = choose(operator.Failed, operator.Abort)
	b.world.script["final/forward"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		defer cancel()
		b.world.effect(a, action.Done)
		return action.Found(action.Unknown, "killed")
	}}
	res, err := Run(ctx, b.options())
	if err != nil || res.End != Interrupted || !res.State.Aborting {
		t.Fatalf("run = %q, %v", res.End, err)
	}
	delete(b.world.script, "final/forward")
	b.must(Aborted, resumed)
	if got := b.world.steps(); !slices.Equal(got, []string{"one/x", "two/none", "final/forward"}) {
		t.Errorf("effects: %v", got)
	}
}

func TestReportDoesNotHoldForFinalSteps(t *testing.T) {
	b := schema(t)
	b.plan.Final[0].OnFailure = plan.Report
	b.failing("final/forward", 1, action.Failed)
	b.person.answer = choose(operator.Failed, operator.Retry)
	b.must(Completed)
	b.phases(map[string]state.Phase{"final/forward": state.Done})
}

func TestDown(t *testing.T) {
	set := func(id, state string, cscs ...string) plan.Step {
		return step(id, &plan.SetState{Queue: 1, State: state, CSCs: cscs})
	}
	see := func(id string, states []string, cscs ...string) plan.Step {
		return step(id, &plan.AwaitState{Want: []plan.Want{{States: states, CSCs: cscs}}})
	}
	b := newBench(t,
		stage("one", set("off", "OFFLINE", "MTMount:0", "Watcher:0"), step("jobs", &plan.Delete{Objects: plan.Jobs, Namespace: "n", Selector: "a=b", CSCs: []string{"ESS:105", "love-commander"}}, "off")),
		stage("two", step("sync", &plan.Sync{Application: "a", Revision: "r", CSCs: []string{"ESS:105", "love-commander"}}), see("maybe", []string{"STANDBY", "OFFLINE"}, "ESS:105")),
		stage("three", see("back", []string{"STANDBY"}, "MTMount:0")),
		stage("four", set("on", "ENABLED", "Watcher:0"), see("ess", []string{"STANDBY", "ENABLED"}, "ESS:105")))
	for _, c := range []string{"ESS:105", "MTMount:0", "Watcher:0", "love-commander", "ATDome:0"} {
		b.plan.CSCs = append(b.plan.CSCs, plan.CSC{CSC: c, Host: "h"})
	}
	if down := report.Down(state.New(b.plan)); len(down) != 0 {
		t.Errorf("before: %v", down)
	}
	for _, c := range []struct {
		until string
		want  string
	}{
		{"one", "Watcher:0 ESS:105 MTMount:0 love-commander"},
		{"two", "Watcher:0 ESS:105 MTMount:0"},
		{"three", "Watcher:0 ESS:105"},
		{"four", ""},
	} {
		res := b.must(Reached, func(o *Options) { o.Resume, o.Until = c.until != "one", c.until })
		if got := strings.Join(res.Down, " "); got != c.want {
			t.Errorf("after %s: %q, want %q", c.until, got, c.want)
		}
	}
	if text := report.DownText(b.state()); text != "" {
		t.Errorf("at the end: %q", text)
	}
}

func TestDownAfterShutdown(t *testing.T) {
	b := newBench(t, stage("one", step("all", &plan.Script{Queue: 1, Path: "system_wide_shutdown.py", Standard: true, Accept: []string{"DONE"}, Config: "user: ana\nreason: test\nignore: [MTM1M3, MTM1M3TS]\nstart_with: [Watcher]\n"})))
	for _, c := range []string{"MTM1M3:0", "MTM1M3TS:0", "ATDome:0", "ScriptQueue:1", "Watcher:0", "love-commander"} {
		b.plan.CSCs = append(b.plan.CSCs, plan.CSC{CSC: c, Host: "h"})
	}
	b.failing("one/all", 1, action.Failed)
	b.person.answer = choose(operator.Failed, operator.Abort)
	res := b.must(Aborted)
	if !slices.Equal(res.Down, []string{"Watcher:0", "ATDome:0"}) {
		t.Errorf("down: %v", res.Down)
	}
	last := b.records()[len(b.records())-2] // before the site is released
	if last.Event != journal.Aborted || !strings.Contains(last.Text, "2 CSCs were taken down") {
		t.Errorf("the last record: %+v", last)
	}
}
