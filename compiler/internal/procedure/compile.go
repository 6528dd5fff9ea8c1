// Package procedure turns a site and an upgrade request into a plan. It is
// pure: the same values give the same plan.
//
// The numbers in its comments and in the steps' sources, P1 to P55, are those of
// the deployment procedure; ARCHITECTURE.md says what each asks for. There is
// one file per upgrade type, which reads like the procedure. What the types
// share is in one file per subject.
package procedure

import (
	"cmp"
	"slices"

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
	site, before := afterwards(site, req)
	b := &builder{site: site, before: before, req: req, cscs: map[string]*model.CSC{}, plan: &plan.Plan{
		Format:  plan.Format,
		Site:    site.Name,
		Type:    plan.Type(req.Type),
		Upgrade: upgrade(site, req),
		Facts:   facts(site, req.Type),
		Targets: Targets(site),
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
	b.askFirst()
	b.tables()
	b.sayMeanwhile()
	return b.plan, nil
}

// afterwards returns the site with the CSCs that it has during the upgrade: as they are
// after it, and also those that it removes. It returns what ran before beside it.
func afterwards(site *model.Site, req *model.Request) (*model.Site, map[string]model.CSC) {
	before := map[string]model.CSC{}
	for i := range site.CSCs {
		before[site.CSCs[i].Name()] = site.CSCs[i]
	}
	after := *site
	after.CSCs = slices.Concat(site.CSCs, req.Added)
	for i := range after.CSCs {
		c := &after.CSCs[i]
		for _, change := range slices.Concat(req.Revisions, req.Changed) {
			if change.CSC == c.Name() {
				changed(c, change)
			}
		}
	}
	return &after, before
}

// changed makes a CSC of the cluster what it is after its change.
func changed(c *model.CSC, change model.Change) {
	if c.Job == "" {
		return
	}
	switch {
	case change.Pinned:
		c.Revision, c.Pinned = change.Revision, true
	case plan.Why(change.Why) == plan.Unpinned:
		c.Revision, c.Pinned = 0, false
	}
	c.Image, c.ComesUp = cmp.Or(change.Image, c.Image), cmp.Or(change.ComesUp, c.ComesUp)
	if change.Resources != nil {
		c.Resources = *change.Resources
	}
}

// upgrade copies the request into the plan.
func upgrade(s *model.Site, r *model.Request) plan.Upgrade {
	u := plan.Upgrade{
		Date: r.Date, Attempt: r.Attempt, Cycle: r.Cycle, Reason: r.Reason, Queue: r.Queue, Phalanx: r.Phalanx,
		Revisions:    changes(r.Revisions),
		BreaksSchema: r.BreaksSchema, SyncSasquatch: r.SyncSasquatch, CriosDone: r.CriosDone, CriosFirst: r.CriosFirst,
		Changed:      changes(r.Changed),
		Removed:      r.Removed,
		Applications: r.Applications, Hosts: r.Hosts, QueuesStay: r.QueuesStay,
		StartBridges: r.StartBridges, IntegrationTestingFollows: r.IntegrationTestingFollows,
	}
	if s.Cycle != r.Cycle {
		u.From = s.Cycle
	}
	for i := range r.Added {
		u.Added = append(u.Added, r.Added[i].Name())
	}
	if u.Phalanx == "" && plan.Type(r.Type) == plan.Recovery {
		u.Phalanx = s.Commit // a recovery deploys what is there
	}
	for _, br := range r.Branches {
		u.Branches = append(u.Branches, plan.Branch{Repository: br.Repository, Branch: br.Branch})
	}
	return u
}

func changes(in []model.Change) []plan.Change {
	var out []plan.Change
	for _, c := range in {
		out = append(out, plan.Change{CSC: c.CSC, Revision: c.Revision, Why: plan.Why(c.Why)})
	}
	return out
}
