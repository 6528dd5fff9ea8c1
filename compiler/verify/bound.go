package verify

import (
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// LowerBound returns how long the plan would take at least if each step took its usual
// time: the longest chain of steps of which the procedure, not the plan, says that one
// comes after the other. The phases of the procedure and the needs of steps order them,
// the stages' barriers do not, except for a step that belongs to no phase. Nobody and
// nothing is waited for because it is busy. A build counts from its beginning.
func LowerBound(p *plan.Plan) plan.Duration {
	v := newView(p)
	ends := map[string]plan.Duration{}
	phases := make([]int, len(v.steps))
	for i, n := range v.steps {
		if phases[i] = -1; n.stage != nil {
			phases[i] = v.phase(n)
		}
	}
	var last plan.Duration
	for i, n := range v.steps { // in the plan's order, in which what comes first stands first
		var begins plan.Duration
		for j, e := range v.steps[:i] {
			if demanded(e, n, phases[j], phases[i]) {
				begins = max(begins, ends[e.ID])
			}
		}
		end := begins + n.Takes
		if a, ok := n.Action.Parameters.(*plan.SSH); ok && a.Build != "" {
			end = max(begins, ends[a.Build]+n.Takes)
		}
		ends[n.ID] = end
		last = max(last, end)
	}
	return last
}

// demanded reports whether the procedure has n come after e, which stands before it.
func demanded(e, n *node, phaseOfE, phaseOfN int) bool {
	switch {
	case slices.Contains(n.Needs, e.ID):
		return true
	case phaseOfE < 0 || phaseOfN < 0:
		return e.stageAt < n.stageAt && !e.builds()
	}
	return phaseOfE < phaseOfN && !beside(phaseOfE, phaseOfN)
}
