package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// A trait is something that csu talks to or does there, or that a person is told to do.
// Unlike the rest of a plan it should not be new in a new plan: a site's upgrades of one
// type differ in their CSCs and revisions, hardly in their commands.
type trait struct {
	subject string // such as `step "offline/watcher"`
	text    string
}

// novelties returns the traits of a plan that no plan before has, in the form of
// changes, one for each subject.
func novelties(p *plan.Plan, before []*plan.Plan) []Change {
	known := map[string]bool{}
	for _, old := range before {
		for _, t := range traits(old) {
			known[t.key()] = true
		}
	}
	var out []Change
	at := map[string]int{}
	for _, t := range traits(p) {
		if known[t.key()] {
			continue
		}
		known[t.key()] = true
		i, seen := at[t.subject]
		if !seen {
			i = len(out)
			at[t.subject] = i
			out = append(out, Change{Weight: Danger, What: Changed, Subject: t.subject, Why: fmt.Sprintf("no %s plan of %s has had this", p.Type, p.Site)})
		}
		out[i].Come = append(out[i].Come, t.text)
	}
	return out
}

// key is what makes traits the same. A step may have another id, a target not another
// field.
func (t trait) key() string {
	if kind, _ := subject(t.subject); kind == "step" {
		return t.text
	}
	return t.subject + "\x00" + t.text
}

// traits returns the traits of a plan, in its order.
func traits(p *plan.Plan) []trait {
	out := fields("targets", tree(p.Targets))
	for _, h := range p.Hosts {
		out = append(out, fields(fmt.Sprintf("host %q", h.Name), tree(h))...)
		out = append(out, unguarded(fmt.Sprintf("host %q", h.Name), h.Principal, "principal")...)
	}
	for _, c := range p.CSCs {
		// Revisions and states are those of the cycle and of the night.
		c.ComesUp, c.Expect, c.Before = "", "", ""
		c.Image = repository(c.Image)
		out = append(out, fields(fmt.Sprintf("csc %q", c.CSC), tree(c))...)
		out = append(out, unguarded(fmt.Sprintf("csc %q", c.CSC), c.Principal, "principal")...)
		out = append(out, unguarded(fmt.Sprintf("csc %q", c.CSC), c.Keeps, "state that it keeps")...)
	}
	for s := range p.AllSteps() {
		for _, text := range append(plan.Visit(s.Action.Parameters, plan.Visitor[[]string](doer{})), typedBeside(s)...) {
			out = append(out, trait{stepSubject(s.ID), text})
		}
	}
	return out
}

// unguarded returns the lack of a safeguard as a trait.
func unguarded(subject, safeguard, what string) []trait {
	if safeguard != "" {
		return nil
	}
	return []trait{{subject, "no " + what}}
}

// fields returns the fields of a tree as traits of a subject. The place in a list does
// not matter.
func fields(subject string, v any) []trait {
	var out []trait
	var visit func(v any, path string)
	visit = func(v any, path string) {
		switch t := v.(type) {
		case map[string]any:
			var keys []string
			for k := range t {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				visit(t[k], strings.TrimPrefix(path+"."+k, "."))
			}
		case []any:
			for _, e := range t {
				visit(e, path)
			}
		default:
			out = append(out, trait{subject, path + " " + brief(v)})
		}
	}
	visit(v, "")
	return out
}

// typedBeside returns the commands that a step's instructions have and its action does
// not, if people type them in a shell.
func typedBeside(s *plan.Step) []string {
	if !slices.Contains([]plan.Kind{plan.KindSSH, plan.KindReboot, plan.KindDelete, plan.KindCompatibility}, s.Action.Kind()) {
		return nil
	}
	own := leaves(tree(s.Action))
	var out []string
	for _, l := range strings.Split(s.ByHand, "\n") {
		if isTyped(l) && !slices.Contains(own, strings.TrimSpace(l)) {
			out = append(out, "by hand: "+strings.TrimSpace(l))
		}
	}
	return out
}

// isTyped reports whether a line of instructions has something to type.
func isTyped(l string) bool {
	return strings.HasPrefix(l, "    ") || strings.Contains(l, "`") || strings.HasPrefix(l, "kubectl ")
}

// leaves returns the texts in a tree.
func leaves(v any) []string {
	var out []string
	switch t := v.(type) {
	case string:
		out = append(out, t)
	case []any:
		for _, e := range t {
			out = append(out, leaves(e)...)
		}
	case map[string]any:
		for _, e := range t {
			out = append(out, leaves(e)...)
		}
	}
	return out
}

// A doer has the traits of each kind of action.
type doer struct{}

func (doer) Manual(a *plan.Manual) []string { return textLines("a person is told", a.Text) }

func (doer) Announce(a *plan.Announce) []string { return []string{"posts to " + a.Channel} }

func (doer) Script(a *plan.Script) []string {
	short := *a
	short.Config = ""
	return append([]string{Describe(&short)}, textLines("configuration of "+a.Path, a.Config)...)
}

func (doer) SetState(a *plan.SetState) []string {
	text := fmt.Sprintf("sends CSCs to %s on ScriptQueue:%d", a.State, a.Queue)
	if a.MuteAlarms {
		text += ", with alarms muted"
	}
	return []string{text}
}

func (doer) AwaitState(*plan.AwaitState) []string { return nil }

func (doer) SSH(a *plan.SSH) []string {
	var out []string
	for _, c := range a.Commands {
		out = append(out, fmt.Sprintf("on %s as %s: %s", a.Host, a.User, c))
	}
	if a.Check != "" {
		out = append(out, fmt.Sprintf("on %s as %s, check: %s", a.Host, a.User, a.Check))
	}
	return out
}

func (doer) Reboot(a *plan.Reboot) []string {
	return []string{fmt.Sprintf("on %s as %s, reboot: %s", a.Host, a.User, a.Command)}
}

func (doer) Delete(a *plan.Delete) []string {
	if a.Objects == plan.Namespaces {
		return []string{Describe(a)}
	}
	return []string{fmt.Sprintf("deletes the Jobs in namespace %s with selector %q", a.Namespace, a.Selector)}
}

func (doer) Sync(a *plan.Sync) []string {
	return []string{fmt.Sprintf("Argo CD syncs %s at %s", a.Application, a.Revision)}
}

func (doer) Compatibility(a *plan.Compatibility) []string { return []string{Describe(a)} }

func textLines(what, text string) []string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if strings.TrimSpace(l) != "" {
			out = append(out, what+": "+strings.TrimSpace(l))
		}
	}
	return out
}
