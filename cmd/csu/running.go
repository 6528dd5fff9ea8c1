package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
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

// draw writes the block of what runs.
func (s *screen) draw() {
	if !s.terminal || s.asking || len(s.running) == 0 {
		return
	}
	now := s.now()
	for _, r := range s.running {
		line := fmt.Sprintf("   …  %s  %s", r.id, now.Sub(r.since).Truncate(time.Second))
		if r.progress != "" {
			line += "  " + strings.ReplaceAll(r.progress, "\n", " ")
		} else {
			line += "  " + r.title
		}
		s.blockLine(line)
	}
	s.blockLine("      " + detailsKey + " and Enter: details; Ctrl-C: stop after these steps")
}

func (s *screen) blockLine(line string) {
	line = visible.Line(secret.Redact(line))
	if cells := []rune(line); len(cells) > s.width-1 {
		line = string(cells[:s.width-2]) + "…"
	}
	fmt.Fprintln(s.out, line)
	s.shown++
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
	for _, stage := range review.EstimatePlan(p).Stages {
		s.takes[stage.ID] = stage.Takes
	}
}
