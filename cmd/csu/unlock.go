package main

import (
	"context"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor"
)

type unlockCommand struct {
	Plan   string `arg:"" help:"The plan's file, or that of any plan of the site." placeholder:"PLAN" predictor:"plan"`
	Reason string `required:"" help:"Why the site may be taken from its run." placeholder:"TEXT"`
	Yes    bool   `help:"Do not ask: you have seen how far the run has come."`
	siteFlags
}

func (unlockCommand) Help() string {
	return `A run keeps its site from its first step to its end, also while it is interrupted, so that no other run begins. This takes the site from a run that will never be resumed; a run whose csu is at work is refused. csu shows how far the run has come, and asks. First ask the operator who leads the run. To resume a run you need no unlock: use csu exec --resume or csu takeover.

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
	o.Operator.(*asker).yes = cmd.Yes
	holder, err := executor.Unlock(context.Background(), o, cmd.Reason)
	if err != nil {
		return err
	}
	if holder == nil {
		c.paragraph("No run has %s: there is nothing to unlock.", l.plan.Site)
		return nil
	}
	c.paragraph("Unlocked %s: it was taken from run %s of %s, last resumed or begun at %s UTC, of plan %q (digest %.12s…).",
		l.plan.Site, holder.Run, holder.Operator, holder.Since.UTC().Format(time.DateTime), holder.Plan, holder.Digest)
	return nil
}
