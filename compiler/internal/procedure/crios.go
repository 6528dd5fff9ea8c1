package procedure

import (
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	// buildStage is the id of the stage that begins the builds on the cRIOs.
	buildStage = "builds"
	// criosStage is the id of the stage that updates the cRIOs, and the CSCs that keep
	// their states.
	criosStage = "crios"
)

// crioUpdates visits the services on cRIOs that the plan updates (P29).
func (b *builder) crioUpdates(visit func(h *model.Host, svc *model.Service)) {
	if plan.Type(b.req.Type) == plan.Recovery || b.req.CriosDone {
		return
	}
	for _, h := range b.hosts {
		if h.Role != model.CRIO {
			continue
		}
		for i := range h.Services {
			if svc := &h.Services[i]; svc.Update != nil {
				visit(h, svc)
			}
		}
	}
}

// updatesCRIO reports whether the plan updates a service of the cRIO.
func (b *builder) updatesCRIO(name string) bool {
	found := false
	b.crioUpdates(func(h *model.Host, _ *model.Service) { found = found || h.Name == name })
	return found
}

// buildsFirst begins the builds before anything else if the request asks for it, and
// buildsNow otherwise.
func (b *builder) buildsFirst() {
	if b.req.CriosFirst {
		b.beginBuilds()
	}
}

func (b *builder) buildsNow() {
	if !b.req.CriosFirst {
		b.beginBuilds()
	}
}

// beginBuilds adds the stage that begins what takes long on the cRIOs: generation and
// build, which go on by themselves beside everything else (P29). The services run
// meanwhile.
func (b *builder) beginBuilds() {
	s := b.stage(buildStage, "Begin the builds on the cRIOs")
	var hosts []string
	var longest time.Duration
	b.crioUpdates(func(h *model.Host, svc *model.Service) {
		if svc.Build == nil {
			return
		}
		step := b.ssh(slug(h.Name), fmt.Sprintf("%s: begin to build %s", h.Name, svc.Name), h, svc.Name, plan.Build, svc.Build, "P29")
		step.Timeout, step.Takes = plan.Duration(limitHost), 0 // it only begins
		step.Consent = strings.TrimSpace(fmt.Sprintf("The %s agrees that csu builds %s on %s while it runs. %s", b.principal(first(svc.CSCs)), svc.Name, h.Name, svc.Build.Consent))
		s.add(step)
		hosts, longest = union(hosts, []string{h.Name}), max(longest, svc.Build.Takes)
	})
	s.close(fmt.Sprintf("For %s at %s, csu begins SAL generation and build on %s. They take about %s in the background, whether csu runs or not, and stop no service.", b.what(), b.site.Name, strings.Join(hosts, ", "), plan.Duration(longest)))
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// awaitBuild makes the step that waits for a build (P29).
func (b *builder) awaitBuild(h *model.Host, svc *model.Service, source ...string) plan.Step {
	step := b.ssh(slug(h.Name+" built"), h.Name+": wait for the build", h, svc.Name, plan.AwaitBuild, svc.Build, source...)
	step.Action.Parameters.(*plan.SSH).Build = buildStage + "/" + slug(h.Name)
	step.Consent, step.Doubt = "", "" // asked before the build began
	step.ByHand = fmt.Sprintf("Log in as in step %s/%s and look at the build below ~/.csu, or do that step.", buildStage, slug(h.Name))
	return step
}

// updateCRIOs adds the stage that waits for the builds and updates the cRIOs, and with them
// the CSCs that keep their states. It comes once the ScriptQueues are back. What takes
// long is done, so that a service is down for minutes (P6, P29).
func (b *builder) updateCRIOs() {
	s := b.stage(criosStage, "")
	var other, started, cscs []string
	b.crioUpdates(func(h *model.Host, svc *model.Service) {
		if b.runsProtected(svc) {
			return
		}
		other, cscs = append(other, fmt.Sprintf("%s on %s", svc.Name, h.Name)), union(cscs, b.speaking(svc.CSCs))
		started = append(started, b.updateCRIO(s, h, svc))
	})
	if len(cscs) > 0 {
		s.add(after(b.awaitStates("up", plan.CSCList(cscs)+" come up", cscs, func(name string) []string {
			c, _ := b.csc(name)
			return []string{comesUp(c)}
		}, limitComeUp, "P29", "P37"), started...))
	}
	kept := b.updateProtected(s)
	var text []string
	if len(other) > 0 {
		s.Title = "Update the cRIOs"
		text = append(text, fmt.Sprintf("csu waits for the builds, then updates and starts these services: %s.", strings.Join(other, ", ")))
	}
	if len(kept) > 0 {
		s.Title = strings.TrimPrefix(s.Title+" and the CSCs that keep their states", " and the CSCs")
		if len(other) == 0 {
			s.Title = "Update the CSCs that keep their states"
		}
		text = append(text, fmt.Sprintf("With their principal's agreement it stops, updates and starts %s, and brings them back to their states.", plan.CSCList(kept)))
	}
	s.close(strings.Join(text, " "))
}

// updateCRIO adds the steps for a service that the plan has stopped with the others on
// bare metal (P17): wait for its build, copy, start. It returns the last.
func (b *builder) updateCRIO(s *stage, h *model.Host, svc *model.Service) string {
	last := ""
	if svc.Build != nil {
		last = s.add(b.awaitBuild(h, svc, "P29"))
	}
	last = s.add(after(b.ssh(slug(h.Name+" update"), fmt.Sprintf("%s: update %s", h.Name, svc.Name), h, svc.Name, plan.Update, svc.Update, "P29"), last))
	if svc.Start == nil {
		return last // the schema wants to know how it is started by hand
	}
	start := b.ssh(slug(h.Name+" start"), fmt.Sprintf("%s: start %s", h.Name, svc.Name), h, svc.Name, plan.Start, svc.Start, "P29", "P36")
	start.Doubt = "" // see doubtsOfHost
	return s.add(after(start, last))
}
