package timeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
	"github.com/lsst-ts/csu/executor/timeline"
	"github.com/lsst-ts/csu/executor/timeline/timelinetest"
)

// night is a journal as it is written by hand: minutes after its beginning, and records.
type night struct {
	t   *testing.T
	log *timeline.Log
	n   int
}

func begun(t *testing.T, p *plan.Plan) *night {
	n := &night{t: t, log: timeline.NewLog(p, digest)}
	n.at(0, journal.Record{Event: journal.RunBegun, Run: &journal.Run{ID: "1", Digest: digest, Operator: "Ada"}})
	return n
}

func (n *night) at(minute float64, r journal.Record) {
	n.t.Helper()
	n.n++
	r.Seq = n.n
	r.Time = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Add(time.Duration(minute * float64(time.Minute)))
	if err := n.log.Take(&r); err != nil {
		n.t.Fatalf("minute %v: %v", minute, err)
	}
}

func (n *night) started(minute float64, step string, attempt int) {
	n.t.Helper()
	n.at(minute, journal.Record{Event: journal.Started, Stage: stageOf(step), Step: step, Attempt: attempt})
}

func (n *night) ended(minute float64, step string, attempt int, v action.Verdict) {
	n.t.Helper()
	n.at(minute, journal.Record{Event: journal.Outcome, Stage: stageOf(step), Step: step, Attempt: attempt, Verdict: string(v), Text: "what came of it"})
}

func (n *night) answer(minute float64, stage, step string, topic operator.Topic, c operator.Choice) {
	n.t.Helper()
	n.at(minute, journal.Record{Event: journal.Answered, Stage: stage, Step: step, Answer: &journal.Answer{Topic: string(topic), Choice: string(c), Reason: "since Bob says so", By: "Ada", Via: "terminal", Checked: c == operator.ByHand}})
}

func (n *night) asked(minute float64, stage, step string, topic operator.Topic) {
	n.t.Helper()
	n.at(minute, journal.Record{Event: journal.Asked, Stage: stage, Step: step, Question: &journal.Question{Topic: string(topic), Text: "What now?"}})
}

func stageOf(step string) string { stage, _, _ := strings.Cut(step, "/"); return stage }

// path writes a critical path, in minutes since its beginning.
func path(r *timeline.Report) string {
	var parts []string
	for _, s := range r.Critical {
		name := strings.TrimSpace(fmt.Sprintf("%s %s", s.Activity, s.Step))
		if s.Activity == timeline.Waiting {
			name = s.Topic
		}
		parts = append(parts, fmt.Sprintf("%s %g", name, s.Length().Minutes()))
	}
	return strings.Join(parts, ", ")
}

// fork is a stage whose step c needs a and b, and then a stage of one step.
func fork() *plan.Plan {
	p := plantest.Plan(&plan.Manual{Text: "Look."})
	step := func(id string, needs ...string) plan.Step {
		return plan.Step{ID: id, Title: "Do " + id, Needs: needs, Takes: plan.Duration(5 * time.Minute), Action: plan.Action{Parameters: &plan.Manual{Text: "Look."}}}
	}
	p.Stages = []plan.Stage{
		{ID: "one", Title: "One", Consent: "Now?", Steps: []plan.Step{step("one/a"), step("one/b"), step("one/c", "one/a", "one/b")}},
		{ID: "two", Title: "Two", Consent: "Now?", Steps: []plan.Step{step("two/d")}},
	}
	return p
}

// TestCriticalPath: the path goes through the step that ended last, the failure and the
// decision about it, the time without a csu, and the check of what was done by hand.
func TestCriticalPath(t *testing.T) {
	n := begun(t, fork())
	n.answer(3, "one", "", operator.StageConsent, operator.Yes)
	n.at(3, journal.Record{Event: journal.StageBegun, Stage: "one"})
	n.started(3, "one/a", 1)
	n.started(3, "one/b", 1)
	n.ended(7, "one/a", 1, action.Done)
	n.ended(9, "one/b", 1, action.Failed)
	n.answer(14, "one", "one/b", operator.Failed, operator.Retry)
	n.started(14, "one/b", 2)
	n.ended(16, "one/b", 2, action.Done)
	n.started(17, "one/c", 1)
	n.at(18, journal.Record{Event: journal.Resumed, Run: &journal.Run{ID: "1", Digest: digest, Operator: "Bob"}}) // last heard at 17
	n.ended(20, "one/c", 1, action.Done)
	n.at(20, journal.Record{Event: journal.StageDone, Stage: "one"})
	if got, want := path(n.log.Report(timeline.Options{})), "stage consent 3, step one/b 6, failed 5, step one/b 2, between 1, away 1, step one/c 2"; got != want {
		t.Errorf("the critical path after stage one is\n%s, want\n%s", got, want)
	}
	n.answer(24, "two", "", operator.StageConsent, operator.Yes)
	n.at(24, journal.Record{Event: journal.StageBegun, Stage: "two"})
	n.started(24, "two/d", 1)
	n.ended(26, "two/d", 1, action.Failed)
	n.answer(36, "two", "two/d", operator.Failed, operator.ByHand)
	n.at(37, journal.Record{Event: journal.Confirmed, Stage: "two", Step: "two/d", Attempt: 1, Verdict: string(action.Done), Text: "csu sees it done"})
	n.at(37, journal.Record{Event: journal.StageDone, Stage: "two"})
	r := n.log.Report(timeline.Options{})
	want := "stage consent 3, step one/b 6, failed 5, step one/b 2, between 1, away 1, step one/c 2, stage consent 4, step two/d 2, failed 10, check two/d 1"
	if got := path(r); got != want {
		t.Errorf("the critical path is\n%s, want\n%s", got, want)
	}
	if problem := timelinetest.Wrong(r); problem != "" {
		t.Error(problem)
	}
	var costs []string
	for _, c := range r.Costs {
		costs = append(costs, fmt.Sprintf("%s%s %g", c.Topic, c.Step, time.Duration(c.Took).Minutes()))
	}
	if want := []string{"failedtwo/d 10", "one/b 8", "failedone/b 5", "stage consent 4", "stage consent 3"}; !slices.Equal(costs, want) {
		t.Errorf("what cost most is %q, want %q", costs, want)
	}
	if asked := time.Duration(r.Asked).Minutes(); asked != 22 {
		t.Errorf("people were waited for for %g minutes, want 22", asked)
	}
	if c := r.Costs[1]; c.Attempts != 2 || c.Usual != timeline.Seconds(5*time.Minute) {
		t.Errorf("the cost of one/b has %d attempts and the usual time %v", c.Attempts, time.Duration(c.Usual))
	}
}

// TestOpenRun: of a run that is under way, what runs lasts until now, and what is not as
// the plan wants it is named.
func TestOpenRun(t *testing.T) {
	n := begun(t, fork())
	n.answer(1, "one", "", operator.StageConsent, operator.Yes)
	n.at(1, journal.Record{Event: journal.StageBegun, Stage: "one"})
	n.started(1, "one/a", 1)
	n.started(1, "one/b", 1)
	n.ended(3, "one/a", 1, action.Failed)
	n.answer(4, "one", "one/a", operator.Failed, operator.Skip)
	r := n.log.Report(timeline.Options{Now: time.Date(2026, 11, 24, 12, 9, 0, 0, time.UTC)})
	if got, want := path(r), "stage consent 1, step one/b 8"; got != want {
		t.Errorf("the critical path is %s, want %s", got, want)
	}
	var left []string
	for _, l := range r.Left {
		left = append(left, l.What+" "+l.Step+" "+l.Text)
	}
	if want := []string{"skipped one/a Do one/a: skipped by Ada: since Bob says so", "open one/b Do one/b"}; !slices.Equal(left, want) {
		t.Errorf("left is %q, want %q", left, want)
	}
	if d := r.Decisions[1]; d.Choice != "skip" || d.By != "Ada" || d.Reason != "since Bob says so" {
		t.Errorf("the decision is %+v", d)
	}
}

// TestClockSetBack: a record with an earlier time than the one before it counts as that
// one's.
func TestClockSetBack(t *testing.T) {
	n := begun(t, fork())
	n.answer(5, "one", "", operator.StageConsent, operator.Yes)
	n.at(5, journal.Record{Event: journal.StageBegun, Stage: "one"})
	n.started(2, "one/a", 1) // the clock was set back
	n.ended(8, "one/a", 1, action.Done)
	if got, want := path(n.log.Report(timeline.Options{})), "stage consent 5, step one/a 3"; got != want {
		t.Errorf("the critical path is %s, want %s", got, want)
	}
}

// TestAnswersInAdvance: nobody was waited for.
func TestAnswersInAdvance(t *testing.T) {
	n := begun(t, fork())
	n.at(5, journal.Record{Event: journal.Answered, Stage: "one", Answer: &journal.Answer{Topic: string(operator.StageConsent), Choice: "yes", By: "Ada", Via: operator.InAdvance + "--consent"}})
	if r := n.log.Report(timeline.Options{}); r.Asked != 0 || len(r.Waits) != 1 {
		t.Errorf("%d waits took %v", len(r.Waits), time.Duration(r.Asked))
	}
}

// TestQuestionsAreExact: a question waits from when it was asked to its answer, until it
// is settled or until csu ends, and what csu did before it was asked is not a wait.
func TestQuestionsAreExact(t *testing.T) {
	n := begun(t, fork())
	n.asked(2, "one", "", operator.StageConsent)
	n.answer(5, "one", "", operator.StageConsent, operator.Yes)
	n.at(5, journal.Record{Event: journal.StageBegun, Stage: "one"})
	n.started(5, "one/a", 1)
	n.started(5, "one/b", 1)
	n.ended(8, "one/a", 1, action.Failed)
	n.asked(9, "one", "one/a", operator.Failed)
	n.at(12, journal.Record{Event: journal.Withdrawn, Stage: "one", Step: "one/a", Question: &journal.Question{Topic: string(operator.Failed)}, Text: "all CSCs are there now"})
	n.started(12, "one/a", 2)
	n.ended(13, "one/a", 2, action.Done)
	n.at(14, journal.Record{Event: journal.Doubtful, Stage: "one", Step: "one/b", Attempt: 1, Verdict: string(action.Unknown), Text: "not seen"})
	n.asked(15, "one", "one/b", operator.InDoubt)
	n.at(20, journal.Record{Event: journal.Stopped, Text: "interrupted"})
	n.at(30, journal.Record{Event: journal.Resumed, Run: &journal.Run{ID: "1", Digest: digest, Operator: "Bob"}})
	n.asked(31, "one", "one/b", operator.InDoubt)
	open := n.log.Report(timeline.Options{Now: time.Date(2026, 11, 24, 12, 34, 0, 0, time.UTC)})
	n.answer(35, "one", "one/b", operator.InDoubt, operator.Happened)

	lines := func(r *timeline.Report) string {
		var all []string
		for _, w := range r.Waits {
			all = append(all, fmt.Sprintf("%s %s%s %g-%g %s%s", w.Topic, w.Stage, strings.TrimPrefix(w.Step, w.Stage), w.Begun.Sub(r.Begun).Minutes(), w.Ended.Sub(r.Begun).Minutes(), w.Choice, w.Settled))
			if !w.Exact {
				t.Errorf("the wait for %s is not exact", w.Topic)
			}
		}
		return strings.Join(all, "\n")
	}
	const before = "stage consent one 2-5 yes\nfailed one/a 9-12 settled: all CSCs are there now\nin doubt one/b 15-20 not answered: csu ended\n"
	if got, want := lines(open), before+"in doubt one/b 31-34 "; got != want {
		t.Errorf("while a question is open, the waits are\n%s\nwant\n%s", got, want)
	}
	r := n.log.Report(timeline.Options{})
	if got, want := lines(r), before+"in doubt one/b 31-35 happened"; got != want {
		t.Errorf("the waits are\n%s\nwant\n%s", got, want)
	}
	if got, want := path(r), "between 2, stage consent 3, step one/b 10, in doubt 5, away 10, step one/b 1, in doubt 4"; got != want {
		t.Errorf("the critical path is\n%s, want\n%s", got, want)
	}
	for _, r := range []*timeline.Report{open, r} {
		if problem := timelinetest.Wrong(r); problem != "" {
			t.Error(problem)
		}
	}
	if asked := time.Duration(r.Asked).Minutes(); asked != 15 {
		t.Errorf("people were waited for for %g minutes, want 15", asked)
	}
}
