package main

import (
	"context"
	"errors"
	"strings"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/operator"
)

type takeoverCommand struct {
	Plan          string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Reason        string `required:"" help:"Why you take the run over." placeholder:"TEXT"`
	Force         bool   `help:"Take the run over also from a csu that is at work, after a second question."`
	Until         string `help:"End, to be resumed, when this stage is done." placeholder:"STAGE"`
	SkipPreflight string `help:"Do not look beforehand whether everything is there, for this reason, which the journal keeps." placeholder:"REASON"`
	runFlags
}

func (takeoverCommand) Help() string {
	return `Continues a run on this machine, from the copy of its journal that the site's cluster keeps. csu shows who led the run, when it was last heard and how far it came, and asks. If its csu did not end by itself, csu first waits three minutes to hear whether it is still at work. A csu that is at work is taken over only with --force.

What that csu had begun is looked for before anything is started. From then on it starts nothing more, and its journal is out of date. A journal that is here is kept under another name.

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
	err = c.carryOut(l, cmd.runFlags, func(ctx context.Context, o executor.Options) (executor.Result, error) {
		o.Resume, o.Until = true, cmd.Until
		o.Takeover = &executor.Takeover{Reason: cmd.Reason, Force: cmd.Force}
		if o.SkipPreflight = cmd.SkipPreflight; o.SkipPreflight == "" {
			o.Preflight = c.beforeStage(l, o.Systems)
		}
		return executor.Run(ctx, o)
	})
	var unattended *operator.UnattendedError
	if errors.As(err, &unattended) && unattended.Question.Topic == operator.TakingOver {
		return fail(exitRefused, "run csu takeover in a terminal", "nothing was taken over: %w", err)
	}
	return err
}
