package inventory

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/executor/plan"
)

// CheckTouched is [CheckPlan] for what the plan deploys, without what it leaves alone.
func CheckTouched(p *plan.Plan, now *Inventory) []string {
	cscs, whole := map[string]bool{}, map[string]bool{}
	for _, s := range syncs(p) {
		whole[s.Application] = whole[s.Application] || len(s.Resources) == 0
		for _, name := range s.CSCs {
			cscs[name] = true
		}
	}
	touched, deployed := *p, *now
	touched.CSCs = slices.DeleteFunc(slices.Clone(p.CSCs), func(c plan.CSC) bool {
		return !cscs[c.CSC] && (c.Job == nil || !whole[c.Job.Application])
	})
	deployed.CSCs = slices.DeleteFunc(slices.Clone(now.CSCs), func(c model.CSC) bool {
		return !cscs[c.Name()] && !whole[c.Application]
	})
	return CheckPlan(&touched, &deployed)
}

func syncs(p *plan.Plan) []*plan.Sync {
	var out []*plan.Sync
	for step := range p.AllSteps() {
		if s, ok := step.Action.Parameters.(*plan.Sync); ok {
			out = append(out, s)
		}
	}
	return out
}

// Side is a revision of Phalanx with its rendering for a site.
type Side struct {
	*phalanx.Revision
	*phalanx.Rendering
}

// Differences returns in what two revisions differ, of what the plan syncs: a line for
// each application.
func Differences(ctx context.Context, p *plan.Plan, before, now Side) ([]string, error) {
	var out []string
	for _, s := range syncs(p) {
		in, err := difference(ctx, p, s, before, now)
		if err != nil {
			return nil, err
		}
		if in != "" {
			out = append(out, "application "+s.Application+": "+in)
		}
	}
	return out, nil
}

// difference says in what an application that is synced differs; "" if in nothing.
func difference(ctx context.Context, p *plan.Plan, s *plan.Sync, before, now Side) (string, error) {
	if s.Application == p.Targets.ArgoCD.AppOfApps {
		return applications(before.Rendering, now.Rendering), nil
	}
	old, had := before.Application(s.Application)
	new, has := now.Application(s.Application)
	if !had || !has {
		return "only one of them has it", nil
	}
	same, err := sameSources(ctx, before, now, old, new)
	if err != nil || same {
		return "", err
	}
	if old.Commit == "" || new.Commit == "" {
		return "its chart or its values", nil
	}
	var names []string
	for _, r := range slices.Concat(old.Resources, new.Resources) {
		key := plan.Resource{Group: r.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
		if name := r.String(); (len(s.Resources) == 0 || slices.Contains(s.Resources, key)) && !slices.Contains(names, name) &&
			!reflect.DeepEqual(object(old, key), object(new, key)) {
			names = append(names, name)
		}
	}
	return some(names), nil
}

// sameSources reports whether both sides render the application from the same.
func sameSources(ctx context.Context, before, now Side, old, new *phalanx.Application) (bool, error) {
	if old.Commit != "" && old.Commit != before.Revision.Commit || new.Commit != "" && new.Commit != now.Revision.Commit {
		return old.Commit == new.Commit, nil // pinned to a revision of its own
	}
	a, err := before.Sources(ctx, old)
	if err != nil {
		return false, err
	}
	b, err := now.Sources(ctx, new)
	return a == b, err
}

// object returns a resource of an application; nil if it has none with the name.
func object(a *phalanx.Application, key plan.Resource) map[string]any {
	for i := range a.Resources {
		r := &a.Resources[i]
		if r.Group == key.Group && r.Kind == key.Kind && r.Namespace == key.Namespace && r.Name == key.Name {
			return r.Object
		}
	}
	return nil
}

// applications names the Applications that two revisions render differently.
func applications(before, now *phalanx.Rendering) string {
	var names []string
	for _, a := range slices.Concat(before.Applications, now.Applications) {
		old, had := before.Application(a.Name)
		new, has := now.Application(a.Name)
		if !slices.Contains(names, a.Name) && (!had || !has || spec(old) != spec(new)) {
			names = append(names, a.Name)
		}
	}
	return some(names)
}

func spec(a *phalanx.Application) string {
	return fmt.Sprintf("%s %s %s %s %q %v", a.Namespace, a.Project, a.Path, a.TargetRevision, a.ValueFiles, a.Parameters)
}

// some lists names, the first of many.
func some(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
