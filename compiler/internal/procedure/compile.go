// Package procedure turns a site and an upgrade request into a plan. It is
// pure: the same values give the same plan.
//
// The numbers in its comments and in the steps' sources, P1 to P55, are those of
// the deployment procedure; ARCHITECTURE.md says what each asks for. There is
// one file per upgrade type, which reads like the procedure; what the types
// share stands in files of its own, by subject.
package procedure

import (
	"fmt"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// Problem is why a request can't be compiled, or what is unusual about it.
type Problem struct {
	Pos     model.Pos
	Subject string // what it is about, such as `upgrade "incremental"`
	Text    string // what is wrong
	Remedy  string // what to do
}

// Compile returns the plan for the request at the site. It returns problems
// instead where the request asks for what the procedure does not allow, all of
// them together; warnings are about plans that are made all the same.
func Compile(site *model.Site, req *model.Request) (p *plan.Plan, problems, warnings []Problem) {
	b := &builder{site: site, req: req, plan: &plan.Plan{
		Format:  plan.Format,
		Site:    site.Name,
		Type:    plan.Type(req.Type),
		Upgrade: upgrade(req),
		Targets: targets(site),
	}}
	b.scope()
	if len(b.problems) > 0 {
		return nil, b.problems, nil
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
		return nil, b.problems, nil
	}
	b.tables()
	return b.plan, nil, b.dates()
}

// dates warns of days that the rules for announcing a deployment exclude (P54).
func (b *builder) dates() []Problem {
	day, err := time.Parse(time.DateOnly, b.req.Date)
	if err != nil || b.site.TestStand {
		return nil
	}
	warn := func(format string, args ...any) []Problem {
		return []Problem{{
			Pos:     b.req.Pos,
			Subject: b.subject(),
			Text:    fmt.Sprintf(format, args...) + " (P54)",
			Remedy:  "choose another date, or agree on this one with those who are concerned",
		}}
	}
	switch {
	case b.plan.Type == plan.Full && day.Weekday() != time.Tuesday:
		return warn("%s is a %s: full deployments at the summit begin on a Tuesday at 09:00 summit time", b.req.Date, day.Weekday())
	case b.plan.Type == plan.Incremental && day.Weekday() == time.Friday:
		return warn("%s is a Friday: incremental deployments at the summit are never made on a Friday", b.req.Date)
	}
	return nil
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
