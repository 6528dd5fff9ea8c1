// Package review shows plans to people: to the lead who runs one, and to those
// who review it and were not there when it was made. It reads plans only; what
// it shows steers nothing.
package review

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Describe says in one sentence what an action does.
func Describe(d plan.Doer) string {
	switch a := d.(type) {
	case *plan.Manual:
		return "A person does this; csu shows the text and asks."
	case *plan.Announce:
		if a.Handover {
			return fmt.Sprintf("Posts to %s, where somebody waits for it: %q", a.Channel, a.Text)
		}
		return fmt.Sprintf("Posts to %s: %q", a.Channel, a.Text)
	case *plan.Script:
		return fmt.Sprintf("Adds the script %s to ScriptQueue:%d and waits for its end (%s).", a.Path, a.Queue, strings.Join(a.Accept, " or "))
	case *plan.SetState:
		groups := ""
		if a.GroupSize > 0 && a.GroupSize < len(a.CSCs) {
			groups = fmt.Sprintf(", %d to a script", a.GroupSize)
		}
		return fmt.Sprintf("Runs set_summary_state.py on ScriptQueue:%d%s, for those that are not %s yet: %s.", a.Queue, groups, a.State, plan.CSCList(a.CSCs))
	case *plan.AwaitState:
		var parts []string
		for _, w := range a.Want {
			parts = append(parts, fmt.Sprintf("%s (%s)", strings.Join(w.States, " or "), plan.CSCList(w.CSCs)))
		}
		return "Watches the EFD until every CSC is in its state: " + strings.Join(parts, "; ") + "."
	case *plan.SSH:
		text := fmt.Sprintf("On %s as %s: %s", a.Host, a.User, strings.Join(a.Commands, "; "))
		if a.Check != "" {
			text += fmt.Sprintf("; then checks: %s", a.Check)
		}
		if len(a.Silent) > 0 {
			text += fmt.Sprintf(" (only if %s is silent)", plan.CSCList(a.Silent))
		}
		return text + "."
	case *plan.Reboot:
		return fmt.Sprintf("Reboots %s (%s as %s) and waits until it answers with another boot id.", a.Host, a.Command, a.User)
	case *plan.Delete:
		if a.Objects == plan.Namespaces {
			return fmt.Sprintf("Deletes the namespaces that %q selects, and waits until they are gone.", a.Selector)
		}
		return fmt.Sprintf("Deletes the Jobs in namespace %s that %q selects (%s), and waits until they and their pods are gone.", a.Namespace, a.Selector, plan.CSCList(a.CSCs))
	case *plan.Sync:
		text := fmt.Sprintf("Argo CD syncs %s at %s", a.Application, a.Revision)
		if len(a.Resources) > 0 {
			text += fmt.Sprintf(", only %s", resources(a.Resources))
		}
		if len(a.CSCs) > 0 {
			text += fmt.Sprintf(", and csu waits until the expected images run: %s", plan.CSCList(a.CSCs))
		}
		return text + "."
	case *plan.Compatibility:
		return fmt.Sprintf("Sets the schema registry from %s to %s, and reads it back.", a.Expect, a.Set)
	}
	return ""
}

func resources(rs []plan.Resource) string {
	var jobs, others []string
	for _, r := range rs {
		if r.Kind == "Job" {
			jobs = append(jobs, r.Name)
		} else {
			others = append(others, r.Kind+" "+r.Name)
		}
	}
	text := "the Jobs " + strings.Join(jobs, ", ")
	if len(others) > 0 {
		text += fmt.Sprintf(" and %d ConfigMaps of their chart, where they exist", len(others))
	}
	return text
}
