package main

import (
	"context"

	"github.com/lsst-ts/csu/executor"
)

type abortCommand struct {
	Plan string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	runFlags
}

func (abortCommand) Help() string {
	return `Gives the run up: carries out the final steps whose counterpart was begun, such as setting the schema registry back to FORWARD, names the CSCs that are down, and closes the journal. It does not bring CSCs back. If a final step fails, the journal stays open and abort can be repeated. An upgrade that is tried again after an abort gets the next attempt in upgrade.cue.

Example:

  csu abort plans/2026-12-15-summit-full.json`
}

func (cmd *abortCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, cmd.runFlags, true)
	if err != nil {
		return err
	}
	return c.carryOut(l, cmd.runFlags, func(ctx context.Context, o executor.Options) (executor.Result, error) {
		return executor.Abort(ctx, o)
	})
}
