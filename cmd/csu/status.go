package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/systems"
)

type statusCommand struct {
	Plan    string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Watch   bool   `help:"Show the run on the whole terminal, each second anew, until Ctrl-C." xor:"form"`
	JSON    bool   `name:"json" help:"Write what is shown as JSON, for programs." xor:"form"`
	SiteMap string `help:"Show the rehearsed run in the folder of this site map." placeholder:"FILE" predictor:"file"`
}

func (statusCommand) Help() string {
	return `Reads the journal next to the plan, even while csu writes it, and shows how far the run has come, which steps have an unknown outcome, and what to do next. Without a journal it shows what the site's ledger, which has a copy of the journal in the site's cluster, says about the run and its operator. It warns you if the journal is out of date. Read-only.

Examples:

  csu status plans/2026-11-24-summit-incremental.json
  csu status --watch plans/2026-11-24-summit-incremental.json
  csu status --json plans/2026-11-24-summit-incremental.json | jq .phase`
}

func (cmd *statusCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, runFlags{SiteMap: cmd.SiteMap}, ofStatus)
	if err != nil {
		return err
	}
	g := &glance{cmd: cmd, console: c, looker: newLooker(l.plan, l.digest, l.journal)}
	switch {
	case cmd.Watch:
		return g.watch()
	case cmd.JSON:
		v, err := g.look()
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("write the status: %w", err)
		}
		_, err = fmt.Fprintf(c.exact(), "%s\n", data)
		return err
	}
	v, err := g.here()
	if err != nil {
		return err
	}
	if v == nil {
		return c.statusElsewhere(cmd, l.plan, l.digest, l.journal)
	}
	c.status(v, cmd, g.log.State(), g.held)
	return nil
}

// fromLedger returns what the site's ledger says about a run whose journal is here and
// which no csu is running here: it may have continued from a copy. next is "" if that
// does not change what can be done.
func (cmd *statusCommand) fromLedger(p *plan.Plan, digest, name string, s *state.State) (note, next string) {
	l, err := cmd.ledger(p)
	if err != nil {
		return fmt.Sprintf("Cannot read the site's ledger; this run may have continued elsewhere: %v", err), ""
	}
	claim := ledger.Claim{
		Run: s.Run.ID, Digest: digest, Seq: s.Records, Begun: s.Begun(), Has: func(h journal.Head) bool {
			if h.Seq == 0 {
				return true
			}
			_, has := journal.Upto(journal.Disk, name, h)
			return has
		},
	}
	at, _ := journal.PlaceOf(journal.Disk, name) // the zero value is no csu's
	return cmd.compareWith(&l, claim, at, s.Ended != "")
}

// compareWith returns what the ledger says about the run whose journal is here, and what can
// be done because of it.
func (cmd *statusCommand) compareWith(l *ledger.Ledger, claim ledger.Claim, here journal.Place, over bool) (note, next string) {
	h, ended := l.Holder, l.Ended(claim.Digest)
	other := "" // the csu that is at work with another journal
	if h != nil && h.Process != "" && h.Journal != here {
		other = fmt.Sprintf("The csu of %s on %s may be running it, with another copy of this journal; last heard from at %s by its clock.", h.Operator, h.Host, utc(h.Renewed))
	}
	var behind *ledger.BehindError
	err := claim.Check(l)
	if err != nil {
		note = "The site's ledger says: " + err.Error() + "."
		if !over {
			next = naming(exit.HintOf(err), cmd.Plan+cmd.flags())
		}
		if errors.As(err, &behind) && other != "" {
			note += "\n" + other
		}
		if errors.As(err, &behind) && other != "" && !over {
			next += "; a takeover is refused while that csu is running: stop it first with " + cmd.handover()
		}
		return note, next
	}
	switch {
	case h != nil && h.To != "":
		return fmt.Sprintf("It was handed over to %s.", h.To), fmt.Sprintf("%s resumes it with %s", h.To, cmd.takeover())
	case other != "":
		return other, fmt.Sprintf("ask %s; csu exec %s --resume%s continues only if that csu has stopped", h.Operator, cmd.Plan, cmd.flags())
	case h == nil && ended != nil:
		return fmt.Sprintf("%s; resuming the run takes the site again.", ended.Text()), ""
	}
	return "", ""
}

func utc(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// status prints a run.
func (c *console) status(v *live.View, cmd *statusCommand, s *state.State, held bool) {
	p, zone := c.paragraph, zoneOf(s.Plan)
	p("Run %s of %s, led by %s, started %s, last record %s", s.Run.ID, cmd.Plan, s.Run.Operator, utc(s.Begin)+atSite(s.Begin, zone), utc(s.Last)+atSite(s.Last, zone))
	if s.Run.SiteMap != "" {
		p("This is a rehearsal against the simulated site of %s.", s.Run.SiteMap)
	}
	p("%d of %d steps are finished.", v.Finished, v.Steps)
	if v.Stage != nil && v.End != nil {
		p("%s.", stageText(v))
		p("%s.", timeText(v, zone))
	}
	for i := range s.Stages {
		st := &s.Stages[i]
		mark := "not started"
		switch {
		case st.Done:
			mark = "done"
		case st.Begun:
			mark = "under way"
		}
		p("  %-12s %s  %s", mark, st.Stage.ID, st.Stage.Title)
	}
	for _, group := range []struct {
		title  string
		phases []state.Phase
	}{
		{"Running", []state.Phase{state.Started}},
		{"Said to be done, but not seen done yet", []state.Phase{state.Claimed}},
		{"In doubt", []state.Phase{state.InDoubt, state.LeftInDoubt}},
		{"Failed", []state.Phase{state.Failed, state.NotDone, state.Reported}},
		{"To be retried", []state.Phase{state.Pending}},
		{"Skipped, or perhaps sent", []state.Phase{state.Skipped, state.PerhapsSent}},
		{"Left out", []state.Phase{state.LeftOut}},
	} {
		// Of those that wait, the ones that were begun before; those that another csu
		// may have carried out are counted below.
		steps := slices.DeleteFunc(s.In(group.phases...), func(st *state.Step) bool {
			return st.Phase == state.Pending && st.Attempt == 0 || st.Phase.Open() && st.Suspected
		})
		title := group.title
		if title == "Running" && !held {
			title = "In doubt (started, and no csu is running this plan now)"
		}
		if len(steps) > 0 {
			p("%s:", title)
		}
		for _, st := range steps {
			p("  %s  %s (attempt %d, since %s UTC)", st.Step.ID, st.Phase, st.Attempt, st.Since.UTC().Format(time.TimeOnly))
			for _, r := range v.Running {
				if r.ID == st.Step.ID && r.Sign != nil {
					p("      %s", signText(r.Sign, v.Now))
				}
			}
			for _, line := range strings.Split(strings.TrimSpace(st.Text+"\n"+st.Reason), "\n") {
				if line != "" {
					p("      %s", line)
				}
			}
		}
	}
	for _, line := range report.Accepted(s) {
		p("Not seen done: %s", line)
	}
	switch {
	case s.Ended == journal.Complete && s.Excepted():
		c.exceptions(s)
	default:
		for _, line := range report.SetAside(s) {
			p("%s", line)
		}
	}
	if text := report.Waiting(s); text != "" {
		waits := fmt.Sprintf("csu has been waiting for %s since %s", s.Run.Operator, utc(s.Asked.Time))
		if !held {
			waits = fmt.Sprintf("Asked last, at %s, and not answered", utc(s.Asked.Time))
		}
		p("%s: %s", waits, text)
		if w := v.Waits; w != nil && w.Reading != "" {
			p("  csu shows: %s", lines(w.Reading))
		}
	}
	if text := report.Doubts(s); text != "" {
		p("%s", text)
	}
	if text := report.DownText(s); text != "" {
		p("%s.", text)
	}
	if text := report.BuildingText(s); text != "" {
		p("%s.", text)
	}
	for _, o := range s.Owed() {
		p("Still to run, at the end or on abort: %s  %s", o.Step.ID, o.Step.Title)
	}
	if v.Note != "" {
		p("%s", lines(v.Note))
	}
	p("Next: %s", v.Next)
}

// statusElsewhere says what the site's ledger knows of a plan whose journal is not
// here.
func (c *console) statusElsewhere(cmd *statusCommand, p *plan.Plan, digest, journalFile string) error {
	say := c.paragraph
	say("Journal %s does not exist or is empty.", shown(journalFile))
	l, err := cmd.ledger(p)
	if err != nil {
		say("Cannot read the site's ledger; a run may be under way elsewhere: %v", err)
		say("Next: check that the cluster is reachable; for a plan that was never carried out, csu exec %s%s", cmd.Plan, cmd.flags())
		return nil
	}
	at := utc
	ended, h := l.Ended(digest), l.Holder
	switch {
	case ended != nil && ended.Outcome != ledger.Unlocked:
		say("The site's ledger says: run %s of this plan is %s (%s, %s).", ended.Run, ended.Outcome, ended.Operator, at(ended.Time))
		say("Next: nothing; its journal is where the plan was carried out. To repeat the upgrade, raise attempt in upgrade.cue and compile a new plan.")
		return nil
	case h != nil && h.Digest != digest:
		say("%s is taken by run %s of plan %q (digest %.12s…), led by %s on %s since %s.", p.Site, h.Run, h.Plan, h.Digest, h.Operator, h.Host, at(h.Since))
		say("Next: wait until that run has ended, or ask %s.", h.Operator)
		return nil
	case h == nil && ended == nil:
		say("%s has not been run, and %s is free.\nNext: csu exec %s%s", cmd.Plan, p.Site, cmd.Plan, cmd.flags())
		return nil
	}
	if h != nil {
		work := "Its csu is running, or did not stop properly"
		switch {
		case h.To != "":
			work = "It was handed over to " + h.To
		case h.Process == "":
			work = "Its csu has stopped"
		}
		say("The site's ledger says: run %s of this plan is led by %s on %s. %s; last heard from at %s by its clock.", h.Run, h.Operator, h.Host, work, at(h.Renewed))
	} else {
		say("The site's ledger says: this plan was started; %s.", ended.Text())
	}
	if lines, _, err := journal.Unpack(l.Copy); err == nil && l.Head.Digest == digest {
		if state, err := state.Of(p, digest, lines); err == nil {
			age := ""
			if state.Run.SiteMap == "" {
				age = fmt.Sprintf(", %s ago", lasting(time.Since(l.Head.Time)))
			}
			say("As of record %d, %s%s: %s", l.Head.Seq, at(l.Head.Time), age, report.Progress(state))
			if text := report.Waiting(state); text != "" {
				say("Asked last, at %s, and not answered by then: %s", at(state.Asked.Time), text)
			}
			if text := report.DownText(state); text != "" {
				say("%s.", text)
			}
			for _, line := range report.SetAside(state) {
				say("%s", line)
			}
		}
	}
	switch {
	case h != nil && h.To != "":
		say("Next: %s resumes it with %s", h.To, cmd.takeover())
	case h != nil && h.Process != "":
		say("Next: csu exec %s --resume where its journal is, or, here, %s; a takeover is refused while its csu is running: stop it first with %s", cmd.Plan, cmd.takeover(), cmd.handover())
	default:
		say("Next: csu exec %s --resume where its journal is, or, here, %s", cmd.Plan, cmd.takeover())
	}
	return nil
}

// ledger reads the ledger of the plan's site.
func (cmd *statusCommand) ledger(p *plan.Plan) (ledger.Ledger, error) {
	var m *sitemap.Map
	if cmd.SiteMap != "" {
		var err error
		if m, err = sitemap.Read(cmd.SiteMap); err != nil {
			return ledger.Ledger{}, err
		}
	}
	clients, err := systems.ConnectCluster(p, m)
	if err != nil {
		return ledger.Ledger{}, err
	}
	if err := systems.Guard(p, clients, m != nil); err != nil {
		return ledger.Ledger{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), ledger.Real().Call)
	defer cancel()
	l, _, err := custody.NewLedger(p, clients).Read(ctx)
	return l, err
}

// flags are those that the next command needs as well.
func (cmd *statusCommand) flags() string {
	if cmd.SiteMap == "" {
		return ""
	}
	return " --site-map " + cmd.SiteMap
}

// takeover is the command that resumes the run here.
func (cmd *statusCommand) takeover() string {
	return fmt.Sprintf("csu takeover %s%s --reason TEXT", cmd.Plan, cmd.flags())
}

// handover is the command that stops the csu that is at work on the run.
func (cmd *statusCommand) handover() string {
	return fmt.Sprintf("csu handover %s%s --to NAME", cmd.Plan, cmd.flags())
}

// next returns what the operator can do next.
func (c *console) next(cmd *statusCommand, s *state.State, held bool) string {
	flags := cmd.flags()
	switch {
	case s.Ended != "" && !s.Released && systems.UsesCluster(s.Plan):
		return fmt.Sprintf("csu exec %s --resume%s: the run has ended, but its site is not yet released", cmd.Plan, flags)
	case s.Ended == journal.Complete && s.Excepted():
		return "post the exceptions where that was not done; the run is complete, with exceptions. Commit its journal."
	case s.Ended == journal.Complete:
		return "nothing; the run is complete. Commit its journal."
	case s.Ended == journal.Aborted:
		return "the run was aborted. To try again, raise attempt in upgrade.cue and compile a new plan."
	case held:
		if s.Asked != nil {
			return fmt.Sprintf("csu is running the plan and waits at the terminal of %s; this command does not disturb it.", s.Run.Operator)
		}
		return "csu is running the plan; this command does not disturb it."
	case s.Aborting:
		return fmt.Sprintf("csu abort %s%s", cmd.Plan, flags)
	}
	return fmt.Sprintf("csu exec %s --resume%s, or csu abort %s%s", cmd.Plan, flags, cmd.Plan, flags)
}
