// Package verify has the rules that every plan must follow, whether it was
// compiled or edited by hand. It reads only the plan, never its sources.
//
// The words:
//
//   - a rule is one requirement of the procedure on the order, presence or scope
//     of steps, with the procedure's numbers that it enforces;
//   - a violation is a place in a plan that breaks a rule, with the reason and a
//     remedy;
//   - a step is before another if the plan guarantees it: it is in an earlier
//     stage, or the other needs it. Steps of one stage that do not need each other
//     run in any order, and no rule relies on it;
//   - to take a CSC down is to send it to OFFLINE, to delete its Job, or to stop
//     or reboot what runs it. It is seen back when a later step waits until it is
//     in its expected state.
//
// What makes a plan unusable as such (ids, needs, empty fields) is reported when
// the plan is decoded; see [plan.Plan.Validate].
package verify

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

// Rule is a requirement on plans.
type Rule struct {
	Name    string
	Numbers []string // of the procedure
	Explain string   // for the operator
	check   func(*view, *findings)
}

// Check returns the plan's violations of the rule, in the plan's order.
func (r Rule) Check(p *plan.Plan) []Violation {
	return r.run(newView(p))
}

func (r Rule) run(v *view) []Violation {
	f := &findings{rule: r.Name}
	r.check(v, f)
	return v.sorted(f.list)
}

// Violation is a place in a plan that breaks a rule.
type Violation struct {
	Rule   string
	Stage  string // id; "" if it is about the whole plan
	Step   string // id; "" if it is about a stage or the plan
	Reason string // what is wrong, and why that matters
	Remedy string // what to change
}

// String returns the violation's place, reason and rule in one line.
func (v Violation) String() string {
	place := "the plan"
	switch {
	case v.Step != "":
		place = fmt.Sprintf("step %q", v.Step)
	case v.Stage != "":
		place = fmt.Sprintf("stage %q", v.Stage)
	}
	return fmt.Sprintf("%s: %s (rule %s)", place, v.Reason, v.Rule)
}

// Check returns the plan's violations of all rules, in the plan's order: first
// those about the whole plan, then stage by stage and step by step.
func Check(p *plan.Plan) []Violation {
	v := newView(p)
	var all []Violation
	for _, r := range Rules() {
		all = append(all, r.run(v)...)
	}
	return v.sorted(all)
}

// Rules returns all rules, in the order of the procedure.
func Rules() []Rule {
	return slices.Concat(
		phaseRules(), announceRules(), protectedRules(), offlineRules(), handoverRules(),
		clusterRules(), hostRules(), registryRules(), systemRules(), deployRules(),
		seenRules(), lookRules(), testingRules(), consentRules(), claimRules(), doubtRules(), nameRules(), tableRules(), sourceRules(), limitRules(),
		byHandRules(), commandRules(), textRules(),
	)
}

// findings collects the violations of one rule.
type findings struct {
	rule string
	list []Violation
}

func (f *findings) step(n *node, remedy, format string, args ...any) {
	f.list = append(f.list, Violation{f.rule, n.stageID(), n.ID, fmt.Sprintf(format, args...), remedy})
}

func (f *findings) stage(s *plan.Stage, remedy, format string, args ...any) {
	f.list = append(f.list, Violation{f.rule, s.ID, "", fmt.Sprintf(format, args...), remedy})
}

func (f *findings) plan(remedy, format string, args ...any) {
	f.list = append(f.list, Violation{f.rule, "", "", fmt.Sprintf(format, args...), remedy})
}

// sorted sorts violations in the plan's order and drops duplicates.
func (v *view) sorted(list []Violation) []Violation {
	if len(list) == 0 {
		return nil
	}
	place := map[string]int{}
	for i := range v.Stages {
		place["stage "+v.Stages[i].ID] = v.firstOf(i)
	}
	for _, n := range v.steps {
		place["step "+n.ID] = 2*n.at + 2
	}
	at := func(x Violation) int {
		switch {
		case x.Step != "":
			return place["step "+x.Step]
		case x.Stage != "":
			return place["stage "+x.Stage]
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b Violation) int { return cmp.Compare(at(a), at(b)) })
	return slices.Compact(list)
}
