package campaign

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// step makes a step that needs the one before it in its stage.
func step(id string, d plan.Parameters, needs ...string) plan.Step {
	return plan.Step{
		ID: id, Title: "Do " + id, Source: []string{"P1"}, Needs: needs, Action: plan.Action{Parameters: d},
		Timeout: plan.Duration(2 * time.Hour), OnFailure: plan.Ask, ByHand: "Do " + id + " by hand.",
	}
}

// chain makes a stage of which each step needs the one before.
func chain(id string, steps ...plan.Step) plan.Stage {
	for i := range steps {
		steps[i].ID = id + "/" + steps[i].ID
		if i > 0 {
			steps[i].Needs = []string{steps[i-1].ID}
		}
	}
	return abreast(id, steps...)
}

// abreast makes a stage whose steps don't need each other.
func abreast(id string, steps ...plan.Step) plan.Stage {
	for i := range steps {
		if !strings.Contains(steps[i].ID, "/") {
			steps[i].ID = id + "/" + steps[i].ID
		}
	}
	return plan.Stage{ID: id, Title: "Stage " + id, Consent: "May it begin?", Source: []string{"P2"}, Steps: steps}
}

func jobCSC(name, application, image, comesUp, expect string) plan.CSC {
	component, index, _ := strings.Cut(name, ":")
	job := strings.ToLower(component)
	if index != "0" {
		job += index
	}
	return plan.CSC{
		CSC: name, Image: image, ComesUp: comesUp, Expect: expect,
		Job: &plan.Job{Application: application, Namespace: application, Name: job, Label: job, CSCName: job, CSCClass: strings.ToLower(component)},
	}
}

// site is a plan without stages, of a site with a few CSCs and hosts.
func site() *plan.Plan {
	const images = "ts-dockerhub.lsst.org/"
	mount := jobCSC("MTMount:0", "simonyitel", images+"mtmount:c0045.007", plan.Standby, plan.Standby)
	dome := jobCSC("ATDome:0", "auxtel", images+"atdome:c0045.002", plan.Standby, plan.Standby)
	mount.Before, dome.Before = images+"mtmount:c0045.006", images+"atdome:c0045.001"
	return &plan.Plan{
		Format: plan.Format, Site: "summit", Type: plan.Incremental,
		Upgrade: plan.Upgrade{Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Reason: "campaign", Queue: 1,
			Changed: []plan.Change{{CSC: "MTMount:0", Revision: 7}, {CSC: "ATDome:0", Revision: 2}}},
		Targets: plan.Targets{
			Kubernetes: plan.Kubernetes{Context: "yagan", Server: "https://yagan.cp.lsst.org"},
			ArgoCD:     plan.ArgoCD{Namespace: "argocd", Project: "telescope", AppOfApps: "science-platform"},
			EFD:        plan.EFD{Database: "efd", Lag: plan.Duration(10 * time.Second)},
			Registry:   plan.Registry{Namespace: "sasquatch", Selector: "app=sasquatch-schema-registry"},
		},
		CSCs: []plan.CSC{
			jobCSC("Watcher:0", "obssys", images+"watcher:c0045", plan.Enabled, plan.Enabled),
			jobCSC("ScriptQueue:1", "obssys", images+"scriptqueue:c0045", plan.Enabled, plan.Enabled),
			mount,
			dome,
			jobCSC("ESS:105", "envsys", images+"ess:c0045", plan.Standby, plan.Enabled),
			jobCSC("ESS:106", "envsys", images+"ess:c0045", plan.Standby, plan.Enabled),
			{CSC: "MTVMS:1", Host: "vms", ComesUp: plan.Standby, Expect: plan.Standby},
		},
		Hosts: []plan.Host{
			{Name: "vms", Address: "vms.cp.lsst.org", Users: []plan.User{{Name: "admin", Via: "login"}}},
			{Name: "azar03", Address: "azar03.cp.lsst.org", Users: []plan.User{{Name: "dco", Via: "sudo"}, {Name: "operator", Via: "own"}}},
		},
	}
}

func setState(state string, mute bool, group int, cscs ...string) *plan.SetState {
	return &plan.SetState{Queue: 1, State: state, CSCs: cscs, GroupSize: group, MuteAlarms: mute}
}

func await(state string, cscs ...string) *plan.AwaitState {
	return &plan.AwaitState{Want: []plan.Want{{States: []string{state}, CSCs: cscs}}}
}

func ssh(purpose plan.Purpose, commands ...string) *plan.SSH {
	return &plan.SSH{Host: "vms", User: "admin", Purpose: purpose, Service: "ts-VMS", Commands: commands}
}

func deleteJob(namespace, job, csc string) *plan.Delete {
	return &plan.Delete{Objects: plan.Jobs, Namespace: namespace, Selector: "csc-name=" + job, CSCs: []string{csc}}
}

func syncJob(application, job, csc string) *plan.Sync {
	return &plan.Sync{Application: application, Revision: "main", CSCs: []string{csc}, Resources: []plan.Resource{
		{Group: "batch", Kind: "Job", Namespace: application, Name: job},
	}}
}

// talkPlan asks people, tells people, and changes the registry.
func talkPlan() *plan.Plan {
	p := site()
	told := step("told", &plan.Announce{Channel: "#summit", Text: "It begins."})
	told.OnFailure = plan.Report
	p.Type = plan.Full
	p.Stages = []plan.Stage{
		chain("talk", step("manual", &plan.Manual{Text: "Switch M2 to local."}), step("asked", &plan.Announce{Channel: "#camera", Text: "Over to you."}), told),
		chain("level", step("none", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}), step("check", &plan.Manual{Text: "Is it well?", CSCs: []string{"MTMount:0"}})),
	}
	back := step("final/forward", &plan.Compatibility{Expect: "NONE", Set: "FORWARD"})
	back.Undoes = "level/none"
	p.Final = []plan.Step{back}
	return p
}

// queuePlan runs scripts.
func queuePlan() *plan.Plan {
	p := site()
	p.Stages = []plan.Stage{chain("queue",
		step("standby", setState(plan.Standby, true, 1, "ESS:105", "ESS:106")),
		step("track", &plan.Script{Queue: 1, Path: "auxtel/track_target.py", Standard: true, Config: "rot_value: 0\n", Accept: []string{"DONE"}}),
		step("enabled", setState(plan.Enabled, false, 0, "ESS:105", "ESS:106")),
		step("seen", await(plan.Enabled, "ESS:105", "ESS:106")),
	)}
	return p
}

// build is what goes on in the background, for longer than a reboot takes.
var build = []string{"cd ~/ts_vms && git pull", "cd ~/ts_vms && make clean && make"}

// awaitBuild waits for the build that a step has begun.
func awaitBuild(begun string) *plan.SSH {
	d := ssh(plan.AwaitBuild, build...)
	d.Build = begun
	return d
}

// hostPlan runs commands, builds in the background and reboots.
func hostPlan() *plan.Plan {
	p := site()
	p.Stages = []plan.Stage{
		chain("builds", step("vms", ssh(plan.Build, build...))),
		chain("hosts",
			step("stop", ssh(plan.Stop, "/etc/init.d/ts-VMS stop")),
			step("reboot", &plan.Reboot{Host: "azar03", User: "operator", Command: "sudo reboot"}),
		),
		chain("crios",
			step("built", awaitBuild("builds/vms")),
			step("update", ssh(plan.Update, "cp ~/ts_vms/ts-VMSd /usr/sbin/ts-VMSd")),
			step("start", ssh(plan.Start, "/etc/init.d/ts-VMS start")),
			step("seen", await(plan.Standby, "MTVMS:1")),
		),
	}
	return p
}

// clusterPlan deletes and syncs.
func clusterPlan() *plan.Plan {
	p := site()
	p.Stages = []plan.Stage{
		chain("clean", step("jobs", deleteJob("simonyitel", "mtmount", "MTMount:0")), step("sessions", &plan.Delete{Objects: plan.Namespaces, Selector: "argocd.argoproj.io/instance=nublado-users"})),
		chain("deploy", step("sync", syncJob("simonyitel", "mtmount", "MTMount:0")), step("seen", await(plan.Standby, "MTMount:0"))),
	}
	return p
}

// widePlan has all kinds, side by side where the executor lets them.
func widePlan() *plan.Plan {
	p := site()
	told := step("told", &plan.Announce{Channel: "#summit", Text: "It begins."})
	told.OnFailure = plan.Report
	p.Type = plan.Full
	p.Upgrade.Changed = nil
	for i := range p.CSCs {
		if repository, _, found := strings.Cut(p.CSCs[i].Image, ":"); found {
			p.CSCs[i].Before = repository + ":c0044"
		}
	}
	down := abreast("down",
		step("watcher", setState(plan.Offline, false, 0, "ESS:105")),
		step("vms", ssh(plan.Stop, "/etc/init.d/ts-VMS stop")),
		step("host", &plan.Reboot{Host: "azar03", User: "operator", Command: "sudo reboot"}),
		step("none", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}),
		step("manual", &plan.Manual{Text: "Switch M2 to local."}),
	)
	clean := abreast("clean",
		step("mount", deleteJob("simonyitel", "mtmount", "MTMount:0")),
		step("ess", deleteJob("envsys", "ess105", "ESS:105")),
		step("sessions", &plan.Delete{Objects: plan.Namespaces, Selector: "argocd.argoproj.io/instance=nublado-users"}),
	)
	up := abreast("up",
		step("parent", &plan.Sync{Application: "science-platform", Revision: "main"}),
		step("mount", syncJob("simonyitel", "mtmount", "MTMount:0"), "up/parent"),
		step("ess", syncJob("envsys", "ess105", "ESS:105"), "up/parent"),
		step("built", awaitBuild("begin/vms")),
		step("vms", ssh(plan.Start, "/etc/init.d/ts-VMS start"), "up/parent", "up/built"),
		step("enabled", setState(plan.Enabled, false, 0, "ESS:105"), "up/ess-up"),
		step("ess-up", await(plan.Standby, "ESS:105"), "up/ess"),
		step("track", &plan.Script{Queue: 1, Path: "auxtel/track_target.py", Standard: true, Config: "rot_value: 0\n", Accept: []string{"DONE"}}, "up/enabled"),
		step("seen", await(plan.Standby, "MTMount:0", "MTVMS:1"), "up/mount", "up/vms"),
	)
	p.Stages = []plan.Stage{chain("begin", told, step("vms", ssh(plan.Build, build...))), down, clean, up}
	back := step("final/forward", &plan.Compatibility{Expect: "NONE", Set: "FORWARD"})
	back.Undoes = "down/none"
	p.Final = []plan.Step{back}
	return p
}

// purposeMade are the campaign's own plans by name.
var purposeMade = map[string]func() *plan.Plan{
	"talk": talkPlan, "queue": queuePlan, "hosts": hostPlan, "cluster": clusterPlan, "wide": widePlan,
}

// plansFolder is the folder of the project's plans, seen from here.
var plansFolder = filepath.Join("..", "..", "plans")

// load returns a plan by its name: a purpose-made one, or a file of the
// project's plans.
func load(name string) (*plan.Plan, string, error) {
	var p *plan.Plan
	if make := purposeMade[name]; make != nil {
		p = make()
	} else {
		var err error
		if p, _, err = plan.ReadFile(filepath.Join(plansFolder, name+".json")); err != nil {
			return nil, "", err
		}
	}
	if problems := p.Validate(); len(problems) > 0 {
		return nil, "", fmt.Errorf("plan %q: %v", name, problems)
	}
	digest, err := plan.Digest(p)
	return p, digest, err
}

// kept puts what failed into a folder that stays when the tests are over: the
// plan, the run's journal, and the record of the site in dir. It returns the
// folder.
func kept(name string, journal []byte, dir string) (folder string, err error) {
	p, _, err := load(name)
	if err != nil {
		return "", err
	}
	data, err := plan.Encode(p)
	if err != nil {
		return "", err
	}
	if folder, err = os.MkdirTemp("", "csu-campaign-failed-"); err != nil {
		return "", err
	}
	contents := map[string][]byte{name + ".json": data}
	if dir != "" {
		contents[name+".json.journal"] = journal
		if contents[rehearsal.RecordFile], err = os.ReadFile(filepath.Join(dir, rehearsal.RecordFile)); err != nil {
			return "", err
		}
	}
	for file, content := range contents {
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
			return "", err
		}
	}
	return folder, nil
}
