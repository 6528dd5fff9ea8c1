package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/visible"
)

// Abort returns lines that say what an abort would do now, and what it would leave as
// it is.
func Abort(s *state.State) string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, visible.Line(fmt.Sprintf(format, args...))) }
	owed := s.Owed()
	if len(owed) == 0 {
		say("No final steps have to run.")
	} else {
		say("These final steps run now:")
	}
	for _, st := range owed {
		say("  %s: %s; %s", st.Step.ID, st.Step.Title, because(s, st.Step))
	}
	if open := slices.DeleteFunc(s.In(state.Started, state.InDoubt), func(st *state.Step) bool { return st.Step.Undoes != "" }); len(open) > 0 {
		say("These steps stay in doubt; check by hand what became of them:")
		for _, st := range open {
			say("  %s: %s", st.Step.ID, st.Step.Title)
		}
	}
	if down := Down(s); len(down) > 0 {
		say("These stay down: %s.", plan.CSCList(down))
	}
	if unready := Unready(s); len(unready) > 0 {
		say("These stay up in another state than they should end in: %s.", plan.CSCList(unready))
	}
	for _, line := range SetAside(s) {
		say("%s.", line)
	}
	if stopped := Stopped(s); len(stopped) > 0 {
		say("These services stay stopped until they are started by hand: %s.", strings.Join(stopped, ", "))
	}
	if text := BuildingText(s); text != "" {
		say("%s. Stop them by hand if they should not go on.", text)
	}
	whole, parts := Updated(s)
	if len(whole) > 0 {
		say("These stay updated: %s.", strings.Join(whole, ", "))
	}
	if len(parts) > 0 {
		say("These may stay partly updated: %s.", strings.Join(parts, ", "))
	}
	if channels := announced(s); len(channels) > 0 {
		say("csu does not announce the abort. Announce it yourself in %s, where the upgrade was announced.", strings.Join(channels, ", "))
	}
	say("Nothing else is touched. The journal is closed, and this plan cannot be run again.")
	return strings.Join(lines, "\n")
}

// because returns why a final step has to run.
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

// Stopped returns the services on hosts that the run has stopped or begun to stop, and
// has not started again.
func Stopped(s *state.State) []string {
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

// announced returns the channels in which the run has posted a message, but not the
// last one.
func announced(s *state.State) []string {
	some, last := map[string]bool{}, map[string]bool{} // by channel
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

// Updated returns the applications that were synced and the services on hosts that were
// updated: those that are known to be done, and those that were only begun. If an
// attempt had no effect, the application or service is in neither list.
func Updated(s *state.State) (whole, parts []string) {
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
	// If one sync of an application is done and another one was begun, it is only known
	// to be updated in part.
	whole = slices.DeleteFunc(whole, func(name string) bool { return slices.Contains(parts, name) })
	return whole, parts
}
