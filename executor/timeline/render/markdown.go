package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/lsst-ts/csu/executor/timeline"
	"github.com/lsst-ts/csu/executor/visible"
)

// Markdown writes the report for a ticket, or for the pull request that archives the
// journal.
func Markdown(w io.Writer, r *timeline.Report) error {
	m := markdown{}
	m.summary(visible.Copy(r))
	if _, err := w.Write(m.Bytes()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

type markdown struct{ bytes.Buffer }

func (m *markdown) f(format string, args ...any) { fmt.Fprintf(&m.Buffer, format, args...) }

// text is a text on one line.
func text(s string) string { return visible.Markdown(strings.Join(strings.Fields(s), " ")) }

// row writes the cells of a table.
func (m *markdown) row(cells ...string) {
	for _, c := range cells {
		m.f("| %s ", text(c))
	}
	m.f("|\n")
}

func (m *markdown) head(cells ...string) {
	m.f("\n")
	m.row(cells...)
	m.f("%s|\n", strings.Repeat("|---", len(cells)))
}

func (m *markdown) summary(r *timeline.Report) {
	m.f("# %s\n\n", text(title(r)))
	if r.Run.Rehearsal {
		m.f("**A rehearsal on a simulated site.**\n\n")
	}
	m.f("Reason: %s\n\n", text(r.Plan.Reason))
	retries, troubles := counts(r)
	m.head("", "")
	m.row("run", fmt.Sprintf("%s, %s", r.Run.ID, ending(r)))
	m.row("steps", fmt.Sprintf("%d of %d finished", r.Finished, r.Steps))
	m.row("time", fmt.Sprintf("%s, from %s to %s", seconds(r.Took), moment(r.Begun), moment(r.Until)))
	m.row("expected", seconds(r.Usual)+" if nothing fails and every question is answered at once")
	m.row("waiting for answers", seconds(r.Asked))
	if len(r.Absences) > 0 {
		m.row("without a csu", seconds(r.Away))
	}
	m.row("failures and doubts", fmt.Sprintf("%d; %d attempts were repeated", troubles, retries))
	for _, s := range r.Run.Sessions {
		m.row("led by", fmt.Sprintf("%s on %s, from %s, csu %s", s.Operator, s.Host, clock(s.Begun), s.Version))
	}
	m.row("plan", r.Plan.Digest)
	m.f("\n## What is left\n\n")
	if len(r.Left) == 0 {
		m.f("Nothing: no CSC is down, and no step was skipped, failed or is in doubt.\n")
	}
	for _, l := range r.Left {
		m.f("- %s", text(l.What))
		if l.Step != "" {
			m.f(", %s", text(l.Step))
		}
		m.f(": %s\n", text(l.Text))
	}
	m.f("\n## What cost most\n")
	m.head("time", "share", "what", "compared")
	for _, c := range r.Costs {
		m.row(seconds(c.Took), percent(c.Share), what(c.Activity, c.Stage, c.Step, c.Topic), compared(c))
	}
	m.trouble(r)
	m.stages(r)
}

func (m *markdown) trouble(r *timeline.Report) {
	if len(r.Trouble) > 0 {
		m.f("\n## Failures, doubts and interruptions\n")
		m.head("UTC", "what", "step", "found")
		for _, e := range r.Trouble {
			m.row(clock(e.Time), e.What, e.Step, e.Text)
		}
	}
	first := true
	for _, d := range r.Decisions {
		if plain(d) {
			continue
		}
		if first {
			m.f("\n## Decisions\n")
			m.head("UTC", "about", "question", "answer", "remark", "by")
			first = false
		}
		m.row(clock(d.Time), about(d.Stage, d.Step), d.Topic, d.Choice, d.Reason, d.By)
	}
	m.f("\n<details><summary>Questions and answers (%d)</summary>\n", len(r.Waits))
	m.head("asked", "waited", "about", "question", "answer", "remark")
	for _, w := range r.Waits {
		m.row(clock(w.Begun), waited(w), about(w.Stage, w.Step), w.Topic, answered(w), w.Reason)
	}
	m.f("\n</details>\n")
}

func (m *markdown) stages(r *timeline.Report) {
	m.f("\n<details><summary>Stages and steps</summary>\n")
	m.head("step", "what became of it", "usually")
	for _, s := range r.Stages {
		m.row(s.ID, s.State, "")
		for _, step := range s.Steps {
			m.row(step.ID, attempts(step), seconds(step.Usual))
		}
	}
	for _, step := range r.Final {
		m.row(step.ID, attempts(step), seconds(step.Usual))
	}
	m.f("\n</details>\n\n<details><summary>The critical path</summary>\n")
	m.head("from", "time", "what")
	for _, s := range r.Critical {
		m.row(clock(s.Begun), lasting(s.Length()), segmentText(s))
	}
	m.f("\n</details>\n\n<details><summary>CSCs (%d)</summary>\n", len(r.CSCs))
	m.head("CSC", "first read", "last seen", "should end in", "image deployed")
	for _, c := range r.CSCs {
		m.row(c.CSC, c.Before, c.After, c.Expect, c.Image)
	}
	m.f("\n</details>\n")
}
