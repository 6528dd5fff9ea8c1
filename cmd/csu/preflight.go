package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/preflight"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/systems"
	"github.com/lsst-ts/csu/executor/visible"
)

type preflightCommand struct {
	Plan    string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Stage   string `help:"Check only what this stage needs." placeholder:"STAGE"`
	SiteMap string `help:"Use the simulated site of this site map, which csu rehearse --serve writes." placeholder:"FILE" predictor:"file"`
}

func (preflightCommand) Help() string {
	return `Checks that everything the plan needs is reachable and permitted: LOVE and the permission to send commands, the EFD and the age of its data, every host's login and sudo, the cluster and each permission in it, Argo CD's applications, the schema registry's level, Slack, the disk and the clock. Also reports CSCs that send heartbeats but are not in the plan. It is read-only and runs none of the plan's commands. The plan must be what the committed sources give, but need not be merged. csu exec runs all these checks before the first stage and, before each later stage, those that the stage needs.

Examples:

  csu preflight plans/2026-11-24-summit-incremental.json
  csu preflight plans/2026-12-15-summit-full.json --stage deploy`
}

func (cmd *preflightCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, runFlags{SiteMap: cmd.SiteMap}, beforeMerge)
	if err != nil {
		return err
	}
	var stages []string
	if cmd.Stage != "" {
		stages = []string{cmd.Stage}
		if err := knownStages(l.plan, "--stage", cmd.Stage); err != nil {
			return err
		}
	}
	s, err := state.Read(journal.Disk, l.journal, l.plan, l.digest)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = state.New(l.plan), nil
	}
	if err != nil {
		return err
	}
	systems, missing := systems.ConnectPartly(l.plan, l.siteMap, environment)
	defer systems.Remote.Close()
	began := time.Now()
	options := l.preflight(systems, s, stages)
	options.Missing = missing
	checks := preflight.Run(context.Background(), options)
	c.checks(checks, true)
	if err := preflight.Verdict(checks); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "\nready: %s in %s\n", plan.Counted(len(checks), "check"), time.Since(began).Round(100*time.Millisecond))
	return err
}

// preflight returns the options to check the stages of a run in the given state.
func (l *loaded) preflight(systems *systems.Clients, s *state.State, stages []string) preflight.Options {
	return preflight.Options{
		Plan: l.plan, Systems: systems, Stages: stages, RunID: s.Run.ID, Ends: l.expectedEnd(systems.Clock.Now(), s),
		Down: report.Down(s), Begun: s.Begun(), Rehearsed: l.siteMap != nil, Folder: filepath.Dir(l.journal),
	}
}

// expectedEnd returns when a run that goes on now is expected to end, if nothing fails and
// every question is answered at once.
func (l *loaded) expectedEnd(now time.Time, s *state.State) time.Time {
	for i, stage := range review.EstimatePlan(l.plan).Stages {
		if !s.Stages[i].Done {
			now = now.Add(time.Duration(stage.Takes))
		}
	}
	return now
}

// beforeStage is exec's preflight: of everything before the first stage, and of
// what a stage uses before each other.
func (c *console) beforeStage(l *loaded, systems *systems.Clients) func(*plan.Stage, *state.State) func(context.Context) error {
	return func(stage *plan.Stage, state *state.State) func(context.Context) error {
		stages := []string{stage.ID}
		if !state.Begun() {
			stages = nil
		}
		options := l.preflight(systems, state, stages)
		return func(ctx context.Context) error {
			checks := preflight.Run(ctx, options)
			err := preflight.Verdict(checks)
			if err == nil {
				c.checks(checks, false)
				return nil
			}
			c.checks(checks, true)
			return err
		}
	}
}

// checks prints checks: all of them, or only what is worth knowing.
func (c *console) checks(checks []preflight.Check, all bool) {
	for _, check := range checks {
		if !all && check.Result == preflight.Ready {
			continue
		}
		indented := func(text string) string { return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 8)) }
		fmt.Fprintf(c.out, "%-7s %s: %s\n", check.Result, visible.Line(check.Subject), indented(check.Text))
		if check.Remedy != "" {
			fmt.Fprintf(c.out, "        %s\n", indented(check.Remedy))
		}
	}
}
