package procedure

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// full is the upgrade of a whole cycle.
func (b *builder) full() {
	b.buildsFirst()  // P29
	b.begin()        // P4, P6, P53
	b.shutdownAll()  // P6 to P11
	b.camerasDown()  // P15, P16
	b.servicesDown() // P17
	b.cleanUp()      // P18, P19

	b.configuration()                // P22, P23
	b.buildsNow()                    // P29
	b.releaseSchema()                // P24; and P25 at the end
	b.updateHosts()                  // P28
	b.platform()                     // P30, P31
	b.deploy()                       // P18 for love-commander, P32
	b.comeUp(b.clusterAndServices()) // P34 to P40
	b.updateCRIOs()                  // P6, P29; before the Watcher watches
	b.enable(b.toEnable(), "P41")    // P41
	b.end()                          // P40, P42
}

// shutdownAll adds the stage that sends every CSC to OFFLINE, the Watcher
// first, the ScriptQueues last.
func (b *builder) shutdownAll() {
	s := b.stage("offline", "Send all CSCs to OFFLINE", "P8", "P11", "P12", "P13")
	cscs := b.shutdownCSCs()
	s.Doubts = b.doubtsAbout(b.down)
	sent := s.add(b.shutdown())
	settle := b.awaitStates("settled", "Check which CSCs are OFFLINE", cscs, offline, limitLook, "P11")
	settle.OnFailure = plan.Report // the next step takes down the others
	settled := s.add(after(settle, sent))
	// One CSC per script: those that are left are the difficult ones, and a
	// script stops at its first failure.
	rest := b.setState("rest", "Remaining CSCs to OFFLINE, one by one", plan.Offline, cscs, 1, "P10", "P11")
	rest.Timeout = plan.Duration(limitRest)
	rest.Takes = 5 * b.takes(&plan.SetState{}) // usually only a few are left
	stragglers := s.add(after(rest, settled))
	s.add(after(b.queuesDown("P9"), stragglers))
	var unchanged []string
	for _, k := range b.site.States.Keep {
		unchanged = append(unchanged, fmt.Sprintf("%s stays %s", oneCSC(k.CSC), k.State))
	}
	text := fmt.Sprintf("The whole control system of %s goes down now: %d CSCs, the Watcher first, and then the %d ScriptQueues (%d in all).",
		b.site.Name, len(cscs), len(b.queues()), len(cscs)+len(b.queues()))
	if len(unchanged) > 0 {
		text += " " + sentence(strings.Join(unchanged, ", ")) + "."
	}
	s.close(text + fmt.Sprintf(" Watch their states in LOVE's view %q and on the Chronograf dashboard Heartbeats.", b.site.Targets.LOVEView))
}

func offline(string) []string { return []string{plan.Offline} }

// cleanUp adds the stage that deletes Jobs and Nublado's user namespaces.
func (b *builder) cleanUp() {
	s := b.stage("jobs", "Clean up the cluster")
	b.deleteAllJobs(s)
	s.add(b.deleteNublado())
	s.close(fmt.Sprintf("csu deletes every CSC Job in cluster %s (%s) except love-commander's, which is deleted just before love is synced. Other Jobs are left alone. "+
		"Then it deletes the Nublado user namespaces, after asking you separately.", b.site.Targets.Context, b.site.Targets.Server))
}

// releaseSchema adds the stage that allows incompatible schemas (P24), and the
// final step that forbids them again (P25).
func (b *builder) releaseSchema() {
	if !b.req.BreaksSchema {
		return
	}
	s := b.stage("schema", "Allow incompatible schemas in the registry")
	id := s.add(b.compatibility("none", "Schema registry from FORWARD to NONE", "FORWARD", "NONE", "P24"))
	s.close("This upgrade breaks schema compatibility, so csu sets the registry's level from FORWARD to NONE. csu sets it back to FORWARD when the run ends or is aborted; until then the run is not complete.")
	back := b.compatibility("forward", "Schema registry back to FORWARD", "NONE", "FORWARD", "P25")
	back.ID = "final/" + back.ID
	back.OnFailure = plan.Ask
	b.estimate(&back)
	back.Undoes = id
	b.plan.Final = append(b.plan.Final, back)
}

func (b *builder) compatibility(id, title, expect, set string, source ...string) plan.Step {
	t := b.site.Targets
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action:  plan.Action{Parameters: &plan.Compatibility{Expect: expect, Set: set}},
		Timeout: plan.Duration(limitPost),
		ByHand: fmt.Sprintf("In a schema-registry pod (kubectl --context %s exec -it -n %s <pod> -- bash; pods: -l %s):\n\n"+
			"    curl $SCHEMA_REGISTRY_LISTENERS/config\n"+
			"    curl -s -X PUT -H 'Content-Type: application/vnd.schemaregistry.v1+json' --data '{\"compatibility\": \"%s\"}' $SCHEMA_REGISTRY_LISTENERS/config\n\n"+
			"The first command must show %s before the second, and %s after it.", t.Context, t.RegistryNamespace, t.RegistrySelector, set, expect, set),
	}
}

// clusterAndServices returns the CSCs that come up by themselves after the sync
// and the start of the services: all except the camera bridges, and what waits for
// the update of its cRIO.
func (b *builder) clusterAndServices() []string {
	var out []string
	for _, name := range b.speaking(union(b.down, b.added())) {
		if c, ok := b.csc(name); ok && !c.Bridge && !b.removed(name) && !b.updatesCRIO(c.Host) {
			out = append(out, name)
		}
	}
	return out
}

// toEnable returns the CSCs that the plan brings to ENABLED: those of the site's
// list that went down (P41, P43).
func (b *builder) toEnable() []string {
	if !b.enables() {
		return nil
	}
	var out []string
	for _, csc := range b.site.States.Enable {
		if b.goesDown(csc) && !b.removed(csc) {
			out = append(out, csc)
		}
	}
	slices.SortFunc(out, plan.CompareCSCs)
	return out
}
