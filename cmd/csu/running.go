package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/secret"
	"github.com/lsst-ts/csu/executor/visible"
)

// runningStep is a step that is under way.
type runningStep struct {
	id, title, progress string
	since, told         time.Time // when it was started, and when its progress was told
	usual, limit        plan.Duration
}

// follow keeps in mind what runs.
func (s *screen) follow(e operator.Event) {
	i := slices.IndexFunc(s.running, func(r runningStep) bool { return r.id == e.Step })
	switch e.Kind {
	case operator.StepStarted:
		if i < 0 && e.Step != "" {
			s.running = append(s.running, runningStep{id: e.Step, title: e.Title, since: e.Time, usual: s.usual[e.Step], limit: s.limits[e.Step]})
		}
	case operator.StepProgress:
		if i >= 0 {
			s.running[i].progress, s.running[i].told = e.Text, e.Time
		}
	case operator.StepDone, operator.StepFailed, operator.StepSkipped, operator.StepInDoubt:
		if i >= 0 {
			s.running = slices.Delete(s.running, i, i+1)
		}
	}
}

// detailsKey, typed while steps run, shows what csu waits for.
const detailsKey = "d"

// draw writes the block of what runs: where the run is, each step with how long it has run
// and its last sign of life, and what is owed at the end.
func (s *screen) draw() {
	if !s.terminal || s.asking || len(s.running) == 0 {
		return
	}
	now := s.now()
	if v := s.view; v != nil {
		s.blockLine("   " + s.where(v))
		if owed := owedText(v); owed != "" {
			s.blockLine("   " + owed)
		}
	}
	room := max(3, s.height-6)
	for i, r := range s.running {
		if s.height > 0 && i == room && len(s.running) > room+1 {
			s.blockLine(fmt.Sprintf("   …  and %d more", len(s.running)-i))
			break
		}
		line := fmt.Sprintf("   …  %s  %s", r.id, now.Sub(r.since).Truncate(time.Second))
		if r.usual > 0 {
			line += " of usually " + r.usual.String()
		}
		if r.progress != "" {
			line += "  " + signText(&live.Sign{At: r.told, Text: r.progress}, now)
		} else {
			line += "  " + r.title
		}
		s.blockLine(line)
	}
	s.blockLine("      " + detailsKey + " and Enter: details; Ctrl-C: stop after these steps")
}

// where says in which stage the run is, how long it has taken and when it will end.
func (s *screen) where(v *live.View) string {
	var parts []string
	if v.Stage != nil {
		parts = append(parts, fmt.Sprintf("stage %d of %d", v.Stage.Number, v.Stage.Of))
	}
	parts = append(parts, lasting(s.now().Sub(v.Begun))+" elapsed")
	if v.End != nil {
		parts = append(parts, endText(v, s.zone))
	}
	return strings.Join(parts, ", ")
}

func (s *screen) blockLine(line string) {
	line = cut(visible.Line(secret.Redact(line)), s.width-1)
	fmt.Fprintln(s.out, line)
	s.block = append(s.block, len([]rune(line)))
}

// cut cuts a line that is too long, between words.
func cut(line string, width int) string {
	if len([]rune(line)) <= width {
		return line
	}
	return elided(line, width)
}

// elided ends a line, after so many words as fit, with dots.
func elided(line string, width int) string {
	const dots = " …"
	cells := []rune(line)
	if room := max(1, width-len([]rune(dots))); len(cells) > room {
		end := strings.LastIndexAny(string(cells[:room+1]), " ,")
		if kept := string(cells[:room]); end < len(kept)/2 { // one long word
			line = kept
		} else {
			line = line[:end]
		}
	}
	return strings.TrimRight(line, " ,") + dots
}

// details says of each step that runs what csu waits for, since when and for how long, and
// all that it has seen last.
func (s *screen) details() string {
	now := s.now()
	var parts []string
	for _, r := range s.running {
		lines := []string{visible.Line(r.id + "  " + r.title)}
		lines = append(lines, fmt.Sprintf("  Started at %s UTC%s, %s ago.", r.since.UTC().Format(time.TimeOnly), atSite(r.since, s.zone), now.Sub(r.since).Truncate(time.Second)))
		if r.usual > 0 {
			lines = append(lines, fmt.Sprintf("  Usually takes %s.", r.usual))
		}
		if r.limit > 0 {
			lines = append(lines, fmt.Sprintf("  csu waits for %s at most, and then asks you how to continue.", r.limit))
		}
		if r.progress == "" {
			lines = append(lines, "  It has reported nothing yet.")
		} else {
			lines = append(lines, fmt.Sprintf("  Last reported, at %s UTC:", r.told.UTC().Format(time.TimeOnly)))
			lines = append(lines, "    "+strings.ReplaceAll(strings.TrimSpace(r.progress), "\n", "\n    "))
		}
		parts = append(parts, strings.Join(lines, "\n"))
	}
	return strings.Join(parts, "\n")
}

// stillRunning names the other steps that run while q is put; "" where none does.
func stillRunning(q operator.Question, running []runningStep, width int) string {
	var lines []string
	for _, r := range running {
		if r.id == q.Step {
			continue
		}
		line := fmt.Sprintf("Still running: %s since %s", r.id, r.since.UTC().Format(time.TimeOnly))
		if r.usual > 0 {
			line += fmt.Sprintf(" (usually %s)", r.usual)
		}
		if r.progress != "" {
			line += ": " + strings.ReplaceAll(r.progress, "\n", " ")
		}
		lines = append(lines, wrap("", line, width))
	}
	return strings.Join(lines, "\n")
}

// follows lets the screen show times of a plan: those of its site, and how long steps and
// stages take.
func (s *screen) follows(p *plan.Plan) {
	s.zone = zoneOf(p)
	s.usual, s.limits, s.takes = map[string]plan.Duration{}, map[string]plan.Duration{}, map[string]plan.Duration{}
	for step := range p.AllSteps() {
		s.usual[step.ID], s.limits[step.ID] = step.Takes, step.Timeout
	}
	s.numbers = map[string]int{}
	for i, stage := range review.EstimatePlan(p).Stages {
		s.takes[stage.ID], s.numbers[stage.ID] = stage.Takes, i+1
	}
}
