package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// The stages below are in more than one of the good plans.

func (d *draft) begin(m2 bool) {
	steps := []plan.Step{announce("announce", "P53", false, reported)}
	if m2 && d.atSummit() {
		steps = append(steps, manual("m2", "P4", "Is M2 in closed loop?", consented("M2 principal")))
	}
	if d.atSummit() && d.p.Type == plan.Recovery {
		steps = append(steps, manual("vm", "P5", "Was the VM rebooted already?", consented("M2 principal")))
	}
	if d.atSummit() && d.p.Type != plan.Recovery {
		steps = append(steps, d.await("kept", "P6", []string{"MTM1M3:0", "MTM1M3TS:0"}, expected))
	}
	d.stage("begin", steps...)
	d.p.Doubts = append(d.p.Doubts, plan.Doubt{Text: "The cluster's address is a guess."})
	d.p.Stages[0].Doubts = []string{"Cluster: The cluster's address is a guess."}
	if d.atSummit() {
		d.p.Doubts = append(d.p.Doubts, plan.Doubt{Text: "Does that still hold?", CSCs: []string{"MTM1M3:0"}, State: plan.Disabled})
		d.p.Stages[0].Doubts = append(d.p.Stages[0].Doubts, "MTM1M3 stays DISABLED: Does that still hold?")
	}
}

func (d *draft) end() {
	steps := []plan.Step{manual("look", "P40", "What is left broken is reported.")}
	if d.p.Type == plan.Full {
		steps = append(steps, announce("again", "P42", false, reported, needs("look")))
	}
	d.stage("end", steps...)
}

// generated makes a step generate SAL code from what main holds today (P29).
func generated(s *plan.Step) {
	s.Action.Parameters.(*plan.SSH).Commands = []string{"git checkout main", "salgeneratorKafka generate cpp MTVMS"}
}

// build begins the build on a cRIO, and built waits for it.
func (d *draft) build(host, service string) plan.Step {
	s := ssh(host, "P29", plan.Build, host, "admin", service, generated, consented("M1M3 principal"))
	s.Timeout = plan.Duration(10 * time.Minute) // it only begins
	return s
}

func (d *draft) built(host, service, source string) plan.Step {
	s := ssh("built", source, plan.AwaitBuild, host, "admin", service, generated)
	s.Action.Parameters.(*plan.SSH).Build = "builds/" + host
	return s
}

func (d *draft) part(application string, cscs []string) plan.Step {
	s := sync(application, "P33", application, cscs)
	s.Action.Parameters.(*plan.Sync).Resources = d.p.Brings(cscs)
	return s
}

func (d *draft) deleteAll(source string) []plan.Step {
	var out []plan.Step
	obssys := deleteJobs("obssys", source, "obssys", "csc-class", d.of("obssys"))
	if d.p.Type == plan.Recovery {
		out = append(out, deleteJobs("watcher", source, "obssys", "csc-name=watcher", []string{watcher}))
		obssys = deleteJobs("obssys", source, "obssys", "csc-class=scriptqueue", []string{"ScriptQueue:1", "ScriptQueue:2", "ScriptQueue:3"}, needs("watcher"))
	}
	out = append(out, obssys)
	for _, app := range []string{controlSystemTest, "envsys", "auxtel", "simonyitel"} {
		s := deleteJobs(app, source, app, "csc", d.of(app))
		if d.p.Type == plan.Recovery {
			needs("watcher")(&s)
		}
		out = append(out, s)
	}
	return out
}

func (d *draft) deployAll(deleting, syncing string) {
	d.stage("deploy",
		sync("small", syncing, controlSystemTest, d.of(controlSystemTest)),
		deleteJobs("commander", deleting, love, "csc-name=love-commander", []string{"love-commander"}, needs("small")),
		sync("love", syncing, love, d.of(love), needs("commander")),
		sync("obssys", syncing, "obssys", d.of("obssys"), needs("love")),
		sync("envsys", syncing, "envsys", d.of("envsys"), needs("love")),
		sync("auxtel", syncing, "auxtel", d.of("auxtel"), needs("love")),
		sync("simonyitel", syncing, "simonyitel", d.of("simonyitel"), needs("love")))
}

func (d *draft) configuration(applications ...string) {
	steps := []plan.Step{step("merged", "P22", time.Hour, &plan.Manual{Text: "Merged?", Applications: applications})}
	if d.atSummit() {
		steps = append(steps, ssh("azar03", "P23", plan.Update, "azar03", "dco", "docker-compose-ops", needs("merged")))
	}
	d.stage("configuration", steps...)
}

func (d *draft) watch(cscs []string) {
	d.stage("watch", d.await("up", "P37 P39", cscs, comesUp), manual("report", "P40", "Report what is broken.", needs("up")))
}

func (d *draft) camerasDown() {
	d.stage("cameras-down", ssh("atcamera", "P15", plan.Stop, "auxtel-mcm", "own", "ats-ocs-bridge.service"),
		announce("stage-1", "P16", true, needs("atcamera")), manual("heard", "P16", "Have they heard of stage 1?", needs("stage-1")))
}

func (d *draft) camerasUp() {
	d.stage("cameras-up", manual("done", "P35", "Is stage 1 done?"), announce("stage-2", "P35", true, needs("done")), manual("heard", "P35", "Have they heard of stage 2?", needs("stage-2")),
		manual("bridge", "P34", "The camera team starts ats-ocs-bridge.service on auxtel-mcm.", needs("heard")),
		manual("available", "P34", "It is put into OFFLINE_AVAILABLE.", needs("bridge")),
		d.await("seen", "P34 P37", []string{"ATCamera:0"}, expected, needs("available")))
}

// enable brings the list to ENABLED and looks at everything.
func (d *draft) enable(source string, all []string, ess ...string) {
	if len(ess) == 0 {
		ess = []string{"ESS:104", "ESS:105"}
	}
	group := 0
	if len(ess) > 1 {
		group = 5
	}
	if d.atSummit() {
		all = append(slices.Clone(all), "MTM1M3:0", "MTM1M3TS:0")
	}
	asked := func(s *plan.Step) {
		if !d.atSummit() && d.p.Type != plan.Incremental {
			s.Consent = "Is it necessary?"
		}
	}
	d.stage("enable", setState("ess", source, plan.Enabled, group, ess, reported, asked), setState("watcher", source, plan.Enabled, 0, []string{watcher}, needs("ess"), asked),
		d.await("seen", source+" P6", all, d.afterEnabling, needs("watcher")))
}

// afterEnabling is the state in which a CSC is once those of the list are
// enabled: where the whole site is enabled later, the others are not yet.
func (d *draft) afterEnabling(c *plan.CSC) string {
	later := d.p.Site == tts && d.p.Type == plan.Recovery
	if later && c.CSC != watcher && plan.Component(c.CSC) != "ESS" {
		return c.ComesUp
	}
	return c.Expect
}

func (d *draft) keptUnit(host, service, csc string) {
	agreed := consented("M1M3 principal")
	d.stage(host,
		d.built(host, service, "P6 P29"),
		ssh("stop", "P6 P29", plan.Stop, host, "admin", service, agreed, needs("built")),
		ssh("update", "P6 P29", plan.Update, host, "admin", service, needs("stop")), // the consent to the stop is for all
		ssh("start", "P6 P29", plan.Start, host, "admin", service, needs("update")),
		step("up", "P6 P37", 10*time.Minute, &plan.AwaitState{Want: []plan.Want{{States: d.upOrKept(csc), CSCs: []string{csc}}}}, needs("start")),
		d.backTo(csc), d.await("seen", "P6", []string{csc}, expected, needs("back")))
}

func (d *draft) backTo(csc string, more ...option) plan.Step {
	c, _ := d.p.CSC(csc)
	return setState("back", "P6", c.Expect, 0, []string{csc}, append(more, needs("up"))...)
}

// upOrKept are the states in which a CSC that keeps its state may be after a
// start.
func (d *draft) upOrKept(csc string) []string {
	c, _ := d.p.CSC(csc)
	return []string{c.ComesUp, c.Expect}
}

// sequence runs the scripts of a telescope's test.
func (d *draft) sequence(why, number string) {
	var steps []plan.Step
	for i, scripts := range newView(d.p).sequence(number) {
		path, _, _ := strings.Cut(scripts, "|")
		var do plan.Parameters = &plan.Script{Queue: testQueues[number], Path: path, Standard: true, Config: "test: " + number + "\n", Accept: []string{"DONE"}}
		if !strings.Contains(path, "/") && path != "run_command.py" {
			do = &plan.Manual{Text: "See to " + path}
		}
		s := step(fmt.Sprintf("script-%d", i+1), why+" "+number+" P52", 20*time.Minute, do)
		if i > 0 {
			needs(fmt.Sprintf("script-%d", i))(&s)
		}
		steps = append(steps, s)
	}
	d.stage("testing-"+strings.ToLower(number), steps...)
}
