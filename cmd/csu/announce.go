package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/systems"
)

type announceCommand struct {
	Plan       string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	DayBefore  bool   `xor:"when" help:"Announce that the deployment is tomorrow."`
	HourBefore bool   `xor:"when" help:"Announce that the deployment begins in an hour."`
	Yes        bool   `help:"Post without asking."`
	SiteMap    string `help:"Post to the simulated site of this site map, which csu rehearse --serve writes." placeholder:"FILE" predictor:"file"`
}

func (announceCommand) Help() string {
	return `Shows the announcement, asks for confirmation and posts it to the plan's Slack channel. Give either --day-before or --hour-before. The plan must be in origin's default branch, as for csu exec. The plan's own first step announces that the deployment begins.

Examples:

  csu announce plans/2026-11-24-summit-incremental.json --day-before
  csu announce plans/2026-11-24-summit-incremental.json --hour-before --yes`
}

func (cmd *announceCommand) Run(c *console) error {
	if !cmd.DayBefore && !cmd.HourBefore {
		return fail(exitInput, "give one of the two", "want --day-before or --hour-before")
	}
	l, err := c.load(cmd.Plan, runFlags{SiteMap: cmd.SiteMap}, afterMerge)
	if err != nil {
		return err
	}
	p := l.plan
	text, err := announcement(p, cmd.DayBefore)
	if err != nil {
		return err
	}
	if l.siteMap == nil {
		if err := rightDay(p, cmd.DayBefore, time.Now()); err != nil {
			return err
		}
	}
	line(c.out, "To %s: %s", p.Targets.Slack.Channel, text)
	ctx := context.Background()
	if !cmd.Yes {
		if !c.terminal {
			return fail(exitRefused, "give --yes, or run csu in a terminal", "post the announcement: no terminal to ask on")
		}
		a, err := newScreen(c, "", "", time.Now).Ask(ctx, operator.Question{
			Title: "Post this announcement?", Choices: []operator.Choice{operator.Yes, operator.No},
		})
		if err != nil {
			return fail(int(exit.CodeOf(err)), "", "nothing was posted: %w", err)
		}
		if a.Choice != operator.Yes {
			return fail(exitFailed, "", "nothing was posted")
		}
	}
	// A plan without steps asks for no credential but Slack's.
	clients, err := systems.Connect(&plan.Plan{Targets: p.Targets}, l.siteMap, environment)
	if err != nil {
		return err
	}
	if err := clients.Slack.Post(ctx, p.Targets.Slack.Channel, text, time.Minute); err != nil {
		return fail(exitFailed, fmt.Sprintf("post it by hand, or check %s or %s", systems.SlackToken, systems.SlackWebhook), "post to %s: %w", p.Targets.Slack.Channel, err)
	}
	_, err = fmt.Fprintln(c.out, "posted")
	return err
}

// rightDay refuses to say "tomorrow" or "in one hour" on another day of the site's.
func rightDay(p *plan.Plan, dayBefore bool, now time.Time) error {
	zone, err := time.LoadLocation(p.Facts.TimeZone)
	if err != nil {
		return fmt.Errorf("plan's time zone: %w", err)
	}
	now = now.In(zone)
	on := now
	if dayBefore {
		on = now.AddDate(0, 0, 1)
	}
	if on.Format(time.DateOnly) == p.Upgrade.Date {
		return nil
	}
	return fail(exitRefused, "wait for the day, or change the date in upgrade.cue and compile the plan again",
		"the plan is for %s, and today is %s: the announcement would be wrong", p.Upgrade.Date, now.Format(time.DateOnly))
}

// announcement is what is said before a deployment.
func announcement(p *plan.Plan, dayBefore bool) (string, error) {
	day, err := time.Parse(time.DateOnly, p.Upgrade.Date)
	if err != nil {
		return "", fail(exitInput, "", "read the plan's date: %w", err)
	}
	what := "the control system is brought back after the maintenance by IT"
	switch {
	case p.Type == plan.Full && p.Upgrade.LowersCycle():
		what = fmt.Sprintf("the control system goes back to cycle %s (rollback from %s)", p.Upgrade.Cycle, p.Upgrade.From)
	case p.Type == plan.Full:
		what = fmt.Sprintf("the control system is upgraded to cycle %s", p.Upgrade.Cycle)
	case p.Type == plan.Incremental && p.Kind() == "incremental upgrade":
		what = "some components of the control system are upgraded (" + changed(p) + ")"
	case p.Type == plan.Incremental:
		what = p.What() + " is carried out"
	}
	when := fmt.Sprintf("In one hour, on %s,", day.Format("Monday 2 January"))
	if dayBefore {
		when = fmt.Sprintf("Tomorrow, %s,", day.Format("Monday 2 January"))
		if b := p.Facts.Begins; b != nil {
			when += fmt.Sprintf(" at %s %s time", b.At, p.Site)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s at %s. Reason: %s. %s", when, what, p.Site, p.Upgrade.Reason, review.Meanwhile(p))), nil
}

func changed(p *plan.Plan) string {
	var names []string
	for _, c := range p.Upgrade.Changed {
		names = append(names, c.CSC)
	}
	return plan.CSCList(names)
}
