package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// confirming is a csu abort that asks.
func (b *bench) confirming() Options {
	o := b.options()
	o.Confirm = true
	return o
}

func (b *bench) content() string {
	b.t.Helper()
	data, there := b.disk.Content("j")
	if !there {
		b.t.Fatal("there is no journal")
	}
	return string(data)
}

// TestAbortAsks: an abort shows what it will do before it does anything, and the
// journal keeps what was shown with the answer.
func TestAbortAsks(t *testing.T) {
	b := schema(t)
	b.must(Reached, func(o *Options) { o.Until = "two" })
	b.person.answer = choose(operator.Aborting, operator.Abort)
	res, err := Abort(t.Context(), b.confirming())
	if err != nil || res.End != Aborted {
		t.Fatalf("abort = %q, %v", res.End, err)
	}
	asked := b.person.questions(operator.Aborting)
	if len(asked) != 1 || !slices.Equal(asked[0].Choices, []operator.Choice{operator.No, operator.Abort}) {
		t.Fatalf("asked: %+v", asked)
	}
	if shown := asked[0].Reading; !strings.Contains(shown, "final/forward: Do final/forward; two/none, which it undoes, is done\n") || strings.Contains(shown, "final/other") {
		t.Errorf("shown: %s", shown)
	}
	// The answer is the reason, and comes first.
	at := slices.IndexFunc(b.records(), func(r journal.Record) bool { return r.Event == journal.Aborting }) - 1
	if a := b.records()[at].Answer; a == nil || a.Shown != asked[0].Reading || a.By != "Ana" || a.Choice != string(operator.Abort) {
		t.Errorf("the journal has the answer %+v", a)
	}
}

// TestAbortNotConfirmed: without the operator's word nothing is done, and not a
// byte is written; the run can be resumed.
func TestAbortNotConfirmed(t *testing.T) {
	b := schema(t)
	b.must(Reached, func(o *Options) { o.Until = "two" })
	before, effects, writes := b.content(), len(b.world.steps()), b.ledger.Writes()

	b.person.answer = choose(operator.Aborting, operator.No)
	if res, err := Abort(t.Context(), b.confirming()); err != nil || res.End != NotAborted || !strings.Contains(res.Text, "nothing was changed") {
		t.Errorf("no: abort = %q (%s), %v", res.End, res.Text, err)
	}
	b.person.answer = nil // nobody is there
	var unattended *operator.UnattendedError
	if _, err := Abort(t.Context(), b.confirming()); !errors.As(err, &unattended) || unattended.Question.Topic != operator.Aborting {
		t.Errorf("nobody: abort = %v", err)
	}
	b.person.answer = choose(operator.Aborting, operator.Yes)
	var wrong *operator.AnswerError
	if _, err := Abort(t.Context(), b.confirming()); !errors.As(err, &wrong) {
		t.Errorf("an answer that is none: abort = %v", err)
	}
	stop := make(chan struct{})
	o := b.confirming()
	o.Stop, o.Operator = stop, interrupting{b.person, stop}
	if res, err := Abort(t.Context(), o); err != nil || res.End != Interrupted {
		t.Errorf("interrupted: abort = %q (%s), %v", res.End, res.Text, err)
	}

	if b.content() != before || len(b.world.steps()) != effects || b.ledger.Writes() != writes {
		t.Errorf("something was changed: effects %v, %d writes to the ledger, journal:\n%s", b.world.steps(), b.ledger.Writes()-writes, b.content())
	}
	b.must(Completed, resumed)
}

// TestAbortNotConfirmedAfterATornLine: that the journal has lost its last line is
// told before the question, and recorded whatever the answer is.
func TestAbortNotConfirmedAfterATornLine(t *testing.T) {
	for _, end := range []End{NotAborted, Interrupted, NotRun} {
		b := schema(t)
		b.must(Reached, func(o *Options) { o.Until = "two" })
		b.disk.Put("j", []byte(b.content()+`{"seq":99,"ti`))
		o := b.confirming()
		told := false
		b.person.answer = func(q operator.Question) (operator.Answer, error) {
			told = slices.ContainsFunc(b.person.told, func(e operator.Event) bool { return strings.Contains(e.Text, "j.torn-1") })
			if end == NotRun {
				return yes(q) // there is no yes: nobody can answer
			}
			return operator.Answer{Choice: operator.No}, nil
		}
		if end == Interrupted {
			stop := make(chan struct{})
			o.Stop, o.Operator = stop, interrupting{b.person, stop}
		}
		res, err := Abort(t.Context(), o)
		if res.End != end || (err != nil) != (end == NotRun) || end != NotRun && !strings.Contains(res.Text, "nothing was changed except the journal: the last line") {
			t.Errorf("%q: abort = %q (%s), %v", end, res.End, res.Text, err)
		}
		if end != Interrupted && !told {
			t.Errorf("%q: it was not told before the question", end)
		}
		records := b.records()
		last := records[len(records)-2:]
		if last[0].Event != journal.Resumed || !strings.Contains(last[0].Text, "j.torn-1") || last[1].Event != journal.Stopped || !strings.Contains(last[1].Text, "not confirmed") {
			t.Errorf("%q: recorded %+v", end, last)
		}
		b.person.answer = nil
		b.must(Completed, resumed)
	}
}

// interrupting is an operator who presses Ctrl-C instead of answering.
type interrupting struct {
	operator.Operator
	stop chan<- struct{}
}

func (i interrupting) Ask(ctx context.Context, _ operator.Question) (operator.Answer, error) {
	close(i.stop)
	<-ctx.Done()
	return operator.Answer{}, ctx.Err()
}

// TestAbortText tells of each step only what is known of it.
func TestAbortText(t *testing.T) {
	update := func(name string) plan.Parameters {
		return &plan.SSH{Host: name, User: "u", Purpose: plan.Update, Service: "the daemon", Commands: []string{"true"}}
	}
	sync := func() plan.Parameters {
		return &plan.Sync{Application: "simonyitel", Revision: "r", CSCs: []string{"love-commander"}}
	}
	b := newBench(t,
		stage("one", step("off", &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"MTMount:0"}}),
			step("none", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"})),
		stage("two", step("sync", sync()), step("h1", update("h1"), "sync"), step("h2", update("h2"), "h1"), step("never", update("h3"), "h2")))
	b.plan.CSCs = []plan.CSC{{CSC: "MTMount:0", Host: "h"}, {CSC: "love-commander", Host: "h"}}
	b.plan.Final = []plan.Step{undoing("forward", "one/none"), undoing("other", "two/never")}
	if got := report.Abort(state.New(b.plan)); got != "No final steps have to run.\n"+
		"Nothing else is touched. The journal is closed, and this plan cannot be run again." {
		t.Errorf("before the run:\n%s", got)
	}
	b.lost("two/h2", true, action.Unknown)
	b.person.answer = choose(operator.InDoubt, operator.Stop)
	b.must(Halted)
	want := `These final steps run now:
  final/forward: Do final/forward; one/none, which it undoes, is done
These steps stay in doubt; check by hand what became of them:
  two/h2: Do h2
These stay down: MTMount.
These stay updated: application simonyitel, the daemon on h1.
These may stay partly updated: the daemon on h2.
Nothing else is touched. The journal is closed, and this plan cannot be run again.`
	if diff := cmp.Diff(want, report.Abort(b.state())); diff != "" {
		t.Error(diff)
	}
}

// TestWhatAnAbortLeavesStopped: services that were not started again are named, and
// the channel that waits for a word.
func TestWhatAnAbortLeavesStopped(t *testing.T) {
	service := func(host string, purpose plan.Purpose) plan.Parameters {
		return &plan.SSH{Host: host, User: "u", Purpose: purpose, Service: "ess-controller", Commands: []string{"true"}}
	}
	message := func() plan.Parameters { return &plan.Announce{Channel: "#summit-announce", Text: "news"} }
	b := newBench(t,
		stage("one", step("begins", message()), step("stop1", service("h1", plan.Stop)), step("stop2", service("h2", plan.Stop)), step("stop3", service("h3", plan.Stop)),
			step("start1", service("h1", plan.Start), "stop1"), step("start2", service("h2", plan.Start), "stop2")),
		// A channel with one message has heard all that it was to hear.
		stage("two", step("once", &plan.Announce{Channel: "#summit-simonyi", Text: "news"}), step("over", message())))
	phases := func(list map[string]state.Phase) string {
		s := state.New(b.plan)
		for id, phase := range list {
			s.Steps[id].Phase = phase
		}
		return report.Abort(s)
	}
	const stopped, tell = "These services stay stopped until they are started by hand: ", "csu does not announce the abort. Announce it yourself in #summit-announce, where the upgrade was announced."
	for want, list := range map[string]map[string]state.Phase{
		"":                     {"one/begins": state.Done, "one/stop1": state.Done, "one/start1": state.Done, "one/stop2": state.ByHand, "one/start2": state.ByHand, "two/over": state.Done},
		"ess-controller on h1": {"one/begins": state.Done, "one/stop1": state.Done, "one/stop2": state.Skipped, "two/once": state.Done, "two/over": state.Done},
		"ess-controller on h2": {"one/stop2": state.InDoubt},
		"ess-controller on h1, ess-controller on h2": {"one/begins": state.Done, "two/once": state.Done, "one/stop2": state.ByHand, "one/stop1": state.Done, "one/start2": state.Failed},
	} {
		got := phases(list)
		if want == "" && strings.Contains(got, stopped) || want != "" && !strings.Contains(got, stopped+want+".\n") {
			t.Errorf("%v: not %q:\n%s", list, want, got)
		}
		if told := list["one/begins"] == state.Done && list["two/over"] != state.Done; strings.Contains(got, tell) != told {
			t.Errorf("%v: whom to tell: want that %t:\n%s", list, told, got)
		}
	}
}

// TestUpdatedInPart: what has had no effect in any of its attempts is not said to
// be updated in part.
func TestUpdatedInPart(t *testing.T) {
	for _, c := range []struct {
		attempts []action.Verdict
		parts    bool
	}{
		{[]action.Verdict{action.NotDone}, false},
		{[]action.Verdict{action.NotDone, action.NotDone}, false},
		{[]action.Verdict{action.Unknown}, false}, // the operator sees that it did not happen
		{[]action.Verdict{action.Failed}, true},
		{[]action.Verdict{action.CutShort}, true},
		{[]action.Verdict{action.Failed, action.NotDone}, true},
		{[]action.Verdict{action.NotDone, action.Failed, action.Unknown}, true},
	} {
		b := newBench(t, stage("one", step("h", &plan.SSH{Host: "h", User: "u", Purpose: plan.Update, Service: "the daemon", Commands: []string{"true"}})))
		left := slices.Clone(c.attempts)
		b.world.script["one/h"] = behaviour{
			perform: func(context.Context, *action.Attempt) action.Finding {
				v := left[0]
				left = left[1:]
				return action.Found(v, "it is %s", v)
			},
			probe: func(context.Context, *action.Attempt) action.Finding {
				return action.Found(action.Unknown, "nobody can tell")
			},
		}
		b.person.answer = func(q operator.Question) (operator.Answer, error) {
			switch {
			case q.Topic == operator.InDoubt:
				return operator.Answer{Choice: operator.NotHappened}, nil
			case q.Topic != operator.Failed:
				return yes(q)
			case len(left) > 0:
				return operator.Answer{Choice: operator.Retry}, nil
			}
			return operator.Answer{Choice: operator.Stop}, nil
		}
		b.must(Halted)
		text := report.Abort(b.state())
		if strings.Contains(text, "These stay updated") || strings.Contains(text, "may stay partly updated") != c.parts {
			t.Errorf("%v: %s", c.attempts, text)
		}
	}
}
