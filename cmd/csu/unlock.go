package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
)

type unlockCommand struct {
	Plan     string `arg:"" help:"The plan's file, or that of any plan of the site." placeholder:"PLAN" predictor:"plan"`
	Reason   string `required:"" help:"Why the Lease may be removed." placeholder:"TEXT"`
	Operator string `help:"Your name. By default that of your account." placeholder:"NAME"`
	SiteMap  string `help:"Look at the simulated site of this map." placeholder:"FILE" predictor:"file"`
}

func (unlockCommand) Help() string {
	return `A run holds the Lease csu-SITE in its cluster from its begin to its end, also while it is interrupted, so that no other one begins. This removes a Lease that was left behind: of a run whose journal is lost, or that nobody will resume. Look first, with csu status where the journal is, and ask whoever holds it. A run that is only interrupted needs no unlock: csu exec --resume takes it up.

Example:

  csu unlock plans/2026-11-24-summit-incremental.json --reason "the laptop that held the journal is lost; all CSCs were seen to be up"`
}

func (cmd *unlockCommand) Run(c *console) error {
	if strings.TrimSpace(cmd.Reason) == "" {
		return fail(exitInput, "say why the Lease may be removed", "--reason is empty")
	}
	l, err := c.load(cmd.Plan, runFlags{SiteMap: cmd.SiteMap, Uncommitted: true}, true)
	if err != nil {
		return err
	}
	name, err := operatorName(cmd.Operator)
	if err != nil {
		return err
	}
	systems, err := executor.ConnectCluster(l.plan, l.siteMap)
	if err != nil {
		return err
	}
	holder, err := executor.Unlock(context.Background(), executor.Options{
		Plan: l.plan, Digest: l.digest, Journal: l.journal, FS: journal.Disk, SiteMap: l.mapFile,
		Systems: systems, Clock: systems.Clock, Name: name,
	}, cmd.Reason)
	if err != nil {
		return err
	}
	if holder == nil {
		_, err := fmt.Fprintf(c.out, "There is no Lease %s: nobody holds %s.\n", l.plan.LeaseName(), l.plan.Site)
		return err
	}
	_, err = fmt.Fprintf(c.out, "Removed the Lease %s: it was held by run %s of %s, begun %s UTC, of %s\n",
		l.plan.LeaseName(), holder.RunID, holder.Operator, holder.Since.UTC().Format(time.DateTime), holder.PlanText())
	return err
}
