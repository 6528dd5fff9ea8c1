package verify

import (
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// clusterBreaches are about Jobs, images and syncs.
func clusterBreaches() []breach {
	return []breach{
		{"selector-width", "too wide", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/ess").Selector = "csc-class=ess" }},
		{"selector-width", "too narrow", sumInc, func(p *plan.Plan) {
			act[*plan.Delete](p, "jobs/mtmount").Selector = "csc-class=mtmount,csc-name=ess105"
		}},
		{"selector-width", "an inequality", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/mtmount").Selector = "csc-class=mtmount,csc-class!=ess" }},
		{"selector-width", "a set", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/mtmount").Selector = "csc-class in (mtmount)" }},
		{"selector-width", "the absence of a label", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/mtmount").Selector = "csc-class=mtmount,!ess" }},
		{"selector-width", "no value in an incremental upgrade", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/mtmount").Selector = "csc" }},
		{"selector-width", "another namespace", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/ess").Namespace = "obssys" }},
		{"selector-width", "an unknown label", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/ess").Selector = "app=ess" }},
		{"selector-width", "no selector that can be read", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/ess").Selector = "csc-class in ess" }},
		{"selector-width", "whatever is in a namespace of others", sumFull, func(p *plan.Plan) { act[*plan.Delete](p, "deploy/commander").Selector = "csc" }},
		{"selector-width", "other namespaces", sumFull, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/nublado").Selector = "argocd.argoproj.io/instance" }},
		{"nublado-consent", "unasked", sumFull, func(p *plan.Plan) { at(p, "jobs/nublado").Consent = "" }},
		{"nublado-consent", "in an incremental upgrade", sumInc, add("jobs", step("x", "P19", time.Hour, &plan.Delete{Objects: plan.Namespaces, Selector: nubladoSelector}, consented()))},
		{"jobs-replaced", "synced before it is deleted", sumRec, unneed("deploy/love")},
		{"jobs-replaced", "not brought back", sumInc, func(p *plan.Plan) { act[*plan.Sync](p, "deploy/envsys").CSCs = nil }},
		{"jobs-replaced", "not deleted", sumFull, drop("jobs/auxtel")},
		{"jobs-replaced", "deleted twice", sumInc, add("jobs", deleteJobs("x", "P21", "envsys", "csc=ess105", []string{"ESS:105"}))},
		{"jobs-replaced", "love-commander before the small application", sumFull, func(p *plan.Plan) {
			at(p, "deploy/commander").Needs = nil
			at(p, "deploy/love").Needs = []string{"deploy/small", "deploy/commander"}
		}},
		{"jobs-replaced", "love-commander too early", sumFull, add("jobs", deleteJobs("x", "P18", love, "csc", []string{"love-commander"}))},
		{"images", "another revision", sumInc, func(p *plan.Plan) { csc(p, "MTMount:0").Image = "ts-dockerhub.lsst.org/mtmount:c0045.008" }},
		{"images", "the old cycle", sumFull, func(p *plan.Plan) { csc(p, "ATAOS:0").Image = "ts-dockerhub.lsst.org/ataos:c0044" }},
		{"images", "another registry", sumInc, func(p *plan.Plan) { csc(p, "ATAOS:0").Image = "docker.io/ataos:c0045" }},
		{"images", "another repository than the rest of its class", sumInc, func(p *plan.Plan) { csc(p, "ESS:104").Image = "ts-dockerhub.lsst.org/essx:c0045" }},
		{"images", "what runs before is what runs after", sumInc, func(p *plan.Plan) { csc(p, "ATAOS:0").Before = csc(p, "ATAOS:0").Image }},
		{"images", "a CSC changes that the request does not name", sumInc, func(p *plan.Plan) { csc(p, "ATAOS:0").Before = "ts-dockerhub.lsst.org/ataos:c0045.001" }},
		{"images", "a rollback that the request does not call so", sumInc, func(p *plan.Plan) { csc(p, "MTMount:0").Before = "ts-dockerhub.lsst.org/mtmount:c0045.008" }},
		{"images", "a rollback to a higher revision", sumInc, func(p *plan.Plan) { p.Upgrade.Changed[0].Why = plan.Rollback }},
		{"images", "a configuration with another image", sumInc, func(p *plan.Plan) { p.Upgrade.Changed[0].Why = plan.Configuration }},
		{"images", "a revision that is not lost", sumInc, func(p *plan.Plan) { p.Upgrade.Changed[0].Why = plan.Unpinned }},
		{"images", "removed, and still there", sumInc, func(p *plan.Plan) { p.Upgrade.Removed = []string{"ATAOS:0"} }},
		{"images", "added, and there before", sumInc, func(p *plan.Plan) {
			p.Upgrade.Added = []string{"ATAOS:0"}
			csc(p, "ATAOS:0").Before = "ts-dockerhub.lsst.org/ataos:c0045.001"
		}},
		{"images", "from another cycle", sumFull, func(p *plan.Plan) { p.Upgrade.From = "c0043" }},
		{"jobs-replaced", "removed, and brought back", sumInc, func(p *plan.Plan) { p.Upgrade.Removed = []string{"MTMount:0"} }},
		{"jobs-replaced", "added, and not brought", sumInc, func(p *plan.Plan) { p.Upgrade.Added = []string{"ATAOS:0"} }},
		{"only-concerned", "the ScriptQueues stay up", sumInc, func(p *plan.Plan) { p.Upgrade.QueuesStay = true }},
		{"only-concerned", "removed, and left up", sumInc, func(p *plan.Plan) { p.Upgrade.Removed = []string{"ATAOS:0"} }},
		{"consent-names", "a rollback that it does not name", sumFull, func(p *plan.Plan) { p.Upgrade.From = "c0046" }},
		{"consent-names", "what runs before and after", sumInc, func(p *plan.Plan) {
			p.Stages[0].Consent = strings.ReplaceAll(p.Stages[0].Consent, "c0045.007", "c0045.006")
		}},
		{"known-names", "added and removed CSCs of no table", sumInc, func(p *plan.Plan) { p.Upgrade.Added, p.Upgrade.Removed = []string{"ESS:1"}, []string{"ESS:2"} }},
		{"images", "no tag", sumInc, func(p *plan.Plan) { csc(p, "ATAOS:0").Image = "ataos" }},
		{"sync-width", "a Job of another CSC", sumInc, func(p *plan.Plan) { act[*plan.Sync](p, "deploy/envsys").Resources[0].Name = "ess104" }},
		{"sync-width", "the whole application", sumInc, func(p *plan.Plan) { act[*plan.Sync](p, "deploy/envsys").Resources = nil }},
		{"sync-width", "what the pods share is forgotten", sumInc, func(p *plan.Plan) {
			a := act[*plan.Sync](p, "deploy/envsys")
			a.Resources = a.Resources[:len(a.Resources)-1]
		}},
		{"sync-width", "a claim is forgotten", sumInc, func(p *plan.Plan) {
			csc(p, "ESS:105").Job.Resources = []plan.Resource{{Kind: "PersistentVolumeClaim", Namespace: "envsys", Name: "ess105-data-pvc"}}
		}},
		{"sync-width", "a resource twice", sumInc, func(p *plan.Plan) {
			a := act[*plan.Sync](p, "deploy/envsys")
			a.Resources = append(a.Resources, a.Resources[0])
		}},
		{"sync-width", "another kind of object", sumInc, func(p *plan.Plan) { act[*plan.Sync](p, "deploy/envsys").Resources[1].Kind = "Secret" }},
		{"sync-width", "a CSC of another application", sumFull, func(p *plan.Plan) { act[*plan.Sync](p, "deploy/envsys").CSCs[0] = "ATAOS:0" }},
	}
}

// hostBreaches are about services, builds and reboots on hosts, and the schema registry.
func hostBreaches() []breach {
	return []breach{
		{"stopped-is-started", "never", sumInc, drop("services-up/azar03")},
		{"stopped-is-started", "twice", sumInc, add("services-up", ssh("x", "P36", plan.Start, "azar03", "dco", "gc"))},
		{"stopped-is-started", "a person, who is not told where", sumInc, func(p *plan.Plan) { act[*plan.Manual](p, "cameras-up/bridge").Text = "The camera team starts it." }},
		{"update-while-stopped", "while it runs", sumFull, unneed("hosts/ess-update")},
		{"update-while-stopped", "never stopped", sumFull, drop("hosts/ess-stop")},
		{"update-while-stopped", "never updated", sumFull, drop("hosts/ess-update")},
		{"update-while-stopped", "its checkout stays", sumFull, drop("configuration/azar03")},
		{"crios-updated", "one is forgotten", sumFull, drop("crios/vms")},
		{"crios-updated", "done already", sumFull, func(p *plan.Plan) { p.Upgrade.CriosDone = true }},
		{"builds", "nothing waits for it", sumFull, drop("crios/built")},
		{"builds", "two wait for it", sumFull, func(p *plan.Plan) { act[*plan.SSH](p, "crios/built").Build = "builds/m1m3-crio-ss" }},
		{"builds", "it waits for none", sumFull, func(p *plan.Plan) { act[*plan.SSH](p, "crios/built").Build = "schema/none" }},
		{"builds", "another build in its place", sumFull, func(p *plan.Plan) {
			act[*plan.SSH](p, "crios/built").Commands = []string{"make", "salgeneratorKafka generate cpp MTMount"}
		}},
		{"builds", "stopped before it is done", sumFull, unneed("m1m3-crio-ss/stop")},
		{"builds", "copied before it is done", sumFull, unneed("crios/vms")},
		{"builds", "while the service is down", sumFull, func(p *plan.Plan) { act[*plan.SSH](p, "m1m3-crio-ss/update").Commands = []string{"cd ~/x && make"} }},
		{"builds", "the request wants it first", sumFull, func(p *plan.Plan) { p.Upgrade.CriosFirst = true }},
		{"builds", "waited for where it begins", sumFull, func(p *plan.Plan) {
			s := *at(p, "crios/built")
			drop("crios/built")(p)
			s.Needs = []string{"builds/m1m3-crio-vms"}
			add("builds", s)(p)
		}},
		{"builds", "what nothing has built is copied", sumFull, func(p *plan.Plan) {
			drop("crios/built")(p)
			drop("builds/m1m3-crio-vms")(p)
		}},
		{"builds", "what is built is not copied", sumFull, drop("crios/vms")},
		{"builds", "unasked", sumFull, func(p *plan.Plan) { at(p, "builds/m1m3-crio-vms").Consent = "" }},
		{"protected", "built without its principal", sumFull, func(p *plan.Plan) { at(p, "builds/m1m3-crio-ss").Principals = nil }},
		{"silent-before-start", "a second daemon", sumRec, func(p *plan.Plan) { act[*plan.SSH](p, "m1m3-crio-ss/start").Silent = nil }},
		{"silent-before-start", "unasked", sumRec, func(p *plan.Plan) { at(p, "m1m3-crio-vms/start").Consent = "" }},
		{"silent-before-start", "one is not started", sumRec, drop("m1m3-crio-vms/start")},
		{"reboot-consent", "unasked", sumRec, func(p *plan.Plan) { at(p, "reboot/azar02").Consent = "" }},
		{"reboot-consent", "in an upgrade", sumInc, add("end", step("x", "P47", time.Hour, &plan.Reboot{Host: "azar03", User: "dco", Command: "reboot"}, consented()))},
		{"careful-update", "unasked", sumFull, func(p *plan.Plan) { at(p, "builds/m1m3-crio-vms").Consent = "" }},
		{"registry-back", "never", sumFull, func(p *plan.Plan) { p.Final = nil }},
		{"registry-back", "another level", sumFull, func(p *plan.Plan) { act[*plan.Compatibility](p, "schema/none").Set = "BACKWARD" }},
		{"registry-back", "unasked", sumFull, func(p *plan.Plan) { p.Upgrade.BreaksSchema = false }},
		{"registry-back", "forgotten", sumFull, drop("schema/none")},
		{"registry-back", "in an incremental upgrade", sumInc, func(p *plan.Plan) { p.Upgrade.BreaksSchema = true }},
		{"final-undoes", "something else", sumFull, func(p *plan.Plan) {
			p.Final[0].Action.Parameters = &plan.Announce{Channel: "#site-announce", Text: "over"}
		}},
		{"final-undoes", "to another level", sumFull, func(p *plan.Plan) { act[*plan.Compatibility](p, "final/forward").Set = "FULL" }},
	}
}

// systemBreaches are about scripts, their queues, and tests.
func systemBreaches() []breach {
	return []breach{
		{"system-down", "a script while its queue is down", sumInc, add("jobs", setState("x", "P14", plan.Offline, 0, []string{"ESS:104"}))},
		{"system-down", "a script while LOVE is synced", sumRec, add("deploy", setState("x", "P41", plan.Enabled, 0, []string{"ESS:104"}))},
		{"system-down", "a look while sasquatch is synced", sumFull, func(p *plan.Plan) {
			add("platform", step("x", "P37", time.Hour, &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Standby}, CSCs: []string{"ATAOS:0"}}}}))(p)
		}},
		{"system-down", "the queue is not seen back", sumInc, func(p *plan.Plan) {
			a := act[*plan.AwaitState](p, "watch/up")
			a.Want = slices.DeleteFunc(a.Want, func(w plan.Want) bool { return slices.Contains(w.CSCs, "ScriptQueue:1") })
		}},
		{"one-queue", "another one", sumInc, func(p *plan.Plan) { act[*plan.SetState](p, "offline/cscs").Queue = 2 }},
		{"one-queue", "one that is not there", sumInc, func(p *plan.Plan) { p.Upgrade.Queue = 4 }},
		{"alarms", "muted while the Watcher is down", sumInc, func(p *plan.Plan) { act[*plan.SetState](p, "offline/queues").MuteAlarms = true }},
		{"minimal-testing", "a telescope is not tested", btsRec, func(p *plan.Plan) {
			p.Stages = slices.DeleteFunc(p.Stages, func(s plan.Stage) bool { return s.ID == "testing-p51" })
		}},
		{"minimal-testing", "another telescope's queue", btsRec, func(p *plan.Plan) { act[*plan.Script](p, "testing-p51/script-1").Queue = 2 }},
		{"minimal-testing", "two scripts at a time", btsInc, unneed("testing-p50/script-3")},
		{"minimal-testing", "another order", btsInc, func(p *plan.Plan) {
			a, b := at(p, "testing-p50/script-1"), at(p, "testing-p50/script-6")
			a.Action, b.Action = b.Action, a.Action
		}},
		{"minimal-testing", "a CSC is not cycled, and nobody looks", btsInc, func(p *plan.Plan) {
			act[*plan.SetState](p, "testing/standby").CSCs = []string{"ESS:105"}
			drop("testing/populated")(p)
		}},
		{"minimal-testing", "at the summit", sumInc, add("end", step("x", "P50", time.Hour, &plan.Script{Queue: 2, Path: "auxtel/enable_atcs.py", Standard: true, Accept: []string{"DONE"}}))},
		{"tracking-only", "an image", ttsRec, func(p *plan.Plan) { act[*plan.Script](p, "testing-p50/script-3").Path = "auxtel/take_image_latiss.py" }},
		{"enabled-after-maintenance", "one is forgotten", ttsRec, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "enable-all/all")
			a.CSCs = a.CSCs[1:]
		}},
		{"enabled-after-maintenance", "although testing follows", ttsRec, func(p *plan.Plan) { p.Upgrade.IntegrationTestingFollows = true }},
		{"known-script", "states by a script", sumInc, add("offline", step("x", "P14", time.Hour, &plan.Script{Queue: 1, Path: setStateScript, Standard: true, Accept: []string{"DONE"}}))},
		{"known-script", "a key twice", btsInc, func(p *plan.Plan) { act[*plan.Script](p, "testing-p50/script-1").Config = "test: 1\ntest: 2\n" }},
		{"known-script", "an end that is none", btsInc, func(p *plan.Plan) { act[*plan.Script](p, "testing-p50/script-1").Accept = []string{"DONE", "FAILED"} }},
	}
}

// stateBreaches are about the states in which CSCs come up and end.
func stateBreaches() []breach {
	return []breach{
		{"seen-back", "never seen", sumInc, func(p *plan.Plan) {
			for _, id := range []string{"enable/seen", "watch/up"} {
				a := act[*plan.AwaitState](p, id)
				a.Want = slices.DeleteFunc(a.Want, func(w plan.Want) bool { return slices.Contains(w.CSCs, "MTMount:0") })
			}
		}},
		{"seen-back", "never brought there", sumInc, drop("enable/watcher")},
		{"seen-back", "in FAULT will do", sumInc, func(p *plan.Plan) {
			for _, id := range []string{"enable/seen", "watch/up"} {
				for i := range act[*plan.AwaitState](p, id).Want {
					w := &act[*plan.AwaitState](p, id).Want[i]
					w.States = append(w.States, plan.Fault)
				}
			}
		}},
		{"looks-in-order", "looked at too early", sumInc, unneed("enable/seen")},
		{"looks-complete", "one is not watched", sumInc, func(p *plan.Plan) {
			a := act[*plan.AwaitState](p, "watch/up")
			a.Want = slices.DeleteFunc(a.Want, func(w plan.Want) bool { return slices.Contains(w.CSCs, "MTMount:0") })
		}},
		{"looks-complete", "one is left out at the end", sumInc, func(p *plan.Plan) {
			a := act[*plan.AwaitState](p, "enable/seen")
			a.Want = slices.DeleteFunc(a.Want, func(w plan.Want) bool { return slices.Contains(w.CSCs, "MTMount:0") })
		}},
		{"looks-complete", "no look at all of them", ttsFull, func(p *plan.Plan) {
			a := act[*plan.AwaitState](p, "enable/seen")
			a.Want = slices.DeleteFunc(a.Want, func(w plan.Want) bool { return slices.Contains(w.CSCs, "ATCamera:0") })
		}},
		{"enabled-list", "the Watcher is left to others", ttsRec, drop("enable/watcher")},
		{"enabled-list", "an ESS is forgotten", sumFull, func(p *plan.Plan) { act[*plan.SetState](p, "enable/ess").CSCs = []string{"ESS:104"} }},
		{"awaited-states", "another state than it was brought to", ttsRec, func(p *plan.Plan) {
			a := act[*plan.SetState](p, "enable/ess")
			a.CSCs = append(a.CSCs, "ATAOS:0")
		}},
		{"awaited-states", "a state that nothing has brought it to", ttsRec, func(p *plan.Plan) {
			for i := range act[*plan.AwaitState](p, "enable/seen").Want {
				if w := &act[*plan.AwaitState](p, "enable/seen").Want[i]; w.CSCs[0] == "ATAOS:0" {
					w.States = []string{plan.Enabled}
				}
			}
		}},
		{"awaited-states", "OFFLINE after the sync", sumInc, func(p *plan.Plan) { act[*plan.AwaitState](p, "watch/up").Want[0].States = []string{plan.Offline} }},
		{"awaited-states", "another state than it comes up in", sumInc, func(p *plan.Plan) { act[*plan.AwaitState](p, "watch/up").Want[0].States = []string{plan.Enabled} }},
		{"awaited-states", "another state than it ends in", sumInc, func(p *plan.Plan) {
			act[*plan.AwaitState](p, "enable/seen").Want[0].States = []string{plan.Standby, plan.Enabled}
		}},
		{"awaited-states", "two states", sumInc, func(p *plan.Plan) {
			act[*plan.AwaitState](p, "watch/up").Want[1].States = []string{plan.Standby, plan.Enabled}
		}},
		{"awaited-states", "a state of neither kind", sumInc, func(p *plan.Plan) { act[*plan.AwaitState](p, "begin/kept").Want[0].States = []string{plan.Fault} }},
		{"watcher-enabled", "left in STANDBY", sumInc, func(p *plan.Plan) { csc(p, watcher).Expect = plan.Standby }},
		{"enabled-in-groups", "all in one script", sumFull, func(p *plan.Plan) { act[*plan.SetState](p, "enable/ess").GroupSize = 0 }},
		{"enabled-in-groups", "six in one script", ttsRec, func(p *plan.Plan) { act[*plan.SetState](p, "enable-all/all").GroupSize = 6 }},
		{"enabled-in-groups", "those that are left in pairs", sumFull, func(p *plan.Plan) { act[*plan.SetState](p, "offline/rest").GroupSize = 2 }},
		{"enabled-in-groups", "the Watcher with the others", sumFull, unneed("enable/watcher")},
		{"enabled-if-necessary", "unasked", ttsFull, func(p *plan.Plan) { at(p, "enable/ess").Consent = "" }},
		{"up-before-command", "commanded before it is up", sumFull, func(p *plan.Plan) {
			a := act[*plan.AwaitState](p, "watch/up")
			a.Want = slices.DeleteFunc(a.Want, func(w plan.Want) bool { return slices.Contains(w.CSCs, "ESS:104") })
		}},
	}
}
