package verify

import (
	"encoding/json"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func phaseRules() []Rule {
	return []Rule{
		{"procedure-order", []string{"P7", "P15", "P17", "P18", "P22", "P24", "P28", "P29", "P30", "P32", "P35", "P36", "P37", "P41", "P48", "P55"},
			"The parts of the procedure run in order: CSCs and services go down, the cluster is cleaned up, the configuration is updated, hosts, platform and control system are deployed, bridges and services start beside the watch, " +
				"the cRIOs are updated once the builds that began with the configuration are done, and the CSCs are enabled and tested.", procedureOrder},
		{"stage-source", []string{"P2"},
			"The operator consents to what a stage says about itself: it cites the numbers of all its steps, and each cited number that needs a step has one in the stage.", stageSource},
		{"once", []string{"P2"},
			"Nothing is done twice: no two steps have the same action, unless a step between them moves the CSCs that they check or set.", once},
	}
}

// phases are the parts of the procedure, in its order.
var phases = []string{
	"sending CSCs to OFFLINE", "stopping the camera bridges", "stopping bare-metal services", "cleaning up the cluster",
	"updating the configuration", "beginning the builds on cRIOs", "allowing incompatible schemas", "updating hosts", "syncing the platform",
	"syncing the control system", "starting the camera bridges", "starting bare-metal services", "watching CSCs come up", "updating the cRIOs",
	"enabling CSCs", "minimal testing", "enabling all CSCs after maintenance", "announcing that Nublado is available",
}

// beside reports whether the procedure does not order two phases: cameras, bare metal and
// the watch run beside each other after the syncs (P35).
func beside(earlier, later int) bool { return earlier == 10 && (later == 11 || later == 12) }

// phase returns the index in phases of the step's part of the procedure, or -1
// if the step belongs to none, or to the unit of a CSC that keeps its state.
func (v *view) phase(n *node) int {
	cites := func(numbers ...string) bool { return slices.ContainsFunc(numbers, n.cites) }
	switch does := &n.does; {
	case does.Jobs != "" || does.Namespaces != "":
		if c, ok := v.CSC(first(n.deletes)); ok && c.Job != nil && c.Job.Application == love {
			return 9
		}
		return 3
	case does.Begun != "":
		if v.Upgrade.CriosFirst {
			return -1 // see the rule builds
		}
		return 5
	case does.Level != "":
		return 6
	case does.Syncs != "":
		if v.Type == plan.Full && slices.Contains([]string{v.Targets.ArgoCD.AppOfApps, nublado, sasquatch}, does.Syncs) {
			return 8
		}
		return 9
	case len(n.sends) > 0:
		return 0
	case cites("P15", "P16"):
		return 1
	case cites("P17"):
		return 2
	case cites("P22", "P23"), cites("P32") && does.ByPerson:
		return 4
	case cites("P28") && !cites("P6"):
		return 7
	case cites("P29") && !cites("P6"):
		return 13
	case cites("P31"):
		return 8
	case cites("P34", "P35"):
		return 10
	case cites("P36"):
		return 11
	case cites("P50", "P51", "P48", "P49"):
		return 15
	case cites("P39", "P45", "P46", "P47"), cites("P5") && n.brought():
		return 12
	case cites("P41", "P43"):
		return 14
	case cites("P55"):
		return 16
	case cites("P42"):
		return 17
	}
	return -1
}

func procedureOrder(v *view, f *findings) {
	byPhase := make([][]*node, len(phases))
	for _, n := range v.steps {
		if p := v.phase(n); p >= 0 && n.stage != nil {
			byPhase[p] = append(byPhase[p], n)
		}
	}
	for p, later := range byPhase {
		for _, n := range later {
			if e, q := unfinished(byPhase[:p], n); e != nil {
				f.step(n, "run it after "+e.ID, "belongs to %s but may run before %s, which belongs to %s", phases[p], e.ID, phases[q])
			}
		}
	}
}

// unfinished returns a step of the phases that may not be done before n, and its
// phase.
func unfinished(earlier [][]*node, n *node) (*node, int) {
	for q, nodes := range earlier {
		for _, e := range nodes {
			if !beside(q, len(earlier)) && !before(e, n) {
				return e, q
			}
		}
	}
	return nil, 0
}

func stageSource(v *view, f *findings) {
	needStep := map[string]bool{}
	for _, in := range instructions {
		needStep[in.number] = len(in.kinds) > 0
	}
	for i := range v.Stages {
		s := &v.Stages[i]
		cited := map[string]bool{}
		for _, n := range v.steps {
			if n.stage != s {
				continue
			}
			for _, number := range n.Source {
				cited[number] = true
				if !slices.Contains(s.Source, number) {
					f.step(n, "move the step to a stage that cites "+number+", or cite it in this stage", "carries out %s, which its stage does not cite: the operator would consent to something else", number)
				}
			}
		}
		for _, number := range s.Source {
			if needStep[number] && !cited[number] {
				f.stage(s, "add the step, or remove the number", "cites %s, which none of its steps carries out", number)
			}
		}
	}
}

func once(v *view, f *findings) {
	same := map[string][]*node{} // by their action
	for _, n := range v.steps {
		if n.Action.Parameters == nil {
			continue
		}
		action, err := json.Marshal(n.Action)
		if err != nil {
			continue // it cannot be encoded in a plan either
		}
		key := string(action)
		for _, e := range same[key] {
			if !v.movedBetween(e, n) {
				f.step(n, "remove one of them", "does the same as %s", e.ID)
				break
			}
		}
		same[key] = append(same[key], n)
	}
}

// movedBetween reports whether a step between the two moves a CSC that both set or
// check.
func (v *view) movedBetween(a, b *node) bool {
	var cscs []string
	for _, w := range a.does.Sees {
		cscs = append(cscs, w.CSCs...)
	}
	return v.any(func(m *node) bool {
		if m == a || m == b || !before(a, m) || !before(m, b) {
			return false
		}
		return slices.ContainsFunc(cscs, func(name string) bool {
			c, ok := v.CSC(name)
			return ok && (m.commanded[name] || m.down[name] || m.brings(c))
		})
	})
}
