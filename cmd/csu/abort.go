package main

import (
	"context"
	"errors"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/operator"
)

type abortCommand struct {
	Plan string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Yes  bool   `help:"Give the run up without asking."`
	runFlags
}

func (abortCommand) Help() string {
	return `Gives the run up, after showing you what that does and asking: carries out the final steps whose counterpart was begun, such as setting the schema registry back to FORWARD, names the CSCs that are down, and closes the journal. It does not bring CSCs back. If a final step fails, the journal stays open and abort can be repeated. An upgrade that is tried again after an abort gets the next attempt in upgrade.cue.

Examples:

  csu abort plans/2026-12-15-summit-full.json
  csu abort plans/2026-12-15-summit-full.json --yes`
}

func (cmd *abortCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, cmd.runFlags, true)
	if err != nil {
		return err
	}
	cmd.yes = cmd.Yes
	err = c.carryOut(l, cmd.runFlags, func(ctx context.Context, o executor.Options) (executor.Result, error) {
		o.Confirm = true
		return executor.Abort(ctx, o)
	})
	var unattended *operator.UnattendedError
	if errors.As(err, &unattended) && unattended.Question.Topic == operator.GivingUp {
		return fail(exitRefused, "run csu abort in a terminal, or give --yes", "nothing was given up: %w", err)
	}
	return err
}
