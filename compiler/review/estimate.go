package review

import (
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// An Estimate is how long a plan is expected to take when nothing goes wrong,
// nobody is waited for, and each step takes its usual time: inside a stage a
// step starts when what it needs is done and its resource is free, as the
// executor has it.
type Estimate struct {
	Takes  plan.Duration // the whole plan, its final steps included
	Stages []StageEstimate
	Final  plan.Duration // the final steps, one after the other
}

// A StageEstimate is one stage's part.
type StageEstimate struct {
	ID     string
	Begins plan.Duration // since the beginning of the plan
	Takes  plan.Duration
	// Critical are the steps that the stage's end waits for, in their order:
	// what shortens none of them shortens nothing.
	Critical []string
	Steps    []StepEstimate // in the plan's order
}

// A StepEstimate is when a step runs, since the beginning of its stage.
type StepEstimate struct {
	ID           string
	Begins, Ends plan.Duration
}

// EstimatePlan works an estimate out. The plan must be valid.
func EstimatePlan(p *plan.Plan) Estimate {
	var e Estimate
	for i := range p.Stages {
		s := estimateStage(p, &p.Stages[i])
		s.Begins = e.Takes
		e.Takes += s.Takes
		e.Stages = append(e.Stages, s)
	}
	for _, s := range p.Final {
		e.Final += s.Takes
	}
	e.Takes += e.Final
	return e
}

// run is a step in an estimate.
type run struct {
	step     *plan.Step
	resource string
	begins   plan.Duration
	ends     plan.Duration
	after    *run // whose end let it start; nil at the stage's beginning
	started  bool
}

func estimateStage(p *plan.Plan, s *plan.Stage) StageEstimate {
	runs := make([]*run, len(s.Steps))
	byID := map[string]*run{}
	for i := range s.Steps {
		runs[i] = &run{step: &s.Steps[i], resource: s.Steps[i].Effects(p).Resource}
		byID[s.Steps[i].ID] = runs[i]
	}
	now := plan.Duration(0)
	holder := map[string]*run{} // who had a resource last
	var last *run
	for left := len(runs); left > 0; {
		next := plan.Duration(-1)
		for _, r := range runs {
			if r.started {
				if r.ends > now && (next < 0 || r.ends < next) {
					next = r.ends
				}
				continue
			}
			after, ready := r.ready(byID, now)
			if h := holder[r.resource]; ready && r.resource != "" && h != nil {
				if h.ends > now {
					ready = false
				} else if after == nil || h.ends > after.ends {
					after = h
				}
			}
			if !ready {
				continue
			}
			r.started, r.begins, r.ends, r.after = true, now, now+r.step.Takes, after
			holder[r.resource] = r
			left--
			if last == nil || r.ends > last.ends {
				last = r
			}
			if r.ends > now && (next < 0 || r.ends < next) {
				next = r.ends
			}
		}
		if next >= 0 {
			now = next
		}
	}
	out := StageEstimate{ID: s.ID}
	for _, r := range runs {
		out.Steps = append(out.Steps, StepEstimate{r.step.ID, r.begins, r.ends})
	}
	if last != nil {
		out.Takes = last.ends
	}
	for r := last; r != nil; r = r.after {
		out.Critical = append(out.Critical, r.step.ID)
	}
	slices.Reverse(out.Critical)
	return out
}

// ready tells whether what the step needs has ended, and which of that ended
// last.
func (r *run) ready(byID map[string]*run, now plan.Duration) (last *run, ready bool) {
	for _, id := range r.step.Needs {
		n := byID[id]
		if !n.started || n.ends > now {
			return nil, false
		}
		if last == nil || n.ends > last.ends {
			last = n
		}
	}
	return last, true
}

// about writes a duration for people: to the minute where it is an hour or
// more.
func about(d plan.Duration) string {
	t := time.Duration(d)
	if t >= time.Hour {
		t = t.Round(time.Minute)
	}
	return plan.Duration(t).String()
}
