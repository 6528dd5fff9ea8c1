package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/systems"
)

func TestRunToTheEnd(t *testing.T) {
	b := newBench(t,
		stage("one", step("a", host("h1")), step("b", host("h2"), "a")),
		stage("two", step("c", host("h1"))))
	res := b.must(Completed)
	if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "one/b", "two/c"}) {
		t.Errorf("effects: %v", got)
	}
	var events []journal.Event
	for _, r := range b.records() {
		events = append(events, r.Event)
	}
	want := []journal.Event{
		journal.RunBegun, journal.Guarded,
		journal.Asked, journal.Answered, journal.StageBegun, journal.Started, journal.Outcome, journal.Started, journal.Outcome, journal.StageDone,
		journal.Asked, journal.Answered, journal.StageBegun, journal.Started, journal.Outcome, journal.StageDone,
		journal.Complete, journal.Released,
	}
	if !slices.Equal(events, want) {
		t.Errorf("records %v, want %v", events, want)
	}
	if r := b.records()[5]; r.Identity != "csu-"+res.RunID+"/one/a/1" || string(r.Evidence) != `{"before":"one/a"}` || len(res.RunID) != 12 {
		t.Errorf("started: %+v", r)
	}
	l := b.ledger.Now()
	if f := l.Ended(b.options().Digest); l.Holder != nil || f == nil || f.Outcome != ledger.Complete || f.Run != res.RunID {
		t.Errorf("the ledger: %+v", l)
	}
}

// TestReviewIsRecorded: each time a run is continued, its journal says what is known of
// the plan's review.
func TestReviewIsRecorded(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))), stage("two", step("b", host("h1"))))
	b.must(Reached, func(o *Options) { o.Reviewed, o.Until = []string{"origin/main has the plan"}, "one" })
	b.must(Completed, resumed, func(o *Options) { o.Reviewed = []string{"no origin; the run had begun", "a rule"} })
	var texts []string
	for _, r := range b.records() {
		if r.Event == journal.Guarded {
			texts = append(texts, r.Text)
		}
	}
	for _, want := range []string{"origin/main has the plan", "no origin; the run had begun", "a rule"} {
		if !slices.Contains(texts, want) {
			t.Errorf("the guards recorded are %q, without %q", texts, want)
		}
	}
}

// TestAnnouncement: what is announced when a run begins is recorded before and after, a
// channel that does not answer stops nothing, and nothing is posted again.
func TestAnnouncement(t *testing.T) {
	for name, x := range map[string]struct {
		err  error
		want []string
	}{
		"posted":     {nil, []string{"to be announced on #summit: an emergency", "announced on #summit"}},
		"not posted": {errors.New("no answer"), []string{"to be announced on #summit: an emergency", "cannot announce it on #summit: no answer; post it by hand: an emergency"}},
	} {
		b := newBench(t, stage("one", step("a", host("h1"))), stage("two", step("b", host("h1"))))
		b.plan.Targets.Slack.Channel = "#summit"
		posts := 0
		announced := func(o *Options) {
			o.Announcement = "an emergency"
			o.Approved = &journal.Approved{By: []journal.Approval{}, Emergency: "fire", Owes: "bob"}
			o.Post = func(_ context.Context, channel, text string) error {
				if posts++; channel != "#summit" || text != "an emergency" {
					t.Errorf("%s: posted %q to %q", name, text, channel)
				}
				return x.err
			}
		}
		b.must(Reached, announced, func(o *Options) { o.Until = "one" })
		b.must(Completed, resumed, announced)
		var texts []string
		for _, r := range b.records() {
			if r.Event == journal.Guarded && strings.Contains(r.Text, "announce") {
				texts = append(texts, r.Text)
			}
			if r.Run != nil && (r.Run.Approved == nil || r.Run.Approved.Owes != "bob") {
				t.Errorf("%s: %s does not record the approvals: %+v", name, r.Event, r.Run)
			}
		}
		if posts != 1 || !slices.Equal(texts, x.want) {
			t.Errorf("%s: %d posts, recorded %q, want %q", name, posts, texts, x.want)
		}
	}
}

func TestStagesAreBarriersWithConsent(t *testing.T) {
	var steps []plan.Step
	for i := range 5 {
		steps = append(steps, step(fmt.Sprint("s", i), host(fmt.Sprint("h", i))))
	}
	b := newBench(t, stage("one", steps...), stage("two", step("last", host("h0"))))
	b.plan.Stages[1].Principals = []string{"camera team"}
	b.plan.Stages[1].Doubts = []string{"is it azar02?", "is it on?"}
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		if q.Stage == "two" && len(b.world.steps()) != 5 {
			t.Errorf("stage two is asked about after %v", b.world.steps())
		}
		return yes(q)
	}
	b.must(Completed)
	consents, doubts := b.person.questions(operator.StageConsent), b.person.questions(operator.Doubt)
	if len(consents) != 2 || consents[1].Text != "May two begin?" || consents[1].Principals[0] != "camera team" {
		t.Errorf("consents: %+v", consents)
	}
	if len(doubts) != 2 || doubts[0].Text != "is it azar02?" || doubts[1].Text != "is it on?" {
		t.Errorf("doubts: %+v", doubts)
	}
	s := b.state()
	if s.Stages[1].Consent == nil || s.Stages[1].Consent.By != "Ana" || len(s.Stages[1].Doubts) != 2 {
		t.Errorf("recorded: %+v", s.Stages[1])
	}
}

// TestParallelSteps needs three steps to be under way at once.
func TestParallelSteps(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2")), step("c", &plan.AwaitState{Want: []plan.Want{{States: []string{"STANDBY"}, CSCs: []string{"MTMount:0"}}}}),
		step("d", host("h4"), "a", "b", "c")))
	var meet sync.WaitGroup
	meet.Add(3)
	for _, id := range []string{"one/a", "one/b", "one/c"} {
		b.world.script[id] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			meet.Done()
			meet.Wait()
			return b.world.effect(a, action.Done)
		}}
	}
	b.must(Completed)
	if got := b.world.steps(); got[3] != "one/d" {
		t.Errorf("effects: %v", got)
	}
}

func TestOneAtATimePerResource(t *testing.T) {
	doers := map[string]func(i int) plan.Parameters{
		"host":      func(int) plan.Parameters { return host("h1") },
		"queue":     func(int) plan.Parameters { return &plan.SetState{Queue: 1, State: "OFFLINE", CSCs: []string{"A:0"}} },
		"app":       func(int) plan.Parameters { return &plan.Sync{Application: "love", Revision: "main"} },
		"channel":   func(int) plan.Parameters { return message("#summit") },
		"namespace": func(int) plan.Parameters { return &plan.Delete{Objects: plan.Jobs, Namespace: "n", Selector: "a=b"} },
		"manual":    func(int) plan.Parameters { return &plan.Manual{Text: "x"} },
	}
	var steps []plan.Step
	for name, d := range doers {
		for i := range 4 {
			steps = append(steps, step(fmt.Sprint(name, i), d(i)))
		}
	}
	b := newBench(t, stage("one", steps...))
	for _, s := range b.plan.Stages[0].Steps {
		b.world.script[s.ID] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			time.Sleep(2 * time.Millisecond) // real: so that an overlap would be seen
			return b.world.effect(a, action.Done)
		}}
	}
	b.must(Completed)
	if len(b.world.steps()) != 24 || b.world.most < 2 || b.world.most > len(doers) {
		t.Errorf("%d effects, at most %d at once", len(b.world.steps()), b.world.most)
	}
}

func TestNoConsentNoStep(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.person.answer = choose(operator.StageConsent, operator.No, operator.Yes)
	res := b.must(Halted)
	if len(b.world.effects) != 0 || len(b.world.prepared) != 0 {
		t.Error("something was done without consent")
	}
	if !strings.Contains(res.Text, "Ana") || b.state().Begun() {
		t.Errorf("%q, begun %v", res.Text, b.state().Begun())
	}
	if l := b.ledger.Now(); l.Holder != nil || len(l.Finished) != 0 {
		t.Errorf("the ledger: %+v", l)
	}
	b.must(Completed) // nothing was begun, so that --resume is not needed
	if got := b.records()[0].Run.ID; got != res.RunID {
		t.Errorf("another run: %s, %s", got, res.RunID)
	}
}

func TestUnattendedAtTheFirstStage(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		return operator.Answer{}, &operator.UnattendedError{Question: q, Want: "--consent one"}
	}
	_, err := b.run()
	var unattended *operator.UnattendedError
	if !errors.As(err, &unattended) || unattended.Want != "--consent one" {
		t.Fatalf("run = %v", err)
	}
	b.person.answer = nil
	b.must(Completed)
}

func TestStepConsentAndDoubt(t *testing.T) {
	a := step("a", &plan.Delete{Objects: plan.Namespaces, Selector: "x=y"})
	a.Consent, a.Doubt, a.Principals = "This ends people's sessions.", "is it the right selector?", []string{"Nublado users"}
	b := newBench(t, stage("one", a, step("b", host("h1"))))
	b.world.script["one/a"] = behaviour{reading: "12 namespaces"}
	b.must(Completed)
	doubts, consents := b.person.questions(operator.Doubt), b.person.questions(operator.StepConsent)
	if len(doubts) != 1 || len(consents) != 1 {
		t.Fatalf("asked %d doubts, %d consents", len(doubts), len(consents))
	}
	if q := consents[0]; q.Reading != "12 namespaces" || q.Text != "This ends people's sessions." || q.Principals[0] != "Nublado users" || q.Step != "one/a" || q.Stage != "one" {
		t.Errorf("asked %+v", q)
	}
	for _, r := range b.records() {
		if r.Answer != nil && r.Answer.Topic == string(operator.StepConsent) && (r.Answer.Shown != "12 namespaces\nA yes confirms that these have agreed: Nublado users." || r.Answer.By != "Ana" || r.Answer.Via != "terminal") {
			t.Errorf("recorded %+v", r.Answer)
		}
	}
}

func TestStepConsentRefused(t *testing.T) {
	for _, c := range []struct {
		choice operator.Choice
		end    End
		phase  state.Phase
		after  bool // the step that needs it runs
	}{
		{operator.ByHand, Completed, state.ByHand, true},
		{operator.Skip, Completed, state.Skipped, true},
		{operator.No, Halted, state.Pending, false},
		{operator.Abort, Aborted, state.Pending, false},
	} {
		t.Run(string(c.choice), func(t *testing.T) {
			a := step("a", host("h1"))
			a.Consent = "really?"
			b := newBench(t, stage("one", a, step("b", host("h2"), "a")))
			b.person.answer = choose(operator.StepConsent, c.choice, operator.Yes)
			b.must(c.end)
			b.phases(map[string]state.Phase{"one/a": c.phase})
			if ran := slices.Contains(b.world.steps(), "one/b"); ran != c.after {
				t.Errorf("the step that needs it ran: %v", ran)
			}
			if slices.Contains(b.world.steps(), "one/a") {
				t.Error("it was done all the same")
			}
			if c.end == Halted { // a consent that has not led to a start is asked again
				b.must(Completed, resumed)
				if n := len(b.person.questions(operator.StepConsent)); n != 2 {
					t.Errorf("asked %d times", n)
				}
			}
		})
	}
}

func TestUntil(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))), stage("two", step("b", host("h1"))), stage("three", step("c", host("h1"))))
	b.plan.Final = []plan.Step{undoing("f", "one/a")}
	until := func(id string) func(*Options) { return func(o *Options) { o.Until = id } }
	b.must(Reached, until("two"))
	if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "two/b"}) {
		t.Errorf("effects: %v", got)
	}
	b.must(Reached, resumed, until("one")) // it is done: nothing to do
	b.must(Reached, resumed, until("three"))
	if got := b.world.steps(); len(got) != 3 {
		t.Errorf("effects: %v", got)
	}
	if owed := b.state().Owed(); len(owed) != 1 || owed[0].Step.ID != "final/f" {
		t.Errorf("owed: %v", owed)
	}
	b.must(Completed, resumed)
	if _, err := b.run(until("twoo")); exit.CodeOf(err) != exit.Input || !strings.Contains(err.Error(), `did you mean "two"`) {
		t.Errorf("unknown stage: %v", err)
	}
}

func TestPreflight(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))), stage("two", step("b", host("h1"))))
	broken := errors.New("no key for h1")
	_, err := b.run(func(o *Options) {
		o.Preflight = func(stage *plan.Stage, s *state.State) func(context.Context) error {
			bad := stage.ID == "two" && s.Steps["one/a"].Phase == state.Done
			return func(context.Context) error {
				if bad {
					return broken
				}
				return nil
			}
		}
	})
	if exit.CodeOf(err) != exit.Refused || !errors.Is(err, broken) {
		t.Fatalf("run = %v", err)
	}
	if got := b.world.steps(); !slices.Equal(got, []string{"one/a"}) {
		t.Errorf("effects: %v", got)
	}
	b.must(Completed, resumed)
}

// TestStop lets finish what runs, starts nothing, and is resumable.
func TestStop(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2")), step("c", host("h3"), "a")))
	stop := make(chan struct{})
	begun := make(chan struct{})
	b.world.script["one/a"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		<-begun
		close(stop)
		b.ending(ctx, a)
		return b.world.effect(a, action.Done)
	}}
	b.world.script["one/b"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		close(begun)
		return b.world.effect(a, action.Done)
	}}
	b.must(Interrupted, func(o *Options) { o.Stop = stop })
	b.phases(map[string]state.Phase{"one/a": state.Done, "one/b": state.Done, "one/c": state.Pending})
	if b.state().Halt == "" {
		t.Error("the journal does not say that it was interrupted")
	}
	delete(b.world.script, "one/a")
	b.must(Completed, resumed)
	if got := b.world.steps(); len(got) != 3 {
		t.Errorf("effects: %v", got)
	}
}

func TestStopAtAQuestion(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	stop := make(chan struct{})
	o := b.options()
	o.Stop = stop
	o.Operator = waiting{b.person, func() { close(stop) }}
	res, err := Run(t.Context(), o)
	if err != nil || res.End != Interrupted {
		t.Errorf("run = %q, %v", res.End, err)
	}
}

// waiting is an operator who never answers.
type waiting struct {
	*person
	asked func()
}

func (w waiting) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	w.asked()
	<-ctx.Done()
	return operator.Answer{}, ctx.Err()
}

// TestLeaveAtOnce is the second interrupt: what ran is in doubt, and nothing that
// was cut short counts as failed.
func TestLeaveAtOnce(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"), "a")))
	ctx, cancel := context.WithCancel(t.Context())
	b.world.script["one/a"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		b.world.effect(a, action.Done)
		cancel()
		<-ctx.Done()
		return action.Found(action.Failed, "the connection was closed")
	}}
	res, err := Run(ctx, b.options())
	if err != nil || res.End != Interrupted {
		t.Fatalf("run = %q, %v", res.End, err)
	}
	b.phases(map[string]state.Phase{"one/a": state.Started, "one/b": state.Pending})
	b.must(Completed, resumed)
	if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "one/b"}) {
		t.Errorf("effects: %v", got)
	}
}

// TestEndedBeforeItBegan: a context that has ended lets nothing begin.
func TestEndedBeforeItBegan(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))), stage("two", step("b", host("h1"))))
	b.plan.Final = []plan.Step{undoing("f", "one/a")}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res, err := Run(ctx, b.options())
	if err != nil || res.End != Interrupted {
		t.Errorf("run = %q, %v", res.End, err)
	}
	if _, made := b.disk.Content("j"); made || len(b.person.asked) > 0 || len(b.world.prepared) > 0 {
		t.Errorf("a journal was made: %t, asked %v, prepared %v", made, b.person.asked, b.world.prepared)
	}
	b.must(Completed)
}

// TestLongChain is a plan of 5,000 steps, one after the other, resumed before
// its last.
func TestLongChain(t *testing.T) {
	const n = 5000
	steps := []plan.Step{step("s0", host("h"))}
	for i := 1; i < n; i++ {
		steps = append(steps, step(fmt.Sprint("s", i), host("h"), fmt.Sprint("s", i-1)))
	}
	b := newBench(t, stage("one", steps...))
	last := fmt.Sprint("one/s", n-1)
	b.world.script[last] = behaviour{prepare: func(context.Context, *action.Attempt) (any, error) { return nil, errors.New("not yet") }}
	b.person.answer = choose(operator.Failed, operator.Stop)
	b.must(Halted)
	var began time.Time
	b.world.script[last] = behaviour{prepare: func(context.Context, *action.Attempt) (any, error) { began = time.Now(); return nil, nil }}
	start := time.Now()
	b.must(Completed, resumed)
	if took := began.Sub(start); took > time.Minute { // generous: the machine may be busy
		t.Errorf("the last step began after %v", took)
	}
	if len(b.world.effects) != n {
		t.Errorf("%d effects", len(b.world.effects))
	}
}

// The guard of the cluster is asked before there is a journal (P20).
func TestGuardBeforeTheJournal(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	err := os.WriteFile(config, []byte(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://k8s.base.example:6443"}}]
contexts: [{name: yagan, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
current-context: yagan
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", config)
	b := newBench(t, stage("one", step("a", &plan.Sync{Application: "love", Revision: "main"})))
	b.plan.Targets.Kubernetes = plan.Kubernetes{Context: "yagan", Server: "https://k8s.summit.example:6443"}
	clients, err := systems.Connect(b.plan, nil, func(string) (string, error) { return "", nil })
	if err != nil {
		t.Fatal(err)
	}
	o := b.options()
	o.Systems, o.Ledger = clients, nil
	if _, err := Run(t.Context(), o); exit.CodeOf(err) != exit.Refused {
		t.Errorf("Run = %v", err)
	}
	if _, there := b.disk.Content("j"); there {
		t.Error("a journal was made")
	}
}
