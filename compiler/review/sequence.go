package review

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// A turn says that a step waits for an earlier one of its stage without needing it:
// both use a resource that only one step at a time may use.
type turn struct {
	Other    string // id
	Resource string
	// First: the other step always runs first. Without it, the step that is ready
	// first does.
	First bool
}

// turns returns, by id, the steps for which each step of a stage waits without
// needing them. On a resource, steps that are ready run one at a time and in the
// plan's order. So the earlier of two steps runs first if it is ready by the time
// the later one is: if the later one needs all that the earlier one needs.
func turns(p *plan.Plan, s *plan.Stage) map[string][]turn {
	out := map[string][]turn{}
	needs := map[string][]string{}
	for i := range s.Steps {
		needs[s.Steps[i].ID] = s.Steps[i].Needs
	}
	var follows func(id, other string) bool // also through other steps
	follows = func(id, other string) bool {
		return id == other ||
			slices.ContainsFunc(needs[id], func(n string) bool { return follows(n, other) }) ||
			slices.ContainsFunc(out[id], func(t turn) bool { return t.First && follows(t.Other, other) })
	}
	for i := range s.Steps {
		later := &s.Steps[i]
		resource := later.Effects(p).Resource
		for j := i - 1; j >= 0 && resource != ""; j-- {
			earlier := &s.Steps[j]
			if earlier.Effects(p).Resource != resource || follows(later.ID, earlier.ID) || waitsFor(s, earlier.ID, later.ID) {
				continue
			}
			first := !slices.ContainsFunc(earlier.Needs, func(n string) bool { return !waitsFor(s, later.ID, n) })
			out[later.ID] = append(out[later.ID], turn{earlier.ID, resource, first})
		}
	}
	return out
}
