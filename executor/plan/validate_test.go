package plan

import (
	"slices"
	"testing"
	"time"
)

func TestSampleIsValid(t *testing.T) {
	for _, p := range sample().Validate() {
		t.Errorf("%s", p)
	}
}

func TestValidate(t *testing.T) {
	action := func(d Parameters) func(*Plan) {
		return func(p *Plan) { p.Stages[0].Steps[0].Action = Action{d} }
	}
	for _, c := range []struct {
		name   string
		change func(*Plan)
		want   []string
	}{
		{"format", func(p *Plan) { p.Format = "x" }, []string{`the format is "x", not "csu-plan/2"`}},
		{"site", func(p *Plan) { p.Site = "The Summit" }, []string{`the site "The Summit" is not a name of small letters, digits and hyphens`}},
		{"type", func(p *Plan) { p.Type = "partial" }, []string{`unknown upgrade type "partial" (full, incremental or recovery)`}},
		{"date", func(p *Plan) { p.Upgrade.Date = "24.11.2026" }, []string{`the upgrade's date "24.11.2026" is not of the form 2026-11-24`}},
		{"a day that is none", func(p *Plan) { p.Upgrade.Date = "2026-02-30" }, []string{`the upgrade's date "2026-02-30" is not of the form 2026-11-24`}},
		{"attempt", func(p *Plan) { p.Upgrade.Attempt = 0 }, []string{"the upgrade's attempt is 0: it counts from 1"}},
		{"no stage", func(p *Plan) { p.Stages, p.Final, p.Doubts = nil, nil, nil }, []string{"the plan has no stages"}},
		{"no step", func(p *Plan) { p.Stages[0].Steps = nil }, []string{`stage "offline": it has no step`}},
		{"stage id", func(p *Plan) { p.Stages[0] = Stage{ID: "final", Title: "Final", Source: []string{"P1"}} }, []string{
			`stage "final": a stage's id is a word of small letters, digits and hyphens, and not "final"`, `stage "final": it has no step`}},

		{"a CSC without a name", func(p *Plan) { p.CSCs[1].CSC = "" }, []string{`csc "": this is not a SAL name with its index, such as "MTMount:0"`}},
		{"a CSC twice", func(p *Plan) { p.CSCs[1].CSC = "Watcher:0" }, []string{`csc "Watcher:0": it is in the table twice`}},
		{"a CSC on both", func(p *Plan) { p.CSCs[0].Host = "azar03" }, []string{`csc "Watcher:0": it must run either as a job or on a host`}},
		{"a CSC on neither", func(p *Plan) { p.CSCs[1].Host = "" }, []string{`csc "GenericCamera:101": it must run either as a job or on a host`}},
		{"a way to log in", func(p *Plan) { p.Hosts[0].Users[0].Via = "telnet" }, []string{`host "azar03": user "dco": unknown way "telnet" (login, sudo or own)`}},

		{"a role", func(p *Plan) { p.Hosts[0].Role = "crioo" }, []string{`host "azar03": unknown role "crioo" (camera, bare-metal, ess, crio or machine)`}},
		{"a telescope", func(p *Plan) { p.Facts.Telescopes[0].Name = "subaru" }, []string{`unknown telescope "subaru" (auxtel or maintel)`}},
		{"approvals of no role", func(p *Plan) { p.Facts.Approvals = &Approvals{} }, []string{"the approvals name no role"}},
		{"approvals of a role", func(p *Plan) { p.Facts.Approvals = &Approvals{Roles: []Need{{"a,b", 1}}} }, []string{`the approvals' role "a,b" is not a name of letters, digits, spaces, dots, hyphens and underscores`}},
		{"approvals of nobody", func(p *Plan) { p.Facts.Approvals = &Approvals{Roles: []Need{{"lead", 0}}} }, []string{`the approvals' role "lead" needs 0 people: at least 1`}},
		{"approvals twice", func(p *Plan) { p.Facts.Approvals = &Approvals{Roles: []Need{{"lead", 1}, {"lead", 1}}} }, []string{`the approvals' roles are not sorted, or name "lead" twice`}},
		{"a day of the week", func(p *Plan) { p.Facts.Begins.Never = []string{"Freitag"} }, []string{`unknown day of the week "Freitag"`}},
		{"a state that a CSC keeps", func(p *Plan) { p.CSCs[1].Keeps = "ON" }, []string{`csc "GenericCamera:101": unknown summary state "ON"`}},
		{"a state of a CSC", func(p *Plan) { p.CSCs[0].ComesUp = "STANBY" }, []string{`csc "Watcher:0": unknown summary state "STANBY" (did you mean "STANDBY"?)`}},

		{"a doubt without a text", func(p *Plan) { p.Doubts[0].Text = "" }, []string{"one of the doubts has no text"}},
		{"a doubt about the purpose of nothing", func(p *Plan) { p.Doubts[1].Host = "" }, []string{`the doubt "It may not be." names a service or a purpose without a host, or a state without CSCs`}},
		{"a doubt about no step", func(p *Plan) { p.Doubts[1].Step = "deploy/asks" }, []string{`the doubt "It may not be." is about "deploy/asks", which is no step`}},
		{"a doubt about a state", func(p *Plan) { p.Doubts[1].State = "OFLINE" }, []string{`the doubt "It may not be.": unknown summary state "OFLINE" (did you mean "OFFLINE"?)`}},
		{"a doubt about a purpose", func(p *Plan) { p.Doubts[1].Purpose = "stopp" }, []string{`the doubt "It may not be.": unknown purpose "stopp" (did you mean "stop"?)`}},
		{"a doubt about a number", func(p *Plan) { p.Doubts[1].Source = []string{"12"} }, []string{`one of the doubts: its source "12" is not a number of the procedure, such as "P14"`}},

		{"stage title", func(p *Plan) { p.Stages[0].Title = "" }, []string{`stage "offline": it has no title`}},
		{"title", func(p *Plan) { p.Stages[0].Steps[0].Title = "" }, []string{`step "offline/announce": it has no title`}},
		{"by hand", func(p *Plan) { p.Stages[0].Steps[0].ByHand = "" }, []string{`step "offline/announce": it does not say how it is done by hand`}},
		{"no time", func(p *Plan) { p.Stages[0].Steps[0].Timeout = 0 }, []string{`step "offline/announce": its time limit is 0s: it must be more than nothing and at most 24h`}},
		{"endless", func(p *Plan) { p.Stages[0].Steps[0].Timeout = Duration(25 * time.Hour) }, []string{`step "offline/announce": its time limit is 25h: it must be more than nothing and at most 24h`}},
		{"on failure", func(p *Plan) { p.Stages[0].Steps[0].OnFailure = "retry" }, []string{`step "offline/announce": unknown onFailure "retry" (ask or report)`}},
		{"no source", func(p *Plan) { p.Stages[0].Source = nil }, []string{`stage "offline": it does not say which numbers of the procedure it carries out`}},
		{"a source", func(p *Plan) { p.Stages[0].Steps[0].Source = []string{"p1", "P0", "P100"} }, []string{
			`step "offline/announce": its source "p1" is not a number of the procedure, such as "P14"`,
			`step "offline/announce": its source "P0" is not a number of the procedure, such as "P14"`,
			`step "offline/announce": its source "P100" is not a number of the procedure, such as "P14"`}},
		{"no action", func(p *Plan) { p.Stages[0].Steps[0].Action = Action{} }, []string{`step "offline/announce": it has no action`}},
		{"it undoes", func(p *Plan) { p.Stages[0].Steps[0].Undoes = "deploy/none" }, []string{`step "offline/announce": only final steps undo something`}},
		{"a final step with needs", func(p *Plan) { p.Final[0].Needs = []string{"deploy/none"} }, []string{`step "final/forward": a final step can't need another one: the final steps run in their order`}},
		{"a final step that undoes nothing", func(p *Plan) { p.Final[0].Undoes = "" }, []string{`step "final/forward": a final step must name the step that it undoes`}},
		{"a final step that undoes itself", func(p *Plan) { p.Final[0].Undoes = "final/forward" }, []string{`step "final/forward": it undoes "final/forward", which is no step of a stage`}},
		{"a step that needs itself", func(p *Plan) { p.Stages[0].Steps[0].Needs = []string{"offline/announce"} }, []string{
			`step "offline/announce": its needs form a circle: offline/announce needs offline/announce`}},
		{"a need of another stage", func(p *Plan) { p.Stages[1].Steps[0].Needs = []string{"offline/announce"} }, []string{
			`step "deploy/none": it needs "offline/announce", which is no step of its stage`}},

		{"manual", action(&Manual{}), []string{`step "offline/announce": action "manual": the field "text" is empty`}},
		{"announce", action(&Announce{Text: "x"}), []string{`step "offline/announce": action "announce": the field "channel" is empty`}},
		{"script", action(&Script{Queue: 4, Path: "x.py", Accept: []string{"DON"}}), []string{
			`step "offline/announce": action "script": there is no ScriptQueue:4 (1 MTQueue, 2 ATQueue, 3 OCSQueue)`,
			`step "offline/announce": action "script": unknown end "DON" (did you mean "DONE"?)`}},
		{"script without an end", action(&Script{Queue: 1, Path: "x.py"}), []string{`step "offline/announce": action "script": the list "accept" is empty`}},
		{"set-state", action(&SetState{Queue: 1, State: Fault, CSCs: []string{"Watcher:0"}, GroupSize: -1}), []string{
			`step "offline/announce": action "set-state": unknown summary state "FAULT"`,
			`step "offline/announce": action "set-state": the group size is -1`}},
		{"await-state", action(&AwaitState{Want: []Want{{States: []string{"STANBY"}}}}), []string{
			`step "offline/announce": action "await-state": the list "cscs" is empty`,
			`step "offline/announce": action "await-state": unknown summary state "STANBY" (did you mean "STANDBY"?)`}},
		{"await-state for nothing", action(&AwaitState{}), []string{`step "offline/announce": action "await-state": the list "want" is empty`}},
		{"ssh", action(&SSH{Host: "azar03", User: "dco", Purpose: "kill", Service: "gc"}), []string{
			`step "offline/announce": action "ssh": the list "commands" is empty`,
			`step "offline/announce": action "ssh": unknown purpose "kill"`}},
		{"a build that nothing began", action(&SSH{Host: "crio", User: "admin", Purpose: AwaitBuild, Service: "vms", Commands: []string{"make"}}), []string{
			`step "offline/announce": action "ssh": the field "build" names the step that began the build, for the purpose "await-build" alone`}},
		{"a stop that names a build", action(&SSH{Host: "crio", User: "admin", Purpose: Stop, Service: "vms", Commands: []string{"make"}, Build: "a/b"}), []string{
			`step "offline/announce": action "ssh": the field "build" names the step that began the build, for the purpose "await-build" alone`}},
		{"reboot", action(&Reboot{Host: "azar03", User: "dco"}), []string{`step "offline/announce": action "reboot": the field "command" is empty`}},
		{"delete without a selector", action(&Delete{Objects: Jobs, Namespace: "obssys"}), []string{`step "offline/announce": action "delete": the field "selector" is empty`}},
		{"delete everywhere", action(&Delete{Objects: Jobs, Selector: "csc"}), []string{`step "offline/announce": action "delete": jobs are deleted in a namespace, namespaces are not`}},
		{"delete pods", action(&Delete{Objects: "pods", Selector: "csc"}), []string{`step "offline/announce": action "delete": unknown objects "pods"`}},
		{"sync", action(&Sync{Application: "obssys", Resources: []Resource{{Kind: "Job"}}}), []string{
			`step "offline/announce": action "sync": the field "revision" is empty`,
			`step "offline/announce": action "sync": the field "name" is empty`}},
		{"compatibility", action(&Compatibility{Expect: "FORWARDS", Set: "OFF"}), []string{
			`step "offline/announce": action "compatibility": unknown level "FORWARDS" (did you mean "FORWARD"?)`,
			`step "offline/announce": action "compatibility": unknown level "OFF"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sample()
			c.change(p)
			var got []string
			for _, problem := range p.Validate() {
				got = append(got, problem.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

func TestValidCSC(t *testing.T) {
	for name, want := range map[string]bool{
		"MTMount:0": true, "ESS:105": true, "MTM1M3TS:0": true,
		"MTMount": false, "MTMount:": false, "MTMount:01": false, "mtmount:0": false, "MT Mount:0": false, ":0": false, "ESS:-1": false, "ESS:1:2": false,
	} {
		if got := ValidCSC(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "1s": time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "26h0m1s": -1, "26h1s": 26*time.Hour + time.Second,
		"60s": -1, "1h60m": -1, "": -1, "1": -1, "1.5s": -1, "-1s": -1, "1m1ms": -1, "9999999999h": -1, "5M": -1,
	} {
		var d Duration
		err := d.UnmarshalJSON([]byte(`"` + text + `"`))
		switch {
		case want < 0 && err == nil:
			t.Errorf("%q is accepted as %s", text, d)
		case want >= 0 && (err != nil || time.Duration(d) != want || d.String() != text):
			t.Errorf("%q: got %s, %v", text, d, err)
		}
	}
}
