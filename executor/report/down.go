package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// A Fall is what the run has taken from a CSC and not given back yet.
type Fall struct {
	CSC   string    `json:"csc"`
	Since time.Time `json:"since"` // when the step that took it down began
	// By is the step that takes it down and has no outcome yet: it may be down by now. "" if
	// it is down.
	By string `json:"by,omitempty"`
	// Early says that it is up again, but in another state than it should end in. The
	// outcome of the step that brings it there is reported with the step.
	Early bool `json:"early,omitempty"`
}

// Fallen returns the CSCs that the run has taken down, or is taking down, and that are not
// up again as they should be: the Watcher first, the others in the order of the plan's table
// (P43). Those that the upgrade removes are not in it, nor those that were set aside; see
// [SetAside].
func Fallen(s *state.State) []Fall {
	if s.Judged() {
		return nil // csu has looked: see [Exceptions]
	}
	f := fallen{s, map[string]*Fall{}}
	for i := range s.Plan.Stages {
		for j := range s.Plan.Stages[i].Steps {
			f.track(&s.Plan.Stages[i].Steps[j])
		}
	}
	var out []Fall
	for i := range s.Plan.CSCs {
		row := &s.Plan.CSCs[i]
		if c := f.of[row.CSC]; c != nil && !s.IsAside(c.CSC) && row.Expect != plan.Offline {
			out = append(out, *c)
			delete(f.of, c.CSC)
		}
	}
	slices.SortStableFunc(out, func(a, b Fall) int { return rank(a.CSC) - rank(b.CSC) })
	return out
}

// Down returns the CSCs that the run has taken down, or may have, and has not seen up again,
// in the order of [Fallen]. A CSC counts as taken down when the step that does it has begun.
func Down(s *state.State) []string {
	return namesOf(Fallen(s), func(f Fall) bool { return !f.Early })
}

// Unready returns the CSCs that are up again, but in another state than they should end in.
func Unready(s *state.State) []string {
	return namesOf(Fallen(s), func(f Fall) bool { return f.Early })
}

func namesOf(all []Fall, in func(Fall) bool) []string {
	var names []string
	for _, f := range all {
		if in(f) {
			names = append(names, f.CSC)
		}
	}
	return names
}

// DownText returns sentences, without the last full stop, about the CSCs that are down, that
// a step may have taken down by now, and that are up again but not as they should be; "" if
// there is none.
func DownText(s *state.State) string {
	all := Fallen(s)
	var parts []string
	say := func(one, more string, in func(Fall) bool) {
		names := namesOf(all, in)
		switch len(names) {
		case 0:
		case 1:
			parts = append(parts, fmt.Sprintf("1 CSC %s: %s", one, names[0]))
		default:
			parts = append(parts, fmt.Sprintf("%d CSCs %s: %s", len(names), more, strings.Join(names, ", ")))
		}
	}
	say("was taken down and has not been seen up again", "were taken down and have not been seen up again", func(f Fall) bool { return !f.Early && f.By == "" })
	for step := range s.Plan.AllSteps() {
		text := fmt.Sprintf("may be down by now, since %s takes %%s down and has no outcome yet", step.ID)
		say(fmt.Sprintf(text, "it"), fmt.Sprintf(text, "them"), func(f Fall) bool { return f.By == step.ID })
	}
	say("is up again, but not in the state that it should end in", "are up again, but not in the state that they should end in", func(f Fall) bool { return f.Early })
	return strings.Join(parts, ". ")
}

func rank(csc string) int {
	if class, _, _ := strings.Cut(csc, ":"); class == "Watcher" {
		return 0
	}
	return 1
}

// fallen has the CSCs that are not as they should be, by name.
type fallen struct {
	state *state.State
	of    map[string]*Fall
}

// track records what one step did to the CSCs. A CSC that came up in another state than it
// should end in is early until the step that brings it there has begun.
func (f *fallen) track(step *plan.Step) {
	st, e := f.state.Steps[step.ID], step.Effects(f.state.Plan)
	if begun := st.Attempt > 0 || st.Phase == state.ByHand; begun {
		for _, c := range e.DownBy() {
			if was := f.of[c]; was != nil && !was.Early {
				continue
			}
			f.of[c] = &Fall{CSC: c, Since: st.Since}
			if !st.Began.IsZero() {
				f.of[c].Since = st.Began
			}
			if st.Phase.Open() {
				f.of[c].By = step.ID
			}
		}
		for _, c := range e.Commands {
			if is := f.of[c]; is != nil && is.Early && f.ends(c, []string{e.State}) {
				delete(f.of, c)
			}
		}
	}
	if !st.Phase.Happened() {
		return
	}
	for _, w := range e.Sees {
		offline := slices.Contains(w.States, plan.Offline)
		if offline && len(w.States) > 1 {
			continue // either is possible
		}
		for _, c := range w.CSCs {
			if was := f.of[c]; !offline && !e.ReadOnly && was != nil && was.Early {
				continue // its command has been taken in
			}
			f.saw(c, offline, e.ReadOnly && !f.ends(c, w.States), st.Since)
		}
	}
}

// saw records that a CSC was seen down, or up; early: in a state that it should not end in.
func (f *fallen) saw(c string, down, early bool, at time.Time) {
	was := f.of[c]
	switch {
	case down && (was == nil || was.Early):
		f.of[c] = &Fall{CSC: c, Since: at}
	case down:
		was.By = ""
	case early && was != nil:
		was.Early, was.By = true, ""
	case early:
		f.of[c] = &Fall{CSC: c, Since: at, Early: true}
	default:
		delete(f.of, c)
	}
}

// ends reports whether the CSC should end in one of the states.
func (f *fallen) ends(csc string, states []string) bool {
	row, ok := f.state.Plan.CSC(csc)
	return !ok || row.Expect == "" || slices.Contains(states, row.Expect)
}
