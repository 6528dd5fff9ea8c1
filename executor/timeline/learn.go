package timeline

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// A Sample is how long a good attempt took: one that csu has begun and seen done itself,
// without a doubt or a resume in between.
type Sample struct {
	Class plan.Class
	Ended time.Time
	// Took is without the time in which people were waited for; for an action of several
	// scripts, of one script on average.
	Took time.Duration
}

// Samples returns the good attempts of the records that were taken in.
func (l *Log) Samples() []Sample {
	waits := map[*bar][]Span{}
	for _, b := range l.bars {
		if b.inside != nil {
			waits[b.inside] = append(waits[b.inside], b.Span)
		}
	}
	var out []Sample
	for _, b := range l.bars {
		if b.activity != Working || b.held || b.open || b.attempt.Outcome != "done" {
			continue
		}
		class, times, ok := l.state.Steps[b.step].Step.Class(l.plan)
		if !ok {
			continue
		}
		took := b.Length() - covered(waits[b])
		out = append(out, Sample{class, b.Ended, took / time.Duration(times)})
	}
	return out
}

// Of each class, at most lastAttempts are learned from, and none of fewer than
// fewestAttempts: their extremes say nothing about one run in ten.
const (
	lastAttempts   = 20
	fewestAttempts = 9
)

// Learned is how long the last good attempts of a class took.
type Learned struct {
	Class         plan.Class
	From          int // number of attempts
	P10, P50, P90 time.Duration
}

// Learn returns what the samples say of each class, and the classes of which there are too
// few.
func Learn(samples []Sample) (learned []Learned, few []plan.Class) {
	byClass := map[plan.Class][]Sample{}
	for _, s := range samples {
		byClass[s.Class] = append(byClass[s.Class], s)
	}
	for c, all := range byClass {
		slices.SortStableFunc(all, func(a, b Sample) int { return b.Ended.Compare(a.Ended) })
		var took []time.Duration
		for _, s := range all[:min(len(all), lastAttempts)] {
			took = append(took, s.Took)
		}
		if len(took) < fewestAttempts {
			few = append(few, c)
			continue
		}
		slices.Sort(took)
		learned = append(learned, Learned{c, len(took), percentile(took, .1), percentile(took, .5), percentile(took, .9)})
	}
	slices.SortFunc(learned, func(a, b Learned) int { return compareClasses(a.Class, b.Class) })
	slices.SortFunc(few, compareClasses)
	return learned, few
}

func compareClasses(a, b plan.Class) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Target, b.Target))
}

// percentile returns the value below which the next one is with probability q: the
// quantile at q(n+1) of the sorted values, which is right on average for any distribution
// (Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996, definition 6).
func percentile(sorted []time.Duration, q float64) time.Duration {
	at := q*float64(len(sorted)+1) - 1
	i := min(max(int(math.Floor(at)), 0), len(sorted)-1)
	j := min(i+1, len(sorted)-1)
	part := min(max(at-float64(i), 0), 1)
	return sorted[i] + time.Duration(part*float64(sorted[j]-sorted[i]))
}

// CUE returns the file durations.cue of a site.
func CUE(learned []Learned) string {
	var b strings.Builder
	b.WriteString("// How long actions took in past runs, written by csu durations from their journals.\npackage site\n\nsite: learned: [\n")
	for _, l := range learned {
		fmt.Fprintf(&b, "\t{kind: %q", l.Class.Kind)
		if l.Class.Purpose != "" {
			fmt.Fprintf(&b, ", purpose: %q", l.Class.Purpose)
		}
		if l.Class.Target != "" {
			fmt.Fprintf(&b, ", target: %q", l.Class.Target)
		}
		fmt.Fprintf(&b, ", from: %d, p10: %s, p50: %s, p90: %s},\n", l.From, decimal(l.P10), decimal(l.P50), decimal(l.P90))
	}
	b.WriteString("]\n")
	return b.String()
}

// decimal returns seconds, with one decimal.
func decimal(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) }
