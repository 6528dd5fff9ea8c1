package verify

import (
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func offlineRules() []Rule {
	return []Rule{
		{"watcher-first", []string{"P8", "P14", "P18"},
			"The Watcher is the first CSC to go down, so that it does not raise alarms about a planned upgrade. " +
				"In a recovery, which sends nothing to OFFLINE, its Job is deleted first.", watcherFirst},
		{"queues-last", []string{"P9", "P14"},
			"The ScriptQueues are the last CSCs to be sent to OFFLINE, and the one that runs the script is the last in its list: " +
				"the script could not send anything after it.", queuesLast},
		{"shutdown-script", []string{"P6", "P7"},
			"A full upgrade runs system_wide_shutdown.py once, starting with the Watcher and ignoring only the CSCs that keep their state. " +
				"It may end DONE or FAILED, since a single CSC that does not reach OFFLINE makes it fail, but in no other way.", shutdownOnce},
		{"all-offline", []string{"P7", "P10", "P11"},
			"In a full upgrade every CSC is OFFLINE before the ScriptQueues. Since the script misses some, " +
				"a check follows it, and then a set-state step that names every CSC and sends the remaining ones.", allOffline},
		{"offline-before-removal", []string{"P7", "P14", "P15", "P17", "P18", "P21"},
			"No Job is deleted and no service is stopped before its CSC was seen OFFLINE: a CSC that is killed leaves its hardware as it is. " +
				"Only a recovery, after an upgrade of the OS or Kubernetes, deletes Jobs without this.", offlineBeforeRemoval},
		{"only-concerned", []string{"P14", "P17", "P21", "P33"},
			"An incremental upgrade takes down and syncs exactly what it affects: the changed and removed CSCs and the hosts that run them, " +
				"the Watcher and the ScriptQueues, and what the request names. The Watcher and the ScriptQueues stay up if only LOVE or nothing goes down.", onlyConcerned},
	}
}

func watcherFirst(v *view, f *findings) {
	first := v.where(func(n *node) bool {
		if v.Type == plan.Recovery {
			return slices.Equal(n.deletes, []string{watcher})
		}
		return len(n.sends) > 0 && n.sends[0] == watcher
	})
	down := v.down()
	if len(down) == 0 || v.Quiet() {
		return
	}
	how := "sent to OFFLINE"
	if v.Type == plan.Recovery {
		how = "deleted by its own step"
	}
	if len(first) == 0 {
		f.plan("add a step that takes the Watcher down before any other CSC",
			"the Watcher is never %s ahead of the other CSCs, the first of which go down in %s", how, down[0].ID)
		return
	}
	for _, n := range down {
		led := slices.Contains(first, n) || slices.ContainsFunc(first, func(w *node) bool { return before(w, n) })
		if !led {
			f.step(n, "move it to a later stage, or make it need "+first[0].ID,
				"takes something down but may run before %s has taken the Watcher down", ids(first))
		}
	}
	for _, n := range first {
		if n.OnFailure != plan.Ask {
			f.step(n, "set onFailure to ask", "if the Watcher does not go down here, the run continues and the Watcher raises alarms")
		}
	}
}

func queuesLast(v *view, f *findings) {
	if v.Type == plan.Recovery || v.Quiet() {
		return
	}
	sending := v.where(func(n *node) bool { return len(n.sends) > 0 })
	queues := v.queues()
	if v.Upgrade.QueuesStay && v.Type == plan.Incremental {
		queues = nil // only-concerned refuses to take them down
	}
	for _, q := range queues {
		by := slices.DeleteFunc(slices.Clone(sending), func(n *node) bool { return !slices.Contains(n.sends, q) })
		switch {
		case len(by) == 0:
			f.plan("add it to the step that sends the ScriptQueues to OFFLINE", "no step sends %s to OFFLINE", q)
		case len(by) > 1:
			f.step(by[0], "remove it from the list", "sends %s to OFFLINE, which %s already does, after all other CSCs", q, by[1].ID)
		}
	}
	for _, n := range sending {
		i := slices.IndexFunc(n.sends, isQueue)
		if i < 0 {
			continue
		}
		own := slices.Index(n.sends, fmt.Sprintf("%s:%d", scriptQueue, n.does.Queue))
		if own >= 0 && own != len(n.sends)-1 {
			f.step(n, "move it to the end of the list", "%s runs the script but goes down before %s", n.sends[own], list(n.sends[own+1:]))
		}
		if j := slices.IndexFunc(n.sends[i:], func(c string) bool { return !isQueue(c) }); j >= 0 {
			f.step(n, "move the ScriptQueues to the end of the list", "%s goes down after %s", n.sends[i+j], n.sends[i])
		}
		for _, m := range sending {
			queues := slices.ContainsFunc(m.sends, isQueue)
			if m != n && (!queues || own >= 0) && !before(m, n) {
				f.step(n, "run it after "+m.ID, "sends ScriptQueues to OFFLINE, but %s, which sends %s there, may not be done before", m.ID, list(m.sends))
			}
		}
	}
}

func shutdownOnce(v *view, f *findings) {
	scripts := v.where(func(n *node) bool { return n.shutdown != nil })
	if v.Type != plan.Full {
		for _, n := range scripts {
			f.step(n, "send the affected CSCs with set-state", "%s sends every CSC to OFFLINE, which only a full upgrade may do", plan.ShutdownScript)
		}
		return
	}
	if len(scripts) != 1 {
		f.plan("run it in one step", "%s is run by %d steps; a full upgrade runs it once", plan.ShutdownScript, len(scripts))
	}
	for _, n := range scripts {
		shutdownConfig(v, f, n)
	}
}

func shutdownConfig(v *view, f *findings, n *node) {
	a, s := n.Action.Parameters.(*plan.Script), n.shutdown
	if s.err != nil {
		f.step(n, "write it in the script's format: user, reason, start_with, ignore, end_with, with names of components", "%v", s.err)
		return
	}
	if a.Path != plan.ShutdownScript || !a.Standard {
		f.step(n, "set path to "+plan.ShutdownScript+" and standard to true", "%q is not the standard script of that name", a.Path)
	}
	if !slices.Equal(s.StartWith, []string{plan.Component(watcher)}) {
		f.step(n, "set start_with to [Watcher]", "start_with is [%s]: only the Watcher goes first", list(s.StartWith))
	}
	if len(s.EndWith) > 0 {
		f.step(n, "remove end_with", "end_with is [%s]: the procedure has no such CSC, and the ScriptQueues have their own step", list(s.EndWith))
	}
	protected := v.protectedStates()
	for i := range v.CSCs { // the script ignores a component with all its indices
		c := v.CSCs[i].CSC
		if _, ok := protected[c]; !ok && v.CSCs[i].Speaks() && slices.Contains(s.Ignore, plan.Component(c)) {
			f.step(n, "remove it from the ignore list", "%s is ignored, so it stays up while the cluster is cleaned up", c)
		}
	}
	accept := slices.Sorted(slices.Values(a.Accept))
	if !slices.Equal(accept, []string{"DONE", "FAILED"}) {
		f.step(n, "set accept to DONE and FAILED", "accepts %s: the script ends DONE, or FAILED if a CSC does not reach OFFLINE; any other end is a problem", list(a.Accept))
	}
}

// allOffline requires each CSC to be in a set-state step after the script.
func allOffline(v *view, f *findings) {
	if v.Type != plan.Full {
		return
	}
	scripts := v.where(func(n *node) bool { return n.shutdown != nil })
	if len(scripts) == 0 {
		return // reported by shutdown-script
	}
	var missed, unlooked []string
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if _, protected := v.protectedStates()[c.CSC]; protected || !c.Speaks() || isQueue(c.CSC) {
			continue
		}
		sent := v.where(func(n *node) bool { return n.sets(c.CSC, plan.Offline) && before(scripts[0], n) })
		looked := v.any(func(n *node) bool {
			return slices.Equal(n.wants(c.CSC), []string{plan.Offline}) && before(scripts[0], n) &&
				slices.ContainsFunc(sent, func(s *node) bool { return before(n, s) })
		})
		if len(sent) == 0 {
			missed = append(missed, c.CSC)
		} else if !looked {
			unlooked = append(unlooked, c.CSC)
		}
	}
	if len(unlooked) > 0 {
		f.plan("add an await-state step between the script and the set-state step", "no step between %s and the step that sends the rest to OFFLINE checks whether %s are silent", plan.ShutdownScript, list(unlooked))
	}
	if len(missed) > 0 {
		f.plan("add them to the set-state step after "+plan.ShutdownScript,
			"no set-state step sends those to OFFLINE that %s may miss: %s", plan.ShutdownScript, list(missed))
	}
}

func offlineBeforeRemoval(v *view, f *findings) {
	if v.Type == plan.Recovery {
		return
	}
	for _, n := range v.steps {
		what := "Job is deleted"
		if len(n.stops) > 0 {
			what = "service is stopped"
		}
		var unseen []string
		for _, name := range slices.Concat(n.deletes, n.stops) {
			c, ok := v.CSC(name)
			if _, protected := v.protectedStates()[name]; !ok || protected || !c.Speaks() {
				continue
			}
			if !v.any(func(m *node) bool { return m.seesOffline(name) && before(m, n) }) {
				unseen = append(unseen, name)
			}
		}
		if len(unseen) > 0 {
			f.step(n, "send them to OFFLINE by an earlier set-state step", "the %s before %s is seen OFFLINE", what, list(unseen))
		}
	}
}

// affected returns the CSCs that an incremental upgrade takes down: those that
// change or are removed, those that share a host with them or run on a host that the
// request names, the Watcher and the ScriptQueues. The latter stay up if nothing that
// speaks SAL goes down, the ScriptQueues also if the request says so.
func (v *view) affected() map[string]bool {
	out := map[string]bool{watcher: !v.Quiet()}
	for _, q := range v.queues() {
		out[q] = !v.Quiet() && !v.Upgrade.QueuesStay
	}
	for _, c := range v.Upgrade.Removed {
		out[c] = true
	}
	for _, h := range v.affectedHosts() {
		for _, c := range v.On(h) {
			out[c] = true
		}
	}
	for _, c := range v.Upgrade.Changed {
		out[c.CSC] = true
	}
	return out
}

func (v *view) affectedHosts() []string {
	out := slices.Clone(v.Upgrade.Hosts)
	for _, c := range v.Upgrade.Changed {
		if row, ok := v.CSC(c.CSC); ok && row.Host != "" && !slices.Contains(out, row.Host) {
			out = append(out, row.Host)
		}
	}
	return out
}

func onlyConcerned(v *view, f *findings) {
	if v.Type != plan.Incremental {
		return
	}
	affected, hosts := v.affected(), v.affectedHosts()
	for _, n := range v.steps {
		// The plan's table does not have what the controllers of the named hosts serve.
		served := func(c string) bool { return plan.Component(c) == "ESS" && len(n.sends) > 0 && len(v.Upgrade.Hosts) > 0 }
		var others []string
		for _, c := range slices.Concat(n.sends, n.deletes) {
			if !affected[c] && !served(c) {
				others = append(others, c)
			}
		}
		if len(others) > 0 {
			f.step(n, "remove them, or name them in the request", "takes down %s, which the upgrade does not affect", list(others))
		}
		if h := n.does.Host; h != "" && !slices.Contains(hosts, h) {
			f.step(n, "remove the step, or name the host in the request", "the upgrade does not affect the host %q", h)
		}
		if app := n.does.Syncs; app != "" && len(n.does.Starts) == 0 && !slices.Contains(v.Upgrade.Applications, app) {
			f.step(n, "remove the step, or name the application in the request", "syncs %q, but nothing in it was taken down and the request does not name it", app)
		}
	}
	affectedGoDown(v, f, affected, hosts)
}

// affectedGoDown requires every affected CSC to be taken down, and every host and
// application that the request names to be updated.
func affectedGoDown(v *view, f *findings, affected map[string]bool, hosts []string) {
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if _, protected := v.protectedStates()[c.CSC]; protected || !affected[c.CSC] {
			continue
		}
		if c.Speaks() && !v.any(func(n *node) bool { return slices.Contains(n.sends, c.CSC) }) {
			f.plan("send it to OFFLINE by a set-state step", "the upgrade affects %s, but no step sends it to OFFLINE", c.CSC)
		}
		if c.Job != nil && !v.any(func(n *node) bool { return slices.Contains(n.deletes, c.CSC) }) {
			f.plan("delete its Job by its labels", "the upgrade affects %s, but no step deletes its Job, so it would keep running unchanged", c.CSC)
		}
	}
	for _, h := range hosts {
		if !v.any(func(n *node) bool { return n.touches(h) }) {
			f.plan("add the steps that update it", "the upgrade affects the host %q, but no step does anything there", h)
		}
	}
	for _, app := range v.Upgrade.Applications {
		if len(v.syncs(app)) == 0 {
			f.plan("add a sync of it", "the request names the application %q, but no step syncs it", app)
		}
	}
}
