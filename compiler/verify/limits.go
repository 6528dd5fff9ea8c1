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
			"Time limits are generous where images are pulled or code is generated, and csu never waits for a machine without a limit.", timeLimits},
		{"failure-asked", []string{"P2", "P39", "P41"},
			"A step that fails stops the run and asks, unless nothing depends on it: a message, a check for CSCs that are not OFFLINE yet and that a later step takes down, or a group of CSCs that a later step brings up or checks, none of which keeps its state through the upgrade.", failureAsked},
	}
}

// limits are the shortest and the longest time limit that a step may have.
type limits struct{ least, most time.Duration }

// limitsOf returns the limits of each kind.
type limitsOf struct{}

func (limitsOf) Manual(*plan.Manual) limits         { return limits{10 * time.Minute, 24 * time.Hour} }
func (limitsOf) Announce(*plan.Announce) limits     { return limits{10 * time.Second, 15 * time.Minute} }
func (limitsOf) Script(*plan.Script) limits         { return limits{2 * time.Minute, 4 * time.Hour} }
func (limitsOf) SetState(*plan.SetState) limits     { return limits{time.Minute, 6 * time.Hour} }
func (limitsOf) AwaitState(*plan.AwaitState) limits { return limits{time.Minute, 2 * time.Hour} }
func (limitsOf) Reboot(*plan.Reboot) limits         { return limits{5 * time.Minute, 2 * time.Hour} }
func (limitsOf) Delete(*plan.Delete) limits         { return limits{2 * time.Minute, 2 * time.Hour} }
func (limitsOf) Sync(*plan.Sync) limits             { return limits{10 * time.Minute, 4 * time.Hour} }
func (limitsOf) Compatibility(*plan.Compatibility) limits {
	return limits{30 * time.Second, 30 * time.Minute}
}
func (limitsOf) SSH(a *plan.SSH) limits {
	if a.Purpose == plan.Build {
		return limits{time.Minute, 30 * time.Minute} // it only begins
	}
	if strings.Contains(strings.Join(a.Commands, "\n"), "salgenerator") {
		return limits{90 * time.Minute, 6 * time.Hour} // the generation alone takes about an hour
	}
	return limits{30 * time.Second, 6 * time.Hour}
}

func timeLimits(v *view, f *findings) {
	for _, n := range v.steps {
		l := plan.Visit(n.Action.Parameters, plan.Visitor[limits](limitsOf{}))
		if t := time.Duration(n.Timeout); l.most > 0 && (t < l.least || t > l.most) {
			f.step(n, "choose a limit in this range", "its time limit is %s, want %s to %s", n.Timeout, plan.Duration(l.least), plan.Duration(l.most))
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
				f.step(n, "set onFailure to ask", "its recipients wait for this message, but its failure would only be reported")
			}
		case *plan.SetState:
			kept := v.protectedStates()
			if c := slices.IndexFunc(a.CSCs, func(c string) bool { return kept[c] != "" }); c >= 0 {
				f.step(n, "set onFailure to ask", "if it fails, the run continues although %s, which keeps its state, may not be %s", a.CSCs[c], a.State)
			} else if a.State == plan.Offline || n.Consent != "" && len(n.Principals) > 0 {
				f.step(n, "set onFailure to ask", "if it fails, the run continues although later steps rely on the CSCs' state")
			} else if c := v.unrepeated(n, a.CSCs, []string{a.State}); c != "" {
				f.step(n, "set onFailure to ask, or check the CSCs afterwards", "if it fails, the run continues and no later step checks that %s is %s", c, a.State)
			}
		case *plan.AwaitState:
			for _, w := range a.Want {
				if !slices.Equal(w.States, []string{plan.Offline}) {
					f.step(n, "set onFailure to ask", "if it fails, the run continues although %s may not be %s", list(w.CSCs), list(w.States))
					break
				}
				if c := v.unrepeated(n, w.CSCs, w.States); c != "" {
					f.step(n, "set onFailure to ask", "if it fails, the run continues and no later step checks that %s is %s", c, list(w.States))
					break
				}
			}
		default:
			f.step(n, "set onFailure to ask", "if it fails, the run continues as if it had succeeded")
		}
	}
}

// unrepeated returns the first of the CSCs that no later step brings to one of the
// states or checks there, or "" if there is none. Only steps that ask on failure
// count.
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
