package procedure

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

const phalanx = "phalanx"

// The applications that are synced before those of the control system (P30,
// P31).
const (
	nublado   = "nublado"
	sasquatch = "sasquatch"
)

// sync makes a step that has Argo CD sync an application, or the resources.
func (b *builder) sync(application string, resources []plan.Resource, cscs []string, source ...string) plan.Step {
	hand := fmt.Sprintf("In Argo CD (%s), application %s: Refresh, then Sync", b.site.Targets.ArgoCDURL, application)
	if len(resources) > 0 {
		var names []string
		for _, r := range resources {
			names = append(names, r.Kind+" "+r.Name)
		}
		hand += " with only these resources selected: " + strings.Join(names, ", ")
	}
	hand += "."
	if len(cscs) > 0 {
		hand += fmt.Sprintf(" Wait until the pods of %s run the images in the plan's table.", plan.CSCList(cscs))
	}
	return plan.Step{
		ID: slug(application), Title: "Sync " + application, Source: source,
		Action:  plan.Action{Parameters: &plan.Sync{Application: application, Revision: b.branch(phalanx, "main"), Resources: resources, CSCs: cscs}},
		Timeout: plan.Duration(limitSync),
		ByHand:  hand,
	}
}

// configuration adds the stage that puts the new configuration in place (P22,
// P23). The operator merges it; csu shows what Argo CD sees.
func (b *builder) configuration() {
	s := b.stage("configuration", "Update the configuration")
	apps := b.syncedApplications()
	text := fmt.Sprintf("Merge the Phalanx branch that contains everything this upgrade needs into %s. "+
		"Check that all commits that this upgrade needs in other configuration repositories are pushed", b.branch(phalanx, "main"))
	if branches := b.deployedBranches(); len(branches) > 0 {
		text += " (repository: branch): " + strings.Join(branches, ", ")
	}
	text += ". Then check Argo CD: the revision must be the merged one, and only what this plan syncs may be out of sync."
	if plan.Type(b.req.Type) == plan.Full {
		text += " The control system's applications show the new image tags only after the app of apps is synced."
	}
	merged := s.add(manual("merged", "Merge the Phalanx branch and check Argo CD", text, nil, apps, "P22"))
	var updated []string
	for _, h := range b.hosts {
		if h.Checkout == nil || h.Role == model.ESS || h.Role == model.CRIO || b.hostsProtected(h) {
			continue // updated with their services
		}
		updated = append(updated, fmt.Sprintf("%s on %s", path.Clean(h.Checkout.Repository), h.Name))
		s.add(after(b.updateCheckout(h, "P23"), merged))
	}
	consent := "You merge the Phalanx branch."
	if len(updated) > 0 {
		consent = fmt.Sprintf("You merge the Phalanx branch. Then csu updates these checkouts: %s. Coordinate all other systems with their principals.", strings.Join(updated, ", "))
	}
	s.close(consent + " Nothing is started yet.")
}

// deployedBranches returns the branches that are deployed, as "repository: branch":
// those of the request, and those of the checkouts that the plan updates.
func (b *builder) deployedBranches() []string {
	var out []string
	named := map[string]bool{phalanx: true} // the step names it
	add := func(repository, branch string) {
		if !named[repository] {
			named[repository] = true
			out = append(out, repository+": "+branch)
		}
	}
	for _, br := range b.req.Branches {
		add(br.Repository, br.Branch)
	}
	for _, h := range b.hosts {
		if h.Checkout != nil {
			add(path.Clean(h.Checkout.Repository), h.Checkout.Branch)
		}
	}
	return out
}

// syncedApplications returns the applications that the plan syncs, in order.
func (b *builder) syncedApplications() []string {
	var out []string
	if plan.Type(b.req.Type) == plan.Full {
		out = append(out, b.site.Targets.AppOfApps, nublado)
		if b.req.SyncSasquatch {
			out = append(out, sasquatch)
		}
	}
	for _, a := range b.site.Applications {
		if plan.Type(b.req.Type) != plan.Incremental ||
			len(b.jobsOf(a.Name)) > 0 {
			out = append(out, a.Name)
		}
	}
	return union(out, b.req.Applications)
}

// platform adds the stage that syncs what the control system depends on (P30,
// P31).
func (b *builder) platform() {
	s := b.stage("platform", "Sync the platform")
	apps := s.add(b.sync(b.site.Targets.AppOfApps, nil, nil, "P30"))
	nub := s.add(after(b.sync(nublado, nil, nil, "P30"), apps))
	text := fmt.Sprintf("Argo CD syncs %s, which renders the new image tags into the control system's applications, and then %s.", b.site.Targets.AppOfApps, nublado)
	if b.req.SyncSasquatch {
		step := b.sync(sasquatch, nil, nil, "P31")
		step.Consent = "Sync Sasquatch only if necessary: check what is out of sync and whether you want that deployed now. Kafka, the schema registry and the EFD may restart."
		done := s.add(after(step, nub))
		s.add(after(manual("efd-back", "Check that Sasquatch is back",
			"Check in Chronograf that the EFD answers queries, and in Argo CD that the pods of sasquatch are ready. From now on csu relies on the EFD again.", nil, nil, "P31"), done))
		text += " Sasquatch follows, after asking you separately."
	}
	s.close(text)
}

// deploy adds the stage that syncs every application of the control system (P32):
// a small one first, then love, so that states can be watched, then the rest.
func (b *builder) deploy() {
	s := b.stage("deploy", "Deploy the control system", "P27")
	source := []string{"P32"}
	if plan.Type(b.req.Type) == plan.Recovery {
		source = append(source, "P44")
	}
	last := ""
	for _, name := range []string{"control-system-test", loveApplication} {
		if _, ok := b.site.Application(name); !ok {
			continue
		}
		if name == loveApplication {
			if step, ok := b.deleteCommander(); ok {
				last = s.add(after(step, last))
			}
		}
		last = s.add(after(b.sync(name, nil, b.jobsOf(name), source...), last))
	}
	for _, a := range b.site.Applications {
		if a.Name == "control-system-test" || a.Name == loveApplication {
			continue
		}
		s.add(after(b.sync(a.Name, nil, b.jobsOf(a.Name), source...), last))
	}
	s.close("Argo CD syncs the control system: first control-system-test, then love, after love-commander's Job is deleted, then all others at once. " +
		"Pulling the images can take many minutes. Only applications with CSCs, and love, are synced.")
}

// jobsOf returns the CSCs of an application whose Jobs its sync creates: those that go
// down and come back, and those that are new.
func (b *builder) jobsOf(application string) []string {
	out := b.selectDown(func(c *model.CSC) bool { return c.Application == application && !b.removed(c.Name()) })
	for _, name := range b.added() {
		if b.runsIn(name, application) {
			out = append(out, name)
		}
	}
	return out
}

// deployAffected adds the stage that syncs only the Jobs that were deleted, and
// the applications that the request names (P33).
func (b *builder) deployAffected() {
	s := b.stage("deploy", "Deploy the changes", "P27")
	for _, a := range b.site.Applications {
		cscs := b.jobsOf(a.Name)
		whole := slices.Contains(b.req.Applications, a.Name)
		gone := ""
		if a.Name == loveApplication {
			if step, ok := b.deleteCommander(); ok {
				gone = s.add(step)
			}
		}
		switch {
		case whole:
			done := s.add(after(b.sync(a.Name, nil, cscs, "P33"), gone))
			if a.Name == loveApplication {
				s.add(after(b.loveAnswers(), done))
			}
		case len(cscs) > 0:
			s.add(after(b.sync(a.Name, b.resources(cscs), cscs, "P33"), gone))
		}
	}
	for _, name := range b.req.Applications {
		if _, ok := b.site.Application(name); !ok {
			s.add(b.sync(name, nil, nil, "P33"))
		}
	}
	s.close(b.deploying() + " Pulling the images can take many minutes.")
}

// deploying says what is synced, and which Job of LOVE is deleted before.
func (b *builder) deploying() string {
	text, whole := "", strings.Join(b.req.Applications, ", ")
	if step, ok := b.deleteCommander(); ok {
		text = fmt.Sprintf("csu deletes the %s; LOVE accepts no commands until love is synced. ", namedJobs(step.Action.Parameters.(*plan.Delete).CSCs))
	}
	jobs := "the deleted Jobs again"
	if len(b.added()) > 0 {
		jobs = "the deleted Jobs again and the new ones of " + plan.CSCList(b.added()) + ","
		if len(b.down) == 0 {
			jobs = "the Jobs of " + plan.CSCList(b.added())
		}
	}
	switch {
	case len(b.down)+len(b.added()) == 0:
		return fmt.Sprintf("Argo CD syncs the whole of %s.", whole)
	case whole != "":
		return text + fmt.Sprintf("Argo CD creates %s, and syncs what belongs to them, such as their ConfigMaps, and the whole of %s.", jobs, whole)
	}
	return text + fmt.Sprintf("Argo CD creates %s and syncs what belongs to them, such as their ConfigMaps, and nothing else in their applications.", jobs)
}

// loveAnswers makes the step that checks LOVE once it is synced: its Deployments are
// rolled, and csu's scripts go through it.
func (b *builder) loveAnswers() plan.Step {
	t := b.site.Targets
	return manual("love-answers", "Check that LOVE answers", fmt.Sprintf("In Argo CD (%s), application %s: wait until all its Deployments are rolled out and Healthy. "+
		"Then open LOVE (%s), log in, and check that its view %q shows the CSCs' states.", t.ArgoCDURL, loveApplication, t.LOVEURL, t.LOVEView), nil, nil, "P13")
}

// resources returns what a sync brings back with the CSCs.
func (b *builder) resources(cscs []string) []plan.Resource {
	p := &plan.Plan{Shared: b.shared()}
	for _, name := range cscs {
		c, _ := b.csc(name)
		p.CSCs = append(p.CSCs, plan.CSC{CSC: name, Job: b.job(c)})
	}
	return p.Brings(cscs)
}
