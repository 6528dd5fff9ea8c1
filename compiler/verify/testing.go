package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func testingRules() []Rule {
	return []Rule{
		{"minimal-testing", []string{"P48", "P49", "P50", "P51"},
			"A test stand is tested after a recovery (both telescopes) and after an incremental upgrade (what changed, and its telescope). Each sequence runs its scripts one after the other, in the procedure's order. " +
				"Other sites are not tested.", minimalTesting},
		{"tracking-only", []string{"P52"},
			"If the telescopes only track, as at the Tucson test stand, no script takes images.", trackingOnly},
		{"enabled-after-maintenance", []string{"P55"},
			"After a recovery of a site that says so, such as the Tucson test stand, all CSCs of the cluster go back to ENABLED. They do so after the test sequences, which end in STANDBY, and not if integration testing follows.", enabledAfterMaintenance},
		{"known-script", []string{"P7", "P50", "P51"},
			"A plan runs only system_wide_shutdown.py and the scripts of minimal testing. States are set by set-state steps, which the rules understand. A configuration has each key once. A script must end DONE.", knownScript},
	}
}

// sequences are the scripts and manual steps of a telescope's test, in order. A
// bar separates alternatives. A site that only tracks omits those in [imaging].
var sequences = map[string][]string{
	"P50": {
		"auxtel/enable_atcs.py", "auxtel/enable_latiss.py", "auxtel_housekeeping.py", "run_command.py", "auxtel/prepare_for/onsky.py", "auxtel/track_target.py",
		"auxtel/take_image_latiss.py", "LATISS Exposure Table", "auxtel/stop_tracking.py", "auxtel/standby_atcs.py",
	},
	"P51": {
		"maintel/enable_mtcs.py", "maintel/enable_lsstcam.py", "maintel_housekeeping.py", "run_command.py",
		"maintel/home_both_axes.py", "maintel/enable_hexapod_compensation_mode.py", "maintel/mtdome/open_dome.py",
		"maintel/mtdome/enable_dome_following.py", "maintel/m1m3/raise_m1m3.py", "maintel/track_target.py",
		"maintel/take_image_lsstcam.py", "LSSTCam Exposure Table", "RubinTV", "maintel/stop_tracking.py|maintel/csc_end_of_night.py",
	},
}

// imaging is what only a test with images needs.
var imaging = []string{
	"auxtel/enable_latiss.py", "auxtel_housekeeping.py", "run_command.py", "auxtel/take_image_latiss.py", "LATISS Exposure Table",
	"maintel/enable_lsstcam.py", "maintel_housekeeping.py", "maintel/take_image_lsstcam.py", "LSSTCam Exposure Table", "RubinTV",
}

// sequence returns the parts of the test of P50 or P51 at the site.
func (v *view) sequence(number string) []string {
	var out []string
	for _, s := range sequences[number] {
		if !v.Facts.TrackingOnly || !slices.Contains(imaging, s) {
			out = append(out, s)
		}
	}
	return out
}

func minimalTesting(v *view, f *findings) {
	for _, number := range []string{"P50", "P51"} {
		steps := v.where(func(n *node) bool { return n.cites(number) })
		if !v.Facts.TestStand || v.Type == plan.Full {
			for _, n := range steps {
				f.step(n, "remove the step", "belongs to the minimal testing of a test stand after a recovery or an incremental upgrade")
			}
			continue
		}
		if v.tests(number) && len(steps) == 0 {
			f.plan("add the test sequence of "+number, "the telescope of %s must be tested but is not", number)
		}
		if len(steps) > 0 {
			sequence(v, f, number, steps)
		}
	}
	cycled(v, f)
}

// cycled requires each changed CSC to be brought to ENABLED and back after the new
// topics are checked (P49).
func cycled(v *view, f *findings) {
	if !v.Facts.TestStand || v.Type != plan.Incremental {
		return
	}
	setting := v.setting("P49")
	for _, name := range v.changedOrAdded() {
		c, ok := v.CSC(name)
		if !ok || c.Job == nil || !c.Speaks() || isQueue(c.CSC) || c.CSC == watcher {
			continue
		}
		back := slices.ContainsFunc(setting, func(up *node) bool {
			return up.sets(c.CSC, plan.Enabled) && slices.ContainsFunc(setting, func(down *node) bool {
				return (down.sets(c.CSC, plan.Standby) || down.sets(c.CSC, plan.Disabled)) && before(up, down)
			})
		})
		if !back {
			f.plan("add set-state steps for P49 that bring it to ENABLED and back", "%s has changed but is not cycled through its states", c.CSC)
		}
	}
	tests := v.where(func(n *node) bool { return n.cites("P50") || n.cites("P51") })
	last := slices.ContainsFunc(v.asking("P49"), func(m *node) bool {
		return !slices.Contains(tests, m) &&
			!slices.ContainsFunc(setting, func(n *node) bool { return !before(n, m) }) &&
			!slices.ContainsFunc(tests, func(n *node) bool { return !before(m, n) })
	})
	if len(setting) > 0 && !last {
		f.plan("add a manual step for P49 after them", "no step checks that the CSCs' topics receive data, after the CSCs are cycled and before the telescopes are tested")
	}
	for _, n := range setting {
		if !slices.ContainsFunc(v.asking("P49"), func(m *node) bool { return before(m, n) }) {
			f.step(n, "run it after the check for the new topics", "may cycle CSCs before the new topics are known to exist")
		}
		for _, t := range tests {
			if !before(n, t) {
				f.step(n, "run it before "+t.ID, "cycles CSCs but may run while %s tests their telescope", t.ID)
				break
			}
		}
	}
}

// changedOrAdded returns the CSCs of the request that run afterwards.
func (v *view) changedOrAdded() []string {
	var out []string
	for _, c := range v.Upgrade.Changed {
		out = append(out, c.CSC)
	}
	return append(out, v.Upgrade.Added...)
}

// tests reports whether the plan must test the telescope of P50 or P51, if the site
// has it: always after a recovery, and after an incremental upgrade if a part of it
// changed.
func (v *view) tests(number string) bool {
	i := slices.IndexFunc(v.Facts.Telescopes, func(t plan.Telescope) bool { return testNumbers[t.Name] == number })
	if i < 0 || v.Type == plan.Recovery {
		return i >= 0
	}
	parts := v.Facts.Telescopes[i].Consists
	return slices.ContainsFunc(v.changedOrAdded(), func(name string) bool {
		c, ok := v.CSC(name)
		return ok && (slices.Contains(parts, c.CSC) || c.Job != nil && slices.Contains(parts, c.Job.Application))
	})
}

// testNumbers are the numbers of the telescopes' tests.
var testNumbers = map[string]string{"auxtel": "P50", "maintel": "P51"}

// testQueues are the ScriptQueues of the telescopes: the ATQueue and the MTQueue.
var testQueues = map[string]int{"P50": 2, "P51": 1}

func sequence(v *view, f *findings, number string, steps []*node) {
	for i, n := range steps {
		for _, e := range steps[:i] {
			if !before(e, n) {
				f.step(n, "make it need "+e.ID, "may run at the same time as %s, on the same telescope", e.ID)
			}
		}
		for _, s := range v.steps {
			if (s.does.Syncs != "" || s.does.Host != "") && !before(s, n) {
				f.step(n, "run it after "+s.ID, "tests a telescope while %s may still be deploying to it", s.ID)
				break
			}
		}
	}
	for _, n := range steps {
		if q := n.does.Queue; q != 0 && len(n.does.Commands) == 0 && q != testQueues[number] {
			f.step(n, fmt.Sprintf("set queue to %d", testQueues[number]), "tests the telescope of %s on %s:%d, which belongs to another telescope", number, scriptQueue, q)
		}
	}
	last := -1
	for _, script := range v.sequence(number) {
		either := strings.Split(script, "|")
		at := slices.IndexFunc(steps, func(n *node) bool { return slices.ContainsFunc(either, n.runs) })
		switch {
		case at < 0:
			f.plan("add it to the sequence", "the test of %s does not run %s", number, strings.Join(either, " or "))
		case at < last:
			f.step(steps[at], "move it after "+steps[last].ID, "%s runs before %s, but the procedure has them in the opposite order", script, steps[last].ID)
		default:
			last = at
		}
	}
}

// runs reports whether the step runs the script, or has the operator run it.
func (n *node) runs(script string) bool {
	switch a := n.Action.Parameters.(type) {
	case *plan.Script:
		return a.Path == script
	case *plan.Manual:
		return strings.Contains(a.Text, script)
	}
	return false
}

func trackingOnly(v *view, f *findings) {
	if !v.Facts.TrackingOnly {
		return
	}
	for _, n := range v.steps {
		if a, ok := n.Action.Parameters.(*plan.Script); ok && strings.HasPrefix(path.Base(a.Path), "take_") {
			f.step(n, "remove the step", "%s takes images, but the telescopes of this site only track", a.Path)
		}
	}
}

func enabledAfterMaintenance(v *view, f *findings) {
	applies := v.Facts.EnableAll && v.Type == plan.Recovery && !v.Upgrade.IntegrationTestingFollows
	enabling := v.setting("P55")
	if !applies {
		for _, n := range enabling {
			f.step(n, "remove the step", "enables a whole site, which only a recovery of a site that says so may do, without integration testing")
		}
		return
	}
	var missed []string
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if !c.Speaks() || c.Job == nil {
			continue
		}
		if !slices.ContainsFunc(enabling, func(n *node) bool { return n.sets(c.CSC, plan.Enabled) }) {
			missed = append(missed, c.CSC)
		}
	}
	if len(missed) > 0 {
		f.plan("add them to a set-state step for P55", "no step brings %s back to ENABLED after the maintenance", list(missed))
	}
	for _, n := range enabling {
		for _, t := range v.where(func(n *node) bool { return n.cites("P50") || n.cites("P51") }) {
			if !before(t, n) {
				f.step(n, "run it after "+t.ID, "%s may run after it, but its sequence ends in STANDBY", t.ID)
			}
		}
	}
}

func knownScript(v *view, f *findings) {
	for _, n := range v.steps {
		a, ok := n.Action.Parameters.(*plan.Script)
		if !ok || n.shutdown != nil {
			continue
		}
		switch {
		case path.Base(a.Path) == setStateScript:
			f.step(n, "use an action of kind set-state", "sets states with a script, which the rules do not understand")
		case !n.cites("P50") && !n.cites("P51"):
			f.step(n, "remove the step", "%q is not a script of the procedure, or the step does not cite P50 or P51", a.Path)
		}
		if err := a.CheckConfig(); err != nil {
			f.step(n, "write each key once, in YAML", "%v", err)
		}
		if !a.Standard {
			f.step(n, "set standard to true", "%q is not a standard script", a.Path)
		}
		if !slices.Equal(a.Accept, []string{"DONE"}) {
			f.step(n, "set accept to DONE", "accepts %s: a test that does not finish is not a test", list(a.Accept))
		}
	}
}
