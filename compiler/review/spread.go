package review

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// A Range is how long a plan takes in 80 % of the cases if nothing fails and every question
// is answered at once. Percentiles of steps don't add up to those of a plan, so the plan is
// simulated with times drawn for its steps, always with the same seed.
type Range struct {
	Low, Median, High plan.Duration
	// Decides are the steps whose times decide most of it, the most important first.
	Decides []Decider
	// Unknown are the steps without a learned duration, which count with their usual time.
	Unknown []string
}

// A Decider is a step with the part of the variance of the whole that goes with its time,
// 0 to 1.
type Decider struct {
	ID    string
	Share float64
}

const (
	simulations  = 1000
	mostDeciders = 3
)

// EstimateRange simulates a plan, which must be valid; false if none of its steps has a
// learned duration.
func EstimateRange(p *plan.Plan) (Range, bool) {
	c := *p
	c.Stages, c.Final = slices.Clone(p.Stages), slices.Clone(p.Final)
	for i := range c.Stages {
		c.Stages[i].Steps = slices.Clone(c.Stages[i].Steps)
	}
	var spread []*plan.Step
	var r Range
	for s := range c.AllSteps() {
		switch {
		case s.Spread != nil:
			spread = append(spread, s)
		default:
			r.Unknown = append(r.Unknown, s.ID)
		}
	}
	if len(spread) == 0 {
		return Range{}, false
	}
	var times []lognormal
	for _, s := range spread {
		times = append(times, learnedTimes(s))
	}
	resources := resourcesOf(p)
	d := rand.New(rand.NewPCG(1, 1))
	whole := make([]float64, simulations)
	each := make([][]float64, len(spread))
	for n := range whole {
		// The median of a class is off by the same for all of its steps.
		off := map[plan.Class]float64{}
		for i, s := range spread {
			class, _, _ := s.Class(p)
			if _, drawn := off[class]; !drawn {
				off[class] = d.NormFloat64()
			}
			s.Takes = times[i].draw(off[class], d)
			each[i] = append(each[i], float64(s.Takes))
		}
		whole[n] = float64(estimate(&c, resources).Takes)
	}
	r.decides(spread, each, whole)
	slices.Sort(whole)
	at := func(q float64) plan.Duration {
		return plan.Duration(time.Duration(whole[int(q*float64(simulations-1))]).Round(time.Second))
	}
	r.Low, r.Median, r.High = at(.1), at(.5), at(.9)
	return r, true
}

// lognormal is the distribution of a time whose logarithm is normal, as that of times that
// are sometimes much longer, and never much shorter, than usual.
// Its mean is known from so many attempts.
type lognormal struct {
	mean, deviation float64
	from            int
}

// learnedTimes returns the distribution of a step's times, from its percentiles.
func learnedTimes(s *plan.Step) lognormal {
	const least = float64(time.Second / 2) // a range may begin at nothing
	log := func(d plan.Duration) float64 { return math.Log(max(least, float64(d))) }
	return lognormal{log(s.Takes), (log(s.Spread.High) - log(s.Spread.Low)) / (2 * edge(s.Spread.From)), s.Spread.From}
}

// draw draws a time. off is by how many of its standard errors the median is off: the
// standard error of the median of n values is the square root of π/2n deviations.
func (l lognormal) draw(off float64, d *rand.Rand) plan.Duration {
	return plan.Duration(math.Exp(l.mean + l.deviation*(d.NormFloat64()+off*math.Sqrt(math.Pi/2/float64(l.from)))))
}

// edge returns how many standard deviations from the mean the 90th percentile of n attempts
// lies on average. It is further out than the distribution's own, 1.28: it is made so that
// the next attempt is below it with 90 %, although the distribution is not known exactly. The
// order statistics are Blom's (Statistical Estimates and Transformed Beta-Variables, 1958).
func edge(n int) float64 {
	score := func(i float64) float64 { return math.Sqrt2 * math.Erfinv(2*(i-.375)/(float64(n)+.25)-1) }
	at := min(.9*float64(n+1), float64(n))
	low := math.Floor(at)
	return score(low) + (at-low)*(score(min(low+1, float64(n)))-score(low))
}

// decides finds the steps that vary together with the whole.
func (r *Range) decides(steps []*plan.Step, each [][]float64, whole []float64) {
	total := covariance(whole, whole)
	if total <= 0 {
		return
	}
	for i, s := range steps {
		c := covariance(each[i], whole)
		if share := c * math.Abs(c) / max(1, covariance(each[i], each[i])*total); share >= .05 {
			r.Decides = append(r.Decides, Decider{s.ID, share})
		}
	}
	slices.SortStableFunc(r.Decides, func(a, b Decider) int { return cmp.Compare(b.Share, a.Share) })
	r.Decides = r.Decides[:min(len(r.Decides), mostDeciders)]
}

func covariance(x, y []float64) float64 {
	mx, my := mean(x), mean(y)
	sum := 0.
	for i := range x {
		sum += (x[i] - mx) * (y[i] - my)
	}
	return sum / float64(len(x))
}

func mean(x []float64) float64 {
	sum := 0.
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// text says the range and what decides it.
func (r *Range) text() string {
	text := fmt.Sprintf("in 80 %% of the cases %s to %s", about(r.Low), about(r.High))
	var names []string
	for _, d := range r.Decides {
		names = append(names, fmt.Sprintf("%s (%.0f %%)", d.ID, 100*d.Share))
	}
	if len(names) > 0 {
		text += "; what decides it: " + strings.Join(names, ", ")
	}
	if n := len(r.Unknown); n > 0 {
		text += fmt.Sprintf("; not learned, and counted with their usual times: %s", shortened(strings.Join(r.Unknown, ", "), longList))
		text += fmt.Sprintf(" (%s)", plan.Counted(n, "step"))
	}
	return text
}
