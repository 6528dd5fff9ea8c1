package verify

import (
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/plan"
)

// The plans below are small sites' upgrades that keep every rule. The tests
// break them, one place at a time.

const (
	summit = "summit"
	tts    = "tucson-teststand"
	bts    = "base-teststand"
)

// The names that the sites' facts and the rules' plans share.
const (
	mtm2      = "MTM2:0"
	appOfApps = "science-platform"
)

// factsOf are the facts of the site.
func factsOf(site string, t plan.Type) plan.Facts {
	if site == summit {
		f := plan.Facts{Domain: "example.org", FQDN: "site.example.org", ImageRegistry: "ts-dockerhub.lsst.org", TimeZone: "America/Santiago", ClosedLoop: &plan.ClosedLoop{CSC: mtm2, Mirror: "M2", Machine: "Hexrot VM"}}
		switch t {
		case plan.Full:
			f.Begins = &plan.Begins{At: "09:00", Only: []string{"Tuesday"}}
		case plan.Incremental:
			f.Begins = &plan.Begins{At: "09:00", Never: []string{"Friday"}}
		}
		return f
	}
	return plan.Facts{
		Domain: "example.org", FQDN: "site.example.org", ImageRegistry: "ts-dockerhub.lsst.org",
		TimeZone: "America/Phoenix", TestStand: true, EnableIfNecessary: true, TrackingOnly: site == tts, EnableAll: site == tts,
		Telescopes: []plan.Telescope{
			{Name: "auxtel", Consists: []string{"auxtel", "ATCamera:0"}},
			{Name: "maintel", Consists: []string{"simonyitel", "MTCamera:0"}},
		},
	}
}

// goodPlans are all of them, by name.
func goodPlans() map[string]*plan.Plan {
	out := map[string]*plan.Plan{}
	for _, site := range []string{summit, tts, bts} {
		for _, t := range plan.Types {
			out[site+" "+string(t)] = good(site, t)
		}
	}
	return out
}

func good(site string, t plan.Type) *plan.Plan {
	d := &draft{p: &plan.Plan{
		Format: plan.Format, Site: site, Type: t,
		Upgrade: plan.Upgrade{Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Reason: "test", Queue: 1},
		Facts:   factsOf(site, t),
		Targets: plan.Targets{
			Kubernetes: plan.Kubernetes{Context: "yagan", Server: "https://yagan.example.org:6443", Kubeconfig: "yagan.yaml"},
			ArgoCD:     plan.ArgoCD{Namespace: "argocd", Project: "telescope", URL: "https://site.example.org/argo-cd", AppOfApps: appOfApps},
			LOVE:       plan.LOVE{URL: "https://site.example.org/love", View: "SummaryState"},
			EFD:        plan.EFD{URL: "https://site.example.org/influxdb", Database: "efd", Lag: plan.Duration(time.Minute)},
			Registry:   plan.Registry{Namespace: "sasquatch", Selector: "app=sasquatch-schema-registry"},
			Slack:      plan.Slack{Channel: "#site-announce"},
		},
	}}
	d.tables()
	switch t {
	case plan.Full:
		d.full()
	case plan.Incremental:
		d.incremental()
	case plan.Recovery:
		d.recovery()
	}
	for _, m := range d.p.Moves() {
		if t == plan.Incremental {
			d.p.Stages[0].Consent += " " + m.String()
		}
	}
	first := &d.p.Stages[0].Steps[0]
	first.Action.Parameters.(*plan.Announce).Text += ". " + review.Meanwhile(d.p)
	first.ByHand = d.byHand(first.Action.Parameters)
	d.p.Facts.CSCs, d.p.Facts.Doubts = len(d.p.CSCs), len(d.p.Doubts)
	return d.p
}

// A draft is a plan that is being written.
type draft struct{ p *plan.Plan }

func (d *draft) tables() {
	job := func(csc, application, class, name, comesUp, expect, principal string) {
		d.p.CSCs = append(d.p.CSCs, plan.CSC{
			CSC:   csc,
			Job:   &plan.Job{Application: application, Namespace: application, Name: name, Label: name, CSCName: name, CSCClass: class},
			Image: "ts-dockerhub.lsst.org/" + class + ":c0045", ComesUp: comesUp, Expect: expect, Principal: principal,
		})
	}
	d.p.Shared = []plan.Resource{{Kind: "ConfigMap", Namespace: "envsys", Name: "csc-env-config"}}
	onHost := func(csc, host, state, principal string) *plan.CSC {
		d.p.CSCs = append(d.p.CSCs, plan.CSC{CSC: csc, Host: host, ComesUp: plan.Standby, Expect: state, Principal: principal})
		return &d.p.CSCs[len(d.p.CSCs)-1]
	}
	m2, rest := plan.Standby, plan.Standby
	if d.p.Type == plan.Recovery && d.p.Site == summit {
		m2 = plan.Enabled
	}
	if d.p.Type == plan.Recovery && d.p.Site == tts {
		m2, rest = plan.Enabled, plan.Enabled
	}
	job("Watcher:0", "obssys", "watcher", "watcher", plan.Standby, plan.Enabled, "")
	job("ScriptQueue:1", "obssys", "scriptqueue", "mtqueue", plan.Enabled, plan.Enabled, "")
	job("ScriptQueue:2", "obssys", "scriptqueue", "atqueue", plan.Enabled, plan.Enabled, "")
	job("ScriptQueue:3", "obssys", "scriptqueue", "ocsqueue", plan.Enabled, plan.Enabled, "")
	job("Test:42", "control-system-test", "test", "test42", plan.Standby, rest, "")
	job("ESS:104", "envsys", "ess", "ess104", plan.Standby, plan.Enabled, "")
	job("ESS:105", "envsys", "ess", "ess105", plan.Standby, plan.Enabled, "")
	job("ATAOS:0", "auxtel", "ataos", "ataos", plan.Standby, rest, "")
	job("MTMount:0", "simonyitel", "mtmount", "mtmount", plan.Standby, rest, "")
	job("MTM2:0", "simonyitel", "mtm2", "mtm2", plan.Standby, m2, "M2 principal")
	job("love-commander", "love", "love-commander", "love-commander", "", "", "")
	d.p.CSCs = append(d.p.CSCs, plan.CSC{CSC: "ATCamera:0", Host: "auxtel-mcm", ComesUp: plan.OfflineAvailable, Expect: plan.OfflineAvailable, Bridge: true, Principal: "camera team"})
	host := func(name string, role plan.Role, user, via, principal string) {
		d.p.Hosts = append(d.p.Hosts, plan.Host{Name: name, Address: name + ".example.org", Role: role, Users: []plan.User{{Name: user, Via: via}}, Principal: principal, Checkout: via == "sudo", Restart: name == "azar03", Reboot: name == "azar02"})
	}
	host("auxtel-mcm", plan.Camera, "own", "own", "camera team")
	if d.p.Site != summit {
		return
	}
	onHost("MTM1M3:0", "m1m3-crio-ss", plan.Disabled, "M1M3 principal").Keeps = plan.Disabled
	onHost("MTM1M3TS:0", "m1m3-crio-ts", plan.Enabled, "M1M3 principal").Keeps = plan.Enabled
	onHost("MTVMS:1", "m1m3-crio-vms", plan.Standby, "M1M3 principal")
	onHost("GenericCamera:101", "azar03", plan.Standby, "")
	host("m1m3-crio-ss", plan.CRIO, "admin", "login", "M1M3 principal")
	host("m1m3-crio-ts", plan.CRIO, "admin", "login", "M1M3 principal")
	host("m1m3-crio-vms", plan.CRIO, "admin", "login", "M1M3 principal")
	host("azar03", plan.BareMetal, "dco", "sudo", "")
	switch d.p.Type {
	case plan.Full:
		host("m2-ess01", plan.ESS, "dco", "sudo", "ESS principal")
	case plan.Recovery:
		host("azar02", plan.Machine, "own", "own", "IT")
	}
}

// pick returns the CSCs of the table for which a condition holds.
func (d *draft) pick(cond func(*plan.CSC) bool) []string {
	var out []string
	for i := range d.p.CSCs {
		if cond(&d.p.CSCs[i]) {
			out = append(out, d.p.CSCs[i].CSC)
		}
	}
	return out
}

func (d *draft) of(application string) []string {
	return d.pick(func(c *plan.CSC) bool { return c.Job != nil && c.Job.Application == application })
}

// others are the CSCs that speak, but the ScriptQueues, the cameras and those
// that keep their state.
func (d *draft) others() []string {
	return d.pick(func(c *plan.CSC) bool {
		_, kept := newView(d.p).protectedStates()[c.CSC]
		return c.Speaks() && !isQueue(c.CSC) && !kept
	})
}

func (d *draft) atSummit() bool { return d.p.Site == summit }

var allQueues = []string{"ScriptQueue:3", "ScriptQueue:2", "ScriptQueue:1"}

func (d *draft) full() {
	d.p.Upgrade.BreaksSchema, d.p.Upgrade.SyncSasquatch = true, true
	d.p.Upgrade.From = "c0044"
	d.p.Upgrade.Revisions = []plan.Change{{CSC: "MTMount:0", Revision: 1}}
	d.retag("MTMount:0", "c0045.001")
	d.begin(true)
	down := d.others()
	config := "reason: test\nstart_with:\n- Watcher\nuser: csu\n"
	if d.atSummit() {
		config = "ignore:\n- MTM1M3\n- MTM1M3TS\n" + config
	}
	d.stage("offline",
		step("shutdown", "P6 P7 P8", 20*time.Minute, &plan.Script{Queue: 1, Path: plan.ShutdownScript, Standard: true, Config: config, Accept: []string{"DONE", "FAILED"}}),
		d.await("settled", "P11", down, func(*plan.CSC) string { return plan.Offline }, reported, needs("shutdown")),
		setState("rest", "P10 P11", plan.Offline, 1, down, needs("settled")),
		setState("queues", "P9", plan.Offline, 0, allQueues, needs("rest")))
	d.camerasDown()
	if d.atSummit() {
		d.p.Doubts = append(d.p.Doubts, plan.Doubt{Text: "Who owns DIMM?", Host: "dimm"}, plan.Doubt{Text: "Is it this script?", Host: "azar03", Service: "gc", Purpose: plan.Stop},
			plan.Doubt{Text: "Is it in use?", Host: "azar03"})
		d.stage("services-down", ssh("azar03", "P17", plan.Stop, "azar03", "dco", "gc", doubted("Is it in use? Is it this script?")), ssh("vms", "P17", plan.Stop, "m1m3-crio-vms", "admin", "ts-VMS"))
	}
	nub := step("nublado", "P19", 10*time.Minute, &plan.Delete{Objects: plan.Namespaces, Selector: nubladoSelector}, consented())
	d.stage("jobs", append(d.deleteAll("P18"), nub)...)
	d.configuration(appOfApps, nublado, sasquatch, controlSystemTest, love, "obssys", "envsys", "auxtel", "simonyitel")
	if d.atSummit() {
		d.stage("builds", d.build("m1m3-crio-ss", "ts-M1M3support"), d.build("m1m3-crio-ts", "ts-M1M3thermal"), d.build("m1m3-crio-vms", "ts-VMS"))
	}
	d.stage("schema", step("none", "P24", time.Minute, &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}))
	d.p.Final = []plan.Step{step("final/forward", "P25", time.Minute, &plan.Compatibility{Expect: "NONE", Set: "FORWARD"})}
	d.p.Final[0].Undoes, d.p.Final[0].ByHand = "schema/none", d.byHand(d.p.Final[0].Action.Parameters)
	if d.atSummit() {
		d.stage("hosts",
			ssh("ess-stop", "P28", plan.Stop, "m2-ess01", "dco", "controller"),
			ssh("ess-update", "P28", plan.Update, "m2-ess01", "dco", "controller", needs("ess-stop")),
			ssh("ess-start", "P28", plan.Start, "m2-ess01", "dco", "controller", needs("ess-update")),
			manual("dimm", "P28", "Who owns DIMM?"))
	}
	d.stage("platform",
		sync("apps", "P30", appOfApps, nil), sync("nublado", "P30", nublado, nil, needs("apps")),
		sync("sasquatch", "P31", sasquatch, nil, consented(), needs("nublado")),
		manual("efd", "P31", "Is the EFD back?", needs("sasquatch")))
	d.deployAll("P18", "P32")
	if d.atSummit() {
		d.stage("services-up", ssh("azar03", "P36", plan.Start, "azar03", "dco", "gc"))
	}
	d.watch(slices.DeleteFunc(slices.Concat(down, allQueues), func(c string) bool { return c == "ATCamera:0" || c == "MTVMS:1" }))
	d.camerasUp()
	if d.atSummit() {
		d.stage("crios", d.built("m1m3-crio-vms", "ts-VMS", "P29"),
			ssh("vms", "P29", plan.Update, "m1m3-crio-vms", "admin", "ts-VMS", needs("built")),
			ssh("vms-start", "P29 P36", plan.Start, "m1m3-crio-vms", "admin", "ts-VMS", needs("vms")),
			d.await("vms-up", "P29 P37", []string{"MTVMS:1"}, expected, needs("vms-start")))
	}
	d.enable("P41", append(d.others(), allQueues...))
	if d.atSummit() {
		d.keptUnit("m1m3-crio-ss", "ts-M1M3support", "MTM1M3:0")
		d.keptUnit("m1m3-crio-ts", "ts-M1M3thermal", "MTM1M3TS:0")
	}
	d.end()
}

func (d *draft) retag(csc, tag string) {
	c, _ := d.p.CSC(csc)
	name, _, _ := strings.Cut(c.Image, ":")
	c.Image, c.Before = name+":"+tag, name+":c0045"
	if d.p.Type == plan.Full {
		c.Before = name + ":c0044.006"
	}
}

func (d *draft) incremental() {
	d.p.Upgrade.Changed = []plan.Change{{CSC: "MTMount:0", Revision: 7}, {CSC: "MTM2:0", Revision: 2}, {CSC: "ESS:105", Revision: 3}, {CSC: "ATCamera:0"}}
	d.retag("MTMount:0", "c0045.007")
	d.retag("MTM2:0", "c0045.002")
	d.retag("ESS:105", "c0045.003")
	changed := []string{"ESS:105", "MTMount:0", "MTM2:0", "ATCamera:0"}
	if d.atSummit() {
		d.p.Upgrade.Changed = append(d.p.Upgrade.Changed, plan.Change{CSC: "GenericCamera:101"})
		changed = append(changed, "GenericCamera:101")
	}
	d.begin(true)
	d.stage("offline",
		setState("watcher", "P8 P14", plan.Offline, 0, []string{watcher}),
		setState("cscs", "P11 P14", plan.Offline, 1, changed, needs("watcher")),
		setState("queues", "P9", plan.Offline, 0, allQueues, needs("cscs")))
	d.camerasDown()
	if d.atSummit() {
		d.stage("services-down", ssh("azar03", "P17", plan.Stop, "azar03", "dco", "gc"))
	}
	d.stage("jobs",
		deleteJobs("watcher", "P21", "obssys", "csc-class=watcher", []string{watcher}),
		deleteJobs("queues", "P21", "obssys", "csc-class=scriptqueue", allQueues),
		deleteJobs("ess", "P21", "envsys", "csc-name=ess105", []string{"ESS:105"}),
		deleteJobs("mtmount", "P21", "simonyitel", "csc-class=mtmount", []string{"MTMount:0"}),
		deleteJobs("mtm2", "P21", "simonyitel", "csc-class=mtm2", []string{"MTM2:0"}))
	d.configuration("obssys", "envsys", "simonyitel")
	d.stage("deploy",
		d.part("obssys", append([]string{watcher}, allQueues...)), d.part("envsys", []string{"ESS:105"}), d.part("simonyitel", []string{"MTMount:0", "MTM2:0"}))
	if d.atSummit() {
		d.stage("services-up", ssh("azar03", "P36", plan.Start, "azar03", "dco", "gc"))
	}
	all := append(append([]string{watcher}, changed...), allQueues...)
	d.watch(slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == "ATCamera:0" }))
	d.camerasUp()
	d.enable("P43", all, "ESS:105")
	if !d.atSummit() {
		cycled := []string{"ESS:105", "MTMount:0", "MTM2:0"}
		d.stage("testing", manual("topics", "P49", "Do the new topics exist?"),
			setState("enabled", "P49", plan.Enabled, 1, cycled, needs("topics")),
			setState("standby", "P49", plan.Standby, 1, cycled, needs("enabled")),
			setState("end", "P49", plan.Enabled, 0, []string{"ESS:105"}, needs("standby")),
			manual("populated", "P49", "Are the topics populated?", needs("end")))
		d.sequence("P49", "P50")
		d.sequence("P49", "P51")
	}
	d.end()
}

func (d *draft) recovery() {
	d.begin(true)
	d.stage("jobs", d.deleteAll("P18 P44")...)
	d.stage("compare", step("look", "P32", time.Hour, &plan.Manual{Text: "Nothing else?",
		Applications: []string{controlSystemTest, love, "obssys", "envsys", "auxtel", "simonyitel"}}))
	d.deployAll("P18", "P32 P44")
	jobs := d.pick(func(c *plan.CSC) bool { return c.Job != nil && c.Speaks() })
	d.watch(jobs)
	if d.atSummit() {
		d.stage("m2",
			setState("enabled", "P5", plan.Enabled, 0, []string{mtm2}, consented("M2 principal")),
			manual("closed-loop", "P5", "Closed loop?", consented("M2 principal"), needs("seen")),
			d.await("seen", "P5", []string{mtm2}, expected, needs("enabled")),
			manual("vm", "P5", "The VM may be rebooted.", consented("M2 principal"), needs("closed-loop")))
		for _, x := range []struct{ host, service, csc string }{
			{"m1m3-crio-ss", "ts-M1M3support", "MTM1M3:0"}, {"m1m3-crio-ts", "ts-M1M3thermal", "MTM1M3TS:0"}, {"m1m3-crio-vms", "ts-VMS", "MTVMS:1"},
		} {
			start := ssh("start", "P45", plan.Start, x.host, "admin", x.service, consented("M1M3 principal"))
			start.Action.Parameters.(*plan.SSH).Silent = []string{x.csc}
			up := step("up", "P45 P37", 10*time.Minute, &plan.AwaitState{Want: []plan.Want{{States: d.upOrKept(x.csc), CSCs: []string{x.csc}}}}, needs("start"))
			if x.csc == "MTVMS:1" {
				d.stage(x.host, start, d.await("up", "P45 P37", []string{x.csc}, comesUp, needs("start")))
				continue
			}
			d.stage(x.host, start, up, d.backTo(x.csc, consented("M1M3 principal")), d.await("seen", "P45 P6", []string{x.csc}, expected, needs("back")))
		}
		d.stage("restart", ssh("stop", "P46", plan.Stop, "azar03", "dco", "gc"), ssh("start", "P46", plan.Start, "azar03", "dco", "gc", needs("stop")),
			d.await("up", "P46 P37", []string{"GenericCamera:101"}, comesUp, needs("start")))
		d.stage("reboot", step("azar02", "P47", 30*time.Minute, &plan.Reboot{Host: "azar02", User: "own", Command: "sudo reboot"}, consented("IT")))
	}
	if d.atSummit() {
		d.enable("P41", append(slices.Clone(jobs), "GenericCamera:101"))
	} else {
		d.enable("P41", jobs)
	}
	if !d.atSummit() {
		d.sequence("P48", "P50")
		d.sequence("P48", "P51")
	}
	if d.p.Site == tts {
		d.stage("enable-all", setState("all", "P55", plan.Enabled, 5, jobs, reported),
			d.await("seen", "P55", jobs, expected, needs("all")))
	}
	d.end()
}
