package verify

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/plan"
)

func announceRules() []Rule {
	return []Rule{
		{"announced", []string{"P40", "P42", "P53"},
			"The start of the deployment is announced on the site's channel before anything goes down. The end of a full upgrade is announced too: " +
				"Nublado is available again, unless integration testing follows.", announced},
		{"announced-facts", []string{"P53"},
			"The announcement of the start says how long the plan takes at least, and which of the ScriptQueues, the Watcher, LOVE and Nublado are unavailable meanwhile.", announcedFacts},
		{"broken-reported", []string{"P39", "P40"},
			"CSCs that do not work are reported to the site, after the CSCs are watched coming up and again at the end.", brokenReported},
	}
}

func handoverRules() []Rule {
	return []Rule{
		{"camera-handovers", []string{"P15", "P16", "P34", "P35"},
			"There are two hand-overs to the camera team: after the bridges are stopped, a message that their stage 1 may begin; before a bridge is started, " +
				"a message that stage 2 may begin. The team waits for each, and the operator confirms that they received it.", cameraHandovers},
	}
}

func announced(v *view, f *findings) {
	begin := v.announcing("P53")
	if len(begin) == 0 {
		f.plan("add an announce step for P53 to the first stage", "no step announces the start of the deployment")
	} else {
		for _, d := range v.down() {
			if !slices.ContainsFunc(begin, func(b *node) bool { return before(b, d) }) {
				f.step(d, "run it after "+begin[0].ID, "takes something down but may run before the deployment is announced")
			}
		}
	}
	for _, n := range begin {
		opening := !slices.ContainsFunc(v.steps, func(m *node) bool { return m.takesDown() && !before(n, m) })
		if !opening && v.any(func(m *node) bool { return m.stage != nil && m.does.Posts == "" && !before(m, n) }) {
			f.step(n, "run it before anything goes down, or after everything else", "announces the start or the end of the deployment in the middle of it")
		}
	}
	again := v.where(func(n *node) bool { return n.cites("P42") && !n.does.ByPerson })
	if v.Type != plan.Full || v.Upgrade.IntegrationTestingFollows {
		for _, n := range again {
			f.step(n, "remove the step", "announces that Nublado is available, which only a full upgrade without integration testing does")
		}
		return
	}
	if len(again) == 0 {
		f.plan("add an announce step for P42 to the end", "no step announces that Nublado is available again")
	}
	for _, n := range again {
		for _, s := range v.steps {
			if (s.does.Syncs != "" || s.cites("P40")) && !before(s, n) {
				f.step(n, "run it after "+s.ID, "announces that Nublado is available, but %s may still be running", s.ID)
			}
		}
	}
}

// announcedFacts compares the announcement of the start with what the steps amount to.
func announcedFacts(v *view, f *findings) {
	says := review.Meanwhile(v.Plan)
	for _, n := range v.announcing("P53") {
		a, ok := n.Action.Parameters.(*plan.Announce)
		opening := v.any(func(m *node) bool { return m.takesDown() && before(n, m) })
		if ok && opening && !strings.HasSuffix(a.Text, says) {
			f.step(n, "recompile the plan", "its message does not end with what the plan's steps amount to: %q", says)
		}
	}
}

// brokenReported requires CSCs that do not work to be reported after the CSCs are
// watched and at the very end.
func brokenReported(v *view, f *findings) {
	reports := v.where(func(n *node) bool {
		return n.cites("P40") && (n.does.ByPerson || n.does.Posts != "")
	})
	for _, w := range v.looking("P39") {
		if !slices.ContainsFunc(reports, func(r *node) bool { return r.stageAt == w.stageAt && before(w, r) }) {
			f.step(w, "add a manual step for P40 that needs it", "no step after it reports what does not come up")
		}
	}
	last := slices.ContainsFunc(reports, func(r *node) bool {
		return !v.any(func(n *node) bool { return n.stage != nil && n.does.Posts == "" && n != r && !before(n, r) })
	})
	if !last {
		f.plan("add a manual step for P40 to the last stage", "no step at the end asks what does not work")
	}
}

// confirmed reports whether the operator confirms, after the message and before
// step n if n is not nil, that it was received.
func (v *view) confirmed(message *node, number string, n *node) bool {
	return v.any(func(m *node) bool {
		return m.does.ByPerson && m.cites(number) && before(message, m) && (n == nil || before(m, n))
	})
}

func cameraHandovers(v *view, f *findings) {
	hosts := v.bridgeHosts()
	stops := v.where(func(n *node) bool {
		return n.does.Stopped != "" && slices.Contains(hosts, n.does.Host)
	})
	if v.Type == plan.Full {
		for _, h := range hosts {
			if !slices.ContainsFunc(stops, func(n *node) bool { return n.touches(h) }) {
				f.plan("add an ssh step that stops it", "no step stops the camera bridge on %q", h)
			}
		}
	}
	if len(stops) == 0 {
		return
	}
	one := handover(v, f, "P16", "stage 1", stops)
	if one == nil {
		return
	}
	two := handover(v, f, "P35", "stage 2", append(slices.Clone(stops), one))
	if two == nil {
		return
	}
	starts := v.where(func(n *node) bool {
		return n.cites("P34") && !n.looks() || n.does.Started != "" && slices.Contains(hosts, n.does.Host)
	})
	if len(starts) == 0 {
		f.plan("add a step for P34", "no step starts the bridges that %s stop", ids(stops))
	}
	for _, n := range starts {
		if !before(two, n) || !v.confirmed(two, "P35", n) {
			f.step(n, "run it after "+two.ID+" and its confirmation", "a bridge may be started before the camera team knows that stage 2 may begin")
		}
	}
	available := slices.ContainsFunc(starts, func(b *node) bool {
		m, ok := b.Action.Parameters.(*plan.Manual)
		return ok && strings.Contains(b.Title+m.Text, plan.OfflineAvailable) &&
			slices.ContainsFunc(starts, func(a *node) bool { return before(a, b) })
	})
	if !available {
		f.plan("add a manual step for P34 after the start that names the state", "the bridges are not started and then put into %s", plan.OfflineAvailable)
	}
	bridgesSeen(v, f, stops)
	for _, look := range v.looking("P34") {
		for _, n := range starts {
			if !before(n, look) {
				f.step(look, "make it need "+n.ID, "checks the bridges but may finish before %s", n.ID)
			}
		}
	}
	reported := v.any(func(n *node) bool { return n.does.ByPerson && n.cites("P35") && before(n, two) })
	if !reported {
		f.step(two, "add a manual step for P35 before it", "no step waits for the camera team's report that stage 1 is done")
	}
}

// bridgesSeen requires each stopped bridge to be seen running again (P34).
func bridgesSeen(v *view, f *findings, stops []*node) {
	for i := range v.CSCs {
		c := &v.CSCs[i]
		stopped := slices.ContainsFunc(stops, func(n *node) bool { return n.touches(c.Host) })
		if c.Bridge && stopped && !slices.ContainsFunc(v.looking("P34"), func(n *node) bool { return n.wants(c.CSC) != nil }) {
			f.plan("name it in an await-state step for P34", "no await-state step for P34 checks that the bridge of %s runs again", c.CSC)
		}
	}
}

// handover returns the message for a number, which must come after the given
// steps and be confirmed. If there is none it reports that and returns nil.
func handover(v *view, f *findings, number, stage string, after []*node) *node {
	messages := v.announcing(number)
	if len(messages) == 0 {
		f.plan("add an announce step for "+number, "no step tells the camera team that %s may begin", stage)
		return nil
	}
	m := messages[0]
	if !m.Action.Parameters.(*plan.Announce).Handover {
		f.step(m, "set handover", "the camera team waits for this message, but it is not marked as a hand-over: a failure to post it would not be asked about")
	}
	for _, n := range after {
		if !before(n, m) {
			f.step(m, "run it after "+n.ID, "the camera team is told that %s may begin before %s is done", stage, n.ID)
		}
	}
	if !v.confirmed(m, number, nil) {
		f.step(m, "add a manual step for "+number+" that needs it", "no step confirms that the camera team knows that %s may begin", stage)
	}
	return m
}
