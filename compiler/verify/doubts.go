package verify

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

func doubtRules() []Rule {
	return []Rule{
		{"doubts", []string{"P2"},
			"A plan never acts on a doubtful fact silently. Every doubt in the plan's table is asked, word for word, by the step that rests on it, by its stage, or earlier. " +
				"Nothing is asked as a doubt that is not in the table.", doubts},
	}
}

func doubts(v *view, f *findings) {
	for i := range v.Doubts {
		d := &v.Doubts[i]
		resting := v.where(func(n *node) bool { return n.Action.Parameters != nil && v.RestsOn(n.Step, d) })
		for _, n := range resting {
			if !v.asked(d, n) {
				f.step(n, "add it as the step's doubt"+orBefore(d), "rests on a doubt that is not asked before it starts: %q", brief(d.Text))
				break
			}
		}
		byPerson := func(n *node) bool {
			a, ok := n.Action.Parameters.(*plan.Manual)
			return ok && strings.Contains(a.Text, d.Text)
		}
		if len(resting) == 0 && !v.any(byPerson) {
			f.plan("add the step that rests on it, or a manual step that asks about it", "the table has a doubt that no step rests on or asks about: %q", brief(d.Text))
		}
	}
	for i := range v.Stages {
		s := &v.Stages[i]
		for _, text := range s.Doubts {
			if !slices.ContainsFunc(v.Doubts, func(d plan.Doubt) bool { return asks(text, &d) }) {
				f.stage(s, "use the text in the plan's table of doubts", "asks about a doubt that is not in the table: %q", brief(text))
			}
		}
	}
	for _, n := range v.steps {
		rest := n.Doubt
		for i := range v.Doubts {
			rest = strings.ReplaceAll(rest, v.Doubts[i].Text, "")
		}
		if strings.TrimSpace(rest) != "" {
			f.step(n, "use the text in the plan's table of doubts", "asks about a doubt that is not in the table: %q", brief(rest))
		}
	}
}

// asked reports whether the operator is asked about the doubt before the step
// starts: all doubts of a stage are asked before it begins. The step that runs a command asks about the command; a host's doubt is
// asked before the host is touched; the step, its stage, or an earlier one asks
// about anything else.
func (v *view) asked(d *plan.Doubt, n *node) bool {
	if d.Text == "" {
		return false
	}
	if strings.Contains(n.Doubt, d.Text) {
		return true
	}
	if d.Purpose != "" || d.Step != "" {
		return false
	}
	earlier := v.any(func(m *node) bool {
		return before(m, n) && strings.Contains(m.Doubt, d.Text) && (d.Host == "" || m.touches(d.Host))
	})
	if earlier || d.Host != "" {
		return earlier
	}
	for i := range min(n.stageAt+1, len(v.Stages)) {
		if slices.ContainsFunc(v.Stages[i].Doubts, func(text string) bool { return asks(text, d) }) {
			return true
		}
	}
	return false
}

// asks reports whether a stage's text asks about the doubt: it ends with the
// doubt's text and, if the doubt is about CSCs, names them before it.
func asks(text string, d *plan.Doubt) bool {
	head, ok := strings.CutSuffix(text, d.Text)
	if !ok || d.Text == "" {
		return false
	}
	if strings.HasPrefix(head, plan.CSCList(d.CSCs)+": ") {
		return true
	}
	words := strings.FieldsFunc(strings.TrimSuffix(head, ": "), func(r rune) bool { return r == ' ' || r == ',' })
	return !slices.ContainsFunc(d.CSCs, func(c string) bool {
		return !slices.Contains(words, c) && !slices.Contains(words, plan.CSCList([]string{c}))
	})
}

func orBefore(d *plan.Doubt) string {
	if d.Purpose != "" || d.Step != "" {
		return ""
	}
	return ", or before"
}

// brief returns the beginning of a long text, for a message.
func brief(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
