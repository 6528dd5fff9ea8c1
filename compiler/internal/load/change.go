package load

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// These are the checks of what an incremental upgrade changes: whether the reason for
// which a request names a CSC fits what the site has of it.

// readChange reads a CSC that changes.
func (c *requestCheck) readChange(f fields) model.Change {
	out := model.Change{Pos: c.places.of(f.at), CSC: f.text("csc"), Why: f.text("why"), Image: f.text("image"), ComesUp: f.text("comesUp")}
	if out.Why == "revision" {
		out.Why = string(plan.NewRevision)
	}
	out.Revision, out.Pinned = f.number("revision")
	if f.lookup("resources").Exists() {
		resources := rendered(f, "resources")
		out.Resources = &resources
	}
	return out
}

// something reports a request that changes nothing.
func (c *requestCheck) something() {
	r := c.req
	at := c.at.with("changed")
	if len(r.Changed)+len(r.Added)+len(r.Removed)+len(r.Applications)+len(r.Hosts) == 0 && !c.wrong(at) {
		c.report(at, c.subject+": changed", "names no CSC, application or host", `name what changes, such as changed: [{csc: "MTMount:0", revision: 7}]`)
	}
}

// changed checks the CSCs that an incremental upgrade changes.
func (c *requestCheck) changed() {
	subject := c.subject + ": changed"
	seen := map[string]bool{}
	for i, change := range c.req.Changed {
		one := c.at.with("changed", strconv.Itoa(i))
		if change.CSC == "" {
			continue // CUE reports that it is missing
		}
		if seen[change.CSC] {
			c.report(one, subject, fmt.Sprintf("names CSC %s twice", change.CSC), "remove one of them")
			continue
		}
		seen[change.CSC] = true
		if csc, ok := c.csc(one.with("csc"), subject, change.CSC); ok {
			c.change(one, subject, change, csc)
		}
	}
}

// change checks the reason and the revision of one CSC.
func (c *requestCheck) change(at path, subject string, change model.Change, csc *model.CSC) {
	report := func(field, remedy, format string, args ...any) {
		where := at.with(field)
		if !c.lookup(where).Exists() || field == "" {
			where = at
		}
		c.report(where, subject, fmt.Sprintf("CSC %s ", csc.Name())+fmt.Sprintf(format, args...), remedy)
	}
	if csc.Application == "" {
		switch {
		case change.Pinned:
			report("revision", "remove the revision", "runs on host %s and has no image with a revision", csc.Host)
		case change.Why != "" && change.Why != string(plan.Configuration):
			report("why", "remove why", "runs on host %s, where no image is pinned", csc.Host)
		}
		return
	}
	switch why := plan.Why(change.Why); why {
	case plan.NewRevision:
		c.newRevision(report, change, csc)
	case plan.Rollback:
		switch {
		case !csc.Pinned:
			report("why", "remove why: a revision pins it", "has no revision, so none is below it")
		case !change.Pinned:
			report("", "add the revision to go back to", "is to go back, but the request gives no revision; revision %d is deployed (%s)", csc.Revision, csc.Pos)
		case change.Revision >= csc.Revision:
			report("revision", "lower the revision, or remove why", "is to go back, but revision %d is not below the deployed revision %d (%s)", change.Revision, csc.Revision, csc.Pos)
		}
	case plan.Configuration, plan.Unpinned:
		switch {
		case change.Pinned && why == plan.Configuration:
			report("revision", "remove the revision; or remove why, if the revision changes", "gets a new configuration, which leaves its revision as it is")
		case change.Pinned:
			report("revision", "remove the revision", "loses its revision, but the request gives one")
		case why == plan.Unpinned && !csc.Pinned:
			report("why", "remove why, or update the inventory", "has no revision to lose (%s)", csc.Pos)
		}
	}
}

// newRevision checks a CSC whose revision is raised, or that gets its first one.
func (c *requestCheck) newRevision(report func(field, remedy, format string, args ...any), change model.Change, csc *model.CSC) {
	switch {
	case !csc.Pinned:
	case !change.Pinned:
		report("", fmt.Sprintf(`add the new revision, such as revision: %d; or why: "configuration", if only its configuration changes; or why: "unpinned", if it loses its revision`, csc.Revision+1),
			"has revision %d, but the request gives no new one", csc.Revision)
	case change.Revision == csc.Revision:
		report("revision", `give the new revision; or remove it and add why: "configuration", if only the configuration changes`,
			"has revision %d already (%s)", change.Revision, csc.Pos)
	case change.Revision < csc.Revision:
		report("revision", `add why: "rollback", if that is meant; otherwise raise it, or update the inventory`,
			"goes from the deployed revision %d (%s) to revision %d, which is lower", csc.Revision, csc.Pos, change.Revision)
	}
}

// added checks the CSCs that the site gets.
func (c *requestCheck) added() {
	subject := c.subject + ": added"
	for i := range c.req.Added {
		csc := &c.req.Added[i]
		name := csc.Name()
		at := c.at.with("added", name)
		if c.wrong(at) {
			continue
		}
		if has, ok := c.site.CSC(name); ok {
			c.report(at, subject, fmt.Sprintf("the site has CSC %s already (%s)", name, has.Pos), "name it among changed, or remove it")
			continue
		}
		var known []string
		for _, a := range c.site.Applications {
			known = append(known, a.Name)
		}
		if !slices.Contains(known, csc.Application) {
			c.report(at.with("application"), subject, fmt.Sprintf("CSC %s is in the application %q, which the site does not have%s", name, csc.Application, suggest(csc.Application, known)),
				"correct it, or add it to the site's applications")
		}
		for _, has := range slices.Concat(c.site.CSCs, c.req.Added[:i]) {
			if has.Job == csc.Job && has.Application == csc.Application && !slices.Contains(c.req.Removed, has.Name()) {
				c.report(at.with("job"), subject, fmt.Sprintf("CSC %s runs as the Job %s, like CSC %s (%s)", name, csc.Job, has.Name(), has.Pos), "give it its own Job, or name the other among removed")
			}
		}
	}
}

// removed checks the CSCs that the site loses.
func (c *requestCheck) removed() {
	subject := c.subject + ": removed"
	for i, name := range c.req.Removed {
		at := c.at.with("removed", strconv.Itoa(i))
		csc, ok := c.csc(at, subject, name)
		changes := slices.ContainsFunc(c.req.Changed, func(x model.Change) bool { return x.CSC == name })
		loop := c.site.ClosedLoop
		switch {
		case !ok:
		case slices.Contains(c.req.Removed[:i], name):
			c.report(at, subject, fmt.Sprintf("names CSC %s twice", name), "remove one of them")
		case changes:
			c.report(at, subject, fmt.Sprintf("CSC %s is also among those that change", name), "remove it from one of the two")
		case csc.Application == "":
			c.report(at, subject, fmt.Sprintf("CSC %s runs on host %s, where an upgrade removes nothing", name, csc.Host), "remove it here; its principal stops it, and then it leaves the site's files")
		case slices.Contains(everywhere, name) || loop != nil && loop.CSC == name:
			c.report(at, subject, fmt.Sprintf("CSC %s is needed by every upgrade", name), "remove it from the list")
		}
	}
}

// queues checks that the ScriptQueues stay up only where they miss nothing.
func (c *requestCheck) queues() {
	if !c.req.QueuesStay {
		return
	}
	at, subject := c.at.with("queuesStay"), c.subject+": queuesStay"
	if n := len(c.req.Changed); n != 1 || len(c.req.Added)+len(c.req.Removed)+len(c.req.Hosts) > 0 {
		c.report(at, subject, "the ScriptQueues may stay up only if one CSC changes and nothing else does", "remove it, or upgrade that CSC alone")
		return
	}
	if one := c.req.Changed[0].CSC; slices.Contains(everywhere, one) {
		c.report(at, subject, fmt.Sprintf("%s restarts together with the ScriptQueues", one), "remove it")
	}
}
