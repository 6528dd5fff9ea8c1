package verify

import (
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func offlineRules() []Rule {
	return []Rule{
		{"watcher-first", []string{"P8", "P14", "P18"},
			"The Watcher is the first CSC to go down, so that nobody is flooded with alarms about an upgrade that is meant. " +
				"In a recovery, where nothing is sent to OFFLINE, its Job is the first that is deleted.", watcherFirst},
		{"queues-last", []string{"P9", "P14"},
			"The ScriptQueues are the last CSCs to be sent to OFFLINE, and the one that runs the script stands at the very end of its list: " +
				"whatever comes after it could no longer be sent anywhere.", queuesLast},
		{"shutdown-script", []string{"P6", "P7"},
			"A full upgrade runs system_wide_shutdown.py once, starting with the Watcher and ignoring nothing but the CSCs that keep their state. " +
				"It may end FAILED, since one CSC that did not get there makes it fail; nothing but its two ends is accepted.", shutdownOnce},
		{"all-offline", []string{"P7", "P10", "P11"},
			"In a full upgrade every CSC is OFFLINE before the ScriptQueues go, and since the script misses some, " +
				"they are looked at and each is named by a set-state step that sends those that are left.", allOffline},
		{"offline-before-removal", []string{"P7", "P14", "P15", "P17", "P18", "P21"},
			"No Job is deleted and no service is stopped before its CSC was seen OFFLINE: a CSC that is cut off leaves its hardware as it is. " +
				"Only after an upgrade of the OS or Kubernetes are the Jobs deleted as they are.", offlineBeforeRemoval},
		{"only-concerned", []string{"P14", "P17", "P21", "P33"},
			"An incremental upgrade takes down and syncs what is concerned and nothing else: the changed CSCs and the hosts that run them, " +
				"the Watcher and the ScriptQueues, and what the request names. All of that it does take down.", onlyConcerned},
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
	if len(down) == 0 {
		return
	}
	how := "sent to OFFLINE"
	if v.Type == plan.Recovery {
		how = "deleted by a step of its own"
	}
	if len(first) == 0 {
		f.plan("put a step before all that take CSCs down, in which the Watcher goes first",
			"the Watcher is never %s ahead of the other CSCs, the first of which go down in %s", how, down[0].ID)
		return
	}
	for _, n := range down {
		led := slices.Contains(first, n) || slices.ContainsFunc(first, func(w *node) bool { return before(w, n) })
		if !led {
			f.step(n, "move it to a later stage, or let it need "+first[0].ID,
				"it takes something down and may run before the Watcher is down, which is done by %s", ids(first))
		}
	}
	for _, n := range first {
		if n.OnFailure != plan.Ask {
			f.step(n, "set onFailure to ask", "if the Watcher does not go down here the run goes on, and the alarms go off")
		}
	}
}

func queuesLast(v *view, f *findings) {
	if v.Type == plan.Recovery {
		return
	}
	sending := v.where(func(n *node) bool { return len(n.sends) > 0 })
	for _, q := range v.queues() {
		by := slices.DeleteFunc(slices.Clone(sending), func(n *node) bool { return !slices.Contains(n.sends, q) })
		switch {
		case len(by) == 0:
			f.plan("add it to the step that sends the ScriptQueues to OFFLINE", "%s is never sent to OFFLINE", q)
		case len(by) > 1:
			f.step(by[0], "take it off the list", "it sends %s to OFFLINE, which %s does, after all other CSCs", q, by[1].ID)
		}
	}
	for _, n := range sending {
		i := slices.IndexFunc(n.sends, isQueue)
		if i < 0 {
			continue
		}
		own := slices.Index(n.sends, fmt.Sprintf("%s:%d", scriptQueue, n.does.Queue))
		if own >= 0 && own != len(n.sends)-1 {
			f.step(n, "put it at the very end of the list", "%s runs the script and goes down before %s", n.sends[own], list(n.sends[own+1:]))
		}
		if j := slices.IndexFunc(n.sends[i:], func(c string) bool { return !isQueue(c) }); j >= 0 {
			f.step(n, "put the ScriptQueues at the end of the list", "%s goes down after %s", n.sends[i+j], n.sends[i])
		}
		for _, m := range sending {
			queues := slices.ContainsFunc(m.sends, isQueue)
			if m != n && (!queues || own >= 0) && !before(m, n) {
				f.step(n, "let it come after "+m.ID, "it sends ScriptQueues to OFFLINE, and %s, which sends %s there, is not surely done before", m.ID, list(m.sends))
			}
		}
	}
}

func shutdownOnce(v *view, f *findings) {
	scripts := v.where(func(n *node) bool { return n.shutdown != nil })
	if v.Type != plan.Full {
		for _, n := range scripts {
			f.step(n, "send the CSCs concerned with set-state", "%s sends every CSC to OFFLINE, which only a full upgrade does", plan.ShutdownScript)
		}
		return
	}
	if len(scripts) != 1 {
		f.plan("let one step run it", "%s is run by %d steps; a full upgrade runs it once", plan.ShutdownScript, len(scripts))
	}
	for _, n := range scripts {
		shutdownConfig(v, f, n)
	}
}

func shutdownConfig(v *view, f *findings, n *node) {
	a, s := n.Action.Parameters.(*plan.Script), n.shutdown
	if s.err != nil {
		f.step(n, "write it as the script reads it: user, reason, start_with, ignore, end_with, with names of components", "%v", s.err)
		return
	}
	if a.Path != plan.ShutdownScript || !a.Standard {
		f.step(n, "set path to "+plan.ShutdownScript+" and standard to true", "%q is not the standard script of that name", a.Path)
	}
	if !slices.Equal(s.StartWith, []string{plan.Component(watcher)}) {
		f.step(n, "set start_with to [Watcher]", "start_with is [%s]: the Watcher goes first, and it alone", list(s.StartWith))
	}
	if len(s.EndWith) > 0 {
		f.step(n, "remove end_with", "end_with is [%s]: the procedure has no such CSC, and the ScriptQueues have a step of their own", list(s.EndWith))
	}
	kept := v.kept()
	for i := range v.CSCs { // the script ignores a component with all its indices
		c := v.CSCs[i].CSC
		if _, ok := kept[c]; !ok && v.CSCs[i].Speaks() && slices.Contains(s.Ignore, plan.Component(c)) {
			f.step(n, "remove it from the ignore list", "%s is ignored, and stays up while the cluster is cleaned", c)
		}
	}
	accept := slices.Sorted(slices.Values(a.Accept))
	if !slices.Equal(accept, []string{"DONE", "FAILED"}) {
		f.step(n, "set accept to DONE and FAILED", "it accepts %s: the script ends DONE, or FAILED where a CSC did not get there; any other end is a trouble", list(a.Accept))
	}
}

// allOffline wants each CSC in a set-state step after the script.
func allOffline(v *view, f *findings) {
	if v.Type != plan.Full {
		return
	}
	scripts := v.where(func(n *node) bool { return n.shutdown != nil })
	if len(scripts) == 0 {
		return // said by shutdown-script
	}
	var missed, unlooked []string
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if _, kept := v.kept()[c.CSC]; kept || !c.Speaks() || isQueue(c.CSC) {
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
		f.plan("add an await-state step between the script and the set-state step", "nothing looks, between %s and the step that sends the rest to OFFLINE, whether %s are silent", plan.ShutdownScript, list(unlooked))
	}
	if len(missed) > 0 {
		f.plan("name them in the set-state step that follows "+plan.ShutdownScript,
			"no set-state step sends to OFFLINE what %s may leave of %s", plan.ShutdownScript, list(missed))
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
			if _, kept := v.kept()[name]; !ok || kept || !c.Speaks() {
				continue
			}
			if !v.any(func(m *node) bool { return m.seesOffline(name) && before(m, n) }) {
				unseen = append(unseen, name)
			}
		}
		if len(unseen) > 0 {
			f.step(n, "send them to OFFLINE by a set-state step that comes before", "the %s before %s was seen OFFLINE", what, list(unseen))
		}
	}
}

// concerned returns the CSCs that an incremental upgrade takes down: those that
// change, those that share a host with them or run on a host that the request
// names, the Watcher and the ScriptQueues.
func (v *view) concerned() map[string]bool {
	out := map[string]bool{watcher: true}
	for _, q := range v.queues() {
		out[q] = true
	}
	for _, h := range v.concernedHosts() {
		for _, c := range v.On(h) {
			out[c] = true
		}
	}
	for _, c := range v.Upgrade.Changed {
		out[c.CSC] = true
	}
	return out
}

func (v *view) concernedHosts() []string {
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
	concerned, hosts := v.concerned(), v.concernedHosts()
	for _, n := range v.steps {
		// What the controllers of the named hosts serve is no column of the table.
		served := func(c string) bool { return plan.Component(c) == "ESS" && len(n.sends) > 0 && len(v.Upgrade.Hosts) > 0 }
		var others []string
		for _, c := range slices.Concat(n.sends, n.deletes) {
			if !concerned[c] && !served(c) {
				others = append(others, c)
			}
		}
		if len(others) > 0 {
			f.step(n, "take them out, or name them in the request", "it takes down %s, which the upgrade does not concern", list(others))
		}
		if h := n.does.Host; h != "" && !slices.Contains(hosts, h) {
			f.step(n, "take the step out, or name the host in the request", "the upgrade does not concern the host %q", h)
		}
		if app := n.does.Syncs; app != "" && len(n.does.Starts) == 0 && !slices.Contains(v.Upgrade.Applications, app) {
			f.step(n, "take the step out, or name the application in the request", "it syncs %q, of which nothing was taken down and which the request does not name", app)
		}
	}
	concernedGoDown(v, f, concerned, hosts)
}

// concernedGoDown wants every CSC concerned to be taken down, and every host and
// application that the request names to be updated.
func concernedGoDown(v *view, f *findings, concerned map[string]bool, hosts []string) {
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if _, kept := v.kept()[c.CSC]; kept || !concerned[c.CSC] {
			continue
		}
		if c.Speaks() && !v.any(func(n *node) bool { return slices.Contains(n.sends, c.CSC) }) {
			f.plan("send it to OFFLINE by a set-state step", "%s is concerned and never sent to OFFLINE", c.CSC)
		}
		if c.Job != nil && !v.any(func(n *node) bool { return slices.Contains(n.deletes, c.CSC) }) {
			f.plan("delete its Job by its labels", "%s is concerned and its Job is never deleted, so that it would go on as it is", c.CSC)
		}
	}
	for _, h := range hosts {
		if !v.any(func(n *node) bool { return n.touches(h) }) {
			f.plan("add the steps that update it", "the host %q is concerned, and no step does anything there", h)
		}
	}
	for _, app := range v.Upgrade.Applications {
		if len(v.syncs(app)) == 0 {
			f.plan("add a sync of it", "the request names the application %q, and no step syncs it", app)
		}
	}
}
