package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/visible"
)

// A panel writes a view of a run for a terminal of a width and a height: what matters most
// comes first, and what does not fit is counted.
type panel struct {
	width, height int
	zone          *time.Location
	colour        bool
	lines         []string
}

// panelOf returns the lines of a view. height is 0 for any.
func panelOf(v *live.View, width, height int, zone *time.Location, colour bool) []string {
	p := &panel{width: width, height: height, zone: zone, colour: colour}
	p.head(v)
	p.waits(v)
	p.progress(v)
	p.running(v)
	p.steps("Failed or in doubt", v.Trouble, 4)
	p.down(v)
	p.steps("Skipped, by hand or left out", v.Decided, 3)
	for _, line := range v.Aside {
		p.text("  ", line, 2)
	}
	if owed := owedText(v); owed != "" {
		p.text("", owed, 2)
	}
	if v.Note != "" {
		p.text("", v.Note, 3)
	}
	if v.Next != "" {
		p.text("", "Next: "+v.Next, 3)
	}
	p.events(v)
	if p.height > 0 && len(p.lines) > p.height {
		cut := len(p.lines) - p.height + 1
		p.lines = append(p.lines[:p.height-1], fmt.Sprintf("… %d more lines: make the window higher, or run csu status", cut))
	}
	return p.lines
}

// text adds a text that is one line where it has room, and at most so many.
func (p *panel) text(indent, text string, most int) { p.block(indent, visible.Line(text), most) }

// block adds a text with its own lines, of which at most so many are shown.
func (p *panel) block(indent, text string, most int) {
	lines := strings.Split(wrap(indent, text, p.width), "\n")
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] = elided(lines[most-1], p.width)
	}
	p.lines = append(p.lines, lines...)
}

// line adds a text of one line, which is cut between words where it is too long.
func (p *panel) line(text string) { p.text("", text, 1) }

func (p *panel) head(v *live.View) {
	left := fmt.Sprintf("%s %s %s, run %s, led by %s", v.Plan.Site, v.Plan.Type, v.Plan.Date, v.Run, v.Operator)
	p.line(left)
	if v.Rehearsal {
		p.line("Rehearsal: a simulated site, nothing real is touched.")
	}
	now := v.Now.Format(time.TimeOnly) + " UTC" + atSite(v.Now, p.zone)
	switch {
	case v.Copied != nil:
		p.text("", fmt.Sprintf("From the cluster's copy of the journal, written at %s; record %d.", utc(*v.Copied)+age(*v.Copied, v), v.Records), 2)
	case v.Phase == live.Stopped, v.Phase == live.NotBegun:
		p.line("No csu is running this plan here. Last record: " + utc(v.Last) + atSite(v.Last, p.zone))
	default:
		p.line(now)
	}
}

// age says how old a copy is. The times of a rehearsal are not this machine's.
func age(t time.Time, v *live.View) string {
	if v.Rehearsal {
		return ""
	}
	return fmt.Sprintf(" (%s ago)", lasting(time.Since(t)))
}

// lasting is a duration in whole seconds.
func lasting(d time.Duration) string { return plan.Duration(max(0, d).Truncate(time.Second)).String() }

func (p *panel) waits(v *live.View) {
	mark := strings.ToUpper(string(v.Phase))
	w := v.Waits
	if w == nil {
		p.lines = append(p.lines, p.phase(v.Phase, visible.Line(mark)))
		return
	}
	for i, part := range strings.Split(wrap("", visible.Line(waitText(v)), p.width-1), "\n") {
		if i == 0 {
			part = strings.Replace(part, mark, p.phase(v.Phase, mark), 1)
		}
		p.lines = append(p.lines, part)
	}
	if text := strings.TrimSpace(w.Text); text != "" {
		p.block("  ", text, 3)
	}
	if reading := strings.TrimSpace(w.Reading); reading != "" {
		p.block("    ", reading, 4)
	}
	if len(w.Choices) > 0 {
		p.text("  ", "Choices: "+strings.Join(w.Choices, ", "), 2)
	}
}

// waitText says for whom csu waits, since when and about what.
func waitText(v *live.View) string {
	w := v.Waits
	return fmt.Sprintf("%s: csu waits for %s since %s (%s): %s at %s", strings.ToUpper(string(v.Phase)), w.For, w.Since.Format(time.TimeOnly), lasting(v.Now.Sub(w.Since)), w.Topic, about(w.Stage, w.Step))
}

func about(stage, step string) string { return cmp.Or(step, stage, "the run") }

// phase colours the word of a phase.
func (p *panel) phase(of live.Phase, word string) string {
	if !p.colour {
		return word
	}
	code := map[live.Phase]string{
		live.Working: "32", live.Waiting: "33", live.InDoubt: "35", live.Failed: "31", live.Complete: "32", live.Excepted: "33", live.Aborted: "31",
	}[of]
	return "\x1b[1;" + cmp.Or(code, "37") + "m" + word + "\x1b[0m"
}

func (p *panel) progress(v *live.View) {
	p.text("", stageText(v)+fmt.Sprintf(". %d of %d steps are finished.", v.Finished, v.Steps), 2)
	if text := timeText(v, p.zone); text != "" {
		p.text("", text, 2)
	}
}

// stageText says which stage the run is in, and how long that usually takes.
func stageText(v *live.View) string {
	s := v.Stage
	if s == nil {
		return fmt.Sprintf("All %d stages are done", len(v.Stages))
	}
	text := fmt.Sprintf("Stage %d of %d, %s: %s", s.Number, s.Of, s.ID, s.Title)
	if s.Usual > 0 {
		text += fmt.Sprintf(" (usually %s)", s.Usual)
	}
	if s.State == "not started" {
		text += ", not started"
	}
	return text
}

// timeText says how long the run has taken, and when it will end.
func timeText(v *live.View, zone *time.Location) string {
	if v.Records == 0 {
		return ""
	}
	text := "Elapsed: " + lasting(time.Duration(v.Elapsed))
	if v.End == nil {
		return text
	}
	return text + "; " + endText(v, zone) + ", if nothing fails and every question is answered at once"
}

// endText says when the run is expected to end.
func endText(v *live.View, zone *time.Location) string {
	const layout = "15:04"
	low, high := v.End.Low.UTC(), v.End.High.UTC()
	text := "ends at about " + low.Format(layout)
	if high.Sub(low) >= time.Minute {
		text = fmt.Sprintf("ends between %s and %s", low.Format(layout), high.Format(layout))
	}
	return text + " UTC" + atSite(high, zone)
}

func (p *panel) running(v *live.View) {
	if len(v.Running) == 0 {
		return
	}
	p.line("Running")
	for i, r := range v.Running {
		if p.height > 0 && i == 5 && len(v.Running) > 6 {
			p.line(fmt.Sprintf("  and %d more", len(v.Running)-i))
			return
		}
		p.line("  " + runningText(r, v.Now))
	}
}

// runningText says since when a step runs, how long it usually takes, and its last sign of
// life.
func runningText(r live.Running, now time.Time) string {
	text := r.ID + "  " + lasting(now.Sub(r.Since))
	if r.Usual > 0 {
		text += " of usually " + r.Usual.String()
	}
	if r.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", r.Attempt)
	}
	if r.Sign == nil {
		return text + "  " + r.Title
	}
	return text + "  " + signText(r.Sign, now)
}

// signText is a step's last sign of life.
func signText(s *live.Sign, now time.Time) string {
	return fmt.Sprintf("%s ago: %s", lasting(now.Sub(s.At)), strings.Join(strings.Fields(s.Text), " "))
}

func (p *panel) steps(title string, steps []live.Step, most int) {
	if len(steps) == 0 {
		return
	}
	p.line(title)
	for i, s := range steps {
		if p.height > 0 && i == most {
			p.line(fmt.Sprintf("  and %d more", len(steps)-i))
			return
		}
		text := fmt.Sprintf("%s  %s since %s", s.ID, s.Phase, s.Since.Format(time.TimeOnly))
		if s.By != "" {
			text += " by " + s.By
		}
		if s.Text != "" {
			text += ": " + strings.Join(strings.Fields(s.Text), " ")
		}
		p.text("  ", text, 2)
	}
}

func (p *panel) down(v *live.View) {
	for _, line := range downLines(v) {
		p.text("", line, 3)
	}
}

// downLines says which CSCs are down and for how long.
func downLines(v *live.View) []string {
	var down, early []string
	going := map[string][]string{}
	var by []string
	var first time.Time
	for _, f := range v.Down {
		switch {
		case f.Early:
			early = append(early, f.CSC)
			continue
		case f.By != "":
			if going[f.By] == nil {
				by = append(by, f.By)
			}
			going[f.By] = append(going[f.By], f.CSC)
			continue
		}
		down = append(down, f.CSC)
		if first.IsZero() || f.Since.Before(first) {
			first = f.Since
		}
	}
	var lines []string
	if len(down) > 0 {
		lines = append(lines, fmt.Sprintf("Down (%d, the longest for %s): %s", len(down), lasting(v.Now.Sub(first)), plan.CSCList(down)))
	}
	for _, step := range by {
		lines = append(lines, fmt.Sprintf("Being taken down by %s (%d): %s", step, len(going[step]), plan.CSCList(going[step])))
	}
	if len(early) > 0 {
		lines = append(lines, fmt.Sprintf("Up, but not in the state that they should end in (%d): %s", len(early), plan.CSCList(early)))
	}
	return lines
}

// owedText says which final steps must still run; "" for none.
func owedText(v *live.View) string {
	if len(v.Owed) == 0 {
		return ""
	}
	var parts []string
	for _, o := range v.Owed {
		parts = append(parts, fmt.Sprintf("%s (%s)", o.Title, o.ID))
	}
	return "Owed at the end: " + strings.Join(parts, "; ")
}

func (p *panel) events(v *live.View) {
	room := len(v.Events)
	if p.height > 0 {
		room = min(room, p.height-len(p.lines)-1)
	}
	if room <= 0 {
		return
	}
	p.line("Last events")
	for _, e := range v.Events[:room] {
		p.line(fmt.Sprintf("  %s  %-10s %s  %s", e.Time.UTC().Format(time.TimeOnly), e.What, about(e.Stage, e.Step), strings.Join(strings.Fields(e.Text), " ")))
	}
}
