package verify

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// byHand returns a text for doing an action by hand.
func (d *draft) byHand(a plan.Parameters) string {
	return plan.Visit(a, plan.Visitor[string](writer{d.p}))
}

// writer writes the texts of the good plans, in words of its own where the rule
// leaves them free.
type writer struct{ p *plan.Plan }

func block(lines ...string) string { return "    " + strings.Join(lines, "\n    ") }

func (w writer) onHost(host, user string, commands ...string) string {
	h, _ := w.p.Host(host)
	switch u, _ := h.User(user); u.Via {
	case "login":
		commands = append([]string{"ssh " + user + "@" + h.Address}, commands...)
	case "sudo":
		commands = append([]string{"ssh " + h.Address, "sudo -iu " + user}, commands...)
	default:
		commands = append([]string{"ssh " + h.Address}, commands...)
	}
	return block(commands...)
}

func (writer) Manual(a *plan.Manual) string { return a.Text }
func (writer) Announce(a *plan.Announce) string {
	return fmt.Sprintf("Post %q on %s.", a.Text, a.Channel)
}
func (writer) Script(a *plan.Script) string {
	return fmt.Sprintf("On ScriptQueue:%d, run %s:\n\n%s", a.Queue, a.Path, block(strings.Split(strings.TrimSpace(a.Config), "\n")...))
}
func (writer) SetState(a *plan.SetState) string {
	lines := []string{"data:"}
	for _, c := range a.CSCs {
		lines = append(lines, fmt.Sprintf("- [%s, %s]", strings.TrimSuffix(c, ":0"), a.State))
	}
	groups := ""
	if a.GroupSize > 0 {
		groups = fmt.Sprintf(", at most %d per script", a.GroupSize)
	}
	return fmt.Sprintf("On ScriptQueue:%d, run set_summary_state.py%s:\n\n%s", a.Queue, groups, block(append(lines, fmt.Sprintf("mute_alarms: %v", a.MuteAlarms))...))
}
func (w writer) AwaitState(a *plan.AwaitState) string {
	var lines []string
	for _, x := range a.Want {
		lines = append(lines, strings.Join(x.States, " or ")+": "+plan.CSCList(x.CSCs))
	}
	return fmt.Sprintf("Watch %q until:\n\n%s", w.p.Targets.LOVE.View, block(lines...))
}
func (w writer) SSH(a *plan.SSH) string {
	if a.Purpose == plan.AwaitBuild {
		return "Look as in step " + a.Build + "."
	}
	return w.onHost(a.Host, a.User, a.Commands...)
}
func (w writer) Reboot(a *plan.Reboot) string {
	return w.onHost(a.Host, a.User, "cat /proc/sys/kernel/random/boot_id", a.Command)
}
func (w writer) Delete(a *plan.Delete) string {
	if a.Objects == plan.Namespaces {
		return fmt.Sprintf("kubectl --context %s delete namespace -l '%s'", w.p.Targets.Kubernetes.Context, a.Selector)
	}
	return fmt.Sprintf("kubectl --context %s delete job -n %s -l '%s'", w.p.Targets.Kubernetes.Context, a.Namespace, a.Selector)
}
func (w writer) Sync(a *plan.Sync) string {
	text := fmt.Sprintf("In Argo CD (%s), application %s: sync", w.p.Targets.ArgoCD.URL, a.Application)
	for _, r := range a.Resources {
		text += ", " + r.Kind + " " + r.Name
	}
	if len(a.CSCs) > 0 {
		text += "; look at the pods of " + plan.CSCList(a.CSCs)
	}
	return text + "."
}
func (w writer) Compatibility(a *plan.Compatibility) string {
	t := &w.p.Targets
	return fmt.Sprintf("kubectl --context %s exec -n %s (-l %s): \"compatibility\": %q; %s before, %s after", t.Kubernetes.Context, t.Registry.Namespace, t.Registry.Selector, a.Set, a.Expect, a.Set)
}
