package main

import (
	"context"
	"strings"

	"github.com/lsst-ts/csu/executor"
)

type takeoverCommand struct {
	Plan          string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Reason        string `required:"" help:"Why you take the run over; the journal keeps it." placeholder:"TEXT"`
	Force         bool   `help:"Do not check whether another csu is at work: take the run from it, after a second question."`
	Until         string `help:"End, to be resumed, when this stage is done." placeholder:"STAGE"`
	SkipPreflight string `help:"Do not look beforehand whether everything is there, for this reason, which the journal keeps." placeholder:"REASON"`
	runFlags
}

func (takeoverCommand) Help() string {
	return `Resumes a run on this machine from the copy of its journal that the site's cluster keeps. csu shows who led the run, when it was last heard and how far it has come, and asks. If the csu that led it did not stop properly, csu first waits three minutes for a sign of it. A run whose csu is at work is refused; --force takes it all the same.

csu finds out what the other csu had begun before it starts anything. From the takeover on, the other csu starts nothing more, and its journal can no longer be resumed. A journal of the run that is already here is kept under another name.

Examples:

  csu takeover plans/2026-12-15-summit-full.json --reason "shift change"
  csu takeover plans/2026-12-15-summit-full.json --reason "the laptop of Ana hangs" --force`
}

func (cmd *takeoverCommand) Run(c *console) error {
	if strings.TrimSpace(cmd.Reason) == "" {
		return fail(exitInput, "say why you take the run over", "--reason is empty")
	}
	l, err := c.load(cmd.Plan, cmd.runFlags, true)
	if err != nil {
		return err
	}
	if cmd.Until != "" {
		if err := knownStages(l.plan, "--until", cmd.Until); err != nil {
			return err
		}
	}
	return c.carryOut(l, cmd.runFlags, func(ctx context.Context, o executor.Options) (executor.Result, error) {
		o.Resume, o.Until = true, cmd.Until
		o.Takeover = &executor.Takeover{Reason: cmd.Reason, Force: cmd.Force}
		if o.SkipPreflight = cmd.SkipPreflight; o.SkipPreflight == "" {
			o.Preflight = c.beforeStage(l, o.Systems)
		}
		return executor.Run(ctx, o)
	})
}
