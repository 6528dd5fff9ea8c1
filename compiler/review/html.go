package review

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"slices"
	"strings"

	look "github.com/lsst-ts/csu/executor/page"
	"github.com/lsst-ts/csu/executor/plan"
)

//go:embed page.html
var pageTemplate string

//go:embed page.js
var pageScript string

//go:embed run.css
var runStyle string

//go:embed run.js
var runScript string

// HTML writes the plan as a self-contained page: the summary, the stages with their
// steps and the graph of their needs, the hosts and the CSCs. A step's id is its
// fragment: #offline/watcher opens and shows the step.
func HTML(w io.Writer, p *plan.Plan) error { return newPage(shown(p)).write(w) }

// LiveHTML is [HTML] with a run laid over the plan: its script shows what the server of the
// page sends from the address "events", each a run as csu status --json writes it.
func LiveHTML(w io.Writer, p *plan.Plan) error {
	g := newPage(shown(p))
	style, script := look.Style+runStyle, pageScript+runScript
	g.Live, g.Style, g.Script, g.Policy = true, template.CSS(style), template.JS(script), look.ServedPolicy(style, script)
	return g.write(w)
}

func (g *page) write(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"at":     at,
		"blocks": blocks,
		// Long lists of indices may break after commas, but not within a number.
		"breakable": func(s string) []string { return strings.SplitAfter(s, ",") },
		"spans":     spans,
		"join":      func(list []string) string { return strings.Join(list, ", ") },
		"about":     about,
		"counted":   plan.Counted,
		"grouped":   grouped,
		"clock":     clock,
		"short":     func(image string) string { return strings.TrimPrefix(image, g.Registry+"/") },
	}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	if err := t.Execute(w, g); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// A page is the template's data. The template's own ids begin with an underscore or
// contain a colon, unlike the ids of stages and steps.
type page struct {
	Title, Reason string
	Plan          *plan.Plan
	Summary       Summary
	Estimate      Estimate
	Facts         []pageFact
	Stages        []pageStage
	Final         []pageStep
	Hosts         []pageHost
	CSCs          []pageCSC
	Registry      string // of most images
	Untouched     int    // rows of CSCs that the plan leaves alone
	Style         template.CSS
	Script        template.JS
	Policy        string
	Live          bool // a run is laid over the plan
}

type pageFact struct {
	Label string
	Count string // the number of elements in Text; "" if it is not a list
	Text  string
}

type pageStage struct {
	plan.Stage
	Number   int
	Estimate StageEstimate
	Share    int // of the plan's expected time, in per cent
	Steps    []pageStep
	Drawing  drawing
}

type pageStep struct {
	plan.Step
	Number    string
	Critical  bool
	Begins    plan.Duration
	Does      string
	ByText    string // manual instructions, if ByHand does not have them
	Resource  string
	Failure   string
	Set       []string // CSCs
	Turns     []turn
	NeededBy  []string
	Searching string // what a search matches besides the visible text
}

type pageHost struct {
	plan.Host
	Accounts string
	Steps    []string
}

type pageCSC struct {
	plan.CSC
	Where   string
	Touched bool
	Steps   []string
}

func newPage(p *plan.Plan) *page {
	g := &page{Title: title(p), Reason: p.Upgrade.Reason, Plan: p, Summary: Summarize(p), Estimate: EstimateWithRange(p), Registry: newLists(p).registry,
		Style: template.CSS(look.Style), Script: template.JS(pageScript), Policy: look.Policy(look.Style, pageScript)}
	for _, f := range g.Summary.facts(g.Estimate, countedCSCs) {
		g.Facts = append(g.Facts, newFact(f))
	}
	byCSC, byHost := map[string][]string{}, map[string][]string{}
	for s := range p.AllSteps() {
		e := s.Effects(p)
		for _, c := range cscsOf(e) {
			byCSC[c] = append(byCSC[c], s.ID)
		}
		if e.Host != "" {
			byHost[e.Host] = append(byHost[e.Host], s.ID)
		}
	}
	for i := range p.Stages {
		g.Stages = append(g.Stages, newPageStage(p, i+1, &p.Stages[i], g.Estimate))
	}
	for i := range p.Final {
		g.Final = append(g.Final, newPageStep(p, "", &p.Final[i]))
	}
	for _, h := range touchedHosts(p) {
		g.Hosts = append(g.Hosts, pageHost{h, accounts(h), byHost[h.Name]})
	}
	for _, c := range p.CSCs {
		touched := slices.Contains(g.Summary.Touched, c.CSC)
		if !touched {
			g.Untouched++
		}
		g.CSCs = append(g.CSCs, pageCSC{c, where(&c), touched, byCSC[c.CSC]})
	}
	return g
}

// newFact separates the number at the beginning of a fact.
func newFact(f fact) pageFact {
	head, rest, ok := strings.Cut(f.text, ": ")
	if ok && strings.HasSuffix(head, "CSCs") && len(rest) > longList {
		return pageFact{f.label, head, rest}
	}
	return pageFact{Label: f.label, Text: f.text}
}

func newPageStage(p *plan.Plan, n int, s *plan.Stage, e Estimate) pageStage {
	out := pageStage{Stage: *s, Number: n, Estimate: e.Stages[n-1], Drawing: draw(s, e.Stages[n-1])}
	if e.Takes > 0 {
		out.Share = int(100 * out.Estimate.Takes / e.Takes)
	}
	wait := turns(p, s)
	for i := range s.Steps {
		step := newPageStep(p, fmt.Sprintf("%d.%d", n, i+1), &s.Steps[i])
		step.Critical = slices.Contains(out.Estimate.Critical, step.ID)
		step.Begins = out.Estimate.Steps[i].Begins
		step.Turns = wait[step.ID]
		for _, other := range s.Steps {
			if slices.Contains(other.Needs, step.ID) {
				step.NeededBy = append(step.NeededBy, other.ID)
			}
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

func newPageStep(p *plan.Plan, number string, s *plan.Step) pageStep {
	e := s.Effects(p)
	out := pageStep{Step: *s, Number: number, Does: Describe(s.Action.Parameters), Resource: e.Resource, Failure: onFailure(s), Set: cscsOf(e)}
	if a, ok := s.Action.Parameters.(*plan.Manual); ok && oneLine(a.Text) != oneLine(s.ByHand) {
		out.ByText = a.Text
	}
	out.Searching = strings.Join(out.Set, " ")
	return out
}

// cscsOf returns the CSCs that a step is about, each once.
func cscsOf(e plan.Effects) []string {
	var out []string
	for _, set := range sets(e) {
		unique(&out, set...)
	}
	return out
}

// clock returns a duration as hours and minutes since a start.
func clock(d plan.Duration) string {
	minutes := int64(d) / 60e9
	return fmt.Sprintf("+%d:%02d", minutes/60, minutes%60)
}

// at returns the URL of an element of the page, with its slash unescaped.
func at(id string) template.URL {
	return template.URL("#" + (&url.URL{Fragment: id}).EscapedFragment())
}

// where returns where a CSC runs.
func where(c *plan.CSC) string {
	if c.Job != nil {
		return c.Job.Namespace + "/" + c.Job.Name
	}
	return "host " + c.Host
}
