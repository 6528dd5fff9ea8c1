package verify

import (
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

func limitRules() []Rule {
	return []Rule{
		{"time-limits", []string{"P27", "P29", "P39"},
			"Time limits are generous where containers are pulled or code is generated, and nothing that a machine does is waited for without an end.", timeLimits},
		{"failure-asked", []string{"P2", "P39", "P41"},
			"A step that fails stops the run and asks, unless nothing hangs on it: a message, a look for what is not OFFLINE yet that a later step sees to, or a group of CSCs that is brought up and looked at later.", failureAsked},
	}
}

// bounds are the least and the most time that a kind of action may be given.
var bounds = map[plan.Kind][2]time.Duration{
	plan.KindManual:        {10 * time.Minute, 24 * time.Hour},
	plan.KindAnnounce:      {10 * time.Second, 15 * time.Minute},
	plan.KindScript:        {2 * time.Minute, 4 * time.Hour},
	plan.KindSetState:      {time.Minute, 6 * time.Hour},
	plan.KindAwaitState:    {time.Minute, 2 * time.Hour},
	plan.KindSSH:           {30 * time.Second, 6 * time.Hour},
	plan.KindReboot:        {5 * time.Minute, 2 * time.Hour},
	plan.KindDelete:        {2 * time.Minute, 2 * time.Hour},
	plan.KindSync:          {10 * time.Minute, 4 * time.Hour},
	plan.KindCompatibility: {30 * time.Second, 30 * time.Minute},
}

func timeLimits(v *view, f *findings) {
	for _, n := range v.steps {
		limits, ok := bounds[n.kind()]
		if !ok {
			continue
		}
		least, most := limits[0], limits[1]
		if a, ok := n.Action.Parameters.(*plan.SSH); ok && strings.Contains(strings.Join(a.Commands, "\n"), "salgenerator") {
			least = 90 * time.Minute // the generation alone takes about an hour
		}
		if t := time.Duration(n.Timeout); t < least || t > most {
			f.step(n, "choose a limit between these", "its time limit is %s; for what it does it should be %s to %s", n.Timeout, plan.Duration(least), plan.Duration(most))
		}
	}
}

func failureAsked(v *view, f *findings) {
	for _, n := range v.steps {
		if n.OnFailure != plan.Report {
			continue
		}
		switch a := n.Action.Parameters.(type) {
		case *plan.Announce:
			if a.Handover {
				f.step(n, "set onFailure to ask", "somebody waits for this message, and its failure would only be reported")
			}
		case *plan.SetState:
			if a.State == plan.Offline || n.Consent != "" && len(n.Principals) > 0 {
				f.step(n, "set onFailure to ask", "if it fails the run would go on, although what follows counts on the CSCs' state")
			} else if c := v.unrepeated(n, a.CSCs, []string{a.State}); c != "" {
				f.step(n, "set onFailure to ask, or look at the CSCs afterwards", "if it fails the run would go on, and no later step looks whether %s is %s", c, a.State)
			}
		case *plan.AwaitState:
			for _, w := range a.Want {
				if !slices.Equal(w.States, []string{plan.Offline}) {
					f.step(n, "set onFailure to ask", "if it fails the run would go on, although %s may not be %s", list(w.CSCs), list(w.States))
					break
				}
				if c := v.unrepeated(n, w.CSCs, w.States); c != "" {
					f.step(n, "set onFailure to ask", "if it fails the run would go on, and no later step looks whether %s is %s", c, list(w.States))
					break
				}
			}
		default:
			f.step(n, "set onFailure to ask", "if it fails the run would go on as if it had been done")
		}
	}
}

// unrepeated returns the first of the CSCs that no later step, whose failure is
// asked about, brings to or sees in one of the states; "" if there is none.
func (v *view) unrepeated(n *node, cscs, states []string) string {
	for _, c := range cscs {
		again := v.any(func(l *node) bool {
			if l.OnFailure != plan.Ask || !before(n, l) {
				return false
			}
			set := slices.ContainsFunc(states, func(s string) bool { return l.sets(c, s) })
			seen := l.wants(c)
			return set || len(seen) > 0 && !slices.ContainsFunc(seen, func(s string) bool { return !slices.Contains(states, s) })
		})
		if !again {
			return c
		}
	}
	return ""
}
