package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// A placed step is a step and its stage.
type placed struct {
	step  *plan.Step
	stage string
}

// steps compares the steps. A step with a different id that does the same was moved.
func (c *comparer) steps() {
	olds, news := stepsOf(c.old), stepsOf(c.new)
	has := func(list []placed, id string) int {
		return slices.IndexFunc(list, func(p placed) bool { return p.step.ID == id })
	}
	var gone, come []placed
	for _, p := range olds {
		if has(news, p.step.ID) < 0 {
			gone = append(gone, p)
		}
	}
	for _, p := range news {
		if has(olds, p.step.ID) < 0 {
			come = append(come, p)
		}
	}
	for _, p := range gone {
		if i := counterpart(p, come); i >= 0 {
			c.renamed[p.step.ID] = come[i].step.ID
			come = slices.Delete(come, i, i+1)
		}
	}
	for _, p := range olds {
		id := p.step.ID
		if to, moved := c.renamed[id]; moved {
			id = to
			c.add(Change{What: Moved, Subject: stepSubject(to), Old: p.step.ID, New: to})
		}
		if i := has(news, id); i >= 0 {
			c.step(p.step, news[i].step)
		} else {
			c.add(Change{What: Removed, Subject: stepSubject(p.step.ID), Old: inFullOf(p.step)})
		}
	}
	for _, p := range come {
		c.add(Change{What: Added, Subject: stepSubject(p.step.ID), New: inFullOf(p.step)})
	}
	for _, s := range c.new.Stages {
		c.stepOrder(&s)
	}
	c.order("final steps", "order", c.ids(c.old.Final, "final"), c.ids(c.new.Final, "final"))
}

// inFullOf says what a step does that only one of the plans has, with everything that
// a comparison of its action would show.
func inFullOf(s *plan.Step) string {
	text := s.Title + ": " + Describe(s.Action.Parameters)
	switch a := s.Action.Parameters.(type) {
	case *plan.Manual:
		text += " " + a.Text
	case *plan.Script:
		text += " Its configuration: " + a.Config
	}
	return text
}

func stepSubject(id string) string { return fmt.Sprintf("step %q", id) }

func stepsOf(p *plan.Plan) []placed {
	var out []placed
	for s := range p.AllSteps() {
		stage, _, _ := strings.Cut(s.ID, "/")
		out = append(out, placed{s, stage})
	}
	return out
}

// counterpart returns the index of a step that does the same under a different id:
// the same action, and the same name or title. It returns -1 if there is none.
func counterpart(p placed, among []placed) int {
	name := strings.TrimPrefix(p.step.ID, p.stage+"/")
	return slices.IndexFunc(among, func(o placed) bool {
		alike := strings.TrimPrefix(o.step.ID, o.stage+"/") == name || o.step.Title == p.step.Title
		return alike && brief(tree(o.step.Action)) == brief(tree(p.step.Action))
	})
}

// step compares two versions of a step. The steps that it needs and undoes are
// compared by their new ids.
func (c *comparer) step(old, new *plan.Step) {
	a, b := *old, *new
	a.ID = b.ID
	a.Undoes = c.now(a.Undoes)
	a.Needs = nil
	for _, n := range old.Needs {
		a.Needs = append(a.Needs, c.now(n))
	}
	c.fields(stepSubject(b.ID), "", tree(a), tree(b))
}

func (c *comparer) now(id string) string {
	if to, moved := c.renamed[id]; moved {
		return to
	}
	return id
}

// ids returns the new ids of the steps that are in the stage.
func (c *comparer) ids(steps []plan.Step, stage string) []string {
	var out []string
	for _, s := range steps {
		if id := c.now(s.ID); strings.HasPrefix(id, stage+"/") {
			out = append(out, id)
		}
	}
	return out
}

// stepOrder reports reordered steps of a stage. Their order matters only if they
// use the same resource and do not need each other.
func (c *comparer) stepOrder(s *plan.Stage) {
	i := slices.IndexFunc(c.old.Stages, func(o plan.Stage) bool { return o.ID == s.ID })
	if i < 0 {
		return
	}
	was := common(c.ids(c.old.Stages[i].Steps, s.ID), c.ids(s.Steps, s.ID))
	is := common(c.ids(s.Steps, s.ID), was)
	if slices.Equal(was, is) {
		return
	}
	change := Change{What: Reordered, Subject: fmt.Sprintf("stage %q", s.ID), Field: "steps", Old: strings.Join(was, ", "), New: strings.Join(is, ", ")}
	if shared := contended(c.new, s, was); shared != "" {
		change.Weight = Effect
		change.Why = "steps that use " + shared + " run in a different order"
	} else {
		change.Why = "same effect, different order"
	}
	c.add(change)
}

// contended returns a resource whose steps have a different order than before
// although none of them needs the other.
func contended(p *plan.Plan, s *plan.Stage, was []string) string {
	for i := range s.Steps {
		for j := i + 1; j < len(s.Steps); j++ {
			a, b := &s.Steps[i], &s.Steps[j]
			r := a.Effects(p).Resource
			x, y := slices.Index(was, a.ID), slices.Index(was, b.ID)
			if r != "" && r == b.Effects(p).Resource && x > y && y >= 0 && !waitsFor(s, b.ID, a.ID) {
				return r
			}
		}
	}
	return ""
}

// waitsFor reports whether a step needs another one, directly or not.
func waitsFor(s *plan.Stage, id, other string) bool {
	i := slices.IndexFunc(s.Steps, func(x plan.Step) bool { return x.ID == id })
	if i < 0 {
		return false
	}
	return slices.ContainsFunc(s.Steps[i].Needs, func(n string) bool { return n == other || waitsFor(s, n, other) })
}
