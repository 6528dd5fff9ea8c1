package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// Abort says what an abort would do now, and what it would leave as it is;
// in lines.
func Abort(s *state.State) string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	owed := s.Owed()
	if len(owed) == 0 {
		say("No final step has to run.")
	} else {
		say("These final steps run now:")
	}
	for _, st := range owed {
		say("  %s: %s; %s", st.Step.ID, st.Step.Title, because(s, st.Step))
	}
	if open := slices.DeleteFunc(s.In(state.Started, state.InDoubt), func(st *state.Step) bool { return st.Step.Undoes != "" }); len(open) > 0 {
		say("These steps are in doubt and are left so; look by hand what became of them:")
		for _, st := range open {
			say("  %s: %s", st.Step.ID, st.Step.Title)
		}
	}
	if down := Down(s); len(down) > 0 {
		say("These stay down: %s.", plan.CSCList(down))
	}
	if stopped := stopped(s); len(stopped) > 0 {
		say("These services stay stopped until somebody starts them: %s.", strings.Join(stopped, ", "))
	}
	whole, parts := updated(s)
	if len(whole) > 0 {
		say("These stay updated: %s.", strings.Join(whole, ", "))
	}
	if len(parts) > 0 {
		say("These may be updated in part and stay so: %s.", strings.Join(parts, ", "))
	}
	if channels := told(s); len(channels) > 0 {
		say("csu posts nothing of it: tell those in %s, who were told that the upgrade began.", strings.Join(channels, ", "))
	}
	say("Nothing else is touched. The journal is closed, and this plan can't be run again.")
	return strings.Join(lines, "\n")
}

// because says why a final step has to run.
func because(s *state.State, final *plan.Step) string {
	undone := s.Steps[final.Undoes]
	switch {
	case undone.Phase.Happened():
		return fmt.Sprintf("%s, which it undoes, is %s", final.Undoes, undone.Phase)
	case undone.Phase.Open():
		return fmt.Sprintf("%s, which it undoes, is in doubt", final.Undoes)
	}
	return fmt.Sprintf("%s, which it undoes, was begun and is %s", final.Undoes, undone.Phase)
}

// stopped returns the services on hosts that the run has stopped, or has begun to,
// and has not seen started again.
func stopped(s *state.State) []string {
	var names []string
	for step := range s.Plan.AllSteps() {
		e, st := step.Effects(s.Plan), s.Steps[step.ID]
		switch {
		case e.Stopped != "" && (st.Phase.Happened() || st.Phase.Open() || st.Touched()):
			names = append(names, e.Stopped)
		case e.Started != "" && st.Phase.Happened():
			names = slices.DeleteFunc(names, func(stopped string) bool { return stopped == e.Started })
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// told returns the channels in which the run has posted something, and of whose
// messages it has not posted the last.
func told(s *state.State) []string {
	some, last := map[string]bool{}, map[string]bool{}
	for step := range s.Plan.AllSteps() {
		if channel := step.Effects(s.Plan).Posts; channel != "" {
			posted := s.Steps[step.ID].Phase.Happened()
			some[channel] = some[channel] || posted
			last[channel] = posted
		}
	}
	maps.DeleteFunc(some, func(channel string, posted bool) bool { return !posted || last[channel] })
	return slices.Sorted(maps.Keys(some))
}

// updated returns the applications that were synced and the services that were
// updated on hosts: those that were seen to be done, and those that were only begun.
// Those of which nothing happened are neither.
func updated(s *state.State) (whole, parts []string) {
	add := func(names *[]string, name string) {
		if !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
	}
	for step := range s.Plan.AllSteps() {
		e, st := step.Effects(s.Plan), s.Steps[step.ID]
		switch {
		case e.Updated == "":
		case st.Phase.Happened():
			add(&whole, e.Updated)
		case st.Touched():
			add(&parts, e.Updated)
		}
	}
	// An application of which one sync is done and another was begun is only
	// known to be updated in part.
	whole = slices.DeleteFunc(whole, func(name string) bool { return slices.Contains(parts, name) })
	return whole, parts
}
