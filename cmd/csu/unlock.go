package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor"
)

type unlockCommand struct {
	Plan   string `arg:"" help:"The plan's file, or that of any plan of the site." placeholder:"PLAN" predictor:"plan"`
	Reason string `required:"" help:"Why the site may be taken from its run." placeholder:"TEXT"`
	siteFlags
}

func (unlockCommand) Help() string {
	return `A run has its site from its begin to its end, also while it is interrupted, so that no other one begins. This takes the site from a run that nobody will continue; a run that somebody is at work on is refused. Look first, with csu status, and ask whoever leads the run. To continue a run you need no unlock: csu exec --resume or csu takeover does it.

Example:

  csu unlock plans/2026-11-24-summit-incremental.json --reason "given up on the phone by Ana; all CSCs were seen to be up"`
}

func (cmd *unlockCommand) Run(c *console) error {
	if strings.TrimSpace(cmd.Reason) == "" {
		return fail(exitInput, "say why the site may be taken from its run", "--reason is empty")
	}
	l, o, err := cmd.options(c, cmd.Plan)
	if err != nil {
		return err
	}
	holder, err := executor.Unlock(context.Background(), o, cmd.Reason)
	if err != nil {
		return err
	}
	if holder == nil {
		_, err := fmt.Fprintf(c.out, "No run has %s.\n", l.plan.Site)
		return err
	}
	_, err = fmt.Fprintf(c.out, "Unlocked %s: it was taken from run %s of %s, begun %s UTC, of plan %q (digest %.12s…).\n",
		l.plan.Site, holder.Run, holder.Operator, holder.Since.UTC().Format(time.DateTime), holder.Plan, holder.Digest)
	return err
}
