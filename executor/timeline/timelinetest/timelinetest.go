// Package timelinetest has what tests want of every report.
package timelinetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/timeline"
)

// Wrong returns what a report contradicts itself in; "" for nothing.
func Wrong(r *timeline.Report) string {
	inside := func(s timeline.Span) bool {
		return !s.Begun.Before(r.Begun) && !s.Ended.After(r.Until) && !s.Ended.Before(s.Begun)
	}
	attempts := map[string][]timeline.Attempt{}
	for _, s := range append(slices.Clone(r.Stages), timeline.Stage{Steps: r.Final}) {
		for _, step := range s.Steps {
			attempts[step.ID] = step.Attempts
			for _, a := range step.Attempts {
				if !inside(a.Span) {
					return fmt.Sprintf("attempt %d of %s is from %s to %s, outside of the run", a.Number, step.ID, a.Begun, a.Ended)
				}
			}
		}
	}
	for _, w := range r.Waits {
		if !inside(w.Span) {
			return fmt.Sprintf("the wait for an answer about %q %s is from %s to %s, outside of the run", w.Topic, w.Step, w.Begun, w.Ended)
		}
	}
	at, sum := r.Begun, time.Duration(0)
	for _, s := range r.Critical {
		if !s.Begun.Equal(at) || !s.Ended.After(s.Begun) {
			return fmt.Sprintf("a segment of the critical path (%s %s) is from %s to %s, but the one before ended at %s", s.Activity, s.Step, s.Begun, s.Ended, at)
		}
		at = s.Ended
		sum += s.Length()
		if !within(s, r, attempts[s.Step]) {
			return fmt.Sprintf("the critical path has %q %s%s from %s to %s, where nothing of it was", s.Activity, s.Stage, s.Step, s.Begun, s.Ended)
		}
	}
	if sum != time.Duration(r.Took) {
		return fmt.Sprintf("the critical path takes %s, the run took %s", sum, time.Duration(r.Took))
	}
	return ""
}

// within reports whether what a segment names was under way in all of its time.
func within(s timeline.Segment, r *timeline.Report, attempts []timeline.Attempt) bool {
	var of []timeline.Span
	switch s.Activity {
	case timeline.Working:
		for _, a := range attempts {
			if a.Number == s.Attempt {
				of = append(of, a.Span)
			}
		}
	case timeline.Waiting:
		for _, w := range r.Waits {
			if w.Step == s.Step && w.Stage == s.Stage && w.Topic == s.Topic {
				of = append(of, w.Span)
			}
		}
	case timeline.Absent:
		of = slices.Clone(r.Absences)
	default:
		return true
	}
	slices.SortFunc(of, func(a, b timeline.Span) int { return a.Begun.Compare(b.Begun) })
	known := s.Begun
	for _, o := range of {
		if !o.Begun.After(known) && o.Ended.After(known) {
			known = o.Ended
		}
	}
	return !known.Before(s.Ended)
}
