package verify

import (
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// orderBreaches are about the order and presence of steps.
func orderBreaches() []breach {
	return []breach{
		{"procedure-order", "services start before the sync", sumInc, func(p *plan.Plan) {
			i := slices.IndexFunc(p.Stages, func(s plan.Stage) bool { return s.ID == "services-up" })
			p.Stages[i], p.Stages[i-1] = p.Stages[i-1], p.Stages[i]
		}},
		{"stage-source", "a step in a stage of something else", sumFull, add("schema", plan.Step{ID: "x", Source: []string{"P37"}, Action: plan.Action{Parameters: &plan.Manual{Text: "?"}}})},
		{"stage-source", "a number without its step", sumFull, func(p *plan.Plan) { p.Stages[0].Source = append(p.Stages[0].Source, "P19") }},
		{"once", "the same message twice", sumFull, func(p *plan.Plan) {
			s := *at(p, "begin/announce")
			s.ID = "again"
			add("begin", s)(p)
		}},
		{"configuration-first", "nobody asks", sumFull, drop("configuration/merged")},
		{"configuration-first", "the checkout is updated at once", sumFull, unneed("configuration/azar03")},
		{"configuration-first", "an application is not shown", sumInc, func(p *plan.Plan) {
			a := act[*plan.Manual](p, "configuration/merged")
			a.Applications = a.Applications[1:]
		}},
		{"configuration-first", "nobody looks what Argo CD would bring", sumRec, drop("compare/look")},
		{"platform-first", "science-platform is not synced", sumFull, drop("platform/apps")},
		{"platform-first", "nublado at the same time", sumFull, unneed("platform/nublado")},
		{"platform-first", "sasquatch without a consent", sumFull, func(p *plan.Plan) { at(p, "platform/sasquatch").Consent = "" }},
		{"platform-first", "sasquatch unasked", sumFull, func(p *plan.Plan) { p.Upgrade.SyncSasquatch = false }},
		{"platform-first", "sasquatch forgotten", sumFull, drop("platform/sasquatch")},
		{"platform-first", "nobody looks for sasquatch", sumFull, drop("platform/efd")},
		{"small-first", "the rest does not wait for love", sumRec, func(p *plan.Plan) { at(p, "deploy/envsys").Needs = []string{"deploy/small"} }},
		{"small-first", "an application is forgotten", sumRec, drop("deploy/auxtel")},
		{"announced", "nothing is said", sumInc, drop("begin/announce")},
		{"announced", "something goes down before", sumInc, add("begin", plan.Step{ID: "x", Action: plan.Action{Parameters: &plan.SetState{State: plan.Offline, CSCs: []string{watcher}}}})},
		{"announced-facts", "it takes longer", sumInc, func(p *plan.Plan) { at(p, "begin/announce").Takes = plan.Duration(time.Hour) }},
		{"announced-facts", "LOVE is said to work", sumFull, func(p *plan.Plan) {
			a := act[*plan.Announce](p, "begin/announce")
			a.Text = strings.Replace(a.Text, ", LOVE", "", 1)
			at(p, "begin/announce").ByHand = strings.Replace(at(p, "begin/announce").ByHand, ", LOVE", "", 1)
		}},
		{"announced", "Nublado is forgotten", sumFull, drop("end/again")},
		{"announced", "Nublado although testing follows", sumFull, func(p *plan.Plan) { p.Upgrade.IntegrationTestingFollows = true }},
		{"broken-reported", "nothing at the end", sumInc, drop("end/look")},
		{"broken-reported", "nothing where the CSCs come up", sumInc, drop("watch/report")},
		{"camera-handovers", "stage 1 is not announced", sumFull, drop("cameras-down/stage-1")},
		{"camera-handovers", "stage 1 before the bridge is stopped", sumFull, unneed("cameras-down/stage-1")},
		{"camera-handovers", "nobody has heard", sumFull, drop("cameras-down/heard")},
		{"camera-handovers", "a message and no hand-over", sumFull, func(p *plan.Plan) { act[*plan.Announce](p, "cameras-up/stage-2").Handover = false }},
		{"camera-handovers", "the bridge starts too early", sumFull, unneed("cameras-up/bridge")},
		{"camera-handovers", "the bridge stays up", ttsFull, drop("cameras-down/atcamera")},
		{"camera-handovers", "the bridge is not seen", ttsFull, drop("cameras-up/seen")},
		{"camera-handovers", "no way into OFFLINE_AVAILABLE", ttsFull, drop("cameras-up/available")},
	}
}

// offlineBreaches are about what goes down, and in which order.
func offlineBreaches() []breach {
	return []breach{
		{"watcher-first", "the others at the same time", sumInc, unneed("offline/cscs")},
		{"watcher-first", "not the first of its list", sumInc, func(p *plan.Plan) {
			act[*plan.SetState](p, "offline/watcher").CSCs = []string{"GenericCamera:101", watcher}
		}},
		{"watcher-first", "start_with is missing", sumFull, func(p *plan.Plan) {
			a := act[*plan.Script](p, "offline/shutdown")
			a.Config = strings.Replace(a.Config, "- Watcher", "- ATAOS", 1)
		}},
		{"watcher-first", "its Job with the others", sumRec, unneed("jobs/envsys")},
		{"queues-last", "the running one first", sumInc, func(p *plan.Plan) { slices.Reverse(act[*plan.SetState](p, "offline/queues").CSCs) }},
		{"queues-last", "a CSC at the same time", sumInc, unneed("offline/queues")},
		{"queues-last", "one is forgotten", sumInc, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "offline/queues")
			a.CSCs = a.CSCs[1:]
		}},
		{"queues-last", "one goes with the others", sumFull, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "offline/rest")
			a.CSCs = append(a.CSCs, "ScriptQueue:3")
		}},
		{"queues-last", "a CSC behind them", sumInc, func(p *plan.Plan) {
			act[*plan.SetState](p, "offline/queues").CSCs = []string{"ScriptQueue:3", "ScriptQueue:2", "Test:42", "ScriptQueue:1"}
		}},
		{"shutdown-script", "in an incremental upgrade", sumInc, add("offline", plan.Step{ID: "x", Action: plan.Action{Parameters: &plan.Script{Path: plan.ShutdownScript}}})},
		{"shutdown-script", "not at all", sumFull, drop("offline/shutdown")},
		{"shutdown-script", "a CSC by its index on the ignore list", sumFull, func(p *plan.Plan) {
			act[*plan.Script](p, "offline/shutdown").Config = "user: csu\nreason: test\nstart_with: [Watcher]\nignore: ['MTM1M3TS:0', 'MTM1M3:0']\n"
		}},
		{"shutdown-script", "the Watcher by its index", sumFull, func(p *plan.Plan) {
			act[*plan.Script](p, "offline/shutdown").Config = "user: csu\nreason: test\nstart_with: ['Watcher:0']\nignore: [MTM1M3TS, MTM1M3]\n"
		}},
		{"shutdown-script", "with another on the ignore list, with an end, with any end", sumFull, func(p *plan.Plan) {
			a := act[*plan.Script](p, "offline/shutdown")
			a.Config = "user: csu\nreason: test\nstart_with: [Watcher]\nignore: [MTM1M3, MTM1M3TS, MTMount]\nend_with: [ATAOS]\n"
			a.Accept = []string{"DONE", "FAILED", "STOPPED"}
		}},
		{"shutdown-script", "a configuration that can't be read", sumFull, func(p *plan.Plan) { act[*plan.Script](p, "offline/shutdown").Config = "{user: csu}" }},
		{"all-offline", "one is forgotten", sumFull, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "offline/rest")
			a.CSCs = a.CSCs[:len(a.CSCs)-1]
		}},
		{"all-offline", "no look between", sumFull, drop("offline/settled")},
		{"offline-before-removal", "a Job of a CSC that is up", sumInc, func(p *plan.Plan) {
			act[*plan.SetState](p, "offline/cscs").CSCs = []string{"ATCamera:0", "GenericCamera:101"}
		}},
		{"offline-before-removal", "a service whose CSC is up", sumInc, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "offline/cscs")
			a.CSCs = a.CSCs[:len(a.CSCs)-1]
		}},
		{"only-concerned", "another CSC goes down", sumInc, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "offline/cscs")
			a.CSCs = append(a.CSCs, "ATAOS:0")
		}},
		{"only-concerned", "a changed one stays up", sumInc, func(p *plan.Plan) {
			p.Upgrade.Changed = append(p.Upgrade.Changed, plan.Change{CSC: "ATAOS:0", Revision: 1})
		}},
		{"only-concerned", "another host", sumInc, add("services-down", ssh("x", "P17", plan.Stop, "m1m3-crio-vms", "admin", "ts-VMS"))},
		{"only-concerned", "another application", sumInc, add("deploy", sync("x", "P33", "auxtel", nil))},
		{"only-concerned", "a host and an application that nobody touches", sumInc, func(p *plan.Plan) {
			p.Upgrade.Hosts, p.Upgrade.Applications = []string{"m1m3-crio-vms"}, []string{"auxtel"}
		}},
	}
}

// protectedBreaches are about the CSCs that keep their states, and M2.
func protectedBreaches() []breach {
	return []breach{
		{"protected", "sent to OFFLINE", sumFull, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "offline/rest")
			a.CSCs = append(a.CSCs, "MTM1M3:0")
		}},
		{"protected", "not on the ignore list", sumFull, func(p *plan.Plan) {
			a := act[*plan.Script](p, "offline/shutdown")
			a.Config = strings.Replace(a.Config, "- MTM1M3TS\n", "", 1)
		}},
		{"protected", "its service is stopped", sumInc, add("services-down", ssh("x", "P17", plan.Stop, "m1m3-crio-ss", "admin", "ts-M1M3support"))},
		{"protected", "brought to another state", sumFull, func(p *plan.Plan) { act[*plan.SetState](p, "m1m3-crio-ss/back").State = plan.Enabled }},
		{"protected", "not looked at before", sumInc, drop("begin/kept")},
		{"protected", "left out of the look at the end", sumRec, func(p *plan.Plan) {
			a := act[*plan.AwaitState](p, "enable/seen")
			a.Want = slices.DeleteFunc(a.Want, func(w plan.Want) bool { return slices.Contains(w.CSCs, "MTM1M3:0") })
		}},
		{"protected", "its update and its way back unasked", sumFull, func(p *plan.Plan) {
			at(p, "m1m3-crio-ss/stop").Consent, at(p, "m1m3-crio-ss/update").Consent, at(p, "m1m3-crio-ss/back").Principals = "", "", nil
		}},
		{"protected", "left half done", sumRec, drop("m1m3-crio-ts/back")},
		{"m2-closed-loop", "nobody asks", sumInc, drop("begin/m2")},
		{"m2-closed-loop", "the principal is not asked", sumFull, func(p *plan.Plan) { at(p, "begin/m2").Consent, at(p, "begin/m2").Principals = "", nil }},
		{"m2-closed-loop", "something goes down before", sumFull, add("begin", ssh("x", "P17", plan.Stop, "azar03", "dco", "gc"))},
		{"m2-recovery", "MTM2 stays down", sumRec, drop("m2/enabled")},
		{"m2-recovery", "without the principal", sumRec, func(p *plan.Plan) { at(p, "m2/enabled").Principals = nil }},
		{"m2-recovery", "nobody asks about the VM", sumRec, drop("begin/vm")},
		{"m2-recovery", "closed loop and release at the same time", sumRec, func(p *plan.Plan) { at(p, "m2/vm").Needs = []string{"m2/seen"} }},
		{"m2-recovery", "released before it is confirmed", sumRec, func(p *plan.Plan) {
			a, b := at(p, "m2/closed-loop"), at(p, "m2/vm")
			a.Action, b.Action, a.Title, b.Title = b.Action, a.Action, b.Title, a.Title
		}},
		{"m2-recovery", "confirmed before it is seen", sumRec, func(p *plan.Plan) {
			at(p, "m2/closed-loop").Needs, at(p, "m2/seen").Needs = []string{"m2/enabled"}, []string{"m2/closed-loop"}
		}},
		{"m2-recovery", "a machine is rebooted before", sumRec, add("m2", step("x", "P47", time.Hour, &plan.Reboot{Host: "azar02", User: "own", Command: "reboot"}))},
	}
}
