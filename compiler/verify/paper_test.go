package verify

import (
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// paperBreaches are about consents, doubts, names, sources and limits.
func paperBreaches() []breach {
	return []breach{
		{"consent", "a stage without one", sumInc, func(p *plan.Plan) { p.Stages[1].Consent = "" }},
		{"consent", "an empty doubt", sumInc, func(p *plan.Plan) { p.Stages[1].Doubts = []string{""} }},
		{"consent", "principals and nobody who is asked", sumInc, func(p *plan.Plan) { at(p, "begin/m2").Consent = "" }},
		{"principals", "the camera team is not asked", sumInc, func(p *plan.Plan) {
			for i := range p.Stages {
				if p.Stages[i].ID == "cameras-down" {
					p.Stages[i].Principals = nil
				}
			}
		}},
		{"known-names", "a host", sumInc, func(p *plan.Plan) { act[*plan.SSH](p, "services-up/azar03").Host = "azar3" }},
		{"known-names", "an account", sumInc, func(p *plan.Plan) { act[*plan.SSH](p, "services-up/azar03").User = "root" }},
		{"known-names", "a CSC", sumInc, func(p *plan.Plan) { act[*plan.SetState](p, "offline/cscs").CSCs[0] = "MTMont:0" }},
		{"known-names", "a CSC that speaks no SAL, and one twice", sumInc, func(p *plan.Plan) {
			act[*plan.SetState](p, "offline/cscs").CSCs = []string{"love-commander", "ESS:105", "ESS:105"}
		}},
		{"known-names", "an application", sumInc, func(p *plan.Plan) { act[*plan.Sync](p, "deploy/envsys").Application = "envsy" }},
		{"known-names", "a branch", sumInc, func(p *plan.Plan) { act[*plan.Sync](p, "deploy/envsys").Revision = "HEAD" }},
		{"known-names", "a namespace", sumInc, func(p *plan.Plan) { act[*plan.Delete](p, "jobs/ess").Namespace = "default" }},
		{"known-names", "a channel", sumInc, func(p *plan.Plan) { act[*plan.Announce](p, "begin/announce").Channel = "#general" }},
		{"known-names", "a principal", sumInc, func(p *plan.Plan) { at(p, "begin/m2").Principals = []string{"M3 principal"} }},
		{"known-names", "a changed CSC", sumInc, func(p *plan.Plan) { p.Upgrade.Changed[0].CSC = "MTMount:1" }},
		{"known-names", "an idle host", sumFull, func(p *plan.Plan) {
			p.Hosts = append(p.Hosts, plan.Host{Name: "tel-hw1", Address: "tel-hw1.example.org", Users: []plan.User{{Name: "dco", Via: "sudo"}}})
		}},
		{"targets", "no context, no lag, plain http, no channel", sumInc, func(p *plan.Plan) {
			p.Targets.Kubernetes.Context, p.Targets.EFD.Lag, p.Targets.LOVE.URL, p.Targets.Slack.Channel = "", 0, "http://love", "general"
		}},
		{"sources", "an instruction without its step", sumFull, func(p *plan.Plan) {
			at(p, "jobs/nublado").Source = []string{"P18"}
		}},
		{"sources", "a number that is none", sumInc, func(p *plan.Plan) { at(p, "begin/m2").Source = []string{"P4", "P56"} }},
		{"time-limits", "too short for a sync", sumInc, func(p *plan.Plan) { at(p, "deploy/envsys").Timeout = plan.Duration(time.Minute) }},
		{"time-limits", "too short for the SAL generation", sumFull, func(p *plan.Plan) { at(p, "crios/built").Timeout = plan.Duration(30 * time.Minute) }},
		{"time-limits", "nearly endless", sumInc, func(p *plan.Plan) { at(p, "watch/up").Timeout = plan.Duration(24 * time.Hour) }},
		{"doubts", "a stage does not ask", sumFull, func(p *plan.Plan) { p.Stages[0].Doubts = nil }},
		{"doubts", "a stage asks about another CSC", sumFull, func(p *plan.Plan) { p.Stages[0].Doubts[1] = "MTM1M3TS stays ENABLED: Does that still hold?" }},
		{"doubts", "a step does not ask", sumFull, func(p *plan.Plan) { at(p, "services-down/azar03").Doubt = "Is it in use?" }},
		{"doubts", "a step asks too late", sumFull, func(p *plan.Plan) {
			at(p, "services-down/azar03").Doubt = "Is it this script?"
			at(p, "services-up/azar03").Doubt = "Is it in use?"
		}},
		{"doubts", "nobody is asked", sumFull, drop("hosts/dimm")},
		{"doubts", "other words", sumFull, func(p *plan.Plan) {
			p.Stages[0].Doubts[0] = "Is that the cluster?"
			at(p, "services-up/azar03").Doubt = "What is this?"
		}},
		{"one-stage", "a look in another stage", sumRec, func(p *plan.Plan) {
			s := *at(p, "m1m3-crio-vms/up")
			s.Needs = nil
			drop("m1m3-crio-vms/up")(p)
			s.ID = "up"
			add("restart", s)(p)
		}},
		{"one-stage", "a test in two", btsRec, func(p *plan.Plan) {
			s := *at(p, "testing-p51/script-1")
			s.Needs = nil
			drop("testing-p51/script-1")(p)
			s.ID = "first"
			add("testing-p50", s)(p)
		}},
		{"failure-asked", "a sync", sumInc, func(p *plan.Plan) { at(p, "deploy/envsys").OnFailure = plan.Report }},
		{"failure-asked", "a hand-over", sumInc, func(p *plan.Plan) { at(p, "cameras-down/stage-1").OnFailure = plan.Report }},
		{"failure-asked", "a CSC that stays up", sumInc, func(p *plan.Plan) { at(p, "offline/cscs").OnFailure = plan.Report }},
		{"failure-asked", "the way back of a CSC that keeps its state", sumFull, func(p *plan.Plan) { at(p, "m1m3-crio-ts/back").OnFailure = plan.Report }},
		{"failure-asked", "a look that nothing follows", sumInc, func(p *plan.Plan) { at(p, "enable/seen").OnFailure = plan.Report }},
	}
}
