package compiler

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// Provenance knows where in the sources the values of a plan are written.
type Provenance struct {
	site  *model.Site
	req   *model.Request
	plan  *plan.Plan
	prose []prose
}

// prose is a text of the sources that plans copy.
type prose struct {
	text string
	pos  model.Pos
}

// Of returns the known positions, as file:line:column, of the source fields that a
// value of the plan comes from. The subject is "plan", "upgrade", "targets", or csc,
// host, stage or step with a quoted name, as in problems and comparisons. The field
// is a path below it, such as "action.commands", or "" for the whole. The texts of
// the value, says, help to find the texts and CSCs that it copies.
func (p *Provenance) Of(subject, field string, says ...string) []string {
	kind, quoted, _ := strings.Cut(subject, " ")
	name, err := strconv.Unquote(quoted)
	if err != nil {
		name = ""
	}
	whole := field
	field, _, _ = strings.Cut(field, "[")
	var found []model.Pos
	switch kind {
	case "targets":
		found = []model.Pos{p.at(append([]string{"targets"}, strings.Split(field, ".")...)...)}
	case "upgrade":
		found = []model.Pos{p.req.Places.At(append([]string{"upgrade", p.req.Type}, strings.Split(field, ".")...)...)}
		for i, change := range p.req.Changed {
			if strings.HasPrefix(whole, "changed["+change.CSC+"].") {
				found = []model.Pos{p.req.Places.At("upgrade", p.req.Type, "changed", strconv.Itoa(i), "revision")}
			}
		}
	case "csc":
		found = p.csc(name, field)
	case "host":
		found = []model.Pos{p.at("hosts", name, field)}
	case "step":
		if s, ok := p.plan.Step(name); ok {
			found = p.step(s, strings.TrimPrefix(field, "action."))
		}
	}
	if len(found) == 0 {
		found = p.repeated(says)
	}
	return written(found)
}

// written returns the known positions, each once.
func written(found []model.Pos) []string {
	var out []string
	for _, pos := range found {
		if s := pos.String(); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// at returns the position of a field of the site.
func (p *Provenance) at(path ...string) model.Pos {
	return p.site.Places.At(append([]string{"site"}, slices.DeleteFunc(path, func(s string) bool { return s == "" })...)...)
}

// cscFields are the fields of a CSC's definition, by those of its row.
var cscFields = map[string]string{
	"job.application": "application", "job.namespace": "application", "job.name": "job", "job.label": "label",
	"job.cscName": "cscName", "job.cscClass": "cscClass", "expect": "comesUp",
}

func (p *Provenance) csc(name, field string) []model.Pos {
	c, ok := p.site.CSC(name)
	if !ok {
		return nil
	}
	if own := cscFields[field]; own != "" {
		field = own
	}
	var out []model.Pos
	for _, change := range slices.Concat(p.req.Revisions, p.req.Changed) {
		if change.CSC == name && field == "image" {
			out = append(out, change.Pos)
		}
	}
	for _, k := range p.site.States.Keep {
		if k.CSC == name && field == "comesUp" {
			out = append(out, k.Pos)
		}
	}
	list := "cscs"
	if c.Job == "" {
		list = "outside"
	}
	return append(out, p.at(list, name, field))
}

// commandFields are the fields of commands on a host, by those of a step.
var commandFields = map[string]string{"commands": "run", "timeout": "limit", "byHand": "run", "": ""}

// step returns the position of the definition of what the step does.
func (p *Provenance) step(s *plan.Step, field string) []model.Pos {
	switch a := s.Action.Parameters.(type) {
	case *plan.SSH:
		h, ok := p.site.Host(a.Host)
		if !ok {
			return nil
		}
		if own, ok := commandFields[field]; ok {
			field = own
		}
		if field == "doubt" && h.Doubt != "" && strings.HasPrefix(s.Doubt, h.Doubt) {
			return []model.Pos{p.at("hosts", a.Host, "doubt")}
		}
		if a.Purpose == plan.Update && h.Checkout != nil {
			return []model.Pos{p.at("hosts", a.Host, "checkout", field)}
		}
		purpose := a.Purpose
		if purpose == plan.AwaitBuild {
			purpose = plan.Build // the same commands, which it may run again
		}
		return []model.Pos{p.at("hosts", a.Host, "services", a.Service, string(purpose), field)}
	case *plan.Reboot:
		return []model.Pos{p.at("recovery", "reboot", a.Host, field)}
	case *plan.Script:
		stage, id, _ := strings.Cut(s.ID, "/")
		if name, ok := strings.CutPrefix(stage, "testing-"); ok && id != "" {
			return []model.Pos{p.at("testing", name)}
		}
	case *plan.Announce:
		if field == "channel" {
			return []model.Pos{p.at("targets", "slack", "channel")}
		}
	case *plan.Sync:
		if field == "revision" {
			return []model.Pos{p.req.Places.At("upgrade", p.req.Type, "branches")}
		}
	}
	return nil
}

// repeated returns the positions of the texts and CSCs that the values copy.
func (p *Provenance) repeated(says []string) []model.Pos {
	var out []model.Pos
	for _, value := range says {
		if c, ok := p.site.CSC(value); ok {
			out = append(out, c.Pos)
		}
		for _, t := range p.prose {
			if strings.Contains(value, t.text) {
				out = append(out, t.pos)
			}
		}
	}
	return out
}

func newProvenance(site *model.Site, req *model.Request, p *plan.Plan) *Provenance {
	out := &Provenance{site: site, req: req, plan: p}
	add := func(text string, path ...string) {
		if text != "" {
			out.prose = append(out.prose, prose{text, out.at(path...)})
		}
	}
	add(site.Targets.ServerDoubt, "targets", "kubernetes", "doubt")
	for i := range site.CSCs {
		c := &site.CSCs[i]
		list := "cscs"
		if c.Job == "" {
			list = "outside"
		}
		add(c.Doubt, list, c.Name(), "doubt")
	}
	for i := range site.Hosts {
		h := &site.Hosts[i]
		add(h.Doubt, "hosts", h.Name, "doubt")
		add(h.Note, "hosts", h.Name, "note")
		for _, s := range h.Services {
			add(s.Keep, "hosts", h.Name, "services", s.Name, "keep")
			add(s.StartByHand, "hosts", h.Name, "services", s.Name, "startByHand")
			for purpose, c := range s.Commands() {
				add(c.Doubt, "hosts", h.Name, "services", s.Name, purpose, "doubt")
			}
		}
	}
	for _, k := range site.States.Keep {
		add(k.Doubt, "states", "keep", k.CSC, "doubt")
	}
	for i, note := range site.States.Notes {
		add(note, "states", "notes", strconv.Itoa(i))
	}
	for _, r := range site.Recovery.Reboot {
		add(r.Doubt, "recovery", "reboot", r.Host, "doubt")
	}
	for _, seq := range site.Testing {
		add(seq.Note, "testing", seq.Name, "note")
		for _, t := range seq.Steps {
			add(t.Text, "testing", seq.Name)
			add(t.Doubt, "testing", seq.Name)
		}
	}
	out.prose = append(out.prose, prose{req.Reason, req.Places.At("upgrade", req.Type, "reason")})
	return out
}
