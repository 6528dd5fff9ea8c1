package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
)

type statusCommand struct {
	Plan    string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	SiteMap string `help:"Tell of the rehearsed run in this map's folder." placeholder:"FILE" predictor:"file"`
}

func (statusCommand) Help() string {
	return `Reads the journal beside the plan, also while an executor writes it, and tells in one screen where the run stands, what is in doubt and what to do next. It changes nothing.

Example:

  csu status plans/2026-11-24-summit-incremental.json`
}

func (cmd *statusCommand) Run(c *console) error {
	p, _, err := plan.ReadFile(cmd.Plan)
	if err != nil {
		return err
	}
	digest, err := plan.Digest(p)
	if err != nil {
		return err
	}
	name := cmd.Plan + ".journal"
	if cmd.SiteMap != "" {
		m, err := sitemap.Read(cmd.SiteMap)
		if err != nil {
			return err
		}
		name = filepath.Join(m.Dir, filepath.Base(cmd.Plan)+".journal")
	}
	state, err := executor.ReadState(journal.Disk, name, p, digest)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || state.Records == 0 {
		fmt.Fprintf(c.out, "%s has not been run: there is no journal %s, or nothing in it.\nNext: csu exec %s%s\n", cmd.Plan, shown(name), cmd.Plan, cmd.flags())
		return nil
	}
	held, err := journal.Held(name)
	if err != nil {
		return err
	}
	c.status(cmd, state, held)
	return nil
}

// status prints one screen.
func (c *console) status(cmd *statusCommand, s *executor.State, held bool) {
	p := func(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }
	p("Run %s of %s, led by %s, begun %s UTC, last record %s UTC", s.Run.ID, cmd.Plan, s.Run.Operator, s.Begin.UTC().Format(time.DateTime), s.Last.UTC().Format(time.DateTime))
	if s.Run.SiteMap != "" {
		p("This is a rehearsal against the simulated site of %s.", s.Run.SiteMap)
	}
	finished, all := 0, 0
	for _, st := range s.Steps {
		all++
		if st.Phase.Finished() {
			finished++
		}
	}
	p("%d of %d steps are finished.", finished, all)
	for i := range s.Stages {
		st := &s.Stages[i]
		mark := "not begun"
		switch {
		case st.Done:
			mark = "done"
		case st.Begun:
			mark = "under way"
		}
		p("  %-10s %s  %s", mark, st.Stage.ID, st.Stage.Title)
	}
	for _, group := range []struct {
		title  string
		phases []executor.Phase
	}{
		{"Under way", []executor.Phase{executor.Started}},
		{"In doubt", []executor.Phase{executor.InDoubt, executor.LeftInDoubt}},
		{"Failed", []executor.Phase{executor.Failed, executor.NotDone, executor.Reported}},
		{"To be tried again", []executor.Phase{executor.Pending}},
		{"Skipped, or perhaps sent", []executor.Phase{executor.Skipped, executor.PerhapsSent}},
	} {
		// Of those that wait, the ones that were begun before.
		steps := slices.DeleteFunc(s.In(group.phases...), func(st *executor.StepState) bool { return st.Phase == executor.Pending && st.Attempt == 0 })
		title := group.title
		if title == "Under way" && !held {
			title = "In doubt (begun, and no csu runs this plan now)"
		}
		if len(steps) > 0 {
			p("%s:", title)
		}
		for _, st := range steps {
			p("  %s  %s (attempt %d, since %s UTC)", st.Step.ID, st.Phase, st.Attempt, st.Since.UTC().Format(time.TimeOnly))
			for _, line := range strings.Split(strings.TrimSpace(st.Text+"\n"+st.Reason), "\n") {
				if line != "" {
					p("      %s", line)
				}
			}
		}
	}
	if text := s.DownText(); text != "" {
		p("%s.", text)
	}
	for _, o := range s.Owed() {
		p("Still owed at the end or by an abort: %s  %s", o.Step.ID, o.Step.Title)
	}
	p("Next: %s", c.next(cmd, s, held))
}

// flags are those that the next command needs as well.
func (cmd *statusCommand) flags() string {
	if cmd.SiteMap == "" {
		return ""
	}
	return " --site-map " + cmd.SiteMap
}

// next says what can be done.
func (c *console) next(cmd *statusCommand, s *executor.State, held bool) string {
	flags := cmd.flags()
	switch {
	case s.Ended == executor.Completed:
		return "nothing; the run is complete. Commit its journal."
	case s.Ended == executor.GivenUp:
		return "the run was given up. To try again, raise attempt in upgrade.cue and compile a new plan."
	case held:
		if failed := s.In(executor.Failed, executor.NotDone); len(failed) > 0 {
			return fmt.Sprintf("a csu is at work on it, and waits at its terminal for an answer about %s; this display disturbs nothing.", failed[0].Step.ID)
		}
		return "a csu is at work on it; this display disturbs nothing."
	case s.Aborting:
		return fmt.Sprintf("csu abort %s%s", cmd.Plan, flags)
	}
	return fmt.Sprintf("csu exec %s --resume%s, or csu abort %s%s", cmd.Plan, flags, cmd.Plan, flags)
}
