package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/systems"
	"github.com/lsst-ts/csu/executor/visible"
)

// runFlags are those of the commands that carry a plan out.
type runFlags struct {
	Operator string   `help:"Your name, recorded in the journal (default: your account's)." placeholder:"NAME"`
	Consent  []string `help:"Consent to these stages in advance. On a simulated site, --consent all answers yes to every consent, doubt and manual step." placeholder:"STAGE"`
	Answers  string   `help:"Read answers to consents, doubts and manual steps from this JSON file, such as [{\"at\": \"configuration/merged\", \"topic\": \"manual\", \"choice\": \"yes\"}]. They are recorded under your name." placeholder:"FILE" predictor:"file"`
	SiteMap  string   `help:"Run against the simulated site of this site map, which csu rehearse --serve writes. The journal is kept in the map's folder." placeholder:"FILE" predictor:"file"`
	yes      bool     // --yes of the commands that have it
	phalanx  string   // --phalanx of the commands that have it
	until    string   // --until of the commands that have it
}

type execCommand struct {
	Plan          string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Resume        bool   `help:"Resume the run whose journal is next to the plan."`
	Until         string `help:"Stop after this stage; the run can be resumed." placeholder:"STAGE"`
	SkipPreflight string `help:"Skip the preflight checks; the journal records the reason." placeholder:"REASON"`
	Unreviewed    string `help:"Carry the plan out although csu cannot see that it was reviewed; the journal records the reason." placeholder:"REASON"`
	Emergency     string `help:"Carry the plan out without the approvals that are missing; the journal and the site's channel get the reason." placeholder:"REASON"`
	Approver      string `help:"Who owes an approval after an --emergency: a person in the site's allowed_signers." placeholder:"NAME"`
	DryRun        bool   `help:"Print what would run, without running anything."`
	// AnswersTemplate reads the plan only.
	AnswersTemplate bool `help:"Write the questions that the run will ask, as a file for --answers with empty answers, without running anything."`
	cloneFlag
	runFlags
}

// cloneFlag names a clone of Phalanx for a run.
type cloneFlag struct {
	Phalanx string `help:"A clone of lsst-sqre/phalanx. csu compares what Argo CD would deploy with the plan, as far as the plan touches it." placeholder:"DIR" predictor:"dir"`
}

func (execCommand) Help() string {
	return `Carries out exactly this plan, stage by stage, and asks for your consent before each stage. The journal, PLAN.journal, records each step before it starts and its outcome when it ends. Press Ctrl-C once to stop after the running steps finish, twice to exit at once. After either, or after a crash, continue with --resume.

The plan must be what the committed sources give, and be in origin's default branch as last fetched; --unreviewed REASON runs it all the same. If the site asks for approvals, the people it names must have run csu approve; --emergency REASON runs it without, and --approver then owes one. For a run that has begun, csu only warns.

Secrets come from environment variables: CSU_LOVE_USERNAME, CSU_LOVE_PASSWORD, CSU_EFD_USERNAME, CSU_EFD_PASSWORD, and CSU_SLACK_TOKEN or CSU_SLACK_WEBHOOK. To read one from a file, add _FILE to its name and give the file's path. SSH_AUTH_SOCK and KUBECONFIG work as usual.

Examples:

  csu exec plans/2026-11-24-summit-incremental.json --dry-run
  csu exec plans/2026-11-24-summit-incremental.json
  csu exec plans/2026-11-24-summit-incremental.json --resume
  csu exec plans/2026-11-24-summit-incremental.json --consent begin,offline --until offline
  csu exec plans/2026-11-24-summit-incremental.json --answers-template > answers.json`
}

func (cmd *execCommand) Run(c *console) error {
	if cmd.AnswersTemplate {
		return c.writeTemplate(cmd.Plan)
	}
	if cmd.Approver != "" && strings.TrimSpace(cmd.Emergency) == "" {
		return fail(exitInput, "give --emergency REASON, or leave --approver out", "--approver %s: it is only for an --emergency", cmd.Approver)
	}
	cmd.until, cmd.phalanx = cmd.Until, cmd.Phalanx
	l, err := c.load(cmd.Plan, cmd.runFlags, guard{
		merged: true, unreviewed: strings.TrimSpace(cmd.Unreviewed), canForce: true,
		approvals: true, emergency: emergency{strings.TrimSpace(cmd.Emergency), cmd.Approver},
	})
	if err != nil {
		return err
	}
	if cmd.DryRun {
		return c.dryRun(l, cmd.Until)
	}
	what := ""
	if cmd.Resume {
		what = "resume"
	}
	return c.carryOut(l, cmd.runFlags, what, func(ctx context.Context, o executor.Options) (executor.Result, error) {
		o.Resume, o.Until = cmd.Resume, cmd.Until
		if o.SkipPreflight = cmd.SkipPreflight; o.SkipPreflight == "" {
			o.Preflight = c.beforeStage(l, o.Systems)
		}
		return executor.Run(ctx, o)
	})
}

// loaded is a plan that may be run.
type loaded struct {
	plan    *plan.Plan
	file    string
	digest  string
	journal string
	siteMap *sitemap.Map // nil for a real run
	mapFile string
	// siteEnds says that the simulated site is gone when the command ends, so
	// that the run can't be resumed.
	siteEnds bool
	answers  []prepared // given beforehand
	// reviewed is what csu found of the plan's review, or why it runs all the same; for
	// the journal.
	reviewed []string
	// approvals are what csu found of the plan's approvals, and approved what the journal
	// records of them; nil if none are needed.
	approvals *approvals
	approved  *journal.Approved
}

// load reads a plan and the answers given in advance, and applies the guard.
func (c *console) load(file string, flags runFlags, g guard) (*loaded, error) {
	p, data, err := plan.ReadFile(file)
	if err != nil {
		return nil, err
	}
	digest, err := plan.Digest(p)
	if err != nil {
		return nil, err
	}
	l := &loaded{plan: p, file: file, digest: digest, journal: file + ".journal"}
	c.plan = shown(file) + onSite(flags.SiteMap)
	if flags.SiteMap != "" {
		if l.siteMap, err = sitemap.Read(flags.SiteMap); err != nil {
			return nil, err
		}
		if l.siteMap.Digest != digest {
			return nil, fail(exitRefused, "start a simulated site of this plan: csu rehearse --serve "+file, "site map %q: the simulated site was made from another plan (digest %.12s…, this plan's is %.12s…)", flags.SiteMap, l.siteMap.Digest, digest)
		}
		l.mapFile = flags.SiteMap
		l.journal = filepath.Join(l.siteMap.Dir, filepath.Base(file)+".journal")
	}
	if slices.Contains(flags.Consent, "all") && l.siteMap == nil {
		return nil, fail(exitRefused, "name the stages; answer the consents of steps, doubts and manual steps in a terminal or with --answers",
			"--consent all works only against a simulated site, with --site-map")
	}
	if err := knownStages(p, "--consent", flags.Consent...); err != nil {
		return nil, err
	}
	if flags.until != "" {
		if err := knownStages(p, "--until", flags.until); err != nil {
			return nil, err
		}
	}
	if flags.Answers != "" {
		if l.answers, err = readAnswers(flags.Answers, p); err != nil {
			return nil, err
		}
	}
	return l, g.apply(c, l, data)
}

// timing is that of the site's ledger.
func (l *loaded) timing() ledger.Timing {
	if l.siteMap != nil {
		return ledger.Rehearsed(l.siteMap.Speed)
	}
	return ledger.Real()
}

// slow lets the clock of a rehearsal run at real speed until end is called.
func (l *loaded) slow(ctx context.Context) (end func()) {
	if l.siteMap == nil {
		return func() {}
	}
	return systems.SlowClock(ctx, l.siteMap)
}

// carryOut runs a plan for an operator and prints how it ended.
// what says what the command does to a run that has begun: "resume" or "abort"; "" if it
// needs none.
func (c *console) carryOut(l *loaded, flags runFlags, what string, do func(context.Context, executor.Options) (executor.Result, error)) error {
	name, err := operatorName(flags.Operator)
	if err != nil {
		return err
	}
	clients, err := systems.Connect(l.plan, l.siteMap, environment)
	if err != nil {
		return cmp.Or(l.noRun(what), err)
	}
	defer clients.Remote.Close()
	if flags.phalanx != "" {
		if clients.Phalanx.Deviations, err = c.deviations(l.plan, flags.phalanx); err != nil {
			return err
		}
	}
	banner := ""
	if l.siteMap != nil {
		banner = "--- REHEARSAL: a simulated site, nothing real is touched ---"
	}
	c.heading(l, name, banner)
	view := newScreen(c, name, banner, clients.Clock.Now)
	view.follows(l.plan)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if l.siteMap != nil {
		go systems.FollowClock(ctx, l.siteMap, clients.Clock)
	}
	recorder := live.Record(l.journal, clients.Clock.Now)
	defer recorder.End()
	follower := newLooker(l.plan, l.digest, l.journal)
	view.look = func() *live.View {
		if follower.read() != nil || follower.log.State().Records == 0 {
			return nil // it has not begun
		}
		return follower.view(true, recorder.Present())
	}
	o := executor.Options{
		Plan: l.plan, Digest: l.digest, PlanFile: filepath.Base(l.file), Journal: l.journal, SiteMap: l.mapFile,
		Systems: clients, Clock: clients.Clock, OperatorName: name, Version: version(),
		Operator: &asker{name: name, consents: flags.Consent, yes: flags.yes, file: flags.Answers, answers: l.answers, screen: view, shown: recorder, attended: c.terminal, slow: l.slow},
		Stop:     signals(view, clients.Clock.Now, cancel),
		Ledger:   custody.NewLedger(l.plan, clients),
		Timing:   l.timing(),
		Reviewed: l.reviewed, Approved: l.approved, Announcement: l.emergencyText(name),
		Post: func(ctx context.Context, channel, text string) error {
			return clients.Slack.Post(ctx, channel, text, time.Minute)
		},
	}
	if l.siteMap == nil {
		o.Day = againstToday(l.plan, time.Now())
		o.CarriedOut = func() (string, error) { return carriedOut(l.file, l.digest) }
	}
	if l.siteMap == nil {
		defer stayAwake()()
	}
	shownUntil, done := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); view.refresh(shownUntil) }()
	result, err := do(ctx, o)
	done()
	<-ended
	if result.Untouched && exit.CodeOf(err) == exit.Refused && l.discard() {
		result.State = nil // there is nothing to resume
	}
	return c.ending(l, result, err)
}

// deviations returns how a clone of Phalanx is compared with the plan.
func (c *console) deviations(p *plan.Plan, dir string) (func(context.Context, string) ([]string, error), error) {
	root, err := c.findRoot()
	if err != nil {
		return nil, err
	}
	return compiler.Deviations(context.Background(), root, p, dir)
}

// heading prints what is about to be carried out, where and by whom.
func (c *console) heading(l *loaded, name, banner string) {
	p := l.plan
	c.paragraph("%s: %s upgrade of %s, cycle %s, digest %.12s…", l.file, p.Type, p.Site, p.Upgrade.Cycle, l.digest)
	if banner != "" {
		c.paragraph("%s\nSite map: %s", banner, shown(l.mapFile))
	} else {
		c.paragraph("Review: %s", strings.Join(l.reviewed, "\n"))
		c.paragraph("Cluster: %s, %s", p.Targets.Kubernetes.Context, p.Targets.Kubernetes.Server)
	}
	if l.approvals != nil {
		counted, _ := l.approvals.lines()
		for _, a := range counted {
			c.paragraph("Approved as %s", a)
		}
	}
	now := time.Now()
	times := fmt.Sprintf("Times are in UTC; it is %s%s.", now.UTC().Format("15:04"), atSite(now, zoneOf(p)))
	if l.siteMap != nil {
		times = "Times are the simulated site's, in UTC, and not realistic."
	}
	c.paragraph("Operator: %s\nJournal: %s\n%s Press Ctrl-C to stop after the running steps finish; you can resume later.", name, shown(l.journal), times)
}

// signals stops a run at the first Ctrl-C, which it reports, and exits at the second. A
// terminal that is gone counts as a Ctrl-C: running steps finish, and the run can be
// resumed.
func signals(view *screen, now func() time.Time, leave context.CancelFunc) <-chan struct{} {
	view.stoppable = true
	stop := make(chan struct{})
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-caught
		view.Tell(operator.Event{Kind: operator.Notice, Time: now(), Text: "No new steps start; csu exits after the running steps finish. Press Ctrl-C again to exit at once."})
		close(stop)
		<-caught
		leave()
	}()
	return stop
}

// ending prints how a run ended and returns the error for its exit code.
func (c *console) ending(l *loaded, r executor.Result, err error) error {
	if r.Text != "" {
		c.paragraph("\n%s", lines(r.Text))
	}
	if r.End == executor.Interrupted && r.State != nil {
		if open, _ := r.State.Open(); len(open) > 0 {
			ids := make([]string, len(open))
			for i, st := range open {
				ids[i] = st.Step.ID
			}
			c.paragraph("In doubt, checked when you resume: %s", strings.Join(ids, ", "))
		}
		if text := report.Doubts(r.State); text != "" {
			c.paragraph("%s", text)
		}
	}
	if r.State != nil {
		for _, line := range report.Accepted(r.State) {
			c.paragraph("Not seen done: %s", line)
		}
	}
	switch {
	case r.End == executor.Excepted:
		c.exceptions(r.State)
	case r.State != nil:
		for _, line := range report.SetAside(r.State) {
			c.paragraph("%s", line)
		}
	}
	if len(r.Down) > 0 {
		c.paragraph("Not seen back up: %s", plan.CSCList(r.Down))
	}
	if r.State != nil {
		if unready := report.Unready(r.State); len(unready) > 0 {
			c.paragraph("Up, but not in the state that they should end in: %s", plan.CSCList(unready))
		}
		if building := report.BuildingText(r.State); building != "" {
			c.paragraph("%s", building)
		}
	}
	for _, s := range r.Owed {
		c.paragraph("Still to run: %s, %s", s.Step.ID, s.Step.Title)
	}
	if r.State != nil && r.State.Begun() {
		c.summary(l)
	}
	resume := "resume with csu exec " + l.file + " --resume"
	switch {
	case l.siteEnds:
		resume = "the simulated site ended with this command; to practise resuming, start one with csu rehearse --serve " + l.file
	case l.mapFile != "":
		resume += onSite(l.mapFile)
	}
	if err != nil {
		return toResume(err, r.State != nil, l.siteEnds, resume)
	}
	if r.Unreleased != nil {
		what := "complete"
		if r.End != executor.Completed {
			what = string(r.End)
		}
		return fail(exitFailed, "check that the cluster is reachable, then "+resume, "the upgrade is %s, but its site is not yet released: %w", what, r.Unreleased)
	}
	switch r.End {
	case executor.Completed:
		if l.siteMap != nil {
			fmt.Fprintln(c.out, "\nThe rehearsal is complete. Nothing real was changed.")
			return nil
		}
		fmt.Fprintln(c.out, "\nThe upgrade is complete.")
		c.paragraph("Commit its journal, %s: it documents the deployment.", shown(l.journal))
		return nil
	case executor.Excepted:
		if l.siteMap != nil {
			return fail(exitExceptions, "", "the rehearsal is complete, with exceptions; nothing real was changed")
		}
		return fail(exitExceptions, "post the exceptions if the closing message does not name them, and commit the journal, "+shown(l.journal), "the upgrade is complete, with exceptions")
	case executor.Aborted:
		fmt.Fprintln(c.out, "\nThe upgrade was aborted and its journal is closed.")
		return nil
	case executor.Reached:
		return nil
	case executor.NotAborted:
		return fail(exitFailed, resume, "the upgrade was not aborted")
	case executor.Interrupted:
		return fail(exitInterrupted, resume, "interrupted")
	case executor.HandedOver:
		if !r.State.Begun() {
			return fail(exitFailed, "ask the operator who takes over to start with csu exec PLAN", "the run was stopped for a handover; nothing of the plan had started, so the site is free")
		}
		return fail(exitFailed, "resume it with csu takeover "+l.file+onSite(l.mapFile)+" --reason TEXT", "the run was stopped for a handover")
	}
	return fail(exitFailed, resume, "the run is not complete")
}

// toResume adds to an error how to resume the run, unless the error says so itself.
// begun says that the run has a journal. After the simulated site has ended, the run
// cannot be resumed.
func toResume(err error, begun, siteEnds bool, resume string) error {
	remedy := exit.HintOf(err)
	var unattended *operator.UnattendedError
	switch {
	case errors.As(err, &unattended):
		if begun {
			remedy += "; " + resume
		}
	case siteEnds, begun && remedy == "":
		remedy = resume
	default:
		return err
	}
	return &exit.Error{Class: exit.CodeOf(err), Remedy: remedy, Err: err}
}

// knownStages refuses a flag that names stages that the plan lacks.
func knownStages(p *plan.Plan, flag string, stages ...string) error {
	ids := p.StageIDs()
	for _, s := range stages {
		if flag == "--consent" && s == "all" {
			continue
		}
		if !slices.Contains(ids, s) {
			return fail(exitInput, "use one of its stages: "+strings.Join(ids, ", "), "%s %s: the plan has no such stage%s", flag, s, plan.DidYouMean(s, ids))
		}
	}
	return nil
}

// operatorName is the name under which answers are recorded.
func operatorName(given string) (string, error) {
	if given != "" {
		return given, checkName("--operator", given)
	}
	u, err := user.Current()
	if err != nil {
		return "", fail(exitInput, "give --operator NAME", "cannot determine the operator's name: %w", err)
	}
	name := u.Username
	if u.Name != "" && u.Name != u.Username {
		name = fmt.Sprintf("%s (%s)", u.Name, u.Username)
	}
	return name, checkName("your account's name", name)
}

// checkName refuses a person's name with characters that others would not see: it is
// written to the journal, to the site's ledger and to Slack.
func checkName(what, name string) error {
	if !visible.OneLine(name) {
		return fail(exitInput, "give a name of visible characters, on one line", "%s: %q has a character that is not visible", what, name)
	}
	return nil
}

// dryRun prints what a run would still do. It connects to nothing.
func (c *console) dryRun(l *loaded, until string) error {
	at, err := state.Read(journal.Disk, l.journal, l.plan, l.digest)
	if errors.Is(err, os.ErrNotExist) {
		at, err = state.New(l.plan), nil
	}
	if err != nil {
		return err
	}
	for i := range l.plan.Stages {
		s := &l.plan.Stages[i]
		line(c.out, "%s: %s", s.ID, s.Title)
		if at.Stages[i].Consent == nil {
			line(c.out, "  asks for consent: %s", s.Consent)
		}
		for j := range s.Steps {
			c.wouldRun(at.Steps[s.Steps[j].ID])
		}
		if s.ID == until {
			return nil
		}
	}
	for i := range l.plan.Final {
		c.wouldRun(at.Steps[l.plan.Final[i].ID])
	}
	return nil
}

func (c *console) wouldRun(s *state.Step) {
	if s.Phase.Finished() {
		line(c.out, "  %s: %s already", s.Step.ID, s.Phase)
		return
	}
	line(c.out, "  %s: %s", s.Step.ID, review.Describe(s.Step.Action.Parameters))
	if s.Step.Consent != "" {
		line(c.out, "    asks: %s", strings.Join(strings.Fields(s.Step.Consent), " "))
	}
	if s.Step.Doubt != "" {
		line(c.out, "    doubt: %s", strings.Join(strings.Fields(s.Step.Doubt), " "))
	}
}

// A screen is an operator.
var _ operator.Operator = (*screen)(nil)
