package live_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/timeline"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// await waits until what is read fits.
func await(t *testing.T, file, what string, fits func(*live.Now) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !fits(live.Read(file)); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the file does not say %s: %+v", what, live.Read(file))
		}
	}
}

// TestRecorder: the file says what running steps have reported last and which question is
// open, and is gone when csu ends. A file that is missing, cut off or old says nothing.
func TestRecorder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plan.json.journal")
	if live.Read(file) != nil {
		t.Error("a file that does not exist says something")
	}
	r := live.Record(file, func() time.Time { return noon })
	r.Tell(operator.Event{Kind: operator.StepStarted, Step: "one/a", Time: noon})
	r.Tell(operator.Event{Kind: operator.StepProgress, Step: "one/a", Time: noon, Text: "2 of 9 CSCs are OFFLINE"})
	answered := r.Ask(operator.Question{Topic: operator.Failed, Stage: "one", Step: "one/b", Text: "it failed", Reading: "By hand: look", Choices: []operator.Choice{operator.Retry, operator.Skip}})
	await(t, file, "what was told", func(n *live.Now) bool {
		return n != nil && n.Time.Equal(noon) && n.Signs["one/a"].Text == "2 of 9 CSCs are OFFLINE" &&
			n.Asked != nil && n.Asked.Reading == "By hand: look" && strings.Join(n.Asked.Choices, ",") == "retry,skip" && n.Asked.Since.Equal(noon)
	})
	answered()
	r.Tell(operator.Event{Kind: operator.StepDone, Step: "one/a", Time: noon})
	await(t, file, "that nothing is open", func(n *live.Now) bool { return n != nil && n.Asked == nil && len(n.Signs) == 0 })
	long := time.Now().Add(-time.Hour)
	r.End()
	left, err := filepath.Glob(file + "*")
	if err != nil || len(left) != 0 {
		t.Errorf("csu leaves %q, %v", left, err)
	}
	for name, text := range map[string]string{"cut off": `{"time":"2026-`, "old": `{"time":"2026-11-24T12:00:00Z"}`} {
		if err := os.WriteFile(live.FileOf(file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "old" {
			if err := os.Chtimes(live.FileOf(file), long, long); err != nil {
				t.Fatal(err)
			}
		}
		if n := live.Read(file); n != nil {
			t.Errorf("a file that is %s says %+v", name, n)
		}
	}
	var none *live.Recorder
	none.Tell(operator.Event{})
	none.Ask(operator.Question{})()
	none.End()
}

// TestRecorderCannotWrite: a run goes on where the file cannot be written.
func TestRecorderCannotWrite(t *testing.T) {
	t.Parallel()
	r := live.Record(filepath.Join(t.TempDir(), "no", "folder", "journal"), func() time.Time { return noon })
	r.Tell(operator.Event{Kind: operator.StepProgress, Step: "one/a", Time: noon, Text: "works"})
	if n := r.Present(); n.Signs["one/a"].Text != "works" {
		t.Errorf("csu itself shows %+v", n)
	}
	r.End()
}

const digest = "4be924d048b4abb11a9993058c8b20ac0bb18e8e839d070995029304a6a57905"

func two() *plan.Plan {
	p := plantest.Plan(&plan.Manual{Text: "Look."})
	step := func(id string) plan.Step {
		return plan.Step{ID: id, Title: "Do " + id, Takes: plan.Duration(5 * time.Minute), Timeout: plan.Duration(time.Hour), Action: plan.Action{Parameters: &plan.Manual{Text: "Look."}}}
	}
	p.Stages = []plan.Stage{{ID: "one", Title: "One", Steps: []plan.Step{step("one/a"), step("one/b")}}, {ID: "two", Title: "Two", Steps: []plan.Step{step("two/c")}}}
	last := step("final/back")
	last.Undoes = "one/a"
	p.Final = []plan.Step{last}
	return p
}

// TestView: what a run is doing as a whole, whom it waits for and since when, and what of it
// only the csu at work knows. Without that csu's file the same is said without the evidence.
func TestView(t *testing.T) {
	t.Parallel()
	l := timeline.NewLog(two(), digest)
	n := 0
	at := func(minute int, r journal.Record) {
		t.Helper()
		n++
		r.Seq, r.Time = n, noon.Add(time.Duration(minute)*time.Minute)
		if err := l.Take(&r); err != nil {
			t.Fatal(err)
		}
	}
	left := func(*state.State, time.Time) (low, high plan.Duration) {
		return plan.Duration(10 * time.Minute), plan.Duration(20 * time.Minute)
	}
	see := func(held bool, now *live.Now) *live.View {
		return live.Of(l, live.Options{Held: held, Now: now, Clock: noon.Add(time.Hour), Left: left, Usual: map[string]plan.Duration{"one": plan.Duration(5 * time.Minute)}})
	}
	want := func(held bool, now *live.Now, p live.Phase) *live.View {
		t.Helper()
		v := see(held, now)
		if v.Phase != p {
			t.Errorf("after record %d the run is %q, want %q", n, v.Phase, p)
		}
		return v
	}
	want(false, nil, live.NotBegun)
	at(0, journal.Record{Event: journal.RunBegun, Run: &journal.Run{ID: "1", Digest: digest, Operator: "Ada"}})
	at(1, journal.Record{Event: journal.Asked, Stage: "one", Question: &journal.Question{Topic: string(operator.StageConsent), Text: "May it begin?"}})
	now := &live.Now{Time: noon.Add(3 * time.Minute), Asked: &live.Asked{Topic: string(operator.StageConsent), Stage: "one", Text: "May it begin?", Reading: "the evidence", Choices: []string{"yes"}}}
	v := want(true, now, live.Waiting)
	if w := v.Waits; w.For != "Ada" || !w.Since.Equal(noon.Add(time.Minute)) || w.Reading != "the evidence" || v.Stage.Number != 1 || v.Stage.Of != 2 || v.Stage.Usual.String() != "5m" {
		t.Errorf("it waits %+v in %+v", w, v.Stage)
	}
	if !v.Now.Equal(now.Time) || v.Elapsed != timeline.Seconds(3*time.Minute) || !v.End.Low.Equal(noon.Add(13*time.Minute)) || !v.End.High.Equal(noon.Add(23*time.Minute)) {
		t.Errorf("at %s, after %s, it ends %v", v.Now, time.Duration(v.Elapsed), v.End)
	}
	if w := want(true, nil, live.Waiting).Waits; w.Text != "May it begin?" || w.Reading != "" {
		t.Errorf("without the file it waits %+v", w)
	}
	if now := see(true, nil).Now; !now.Equal(noon.Add(time.Hour)) {
		t.Errorf("without the file it is %s", now)
	}
	if v := want(false, now, live.Stopped); v.Waits != nil || v.End != nil || !v.Now.Equal(noon.Add(time.Minute)) {
		t.Errorf("without a csu it waits %+v, ends %v, is at %s", v.Waits, v.End, v.Now)
	}
	at(4, journal.Record{Event: journal.Answered, Stage: "one", Answer: &journal.Answer{Topic: string(operator.StageConsent), Choice: "yes", By: "Ada"}})
	at(4, journal.Record{Event: journal.StageBegun, Stage: "one"})
	at(4, journal.Record{Event: journal.Started, Stage: "one", Step: "one/a", Attempt: 1})
	now = &live.Now{Time: noon.Add(5 * time.Minute), Signs: map[string]live.Sign{"one/a": {At: now.Time, Text: "heard"}}}
	v = want(true, now, live.Working)
	if len(v.Running) != 1 || v.Running[0].Sign.Text != "heard" || len(v.Owed) != 1 || v.Owed[0].ID != "final/back" {
		t.Errorf("%+v runs, %+v is owed", v.Running, v.Owed)
	}
	if v := want(false, nil, live.Stopped); len(v.Running) != 0 || len(v.Trouble) != 1 || v.Trouble[0].Phase != "in doubt" {
		t.Errorf("without a csu %+v runs, and %+v is in doubt", v.Running, v.Trouble)
	}
	at(6, journal.Record{Event: journal.Outcome, Stage: "one", Step: "one/a", Attempt: 1, Verdict: "failed", Text: "it did not"})
	at(7, journal.Record{Event: journal.Asked, Stage: "one", Step: "one/a", Question: &journal.Question{Topic: string(operator.Failed), Text: "it failed"}})
	if v := want(true, nil, live.Failed); len(v.Trouble) != 1 || v.Events[0].What != "failed" || v.Events[1].What != "start" || v.Events[2].Text != "Ada: yes" {
		t.Errorf("%+v failed; the last events are %+v", v.Trouble, v.Events)
	}
	at(8, journal.Record{Event: journal.Answered, Stage: "one", Step: "one/a", Answer: &journal.Answer{Topic: string(operator.Failed), Choice: "skip", Reason: "not today", By: "Ada"}})
	if v := want(true, nil, live.Working); len(v.Decided) != 1 || v.Decided[0].Text != "not today" || v.Finished != 1 || v.Steps != 4 {
		t.Errorf("%d of %d are finished, decided is %+v", v.Finished, v.Steps, v.Decided)
	}
	at(9, journal.Record{Event: journal.Aborting, Text: "by Ada"})
	at(10, journal.Record{Event: journal.Aborted})
	if v := want(false, nil, live.Aborted); v.End != nil {
		t.Errorf("an aborted run ends %v", v.End)
	}
}
