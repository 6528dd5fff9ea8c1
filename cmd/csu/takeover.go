package main

import (
	"context"
	"strings"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
)

type takeoverCommand struct {
	Plan          string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Reason        string `required:"" help:"Why you take over the run; recorded in the journal." placeholder:"TEXT"`
	Force         bool   `help:"Take over the run even if another csu is running it, after a second confirmation."`
	Until         string `help:"Stop after this stage; the run can be resumed." placeholder:"STAGE"`
	SkipPreflight string `help:"Skip the preflight checks; the journal records the reason." placeholder:"REASON"`
	cloneFlag
	runFlags
}

func (takeoverCommand) Help() string {
	return `Resumes a run on this machine from the ledger's copy of its journal, in the site's cluster. csu shows who led the run, when it was last heard from and how far it has come, and asks for confirmation. If the previous csu did not stop properly, this one first waits three minutes to see whether it is still running. If it is, the takeover is refused unless you give --force.

Before it starts anything, csu finds out what the other csu had started. After the takeover, the other csu starts no further steps, and its journal can no longer be resumed. If this machine already has a journal of the run, it is kept under another name.

Examples:

  csu takeover plans/2026-12-15-summit-full.json --reason "shift change"
  csu takeover plans/2026-12-15-summit-full.json --reason "Ana's laptop hangs" --force`
}

func (cmd *takeoverCommand) Run(c *console) error {
	if strings.TrimSpace(cmd.Reason) == "" {
		return fail(exitInput, "say why you take over the run", "--reason is empty")
	}
	l, err := c.load(cmd.Plan, cmd.runFlags, ofBegunRun)
	if err != nil {
		return err
	}
	if cmd.Until != "" {
		if err := knownStages(l.plan, "--until", cmd.Until); err != nil {
			return err
		}
	}
	cmd.phalanx = cmd.Phalanx
	return c.carryOut(l, cmd.runFlags, "", func(ctx context.Context, o executor.Options) (executor.Result, error) {
		o.Resume, o.Until = true, cmd.Until
		o.Takeover = &custody.Takeover{Reason: cmd.Reason, Force: cmd.Force}
		if o.SkipPreflight = cmd.SkipPreflight; o.SkipPreflight == "" {
			o.Preflight = c.beforeStage(l, o.Systems)
		}
		return executor.Run(ctx, o)
	})
}
