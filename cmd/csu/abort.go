package main

import (
	"context"

	"github.com/lsst-ts/csu/executor"
)

type abortCommand struct {
	Plan string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Yes  bool   `help:"Abort the run without asking."`
	runFlags
}

func (abortCommand) Help() string {
	return `Shows what an abort would do and asks for confirmation. Then it runs the final steps, which undo what was started, such as setting the schema registry back to FORWARD, names the CSCs that are down, and closes the journal. It does not bring CSCs back up. If a final step fails, the journal stays open and you can run abort again. To repeat an upgrade after an abort, increase its attempt in the request, sites/SITE/upgrade.cue, and compile the new plan.

Examples:

  csu abort plans/2026-12-15-summit-full.json
  csu abort plans/2026-12-15-summit-full.json --yes`
}

func (cmd *abortCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, cmd.runFlags, ofBegunRun)
	if err != nil {
		return err
	}
	cmd.yes = cmd.Yes
	return c.carryOut(l, cmd.runFlags, "abort", func(ctx context.Context, o executor.Options) (executor.Result, error) {
		o.Confirm = true
		return executor.Abort(ctx, o)
	})
}
