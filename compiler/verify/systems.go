package verify

import (
	"fmt"
	"slices"

	"github.com/lsst-ts/csu/executor/plan"
)

func systemRules() []Rule {
	return []Rule{
		{"system-down", []string{"P9", "P18", "P31", "P32"},
			"No step uses a ScriptQueue, LOVE, the EFD or the schema registry between the step that takes it down and the step that sees it back. " +
				"In between, steps use only people, hosts and the cluster.", systemDown},
		{"one-queue", []string{"P7", "P9"},
			"All scripts run on the ScriptQueue that the request names, since the plan takes that one down last. Only the scripts of minimal testing have their own queues.", oneQueue},
		{"alarms", []string{"P9"},
			"While the Watcher is down, no script may command it to mute its alarms: the script would fail.", alarms},
	}
}

// A system is something that steps use and that the plan itself may take down.
type system struct {
	name string
	down func(*node) bool // takes it down
	up   func(*node) bool // finishes only once it is back
	uses func(*node) bool
}

// systems returns the systems that the plan uses and may take down.
func (v *view) systems() []system {
	syncOf := func(application string) func(*node) bool {
		return func(n *node) bool {
			return n.does.Syncs == application
		}
	}
	reads := func(n *node) bool { return n.does.EFD && n.does.ReadOnly && len(n.does.Sees) > 0 }
	out := []system{
		{
			name: "LOVE",
			down: func(n *node) bool {
				c, ok := v.CSC(first(n.deletes))
				return syncOf(love)(n) || ok && c.Job != nil && c.Job.Application == love
			},
			up:   syncOf(love),
			uses: func(n *node) bool { return n.does.LOVE },
		},
		{
			name: "the EFD",
			down: syncOf(sasquatch),
			up:   func(n *node) bool { return reads(n) || n.does.ByPerson && n.cites("P31") },
			uses: func(n *node) bool { return n.does.EFD && !n.does.ByPerson }, // the operator is shown what can be read
		},
		{
			name: "the schema registry",
			down: syncOf(sasquatch),
			up:   syncOf(sasquatch),
			uses: func(n *node) bool { return n.does.Level != "" },
		},
	}
	for i := range 3 {
		queue := fmt.Sprintf("%s:%d", scriptQueue, i+1)
		out = append(out, system{
			name: queue,
			down: func(n *node) bool { return n.down[queue] },
			up: func(n *node) bool {
				return n.OnFailure == plan.Ask && slices.Equal(n.wants(queue), []string{plan.Enabled})
			},
			uses: func(n *node) bool { return n.does.Queue == i+1 },
		})
	}
	return out
}

func systemDown(v *view, f *findings) {
	for _, s := range v.systems() {
		down, up := v.where(s.down), v.where(s.up)
		for _, n := range v.where(s.uses) {
			for _, d := range down {
				if d == n || before(n, d) || backBetween(s, up, d, n) {
					continue
				}
				if before(d, n) {
					f.step(n, "run it before that, or after a step that sees it back", "uses %s, which %s takes down and no step between them sees back", s.name, d.ID)
				} else {
					f.step(n, "move one of them to another stage, or make one need the other", "uses %s but may run at the same time as %s, which takes it down", s.name, d.ID)
				}
			}
		}
	}
}

// backBetween reports whether the system is seen back after d and before n, or by
// n itself.
func backBetween(s system, up []*node, d, n *node) bool {
	if s.up(n) && n != d && before(d, n) {
		return true
	}
	return slices.ContainsFunc(up, func(u *node) bool { return (u == d || before(d, u)) && before(u, n) })
}

func oneQueue(v *view, f *findings) {
	for _, n := range v.steps {
		q := n.does.Queue
		if q == 0 || q == v.Upgrade.Queue {
			continue
		}
		if !(len(n.does.Commands) == 0 && (n.cites("P50") || n.cites("P51"))) {
			f.step(n, fmt.Sprintf("set queue to %d", v.Upgrade.Queue), "uses %s:%d, but the request names %s:%d", scriptQueue, q, scriptQueue, v.Upgrade.Queue)
		}
	}
	if q := fmt.Sprintf("%s:%d", scriptQueue, v.Upgrade.Queue); !slices.Contains(v.queues(), q) {
		f.plan("name a ScriptQueue of the site in the request", "the request names %s, which is not in the plan's table", q)
	}
}

func alarms(v *view, f *findings) {
	down := v.where(func(n *node) bool { return n.down[watcher] })
	up := v.where(func(n *node) bool {
		return n.sets(watcher, plan.Enabled) || slices.Equal(n.wants(watcher), []string{plan.Enabled})
	})
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.SetState)
		if !ok || !a.MuteAlarms {
			continue
		}
		for _, d := range down {
			back := slices.ContainsFunc(up, func(u *node) bool { return before(d, u) && before(u, n) })
			if !before(n, d) && !back {
				f.step(n, "set muteAlarms to false", "mutes the Watcher's alarms, but %s takes the Watcher down", d.ID)
				break
			}
		}
	}
}
