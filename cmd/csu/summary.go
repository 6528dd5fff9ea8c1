package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/timeline"
)

// summary prints what the run was when csu ends: how long it took, for whom it waited, and
// what did not go by itself. It says nothing if the journal cannot be read, which the run
// itself reports.
func (c *console) summary(l *loaded) {
	log, err := timeline.Read(journal.Disk, l.journal, l.plan, l.digest)
	if err != nil || log.State().Records == 0 {
		return
	}
	usual := time.Duration(review.EstimatePlan(l.plan).Takes)
	for _, line := range summaryOf(log.Report(timeline.Options{Usual: usual})) {
		c.paragraph("%s", line)
	}
	if !l.siteEnds {
		c.paragraph("What took how long: csu report %s%s", l.file, onSite(l.mapFile))
	}
}

// summaryOf returns the lines of a summary.
func summaryOf(r *timeline.Report) []string {
	took := fmt.Sprintf("So far %s", lasting(time.Duration(r.Took)))
	if r.End != "" {
		took = fmt.Sprintf("Took %s", lasting(time.Duration(r.Took)))
	}
	took += fmt.Sprintf("; the whole plan usually takes %s", lasting(time.Duration(r.Usual)))
	if r.Asked >= timeline.Seconds(time.Second) {
		took += fmt.Sprintf("; csu waited %s for answers", lasting(time.Duration(r.Asked)))
	}
	if r.Away >= timeline.Seconds(time.Second) {
		took += fmt.Sprintf("; no csu was running for %s", lasting(time.Duration(r.Away)))
	}
	lines := []string{took + "."}
	groups := []struct {
		title string
		in    func(s timeline.Step) (text string, in bool)
	}{
		{"Done by hand", ofPhase(state.ByHand)},
		{"Skipped", ofPhase(state.Skipped)},
		{"Left out", ofPhase(state.LeftOut)},
		{"Repeated", func(s timeline.Step) (string, bool) {
			return fmt.Sprintf("%s (%d attempts)", s.ID, len(s.Attempts)), len(s.Attempts) > 1
		}},
	}
	for _, g := range groups {
		var parts []string
		for _, stage := range append(r.Stages[:len(r.Stages):len(r.Stages)], timeline.Stage{Steps: r.Final}) {
			for _, s := range stage.Steps {
				if text, in := g.in(s); in {
					parts = append(parts, text)
				}
			}
		}
		if len(parts) > 0 {
			lines = append(lines, g.title+": "+strings.Join(parts, ", "))
		}
	}
	return lines
}

func ofPhase(p state.Phase) func(s timeline.Step) (string, bool) {
	return func(s timeline.Step) (string, bool) { return s.ID, s.Phase == string(p) }
}
