package verify

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func announceRules() []Rule {
	return []Rule{
		{"announced", []string{"P40", "P42", "P53"},
			"People at the site learn on its channel that the deployment begins, before anything goes down. After a full upgrade they are told that " +
				"Nublado can be used again, unless integration testing follows.", announced},
		{"broken-reported", []string{"P39", "P40"},
			"CSCs that are left in non-working order are reported to the site: where the CSCs are watched coming up, and once more at the end.", brokenReported},
	}
}

func handoverRules() []Rule {
	return []Rule{
		{"camera-handovers", []string{"P15", "P16", "P34", "P35"},
			"The camera team works between two hand-overs: once the bridges are stopped it is told that its stage 1 may begin, and before a bridge is started that " +
				"stage 2 may begin. Each is a message that somebody waits for, and the operator confirms that it was heard.", cameraHandovers},
	}
}

func announced(v *view, f *findings) {
	begin := v.announcing("P53")
	if len(begin) == 0 {
		f.plan("add an announce step for P53 to the first stage", "nothing announces that the deployment begins")
	} else {
		for _, d := range v.down() {
			if !slices.ContainsFunc(begin, func(b *node) bool { return before(b, d) }) {
				f.step(d, "let it come after "+begin[0].ID, "it takes something down and may run before the deployment is announced")
			}
		}
	}
	for _, n := range begin {
		opening := !slices.ContainsFunc(v.steps, func(m *node) bool { return m.takesDown() && !before(n, m) })
		if !opening && v.any(func(m *node) bool { return m.stage != nil && m.does.Posts == "" && !before(m, n) }) {
			f.step(n, "let it come before all that goes down, or after all else", "it announces the beginning or the end of the deployment in the midst of it")
		}
	}
	again := v.where(func(n *node) bool { return n.cites("P42") && !n.does.ByPerson })
	if v.Type != plan.Full || v.Upgrade.IntegrationTestingFollows {
		for _, n := range again {
			f.step(n, "take the step out", "it tells people to use Nublado again, which is for a full upgrade that no integration testing follows")
		}
		return
	}
	if len(again) == 0 {
		f.plan("add an announce step for P42 to the end", "nobody is told that Nublado can be used again")
	}
	for _, n := range again {
		for _, s := range v.steps {
			if (s.does.Syncs != "" || s.cites("P40")) && !before(s, n) {
				f.step(n, "let it come after "+s.ID, "it tells people to use Nublado again, and %s may still be running", s.ID)
			}
		}
	}
}

// brokenReported wants what is left in non-working order to be reported where
// the CSCs are watched and at the very end.
func brokenReported(v *view, f *findings) {
	reports := v.where(func(n *node) bool {
		return n.cites("P40") && (n.does.ByPerson || n.does.Posts != "")
	})
	for _, w := range v.looking("P39") {
		if !slices.ContainsFunc(reports, func(r *node) bool { return r.stageAt == w.stageAt && before(w, r) }) {
			f.step(w, "add a manual step for P40 that needs it", "what does not come up here is reported by no step behind it")
		}
	}
	last := slices.ContainsFunc(reports, func(r *node) bool {
		return !v.any(func(n *node) bool { return n.stage != nil && n.does.Posts == "" && n != r && !before(n, r) })
	})
	if !last {
		f.plan("add a manual step for P40 to the last stage", "nothing asks at the end, when all else is done, what is left in non-working order")
	}
}

// confirmed tells whether the operator confirms, after the message and, where n
// is given, before that step, that it was heard.
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
		f.plan("add a step for P34", "the bridges that %s stop are started by no step", ids(stops))
	}
	for _, n := range starts {
		if !before(two, n) || !v.confirmed(two, "P35", n) {
			f.step(n, "let it come after "+two.ID+" and the question whether it was heard", "a bridge may be started before the camera team has heard that stage 2 may begin")
		}
	}
	available := slices.ContainsFunc(starts, func(b *node) bool {
		m, ok := b.Action.Parameters.(*plan.Manual)
		return ok && strings.Contains(b.Title+m.Text, plan.OfflineAvailable) &&
			slices.ContainsFunc(starts, func(a *node) bool { return before(a, b) })
	})
	if !available {
		f.plan("add a manual step for P34 behind the start that names the state", "the bridges are not started and then put into %s", plan.OfflineAvailable)
	}
	bridgesSeen(v, f, stops)
	for _, look := range v.looking("P34") {
		for _, n := range starts {
			if !before(n, look) {
				f.step(look, "let it need "+n.ID, "it looks for the bridges and may be over before %s", n.ID)
			}
		}
	}
	reported := v.any(func(n *node) bool { return n.does.ByPerson && n.cites("P35") && before(n, two) })
	if !reported {
		f.step(two, "add a manual step for P35 before it", "nobody waits for the camera team's report that stage 1 is done")
	}
}

// bridgesSeen wants each bridge that was stopped to be seen running (P34).
func bridgesSeen(v *view, f *findings, stops []*node) {
	for i := range v.CSCs {
		c := &v.CSCs[i]
		stopped := slices.ContainsFunc(stops, func(n *node) bool { return n.touches(c.Host) })
		if c.Bridge && stopped && !slices.ContainsFunc(v.looking("P34"), func(n *node) bool { return n.wants(c.CSC) != nil }) {
			f.plan("name it in an await-state step for P34", "no look for P34 sees whether the bridge of %s runs again", c.CSC)
		}
	}
}

// handover finds the message for a number that comes after the given steps and
// is confirmed; it returns nil, with a finding, where there is none.
func handover(v *view, f *findings, number, stage string, after []*node) *node {
	messages := v.announcing(number)
	if len(messages) == 0 {
		f.plan("add an announce step for "+number, "the camera team is not told that %s may begin", stage)
		return nil
	}
	m := messages[0]
	if !m.Action.Parameters.(*plan.Announce).Handover {
		f.step(m, "set handover", "somebody waits for this message, and it is not marked as a hand-over: nobody would tell them if it can't be posted")
	}
	for _, n := range after {
		if !before(n, m) {
			f.step(m, "let it come after "+n.ID, "the camera team is told that %s may begin before %s is done", stage, n.ID)
		}
	}
	if !v.confirmed(m, number, nil) {
		f.step(m, "add a manual step for "+number+" that needs it", "nobody confirms that the camera team has heard that %s may begin", stage)
	}
	return m
}
