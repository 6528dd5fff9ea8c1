package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
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
		return c.statusElsewhere(cmd, p, digest, name)
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

// statusElsewhere says what the site's ledger knows of a plan whose journal is not
// here.
func (c *console) statusElsewhere(cmd *statusCommand, p *plan.Plan, digest, journalFile string) error {
	say := func(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }
	say("There is no journal %s, or nothing in it.", shown(journalFile))
	l, err := cmd.ledger(p)
	if err != nil {
		say("The site's ledger cannot be read: %v", err)
		say("Next: check that the cluster is reachable; where the plan was never carried out, csu exec %s%s", cmd.Plan, cmd.flags())
		return nil
	}
	at := func(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }
	ended, h := l.Ended(digest), l.Holder
	switch {
	case ended != nil && ended.Outcome != ledger.Unlocked:
		say("Run %s of this plan is %s, says the site's ledger: %s, %s.", ended.Run, ended.Outcome, ended.Operator, at(ended.Time))
		say("Next: nothing. Its journal is where it was carried out.")
		return nil
	case h != nil && h.Digest != digest:
		say("%s is taken: run %s of plan %q (digest %.12s…), led by %s on %s since %s.", p.Site, h.Run, h.Plan, h.Digest, h.Operator, h.Host, at(h.Since))
		say("Next: wait for that run, or ask %s.", h.Operator)
		return nil
	case h == nil && ended == nil:
		say("%s has not been run, and nobody has %s.\nNext: csu exec %s%s", cmd.Plan, p.Site, cmd.Plan, cmd.flags())
		return nil
	}
	if h != nil {
		work := "is at work on it, or did not end by itself"
		switch {
		case h.To != "":
			work = "has handed it over to " + h.To
		case h.Process == "":
			work = "was at work on it, and has ended by itself"
		}
		say("Run %s of this plan, led by %s on %s. csu %s; last heard at %s by its clock.", h.Run, h.Operator, h.Host, work, at(h.Renewed))
	} else {
		say("Run %s of this plan was begun, and %s took the site from it on %s.", ended.Run, ended.Operator, at(ended.Time))
	}
	if lines, _, err := journal.Unpack(l.Copy); err == nil && l.Head.Digest == digest {
		if state, err := executor.StateOf(p, digest, lines); err == nil {
			say("As of record %d, %s: %s", l.Head.Seq, at(l.Head.Time), state.ProgressText())
			if text := state.DownText(); text != "" {
				say("%s.", text)
			}
		}
	}
	say("Next: csu exec %s --resume%s where its journal is, or csu takeover %s%s --reason TEXT here.", cmd.Plan, cmd.flags(), cmd.Plan, cmd.flags())
	return nil
}

// ledger reads the ledger of the plan's site.
func (cmd *statusCommand) ledger(p *plan.Plan) (ledger.Ledger, error) {
	var m *sitemap.Map
	if cmd.SiteMap != "" {
		var err error
		if m, err = sitemap.Read(cmd.SiteMap); err != nil {
			return ledger.Ledger{}, err
		}
	}
	systems, err := executor.ConnectCluster(p, m)
	if err != nil {
		return ledger.Ledger{}, err
	}
	if err := executor.Guard(p, systems, m != nil); err != nil {
		return ledger.Ledger{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), ledger.Real().Call)
	defer cancel()
	l, _, err := executor.NewLedger(p, systems).Read(ctx)
	return l, err
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
	case s.Ended != "" && !s.Released && executor.UsesCluster(s.Plan):
		return fmt.Sprintf("csu exec %s --resume%s: the run is over, but not yet released, so that the site still counts as taken", cmd.Plan, flags)
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
