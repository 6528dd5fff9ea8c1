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
	b.person.answer = choose(operator.GivingUp, operator.Abort)
	res, err := Abort(t.Context(), b.confirming())
	if err != nil || res.End != GivenUp {
		t.Fatalf("abort = %q, %v", res.End, err)
	}
	asked := b.person.questions(operator.GivingUp)
	if len(asked) != 1 || !slices.Equal(asked[0].Choices, []operator.Choice{operator.Abort, operator.No}) {
		t.Fatalf("asked: %+v", asked)
	}
	if shown := asked[0].Reading; !strings.Contains(shown, "final/forward: Do final/forward; two/none, which it undoes, is done\n") || strings.Contains(shown, "final/other") {
		t.Errorf("shown: %s", shown)
	}
	at := slices.IndexFunc(b.records(), func(r journal.Record) bool { return r.Event == journal.Aborting }) + 1
	if a := b.records()[at].Answer; a == nil || a.Shown != asked[0].Reading || a.By != "Ana" || a.Choice != string(operator.Abort) {
		t.Errorf("the journal has the answer %+v", a)
	}
}

// TestAbortNotConfirmed: without the operator's word nothing is done, and not a
// byte is written; the run can be taken up.
func TestAbortNotConfirmed(t *testing.T) {
	b := schema(t)
	b.must(Reached, func(o *Options) { o.Until = "two" })
	before, effects := b.content(), len(b.world.steps())

	b.person.answer = choose(operator.GivingUp, operator.No)
	if res, err := Abort(t.Context(), b.confirming()); err != nil || res.End != Halted || !strings.Contains(res.Text, "nothing was changed") {
		t.Errorf("no: abort = %q (%s), %v", res.End, res.Text, err)
	}
	b.person.answer = nil // nobody is there
	var unattended *operator.UnattendedError
	if _, err := Abort(t.Context(), b.confirming()); !errors.As(err, &unattended) || unattended.Question.Topic != operator.GivingUp {
		t.Errorf("nobody: abort = %v", err)
	}
	b.person.answer = choose(operator.GivingUp, operator.Yes)
	var wrong *AnswerError
	if _, err := Abort(t.Context(), b.confirming()); !errors.As(err, &wrong) {
		t.Errorf("an answer that is none: abort = %v", err)
	}
	stop := make(chan struct{})
	o := b.confirming()
	o.Stop, o.Operator = stop, interrupting{b.person, stop}
	if res, err := Abort(t.Context(), o); err != nil || res.End != Interrupted {
		t.Errorf("interrupted: abort = %q (%s), %v", res.End, res.Text, err)
	}

	if b.content() != before || len(b.world.steps()) != effects || len(b.lease.history) != 1 {
		t.Errorf("something was changed: effects %v, lease %v, journal:\n%s", b.world.steps(), b.lease.history, b.content())
	}
	b.must(Completed, resumed)
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
	update := func(name string) plan.Doer {
		return &plan.SSH{Host: name, User: "u", Purpose: plan.Update, Service: "the daemon", Commands: []string{"true"}}
	}
	sync := func() plan.Doer {
		return &plan.Sync{Application: "simonyitel", Revision: "r", CSCs: []string{"love-commander"}}
	}
	b := newBench(t,
		stage("one", step("off", &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"MTMount:0"}}),
			step("none", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"})),
		stage("two", step("sync", sync()), step("h1", update("h1"), "sync"), step("h2", update("h2"), "h1"), step("never", update("h3"), "h2")))
	b.plan.CSCs = []plan.CSC{{CSC: "MTMount:0", Host: "h"}, {CSC: "love-commander", Host: "h"}}
	b.plan.Final = []plan.Step{undoing("forward", "one/none"), undoing("other", "two/never")}
	if got := NewState(b.plan).AbortText(); got != "No final step has to run.\n"+
		"Nothing else is touched. The journal is closed, and this plan can't be run again." {
		t.Errorf("before the run:\n%s", got)
	}
	b.lost("two/h2", true, action.Unknown)
	b.person.answer = choose(operator.InDoubt, operator.Stop)
	b.must(Halted)
	want := `These final steps run now:
  final/forward: Do final/forward; one/none, which it undoes, is done
These steps are in doubt and are left so; look by hand what became of them:
  two/h2: Do h2
These stay down: MTMount.
These stay updated: application simonyitel, the daemon on h1.
These may be updated in part and stay so: the daemon on h2.
Nothing else is touched. The journal is closed, and this plan can't be run again.`
	if diff := cmp.Diff(want, b.state().AbortText()); diff != "" {
		t.Error(diff)
	}
}
