package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// sampleRun is a run in which everything occurs: consents, doubts, parallel
// steps, notes, a failure that is tried again, one that is reported, one that is
// done by hand, a lost answer, a message, a doubt that only the operator can
// decide, final steps.
func sampleRun(t *testing.T) *bench {
	ask := step("ask", &plan.Delete{Objects: plan.Namespaces, Selector: "a=b"})
	ask.Consent, ask.Doubt = "This ends people's sessions.", "the right ones?"
	reported := step("reported", host("h3"))
	reported.OnFailure = plan.Report
	post := step("post", message("#summit"))
	post.OnFailure = plan.Report
	b := newBench(t,
		stage("one", step("a", host("h1")), step("noted", host("h2")), ask, reported, post),
		stage("two", step("retried", host("h1")), step("lost", host("h2"), "retried"), step("dark", host("h3")), step("hand", host("h4"))),
		stage("three", step("none", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"})))
	b.plan.Stages[1].Doubts = []string{"is it azar02?"}
	b.plan.Final = []plan.Step{undoing("forward", "three/none"), undoing("unneeded", "two/hand")}

	once := func(id string, v action.Verdict) {
		b.world.script[id] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
			if ctx.Err() != nil {
				return action.Found(action.Unknown, "interrupted")
			}
			if strings.HasSuffix(a.Identity, "/1") {
				return b.world.effect(a, v)
			}
			return b.world.effect(a, action.Done)
		}}
	}
	once("two/retried", action.Failed)
	once("two/hand", action.Failed)
	once("one/reported", action.Failed)
	b.world.script["one/noted"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		for i := range 2 {
			if err := a.Note(i); err != nil {
				return action.Found(action.Unknown, "%v", err)
			}
		}
		return b.world.effect(a, action.Done)
	}}
	b.world.script["two/lost"] = behaviour{perform: func(ctx context.Context, a *action.Attempt) action.Finding {
		b.world.effect(a, action.Done)
		return action.Found(action.Unknown, "the answer was lost")
	}}
	blind := func(context.Context, *action.Attempt) action.Finding {
		return action.Found(action.Unknown, "nobody can tell")
	}
	b.world.script["two/dark"] = behaviour{probe: blind, perform: func(_ context.Context, a *action.Attempt) action.Finding {
		b.world.effect(a, action.Done)
		return action.Found(action.Unknown, "the answer was lost")
	}}
	b.world.script["one/post"] = behaviour{probe: blind}
	b.person.answer = b.truthful
	return b
}

// truthful looks at the world before it answers what is in doubt.
func (b *bench) truthful(q operator.Question) (operator.Answer, error) {
	answer := func(c operator.Choice) (operator.Answer, error) {
		return operator.Answer{Choice: c, Reason: "so it is", By: "Ana", Via: "terminal"}, nil
	}
	switch q.Topic {
	case operator.Failed:
		if q.Step == "two/hand" {
			return answer(operator.ByHand)
		}
		return answer(operator.Retry)
	case operator.InDoubt:
		s, err := state.Read(b.disk, "j", b.plan, b.options().Digest)
		if err != nil { // the machine has died meanwhile
			return operator.Answer{}, err
		}
		id := s.Steps[q.Step].Identity
		b.world.mu.Lock()
		_, happened := b.world.verdicts[id]
		b.world.mu.Unlock()
		if happened {
			return answer(operator.Happened)
		}
		return answer(operator.NotHappened)
	}
	return yes(q)
}

// judge checks the world after a run that is over, over however many
// executors.
func (b *bench) judge(what string) {
	b.t.Helper()
	done := map[string]int{}
	for identity, v := range b.world.verdicts {
		_, rest, _ := strings.Cut(identity, "/")
		if v == action.Done {
			done[rest[:strings.LastIndexByte(rest, '/')]]++
		}
	}
	for st := range b.plan.AllSteps() {
		want := 1
		switch st.ID {
		case "two/hand", "one/reported":
			// By hand, or reported; only an attempt that was cut short before its
			// effect makes way for a second one, which then succeeds.
			if done[st.ID] > 1 {
				b.t.Errorf("%s: %s was done %d times", what, st.ID, done[st.ID])
			}
			continue
		case "one/post":
			// Never repeated: it may have been cut short.
			want = min(1, done[st.ID])
		}
		if done[st.ID] != want {
			b.t.Errorf("%s: %s was done %d times, want %d", what, st.ID, done[st.ID], want)
		}
	}
	s := b.state()
	for id, st := range s.Steps {
		if !st.Phase.Finished() {
			b.t.Errorf("%s: %s is %s", what, id, st.Phase)
		}
		if st.Phase == state.Done && done[id] == 0 {
			b.t.Errorf("%s: %s is recorded as done and was not", what, id)
		}
	}
	if s.Ended != journal.Complete {
		b.t.Errorf("%s: ended %q", what, s.Ended)
	}
	b.ordered(what)
}

// ordered checks stages, needs and the final steps.
func (b *bench) ordered(what string) {
	b.t.Helper()
	rank := map[string]int{"one": 1, "two": 2, "three": 3, "final": 4}
	last := 0
	ids := b.world.steps()
	for _, id := range ids {
		stage, _, _ := strings.Cut(id, "/")
		if rank[stage] < last {
			b.t.Errorf("%s: %s came too late in %v", what, id, ids)
		}
		last = rank[stage]
	}
	if i, j := slices.Index(ids, "two/retried"), slices.Index(ids, "two/lost"); i > j {
		b.t.Errorf("%s: two/lost came before what it needs", what)
	}
}

func TestSampleRunUndisturbed(t *testing.T) {
	b := sampleRun(t)
	b.must(Completed)
	b.judge("undisturbed")
	b.phases(map[string]state.Phase{
		"one/reported": state.Reported, "one/post": state.Done, "two/retried": state.Done, "two/lost": state.Done, "two/dark": state.Done, "two/hand": state.ByHand, "final/forward": state.Done, "final/unneeded": state.Done,
	})
}

// crash is how a machine dies at a record.
type crash struct {
	name string
	kind string // the operation at which it dies
	kept int    // bytes of the record that reach the disk all the same
}

var crashes = []crash{
	{"before the record", journaltest.Write, 0},
	{"in the middle of the record", journaltest.Sync, 60},
	{"after the record", journaltest.Sync, 1 << 20},
}

// dieAt has the machine die at the n-th record; the returned function says
// whether it did.
func (b *bench) dieAt(c crash, n int) (died func() bool) {
	count, dead := 0, false
	b.disk.Fault = func(op journaltest.Op) journaltest.Fault {
		if op.Kind == c.kind && op.File == "j" {
			count++
		}
		dead = dead || count >= n
		if dead {
			return journaltest.Fault{Err: journaltest.ErrCrashed}
		}
		return journaltest.Fault{}
	}
	return func() bool {
		b.disk.Fault = nil
		return dead
	}
}

// live runs or resumes until the run is complete, dying at the given records.
func (b *bench) live(c crash, deaths ...int) (died int) {
	b.t.Helper()
	for _, n := range append(deaths, 1<<30) {
		dead := b.dieAt(c, n)
		res, err := b.run(func(o *Options) { o.Resume = len(b.tryRecords()) > 0 })
		if !dead() {
			if err != nil || res.End != Completed {
				b.t.Fatalf("%s at %v: the run ended %q (%s), %v", c.name, deaths, res.End, res.Text, err)
			}
			return died
		}
		if err == nil {
			b.t.Fatalf("%s at %v: a run on a dead disk ended %q", c.name, deaths, res.End)
		}
		died++
		b.disk.Crash(c.kept)
	}
	return died
}

// TestCrashAtEveryRecord lets the machine die at every record of the sample run,
// in three ways, and takes the run up to its end: nothing happens twice, nothing
// is left out.
func TestCrashAtEveryRecord(t *testing.T) {
	for _, c := range crashes {
		n := 1
		for ; ; n++ {
			b := sampleRun(t)
			if b.live(c, n) == 0 {
				break
			}
			b.judge(fmt.Sprintf("%s %d", c.name, n))
			if t.Failed() {
				t.FailNow()
			}
		}
		if n < 40 {
			t.Errorf("%s: only %d records", c.name, n)
		}
	}
}

// TestCrashAgainWhileResuming dies a second time, at every record of the resume.
func TestCrashAgainWhileResuming(t *testing.T) {
	for _, c := range crashes {
		for n := 2; n < 50; n += 5 {
			for m := 1; ; m += 3 {
				b := sampleRun(t)
				died := b.live(c, n, m)
				b.judge(fmt.Sprintf("%s %d, then %d", c.name, n, m))
				if t.Failed() {
					t.FailNow()
				}
				if died < 2 {
					break
				}
			}
		}
	}
}

// TestNoStartWithoutARecord dies just before each started record: then nothing
// of that step may have happened.
func TestNoStartWithoutARecord(t *testing.T) {
	b := sampleRun(t)
	b.must(Completed)
	started := map[string]bool{}
	for _, r := range b.records() {
		if r.Event == journal.Started {
			started[r.Identity] = true
		}
	}
	for _, identity := range b.world.effects {
		if !started[identity] {
			t.Errorf("%s had an effect, and the journal has no started record of it", identity)
		}
	}
}

func TestTornLineIsTold(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))), stage("two", step("b", host("h1"))))
	b.must(Reached, func(o *Options) { o.Until = "one" })
	data, _ := b.disk.Content("j")
	b.disk.Put("j", append(data, `{"seq":9,"time":"20`...))
	b.must(Completed, resumed)
	told := slices.ContainsFunc(b.person.told, func(e operator.Event) bool { return strings.Contains(e.Text, "j.torn-1") })
	if _, kept := b.disk.Content("j.torn-1"); !told || !kept {
		t.Errorf("told %v, kept %v", told, kept)
	}
}

func TestJournalGuards(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))), stage("two", step("b", host("h1"))))
	refused := func(what, want string, change ...func(*Options)) {
		t.Helper()
		_, err := b.run(change...)
		if exit.CodeOf(err) != exit.Refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("resume without a journal", "no run to resume", resumed)
	b.must(Reached, func(o *Options) { o.Until = "one" })
	refused("no --resume", "not finished")
	refused("another digest", "another plan", resumed, func(o *Options) { o.Digest = strings.Repeat("cd", 32) })
	refused("a rehearsal on a real journal", "a rehearsal", resumed, func(o *Options) { o.SiteMap = "/x/map.json" })
	before := b.ledger.Now()
	if h := before.Holder; h == nil || h.Plan != "plan.json" || h.Operator != "Ana" || h.Digest != b.options().Digest || h.Process != "" {
		t.Errorf("the ledger names %+v", h)
	}
	b.ledger.Edit(anothers)
	refused("the site is another's", `belongs to run another of plan "other.json"`, resumed)
	b.ledger.Edit(func(l *ledger.Ledger) { *l = before })
	if n := len(b.world.effects); n != 1 {
		t.Errorf("%d effects", n)
	}
	b.must(Completed, resumed)
	refused("a complete run", "complete", resumed)
	refused("a complete run, from the start", "complete")
}

func TestSecondExecutor(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.world.script["one/a"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		for _, resume := range []bool{false, true} {
			var locked *journal.LockedError
			if _, err := b.run(func(o *Options) { o.Resume = resume }); !errors.As(err, &locked) || locked.Operator != "Ana" {
				t.Errorf("a second executor: %v", err)
			}
		}
		if s := b.state(); s.Steps["one/a"].Phase != state.Started { // status reads all the same
			t.Errorf("status sees %q", s.Steps["one/a"].Phase)
		}
		return b.world.effect(a, action.Done)
	}}
	b.must(Completed)
}

// TestResumeWaitsForWhatRuns: what goes on after a crash is waited for without a
// question, and new steps start meanwhile.
func TestResumeWaitsForWhatRuns(t *testing.T) {
	b := newBench(t, stage("one", step("long", host("h1")), step("other", host("h2")), step("same", host("h1"))))
	ctx, cancel := context.WithCancel(t.Context())
	b.world.script["one/long"] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding {
		cancel()
		return action.Found(action.Unknown, "killed")
	}}
	b.world.script["one/other"] = behaviour{prepare: func(ctx context.Context, _ *action.Attempt) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	if _, err := Run(ctx, b.options()); err != nil {
		t.Fatal(err)
	}
	b.phases(map[string]state.Phase{"one/long": state.Started, "one/other": state.Pending})
	otherDone := make(chan struct{})
	b.world.script["one/long"] = behaviour{
		probe: func(context.Context, *action.Attempt) action.Finding {
			return action.Found(action.Running, "compiling")
		},
		await: func(_ context.Context, a *action.Attempt) action.Finding {
			<-otherDone
			return b.world.effect(a, action.Done)
		},
	}
	b.world.script["one/other"] = behaviour{perform: func(_ context.Context, a *action.Attempt) action.Finding {
		defer close(otherDone)
		return b.world.effect(a, action.Done)
	}}
	b.must(Completed, resumed)
	if got := b.world.steps(); !slices.Equal(got, []string{"one/other", "one/long", "one/same"}) {
		t.Errorf("effects: %v", got)
	}
	if n := len(b.person.questions(operator.InDoubt)); n != 0 {
		t.Errorf("%d questions", n)
	}
}
