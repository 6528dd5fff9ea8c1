// Package procedure turns a site and an upgrade request into a plan. It is
// pure: the same values give the same plan.
//
// The numbers in its comments and in the steps' sources, P1 to P55, are those of
// the deployment procedure; ARCHITECTURE.md says what each asks for. There is
// one file per upgrade type, which reads like the procedure. What the types
// share is in one file per subject.
package procedure

import (
	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// Problem is a reason why a request cannot be compiled.
type Problem struct {
	Pos     model.Pos
	Subject string // what it is about, such as `upgrade "incremental"`
	Text    string // what is wrong
	Remedy  string // what to do
}

// Compile returns the plan for the request at the site. If the request asks for
// something that the procedure does not allow, it returns all problems instead.
func Compile(site *model.Site, req *model.Request) (*plan.Plan, []Problem) {
	b := &builder{site: site, req: req, cscs: map[string]*model.CSC{}, plan: &plan.Plan{
		Format:  plan.Format,
		Site:    site.Name,
		Type:    plan.Type(req.Type),
		Upgrade: upgrade(req),
		Facts:   facts(site, req.Type),
		Targets: targets(site),
	}}
	for i := range site.CSCs {
		b.cscs[site.CSCs[i].Name()] = &site.CSCs[i]
	}
	b.scope()
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	switch plan.Type(req.Type) {
	case plan.Full:
		b.full()
	case plan.Incremental:
		b.incremental()
	case plan.Recovery:
		b.recovery()
	}
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	b.tables()
	b.sayMeanwhile()
	return b.plan, nil
}

// upgrade copies the request into the plan.
func upgrade(r *model.Request) plan.Upgrade {
	u := plan.Upgrade{
		Date: r.Date, Attempt: r.Attempt, Cycle: r.Cycle, Reason: r.Reason, Queue: r.Queue,
		Revisions:    changes(r.Revisions),
		BreaksSchema: r.BreaksSchema, SyncSasquatch: r.SyncSasquatch, CriosDone: r.CriosDone,
		Changed:      changes(r.Changed),
		Applications: r.Applications, Hosts: r.Hosts,
		StartBridges: r.StartBridges, IntegrationTestingFollows: r.IntegrationTestingFollows,
	}
	for _, br := range r.Branches {
		u.Branches = append(u.Branches, plan.Branch{Repository: br.Repository, Branch: br.Branch})
	}
	return u
}

func changes(in []model.Change) []plan.Change {
	var out []plan.Change
	for _, c := range in {
		out = append(out, plan.Change{CSC: c.CSC, Revision: c.Revision})
	}
	return out
}
