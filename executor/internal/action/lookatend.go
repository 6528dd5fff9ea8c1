package action

import (
	"context"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// ends returns the states in which the CSCs that the plan touches or waits for may end:
// that of the table, and those in which a step sees them last.
func ends(p *plan.Plan) want {
	last := want{states: map[string][]string{}}
	concerned := map[string]bool{}
	for i := range p.Stages {
		for j := range p.Stages[i].Steps {
			e := p.Stages[i].Steps[j].Effects(p)
			for _, name := range e.Touches() {
				concerned[name] = true
			}
			for _, sees := range e.Sees {
				for _, name := range sees.CSCs {
					concerned[name] = true
					last.add(p, name, sees.States...)
				}
			}
		}
	}
	w := want{states: map[string][]string{}}
	for i := range p.CSCs {
		row := &p.CSCs[i]
		if !concerned[row.CSC] {
			continue
		}
		states := slices.Clone(last.states[row.CSC])
		if row.Expect != "" && !slices.Contains(states, row.Expect) {
			states = append([]string{row.Expect}, states...)
		}
		w.add(p, row.CSC, states...)
	}
	return w
}

// Astray is a CSC that is not in a state in which it may end.
type Astray struct {
	CSC  string   `json:"csc"`
	Seen string   `json:"seen"` // its state and since when
	Want []string `json:"want"` // the states in which it may end
}

// looksAtEnd is how often the EFD is asked at the end: no answer passes in most cases, and
// nobody looks after this.
const looksAtEnd = 3

// LookAtEnd returns the CSCs that the plan touches or waits for, and that are not in a
// state in which they may end, in the order of the plan's table. It gives the EFD time to
// show the states, but does not wait for those that were set aside.
func LookAtEnd(ctx context.Context, s *Systems, p *plan.Plan, aside []string) ([]Astray, error) {
	a := &Attempt{Plan: p, Systems: s, Progress: func(string, ...any) {}}
	all := ends(p)
	if len(all.names) == 0 {
		return nil, nil
	}
	rest := want{states: all.states}
	for _, name := range all.names {
		if !slices.Contains(aside, name) {
			rest.names = append(rest.names, name)
		}
	}
	most := 4 * s.EFD.Lag()
	if len(rest.names) > 0 {
		// What it could not read in that time is read once more, below.
		if _, err := rest.await(ctx, a, s.Clock.Limit(most), most); ctx.Err() != nil {
			return nil, err
		}
	}
	missing, err := all.missingNow(ctx, a)
	for range looksAtEnd - 1 {
		if err == nil || s.Clock.Sleep(ctx, statePause) != nil {
			break
		}
		missing, err = all.missingNow(ctx, a)
	}
	if err != nil {
		return nil, err
	}
	astray := []Astray{}
	for _, o := range missing {
		astray = append(astray, Astray{CSC: o.row.CSC, Seen: o.seen(), Want: all.states[o.row.CSC]})
	}
	return astray, nil
}
