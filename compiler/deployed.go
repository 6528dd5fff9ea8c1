package compiler

import (
	"context"
	"slices"

	"github.com/lsst-ts/csu/compiler/internal/inventory"
	"github.com/lsst-ts/csu/compiler/internal/load"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/executor/plan"
)

// Deviations returns a function that says how what a plan deploys differs, at a commit of
// Phalanx, from what the plan says and from the commit that the plan names, one difference
// a line. Nothing else of the commit counts. The errors of both are unusable input if the
// folder is no clone of Phalanx, or has not the commit.
func Deviations(ctx context.Context, root string, p *plan.Plan, dir string) (func(ctx context.Context, commit string) ([]string, error), error) {
	site, err := load.Without(root, p.Site)
	if err != nil {
		return nil, err
	}
	head, err := phalanx.Open(ctx, dir, "")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, commit string) ([]string, error) {
		rev, err := head.At(ctx, commit)
		if err != nil {
			return nil, err
		}
		now, err := inventoryOf(ctx, root, site, rev)
		if err != nil {
			return nil, err
		}
		found := inventory.CheckTouched(p, now)
		if p.Upgrade.Phalanx == "" || p.Upgrade.Phalanx == rev.Commit {
			return found, nil
		}
		own, err := head.At(ctx, p.Upgrade.Phalanx)
		if err != nil {
			return nil, err
		}
		before, err := own.Render(ctx, site.Environment, site.Targets.ArgoCDProject)
		if err != nil {
			return nil, err
		}
		differ, err := inventory.Differences(ctx, p, inventory.Side{Revision: own, Rendering: before}, inventory.Side{Revision: rev, Rendering: now.Rendering})
		for _, d := range differ {
			found = append(found, "differs from the plan's commit: "+d)
		}
		return found, err
	}, nil
}

// Deployment is what a revision of Phalanx deploys at a site.
type Deployment struct {
	Commit       Commit
	Applications []DeployedApplication // sorted by name
}

// DeployedApplication is an Argo CD Application.
type DeployedApplication struct {
	Name, Revision string // that it follows, such as main
	Resources      []DeployedResource
}

// DeployedResource is an object that Argo CD would apply.
type DeployedResource struct {
	plan.Resource
	Image string          // that a CSC's Job runs; "" for other objects
	Needs []plan.Resource // ConfigMaps and claims without which the Job's pod does not start
}

// Deploys returns what a revision of Phalanx deploys at a site. Unlike an inventory it
// takes whatever is there.
func Deploys(ctx context.Context, root, site string, from Phalanx) (*Deployment, error) {
	s, err := load.Without(root, site)
	if err != nil {
		return nil, err
	}
	rev, err := phalanx.Open(ctx, from.Dir, from.Rev)
	if err != nil {
		return nil, err
	}
	rendering, err := rev.Render(ctx, s.Environment, s.Targets.ArgoCDProject)
	if err != nil {
		return nil, err
	}
	cscs, err := rev.CSCs(rendering)
	if err != nil {
		return nil, err
	}
	jobs := map[*phalanx.Resource]*phalanx.CSC{}
	for i := range cscs {
		jobs[cscs[i].Job] = &cscs[i]
	}
	out := &Deployment{Commit: commitOf(rev)}
	for i := range rendering.Applications {
		a := &rendering.Applications[i]
		app := DeployedApplication{Name: a.Name, Revision: a.TargetRevision}
		for j := range a.Resources {
			r := DeployedResource{Resource: resourceOf(&a.Resources[j])}
			if csc := jobs[&a.Resources[j]]; csc != nil {
				r.Image, r.Needs = csc.Image, needs(csc)
			}
			app.Resources = append(app.Resources, r)
		}
		out.Applications = append(out.Applications, app)
	}
	return out, nil
}

func resourceOf(r *phalanx.Resource) plan.Resource {
	return plan.Resource{Group: r.Group, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// needs returns what keeps a CSC's pod from starting where it is missing. Secrets are
// not among it: Vault makes them.
func needs(c *phalanx.CSC) []plan.Resource {
	var out []plan.Resource
	for _, r := range slices.Concat(c.Own, c.Shared) {
		if r.Kind == "ConfigMap" || r.Kind == "PersistentVolumeClaim" {
			out = append(out, resourceOf(r))
		}
	}
	return out
}
