package compiler

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// values are the mutations of names, addresses, texts, limits and the request.
func values() []operator {
	var out []operator
	add := func(name string, places func(*plan.Plan) []place) {
		out = append(out, operator{name, false, places})
	}
	stepValues(add)
	actionValues(add)
	tableValues(add)
	targetValues(add)
	requestValues(add)
	hostile(add)
	freeTexts(add)
	return out
}

func stepValues(add adder) {
	add("another title of a step", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Title += " (or not)" }))
	add("another text for doing it by hand", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.ByHand += "\nrm -rf /" }))
	add("no text for doing it by hand", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.ByHand = "" }))
	add("drop a number of a step's source", eachOf(func(s *plan.Step) int { return len(s.Source) }, func(_ *plan.Plan, s *plan.Step, k int) { s.Source = without(s.Source, k) }))
	add("stop at a failure that is only reported", eachStep(func(s *plan.Step) bool { return s.OnFailure == plan.Report }, func(_ *plan.Plan, s *plan.Step) { s.OnFailure = plan.Ask }))
	add("another id of a step", eachStep(inStage, func(_ *plan.Plan, s *plan.Step) { s.ID += "-x" }))
	add("half the time limit", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Timeout /= 2 }))
	add("a time limit of a second", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Timeout = plan.Duration(time.Second) }))
	add("a time limit of two days", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Timeout = plan.Duration(48 * time.Hour) }))
	add("another usual time", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Takes += plan.Duration(time.Minute) }))
	add("another consent of a step", eachStep(func(s *plan.Step) bool { return s.Consent != "" }, func(_ *plan.Plan, s *plan.Step) { s.Consent = "All is well." }))
	add("another principal of a step", eachStep(func(s *plan.Step) bool { return len(s.Principals) > 0 }, func(_ *plan.Plan, s *plan.Step) { s.Principals[0] = "nobody" }))
	add("another doubt of a step", eachStep(func(s *plan.Step) bool { return s.Doubt != "" }, func(_ *plan.Plan, s *plan.Step) { s.Doubt = "There is no doubt." }))
	add("another number of a step's source", eachStep(always, func(_ *plan.Plan, s *plan.Step) { s.Source[0] = "P56" }))
	any := func(*plan.Plan, int) bool { return true }
	add("another title of a stage", eachStage(any, func(p *plan.Plan, i int) { p.Stages[i].Title += " (or not)" }))
	add("another consent of a stage", eachStage(any, func(p *plan.Plan, i int) { p.Stages[i].Consent = "All is well." }))
	add("another doubt of a stage", eachStage(func(p *plan.Plan, i int) bool { return len(p.Stages[i].Doubts) > 0 }, func(p *plan.Plan, i int) { p.Stages[i].Doubts[0] = "There is no doubt." }))
	add("another principal of a stage", eachStage(func(p *plan.Plan, i int) bool { return len(p.Stages[i].Principals) > 0 }, func(p *plan.Plan, i int) { p.Stages[i].Principals[0] = "nobody" }))
}

// misspell changes a name into one that nobody knows.
func misspell(name string) string { return name + "x" }

func actionValues(add adder) {
	add("another host", eachAction(always[*plan.SSH], func(p *plan.Plan, _ *plan.Step, a *plan.SSH) { a.Host = otherHost(p, a.Host) }))
	add("an unknown host", eachAction(always[*plan.SSH], func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) { a.Host = misspell(a.Host) }))
	add("another user", eachAction(always[*plan.SSH], func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) { a.User = "root" }))
	add("another host or user of a reboot", eachAction(always[*plan.Reboot], func(_ *plan.Plan, _ *plan.Step, a *plan.Reboot) { a.Host, a.User = misspell(a.Host), "root" }))
	add("another command of a reboot", eachAction(always[*plan.Reboot], func(_ *plan.Plan, _ *plan.Step, a *plan.Reboot) { a.Command = "sudo poweroff" }))
	add("another service", eachAction(always[*plan.SSH], func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) { a.Service = misspell(a.Service) }))
	commands := func(a *plan.SSH) *[]string { return &a.Commands }
	add("another command", eachName(commands, func(_ *plan.Plan, c *[]string, k int) { (*c)[k] += " --force" }))
	add("drop a command", eachName(commands, func(_ *plan.Plan, c *[]string, k int) { *c = without(*c, k) }))
	add("another order of commands", eachAction(func(a *plan.SSH) bool { return len(a.Commands) > 1 }, func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) { slices.Reverse(a.Commands) }))
	add("drop a check", eachAction(func(a *plan.SSH) bool { return a.Check != "" }, func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) { a.Check = "" }))
	add("another check", eachAction(always[*plan.SSH], func(_ *plan.Plan, _ *plan.Step, a *plan.SSH) { a.Check += "true" }))
	add("another namespace", eachAction(func(a *plan.Delete) bool { return a.Objects == plan.Jobs }, func(p *plan.Plan, _ *plan.Step, a *plan.Delete) {
		a.Namespace = otherOf(a.Namespace, "simonyitel", "auxtel")
	}))
	add("an unknown namespace", eachAction(func(a *plan.Delete) bool { return a.Objects == plan.Jobs }, func(_ *plan.Plan, _ *plan.Step, a *plan.Delete) { a.Namespace = misspell(a.Namespace) }))
	add("another selector", eachAction(always[*plan.Delete], func(_ *plan.Plan, _ *plan.Step, a *plan.Delete) {
		a.Selector = strings.Replace(a.Selector, "csc", "app", 1) + "x"
	}))
	add("another application", eachAction(always[*plan.Sync], func(_ *plan.Plan, _ *plan.Step, a *plan.Sync) {
		a.Application = otherOf(a.Application, "auxtel", "calsys")
	}))
	add("another revision", eachAction(always[*plan.Sync], func(_ *plan.Plan, _ *plan.Step, a *plan.Sync) { a.Revision = "tickets/DM-1" }))
	add("another resource", eachAction(func(a *plan.Sync) bool { return len(a.Resources) > 0 }, func(_ *plan.Plan, _ *plan.Step, a *plan.Sync) { a.Resources[0].Name = misspell(a.Resources[0].Name) }))
	add("another namespace of a resource", eachAction(func(a *plan.Sync) bool { return len(a.Resources) > 0 }, func(_ *plan.Plan, _ *plan.Step, a *plan.Sync) { a.Resources[0].Namespace = "default" }))
	add("an unknown CSC in a set-state step", eachName(func(a *plan.SetState) *[]string { return &a.CSCs }, func(_ *plan.Plan, c *[]string, k int) { (*c)[k] = "X" + (*c)[k] }))
	add("another CSC in a set-state step", eachName(func(a *plan.SetState) *[]string { return &a.CSCs }, func(p *plan.Plan, c *[]string, k int) { (*c)[k] = outsider(p, *c) }))
	add("an unknown CSC in a deletion", eachName(func(a *plan.Delete) *[]string { return &a.CSCs }, func(_ *plan.Plan, c *[]string, k int) { (*c)[k] = "X" + (*c)[k] }))
	add("an unknown CSC in a sync", eachName(func(a *plan.Sync) *[]string { return &a.CSCs }, func(_ *plan.Plan, c *[]string, k int) { (*c)[k] = "X" + (*c)[k] }))
	add("an unknown CSC in a look", eachAction(always[*plan.AwaitState], func(_ *plan.Plan, _ *plan.Step, a *plan.AwaitState) { a.Want[0].CSCs[0] = "X" + a.Want[0].CSCs[0] }))
	add("mute the alarms", eachAction(always[*plan.SetState], func(_ *plan.Plan, _ *plan.Step, a *plan.SetState) { a.MuteAlarms = !a.MuteAlarms }))
	add("another group size", eachAction(func(a *plan.SetState) bool { return a.GroupSize > 0 }, func(_ *plan.Plan, _ *plan.Step, a *plan.SetState) { a.GroupSize++ }))
	add("another script", eachAction(always[*plan.Script], func(_ *plan.Plan, _ *plan.Step, a *plan.Script) { a.Path = "auxtel/latiss_checkout.py" }))
	add("another configuration of a script", eachAction(always[*plan.Script], func(_ *plan.Plan, _ *plan.Step, a *plan.Script) { a.Config += "force: true\n" }))
	add("a script that is not standard", eachAction(always[*plan.Script], func(_ *plan.Plan, _ *plan.Step, a *plan.Script) { a.Standard = false }))
	add("another channel", eachAction(always[*plan.Announce], func(_ *plan.Plan, _ *plan.Step, a *plan.Announce) { a.Channel = "#random" }))
	add("another message", eachAction(always[*plan.Announce], func(_ *plan.Plan, _ *plan.Step, a *plan.Announce) { a.Text = "Never mind." }))
	add("another text of a manual step", eachAction(always[*plan.Manual], func(_ *plan.Plan, _ *plan.Step, a *plan.Manual) { a.Text = "Never mind." }))
	add("CSCs that are not shown", eachAction(func(a *plan.Manual) bool { return len(a.CSCs) > 0 }, func(_ *plan.Plan, _ *plan.Step, a *plan.Manual) { a.CSCs = nil }))
}

func otherOf(name string, a, b string) string {
	if name == a {
		return b
	}
	return a
}

func otherHost(p *plan.Plan, host string) string {
	for i := range p.Hosts {
		if p.Hosts[i].Name != host {
			return p.Hosts[i].Name
		}
	}
	return misspell(host)
}

// eachRow is a place for each row of the table of CSCs.
func eachRow(cond func(*plan.CSC) bool, change func(p *plan.Plan, i int)) func(*plan.Plan) []place {
	return func(p *plan.Plan) []place {
		var out []place
		for i := range p.CSCs {
			if cond(&p.CSCs[i]) {
				out = append(out, place{p.CSCs[i].CSC, func(p *plan.Plan) { change(p, i) }})
			}
		}
		return out
	}
}

// eachHost is a place for each row of the table of hosts.
func eachHost(cond func(*plan.Host) bool, change func(p *plan.Plan, i int)) func(*plan.Plan) []place {
	return func(p *plan.Plan) []place {
		var out []place
		for i := range p.Hosts {
			if cond(&p.Hosts[i]) {
				out = append(out, place{p.Hosts[i].Name, func(p *plan.Plan) { change(p, i) }})
			}
		}
		return out
	}
}

func tableValues(add adder) {
	hasJob := func(c *plan.CSC) bool { return c.Job != nil }
	add("drop a CSC from the table", eachRow(always, func(p *plan.Plan, i int) { p.CSCs = without(p.CSCs, i) }))
	add("a CSC twice in the table", eachRow(always, func(p *plan.Plan, i int) { p.CSCs = append(p.CSCs, p.CSCs[i]) }))
	add("another name of a CSC in the table", eachRow(always, func(p *plan.Plan, i int) { p.CSCs[i].CSC = "X" + p.CSCs[i].CSC }))
	add("the tag of another cycle", eachRow(hasJob, func(p *plan.Plan, i int) {
		name, _, _ := strings.Cut(p.CSCs[i].Image, ":")
		p.CSCs[i].Image = name + ":c0001"
	}))
	add("another revision of an image", eachRow(hasJob, func(p *plan.Plan, i int) {
		name, _, _ := strings.Cut(p.CSCs[i].Image, ":")
		p.CSCs[i].Image = name + ":" + p.Upgrade.Cycle + ".099"
	}))
	add("another image", eachRow(hasJob, func(p *plan.Plan, i int) { p.CSCs[i].Image = strings.Replace(p.CSCs[i].Image, "/", "/x", 1) }))
	add("no image", eachRow(hasJob, func(p *plan.Plan, i int) { p.CSCs[i].Image = "" }))
	add("another application of a Job", eachRow(hasJob, func(p *plan.Plan, i int) {
		p.CSCs[i].Job.Application = otherOf(p.CSCs[i].Job.Application, "auxtel", "calsys")
	}))
	add("another namespace of a Job", eachRow(hasJob, func(p *plan.Plan, i int) {
		p.CSCs[i].Job.Namespace = otherOf(p.CSCs[i].Job.Namespace, "auxtel", "calsys")
	}))
	add("another name of a Job", eachRow(hasJob, func(p *plan.Plan, i int) { p.CSCs[i].Job.Name = misspell(p.CSCs[i].Job.Name) }))
	add("another label csc-name of a Job", eachRow(hasJob, func(p *plan.Plan, i int) { p.CSCs[i].Job.CSCName = misspell(p.CSCs[i].Job.CSCName) }))
	add("another label csc-class of a Job", eachRow(hasJob, func(p *plan.Plan, i int) { p.CSCs[i].Job.CSCClass = misspell(p.CSCs[i].Job.CSCClass) }))
	add("another host of a CSC", eachRow(func(c *plan.CSC) bool { return c.Host != "" }, func(p *plan.Plan, i int) { p.CSCs[i].Host = otherHost(p, p.CSCs[i].Host) }))
	add("another state in which a CSC comes up", eachRow(func(c *plan.CSC) bool { return c.Speaks() }, func(p *plan.Plan, i int) { p.CSCs[i].ComesUp = otherState(p.CSCs[i].ComesUp) }))
	add("another state in which a CSC ends", eachRow(func(c *plan.CSC) bool { return c.Speaks() }, func(p *plan.Plan, i int) { p.CSCs[i].Expect = otherState(p.CSCs[i].Expect) }))
	add("a bridge that is none", eachRow(func(c *plan.CSC) bool { return c.Bridge }, func(p *plan.Plan, i int) { p.CSCs[i].Bridge = false }))
	add("no principal of a CSC", eachRow(func(c *plan.CSC) bool { return c.Principal != "" }, func(p *plan.Plan, i int) { p.CSCs[i].Principal = "" }))
	add("another principal of a CSC", eachRow(always, func(p *plan.Plan, i int) { p.CSCs[i].Principal = "nobody" }))
	add("no state that a CSC keeps", eachRow(func(c *plan.CSC) bool { return c.Keeps != "" }, func(p *plan.Plan, i int) { p.CSCs[i].Keeps = "" }))
	add("another role of a host", eachHost(always, func(p *plan.Plan, i int) {
		p.Hosts[i].Role = plan.Role(otherOf(string(p.Hosts[i].Role), string(plan.Machine), string(plan.CRIO)))
	}))
	add("no facts of the site", once(func(p *plan.Plan) { p.Facts = plan.Facts{} }))
	add("drop a host from the table", eachHost(always, func(p *plan.Plan, i int) { p.Hosts = without(p.Hosts, i) }))
	add("one more host in the table", once(func(p *plan.Plan) {
		p.Hosts = append(p.Hosts, plan.Host{Name: "idle", Address: "idle.example.org", Users: []plan.User{{Name: "x", Via: "own"}}})
	}))
	add("another address of a host", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Address = misspell(p.Hosts[i].Address) }))
	add("no account on a host", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Users = nil }))
	add("another way to an account", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Users[0].Via = otherOf(p.Hosts[i].Users[0].Via, "own", "sudo") }))
	add("an unknown way to an account", eachHost(always, func(p *plan.Plan, i int) { p.Hosts[i].Users[0].Via = "telnet" }))
	add("no principal of a host", eachHost(func(h *plan.Host) bool { return h.Principal != "" }, func(p *plan.Plan, i int) { p.Hosts[i].Principal = "" }))
	doubts := func(change func(p *plan.Plan, i int)) func(*plan.Plan) []place {
		return func(p *plan.Plan) []place {
			var out []place
			for i := range p.Doubts {
				out = append(out, place{fmt.Sprint(i), func(p *plan.Plan) { change(p, i) }})
			}
			return out
		}
	}
	add("drop a doubt from the table", doubts(func(p *plan.Plan, i int) { p.Doubts = without(p.Doubts, i) }))
	add("another doubt in the table", doubts(func(p *plan.Plan, i int) { p.Doubts[i].Text = "There is no doubt." }))
}

func targetValues(add adder) {
	set := func(name string, field func(*plan.Targets) *string) {
		add("another "+name, once(func(p *plan.Plan) { *field(&p.Targets) += "x" }))
		add("no "+name, once(func(p *plan.Plan) { *field(&p.Targets) = "" }))
	}
	set("context", func(t *plan.Targets) *string { return &t.Kubernetes.Context })
	set("API server", func(t *plan.Targets) *string { return &t.Kubernetes.Server })
	set("namespace of Argo CD", func(t *plan.Targets) *string { return &t.ArgoCD.Namespace })
	set("project of Argo CD", func(t *plan.Targets) *string { return &t.ArgoCD.Project })
	set("address of Argo CD", func(t *plan.Targets) *string { return &t.ArgoCD.URL })
	set("address of LOVE", func(t *plan.Targets) *string { return &t.LOVE.URL })
	set("address of the EFD", func(t *plan.Targets) *string { return &t.EFD.URL })
	set("database of the EFD", func(t *plan.Targets) *string { return &t.EFD.Database })
	set("selector of the registry", func(t *plan.Targets) *string { return &t.Registry.Selector })
	set("channel of the site", func(t *plan.Targets) *string { return &t.Slack.Channel })
	add("an address without TLS", once(func(p *plan.Plan) {
		p.Targets.Kubernetes.Server = strings.Replace(p.Targets.Kubernetes.Server, "https:", "http:", 1)
	}))
	add("no lag of the EFD", once(func(p *plan.Plan) { p.Targets.EFD.Lag = 0 }))
	add("another lag of the EFD", once(func(p *plan.Plan) { p.Targets.EFD.Lag /= 2 }))
	add("a page less", once(func(p *plan.Plan) { p.Targets.Pages = p.Targets.Pages[1:] }))
}

func requestValues(add adder) {
	add("another site", once(func(p *plan.Plan) { p.Site = otherOf(p.Site, "tucson-teststand", "summit") }))
	add("another type", once(func(p *plan.Plan) {
		p.Type = map[plan.Type]plan.Type{plan.Full: plan.Recovery, plan.Recovery: plan.Incremental, plan.Incremental: plan.Full}[p.Type]
	}))
	add("another date", once(func(p *plan.Plan) { p.Upgrade.Date = "2027-01-05" }))
	add("no date", once(func(p *plan.Plan) { p.Upgrade.Date = "soon" }))
	add("another attempt", once(func(p *plan.Plan) { p.Upgrade.Attempt++ }))
	add("another cycle", once(func(p *plan.Plan) { p.Upgrade.Cycle = "c0099" }))
	add("another reason", once(func(p *plan.Plan) { p.Upgrade.Reason = "none" }))
	add("another queue of the request", once(func(p *plan.Plan) { p.Upgrade.Queue = p.Upgrade.Queue%3 + 1 }))
	add("schema broken or not", once(func(p *plan.Plan) { p.Upgrade.BreaksSchema = !p.Upgrade.BreaksSchema }))
	add("sasquatch synced or not", once(func(p *plan.Plan) { p.Upgrade.SyncSasquatch = !p.Upgrade.SyncSasquatch }))
	add("cRIOs done or not", once(func(p *plan.Plan) { p.Upgrade.CriosDone = !p.Upgrade.CriosDone }))
	add("builds on cRIOs first or not", once(func(p *plan.Plan) { p.Upgrade.CriosFirst = !p.Upgrade.CriosFirst }))
	add("integration testing follows or not", once(func(p *plan.Plan) { p.Upgrade.IntegrationTestingFollows = !p.Upgrade.IntegrationTestingFollows }))
	add("bridges started or not", once(func(p *plan.Plan) { p.Upgrade.StartBridges = !p.Upgrade.StartBridges }))
	add("another changed CSC", func(p *plan.Plan) []place {
		var out []place
		for i := range p.Upgrade.Changed {
			out = append(out, place{p.Upgrade.Changed[i].CSC, func(p *plan.Plan) { p.Upgrade.Changed[i].CSC = "ATMCS:0" }})
		}
		return out
	})
	add("another revision of the request", func(p *plan.Plan) []place {
		var out []place
		for i := range p.Upgrade.Changed {
			out = append(out, place{p.Upgrade.Changed[i].CSC, func(p *plan.Plan) { p.Upgrade.Changed[i].Revision += 5 }})
		}
		for i := range p.Upgrade.Revisions {
			out = append(out, place{p.Upgrade.Revisions[i].CSC, func(p *plan.Plan) { p.Upgrade.Revisions[i].Revision += 5 }})
		}
		return out
	})
	add("nothing changed", func(p *plan.Plan) []place {
		if len(p.Upgrade.Changed) == 0 {
			return nil
		}
		return []place{{"the plan", func(p *plan.Plan) { p.Upgrade.Changed = nil }}}
	})
}
