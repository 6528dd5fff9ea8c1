package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lsst-ts/csu/executor/campaign"
	"github.com/lsst-ts/csu/executor/plan"
)

// crashFlags are those of a rehearsal in which csu dies.
type crashFlags struct {
	Crashes     *int     `help:"Have csu die this many times on the way, 1 to 7, at places that the seed draws." placeholder:"K"`
	Crash       []string `sep:"none" help:"Have csu die at this place; can be repeated, once for each life." placeholder:"PLACE"`
	CrashBy     string   `help:"What the crash is: killed, power, partial or process, see above. By default killed, or with --crashes what the seed draws." placeholder:"HOW"`
	ListCrashes bool     `help:"List the places at which csu can die in this plan's run, and do nothing else."`
}

const crashHelp = `With --crashes or --crash csu dies on the way, and is taken up again each time, until the run has come to its end: on one simulated site that lives on. An operator who is simulated too consents, does what is to be done by hand, once, and answers what is in doubt by what the site's record shows. The record is then held against that of an undisturbed run at the same seed: nothing twice, nothing left out, the order kept, every intent recorded before its effect, the same final state. What differs is listed, and the exit code is 1. The site runs 1200 times as fast as the real one at most.

A crash is one of these:

  killed   the process ends: what it has written stays (the default)
  power    the machine stops: what was not synced to the disk is gone
  partial  the machine stops: of what was not synced, some bytes stay
  process  csu exec runs as a process of its own, and is killed: a moment after the place, as it is seen from outside

All but the last are simulated within this process, with a disk in memory: connections and journal end at that instant, and what is under way reaches nothing any more. A place is WHAT|WHICH|COUNT|WHERE:

  record|offline/cscs started|1|middle   in the middle of writing that record; or before, after
  request|offline/cscs started|1|2       before the second request after that record
  answer|offline/cscs started|1|2        before the second answer after it
  effect|rebooted azar02 |1|middle       when that had happened, before csu was told; or after
  disk|EIO sync|3|                       when the third fsync fails
`

// asked tells whether the rehearsal is one with crashes.
func (f *crashFlags) asked() bool { return f.Crashes != nil || len(f.Crash) > 0 || f.ListCrashes }

// crashCase returns the case that the flags ask for, with no triggers where they
// are drawn.
func (cmd *rehearseCommand) crashCase(p *plan.Plan) (a campaign.Case, err error) {
	a.How = campaign.Crash(cmd.CrashBy)
	if a.How != "" && !slices.Contains(campaign.Crashes, a.How) {
		var known []string
		for _, how := range campaign.Crashes {
			known = append(known, string(how))
		}
		return a, fail(exitInput, "", "--crash-by %s: there is no such crash%s; there are %s", cmd.CrashBy, plan.DidYouMean(cmd.CrashBy, known), strings.Join(known, ", "))
	}
	if !cmd.asked() {
		if a.How != "" {
			return a, fail(exitInput, "add --crashes or --crash", "--crash-by says what a crash is, and none is asked for")
		}
		return a, nil
	}
	for _, other := range []struct {
		name  string
		given bool
		why   string
	}{
		{"--serve", cmd.Serve, "to crash csu yourself, end the csu exec that runs against the site, and take it up with --resume"},
		{"--fault", len(cmd.Fault) > 0, "the run is held against one in which nothing goes wrong but the crashes"},
		{"--consent", len(cmd.Consent) > 0, "the operator is simulated too"},
		{"--answers", cmd.Answers != "", "the operator is simulated too"},
		{"--operator", cmd.Operator != "", "the operator is simulated too"},
	} {
		if other.given {
			return a, fail(exitInput, other.why, "a rehearsal with crashes has no %s", other.name)
		}
	}
	if cmd.Crashes != nil {
		if len(cmd.Crash) > 0 {
			return a, fail(exitInput, "give one of them", "--crashes draws the places, and --crash names them")
		}
		if *cmd.Crashes < 1 || *cmd.Crashes > campaign.MostCrashes {
			return a, fail(exitInput, "", "--crashes %d: a run can have 1 to %d", *cmd.Crashes, campaign.MostCrashes)
		}
	}
	if len(cmd.Crash) > campaign.MostCrashes {
		return a, fail(exitInput, "", "--crash is given %d times: a run can have 1 to %d", len(cmd.Crash), campaign.MostCrashes)
	}
	if a.How == "" && len(cmd.Crash) > 0 {
		a.How = campaign.Killed
	}
	const hint = "csu rehearse PLAN --list-crashes lists the places"
	for _, text := range cmd.Crash {
		t, err := campaign.ParseTrigger(text)
		if err == nil {
			err = t.Check(p)
		}
		if err != nil {
			return a, fail(exitInput, hint, "--crash: %w", err)
		}
		if t.On == campaign.OnDisk && a.How == campaign.Process {
			return a, fail(exitInput, "take --crash-by killed, power or partial", "crash %q: the disk of a process is this machine's, and is not made to fail", text)
		}
		a.Dies = append(a.Dies, t)
	}
	return a, nil
}

// withCrashes carries the plan out undisturbed and then with the crashes, and
// tells what the site's record shows. The rules for plans are not asked: a plan
// may be one that was made for nothing else.
func (cmd *rehearseCommand) withCrashes(c *console, p *plan.Plan, a campaign.Case) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	digest, err := plan.Digest(p)
	if err != nil {
		return err
	}
	dir, keep, err := cmd.folder()
	if err != nil {
		return err
	}
	err = cmd.crash(ctx, c, campaign.Setting{Plan: p, Digest: digest, Seed: cmd.Seed, Speed: min(cmd.Speed, campaign.Speed)}, a, dir)
	switch {
	case ctx.Err() != nil:
		err = fail(exitInterrupted, "", "interrupted: the rehearsal did not come to its end")
	case err == nil && !keep:
		return os.RemoveAll(dir)
	}
	if err != nil || keep && !cmd.ListCrashes {
		fmt.Fprintf(c.err, "The site's records and the run's journal are in %s\n", dir)
	}
	return err
}

func (cmd *rehearseCommand) crash(ctx context.Context, c *console, s campaign.Setting, a campaign.Case, dir string) error {
	ref, err := campaign.Refer(ctx, s, dir)
	if err != nil {
		return fail(exitFailed, "", "the plan is not carried out well even without a crash: %w", err)
	}
	if cmd.ListCrashes {
		for _, t := range ref.Triggers() {
			fmt.Fprintln(c.out, t)
		}
		return nil
	}
	if cmd.Crashes != nil {
		a = ref.Draw(a.How, *cmd.Crashes)
	}
	fmt.Fprintf(c.out, "Undisturbed, at seed %d: %d effects at the site, %d records in the journal.\n", s.Seed, ref.Effects(), ref.Records())
	began, lives := time.Now(), 0
	bench := campaign.Bench{Dir: filepath.Join(dir, "crashed"), Told: func(l campaign.Life) {
		lives++
		fmt.Fprintf(c.out, "Life %d %s\n", lives, ended(l))
	}}
	if a.How == campaign.Process {
		if bench.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("start csu as a process: %w", err)
		}
	}
	v, err := a.Run(ctx, ref, bench)
	if err != nil {
		return fail(exitFailed, "", "the rehearsal came to no verdict: %w", err)
	}
	if err := os.WriteFile(filepath.Join(bench.Dir, filepath.Base(cmd.Plan)+".journal"), v.Journal, 0o644); err != nil {
		return fmt.Errorf("keep the run's journal: %w", err)
	}
	return cmd.judged(c, a, v, time.Since(began))
}

// ended says for people how a life ended.
func ended(l campaign.Life) string {
	switch {
	case l.Reached:
		return "died " + l.Trigger.Sentence() + ".\n  --crash " + campaign.Quoted(l.Trigger.String())
	case l.Trigger.On != "":
		return "came to the end of the run; it was to die " + l.Trigger.Sentence() + "."
	}
	return "came to the end of the run."
}

// judged tells the verdict.
func (cmd *rehearseCommand) judged(c *console, a campaign.Case, v campaign.Verdict, took time.Duration) error {
	deaths := 0
	var missed []string
	for i, d := range a.Dies {
		switch {
		case i < len(v.Lives) && v.Lives[i].Reached:
			deaths++
		case d.On != "":
			missed = append(missed, d.String())
		}
	}
	fmt.Fprintf(c.out, "%s, %s (%s), %s about what was in doubt, in %s.\n",
		counted(len(v.Lives), "life", "lives"), counted(deaths, "crash", "crashes"), a.How, counted(v.Asked, "question", "questions"), took.Round(100*time.Millisecond))
	if len(v.Problems) > 0 {
		return fail(exitFailed, "this repeats it: "+campaign.CommandLine(cmd.Plan, a.Args(cmd.Seed)...)+"; whether the machine was too busy for the speed, a slower one shows: --speed 200",
			"held against the undisturbed run, the site's record and the journal show %s:\n  %s",
			counted(len(v.Problems), "violation", "violations"), strings.Join(v.Problems, "\n  "))
	}
	fmt.Fprintln(c.out, "Held against the undisturbed run: nothing was done twice, nothing was left out, the order was kept, and the site is in the same final state.")
	if len(missed) > 0 && cmd.Crashes == nil {
		return fail(exitFailed, "the run was over before; csu rehearse "+cmd.Plan+" --list-crashes lists the places of its first life", "csu did not come to %s", strings.Join(missed, ", "))
	}
	if len(missed) > 0 {
		fmt.Fprintf(c.out, "The run was over before %s that the seed had drawn.\n", counted(len(missed), "crash", "crashes"))
	}
	return nil
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// freshForCrashes refuses a folder in which a rehearsal with crashes was before.
func (cmd *rehearseCommand) freshForCrashes() error {
	for _, name := range []string{"undisturbed", "crashed"} {
		if _, err := os.Stat(filepath.Join(cmd.Dir, name)); !errors.Is(err, os.ErrNotExist) {
			return fail(exitRefused, "give another folder, or remove this one", "%q is of an earlier rehearsal with crashes", shown(filepath.Join(cmd.Dir, name)))
		}
	}
	return nil
}
