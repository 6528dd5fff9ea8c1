package main

import (
	"context"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor"
)

type unlockCommand struct {
	Plan   string `arg:"" help:"The plan's file, or the file of any plan for the site." placeholder:"PLAN" predictor:"plan"`
	Reason string `required:"" help:"Why the site may be unlocked." placeholder:"TEXT"`
	Yes    bool   `help:"Unlock the site without asking."`
	siteFlags
}

func (unlockCommand) Help() string {
	return `A run locks its site from its first step to its end, even while it is interrupted, so that no other run can start. This command unlocks the site if the run will never be resumed. It is refused while a csu is running the run. csu shows how far the run has come, and asks for confirmation. Ask the operator who leads the run first. To resume a run, you do not need to unlock the site: use csu exec --resume or csu takeover.

Example:

  csu unlock plans/2026-11-24-summit-incremental.json --reason "Ana confirmed by phone that she abandoned it; all CSCs are up"`
}

func (cmd *unlockCommand) Run(c *console) error {
	if strings.TrimSpace(cmd.Reason) == "" {
		return fail(exitInput, "say why the site may be released", "--reason is empty")
	}
	l, o, err := cmd.options(c, cmd.Plan, "unlock")
	if err != nil {
		return err
	}
	o.Operator.(*asker).yes = cmd.Yes
	holder, err := executor.Unlock(context.Background(), o, cmd.Reason)
	if err != nil {
		return err
	}
	if holder == nil {
		c.paragraph("No run holds %s; there is nothing to unlock.", l.plan.Site)
		return nil
	}
	c.paragraph("Unlocked %s: released from run %s of %s, last started or resumed at %s UTC, of plan %q (digest %.12s…).",
		l.plan.Site, holder.Run, holder.Operator, holder.Since.UTC().Format(time.DateTime), holder.Plan, holder.Digest)
	return nil
}
