package procedure

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// incremental is the upgrade of a few CSCs within a cycle: like a full one,
// limited to what changes. One of LOVE alone takes down nothing that speaks SAL.
func (b *builder) incremental() {
	b.buildsFirst()  // P29
	b.begin()        // P4, P6, P53
	b.sendOffline()  // P8, P9, P14
	b.camerasDown()  // P15, P16
	b.servicesDown() // P17
	b.deleteJobsOf() // P21; love-commander's with the sync of love

	b.configuration()                // P22, P23
	b.buildsNow()                    // P29
	b.updateHosts()                  // P28
	b.deployAffected()               // P33
	b.comeUp(b.clusterAndServices()) // P34 to P40
	b.updateCRIOs()                  // P6, P29
	b.enable(b.toEnable(), "P43")    // P43
	b.testChanged()                  // P49 to P52
	b.end()                          // P40
}

// sendOffline adds the stage that sends the affected CSCs to OFFLINE, the
// Watcher first and the ScriptQueues last.
func (b *builder) sendOffline() {
	if b.quiet() {
		return
	}
	s := b.stage("offline", "Send the affected CSCs to OFFLINE", "P11", "P12", "P13")
	first := s.add(b.setState("watcher", "Watcher to OFFLINE", plan.Offline, []string{watcher}, 0, "P8", "P11", "P14"))
	var cscs []string
	for _, name := range b.speaking(b.down) {
		if name != watcher && !isQueue(name) {
			cscs = append(cscs, name)
		}
	}
	s.Doubts = b.doubtsAbout(b.down)
	last := first
	if len(cscs) > 0 {
		last = s.add(after(b.setState("cscs", plan.CSCList(cscs)+" to OFFLINE", plan.Offline, cscs, 1, "P11", "P14"), first))
	}
	text := ""
	if b.req.QueuesStay {
		s.Doubts = append(s.Doubts, plan.CSCList(cscs)+": "+b.queuesStay())
		text = fmt.Sprintf("The Watcher and %s go down now, in this order. The ScriptQueues stay up.", plan.CSCList(cscs))
	} else {
		s.add(after(b.queuesDown("P9", "P14"), last))
		text = fmt.Sprintf("The Watcher, %s and the ScriptQueues go down now, in this order.", plan.CSCList(cscs))
		if len(cscs) == 0 {
			text = "The Watcher and the ScriptQueues go down now, in this order."
		}
	}
	if other := b.notAskedFor(cscs); len(other) > 0 {
		text += fmt.Sprintf(" The request does not name %s, but this plan stops what runs on %s.", plan.CSCList(other), strings.Join(b.hostsOf(other), ", "))
	}
	s.close(text + fmt.Sprintf(" All other CSCs are left alone. Watch their states in LOVE's view %q.", b.site.Targets.LOVEView))
}

// notAskedFor returns the CSCs that go down although the request does not name
// them.
func (b *builder) notAskedFor(cscs []string) []string {
	var out []string
	for _, csc := range cscs {
		asked := false
		for _, c := range b.req.Changed {
			asked = asked || c.CSC == csc
		}
		asked = asked || b.removed(csc)
		if !asked {
			out = append(out, csc)
		}
	}
	return out
}

// hostsOf returns the hosts that run the CSCs.
func (b *builder) hostsOf(cscs []string) []string {
	var out []string
	for _, name := range cscs {
		c, _ := b.csc(name)
		out = union(out, []string{c.Host})
	}
	return out
}

// deleteJobsOf adds the stage that deletes the Jobs of the affected CSCs.
func (b *builder) deleteJobsOf() {
	s := b.stage("jobs", "Delete the Jobs of the affected CSCs")
	b.deleteAffectedJobs(s)
	var names []string
	for _, csc := range b.down {
		if c, ok := b.csc(csc); ok && c.Job != "" && !ofLOVE(c) {
			names = append(names, csc)
		}
	}
	text := fmt.Sprintf("csu deletes the %s in cluster %s (%s), and no others.", namedJobs(names), b.site.Targets.Context, b.site.Targets.Server)
	if gone := b.req.Removed; len(gone) > 0 {
		text += fmt.Sprintf(" %s will not come back: Phalanx does not deploy it any more. What else its chart has made stays until someone prunes it in Argo CD.", plan.CSCList(gone))
	}
	s.close(text)
}
