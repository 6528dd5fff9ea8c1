package timeline

import (
	"cmp"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// mostCosts is how many causes a report names.
const mostCosts = 5

// critical returns the critical path of the bars in a time: segments that follow one
// another from its beginning to its end.
func (l *Log) critical(bars []*bar, all Span) []Segment {
	w := &walk{log: l, nested: map[*bar][]*bar{}, passed: map[*bar]bool{}, now: all.Ended}
	for _, b := range bars {
		if b.inside != nil {
			w.nested[b.inside] = append(w.nested[b.inside], b)
		}
		if b.activity == Absent {
			w.absences = append(w.absences, b)
		}
	}
	w.bars = slices.Clone(bars)
	slices.SortStableFunc(w.bars, func(a, b *bar) int { return a.Ended.Compare(b.Ended) })
	for b := w.last(); b != nil; b = w.cause(b) {
		w.passed[b] = true
		w.take(b)
	}
	w.emit(all.Begun, Segment{Activity: Between})
	slices.Reverse(w.path)
	return w.path
}

// A walk goes back in time along the critical path.
type walk struct {
	log      *Log
	bars     []*bar // by their ends
	nested   map[*bar][]*bar
	absences []*bar
	passed   map[*bar]bool
	now      time.Time // the path is known from here on
	path     []Segment // backward
}

// last returns the bar with which the time ends. An open question holds up what else is
// open; of several open attempts, the one that has run for longest.
func (w *walk) last() *bar {
	var found *bar
	for _, b := range w.bars {
		switch {
		case b.Ended.After(w.now):
		case found == nil, b.Ended.After(found.Ended):
			found = b
		case b.Ended.Before(found.Ended):
		case b.open && found.open && (b.activity == Waiting) == (found.activity == Waiting) && b.Begun.After(found.Begun):
		case found.open && found.activity == Waiting && b.activity != Waiting:
		default:
			found = b
		}
	}
	if found != nil && found.inside != nil {
		return found.inside // the question about an attempt is a part of it
	}
	return found
}

// cause returns the bar whose end allowed another one to begin: of those that may have,
// the one that ended last. nil is the beginning of the run.
func (w *walk) cause(of *bar) *bar {
	// The first bar that ends after of has begun.
	n, _ := slices.BinarySearchFunc(w.bars, of.Begun, func(b *bar, t time.Time) int {
		if b.Ended.After(t) {
			return 1
		}
		return -1
	})
	for _, b := range slices.Backward(w.bars[:n]) {
		if !w.passed[b] && b != of && w.allows(b, of) {
			return b
		}
	}
	return nil
}

// allows reports whether the end of one bar may have allowed another to begin.
func (w *walk) allows(one, other *bar) bool {
	switch {
	case one.inside != nil && !w.passed[one.inside]:
		return false // it is a part of its attempt
	case one.activity == Absent, other.activity == Absent, one.stage == "" && one.step == "":
		return true
	case w.log.order[one.stage] != w.log.order[other.stage]:
		return w.log.order[one.stage] < w.log.order[other.stage]
	case one.step == other.step, one.step == "":
		return true // the same step again, or its stage's consent
	case one.held, other.activity == Waiting && one.activity == Waiting:
		return true // nothing else started, or one question waited for the other
	case one.activity == Waiting && holds(operator.Topic(one.wait.Topic)):
		return true
	case other.stage == "": // final steps run one after the other
		return true
	}
	if r := w.log.effects[one.step].Resource; r != "" && r == w.log.effects[other.step].Resource {
		return true
	}
	step := w.log.state.Steps[other.step]
	return step != nil && slices.Contains(step.Step.Needs, one.step)
}

// holds reports whether nothing new starts while a question of the topic is open.
func holds(t operator.Topic) bool {
	return t == operator.Failed || t == operator.InDoubt || t == operator.Unseen
}

// take adds a bar to the path, and before it the time after its end. The waits inside an
// attempt, and the times without a csu, are segments of their own.
func (w *walk) take(b *bar) {
	w.emit(b.Ended, Segment{Activity: Between})
	own := Segment{Activity: b.activity, Stage: b.stage, Step: b.step, Attempt: b.number, Topic: b.wait.Topic}
	parts := slices.Clone(w.nested[b])
	if b.activity != Absent {
		for _, a := range w.absences {
			if !a.Begun.Before(b.Begun) && a.Begun.Before(b.Ended) {
				parts = append(parts, a)
			}
		}
	}
	slices.SortStableFunc(parts, func(a, b *bar) int { return a.Ended.Compare(b.Ended) })
	for _, p := range slices.Backward(parts) {
		if p.Ended.Before(b.Begun) {
			continue
		}
		w.passed[p] = true
		w.emit(p.Ended, own)
		w.emit(later(p.Begun, b.Begun), Segment{Activity: p.activity, Stage: p.stage, Step: p.step, Topic: p.wait.Topic})
	}
	w.emit(b.Begun, own)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// emit adds what happened from a time up to what is known already.
func (w *walk) emit(from time.Time, s Segment) {
	if !from.Before(w.now) {
		return
	}
	s.Span = Span{from.UTC(), w.now.UTC()}
	w.now = from
	if n := len(w.path); n > 0 {
		last := &w.path[n-1]
		if same := *last; same.Activity == s.Activity && same.Stage == s.Stage && same.Step == s.Step && same.Attempt == s.Attempt && same.Topic == s.Topic {
			last.Begun = s.Begun
			return
		}
	}
	w.path = append(w.path, s)
}

// costs returns what took most of the critical path.
func (l *Log) costs(path []Segment, whole Seconds) []Cost {
	type cause struct {
		activity           Activity
		stage, step, topic string
	}
	at := map[cause]int{}
	tries := map[cause]map[int]bool{}
	var all []Cost
	for _, s := range path {
		c := cause{s.Activity, s.Stage, s.Step, s.Topic}
		i, known := at[c]
		if !known {
			i = len(all)
			at[c], tries[c] = i, map[int]bool{}
			all = append(all, Cost{Activity: s.Activity, Stage: s.Stage, Step: s.Step, Topic: s.Topic})
		}
		all[i].Took += Seconds(s.Length())
		if s.Activity == Working {
			tries[c][s.Attempt] = true
			all[i].Attempts = len(tries[c])
			if step := l.state.Steps[s.Step]; step != nil {
				all[i].Usual = Seconds(step.Step.Takes)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Cost) int { return cmp.Compare(b.Took, a.Took) })
	all = all[:min(len(all), mostCosts)]
	for i := range all {
		if whole > 0 {
			all[i].Share = float64(all[i].Took) / float64(whole)
		}
	}
	return all
}

// cscs returns the CSCs whose state the run has read or changed, in the plan's order.
func (l *Log) cscs() []CSC {
	seen, image := map[string]string{}, map[string]string{}
	for st := range l.plan.AllSteps() {
		if !l.state.Steps[st.ID].Phase.Happened() {
			continue
		}
		for _, w := range l.effects[st.ID].Sees {
			for _, c := range w.CSCs {
				if len(w.States) == 1 {
					seen[c] = w.States[0]
				}
			}
		}
		if sync, ok := st.Action.Parameters.(*plan.Sync); ok {
			for _, c := range sync.CSCs {
				if row, ok := l.plan.CSC(c); ok {
					image[c] = row.Image
				}
			}
		}
	}
	var out []CSC
	for i := range l.plan.CSCs {
		c := &l.plan.CSCs[i]
		if l.before[c.CSC] != "" || seen[c.CSC] != "" || image[c.CSC] != "" {
			out = append(out, CSC{c.CSC, l.before[c.CSC], seen[c.CSC], c.Expect, image[c.CSC]})
		}
	}
	return out
}
