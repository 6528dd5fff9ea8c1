package review

import (
	"fmt"
	"io"
	"strings"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/visible"
)

// A Terminal has the properties of the terminal to write for.
type Terminal struct {
	Width  int // in characters; less than 40 counts as 40
	Colour bool
	// Least is shown beside the expected time: the longest chain of steps that the
	// procedure itself demands; 0 shows nothing.
	Least plan.Duration
}

// Text writes the plan for a terminal: the summary, then stages and steps with
// their sources, needs, times, consents and doubts. It omits the instructions for
// doing them by hand, which [Markdown] has.
func Text(w io.Writer, p *plan.Plan, on Terminal) error {
	t := newText(w, on)
	summary, estimate := Summarize(p), EstimateWithRange(p)
	estimate.Least = on.Least
	t.line("", bold, title(p))
	t.line("", plain, "Reason: "+p.Upgrade.Reason)
	t.line("", plain, fmt.Sprintf("Cluster %s, %s; scripts run on ScriptQueue:%d", p.Targets.Kubernetes.Context, p.Targets.Kubernetes.Server, p.Upgrade.Queue))
	t.gap()
	for _, f := range summary.facts(estimate, countedCSCs) {
		t.line("  ", plain, fmt.Sprintf("%-20s %s", f.label+":", f.text))
	}
	t.irreversible(&summary)
	t.times(p, estimate)
	for i := range p.Stages {
		t.stage(p, i+1, &p.Stages[i], &estimate.Stages[i])
	}
	if len(p.Final) > 0 {
		t.gap()
		t.line("", bold, "When the run ends or is aborted:")
		for i := range p.Final {
			t.step(&p.Final[i], nil, false)
		}
	}
	return t.err
}

func (t *text) irreversible(s *Summary) {
	if len(s.Irreversible) == 0 {
		return
	}
	t.gap()
	t.line("", bold, "Irreversible:")
	for _, a := range s.Irreversible {
		t.line("  ", red, a.Where+": "+a.Text)
	}
}

// times writes the expected time of each stage, and the critical path.
func (t *text) times(p *plan.Plan, e Estimate) {
	t.gap()
	t.line("", bold, "Expected times, and the critical path of each stage:")
	for i, s := range e.Stages {
		t.line("  ", plain, fmt.Sprintf("%2d. %-16s %8s  %s", i+1, p.Stages[i].ID, about(s.Takes), criticalNames(s)))
	}
	if len(p.Final) > 0 {
		t.line("  ", plain, fmt.Sprintf("    %-16s %8s", "final steps", about(e.Final)))
	}
}

// criticalNames are the stage's critical steps without the stage's id.
func criticalNames(s StageEstimate) string {
	names := make([]string, len(s.Critical))
	for i, id := range s.Critical {
		names[i] = strings.TrimPrefix(id, s.ID+"/")
	}
	return strings.Join(names, " > ")
}

func (t *text) stage(p *plan.Plan, n int, s *plan.Stage, e *StageEstimate) {
	t.gap()
	t.line("", bold, fmt.Sprintf("%d. %s  [%s] %s", n, s.Title, s.ID, numbers(s.Source)))
	t.line("   ", cyan, "Consent: "+s.Consent)
	if len(s.Principals) > 0 {
		t.line("   ", cyan, "Requires agreement from: "+strings.Join(s.Principals, ", "))
	}
	for _, d := range s.Doubts {
		t.line("   ", yellow, "Doubt: "+d)
	}
	critical := map[string]bool{}
	for _, id := range e.Critical {
		critical[id] = true
	}
	wait := turns(p, s)
	for i := range s.Steps {
		t.step(&s.Steps[i], wait[s.Steps[i].ID], critical[s.Steps[i].ID])
	}
}

func (t *text) step(s *plan.Step, wait []turn, critical bool) {
	t.gap()
	t.line("   ", bold, fmt.Sprintf("%s  %s %s", s.ID, s.Title, numbers(s.Source)))
	t.line("      ", plain, Describe(s.Action.Parameters))
	if s.Undoes != "" {
		t.line("      ", plain, "undoes "+s.Undoes)
	}
	if after := waits(s, wait, func(id string) string { return id }); after != "" {
		t.line("      ", dim, after)
	}
	how := dim
	times := lasts(s)
	if critical {
		how, times = plain, times+", critical"
	}
	t.line("      ", how, fmt.Sprintf("%s, %s; on failure: %s", s.Action.Kind(), times, onFailure(s)))
	if s.Consent != "" {
		t.line("      ", cyan, "Consent: "+s.Consent)
	}
	if len(s.Principals) > 0 {
		t.line("      ", cyan, "Requires agreement from: "+strings.Join(s.Principals, ", "))
	}
	if s.Doubt != "" {
		t.line("      ", yellow, "Doubt: "+s.Doubt)
	}
}

// lasts says how long a step usually takes, and at most.
func lasts(s *plan.Step) string { return s.Takes.String() + ", max " + s.Timeout.String() }

// waits says for which steps a step waits; name writes an id.
func waits(s *plan.Step, wait []turn, name func(id string) string) string {
	var after, apart []string
	for _, n := range s.Needs {
		after = append(after, name(n))
	}
	for _, w := range wait {
		text := fmt.Sprintf("%s (%s)", name(w.Other), w.Resource)
		if w.First {
			after = append(after, text)
		} else {
			apart = append(apart, text)
		}
	}
	var parts []string
	if len(after) > 0 {
		parts = append(parts, "after "+strings.Join(after, ", "))
	}
	if len(apart) > 0 {
		parts = append(parts, "not together with "+strings.Join(apart, ", "))
	}
	return strings.Join(parts, "; ")
}

func numbers(source []string) string { return "(" + strings.Join(source, ", ") + ")" }

func onFailure(s *plan.Step) string {
	if s.OnFailure == plan.Report {
		return "reported, and the run continues"
	}
	return "the operator is asked"
}

// A style is an SGR parameter for a line, if there is colour.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// text writes wrapped lines. After the first error, which it records, it writes
// nothing.
type text struct {
	w      io.Writer
	width  int
	colour bool
	err    error
}

func newText(w io.Writer, on Terminal) *text {
	return &text{w: w, width: max(on.Width, 40), colour: on.Colour}
}

func (t *text) gap() { t.write("\n") }

// line writes text wrapped to the width, every line indented, with all its characters
// visible: what a reviewer sees must be what the plan says. Runs of spaces are
// preserved, since they align columns.
func (t *text) line(indent string, how style, s string) {
	rest, cells, fresh := indent, len(indent), true
	for _, word := range columns(visible.Line(s)) {
		bare := len([]rune(strings.TrimRight(word, " ")))
		if !fresh && cells+bare > t.width {
			t.styled(how, rest)
			rest, cells = indent+"  ", len(indent)+2
		}
		rest, cells, fresh = rest+word, cells+len([]rune(word)), false
	}
	t.styled(how, rest)
}

// columns splits after each run of spaces, which stay with the word before, and
// after the commas of long lists of indices.
func columns(s string) []string {
	var out []string
	start := 0
	for i := 1; i < len(s); i++ {
		if s[i] != ' ' && (s[i-1] == ' ' || s[i-1] == ',') {
			out = append(out, s[start:i])
			start = i
		}
	}
	return append(out, s[start:])
}

func (t *text) styled(how style, line string) {
	line = strings.TrimRight(line, " ")
	if t.colour && how != plain {
		line = "\x1b[" + string(how) + "m" + line + "\x1b[0m"
	}
	t.write(line + "\n")
}

func (t *text) write(s string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.w, s)
	}
}
