package procedure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

const (
	shutdownScript = plan.ShutdownScript
	stateScript    = "set_summary_state.py"
)

// queueNames are the names by which LOVE shows the ScriptQueues.
var queueNames = map[int]string{1: "MTQueue", 2: "ATQueue", 3: "OCSQueue"}

func queueName(queue int) string {
	return fmt.Sprintf("%s (%s:%d)", queueNames[queue], scriptQueue, queue)
}

// setState makes a step that brings CSCs to a state.
func (b *builder) setState(id, title, state string, cscs []string, groupSize int, source ...string) plan.Step {
	scripts := 1
	if groupSize > 0 {
		scripts = (len(cscs) + groupSize - 1) / groupSize
	}
	groups := ""
	if groupSize > 0 {
		groups = fmt.Sprintf(", only for those that are not there yet and at most %d to a script, since a script stops at its first failure and leaves the queue paused: then resume the queue and go on with the next ones", groupSize)
	}
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action: plan.Action{Parameters: &plan.SetState{
			Queue: b.req.Queue, State: state, CSCs: cscs, GroupSize: groupSize,
			// The default would command the Watcher to mute its alarms, and it
			// is down, or about to be.
			MuteAlarms: false,
		}},
		Timeout: plan.Duration(time.Duration(scripts)*limitScript + limitLook),
		ByHand: fmt.Sprintf("In LOVE, on %s, run the standard script %s%s with:\n\n%s\nWithout LOVE: for each of them, in this order, in a Nublado notebook, "+
			"`await salobj.set_summary_state(remote, salobj.State.%s)` with a salobj.Remote of the CSC.",
			queueName(b.req.Queue), stateScript, groups, indent(stateConfig(cscs, state)), state),
	}
}

// stateConfig is the configuration of set_summary_state.py.
func stateConfig(cscs []string, state string) string {
	var out strings.Builder
	out.WriteString("data:\n")
	for _, c := range cscs {
		fmt.Fprintf(&out, "- [%s, %s]\n", strings.TrimSuffix(c, ":0"), state)
	}
	out.WriteString("mute_alarms: false\n")
	return out.String()
}

// awaitStates makes a step that watches CSCs until each is in the state that
// want gives it, in the order of the states' first CSCs.
func (b *builder) awaitStates(id, title string, cscs []string, want func(string) []string, limit time.Duration, source ...string) plan.Step {
	var groups []plan.Want
	for _, c := range cscs {
		states := want(c)
		i := slices.IndexFunc(groups, func(w plan.Want) bool { return slices.Equal(w.States, states) })
		if i < 0 {
			groups = append(groups, plan.Want{States: states})
			i = len(groups) - 1
		}
		groups[i].CSCs = append(groups[i].CSCs, c)
	}
	var lines []string
	for _, g := range groups {
		lines = append(lines, fmt.Sprintf("%s: %s", strings.Join(g.States, " or "), plan.CSCList(g.CSCs)))
	}
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action:  plan.Action{Parameters: &plan.AwaitState{Want: groups}},
		Timeout: plan.Duration(limit),
		ByHand: fmt.Sprintf("Look at %q in LOVE, and at the dashboards Heartbeats and … Summary State Monitor in Chronograf, until:\n\n%s\n\n"+
			"A CSC that is OFFLINE may still show STANDBY: what counts is that its heartbeats have ended.",
			b.site.Targets.LOVEView, indent(strings.Join(lines, "\n"))),
	}
}

func indent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = "    " + l
		}
	}
	return strings.Join(lines, "\n")
}

// shutdownCSCs are those that system_wide_shutdown.py takes down: all that
// speak but the ScriptQueues and what its ignore list names. The Watcher is the
// first of them (P8), also where the script has failed before it did anything.
func (b *builder) shutdownCSCs() []string {
	out := []string{watcher}
	for _, name := range b.speaking(b.down) {
		if name != watcher && !isQueue(name) {
			out = append(out, name)
		}
	}
	return out
}

// shutdown makes the step that sends everything OFFLINE (P7).
func (b *builder) shutdown() plan.Step {
	config := plan.Shutdown{User: "csu", Reason: b.req.Reason, StartWith: []string{plan.Component(watcher)}}
	for _, k := range b.site.States.Keep {
		config.Ignore = append(config.Ignore, plan.Component(k.CSC))
	}
	text := config.Encode()
	return plan.Step{
		ID: "shutdown", Title: "All CSCs but the ScriptQueues to OFFLINE, the Watcher first", Source: append(b.keepNumbers(), "P7", "P8"),
		Action: plan.Action{Parameters: &plan.Script{
			Queue: b.req.Queue, Path: shutdownScript, Standard: true, Config: text,
			// It ends FAILED whenever one CSC did not get there; what counts is
			// where the CSCs are, which the next steps look at.
			Accept: []string{"DONE", "FAILED"},
		}},
		Timeout: plan.Duration(limitShutdown),
		ByHand: scriptByHand(b.req.Queue, shutdownScript, text) +
			"\n\nIt ends FAILED when one CSC did not get to OFFLINE; the next steps see to those.",
	}
}

// scriptByHand says how a person runs a standard script: in LOVE, or without it
// by the ScriptQueue's own command (P12).
func scriptByHand(queue int, path, config string) string {
	with, same := " without a configuration.", "\"\""
	if config != "" {
		with, same = " with:\n\n"+indent(config), "the same text"
	}
	return fmt.Sprintf("In LOVE, on %s, run the standard script %s%s\n\nWithout LOVE: in a Nublado notebook, with queue = salobj.Remote(domain, %q, index=%d), "+
		"`await queue.cmd_add.set_start(isStandard=True, path=%q, config=…)` with %s as config.",
		queueName(queue), path, with, scriptQueue, queue, path, same)
}

// queuesDown makes the step that sends the ScriptQueues OFFLINE, the running
// one at the very end (P9).
func (b *builder) queuesDown(source ...string) plan.Step {
	return b.setState("queues", fmt.Sprintf("ScriptQueues to OFFLINE, the one that runs the script, %s, last", queueNames[b.req.Queue]),
		plan.Offline, b.queues(), 0, source...)
}

// watch adds the steps that see the CSCs come up (P37 to P40).
func (b *builder) watch(id, title string, cscs []string) {
	s := b.stage(id, title, "P13", "P38")
	up := s.add(b.awaitStates("up", "Every CSC comes up in its state", cscs, func(name string) []string {
		c, _ := b.csc(name)
		return []string{comesUp(c)}
	}, limitComeUp, "P37", "P39"))
	s.add(after(b.report(cscs), up))
	s.close(fmt.Sprintf("csu watches for up to %s until %d CSCs have come up: most in STANDBY, some in a state of their own. Watch with it in LOVE's view %q and on the Chronograf dashboards. "+
		"Report trouble to the principals of the systems. The stage ends when all are there, or when you decide that what is broken can't be mended now.",
		plan.Duration(limitComeUp), len(cscs), b.site.Targets.LOVEView))
}

// report is the step by which what is left broken is reported (P40).
func (b *builder) report(cscs []string) plan.Step {
	text := fmt.Sprintf("If CSCs are left in non-working order, say which on %s, and tell their principals. If all is well, there is nothing to do.", b.site.Targets.SlackChannel)
	var principals []string
	for _, principal := range b.principalsOf(&plan.SetState{CSCs: cscs}) {
		principals = append(principals, fmt.Sprintf("%s: %s", principal, plan.CSCList(b.ofPrincipal(principal, cscs))))
	}
	if len(principals) > 0 {
		text += "\n\nPrincipals:\n\n" + indent(strings.Join(principals, "\n"))
	}
	return manual("report", "Report what is left in non-working order", text, cscs, nil, "P38", "P40")
}

// ofPrincipal returns those of the CSCs that a principal answers for.
func (b *builder) ofPrincipal(principal string, cscs []string) []string {
	return slices.DeleteFunc(slices.Clone(cscs), func(name string) bool {
		c, ok := b.csc(name)
		return !ok || c.Principal != principal
	})
}

// enable adds the steps that bring CSCs to ENABLED: the ESS in groups, so that
// one that is dead does not keep the others down, the rest one by one, the
// Watcher last, when there is something to watch (P41, P43). Where none is to be
// enabled, they are only looked at (P37).
func (b *builder) enable(cscs []string, source string) {
	s := b.stage("enable", "Bring CSCs to the state that they end in")
	if len(cscs) == 0 {
		if plan.Type(b.req.Type) == plan.Recovery {
			return // they were seen as they came up, and nothing has moved them since
		}
		s.Title, source = "See that every CSC is in the state that it ends in", "P37"
	}
	var ess, others []string
	for _, c := range cscs {
		switch {
		case strings.HasPrefix(c, "ESS:"):
			ess = append(ess, c)
		case c != watcher:
			others = append(others, c)
		}
	}
	var before []string
	add := func(step plan.Step) {
		if b.site.States.IfNecessary && plan.Type(b.req.Type) != plan.Incremental {
			step.Consent = "At this site CSCs are enabled only if it is necessary. Is it, for these?"
		}
		// Those that are not there are seen by the last step of this stage.
		step.OnFailure = plan.Report
		before = append(before, s.add(step))
	}
	if len(ess) > 0 {
		add(b.setState("ess", "ESS to ENABLED, five to a script", plan.Enabled, ess, 5, source))
	}
	for _, c := range others {
		add(b.setState(slug(c), c+" to ENABLED", plan.Enabled, []string{c}, 0, source))
	}
	if slices.Contains(cscs, watcher) {
		step := b.setState("watcher", "Watcher to ENABLED", plan.Enabled, []string{watcher}, 0, source)
		needs := slices.Clone(before)
		add(after(step, needs...))
	}
	seen := b.seenAgain()
	if len(cscs) > 0 && plan.Type(b.req.Type) != plan.Incremental {
		s.Doubts = append(s.Doubts, b.site.States.Notes...)
	}
	step := b.awaitStates("seen", "Every CSC is in the state that it ends in", seen, func(name string) []string {
		c, _ := b.csc(name)
		if b.enablesAll() && !slices.Contains(cscs, name) {
			return []string{comesUp(c)} // the others follow after the testing (P55)
		}
		return []string{b.expected(c)}
	}, limitLook, union([]string{source}, b.keepNumbers())...)
	s.add(after(step, before...))
	text := fmt.Sprintf("csu looks whether the %d CSCs concerned are in the state that the site definition gives.", len(seen))
	if len(cscs) > 0 {
		all := others
		if len(ess) > 0 {
			all = union([]string{fmt.Sprintf("%d ESS", len(ess))}, others)
		}
		if slices.Contains(cscs, watcher) {
			all = union(all, []string{"the Watcher"})
		}
		text = fmt.Sprintf("To ENABLED go: %s; in groups, so that one that is dead does not keep the others down. ", strings.Join(all, ", ")) + text
	}
	s.close(text)
}

// keepNumbers cites P6 where the site keeps CSCs in their states.
func (b *builder) keepNumbers() []string {
	if len(b.site.States.Keep) > 0 {
		return []string{"P6"}
	}
	return nil
}

// seenAgain are the CSCs that went down and have to be seen in their expected
// state, and those that were to keep theirs or have been brought back to it.
func (b *builder) seenAgain() []string {
	out := union(b.speaking(b.down), b.served())
	for _, k := range b.site.States.Keep {
		if !slices.Contains(out, k.CSC) {
			out = append(out, k.CSC)
		}
	}
	return out
}

// speaking returns those that the EFD hears.
func (b *builder) speaking(cscs []string) []string {
	var out []string
	for _, name := range cscs {
		if c, ok := b.csc(name); ok && c.Component != "" {
			out = append(out, name)
		}
	}
	return out
}
