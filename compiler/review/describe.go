// Package review shows plans to operators and reviewers. It only reads plans, and
// nothing depends on what it shows.
//
// The words:
//
//   - an estimate is how long a plan takes if nothing fails and every question is
//     answered at once; a stage's critical steps are those on its critical path;
//   - a comparison of two plans is the changes from the old to the new, by meaning:
//     two steps are the same if their ids are, or if the step was only moved;
//   - a change's weight is how closely to review it: it may allow damage, it
//     changes what is done, or it changes words, times and order.
//
// Text in plans is data: it cannot end a table cell, open an element, draw a node or
// hide itself.
package review

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Describe returns a sentence that says what an action does.
func Describe(d plan.Parameters) string { return describe(d, plan.CSCList, plan.CSCOrder) }

// describe is [Describe] with functions that write a set of CSCs, and a list of CSCs
// in order.
func describe(d plan.Parameters, set, order func([]string) string) string {
	return plan.Visit(d, plan.Visitor[string](describer{set, order}))
}

// A describer has the sentence of each kind.
type describer struct{ list, order func([]string) string }

func (describer) Manual(*plan.Manual) string {
	return "Manual: csu shows these instructions and waits for your confirmation."
}

func (describer) Announce(a *plan.Announce) string { return fmt.Sprintf("%s %q", posts(a), a.Text) }

func (describer) Script(a *plan.Script) string {
	kind := "standard"
	if !a.Standard {
		kind = "external"
	}
	return fmt.Sprintf("csu adds the %s script %s to ScriptQueue:%d and waits until it ends (%s).", kind, a.Path, a.Queue, strings.Join(a.Accept, " or "))
}

func (d describer) SetState(a *plan.SetState) string {
	text := fmt.Sprintf("csu runs set_summary_state.py on ScriptQueue:%d", a.Queue)
	switch {
	case a.GroupSize == 1 && len(a.CSCs) > 1:
		text += ", one CSC per script"
	case a.GroupSize > 0 && a.GroupSize < len(a.CSCs):
		text += fmt.Sprintf(", at most %d CSCs per script", a.GroupSize)
	}
	if a.MuteAlarms {
		text += ", with alarms muted"
	}
	if len(a.CSCs) == 1 {
		return text + fmt.Sprintf(" for %s, unless it is already %s.", d.order(a.CSCs), a.State)
	}
	return text + fmt.Sprintf(", for these CSCs, skipping any that are already %s: %s.", a.State, d.order(a.CSCs))
}

func (d describer) AwaitState(a *plan.AwaitState) string {
	var parts []string
	for _, w := range a.Want {
		parts = append(parts, fmt.Sprintf("%s (%s)", strings.Join(w.States, " or "), d.list(w.CSCs)))
	}
	return "csu watches the EFD until each CSC is in its state: " + strings.Join(parts, "; ") + "."
}

func (describer) SSH(a *plan.SSH) string {
	switch a.Purpose {
	case plan.Build:
		return fmt.Sprintf("csu begins on %s as %s, and does not wait for the end: %s%s", a.Host, a.User, strings.Join(a.Commands, "; "), conditions(a))
	case plan.AwaitBuild:
		return fmt.Sprintf("csu waits for the build that %s began, and asks you before it builds again%s", a.Build, conditions(a))
	}
	return fmt.Sprintf("csu runs on %s as %s: %s%s", a.Host, a.User, strings.Join(a.Commands, "; "), conditions(a))
}

func (describer) Reboot(a *plan.Reboot) string {
	return fmt.Sprintf("csu reboots %s (%s as %s) and waits until it answers with a different boot id.", a.Host, a.Command, a.User)
}

func (d describer) Delete(a *plan.Delete) string {
	if a.Objects == plan.Namespaces {
		return fmt.Sprintf("csu deletes the namespaces with label %q and waits until they are gone.", a.Selector)
	}
	return fmt.Sprintf("csu deletes the Jobs in namespace %s with selector %q (%s) and waits until they and their pods are gone.", a.Namespace, a.Selector, d.list(a.CSCs))
}

func (d describer) Sync(a *plan.Sync) string {
	text := fmt.Sprintf("Argo CD syncs %s at %s", a.Application, a.Revision)
	if len(a.Resources) > 0 {
		text += fmt.Sprintf(", only %s", resources(a.Resources))
	}
	if len(a.CSCs) > 0 {
		text += fmt.Sprintf(", and csu waits until these run their images: %s", d.list(a.CSCs))
	}
	return text + "."
}

func (describer) Compatibility(a *plan.Compatibility) string {
	return fmt.Sprintf("csu sets the schema registry from %s to %s and reads it back.", a.Expect, a.Set)
}

// posts returns where a message goes, without its text.
func posts(a *plan.Announce) string {
	if a.Handover {
		return fmt.Sprintf("csu posts to %s, where the recipients wait for it:", a.Channel)
	}
	return fmt.Sprintf("csu posts to %s:", a.Channel)
}

// conditions describes the conditions of an ssh action, and ends the sentence.
func conditions(a *plan.SSH) string {
	text := ""
	if a.Check != "" {
		text += fmt.Sprintf(", then checks that this succeeds: `%s`", a.Check)
	}
	if len(a.Silent) > 0 {
		text += fmt.Sprintf(" (only if %s is silent)", plan.CSCList(a.Silent))
	}
	return text + "."
}

// resources names resources by kind, the Jobs first.
func resources(rs []plan.Resource) string {
	var kinds, parts []string
	names := map[string][]string{}
	for _, r := range rs {
		unique(&kinds, r.Kind)
		names[r.Kind] = append(names[r.Kind], r.Name)
	}
	for _, k := range kinds {
		noun := "the " + k + " "
		if len(names[k]) > 1 {
			noun = "the " + k + "s "
		}
		parts = append(parts, noun+strings.Join(names[k], ", "))
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return parts[0] + " with " + strings.Join(parts[1:], " and ")
}
