package timeline_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/timeline"
	"github.com/lsst-ts/csu/executor/timeline/timelinetest"
)

const digest = "4be924d048b4abb11a9993058c8b20ac0bb18e8e839d070995029304a6a57905"

// threeStages is a plan with all kinds, needs, resources and a final step.
func threeStages(t testing.TB) *plan.Plan {
	t.Helper()
	var all []plan.Parameters
	for _, s := range plantest.Samples(t) {
		all = append(all, s.Action)
	}
	p := plantest.Plan(all...)
	steps := p.Stages[0].Steps
	p.Stages = nil
	for n, id := range []string{"one", "two", "three"} {
		stage := plan.Stage{ID: id, Title: "Stage " + id, Consent: "May it begin?", Doubts: []string{"Is it so?"}}
		for i := n; i < len(steps); i += 3 {
			s := steps[i]
			s.ID, s.Needs, s.Takes = fmt.Sprintf("%s/%d", id, i), nil, plan.Duration(3*time.Minute)
			if k := len(stage.Steps); k > 1 {
				s.Needs = []string{stage.Steps[k-2].ID}
			}
			stage.Steps = append(stage.Steps, s)
		}
		p.Stages = append(p.Stages, stage)
	}
	last := steps[len(steps)-1]
	last.ID, last.Undoes = "back", p.Stages[2].Steps[0].ID
	p.Final = []plan.Step{last}
	return p
}

var (
	verdicts = []action.Verdict{action.Done, action.Done, action.Done, action.Failed, action.NotDone, action.CutShort, action.Unknown, action.Running}
	topics   = []operator.Topic{operator.StepConsent, operator.Doubt, operator.Manual, operator.Failed, operator.InDoubt, operator.Unseen}
	choices  = []operator.Choice{operator.Yes, operator.ByHand, operator.Skip, operator.Retry, operator.Happened, operator.NotHappened, operator.KeepWaiting, operator.Accept}
	events   = []journal.Event{
		journal.Answered, journal.Answered, journal.NotBegun, journal.Started, journal.Started, journal.Started, journal.Noted, journal.Suspected,
		journal.Outcome, journal.Outcome, journal.Outcome, journal.Outcome, journal.Doubtful, journal.Confirmed, journal.Confirmed, journal.NotNeeded, journal.Left,
	}
)

// drawn returns the records of a run, drawn at random from all that a journal allows: in
// a sound order and otherwise with everything that can happen to a step. Its clock is set
// back now and then.
func drawn(p *plan.Plan, d *rand.Rand) []journal.Record {
	s := state.New(p)
	var out []journal.Record
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	write := func(r journal.Record) bool {
		now = now.Add(time.Duration(d.ExpFloat64() * float64(20*time.Second)))
		switch d.IntN(40) {
		case 0:
			now = now.Add(-time.Duration(d.IntN(300)) * time.Second)
		case 1: // at the same moment
			now = now.Add(0)
			if n := len(out); n > 0 {
				now = out[n-1].Time
			}
		}
		r.Seq, r.Time = len(out)+1, now
		if s.Check(&r) != nil {
			return false
		}
		s.Apply(&r)
		out = append(out, r)
		return true
	}
	run := journal.Run{Format: journal.Format, ID: "efa21d3c0edd", Digest: digest, Operator: "Ada Operator", Host: "base-1", Version: "v1"}
	write(journal.Record{Event: journal.RunBegun, Run: &run})
	write(journal.Record{Event: journal.Guarded, Text: "the cluster is the plan's"})
	step := func(step *plan.Step) {
		st := s.Steps[step.ID]
		r := journal.Record{Event: events[d.IntN(len(events))], Stage: step.Stage(), Step: step.ID, Attempt: st.Attempt, Text: "what is known <b>of it</b>"}
		switch r.Event {
		case journal.Started, journal.NotBegun:
			r.Attempt++
			r.Identity = "csu-" + step.ID
			r.Evidence = json.RawMessage(`{"before":{"MTMount:0":"ENABLED"}}`)
		case journal.Suspected:
			r.Attempt += d.IntN(2)
		case journal.Outcome, journal.Confirmed:
			r.Verdict = string(verdicts[d.IntN(6)])
		case journal.Doubtful:
			r.Verdict, r.Reported = string(verdicts[6+d.IntN(2)]), d.IntN(3) == 0
		case journal.Answered:
			c := choices[d.IntN(len(choices))]
			r.Attempt = 0
			r.Answer = &journal.Answer{
				Topic: string(topics[d.IntN(len(topics))]), Text: "What now?", Choice: string(c), Reason: "a | remark", By: "Ada", Via: "terminal",
				Checked: (c == operator.ByHand || c == operator.Happened) && d.IntN(2) == 0,
			}
		}
		if r.Event == journal.Answered && s.Check(&r) == nil && d.IntN(4) > 0 { // else of an older csu
			q := journal.Question{Topic: r.Answer.Topic, Text: r.Answer.Text}
			write(journal.Record{Event: journal.Asked, Stage: r.Stage, Step: r.Step, Question: &q})
			if d.IntN(5) == 0 {
				write(journal.Record{Event: journal.Withdrawn, Stage: r.Stage, Step: r.Step, Question: &q, Text: "it is settled"})
			}
			if d.IntN(5) == 0 { // csu has died, or works on while the question is open
				return
			}
		}
		write(r)
	}
	yes := &journal.Answer{Topic: string(operator.StageConsent), Text: "May it begin?", Choice: string(operator.Yes), By: "Ada", Via: "terminal"}
	for i := range p.Stages {
		stage := &p.Stages[i]
		if d.IntN(4) > 0 {
			write(journal.Record{Event: journal.Asked, Stage: stage.ID, Question: &journal.Question{Topic: yes.Topic, Text: yes.Text}})
		}
		write(journal.Record{Event: journal.Answered, Stage: stage.ID, Answer: yes})
		write(journal.Record{Event: journal.StageBegun, Stage: stage.ID})
		for range 14 * len(stage.Steps) {
			step(&stage.Steps[d.IntN(len(stage.Steps))])
			if d.IntN(60) == 0 {
				if d.IntN(2) == 0 {
					write(journal.Record{Event: journal.Stopped, Text: "interrupted"})
				}
				write(journal.Record{Event: journal.Resumed, Run: &run})
			}
		}
		if d.IntN(6) == 0 {
			write(journal.Record{Event: journal.Aborting, Text: "aborted by Ada"})
			break
		}
		write(journal.Record{Event: journal.StageDone, Stage: stage.ID})
	}
	for range 10 {
		step(&p.Final[0])
	}
	if s.Aborting {
		write(journal.Record{Event: journal.Aborted})
	} else if d.IntN(2) == 0 {
		write(journal.Record{Event: journal.Complete})
		write(journal.Record{Event: journal.Released})
	}
	return out
}

// TestEveryPrefix: a report of any journal, cut after any record, has a critical path
// whose segments follow one another and add up to the duration of the run, and each of
// which lies inside of what it names.
func TestEveryPrefix(t *testing.T) {
	p := threeStages(t)
	seen := map[timeline.Activity]int{}
	for seed := range uint64(25) {
		records := drawn(p, rand.New(rand.NewPCG(seed, 1)))
		l := timeline.NewLog(p, digest)
		for n := range records {
			if err := l.Take(&records[n]); err != nil {
				t.Fatalf("seed %d, record %d: %v", seed, n+1, err)
			}
			r := l.Report(timeline.Options{})
			if problem := timelinetest.Wrong(r); problem != "" {
				t.Fatalf("seed %d, after record %d (%s %s): %s", seed, n+1, records[n].Event, records[n].Step, problem)
			}
			if n == len(records)-1 {
				for _, s := range r.Critical {
					seen[s.Activity]++
				}
				counted(t, r, records)
			}
		}
	}
	for _, a := range []timeline.Activity{timeline.Working, timeline.Waiting, timeline.Checking, timeline.Absent, timeline.Between} {
		if seen[a] == 0 {
			t.Errorf("no critical path has a segment %q: the journals are too tame", a)
		}
	}
}

// counted wants nothing of the journal to be missing in its report.
func counted(t *testing.T, r *timeline.Report, records []journal.Record) {
	t.Helper()
	attempts, answers := 0, 0
	for i := range records {
		switch records[i].Event {
		case journal.Started, journal.NotBegun:
			attempts++
		case journal.Answered:
			answers++
		}
	}
	shown := 0
	for _, s := range r.Stages {
		for _, step := range s.Steps {
			shown += len(step.Attempts)
		}
	}
	for _, step := range r.Final {
		shown += len(step.Attempts)
	}
	if shown < attempts {
		t.Errorf("%d of %d attempts are in the report", shown, attempts)
	}
	if len(r.Waits) < answers || len(r.Decisions) != answers {
		t.Errorf("%d answers: %d waits and %d decisions are in the report", answers, len(r.Waits), len(r.Decisions))
	}
}
