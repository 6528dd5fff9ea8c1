package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/timeline"
	"github.com/lsst-ts/csu/executor/timeline/render"
)

type reportCommand struct {
	Plan    string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Format  string `enum:"html,markdown,json" default:"html" help:"html: a single page that prints on A4; markdown: for a ticket or a pull request; json: for programs."`
	SiteMap string `help:"Report the rehearsed run in the folder of this site map." placeholder:"FILE" predictor:"file"`
}

func (reportCommand) Help() string {
	return `Reads the journal next to the plan, during the run or after it, and writes what took how long and why: attempts, questions, failures, decisions, the critical path, and what is left. Read-only.

Examples:

  csu report plans/2026-11-24-summit-incremental.json > report.html
  csu report --format markdown plans/2026-11-24-summit-incremental.json`
}

func (cmd *reportCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, runFlags{SiteMap: cmd.SiteMap}, ofStatus)
	if err != nil {
		return err
	}
	log, err := timeline.Read(journal.Disk, l.journal, l.plan, l.digest)
	if errors.Is(err, fs.ErrNotExist) || err == nil && log.State().Records == 0 {
		return fail(exitInput, "csu status PLAN shows whether the run is elsewhere; commit and pull the journal of a run that has ended",
			"report the run of %q: there is no journal %q", shown(cmd.Plan), shown(l.journal))
	}
	if err != nil {
		return err
	}
	o := timeline.Options{Usual: time.Duration(review.EstimatePlan(l.plan).Takes)}
	if log.State().Run.SiteMap == "" { // csu does not know the time of a simulated site here
		held, err := journal.Held(l.journal)
		if err != nil {
			return err
		}
		if held {
			o.Now = time.Now()
		}
	}
	r := log.Report(o)
	switch cmd.Format {
	case "markdown":
		return render.Markdown(c.raw, r)
	case "json":
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		_, err = fmt.Fprintf(c.exact(), "%s\n", data)
		return err
	}
	return render.HTML(c.raw, r)
}
