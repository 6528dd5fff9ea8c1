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

// enableStage is the id of the stage that brings CSCs to their final states.
const enableStage = "enable"

// dashboards are those that give the overview (P13).
const dashboards = "Heartbeats and the five Summary State Monitors (AT, MT, Envsys, Calibration Systems, Observatory Systems)"

// oneCSC names a CSC for people.
func oneCSC(name string) string { return plan.CSCList([]string{name}) }

// queueNames are the ScriptQueues' names in LOVE.
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
	hand := fmt.Sprintf("In LOVE, on %s, run the standard script %s", queueName(b.req.Queue), stateScript)
	if groupSize > 0 {
		some := fmt.Sprintf("up to %d of these lines", groupSize)
		if groupSize == 1 {
			some = "one of these lines"
		}
		hand += fmt.Sprintf(", only for CSCs that are not yet %s and at most %d per script: each time with %s under data. A script stops at its first failure and leaves the queue paused: "+
			"resume the queue, note the CSC that failed, and carry on with the others. The lines", state, groupSize, some)
	} else {
		hand += " with"
	}
	remote := "where remote is the salobj.Remote of the CSC"
	if len(cscs) > 1 {
		remote = "for each CSC in this order, where remote is its salobj.Remote"
	}
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action: plan.Action{Parameters: &plan.SetState{
			Queue: b.req.Queue, State: state, CSCs: cscs, GroupSize: groupSize,
			// The default would command the Watcher to mute its alarms, but it is
			// down, or about to be.
			MuteAlarms: false,
		}},
		Timeout: plan.Duration(time.Duration(scripts)*limitScript + limitLook),
		ByHand: fmt.Sprintf("%s:\n\n%s\nWithout LOVE: in a Nublado notebook, run `await salobj.set_summary_state(remote, salobj.State.%s)`, %s.",
			hand, indent(stateConfig(cscs, state)), state, remote),
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

// awaitStates makes a step that waits until each CSC is in one of the states
// that want returns for it. The groups are in the order of their first CSCs.
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
	hand := fmt.Sprintf("Watch %q in LOVE, and in Chronograf the dashboards %s, until each CSC is in the state given here:\n\n%s",
		b.site.Targets.LOVEView, dashboards, indent(strings.Join(lines, "\n")))
	awaited := func(state string) bool {
		return slices.ContainsFunc(groups, func(w plan.Want) bool { return slices.Contains(w.States, state) })
	}
	switch { // P11
	case awaited(plan.Offline):
		hand += "\n\nA CSC that is OFFLINE may still show STANDBY: it is OFFLINE once its heartbeats have stopped."
	case awaited(plan.Standby):
		hand += "\n\nA CSC is in STANDBY only while it sends heartbeats: one that is OFFLINE may still show STANDBY."
	}
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action:  plan.Action{Parameters: &plan.AwaitState{Want: groups}},
		Timeout: plan.Duration(limit),
		ByHand:  hand,
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

// shutdownCSCs returns the CSCs that system_wide_shutdown.py takes down: all that
// speak SAL except the ScriptQueues and its ignore list. The Watcher is first
// (P8), so that it is also first if the script fails before doing anything.
func (b *builder) shutdownCSCs() []string {
	out := []string{watcher}
	for _, name := range b.speaking(b.down) {
		if name != watcher && !isQueue(name) {
			out = append(out, name)
		}
	}
	return out
}

// shutdown makes the step that sends everything to OFFLINE (P7).
func (b *builder) shutdown() plan.Step {
	config := plan.Shutdown{User: "csu", Reason: b.req.Reason, StartWith: []string{plan.Component(watcher)}}
	for _, k := range b.site.States.Keep {
		config.Ignore = append(config.Ignore, plan.Component(k.CSC))
	}
	text := config.Encode()
	return plan.Step{
		ID: "shutdown", Title: "All CSCs except the ScriptQueues to OFFLINE, the Watcher first", Source: append(b.keepNumbers(), "P7", "P8"),
		Action: plan.Action{Parameters: &plan.Script{
			Queue: b.req.Queue, Path: shutdownScript, Standard: true, Config: text,
			// It ends FAILED whenever one CSC did not reach OFFLINE. The next steps
			// check the CSCs' states, which is what counts.
			Accept: []string{"DONE", "FAILED"},
		}},
		Timeout: plan.Duration(limitShutdown),
		ByHand: scriptByHand(b.req.Queue, shutdownScript, text) +
			"\n\nThe script ends FAILED if a CSC does not reach OFFLINE; the next steps take down the remaining ones.",
	}
}

// scriptByHand describes how to run a standard script by hand, in LOVE or with
// the ScriptQueue's own command (P12).
func scriptByHand(queue int, path, config string) string {
	with, same := " without a configuration.", "\"\""
	if config != "" {
		with, same = " with:\n\n"+indent(config), "the same text"
	}
	return fmt.Sprintf("In LOVE, on %s, run the standard script %s%s\n\nWithout LOVE: in a Nublado notebook, with queue = salobj.Remote(domain, %q, index=%d), "+
		"`await queue.cmd_add.set_start(isStandard=True, path=%q, config=…)` with %s as config.",
		queueName(queue), path, with, scriptQueue, queue, path, same)
}

// queuesDown makes the step that sends the ScriptQueues to OFFLINE, the one that
// runs the script last (P9).
func (b *builder) queuesDown(source ...string) plan.Step {
	return b.setState("queues", fmt.Sprintf("ScriptQueues to OFFLINE, %s:%d last: it runs the script", scriptQueue, b.req.Queue),
		plan.Offline, b.queues(), 0, source...)
}

// comeUp adds the stage in which everything comes up, side by side: the cameras' stage 2
// (P34, P35), the services on bare metal (P36), and the CSCs, which are watched (P37 to P40).
func (b *builder) comeUp(cscs []string) {
	s := b.stage("watch", "Start what was stopped and watch it come up", "P13", "P38")
	cameras := b.camerasUp(s)
	started, services := b.servicesUp(s)
	if len(cameras)+len(services) == 0 {
		s.Title = "Watch the CSCs come up"
	}
	b.watch(s, cscs, started)
	s.close(strings.Join(union(nil, []string{cameras, services, s.Consent}), " "))
}

// watchCluster adds the stage that only watches (P37 to P40): a recovery starts what hosts
// run in stages of their own.
func (b *builder) watchCluster() {
	s := b.stage("watch", "Watch the CSCs come up", "P13", "P38")
	b.watch(s, b.inCluster(), nil)
	s.close(s.Consent)
}

// watch adds the steps that wait for the CSCs to come up (P37 to P40), after those that
// start some of them.
func (b *builder) watch(s *stage, cscs, started []string) {
	if len(cscs) == 0 {
		return
	}
	step := b.awaitStates("up", "Wait for every CSC to come up in its state", cscs, func(name string) []string {
		c, _ := b.csc(name)
		return []string{comesUp(c)}
	}, limitComeUp, "P37", "P39")
	var states []string
	for _, w := range step.Action.Parameters.(*plan.AwaitState).Want {
		states = append(states, fmt.Sprintf("%d in %s", len(w.CSCs), strings.Join(w.States, " or ")))
	}
	up := s.add(after(step, started...))
	s.add(after(b.report(cscs), up))
	s.Consent = fmt.Sprintf("csu waits up to %s for %s to come up: %s. Watch LOVE's view %q and the Chronograf dashboards too. "+
		"Report trouble to the principals of the systems. The stage ends when all are up, or when you decide that the rest cannot be fixed now.",
		plan.Duration(limitComeUp), plan.Counted(len(cscs), "CSC"), strings.Join(states, ", "), b.site.Targets.LOVEView)
}

// report makes the step that reports CSCs that do not work (P40).
func (b *builder) report(cscs []string) plan.Step {
	text := fmt.Sprintf("If a CSC does not work (it is in FAULT, sends no heartbeats, or is not in the state in which it should come up), report it on %s and tell its principal. If all work, there is nothing to do.", b.site.Targets.SlackChannel)
	var principals []string
	for _, principal := range b.principalsOf(&plan.SetState{CSCs: cscs}) {
		principals = append(principals, fmt.Sprintf("%s: %s", principal, plan.CSCList(b.ofPrincipal(principal, cscs))))
	}
	if len(principals) > 0 {
		text += "\n\nPrincipals:\n\n" + indent(strings.Join(principals, "\n"))
	}
	return manual("report", "Report CSCs that do not work", text, cscs, nil, "P38", "P40")
}

// ofPrincipal returns the CSCs whose principal is the given one.
func (b *builder) ofPrincipal(principal string, cscs []string) []string {
	return slices.DeleteFunc(slices.Clone(cscs), func(name string) bool {
		c, ok := b.csc(name)
		return !ok || c.Principal != principal
	})
}

// enable adds the steps that bring CSCs to ENABLED (P41, P43). The ESS go in
// groups, so that one that fails does not hold up the others; the rest go one by
// one; the Watcher goes last, when there is something to watch. If there is none
// to enable, the stage only checks their states (P37).
func (b *builder) enable(cscs []string, source string) {
	if b.quiet() {
		return // nothing has been moved
	}
	s := b.stage(enableStage, "Bring CSCs to their final states")
	if len(cscs) == 0 {
		if plan.Type(b.req.Type) == plan.Recovery {
			return // their states were checked as they came up; nothing has changed them since
		}
		s.Title, source = "Check that every CSC is in its final state", "P37"
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
			step.Consent = "At this site CSCs are enabled only if necessary. Is it necessary for these?"
		}
		// The last step of this stage finds those that are not ENABLED.
		step.OnFailure = plan.Report
		before = append(before, s.add(step))
	}
	if len(ess) > 0 {
		title := plan.CSCList(ess) + " to ENABLED"
		if len(ess) > essPerScript {
			title = fmt.Sprintf("ESS to ENABLED, at most %d per script", essPerScript)
		}
		add(b.setState("ess", title, plan.Enabled, ess, essPerScript, source))
	}
	for _, c := range others {
		add(b.setState(slug(c), oneCSC(c)+" to ENABLED", plan.Enabled, []string{c}, 0, source))
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
	step := b.awaitStates("seen", "Check that every CSC is in its final state", seen, func(name string) []string {
		c, _ := b.csc(name)
		if b.enablesAll() && !slices.Contains(cscs, name) {
			return []string{comesUp(c)} // the others follow after the testing (P55)
		}
		return []string{b.expected(c)}
	}, limitLook, union([]string{source}, b.keepNumbers())...)
	s.add(after(step, before...))
	text := fmt.Sprintf("csu checks that %d CSCs are in their final states", len(seen))
	if len(seen) == 1 {
		text = "csu checks that 1 CSC is in its final state"
	}
	if left := slices.DeleteFunc(slices.Clone(seen), b.goesDown); len(left) > 0 {
		text += ", including " + plan.CSCList(left)
	}
	if len(cscs) > 0 {
		text = b.enabling(ess, others, cscs) + " Then " + text
	}
	s.close(text + ".")
}

// essPerScript is how many ESS one script brings to ENABLED.
const essPerScript = 5

// enabling says which CSCs are brought to ENABLED, and by how many scripts.
func (b *builder) enabling(ess, others, all []string) string {
	var names []string
	if len(ess) > essPerScript {
		names = append(names, fmt.Sprintf("%d ESS", len(ess)))
	} else if len(ess) > 0 {
		names = append(names, plan.CSCList(ess))
	}
	if len(others) > 0 {
		names = append(names, plan.CSCList(others))
	}
	if slices.Contains(all, watcher) {
		names = append(names, "the Watcher")
	}
	text := fmt.Sprintf("csu brings these CSCs to ENABLED: %s.", strings.Join(names, ", "))
	switch {
	case len(all) == 1:
		return text
	case len(ess) > 1:
		return text + fmt.Sprintf(" One script takes at most %d of the ESS and every other CSC has a script of its own, so that one failure does not hold up all.", essPerScript)
	}
	return text + " Each has a script of its own, so that one failure does not hold up the others."
}

// keepNumbers returns P6 if the site has CSCs that keep their states.
func (b *builder) keepNumbers() []string {
	if len(b.site.States.Keep) > 0 {
		return []string{"P6"}
	}
	return nil
}

// seenAgain returns the CSCs whose states are checked at the end: those that went
// down or are new, and those that keep their states or are brought back to them.
func (b *builder) seenAgain() []string {
	out := union(union(b.speaking(b.down), b.speaking(b.added())), b.served())
	if b.quiet() {
		return out
	}
	for _, k := range b.site.States.Keep {
		if !slices.Contains(out, k.CSC) {
			out = append(out, k.CSC)
		}
	}
	return out
}

// speaking returns the CSCs that speak SAL, and so are in the EFD.
func (b *builder) speaking(cscs []string) []string {
	var out []string
	for _, name := range cscs {
		if c, ok := b.csc(name); ok && c.Component != "" {
			out = append(out, name)
		}
	}
	return out
}
