package procedure

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// recovery brings the control system back after IT has upgraded the OS or
// Kubernetes.
func (b *builder) recovery() {
	b.begin()                     // P4, P5, P53
	b.cleanJobs()                 // P18, P44
	b.compare()                   // P32
	b.deploy()                    // P32, P44
	b.watchCluster()              // P37 to P40
	b.m2Back()                    // P5
	b.startCRIOs()                // P6, P45
	b.restartHosts()              // P46
	b.rebootHosts()               // P47
	b.enable(b.toEnable(), "P41") // P41
	b.testTelescopes()            // P48, P50 to P52
	b.enableAll()                 // P55
	b.end()                       // P40
}

// cleanJobs adds the stage that deletes the remaining Jobs.
func (b *builder) cleanJobs() {
	s := b.stage("jobs", "Clean up the cluster")
	s.Doubts = b.doubtsAbout(b.down)
	b.deleteAllJobs(s)
	s.close(fmt.Sprintf("csu deletes every CSC Job in cluster %s (%s), the Watcher's first. love-commander's follows later, just before love is synced. Deleting a Job stops its CSC if it still runs.",
		b.site.Targets.Context, b.site.Targets.Server))
}

// compare adds the stage in which the operator checks that Argo CD would deploy
// only what ran before.
func (b *builder) compare() {
	s := b.stage("compare", "Check what Argo CD would deploy")
	s.add(manual("look", "Check that Argo CD deploys only what ran before",
		"A recovery brings back what ran before. Check what is out of sync: the deleted Jobs are expected. If anything else is out of sync, decide whether you want it deployed now; if not, stop here and have it reverted.",
		nil, b.syncedApplications(), "P32"))
	s.close("csu refreshes the applications in Argo CD and shows what is out of sync. Nothing changes in this stage.")
}

// inCluster returns the CSCs that come back with the sync.
func (b *builder) inCluster() []string {
	return b.selectDown(func(c *model.CSC) bool { return c.Job != "" && c.Component != "" })
}

// m2Back adds the stage that brings the mirror's CSC back before the machine of
// its EUI is rebooted (P5). At the summit these are MTM2, M2 and the Hexrot VM.
func (b *builder) m2Back() {
	m2 := b.site.ClosedLoop
	if m2 == nil {
		return
	}
	csc, cscs, who := plan.CSCList([]string{m2.CSC}), []string{m2.CSC}, b.principal(m2.CSC)
	s := b.stage(slug(m2.Mirror), fmt.Sprintf("%s back in closed loop, then the %s", m2.Mirror, m2.Machine))
	enabled := b.setState("enabled", csc+" to ENABLED", plan.Enabled, cscs, 0, "P5")
	enabled.Consent = fmt.Sprintf("The %s agrees that %s goes to ENABLED now.", who, csc)
	enabled.Principals = []string{who}
	id := s.add(enabled)
	id = s.add(after(b.awaitStates("seen", "Check that "+csc+" is ENABLED", cscs, func(string) []string { return []string{plan.Enabled} }, limitLook, "P5"), id))
	id = s.add(after(b.m2Step(manual("closed-loop", "Check that "+m2.Mirror+" is in closed loop",
		fmt.Sprintf("Check on %s's EUI that %s is in closed-loop control. If it is not, the %s decides what to do.", m2.Mirror, m2.Mirror, who), cscs, nil, "P5")), id))
	s.add(after(b.m2Step(manual("vm", fmt.Sprintf("Release the %s for its reboot", m2.Machine),
		fmt.Sprintf("Tell IT that they may reboot the %s now, if they still need to. %s stays ENABLED meanwhile.", m2.Machine, csc), cscs, nil, "P5")), id))
	s.close(fmt.Sprintf("csu brings %s to ENABLED and asks you to confirm that %s is in closed loop. Only then may the %s be rebooted.", csc, m2.Mirror, m2.Machine))
}

// startCRIOs adds the stage that starts the cRIO services whose CSC is silent,
// and brings CSCs that keep their states back to them (P45, P6).
func (b *builder) startCRIOs() {
	s := b.stage("crios", "Start the cRIO services")
	var all []string
	for _, name := range b.site.Recovery.StartCRIOs {
		h, ok := b.site.Host(name)
		if !ok {
			continue // reported by the schema
		}
		for i := range h.Services {
			svc := &h.Services[i]
			if svc.Start == nil {
				continue
			}
			start := b.ssh(slug(h.Name), fmt.Sprintf("%s: start %s if it is silent", h.Name, svc.Name), h, svc.Name, plan.Start, svc.Start, "P45")
			start.Action.Parameters.(*plan.SSH).Silent = svc.CSCs
			start.Consent = fmt.Sprintf("The %s agrees that csu starts %s on %s. csu starts it only if %s is silent, since a second daemon must not run.", h.Principal, svc.Name, h.Name, plan.CSCList(svc.CSCs))
			last := s.add(start)
			for _, csc := range svc.CSCs {
				all = append(all, csc)
				last = s.add(after(b.awaitStates(slug(csc), oneCSC(csc)+" comes up", []string{csc}, func(string) []string {
					c, _ := b.csc(csc)
					return union([]string{comesUp(c)}, []string{b.expected(c)})
				}, limitComeUp, "P37", "P45"), last))
				k, ok := b.protected(csc)
				if !ok {
					continue
				}
				back := b.setState(slug(csc+" back"), fmt.Sprintf("%s to %s", oneCSC(csc), k.State), k.State, []string{csc}, 0, "P6", "P45")
				back.Consent = fmt.Sprintf("The %s agrees that %s goes to %s now.", b.principal(csc), oneCSC(csc), k.State)
				last = s.add(after(back, last))
				s.add(after(b.awaitStates(slug(csc+" seen"), "Check that "+oneCSC(csc)+" is in "+k.State, []string{csc}, func(string) []string { return []string{k.State} }, limitLook, "P6", "P45"), last))
			}
		}
	}
	s.close(fmt.Sprintf("csu starts the cRIO services of %s, each only if its CSC is silent.", plan.CSCList(all)))
}

// restartHosts adds the stage that restarts CSCs on bare metal (P46).
func (b *builder) restartHosts() {
	s := b.stage("restart", "Restart the CSCs on bare metal")
	var hosts []string
	for _, name := range b.site.Recovery.Restart {
		h, ok := b.site.Host(name)
		if !ok {
			continue // reported by the schema
		}
		hosts = append(hosts, h.Name)
		last := b.restart(s, h, "P46")
		cscs := cscsOn(h)
		s.add(after(b.awaitStates(slug(h.Name+" up"), fmt.Sprintf("%s: its CSCs come up", h.Name), cscs, func(csc string) []string {
			c, _ := b.csc(csc)
			return []string{comesUp(c)}
		}, limitComeUp, "P37", "P46"), last))
	}
	s.close(fmt.Sprintf("csu stops and starts the CSCs on %s.", strings.Join(hosts, ", ")))
}

// rebootHosts adds the stage that reboots machines (P47), once M2 is back in
// closed loop (P5).
func (b *builder) rebootHosts() {
	s := b.stage("reboot", "Reboot machines")
	var machines []string
	for _, r := range b.site.Recovery.Reboot {
		if h, ok := b.site.Host(r.Host); ok {
			machines = append(machines, h.Name)
			s.add(b.reboot(r, h, "P47"))
		}
	}
	s.close(fmt.Sprintf("csu reboots %s and asks you before each.", strings.Join(machines, ", ")))
}

// enableAll adds the stage that brings a whole test stand back to ENABLED
// (P55).
func (b *builder) enableAll() {
	if !b.enablesAll() {
		return
	}
	s := b.stage("enable-all", "All CSCs back to ENABLED")
	cscs := b.inCluster()
	set := b.setState("enabled", "All CSCs to ENABLED, at most five per script", plan.Enabled, cscs, 5, "P55")
	set.OnFailure = plan.Report // the next step checks their states
	id := s.add(set)
	s.add(after(b.awaitStates("seen", "Check that all CSCs are ENABLED", cscs, func(string) []string { return []string{plan.Enabled} }, limitLook, "P55"), id))
	s.close("The test sequences end in STANDBY, but after maintenance all CSCs of this test stand go back to ENABLED. The cameras are left alone.")
}
