package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/executor/plan"
)

// CheckPlan compares a plan with what Phalanx deploys: every image, Job, label, state
// after the start, application and resource in it. What is wrong with many CSCs in the
// same way is one finding.
func CheckPlan(p *plan.Plan, now *Inventory) []string {
	c := planCheck{plan: p, now: now, rows: map[string]*plan.CSC{}, deployed: map[string]*model.CSC{}}
	for i := range p.CSCs {
		if row := &p.CSCs[i]; row.Job != nil && row.Image != "" { // without an image the plan removes it
			c.rows[row.CSC] = row
		}
	}
	for i := range now.CSCs {
		c.deployed[now.CSCs[i].Name()] = &now.CSCs[i]
	}
	c.instances()
	if p.Upgrade.Cycle != now.Cycle {
		c.found = append(c.found, fmt.Sprintf("cycle: the plan is for %s, Phalanx deploys %s", p.Upgrade.Cycle, now.Cycle))
	}
	for i := range p.CSCs {
		row := &p.CSCs[i]
		if csc := c.deployed[row.CSC]; row.Job != nil && csc != nil {
			c.row(row, csc)
		}
	}
	for s := range p.AllSteps() {
		if sync, ok := s.Action.Parameters.(*plan.Sync); ok {
			c.sync(sync)
		}
	}
	for _, g := range c.groups {
		subject := g.what + " of "
		if len(g.cscs) > 1 {
			subject = fmt.Sprintf("%s of %d CSCs, ", g.what, len(g.cscs))
		}
		c.found = append(c.found, fmt.Sprintf("%s%s: the plan has %s, Phalanx deploys %s", subject, plan.CSCList(g.cscs), g.old, g.new))
	}
	return append(c.found, c.syncs...)
}

// planCheck is a comparison of a plan with an inventory.
type planCheck struct {
	plan     *plan.Plan
	now      *Inventory
	rows     map[string]*plan.CSC
	deployed map[string]*model.CSC
	found    []string
	syncs    []string // what is wrong with the sync steps
	groups   []*group
}

// group are CSCs that differ in the same way.
type group struct {
	what, old, new string
	cscs           []string
}

// differ notes a difference of a CSC.
func (c *planCheck) differ(csc, what, old, now string) {
	if old == now {
		return
	}
	for _, g := range c.groups {
		if g.what == what && g.old == old && g.new == now {
			g.cscs = append(g.cscs, csc)
			return
		}
	}
	c.groups = append(c.groups, &group{what, orNone(old), orNone(now), []string{csc}})
}

// instances compares which CSCs there are.
func (c *planCheck) instances() {
	if gone := missing(c.rows, c.deployed); len(gone) > 0 {
		c.found = append(c.found, "in the plan, but not deployed by Phalanx: "+plan.CSCList(gone))
	}
	if added := missing(c.deployed, c.rows); len(added) > 0 {
		c.found = append(c.found, "deployed by Phalanx, but not in the plan: "+plan.CSCList(added))
	}
}

// missing returns the CSCs of one side that the other does not have.
func missing[A, B any](of map[string]A, from map[string]B) []string {
	var out []string
	for _, name := range slices.SortedFunc(maps.Keys(of), plan.CompareCSCs) {
		if _, ok := from[name]; !ok {
			out = append(out, name)
		}
	}
	return out
}

// row compares a row of the plan's table.
func (c *planCheck) row(row *plan.CSC, csc *model.CSC) {
	old, oldTag := plan.CutTag(row.Image)
	c.differ(row.CSC, "image", old, registry(old)+csc.Image)
	if c.plan.Upgrade.Cycle == c.now.Cycle { // otherwise all of them differ
		c.differ(row.CSC, "image tag", oldTag, csc.Tag(c.now.Cycle))
	}
	c.differ(row.CSC, "application", row.Job.Application, csc.Application)
	c.differ(row.CSC, "Job", row.Job.Name, csc.Job)
	c.differ(row.CSC, "label csc", row.Job.Label, csc.Label)
	c.differ(row.CSC, "label csc-name", row.Job.CSCName, csc.CSCName)
	c.differ(row.CSC, "label csc-class", row.Job.CSCClass, csc.CSCClass)
	c.differ(row.CSC, "state after the start", row.ComesUp, csc.ComesUp)
}

// registry returns the registry of an image with the slash after it. The inventory has
// compared Phalanx's with the site's, and the rules the plan's.
func registry(image string) string {
	host, _, _ := strings.Cut(image, "/")
	return host + "/"
}

// sync compares a sync step with the Application that it syncs.
func (c *planCheck) sync(s *plan.Sync) {
	if s.Application == c.plan.Targets.ArgoCD.AppOfApps {
		return // renders the Applications and is not one of them
	}
	app, ok := c.now.Rendering.Application(s.Application)
	if !ok {
		c.syncs = append(c.syncs, fmt.Sprintf("application %s: the plan syncs it, but the environment %s does not have it", s.Application, c.now.Environment))
		return
	}
	if app.TargetRevision != s.Revision {
		c.syncs = append(c.syncs, fmt.Sprintf("application %s: the plan syncs revision %q, but the environment %s makes it follow %q", s.Application, s.Revision, c.now.Environment, app.TargetRevision))
	}
	if len(s.Resources) == 0 || app.Commit == "" {
		return
	}
	var absent, left []string
	for _, r := range s.Resources {
		if !slices.ContainsFunc(app.Resources, func(o phalanx.Resource) bool {
			return o.Group == r.Group && o.Kind == r.Kind && o.Namespace == r.Namespace && o.Name == r.Name
		}) {
			absent = append(absent, r.Kind+" "+r.Name)
		}
	}
	wanted := slices.Clone(c.now.Shared[s.Application])
	for _, name := range s.CSCs {
		if csc := c.deployed[name]; csc != nil {
			wanted = append(wanted, csc.Resources...)
		}
	}
	for _, r := range wanted {
		if !slices.ContainsFunc(s.Resources, func(o plan.Resource) bool { return o.Group == r.Group && o.Kind == r.Kind && o.Name == r.Name }) {
			left = append(left, r.String())
		}
	}
	if len(absent) > 0 {
		c.syncs = append(c.syncs, fmt.Sprintf("application %s: the plan syncs what Phalanx does not render: %s", s.Application, strings.Join(absent, ", ")))
	}
	if len(left) > 0 {
		c.syncs = append(c.syncs, fmt.Sprintf("application %s: the plan brings back the Job, but not what belongs to it: %s", s.Application, strings.Join(left, ", ")))
	}
}
