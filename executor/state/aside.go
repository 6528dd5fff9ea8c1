package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
)

// Aside is a CSC that was set aside for the rest of the run.
type Aside struct {
	CSC    string
	Step   string // where the operator was asked
	At     time.Time
	Answer *journal.Answer // who, why, and who was told
}

// Look is what csu has seen of the CSCs at the end of the run, or before it announces
// the end.
type Look struct {
	At     time.Time
	Astray []action.Astray // those not in a state in which they may end
	Blind  string          // why csu cannot see the CSCs; "" if it does
}

// setAside applies an answer by which CSCs are set aside.
func (s *State) setAside(r *journal.Record) {
	for _, name := range r.Answer.CSCs {
		s.Aside = append(s.Aside, Aside{CSC: name, Step: r.Step, At: r.Time, Answer: r.Answer})
	}
}

// checkAside checks an answer by which CSCs are set aside.
func (s *State) checkAside(r *journal.Record) error {
	if len(r.Answer.CSCs) == 0 {
		return fmt.Errorf("record %q sets nothing aside", r.Event)
	}
	for i, name := range r.Answer.CSCs {
		if _, known := s.Plan.CSC(name); !known {
			return fmt.Errorf("record %q: the plan has no CSC %q", r.Event, name)
		}
		if s.IsAside(name) || slices.Contains(r.Answer.CSCs[:i], name) {
			return fmt.Errorf("record %q: %s was already set aside", r.Event, name)
		}
	}
	return nil
}

// IsAside reports whether the CSC was set aside.
func (s *State) IsAside(csc string) bool { return slices.Contains(s.AsideNames(), csc) }

// AsideNames returns the CSCs that were set aside, in that order.
func (s *State) AsideNames() []string {
	names := make([]string, len(s.Aside))
	for i := range s.Aside {
		names[i] = s.Aside[i].CSC
	}
	return names
}

// Rest returns what remains of a step without the CSCs that were set aside.
func (s *State) Rest(step *plan.Step) plan.Rest { return step.Without(s.Plan, s.AsideNames()) }

// Relieved reports whether a CSC that the step waits for was set aside since its last
// attempt began: the attempt may have failed because of it.
func (s *State) Relieved(step *plan.Step) bool {
	names := step.Names(s.Plan)
	return slices.ContainsFunc(s.Aside, func(a Aside) bool {
		return a.At.After(s.Steps[step.ID].tried) && slices.Contains(names, a.CSC)
	})
}

func (s *State) look(r *journal.Record) {
	s.Look = &Look{At: r.Time, Blind: r.Text}
	if json.Unmarshal(r.Evidence, &s.Look.Astray) != nil && s.Look.Blind == "" {
		s.Look.Blind = "the record of the look cannot be read" // Check has excluded this
	}
}

// Judged reports whether the run is complete, and csu has looked at the CSCs.
func (s *State) Judged() bool { return s.Ended == journal.Complete && s.Look != nil }

// Excepted reports whether the run, if it is complete, is so with exceptions.
func (s *State) Excepted() bool {
	return len(s.Aside) > 0 || s.Look != nil && (len(s.Look.Astray) > 0 || s.Look.Blind != "")
}
