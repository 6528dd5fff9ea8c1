package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// SetAside returns a line for each CSC that was set aside: by whom, why, and who was
// told.
func SetAside(s *state.State) []string {
	var lines []string
	for _, a := range s.Aside {
		lines = append(lines, fmt.Sprintf("%s was set aside at %s UTC by %s: %s. Told: %s", a.CSC, a.At.UTC().Format("15:04"), a.Answer.By, oneLine(a.Answer.Reason), oneLine(a.Answer.Told)))
	}
	return lines
}

// Exceptions returns a line for each CSC that the run leaves in non-working order, ready
// to post (P40): its state, since when, and who was told or is to be told (P38). These
// are the CSCs that were set aside, and those that csu did not see in their expected state
// at its last look, each once, in the order of the plan's table.
func Exceptions(s *state.State) []string {
	var lines []string
	for i := range s.Plan.CSCs {
		if line := exception(s, &s.Plan.CSCs[i]); line != "" {
			lines = append(lines, line)
		}
	}
	if s.Look != nil && s.Look.Blind != "" {
		lines = append(lines, "The states of the CSCs at the end are unknown: "+oneLine(s.Look.Blind))
	}
	return lines
}

func exception(s *state.State, row *plan.CSC) string {
	var seen *action.Astray
	if s.Look != nil {
		if i := slices.IndexFunc(s.Look.Astray, func(a action.Astray) bool { return a.CSC == row.CSC }); i >= 0 {
			seen = &s.Look.Astray[i]
		}
	}
	text := row.CSC + ": "
	switch {
	case seen != nil:
		text += fmt.Sprintf("%s, expected %s", seen.Seen, strings.Join(seen.Want, " or "))
	case s.Look != nil && s.Look.Blind == "" && row.Speaks():
		text += "in its expected state again"
	default:
		text += "state unknown"
	}
	i := slices.IndexFunc(s.Aside, func(a state.Aside) bool { return a.CSC == row.CSC })
	switch {
	case i >= 0:
		a := s.Aside[i]
		return fmt.Sprintf("%s; set aside at %s UTC: %s; told: %s", text, a.At.UTC().Format("15:04"), oneLine(a.Answer.Reason), oneLine(a.Answer.Told))
	case seen == nil:
		return ""
	case row.Principal != "":
		return text + "; to be told: " + row.Principal
	}
	return text
}

// Closing returns the text of the plan's closing message: with the exceptions, if there
// are any.
func Closing(s *state.State, text string) string {
	if lines := Exceptions(s); len(lines) > 0 {
		return text + "\nLeft out, or not in working order:\n" + strings.Join(lines, "\n")
	}
	return text
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
