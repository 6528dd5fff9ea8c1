package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/timeline"
)

// nature is how long actions take in truth: a lognormal distribution for each class.
type nature map[plan.Class][2]float64

func (n nature) draw(c plan.Class, d *rand.Rand) time.Duration {
	of, known := n[c]
	if !known {
		of = [2]float64{math.Log(120) + 2*d.Float64(), .15 + .45*d.Float64()}
		n[c] = of
	}
	return time.Duration(math.Exp(of[0]+of[1]*d.NormFloat64()) * float64(time.Second))
}

// aNight draws how long each step takes, and returns the plan with these times.
func aNight(p *plan.Plan, n nature, d *rand.Rand) *plan.Plan {
	c := *p
	c.Stages, c.Final = slices.Clone(p.Stages), slices.Clone(p.Final)
	for i := range c.Stages {
		c.Stages[i].Steps = slices.Clone(c.Stages[i].Steps)
	}
	for s := range c.AllSteps() {
		if class, times, ok := s.Class(p); ok {
			s.Takes = plan.Duration(time.Duration(times) * n.draw(class, d))
		}
	}
	return &c
}

// told writes the journal of a night, in which people are waited for before each stage and
// in the middle of one of its steps.
func told(t *testing.T, p, night *plan.Plan, start time.Time, d *rand.Rand) *timeline.Log {
	t.Helper()
	slowed := aNight(night, nature{}, d)
	waits := map[string]time.Duration{}
	for i := range slowed.Stages {
		steps := slowed.Stages[i].Steps
		for j := range steps {
			steps[j].Takes = night.Stages[i].Steps[j].Takes
		}
		s := &steps[d.IntN(len(steps))]
		waits[s.ID] = time.Duration(d.ExpFloat64() * float64(10*time.Minute))
		s.Takes += plan.Duration(waits[s.ID])
	}
	var records []journal.Record
	record := func(at time.Time, r journal.Record) {
		r.Time = at
		records = append(records, r)
	}
	ask := func(at time.Time, stage, step string, topic operator.Topic) {
		record(at, journal.Record{Event: journal.Answered, Stage: stage, Step: step, Answer: &journal.Answer{Topic: string(topic), Choice: string(operator.Yes), By: "Ada", Via: "terminal"}})
	}
	record(start, journal.Record{Event: journal.RunBegun, Run: &journal.Run{ID: "1", Digest: "d"}})
	now := start
	for i, e := range review.EstimatePlan(slowed).Stages {
		stage := night.Stages[i].ID
		now = now.Add(time.Duration(d.ExpFloat64() * float64(20*time.Minute)))
		ask(now, stage, "", operator.StageConsent)
		record(now, journal.Record{Event: journal.StageBegun, Stage: stage})
		for _, s := range e.Steps {
			began := now.Add(time.Duration(s.Begins))
			record(began, journal.Record{Event: journal.Started, Stage: stage, Step: s.ID, Attempt: 1})
			if w := waits[s.ID]; w > 0 {
				ask(began.Add(w), stage, s.ID, operator.QueuePaused)
			}
			record(now.Add(time.Duration(s.Ends)), journal.Record{Event: journal.Outcome, Stage: stage, Step: s.ID, Attempt: 1, Verdict: "done"})
		}
		now = now.Add(time.Duration(e.Takes))
		record(now, journal.Record{Event: journal.StageDone, Stage: stage})
	}
	slices.SortStableFunc(records, func(a, b journal.Record) int { return a.Time.Compare(b.Time) })
	l := timeline.NewLog(p, "d")
	for n := range records {
		records[n].Seq = n + 1
		if err := l.Take(&records[n]); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// TestLearnedRanges: trained on twenty journals, the ranges of steps and of whole nights
// have 75 to 85 % of the true times of other nights.
func TestLearnedRanges(t *testing.T) {
	p, _, err := plan.ReadFile("../../plans/2026-11-24-summit-incremental.json")
	if err != nil {
		t.Fatal(err)
	}
	d := rand.New(rand.NewPCG(7, 7))
	var steps, stepsIn, nights, nightsIn int
	for range 40 {
		truth := nature{}
		var samples []timeline.Sample
		for n := range 20 {
			samples = append(samples, told(t, p, aNight(p, truth, d), time.Date(2026, 1, n+1, 12, 0, 0, 0, time.UTC), d).Samples()...)
		}
		learned, few := timeline.Learn(samples)
		if len(few) > 0 {
			t.Fatalf("too few attempts of %v", few)
		}
		trained := aNight(p, truth, d) // a copy
		for s := range trained.AllSteps() {
			class, times, ok := s.Class(p)
			i := slices.IndexFunc(learned, func(l timeline.Learned) bool { return ok && l.Class == class })
			if i < 0 {
				continue
			}
			n := time.Duration(times)
			s.Takes, s.Spread = plan.Learned(n*learned[i].P10, n*learned[i].P50, n*learned[i].P90, learned[i].From)
		}
		r, ok := review.EstimateRange(trained)
		if !ok {
			t.Fatal("the plan has no range")
		}
		for range 25 {
			night := aNight(p, truth, d)
			for s := range trained.AllSteps() {
				if was, ok := night.Step(s.ID); ok && s.Spread != nil {
					steps++
					if s.Spread.Low <= was.Takes && was.Takes <= s.Spread.High {
						stepsIn++
					}
				}
			}
			nights++
			if took := review.EstimatePlan(night).Takes; r.Low <= took && took <= r.High {
				nightsIn++
			}
		}
	}
	for what, share := range map[string]float64{"steps": float64(stepsIn) / float64(steps), "nights": float64(nightsIn) / float64(nights)} {
		t.Logf("%.1f %% of the %s are in their range", 100*share, what)
		if share < .75 || share > .85 {
			t.Errorf("%.1f %% of the %s are in their range, want 75 to 85", 100*share, what)
		}
	}
}
