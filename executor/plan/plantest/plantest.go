// Package plantest has a sample of each kind of action, for the tests of what
// draws on the kinds' [plan.Effects].
package plantest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// A Sample is an action that can be carried out at the site of [Plan].
type Sample struct {
	Name   string
	Action plan.Parameters
}

// Samples returns at least one action of each kind. The test fails for a kind
// that has none.
func Samples(t testing.TB) []Sample {
	t.Helper()
	all := samples()
	for _, kind := range plan.Kinds {
		if !slices.ContainsFunc(all, func(s Sample) bool { return s.Action.Kind() == kind }) {
			t.Errorf("package plantest has no sample of kind %q", kind)
		}
	}
	return all
}

func samples() []Sample {
	vms := func(purpose plan.Purpose, command string, silent ...string) *plan.SSH {
		return &plan.SSH{Host: "m1m3-crio-vms", User: "admin", Purpose: purpose, Service: "ts-VMS", Commands: []string{command}, Silent: silent}
	}
	shutdown := func(s plan.Shutdown) *plan.Script {
		s.User, s.Reason = "ana", "test"
		return &plan.Script{Queue: 1, Path: plan.ShutdownScript, Standard: true, Config: s.Encode(), Accept: []string{"DONE", "FAILED"}}
	}
	return []Sample{
		{"manual", &plan.Manual{Text: "Look."}},
		{"manual with states", &plan.Manual{Text: "Look.", CSCs: []string{"MTCamera:0"}}},
		{"manual with applications", &plan.Manual{Text: "Look.", Applications: []string{"envsys"}}},
		{"announce", &plan.Announce{Channel: "#summit", Text: "The upgrade begins."}},
		{"script", &plan.Script{Queue: 2, Path: "auxtel/track_target.py", Standard: true, Accept: []string{"DONE"}}},
		{"shutdown", shutdown(plan.Shutdown{})},
		{"shutdown in parts", shutdown(plan.Shutdown{StartWith: []string{"MTVMS", "Watcher"}, EndWith: []string{"ESS"}})},
		{"shutdown without some", shutdown(plan.Shutdown{StartWith: []string{"Watcher"}, Ignore: []string{"ESS", "MTVMS"}})},
		{"set-state down", &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"Watcher:0", "MTMount:0"}}},
		{"set-state up", &plan.SetState{Queue: 3, State: plan.Enabled, CSCs: []string{"MTVMS:1", "MTMount:0"}, GroupSize: 1}},
		{"await-state", &plan.AwaitState{Want: []plan.Want{
			{States: []string{plan.Standby, plan.Enabled}, CSCs: []string{"MTMount:0", "ESS:105"}},
			{States: []string{plan.OfflineAvailable}, CSCs: []string{"MTCamera:0"}},
		}}},
		{"ssh stop", vms(plan.Stop, "/etc/init.d/ts-VMS stop")},
		{"ssh update", vms(plan.Update, "cd ~/ts_vms && git pull")},
		{"ssh build", vms(plan.Build, "cd ~/ts_vms && make")},
		{"ssh await-build", &plan.SSH{Host: "m1m3-crio-vms", User: "admin", Purpose: plan.AwaitBuild, Service: "ts-VMS", Commands: []string{"cd ~/ts_vms && make"}, Build: "all/build"}},
		{"ssh start", vms(plan.Start, "/etc/init.d/ts-VMS start")},
		{"ssh start where silent", vms(plan.Start, "/etc/init.d/ts-VMS start", "MTVMS:1")},
		{"reboot", &plan.Reboot{Host: "azar02", User: "operator", Command: "sudo reboot"}},
		{"delete jobs", &plan.Delete{Objects: plan.Jobs, Namespace: "envsys", Selector: "csc-class=ess", CSCs: []string{"ESS:105", "ESS:106"}}},
		{"delete namespaces", &plan.Delete{Objects: plan.Namespaces, Selector: "argocd.argoproj.io/instance=nublado-users"}},
		{"sync", &plan.Sync{Application: "love", Revision: "main", CSCs: []string{"LOVE:0", "love-commander"}}},
		{"sync of one", &plan.Sync{Application: "envsys", Revision: "main", CSCs: []string{"ESS:105"}, Resources: []plan.Resource{
			{Group: "batch", Kind: "Job", Namespace: "envsys", Name: "ess105"},
		}}},
		{"compatibility", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}},
	}
}

// Plan returns the plan of an incremental upgrade whose only steps are of the
// actions; each is named by its place, from all/1 on.
func Plan(actions ...plan.Parameters) *plan.Plan {
	p := &plan.Plan{
		Format: plan.Format, Site: "summit", Type: plan.Incremental,
		Upgrade: plan.Upgrade{Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Reason: "test", Queue: 1},
		Targets: plan.Targets{
			Kubernetes: plan.Kubernetes{Context: "yagan", Server: "https://yagan.cp.lsst.org"},
			ArgoCD:     plan.ArgoCD{Namespace: "argocd", Project: "telescope"},
			EFD:        plan.EFD{Database: "efd", Lag: plan.Duration(10 * time.Second)},
			Registry:   plan.Registry{Namespace: "sasquatch", Selector: "app=sasquatch-schema-registry"},
			Slack:      plan.Slack{Channel: "#summit"},
		},
		CSCs: []plan.CSC{
			job("Watcher:0", "obssys", plan.Enabled, ""),
			job("ScriptQueue:1", "obssys", plan.Enabled, ""),
			job("ScriptQueue:2", "obssys", plan.Enabled, ""),
			job("ScriptQueue:3", "obssys", plan.Enabled, ""),
			job("MTMount:0", "simonyitel", plan.Standby, "mount team"),
			job("ESS:105", "envsys", plan.Enabled, ""),
			job("LOVE:0", "love", plan.Enabled, ""),
			job("love-commander", "love", "", ""),
			job("ESS:106", "envsys", plan.Enabled, ""),
			{CSC: "MTVMS:1", Host: "m1m3-crio-vms", ComesUp: plan.Standby, Expect: plan.Standby, Principal: "mirror team"},
			{CSC: "MTM2:0", Host: "azar02", ComesUp: plan.Standby, Expect: plan.Enabled, Principal: "M2 team"},
			{CSC: "MTCamera:0", Host: "lsstcam-mcm", ComesUp: plan.OfflineAvailable, Expect: plan.OfflineAvailable, Bridge: true, Principal: "camera team"},
		},
		Hosts: []plan.Host{
			{Name: "m1m3-crio-vms", Address: "m1m3-crio-vms.cp.lsst.org", Users: []plan.User{{Name: "admin", Via: "login"}}},
			{Name: "azar02", Address: "azar02.cp.lsst.org", Principal: "IT", Users: []plan.User{{Name: "operator", Via: "own"}}},
			{Name: "lsstcam-mcm", Address: "lsstcam-mcm.cp.lsst.org", Principal: "camera team", Users: []plan.User{{Name: "operator", Via: "own"}}},
		},
	}
	stage := plan.Stage{ID: "all", Title: "All", Consent: "Now.", Source: []string{"P2"}}
	for i, a := range actions {
		stage.Steps = append(stage.Steps, plan.Step{
			ID: "all/" + string(rune('1'+i)), Title: "Do it", Source: []string{"P1"}, Action: plan.Action{Parameters: a},
			Timeout: plan.Duration(time.Hour), OnFailure: plan.Ask, ByHand: "Do it by hand.",
		})
	}
	p.Stages = []plan.Stage{stage}
	return p
}

func job(csc, application, expect, principal string) plan.CSC {
	component, index, _ := strings.Cut(strings.ToLower(csc), ":")
	c := plan.CSC{
		CSC: csc, Image: "ts-dockerhub.lsst.org/" + component + ":c0045", Expect: expect, Principal: principal,
		Job: &plan.Job{Application: application, Namespace: application, CSCClass: component},
	}
	switch {
	case component == "scriptqueue":
		c.ComesUp = plan.Enabled
	case expect != "":
		c.ComesUp = plan.Standby
	}
	c.Job.Name = component
	if index != "0" {
		c.Job.Name += index
	}
	c.Job.Label, c.Job.CSCName = c.Job.Name, c.Job.Name
	return c
}

// Imaginary are the parameters of a kind that nobody knows but by what it does.
// What draws on the effects alone says the same of it as of a real kind with the
// same effects.
type Imaginary struct{ Does plan.Effects }

// Kind implements [plan.Parameters].
func (*Imaginary) Kind() plan.Kind { return "imaginary" }

// Effects implements [plan.Parameters].
func (i *Imaginary) Effects(*plan.Plan) plan.Effects { return i.Does }

// Disguised returns an action of an imaginary kind that does what the sample does
// in the plan.
func (s Sample) Disguised(p *plan.Plan) *Imaginary { return &Imaginary{s.Action.Effects(p)} }
