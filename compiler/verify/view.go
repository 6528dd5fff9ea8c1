package verify

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// The CSCs that the procedure names.
const (
	watcher     = "Watcher:0"
	scriptQueue = "ScriptQueue"
)

// setStateScript is what set-state steps run; as a script step it would be
// invisible to the rules about states.
const setStateScript = "set_summary_state.py"

// The applications that the procedure names.
const (
	nublado           = "nublado"
	sasquatch         = "sasquatch"
	love              = "love"
	controlSystemTest = "control-system-test"
)

// A view is a plan prepared for the rules: its steps in one list, with their
// guaranteed order and what each does to CSCs.
type view struct {
	*plan.Plan
	steps []*node // in the plan's order, the final ones last
	cscs  map[string]*plan.CSC
	hosts map[string]*plan.Host
	// Results of the methods moving and commanding.
	moved, commanded map[*plan.CSC][]*node
	namedIn          map[string]map[string]bool // results of the method named, by text
}

// CSC returns the row of the named CSC, the first if there are several.
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
	stageAt   int         // index of the stage; each final step has its own
	at        int         // in view.steps
	earlier   map[*node]bool
	sends     []string            // CSCs that it sends to OFFLINE, in this order
	deletes   []string            // CSCs whose Jobs it deletes
	stops     []string            // CSCs on the host whose service it stops or that it reboots
	does      plan.Effects        // by the plan's own description
	shutdown  *shutdown           // of a step that runs that script; nil for others
	down      map[string]bool     // all of these: CSCs that it takes down
	starts    map[string]bool     // CSCs whose Job or service it starts
	commanded map[string]bool     // CSCs that it commands to a state
	awaits    map[string][]string // the states in which it waits for a CSC
}

func (n *node) stageID() string {
	if n.stage == nil {
		return ""
	}
	return n.stage.ID
}

func newView(p *plan.Plan) *view {
	v := &view{Plan: p, cscs: map[string]*plan.CSC{}, hosts: map[string]*plan.Host{}, moved: map[*plan.CSC][]*node{}, commanded: map[*plan.CSC][]*node{}, namedIn: map[string]map[string]bool{}}
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
		v.act(n)
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

// order sets, for each step of a stage, the steps that finish before it starts.
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

// before reports whether the plan guarantees that a finishes before b starts.
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

// act sets what the step's action does.
func (v *view) act(n *node) {
	if n.Action.Parameters == nil {
		return
	}
	n.does = n.Effects(v.Plan)
	n.sends, n.deletes, n.stops = n.does.DownBy(plan.ByCommand), n.does.DownBy(plan.ByDeletion), n.does.DownBy(plan.ByService, plan.ByReboot)
	n.down, n.starts, n.commanded = set(n.does.DownBy()), set(n.does.Starts), set(n.does.Commands)
	if a, ok := n.Action.Parameters.(*plan.Script); ok {
		if config, runs, err := a.Shutdown(); runs {
			n.shutdown = &shutdown{config, err}
		}
	}
	if n.does.ReadOnly {
		n.awaits = map[string][]string{}
		for _, w := range n.does.Sees {
			for _, c := range w.CSCs {
				if n.awaits[c] == nil {
					n.awaits[c] = w.States
				}
			}
		}
	}
}

// A shutdown is the configuration of a step that runs system_wide_shutdown.py.
type shutdown struct {
	plan.Shutdown
	err error // why the script cannot run with it
}

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// takesDown reports whether the step may take part of the control system down,
// whether or not a CSC of the table runs there.
func (n *node) takesDown() bool {
	return len(n.does.Down) > 0 || n.does.Stopped != "" || n.does.Rebooted != "" || n.does.Jobs != ""
}

// cites reports whether the step cites the number of the procedure.
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

// any reports whether a condition holds for some step.
func (v *view) any(cond func(*node) bool) bool { return slices.ContainsFunc(v.steps, cond) }

// down returns the steps that may take something down.
func (v *view) down() []*node { return v.where((*node).takesDown) }

// asking returns the manual steps for a number of the procedure.
func (v *view) asking(number string) []*node {
	return v.where(func(n *node) bool { return n.does.ByPerson && n.cites(number) })
}

// announcing returns the messages for a number of the procedure.
func (v *view) announcing(number string) []*node {
	return v.where(func(n *node) bool { return n.does.Posts != "" && n.cites(number) })
}

// looking returns the checks of CSCs for a number of the procedure.
func (v *view) looking(number string) []*node {
	return v.where(func(n *node) bool { return n.looks() && n.cites(number) })
}

// setting returns the steps that bring CSCs to a state for a number of the
// procedure.
func (v *view) setting(number string) []*node {
	return v.where(func(n *node) bool { return n.brought() && n.cites(number) })
}

// looks reports whether the step only waits for CSCs to reach their states.
func (n *node) looks() bool { return n.does.ReadOnly && len(n.does.Sees) > 0 }

// brought reports whether the step commands CSCs to a state and waits until they
// reach it.
func (n *node) brought() bool { return len(n.does.Commands) > 0 && len(n.does.Sees) > 0 }

func (n *node) kind() plan.Kind {
	if n.Action.Parameters == nil {
		return ""
	}
	return n.Action.Kind()
}

// syncs returns the syncs of an application, or all syncs if it is "".
func (v *view) syncs(application string) []*node {
	return v.where(func(n *node) bool { return n.does.Syncs != "" && (application == "" || n.does.Syncs == application) })
}

// brings reports whether the step starts the CSC again: a sync that recreates its
// Job, or the start of a service on its host.
func (n *node) brings(csc *plan.CSC) bool { return n.starts[csc.CSC] }

// moving returns the steps that take the CSC down or start it again.
func (v *view) moving(c *plan.CSC) []*node {
	steps, known := v.moved[c]
	if !known {
		for _, n := range v.commanding(c) {
			if n.down[c.CSC] || n.brings(c) {
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
		steps = v.where(func(n *node) bool { return n.commanded[c.CSC] || n.down[c.CSC] || n.brings(c) })
		v.commanded[c] = steps
	}
	return steps
}

// goesDown reports whether a step takes the CSC down.
func (v *view) goesDown(c *plan.CSC) bool {
	return slices.ContainsFunc(v.moving(c), func(n *node) bool { return n.down[c.CSC] })
}

// movesAfter reports whether a step may take the CSC down or start it once n has
// started.
func (v *view) movesAfter(n *node, c *plan.CSC) bool {
	return slices.ContainsFunc(v.moving(c), func(m *node) bool { return !before(m, n) })
}

// wants returns the states in which an await-state step wants the CSC.
func (n *node) wants(csc string) []string { return n.awaits[csc] }

// sets reports whether a set-state step brings the CSC to the state.
func (n *node) sets(csc, state string) bool {
	to, ok := n.sent(csc)
	return ok && to == state
}

// seesOffline reports whether the step finishes only once the CSC is OFFLINE.
func (n *node) seesOffline(csc string) bool {
	return n.sets(csc, plan.Offline) || slices.Equal(n.wants(csc), []string{plan.Offline})
}

func isQueue(csc string) bool {
	return plan.Component(csc) == scriptQueue && strings.Contains(csc, ":")
}

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

// list joins names for a message, omitting the middle of a long list.
func list(names []string) string {
	const most = 6
	if len(names) > most {
		return strings.Join(names[:most-1], ", ") + ", … and " + names[len(names)-1]
	}
	return strings.Join(names, ", ")
}
