package procedure

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	loveApplication = "love"
	uws             = "uws"
)

// deleteJobs makes a step that deletes the Jobs of CSCs in one namespace.
func (b *builder) deleteJobs(id, title, namespace, selector string, cscs []string, source ...string) plan.Step {
	return plan.Step{
		ID: id, Title: title, Source: source,
		Action:  plan.Action{Parameters: &plan.Delete{Objects: plan.Jobs, Namespace: namespace, Selector: selector, CSCs: cscs}},
		Timeout: plan.Duration(limitDelete),
		ByHand: fmt.Sprintf("Before you delete, check that the first command lists no Jobs but those of %s. Afterwards repeat it until it lists nothing.\n\n"+
			"    kubectl --context %[2]s get job,pod -n %[3]s -l '%[4]s'\n"+
			"    kubectl --context %[2]s delete job -n %[3]s -l '%[4]s'",
			plan.CSCList(cscs), b.site.Targets.Context, namespace, selector),
	}
}

// namedJobs names the Jobs of CSCs.
func namedJobs(cscs []string) string {
	if len(cscs) == 1 {
		return "Job of " + plan.CSCList(cscs)
	}
	return "Jobs of " + plan.CSCList(cscs)
}

// deleteAllJobs adds the steps that delete every CSC Job, one per namespace. In
// uws they delete only the OCPS Jobs. love-commander's Job is deleted later, just
// before love is synced, since LOVE is needed until then (P18).
func (b *builder) deleteAllJobs(s *stage) {
	first := ""
	if plan.Type(b.req.Type) == plan.Recovery {
		if c, ok := b.csc(watcher); ok && c.Job != "" {
			first = s.add(b.deleteJobs("watcher", "Delete the Watcher's Job first", b.namespace(c), "csc-name="+c.CSCName, []string{watcher}, "P18", "P44"))
		}
	}
	for _, app := range b.site.Applications {
		if app.Name == loveApplication {
			continue
		}
		cscs := b.selectDown(func(c *model.CSC) bool {
			return c.Application == app.Name && !(first != "" && c.Name() == watcher)
		})
		if len(cscs) == 0 {
			continue
		}
		source := []string{"P18"}
		if plan.Type(b.req.Type) == plan.Recovery {
			source = append(source, "P44")
		}
		selector := "csc-class"
		switch {
		case app.Name == uws:
			selector = "csc-class=ocps"
		case first != "" && b.runsIn(watcher, app.Name):
			b.deleteClasses(s, app, cscs, first, source)
			continue
		}
		s.add(after(b.deleteJobs(slug(app.Name), fmt.Sprintf("Delete the CSC Jobs of %s (%d)", app.Name, len(cscs)), app.Namespace, selector, cscs, source...), first))
	}
}

func (b *builder) runsIn(csc, application string) bool {
	c, ok := b.csc(csc)
	return ok && c.Application == application
}

// deleteClasses adds the steps that delete the Jobs of an application class by class,
// where the selector of all would also match the Job that is deleted first.
func (b *builder) deleteClasses(s *stage, app model.Application, cscs []string, first string, source []string) {
	byClass := map[string][]string{}
	for _, name := range cscs {
		c, _ := b.csc(name)
		byClass[c.CSCClass] = append(byClass[c.CSCClass], name)
	}
	for _, class := range slices.Sorted(maps.Keys(byClass)) {
		s.add(after(b.deleteJobs(slug(app.Name+" "+class), fmt.Sprintf("Delete the Jobs of %s", plan.CSCList(byClass[class])), app.Namespace, "csc-class="+class, byClass[class], source...), first))
	}
}

// deleteAffectedJobs adds the steps that delete the Jobs of the affected CSCs, class
// by class. If only some indices of a class are affected, it deletes only those
// (P21).
func (b *builder) deleteAffectedJobs(s *stage) {
	done := map[string]bool{}
	for _, name := range b.down {
		c, _ := b.csc(name)
		if c.Job == "" || done[name] || ofLOVE(c) {
			continue
		}
		selector, cscs, note := b.narrowest(c)
		for _, x := range cscs {
			done[x] = true
		}
		step := b.deleteJobs(slug(selectorID(selector)), fmt.Sprintf("Delete the %s%s", namedJobs(cscs), note), b.namespace(c), selector, cscs, "P21")
		s.add(step)
	}
}

// narrowest returns a selector that matches the CSC's Job but no Job of a CSC
// that stays up. It selects by class if the whole class goes down, otherwise by
// name, and by the label of the chart if several CSCs share the name.
func (b *builder) narrowest(c *model.CSC) (selector string, cscs []string, note string) {
	same := func(equal func(x *model.CSC) bool) []*model.CSC {
		var out []*model.CSC
		for i := range b.site.CSCs {
			x := &b.site.CSCs[i]
			if x.Job != "" && x.Application == c.Application && equal(x) {
				out = append(out, x)
			}
		}
		return out
	}
	allDown := func(group []*model.CSC) bool {
		return !slices.ContainsFunc(group, func(x *model.CSC) bool { return !b.goesDown(x.Name()) })
	}
	names := func(group []*model.CSC) []string {
		var out []string
		for _, x := range group {
			out = append(out, x.Name())
		}
		return out
	}
	class := same(func(x *model.CSC) bool { return x.CSCClass == c.CSCClass })
	if allDown(class) {
		return "csc-class=" + c.CSCClass, names(class), ""
	}
	note = fmt.Sprintf(" only, not of the whole class %s", c.CSCClass)
	byName := same(func(x *model.CSC) bool { return x.CSCName == c.CSCName })
	if allDown(byName) {
		return "csc-name=" + c.CSCName, names(byName), note
	}
	return "csc=" + c.Label, names(same(func(x *model.CSC) bool { return x.Label == c.Label })), note
}

func selectorID(selector string) string {
	_, value, _ := strings.Cut(selector, "=")
	return value
}

// deleteNublado makes the step that ends all Nublado sessions (P19).
func (b *builder) deleteNublado() plan.Step {
	selector := b.site.Targets.NubladoSelector
	return plan.Step{
		ID: "nublado", Title: "Delete the Nublado user namespaces", Source: []string{"P19"},
		Consent: "This ends every open Nublado session. Unsaved work is lost.",
		Action:  plan.Action{Parameters: &plan.Delete{Objects: plan.Namespaces, Selector: selector}},
		Timeout: plan.Duration(limitDelete),
		ByHand: fmt.Sprintf("Before you delete, check that the first command lists only user namespaces of Nublado. Afterwards repeat it until it lists nothing.\n\n"+
			"    kubectl --context %[1]s get namespace -l '%[2]s'\n"+
			"    kubectl --context %[1]s delete namespace -l '%[2]s'", b.site.Targets.Context, selector),
	}
}

// ofLOVE reports whether a Job is one of LOVE's own, as love-commander's.
func ofLOVE(c *model.CSC) bool { return c.Component == "" && c.Application == loveApplication }

// deleteCommander makes the step that deletes love-commander's Job, if it goes down
// (P18).
func (b *builder) deleteCommander() (plan.Step, bool) {
	source := []string{"P18"}
	switch plan.Type(b.req.Type) {
	case plan.Recovery:
		source = append(source, "P44")
	case plan.Incremental:
		source = []string{"P21"}
	}
	for i := range b.site.CSCs {
		c := &b.site.CSCs[i]
		if ofLOVE(c) && b.goesDown(c.Name()) {
			return b.deleteJobs("love-commander", "Delete love-commander's Job; LOVE accepts no commands until love is synced",
				b.namespace(c), "csc-name="+c.CSCName, []string{c.Name()}, source...), true
		}
	}
	return plan.Step{}, false
}
