package verify

import (
	"path"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// The CSCs that the procedure names.
const (
	watcher     = "Watcher:0"
	scriptQueue = "ScriptQueue"
)

// The applications that the procedure names.
const (
	nublado           = "nublado"
	sasquatch         = "sasquatch"
	love              = "love"
	controlSystemTest = "control-system-test"
)

// A view is a plan prepared for the rules: its steps in one list, with the order
// that is guaranteed between them, and what each of them does to CSCs.
type view struct {
	*plan.Plan
	steps []*node // in the plan's order, the final ones last
	cscs  map[string]*plan.CSC
	hosts map[string]*plan.Host
	// What moving and commanding have found.
	moved, commanded map[*plan.CSC][]*node
}

// CSC returns the row of the named CSC, the first where there are several.
func (v *view) CSC(name string) (*plan.CSC, bool) {
	c, ok := v.cscs[name]
	return c, ok
}

// Host returns the row of the named host.
func (v *view) Host(name string) (*plan.Host, bool) {
	h, ok := v.hosts[name]
	return h, ok
}

// A node is a step with its place.
type node struct {
	*plan.Step
	stage     *plan.Stage // nil for a final step
	stageAt   int         // of the stage; final steps stand each in one of its own
	at        int         // in view.steps
	earlier   map[*node]bool
	sends     []string // CSCs that it sends to OFFLINE, in this order
	deletes   []string // CSCs whose Jobs it deletes
	stops     []string // CSCs on the host whose service it stops or that it reboots
	closes    *shutdown
	down      map[string]bool     // all of these: CSCs that it takes down
	brings    map[string]bool     // CSCs whose Jobs it brings back
	commanded map[string]bool     // CSCs that it brings to a state
	awaits    map[string][]string // the states in which it waits for a CSC
}

func (n *node) stageID() string {
	if n.stage == nil {
		return ""
	}
	return n.stage.ID
}

func newView(p *plan.Plan) *view {
	v := &view{Plan: p, cscs: map[string]*plan.CSC{}, hosts: map[string]*plan.Host{}, moved: map[*plan.CSC][]*node{}, commanded: map[*plan.CSC][]*node{}}
	for i := range p.CSCs {
		if c := &p.CSCs[i]; v.cscs[c.CSC] == nil {
			v.cscs[c.CSC] = c
		}
	}
	for i := range p.Hosts {
		if h := &p.Hosts[i]; v.hosts[h.Name] == nil {
			v.hosts[h.Name] = h
		}
	}
	add := func(s *plan.Step, stage *plan.Stage, at int) *node {
		n := &node{Step: s, stage: stage, stageAt: at, at: len(v.steps)}
		v.effects(n)
		v.steps = append(v.steps, n)
		return n
	}
	for i := range p.Stages {
		var within []*node
		for j := range p.Stages[i].Steps {
			within = append(within, add(&p.Stages[i].Steps[j], &p.Stages[i], i))
		}
		order(within)
	}
	for i := range p.Final {
		add(&p.Final[i], nil, len(p.Stages)+i)
	}
	return v
}

// order fills in, for each step of a stage, those that are finished before it
// starts.
func order(stage []*node) {
	byID := map[string]*node{}
	for _, n := range stage {
		byID[n.ID] = n
	}
	for _, n := range stage {
		n.earlier = map[*node]bool{}
		next := []*node{n}
		for len(next) > 0 {
			x := next[len(next)-1]
			next = next[:len(next)-1]
			for _, id := range x.Needs {
				if e := byID[id]; e != nil && !n.earlier[e] {
					n.earlier[e] = true
					next = append(next, e)
				}
			}
		}
	}
}

// before tells whether a is finished before b starts, by the plan's order.
func before(a, b *node) bool {
	return a.stageAt < b.stageAt || a.stageAt == b.stageAt && b.earlier[a]
}

// firstOf returns the place of a stage among its plan's steps, for sorting.
func (v *view) firstOf(stage int) int {
	for _, n := range v.steps {
		if n.stageAt >= stage {
			return 2*n.at + 1
		}
	}
	return 2*len(v.steps) + 1
}

func (v *view) effects(n *node) {
	defer func() { n.down = set(n.downs()) }()
	switch a := n.Action.Doer.(type) {
	case *plan.SetState:
		n.commanded = set(a.CSCs)
		if a.State == plan.Offline {
			n.sends = a.CSCs
		}
	case *plan.Script:
		if path.Base(a.Path) == shutdownScript {
			n.closes = parseShutdown(a.Config)
			n.sends = v.reached(n.closes)
		}
	case *plan.Delete:
		if a.Objects == plan.Jobs {
			n.deletes = a.CSCs
		}
	case *plan.SSH:
		if a.Purpose == plan.Stop {
			n.stops = v.on(a.Host)
		}
	case *plan.Reboot:
		n.stops = v.on(a.Host)
	case *plan.Sync:
		n.brings = set(a.CSCs)
	case *plan.AwaitState:
		n.awaits = map[string][]string{}
		for _, w := range a.Want {
			for _, c := range w.CSCs {
				if n.awaits[c] == nil {
					n.awaits[c] = w.States
				}
			}
		}
	}
}

// reached returns the CSCs that system_wide_shutdown.py sends to OFFLINE, those
// of start_with first.
func (v *view) reached(s *shutdown) []string {
	var out []string
	for _, c := range s.startWith {
		if _, ok := v.CSC(c); ok {
			out = append(out, c)
		}
	}
	for i := range v.CSCs {
		c := &v.CSCs[i]
		left := !c.Speaks() || isQueue(c.CSC) || slices.Contains(s.ignore, c.CSC) || slices.Contains(out, c.CSC)
		if !left {
			out = append(out, c.CSC)
		}
	}
	return out
}

// on returns the CSCs that a host runs.
func (v *view) on(host string) []string {
	var out []string
	for i := range v.CSCs {
		if host != "" && v.CSCs[i].Host == host {
			out = append(out, v.CSCs[i].CSC)
		}
	}
	return out
}

// downs returns the CSCs that the step takes down.
func (n *node) downs() []string { return slices.Concat(n.sends, n.deletes, n.stops) }

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// takesDown tells whether the step may take something of the control system
// down, whether or not a CSC of the table runs there.
func (n *node) takesDown() bool {
	switch a := n.Action.Doer.(type) {
	case *plan.SSH:
		return a.Purpose == plan.Stop
	case *plan.Reboot:
		return true
	case *plan.Delete:
		return a.Objects == plan.Jobs
	}
	return len(n.sends) > 0
}

// cites tells whether the step names the number of the procedure.
func (n *node) cites(number string) bool { return slices.Contains(n.Source, number) }

// where returns the steps for which a condition holds.
func (v *view) where(cond func(*node) bool) []*node {
	var out []*node
	for _, n := range v.steps {
		if cond(n) {
			out = append(out, n)
		}
	}
	return out
}

// any tells whether a condition holds for some step.
func (v *view) any(cond func(*node) bool) bool { return slices.ContainsFunc(v.steps, cond) }

// down returns the steps that may take something down.
func (v *view) down() []*node { return v.where((*node).takesDown) }

// citing returns the steps of a kind that name a number of the procedure.
func (v *view) citing(kind plan.Kind, number string) []*node {
	return v.where(func(n *node) bool { return n.kind() == kind && n.cites(number) })
}

func (n *node) kind() plan.Kind {
	if n.Action.Doer == nil {
		return ""
	}
	return n.Action.Kind()
}

// syncs returns the syncs of an application, or with "" all of them.
func (v *view) syncs(application string) []*node {
	return v.where(func(n *node) bool {
		a, ok := n.Action.Doer.(*plan.Sync)
		return ok && (application == "" || a.Application == application)
	})
}

// brings tells whether the step starts the CSC again: a sync that recreates its
// Job, or the start of a service on its host.
func (v *view) brings(n *node, csc *plan.CSC) bool {
	if a, ok := n.Action.Doer.(*plan.SSH); ok {
		return a.Purpose == plan.Start && csc.Host != "" && a.Host == csc.Host
	}
	return n.brings[csc.CSC]
}

// moving returns the steps that take the CSC down or start it again.
func (v *view) moving(c *plan.CSC) []*node {
	steps, known := v.moved[c]
	if !known {
		for _, n := range v.commanding(c) {
			if n.down[c.CSC] || v.brings(n, c) {
				steps = append(steps, n)
			}
		}
		v.moved[c] = steps
	}
	return steps
}

// commanding returns the steps that take the CSC down, start it again or bring
// it to a state.
func (v *view) commanding(c *plan.CSC) []*node {
	steps, known := v.commanded[c]
	if !known {
		steps = v.where(func(n *node) bool { return n.commanded[c.CSC] || n.down[c.CSC] || v.brings(n, c) })
		v.commanded[c] = steps
	}
	return steps
}

// goesDown tells whether a step takes the CSC down.
func (v *view) goesDown(c *plan.CSC) bool {
	return slices.ContainsFunc(v.moving(c), func(n *node) bool { return n.down[c.CSC] })
}

// movesBehind tells whether a step may take the CSC down or start it when the
// given one starts, or later.
func (v *view) movesBehind(n *node, c *plan.CSC) bool {
	return slices.ContainsFunc(v.moving(c), func(m *node) bool { return !before(m, n) })
}

// wants returns the states in which an await-state step wants the CSC.
func (n *node) wants(csc string) []string { return n.awaits[csc] }

// sets tells whether a set-state step brings the CSC to the state.
func (n *node) sets(csc, state string) bool {
	a, ok := n.Action.Doer.(*plan.SetState)
	return ok && a.State == state && n.commanded[csc]
}

// seesOffline tells whether the step ends only when the CSC is OFFLINE.
func (n *node) seesOffline(csc string) bool {
	return n.sets(csc, plan.Offline) || slices.Equal(n.wants(csc), []string{plan.Offline})
}

func component(csc string) string {
	name, _, _ := strings.Cut(csc, ":")
	return name
}

func isQueue(csc string) bool { return component(csc) == scriptQueue && strings.Contains(csc, ":") }

// queues returns the ScriptQueues of the plan's table.
func (v *view) queues() []string {
	var out []string
	for i := range v.CSCs {
		if isQueue(v.CSCs[i].CSC) {
			out = append(out, v.CSCs[i].CSC)
		}
	}
	return out
}

// bridgeHosts returns the hosts that run a camera OCS bridge.
func (v *view) bridgeHosts() []string {
	var out []string
	for i := range v.CSCs {
		if c := &v.CSCs[i]; c.Bridge && !slices.Contains(out, c.Host) {
			out = append(out, c.Host)
		}
	}
	return out
}

// ids quotes and joins the ids of steps for a message.
func ids(nodes []*node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.ID)
	}
	return list(out)
}

// list joins names for a message, and leaves out the middle of a long list.
func list(names []string) string {
	const most = 6
	if len(names) > most {
		return strings.Join(names[:most-1], ", ") + ", … and " + names[len(names)-1]
	}
	return strings.Join(names, ", ")
}
