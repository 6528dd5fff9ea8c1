package review

import (
	"math/rand/v2"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// Progress is how far a step has come.
type Progress struct {
	Finished bool
	// For is how long its attempt has run or, if it is finished, how long that is ago; 0 if
	// it has not started.
	For plan.Duration
}

// remainingSimulations is how often the rest of a run is simulated: it is asked for again
// and again while the run goes on.
const remainingSimulations = 100

// Remaining returns how long the rest of a run takes in 80 % of the cases if nothing fails
// and every question is answered at once. A final step that is not finished counts. If no
// step that is left has a learned duration, low and high are what the rest usually takes. A
// step that has run for longer than it usually takes may end at any moment.
func Remaining(p *plan.Plan, at func(id string) Progress) (low, high plan.Duration) {
	c := *p
	c.Stages, c.Final = slices.Clone(p.Stages), slices.Clone(p.Final)
	for i := range c.Stages {
		c.Stages[i].Steps = slices.Clone(c.Stages[i].Steps)
	}
	resources := resourcesOf(p)
	type learned struct {
		step  *plan.Step
		times lognormal
		ran   plan.Duration
	}
	var spread []learned
	for s := range c.AllSteps() {
		progress := at(s.ID)
		if build := awaited(s); build != "" && at(build).Finished {
			progress.For = at(build).For // its time counts from its beginning
		}
		switch {
		case progress.Finished:
			s.Takes = 0
		case s.Spread != nil:
			spread = append(spread, learned{s, learnedTimes(s), progress.For})
		default:
			s.Takes = max(0, s.Takes-progress.For)
		}
	}
	if len(spread) == 0 {
		takes := estimate(&c, resources).Takes
		return takes, takes
	}
	d := rand.New(rand.NewPCG(1, 1))
	whole := make([]plan.Duration, remainingSimulations)
	for n := range whole {
		off := map[plan.Class]float64{}
		for _, l := range spread {
			class, _, _ := l.step.Class(p)
			if _, drawn := off[class]; !drawn {
				off[class] = d.NormFloat64()
			}
			l.step.Takes = l.times.rest(l.ran, off[class], d)
		}
		whole[n] = estimate(&c, resources).Takes
	}
	slices.Sort(whole)
	return whole[len(whole)/10], whole[len(whole)*9/10]
}

// rest draws how much longer an attempt takes that has run for a time; nothing if times as
// long as that are too rare to be drawn.
func (l lognormal) rest(ran plan.Duration, off float64, d *rand.Rand) plan.Duration {
	const tries = 20
	for range tries {
		if t := l.draw(off, d); t > ran {
			return t - ran
		}
	}
	return 0
}
