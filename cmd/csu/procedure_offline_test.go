package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lsst-ts/csu/executor/plan"
)

// The checks of the rows P1 to P21. Those of P22 to P36 are in
// procedure_deploy_test.go, the others in procedure_after_test.go.

// stepAs returns a step and what it does.
func stepAs[A plan.Parameters](t *testing.T, p *plan.Plan, id string) (*plan.Step, A) {
	t.Helper()
	s, ok := p.Step(id)
	if !ok {
		t.Fatalf("%s %s has no step %s", p.Site, p.Type, id)
	}
	a, ok := s.Action.Parameters.(A)
	if !ok {
		t.Fatalf("%s %s: step %s is of kind %s", p.Site, p.Type, id, s.Action.Kind())
	}
	return s, a
}

// equal reports where something is not what it should be.
func equal(t *testing.T, u *upgrade, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s: %s:\n  is        %s\n  should be %s", u.name, what, g, w)
	}
}

// says reports words that a text lacks.
func says(t *testing.T, u *upgrade, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %s lacks %q:\n%s", u.name, what, w, text)
		}
	}
}

// inOrder reports stages that are not in this order, of those that the plan has.
func inOrder(t *testing.T, u *upgrade, p *plan.Plan, stages ...string) {
	t.Helper()
	at := -1
	for _, id := range stages {
		i := slices.IndexFunc(p.Stages, func(s plan.Stage) bool { return s.ID == id })
		if i >= 0 && i <= at {
			t.Errorf("%s: stage %s comes too early; the order is %q", u.name, id, stages)
		}
		at = max(at, i)
	}
}

// chained reports steps of which one does not need the one before it.
func chained(t *testing.T, u *upgrade, p *plan.Plan, steps ...string) {
	t.Helper()
	for i, id := range steps[1:] {
		if s, _ := stepAs[plan.Parameters](t, p, id); !slices.Contains(s.Needs, steps[i]) {
			t.Errorf("%s: %s needs %q, and should need %s", u.name, id, s.Needs, steps[i])
		}
	}
}

func everyStageAsks(t *testing.T, u *upgrade, p *plan.Plan) {
	for i := range p.Stages {
		if p.Stages[i].Consent == "" {
			t.Errorf("%s: stage %s asks for no consent", u.name, p.Stages[i].ID)
		}
	}
}

// principals are those of the rows P3 names, by stage or step.
var principals = map[string]string{
	"begin/m2-closed-loop": "M2 principal", "begin/m2-vm": "M2 principal",
	"m2/enabled": "M2 principal", "m2/closed-loop": "M2 principal", "m2/vm": "M2 principal",
	"reboot/azar02": "IT", "cameras-down": "camera team", "hosts": "ESS principal",
}

func principalsAreNamed(t *testing.T, u *upgrade, p *plan.Plan) {
	for _, id := range citing(p, "P3") {
		stage, isStage := strings.CutSuffix(id, "/")
		var named []string
		if isStage {
			i := slices.IndexFunc(p.Stages, func(s plan.Stage) bool { return s.ID == stage })
			named = p.Stages[i].Principals
		} else {
			s, _ := stepAs[plan.Parameters](t, p, id)
			if named = s.Principals; s.Consent == "" {
				t.Errorf("%s: %s has no consent in which a principal's agreement is confirmed", u.name, id)
			}
		}
		want, single := principals[stage]
		if !single && !isStage && strings.HasPrefix(id, "hosts/") || strings.HasPrefix(id, "builds/") || strings.HasPrefix(id, "crios/") {
			want, single = "M1M3 principal", true
		}
		if single {
			equal(t, u, "who must agree to "+id, named, []string{want})
		} else if len(named) == 0 {
			t.Errorf("%s: %s names no principal", u.name, id)
		}
	}
	if u.is("summit/full*") {
		equal(t, u, "who must agree to offline", p.Stages[1].Principals, []string{"M2 principal", "M1M3 principal", "camera team", "calibration systems"})
	}
}

func m2BeforeAll(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Manual](t, p, "begin/m2-closed-loop")
	says(t, u, s.ID, a.Text, "closed-loop control", "EUI", "#summit-simonyitel")
	if p.Stages[0].ID != "begin" {
		t.Errorf("%s: it begins with %s", u.name, p.Stages[0].ID)
	}
	if u.is("summit/recovery") {
		says(t, u, s.ID, a.Text, "before IT started")
	}
}

func m2BeforeTheVM(t *testing.T, u *upgrade, p *plan.Plan) {
	vm, asked := stepAs[*plan.Manual](t, p, "begin/m2-vm")
	says(t, u, vm.ID, asked.Text, "Hexrot VM", "they have rebooted it already", "the M2 principal decides")
	s, a := stepAs[*plan.SetState](t, p, "m2/enabled")
	equal(t, u, "what goes to ENABLED", a.CSCs, []string{"MTM2:0"})
	equal(t, u, "the state of "+s.ID, a.State, plan.Enabled)
	if s.Consent == "" {
		t.Errorf("%s: %s has no consent of its own", u.name, s.ID)
	}
	chained(t, u, p, "m2/enabled", "m2/seen", "m2/closed-loop", "m2/vm")
	inOrder(t, u, p, "deploy", "watch", "m2", "reboot")
	row, _ := p.CSC("MTM2:0")
	equal(t, u, "MTM2 at the end", row.Expect, plan.Enabled)
}

func protectedAreKept(t *testing.T, u *upgrade, p *plan.Plan) {
	kept := map[string]string{"MTM1M3:0": plan.Disabled, "MTM1M3TS:0": plan.Enabled}
	for csc, state := range kept {
		row, ok := p.CSC(csc)
		if !ok || row.Expect != state {
			t.Errorf("%s: %s is not expected to be %s", u.name, csc, state)
		}
	}
	for s := range p.AllSteps() {
		switch a := s.Action.Parameters.(type) {
		case *plan.SetState:
			for csc, state := range kept {
				if slices.Contains(a.CSCs, csc) && a.State != state {
					t.Errorf("%s: %s sends %s to %s", u.name, s.ID, csc, a.State)
				}
			}
		case *plan.SSH:
			protected := a.Host == "m1m3-crio-ss" || a.Host == "m1m3-crio-ts"
			if protected && a.Purpose != plan.Build && !strings.HasPrefix(s.ID, "crios/") {
				t.Errorf("%s: %s touches %s", u.name, s.ID, a.Host)
			}
		}
	}
	if p.Type != plan.Recovery {
		_, before := stepAs[*plan.AwaitState](t, p, "begin/kept")
		equal(t, u, "what is looked at before", before.Want, []plan.Want{{States: []string{plan.Enabled}, CSCs: []string{"MTM1M3TS:0"}}, {States: []string{plan.Disabled}, CSCs: []string{"MTM1M3:0"}}})
	}
	// Seen afterwards: by a look of their own unit, or with all others.
	for csc, own := range map[string]string{"MTM1M3:0": "mtm1m3-0-seen", "MTM1M3TS:0": "mtm1m3ts-0-seen"} {
		seen := slices.ContainsFunc([]string{"crios/" + own, "enable/seen"}, func(id string) bool {
			s, ok := p.Step(id)
			if !ok {
				return false
			}
			a, ok := s.Action.Parameters.(*plan.AwaitState)
			return ok && slices.ContainsFunc(a.Want, func(w plan.Want) bool {
				return slices.Equal(w.States, []string{kept[csc]}) && slices.Contains(w.CSCs, csc)
			})
		})
		if !seen {
			t.Errorf("%s: nobody looks at %s afterwards", u.name, csc)
		}
	}
	for _, id := range []string{"crios/m1m3-crio-ss", "crios/m1m3-crio-ts"} {
		if _, ok := p.Step(id + "-stop"); ok {
			chained(t, u, p, id+"-built", id+"-stop", id+"-update", id+"-start")
			inOrder(t, u, p, "builds", "watch", "crios", "enable", "end")
		}
	}
	// The contradiction of the sources is told.
	says(t, u, "what is in doubt at the beginning", strings.Join(p.Stages[0].Doubts, "\n"), "MTM1M3TS", "MTM1M3 ", "the site's page stops both cRIO services")
}

func shutdownIsConfigured(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Script](t, p, "offline/shutdown")
	var config struct {
		User      string   `json:"user"`
		Reason    string   `json:"reason"`
		StartWith []string `json:"start_with"`
		Ignore    []string `json:"ignore"`
	}
	if err := yaml.UnmarshalStrict([]byte(a.Config), &config); err != nil {
		t.Fatalf("%s: configuration of %s: %v", u.name, s.ID, err)
	}
	slices.Sort(config.Ignore)
	var ignore []string
	if u.site() == "summit" {
		ignore = []string{"MTM1M3", "MTM1M3TS"}
	}
	if config.User == "" || config.Reason == "" || config.Reason != p.Upgrade.Reason {
		t.Errorf("%s: user %q, reason %q", u.name, config.User, config.Reason)
	}
	equal(t, u, "start_with", config.StartWith, []string{"Watcher"})
	equal(t, u, "ignore", config.Ignore, ignore)
	equal(t, u, "the script", fmt.Sprint(a.Path, a.Standard, a.Queue), fmt.Sprint("system_wide_shutdown.py", true, p.Upgrade.Queue))
	equal(t, u, "the ends that it may come to", a.Accept, []string{"DONE", "FAILED"})
}

func watcherFirst(t *testing.T, u *upgrade, p *plan.Plan) {
	if p.Type == plan.Full {
		return // start_with, see P7
	}
	_, a := stepAs[*plan.SetState](t, p, "offline/watcher")
	equal(t, u, "the first to go down", a.CSCs, []string{"Watcher:0"})
	first, next := "offline/watcher", "offline/queues"
	if !u.is(noOtherCSC) {
		next = "offline/cscs"
	}
	chained(t, u, p, first, next)
}

func queuesLast(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.SetState](t, p, "offline/queues")
	want := []string{"ScriptQueue:3", "ScriptQueue:2", "ScriptQueue:1"}
	if p.Upgrade.Queue == 2 {
		want = []string{"ScriptQueue:3", "ScriptQueue:1", "ScriptQueue:2"}
	}
	equal(t, u, "the ScriptQueues", *a, plan.SetState{Queue: p.Upgrade.Queue, State: plan.Offline, CSCs: want})
	says(t, u, s.ID+" by hand", s.ByHand, "- [ScriptQueue:3, OFFLINE]", "mute_alarms: false")
	stage := p.Stages[1]
	if last := stage.Steps[len(stage.Steps)-1]; stage.ID != "offline" || last.ID != s.ID {
		t.Errorf("%s: the last to go down in %s is %s", u.name, stage.ID, last.ID)
	}
	if p.Type == plan.Full {
		chained(t, u, p, "offline/shutdown", "offline/settled", "offline/rest", "offline/queues")
	} else if !u.is(noOtherCSC) {
		chained(t, u, p, "offline/cscs", "offline/queues")
	}
}

// goingDown are the CSCs that a full upgrade sends to OFFLINE before the
// ScriptQueues, the Watcher first.
func goingDown(p *plan.Plan) []string {
	out := []string{"Watcher:0"}
	for _, c := range p.CSCs {
		kept := p.Site == "summit" && strings.HasPrefix(c.CSC, "MTM1M3")
		if c.Speaks() && !kept && !strings.HasPrefix(c.CSC, "ScriptQueue:") && c.CSC != "Watcher:0" {
			out = append(out, c.CSC)
		}
	}
	return out
}

func stragglersOneByOne(t *testing.T, u *upgrade, p *plan.Plan) {
	_, a := stepAs[*plan.SetState](t, p, "offline/rest")
	equal(t, u, "the stragglers", *a, plan.SetState{Queue: p.Upgrade.Queue, State: plan.Offline, CSCs: goingDown(p), GroupSize: 1})
}

func offlineIsLookedAt(t *testing.T, u *upgrade, p *plan.Plan) {
	if p.Type != plan.Full {
		return // set-state looks itself
	}
	s, a := stepAs[*plan.AwaitState](t, p, "offline/settled")
	equal(t, u, s.ID, a.Want, []plan.Want{{States: []string{plan.Offline}, CSCs: goingDown(p)}})
	equal(t, u, "what happens if some are not there", s.OnFailure, plan.Report)
}

func everyStepByHand(t *testing.T, u *upgrade, p *plan.Plan) {
	for s := range p.AllSteps() {
		switch a := s.Action.Parameters.(type) {
		case *plan.Manual:
			says(t, u, s.ID+" by hand", s.ByHand, a.Text)
		case *plan.Announce:
			says(t, u, s.ID+" by hand", s.ByHand, a.Channel, a.Text)
		case *plan.Script:
			says(t, u, s.ID+" by hand", s.ByHand, "LOVE", "Nublado", a.Path, fmt.Sprintf("ScriptQueue:%d", a.Queue))
			for line := range strings.Lines(a.Config) {
				says(t, u, s.ID+" by hand", s.ByHand, strings.TrimSpace(line))
			}
		case *plan.SetState:
			says(t, u, s.ID+" by hand", s.ByHand, "LOVE", "Nublado", "set_summary_state.py")
			for _, c := range a.CSCs {
				says(t, u, s.ID+" by hand", s.ByHand, fmt.Sprintf("- [%s, %s]", strings.TrimSuffix(c, ":0"), a.State))
			}
		case *plan.AwaitState:
			says(t, u, s.ID+" by hand", s.ByHand, p.Targets.LOVE.View, "Chronograf", a.Want[0].States[0])
		case *plan.SSH:
			if a.Purpose == plan.AwaitBuild {
				says(t, u, s.ID+" by hand", s.ByHand, "step "+a.Build) // which has the commands
				continue
			}
			host, _ := p.Host(a.Host)
			says(t, u, s.ID+" by hand", s.ByHand, append(slices.Clone(a.Commands), host.Address)...)
		case *plan.Reboot:
			says(t, u, s.ID+" by hand", s.ByHand, a.Command, "boot_id")
		case *plan.Delete:
			says(t, u, s.ID+" by hand", s.ByHand, "kubectl --context "+p.Targets.Kubernetes.Context, a.Selector)
		case *plan.Sync:
			says(t, u, s.ID+" by hand", s.ByHand, p.Targets.ArgoCD.URL, a.Application, "Sync")
		case *plan.Compatibility:
			says(t, u, s.ID+" by hand", s.ByHand, "curl", "$SCHEMA_REGISTRY_LISTENERS/config", a.Set, a.Expect)
		default:
			t.Errorf("%s: %s is of a kind without a check here, %s", u.name, s.ID, a.Kind())
		}
	}
}

var dashboards = []string{"Heartbeats", "the five Summary State Monitors (AT, MT, Envsys, Calibration Systems, Observatory Systems)"}

func viewsAreNamed(t *testing.T, u *upgrade, p *plan.Plan) {
	view := map[string]string{"summit": "ASummary State View"}[u.site()]
	if view == "" {
		view = "SummaryState"
	}
	for i := range p.Stages {
		if id := p.Stages[i].ID; id == "offline" || id == "watch" {
			says(t, u, "the consent of "+id, p.Stages[i].Consent, fmt.Sprintf("%q", view))
		}
	}
	_, a := stepAs[*plan.Manual](t, p, "end/look")
	says(t, u, "end/look", a.Text, append(slices.Clone(dashboards), fmt.Sprintf("%q", view))...)
	for _, page := range []string{view, dashboards[0], dashboards[1]} {
		if !slices.ContainsFunc(p.Targets.Pages, func(x plan.Page) bool { return strings.Contains(x.Title, page) && strings.HasPrefix(x.URL, "https://") }) {
			t.Errorf("%s: no page of the targets leads to %q", u.name, page)
		}
	}
}

func onlyConcernedGoDown(t *testing.T, u *upgrade, p *plan.Plan) {
	if u.is(noOtherCSC) {
		return
	}
	_, a := stepAs[*plan.SetState](t, p, "offline/cscs")
	equal(t, u, "the CSCs concerned", a.CSCs, strings.Fields(concerned[u.name]))
	equal(t, u, "where they go", a.State, plan.Offline)
}

func bridgesAreStopped(t *testing.T, u *upgrade, p *plan.Plan) {
	for _, id := range citing(p, "P15") {
		s, a := stepAs[*plan.SSH](t, p, id)
		equal(t, u, s.ID, fmt.Sprint(a.Purpose, " ", a.Commands), fmt.Sprintf("stop [sudo systemctl stop %s]", a.Service))
		if !strings.HasSuffix(a.Host, "-mcm") || !strings.HasSuffix(a.Service, "ocs-bridge.service") {
			t.Errorf("%s: %s stops %s on %s", u.name, s.ID, a.Service, a.Host)
		}
	}
	inOrder(t, u, p, "offline", "cameras-down", "deploy")
}

func stage1IsHandedOver(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Announce](t, p, "cameras-down/stage-1")
	equal(t, u, "the channel", a.Channel, p.Targets.Slack.Channel)
	says(t, u, s.ID, a.Text, "stage 1 may begin")
	if !a.Handover {
		t.Errorf("%s: nobody is asked if %s can't be posted", u.name, s.ID)
	}
	for _, stop := range citing(p, "P15") {
		chained(t, u, p, stop, s.ID)
	}
	stepAs[*plan.Manual](t, p, "cameras-down/stage-1-heard")
	chained(t, u, p, s.ID, "cameras-down/stage-1-heard")
}

func servicesAreStopped(t *testing.T, u *upgrade, p *plan.Plan) {
	for _, id := range citing(p, "P17") {
		if _, a := stepAs[*plan.SSH](t, p, id); a.Purpose != plan.Stop {
			t.Errorf("%s: the purpose of %s is %s", u.name, id, a.Purpose)
		}
	}
	inOrder(t, u, p, "offline", "cameras-down", "services-down", "jobs", "configuration")
}

func allJobsAreDeleted(t *testing.T, u *upgrade, p *plan.Plan) {
	deleted := map[string]int{}
	for _, id := range citing(p, "P18") {
		s, a := stepAs[*plan.Delete](t, p, id)
		for _, csc := range a.CSCs {
			deleted[csc]++
		}
		want := "csc-class"
		switch {
		case id == "deploy/love-commander":
			want = "csc-name=love-commander"
		case id == "jobs/watcher":
			want = "csc-name=watcher"
		case id == "jobs/uws":
			want = "csc-class=ocps"
		case strings.HasPrefix(id, "jobs/obssys-"): // class by class, without the Watcher's
			want = "csc-class=" + strings.TrimPrefix(id, "jobs/obssys-")
		}
		equal(t, u, "what "+id+" selects", a.Selector, want)
		if p.Type == plan.Recovery && strings.HasPrefix(id, "jobs/") && id != "jobs/watcher" {
			equal(t, u, "what "+id+" needs", s.Needs, []string{"jobs/watcher"})
		}
	}
	for _, c := range p.CSCs {
		if n := deleted[c.CSC]; (c.Job != nil) != (n == 1) {
			t.Errorf("%s: the Job of %s is deleted %d times", u.name, c.CSC, n)
		}
	}
	chained(t, u, p, "deploy/control-system-test", "deploy/love-commander", "deploy/love")
	inOrder(t, u, p, "offline", "jobs", "deploy")
}

func sessionsAreEnded(t *testing.T, u *upgrade, p *plan.Plan) {
	s, a := stepAs[*plan.Delete](t, p, "jobs/nublado")
	equal(t, u, s.ID, *a, plan.Delete{Objects: plan.Namespaces, Selector: "argocd.argoproj.io/instance=nublado-users"})
	says(t, u, "the consent of "+s.ID, s.Consent, "ends every open Nublado session")
}

func clusterIsNamed(t *testing.T, u *upgrade, p *plan.Plan) {
	want := map[string]string{"summit": "yagan https://rancher.cp.lsst.org", "tucson-teststand": "pillan https://rancher.tu.lsst.org", "base-teststand": "manke https://rancher.ls.lsst.org"}[u.site()]
	k := p.Targets.Kubernetes
	equal(t, u, "the cluster", k.Context+" "+k.Server, want)
	for i := range p.Stages {
		if p.Stages[i].ID == "jobs" {
			says(t, u, "the consent of jobs", p.Stages[i].Consent, k.Context, k.Server)
		}
	}
}

func concernedJobsAreDeleted(t *testing.T, u *upgrade, p *plan.Plan) {
	want := map[string]string{
		"jobs/scriptqueue": "obssys csc-class=scriptqueue", "jobs/watcher": "obssys csc-class=watcher",
		"jobs/mtmount": "simonyitel csc-class=mtmount", "jobs/mtm2": "simonyitel csc-class=mtm2", "jobs/atdome": "auxtel csc-class=atdome",
		"jobs/ess105": "envsys csc-name=ess105", "jobs/ess404": "envsys csc-name=ess404", "jobs/mthexapod1": "simonyitel csc-name=mthexapod1",
		"jobs/electrometer101": "calsys csc-name=electrometer101",
	}
	var deleted []string
	for _, id := range citing(p, "P21") {
		s, a := stepAs[*plan.Delete](t, p, id)
		equal(t, u, id, fmt.Sprint(a.Objects, " ", a.Namespace, " ", a.Selector), "jobs "+want[id])
		if strings.HasPrefix(a.Selector, "csc-name=") {
			says(t, u, "the title of "+id, s.Title, "only, not of the whole class")
		}
		deleted = append(deleted, a.CSCs...)
	}
	down := []string{"Watcher:0", "ScriptQueue:1", "ScriptQueue:2", "ScriptQueue:3"}
	if s, ok := p.Step("offline/cscs"); ok {
		for _, name := range s.Action.Parameters.(*plan.SetState).CSCs {
			if c, _ := p.CSC(name); c.Job != nil {
				down = append(down, name)
			}
		}
	}
	slices.Sort(down)
	slices.Sort(deleted)
	equal(t, u, "the Jobs deleted", deleted, down)
	inOrder(t, u, p, "offline", "services-down", "jobs", "deploy")
}
