package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func byHandRules() []Rule {
	return []Rule{
		{"by-hand", []string{"P12"},
			"The text for doing a step by hand says what the step does: the same host, account and commands, the same CSCs, states and queue, the same cluster and selector, the same message. " +
				"An operator follows it when csu fails, in the belief that it is the same.", byHand},
	}
}

func byHand(v *view, f *findings) {
	for _, n := range v.steps {
		if n.Action.Parameters == nil {
			continue
		}
		h := plan.Visit(n.Action.Parameters, plan.Visitor[hand](hands{v}))
		h.text = n.ByHand
		for _, what := range h.missing() {
			f.step(n, "write what the step does, or recompile the plan", "its text for doing it by hand differs from what it does: %s", what)
			break
		}
	}
}

// A hand is what the text for doing a step by hand has.
type hand struct {
	text  string
	exact string     // the whole text; "" if there is more to it
	says  []string   // each somewhere
	runs  [][]string // each is a block of indented lines
	only  bool       // the text has no other indented lines
	all   []value    // every match has this value
}

// A value is what each match of a pattern must be.
type value struct {
	pattern *regexp.Regexp
	want    string
}

func (h *hand) missing() []string {
	var out []string
	if h.exact != "" && h.text != h.exact {
		out = append(out, fmt.Sprintf("want %q", brief(h.exact)))
	}
	for _, s := range h.says {
		if !strings.Contains(h.text, s) {
			out = append(out, fmt.Sprintf("it does not say %q", brief(s)))
		}
	}
	found := blocks(h.text)
	for _, want := range h.runs {
		i := slices.IndexFunc(found, func(b []string) bool { return slices.Equal(unwrapped(b), want) })
		if i < 0 {
			out = append(out, fmt.Sprintf("want exactly the lines %q", brief(strings.Join(want, "\n"))))
		}
	}
	if h.only && len(found) > len(h.runs) {
		out = append(out, "it has more lines to run")
	}
	for _, a := range h.all {
		for _, m := range a.pattern.FindAllStringSubmatch(h.text, -1) {
			if m[len(m)-1] != a.want {
				out = append(out, fmt.Sprintf("it says %q, want %q", brief(m[0]), a.want))
			}
		}
	}
	return out
}

// blocks returns the runs of indented lines in a text, without their indent.
func blocks(text string) [][]string {
	var out [][]string
	inside := false
	for line := range strings.Lines(text) {
		rest, indented := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
		switch {
		case indented && !inside:
			out = append(out, []string{rest})
		case indented:
			out[len(out)-1] = append(out[len(out)-1], rest)
		}
		inside = indented
	}
	return out
}

// wrapping are the lines that detach a long series of commands from its
// connection (P29).
var wrapping = regexp.MustCompile(`^(nohup sh -c '\(|\) && echo \d+ && \(|\) && echo finished' >[\w.-]+ 2>&1 </dev/null &|tail -f [\w.-]+)$`)

// unwrapped returns a block's lines without those that detach the commands, and
// without the quoting that this takes.
func unwrapped(block []string) []string {
	if !slices.ContainsFunc(block, wrapping.MatchString) {
		return block
	}
	var out []string
	for _, line := range block {
		if !wrapping.MatchString(line) {
			out = append(out, strings.ReplaceAll(line, `'\''`, "'"))
		}
	}
	return out
}

// hands has what each kind's text has.
type hands struct{ v *view }

var (
	onContext  = regexp.MustCompile(`--context (\S+)`)
	inSpace    = regexp.MustCompile(` -n (\S+)`)
	bySelector = regexp.MustCompile(` -l '([^']*)'`)
	toState    = regexp.MustCompile(`salobj\.State\.(\w+)`)
	onQueue    = regexp.MustCompile(`\(ScriptQueue:(\d+)\)`)
	perScript  = regexp.MustCompile(`at most (\d+) per script`)
	runScript  = regexp.MustCompile(`run the standard script (\S+)`)
	addScript  = regexp.MustCompile(`path="([^"]*)"`)
	setLevel   = regexp.MustCompile(`"compatibility": "(\w+)"`)
)

func (hands) Manual(a *plan.Manual) hand { return hand{exact: a.Text} }

func (hands) Announce(a *plan.Announce) hand {
	return hand{says: []string{a.Channel, fmt.Sprintf("%q", a.Text)}}
}

func (hands) Script(a *plan.Script) hand {
	h := hand{says: []string{a.Path, queueOf(a.Queue)}, all: []value{{onQueue, fmt.Sprint(a.Queue)}, {runScript, a.Path}, {addScript, a.Path}}}
	if a.Config != "" {
		h.runs = [][]string{strings.Split(strings.TrimRight(a.Config, "\n"), "\n")}
	}
	return h
}

func (hands) SetState(a *plan.SetState) hand {
	lines := []string{"data:"}
	for _, c := range a.CSCs {
		lines = append(lines, fmt.Sprintf("- [%s, %s]", strings.TrimSuffix(c, ":0"), a.State))
	}
	h := hand{
		says: []string{setStateScript, queueOf(a.Queue)}, runs: [][]string{append(lines, fmt.Sprintf("mute_alarms: %v", a.MuteAlarms))}, only: true,
		all: []value{{onQueue, fmt.Sprint(a.Queue)}, {toState, a.State}, {perScript, fmt.Sprint(a.GroupSize)}},
	}
	if a.GroupSize > 0 {
		h.says = append(h.says, fmt.Sprintf("at most %d per script", a.GroupSize))
	}
	return h
}

func (x hands) AwaitState(a *plan.AwaitState) hand {
	var lines []string
	for _, w := range a.Want {
		lines = append(lines, strings.Join(w.States, " or ")+": "+plan.CSCList(w.CSCs))
	}
	return hand{says: []string{fmt.Sprintf("%q", x.v.Targets.LOVE.View)}, runs: [][]string{lines}, only: true}
}

func (x hands) SSH(a *plan.SSH) hand {
	if a.Purpose == plan.AwaitBuild { // its commands are in the text of the step that began the build
		return hand{says: []string{"step " + a.Build}, only: true}
	}
	return hand{runs: [][]string{append(x.v.logIn(a.Host, a.User), a.Commands...)}, only: true}
}

func (x hands) Reboot(a *plan.Reboot) hand {
	return hand{runs: [][]string{append(x.v.logIn(a.Host, a.User), "cat /proc/sys/kernel/random/boot_id", a.Command)}, only: true}
}

func (x hands) Delete(a *plan.Delete) hand {
	context := x.v.Targets.Kubernetes.Context
	h := hand{all: []value{{onContext, context}, {bySelector, a.Selector}, {inSpace, a.Namespace}}}
	if a.Objects == plan.Namespaces {
		h.says = []string{fmt.Sprintf("kubectl --context %s delete namespace -l '%s'", context, a.Selector)}
	} else {
		h.says = []string{fmt.Sprintf("kubectl --context %s delete job -n %s -l '%s'", context, a.Namespace, a.Selector)}
	}
	return h
}

func (x hands) Sync(a *plan.Sync) hand {
	h := hand{says: []string{"(" + x.v.Targets.ArgoCD.URL + ")", "application " + a.Application + ":"}, all: []value{{addressIn, x.v.Targets.ArgoCD.URL}}}
	for _, r := range a.Resources {
		h.says = append(h.says, r.Kind+" "+r.Name)
	}
	if len(a.CSCs) > 0 {
		h.says = append(h.says, "the pods of "+plan.CSCList(a.CSCs))
	}
	return h
}

func (x hands) Compatibility(a *plan.Compatibility) hand {
	t := &x.v.Targets
	return hand{
		says: []string{"--context " + t.Kubernetes.Context + " ", "-n " + t.Registry.Namespace + " ", "-l " + t.Registry.Selector, fmt.Sprintf(`"compatibility": %q`, a.Set), a.Expect + " before", a.Set + " after"},
		all:  []value{{onContext, t.Kubernetes.Context}, {setLevel, a.Set}},
	}
}

// logIn returns the lines with which a person logs in to a host as a user.
func (v *view) logIn(host, user string) []string {
	h, ok := v.Host(host)
	if !ok {
		return nil // reported by known-names
	}
	switch u, _ := h.User(user); u.Via {
	case "login":
		return []string{"ssh " + user + "@" + h.Address}
	case "sudo":
		return []string{"ssh " + h.Address, "sudo -iu " + user}
	}
	return []string{"ssh " + h.Address}
}

func queueOf(index int) string { return fmt.Sprintf("%s:%d", scriptQueue, index) }
