package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/systems"
)

// siteFlags are those of the commands that look at a site's ledger, or change it,
// and carry nothing out.
type siteFlags struct {
	Operator string `help:"Your name (default: your account's)." placeholder:"NAME"`
	SiteMap  string `help:"Use the simulated site of this site map, which csu rehearse --serve writes." placeholder:"FILE" predictor:"file"`
}

// onSite is the flag that names a simulated site, for commands that are shown.
func onSite(siteMap string) string {
	if siteMap == "" {
		return ""
	}
	return " --site-map " + shown(siteMap)
}

// options returns what such a command needs for the plan in the file. what says what the
// command does to a run.
func (f siteFlags) options(c *console, file, what string) (*loaded, executor.Options, error) {
	l, err := c.load(file, runFlags{SiteMap: f.SiteMap}, ofBegunRun)
	if err != nil {
		return nil, executor.Options{}, err
	}
	name, err := operatorName(f.Operator)
	if err != nil {
		return nil, executor.Options{}, err
	}
	systems, err := systems.ConnectCluster(l.plan, l.siteMap)
	if err != nil {
		if none := l.noRun(what); none != nil {
			err = fail(int(exit.CodeOf(err)), exit.HintOf(err), "%v, and csu cannot ask the site's ledger: %w", none, err)
		}
		return nil, executor.Options{}, err
	}
	return l, executor.Options{
		Plan: l.plan, Digest: l.digest, Journal: l.journal, FS: journal.Disk, SiteMap: l.mapFile,
		Operator: &asker{name: name, screen: newScreen(c, name, "", systems.Clock.Now), attended: c.terminal, slow: l.slow},
		Systems:  systems, Clock: systems.Clock, OperatorName: name, Ledger: custody.NewLedger(l.plan, systems), Timing: l.timing(),
	}, nil
}

type handoverCommand struct {
	Plan string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	To   string `required:"" help:"The operator who resumes the run." placeholder:"NAME"`
	siteFlags
}

func (handoverCommand) Help() string {
	return `Asks the csu that runs this plan, on any machine, to stop: running steps finish, nothing new starts, and the site stays locked by the run. That csu sees the request within a minute; this command waits until it has stopped. Your colleague then resumes the run with csu takeover.

Example:

  csu handover plans/2026-12-15-summit-full.json --to "Bob Operator"`
}

func (cmd *handoverCommand) Run(c *console) error {
	if strings.TrimSpace(cmd.To) == "" {
		return fail(exitInput, "give the name of the operator who resumes the run", "--to is empty")
	}
	if err := checkName("--to", cmd.To); err != nil {
		return err
	}
	_, o, err := cmd.options(c, cmd.Plan, "hand over")
	if err != nil {
		return err
	}
	leader := o.OperatorName
	err = executor.HandOver(context.Background(), o, cmd.To, func(h ledger.Holder) {
		leader = h.Operator
		c.paragraph("Asked the csu of %s on %s to hand over. It sees the request within a minute and stops after its running steps finish. Waiting until it has stopped.", h.Operator, h.Host)
	})
	command := cmd.Plan + onSite(cmd.SiteMap)
	if errors.Is(err, custody.ErrNothingBegun) {
		c.paragraph("Nothing of the plan had started, so the site is free. %s starts with:", cmd.To)
		_, err = fmt.Fprintf(c.out, "  csu exec %s\n", command)
		return err
	}
	if err != nil {
		return err
	}
	return line(c.out, "The run is handed over. %s resumes it with:\n  csu takeover %s --reason %q", cmd.To, command, "handed over by "+leader)
}
