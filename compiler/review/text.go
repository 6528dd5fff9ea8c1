package review

import (
	"fmt"
	"io"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
)

// Text writes the plan for a terminal of the given width: stages and steps with
// their sources, needs, consents and doubts, without the texts for doing them by
// hand, which Markdown has.
func Text(w io.Writer, p *plan.Plan, width int) error {
	t := &text{w: w, width: max(width, 40)}
	t.line("", title(p))
	t.line("", fmt.Sprintf("Reason: %s", p.Upgrade.Reason))
	t.line("", fmt.Sprintf("Cluster %s, %s; scripts run on ScriptQueue:%d", p.Targets.Kubernetes.Context, p.Targets.Kubernetes.Server, p.Upgrade.Queue))
	t.line("", "")
	for _, l := range Summarize(p).lines() {
		t.line("  ", fmt.Sprintf("%-16s %s", l[0]+":", l[1]))
	}
	for i, s := range p.Stages {
		t.line("", "")
		t.line("", fmt.Sprintf("%d. %s  [%s] %s", i+1, s.Title, s.ID, numbers(s.Source)))
		t.line("   ", "Consent: "+s.Consent)
		if len(s.Principals) > 0 {
			t.line("   ", "Agreed by: "+strings.Join(s.Principals, ", "))
		}
		for _, d := range s.Doubts {
			t.line("   ", "Doubt: "+d)
		}
		for _, step := range s.Steps {
			t.step(step)
		}
	}
	if len(p.Final) > 0 {
		t.line("", "")
		t.line("", "At the end, and when the run is aborted:")
		for _, step := range p.Final {
			t.step(step)
		}
	}
	return t.err
}

func title(p *plan.Plan) string {
	text := fmt.Sprintf("%s: %s upgrade, cycle %s, on %s", p.Site, p.Type, p.Upgrade.Cycle, p.Upgrade.Date)
	if p.Type == plan.Recovery {
		text = fmt.Sprintf("%s: recovery after an upgrade of the OS or Kubernetes, cycle %s, on %s", p.Site, p.Upgrade.Cycle, p.Upgrade.Date)
	}
	if p.Upgrade.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", p.Upgrade.Attempt)
	}
	return text
}

func numbers(source []string) string { return "(" + strings.Join(source, ", ") + ")" }

type text struct {
	w     io.Writer
	width int
	err   error
}

func (t *text) step(s plan.Step) {
	t.line("", "")
	t.line("   ", fmt.Sprintf("%s  %s %s", s.ID, s.Title, numbers(s.Source)))
	t.line("      ", Describe(s.Action.Doer))
	if len(s.Needs) > 0 {
		t.line("      ", "after "+strings.Join(s.Needs, ", "))
	}
	t.line("      ", fmt.Sprintf("%s, within %s; if it fails: %s", s.Action.Kind(), s.Timeout, onFailure(s)))
	if s.Consent != "" {
		t.line("      ", "Consent: "+s.Consent)
	}
	if len(s.Principals) > 0 {
		t.line("      ", "Agreed by: "+strings.Join(s.Principals, ", "))
	}
	if s.Doubt != "" {
		t.line("      ", "Doubt: "+s.Doubt)
	}
}

func onFailure(s plan.Step) string {
	if s.OnFailure == plan.Report {
		return "it is told, and the run goes on"
	}
	return "the operator is asked"
}

// line writes text wrapped to the width, every line behind the indent.
func (t *text) line(indent, s string) {
	if s == "" {
		t.write("\n")
		return
	}
	for _, paragraph := range strings.Split(s, "\n") {
		rest := indent
		for _, word := range strings.Fields(paragraph) {
			if len(rest) > len(indent) && len(rest)+1+len(word) > t.width {
				t.write(rest + "\n")
				rest = indent + "  "
			}
			if strings.TrimSpace(rest) != "" {
				rest += " "
			}
			rest += word
		}
		t.write(rest + "\n")
	}
}

func (t *text) write(s string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.w, s)
	}
}
