package render

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"strings"

	"github.com/lsst-ts/csu/executor/page"
	"github.com/lsst-ts/csu/executor/timeline"
	"github.com/lsst-ts/csu/executor/visible"
)

//go:embed report.html
var pageTemplate string

//go:embed report.css
var pageStyle string

var parsed = template.Must(template.New("report").Funcs(template.FuncMap{
	"about": about, "answered": answered, "attempts": attempts, "clock": clock, "compared": compared, "ending": ending, "moment": moment,
	"percent": percent, "plain": plain, "seconds": seconds, "segment": segmentText, "waited": waited,
	"lasting":   func(s timeline.Span) string { return lasting(s.Length()) },
	"named":     func(c timeline.Cost) string { return what(c.Activity, c.Stage, c.Step, c.Topic) },
	"at":        func(id string) template.URL { return template.URL("#" + (&url.URL{Fragment: id}).EscapedFragment()) },
	"breakable": func(s string) []string { return strings.SplitAfter(s, ",") },
}).Parse(pageTemplate))

// document is the template's data. Its ids are those of the plan's page, so that a link to
// a step works in both.
type document struct {
	*timeline.Report
	Title    string
	Overview chart
	Parts    []part
	Retries  int // attempts beyond the first of each step
	Troubles int // failures and doubts
	Style    template.CSS
	Policy   string
}

// part is a stage with its chart.
type part struct {
	ID, Title, State string
	Number           int // 0 for the final steps
	Chart            chart
	Reached          bool
}

// HTML writes the report as a self-contained page that prints on A4.
func HTML(w io.Writer, r *timeline.Report) error {
	r = visible.Copy(r)
	style := page.Style + pageStyle
	d := document{Report: r, Title: title(r), Overview: overview(r), Style: template.CSS(style), Policy: page.Policy(style, "")}
	for i, s := range r.Stages {
		p := part{ID: s.ID, Title: s.Title, State: s.State, Number: i + 1}
		p.Chart, p.Reached = stageChart(r, s.ID, s.Steps)
		d.Parts = append(d.Parts, p)
	}
	if len(r.Final) > 0 {
		p := part{ID: "_final", Title: "When the run ends or is aborted"}
		p.Chart, p.Reached = stageChart(r, "", r.Final)
		d.Parts = append(d.Parts, p)
	}
	d.Retries, d.Troubles = counts(r)
	if err := parsed.Execute(w, &d); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// counts returns how many attempts were repeated, and how many failures and doubts there
// were.
func counts(r *timeline.Report) (retries, troubles int) {
	for _, s := range append(r.Stages[:len(r.Stages):len(r.Stages)], timeline.Stage{Steps: r.Final}) {
		for _, step := range s.Steps {
			retries += max(0, len(step.Attempts)-1)
		}
	}
	for _, e := range r.Trouble {
		switch e.What {
		case "stopped", "resumed", "aborting":
		default:
			troubles++
		}
	}
	return retries, troubles
}
