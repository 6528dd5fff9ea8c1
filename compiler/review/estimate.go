package review

import (
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// An Estimate is how long a plan is expected to take if nothing fails, every
// question is answered at once, and each step takes its usual time. As in the
// executor, a step starts when the steps that it needs are done and its resource
// is free.
type Estimate struct {
	Takes  plan.Duration // the whole plan, its final steps included
	Stages []StageEstimate
	Final  plan.Duration // the final steps, one after the other
	// Least is how long the longest chain takes that the procedure itself demands; 0 if
	// it is not known here.
	Least plan.Duration
	Range *Range // nil if no step has a learned duration; see [EstimateWithRange]
}

// A StageEstimate is one stage's part.
type StageEstimate struct {
	ID     string
	Begins plan.Duration // since the start of the plan
	Takes  plan.Duration
	// Critical are the steps on the stage's critical path, in order: only a
	// shorter critical step shortens the stage.
	Critical []string
	Steps    []StepEstimate // in the plan's order
}

// A StepEstimate is when a step runs, since the start of its stage.
type StepEstimate struct {
	ID           string
	Begins, Ends plan.Duration
}

// EstimatePlan returns the estimate of a plan. Of one that is not valid it says nothing,
// and does not panic: the rules use it.
func EstimatePlan(p *plan.Plan) Estimate { return estimate(p, resourcesOf(p)) }

// resourcesOf returns what only one step at a time may use, by step.
func resourcesOf(p *plan.Plan) map[string]string {
	out := map[string]string{}
	for s := range p.AllSteps() {
		out[s.ID] = s.Effects(p).Resource
	}
	return out
}

func estimate(p *plan.Plan, resources map[string]string) Estimate {
	var e Estimate
	begun := map[string]plan.Duration{} // when a step was done, since the start of the plan
	for i := range p.Stages {
		s := estimateStage(&p.Stages[i], resources, func(step *plan.Step, begins plan.Duration) plan.Duration {
			if at, building := begun[awaited(step)]; building { // a build's time counts from its beginning
				return max(0, at+step.Takes-e.Takes-begins)
			}
			return step.Takes
		})
		for _, step := range s.Steps {
			begun[step.ID] = e.Takes + step.Ends
		}
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

// awaited returns the step that begins the build for which the step waits; "" for none.
func awaited(s *plan.Step) string {
	if a, ok := s.Action.Parameters.(*plan.SSH); ok {
		return a.Build
	}
	return ""
}

// EstimateWithRange is [EstimatePlan] with the plan's range.
func EstimateWithRange(p *plan.Plan) Estimate {
	e := EstimatePlan(p)
	if r, ok := EstimateRange(p); ok {
		e.Range = &r
	}
	return e
}

// run is a step in an estimate.
type run struct {
	step     *plan.Step
	resource string
	begins   plan.Duration
	ends     plan.Duration
	after    *run // the step whose end allowed it to start; nil at the stage's start
	started  bool
}

// estimateStage estimates a stage. takes returns how long a step takes that begins then,
// since the start of the stage.
func estimateStage(s *plan.Stage, resources map[string]string, takes func(s *plan.Step, begins plan.Duration) plan.Duration) StageEstimate {
	runs := make([]*run, len(s.Steps))
	byID := map[string]*run{}
	for i := range s.Steps {
		runs[i] = &run{step: &s.Steps[i], resource: resources[s.Steps[i].ID]}
		byID[s.Steps[i].ID] = runs[i]
	}
	now := plan.Duration(0)
	holder := map[string]*run{} // last step that used a resource
	var last *run
	for left := len(runs); left > 0; {
		next, before := plan.Duration(-1), left
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
			r.started, r.begins, r.ends, r.after = true, now, now+takes(r.step, now), after
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
		} else if left == before {
			break // steps that need each other: the plan is not valid
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

// ready reports whether the steps that r needs have ended, and which ended last.
func (r *run) ready(byID map[string]*run, now plan.Duration) (last *run, ready bool) {
	for _, id := range r.step.Needs {
		n := byID[id]
		if n == nil {
			continue // the plan is not valid
		}
		if !n.started || n.ends > now {
			return nil, false
		}
		if last == nil || n.ends > last.ends {
			last = n
		}
	}
	return last, true
}

// about returns a duration for people, rounded to the minute from one hour on.
func about(d plan.Duration) string {
	t := time.Duration(d)
	if t >= time.Hour {
		t = t.Round(time.Minute)
	}
	return plan.Duration(t).String()
}
