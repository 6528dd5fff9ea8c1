package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

type rehearseCommand struct {
	Plan  string   `arg:"" optional:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Serve bool     `help:"Only run the simulated site, until Ctrl-C, and print how to run csu exec against it."`
	Dir   string   `help:"Folder for the site's files, its record and the run's journal (default: a temporary folder, removed when the run ends without an error)." placeholder:"DIR" predictor:"dir"`
	Speed float64  `default:"3600" help:"Seconds of site time per second of real time. Above 300, steps may take longer than their time limits."`
	Seed  int64    `default:"1" help:"Seed of the simulated site's random choices."`
	Fault []string `help:"Inject a fault at the site, such as csc-stuck=MTMount:0; can be repeated." placeholder:"FAULT"`
	// ListFaults needs no plan.
	ListFaults bool     `help:"List the faults and exit."`
	Operator   string   `help:"Your name, recorded in the journal (default: your account's)." placeholder:"NAME"`
	Consent    []string `help:"Consent to these stages in advance. --consent all answers yes to every consent, doubt and manual step." placeholder:"STAGE"`
	Answers    string   `help:"Read answers from this JSON file, as csu exec does." placeholder:"FILE" predictor:"file"`
	phalanxFlags
	Child bool `hidden:"" help:"Serve until standard input ends."`
}

func (rehearseCommand) Help() string {
	return `Starts a simulated site, built from the plan's own tables, in a separate process and carries out the plan against it with the real executor. Time runs fast, but at real speed while a question is open at your terminal; durations are not realistic. At the end it summarizes what the site recorded.

With --phalanx the site deploys what that revision of Phalanx renders, not what the plan expects: a wrong image, a missing claim, or a Job that Phalanx does not have then show.

A fault affects what you name, as in host-hangs=azar03, or otherwise the first match in the plan. You can give several faults.

Faults:

` + faults() + `
Examples:

  csu rehearse plans/2026-11-24-summit-incremental.json --consent all
  csu rehearse plans/2026-11-24-summit-incremental.json
  csu rehearse plans/2026-11-24-summit-incremental.json --fault csc-stuck=MTMount:0
  csu rehearse plans/2026-11-24-summit-incremental.json --phalanx ~/phalanx --rev origin/tickets/OSW-2465 --consent all
  csu rehearse --serve --dir /tmp/site --speed 60 plans/2026-11-24-summit-incremental.json
  csu exec plans/2026-11-24-summit-incremental.json --site-map /tmp/site/site-map.json`
}

// faults lists what can go wrong at a simulated site.
func faults() string {
	var b strings.Builder
	for _, f := range rehearsal.Faults() {
		name := f.Name
		if f.Subject != "" {
			name += "[=" + strings.ToUpper(f.Subject) + "]"
		}
		fmt.Fprintf(&b, "  %-35s %s\n", name, f.Text)
	}
	return b.String()
}

func (cmd *rehearseCommand) Run(c *console) error {
	if cmd.ListFaults {
		_, err := io.WriteString(c.out, faults())
		return err
	}
	if cmd.Plan == "" {
		return fail(exitInput, "", "expected \"<plan>\"")
	}
	p, _, err := plan.ReadFile(cmd.Plan)
	if err != nil {
		return err
	}
	if cmd.Speed < 1 || cmd.Speed > 3600 {
		return fail(exitInput, "", "--speed %g: want 1 to 3600", cmd.Speed)
	}
	if err := rehearsal.CheckFaults(p, cmd.Fault); err != nil {
		return fail(exitInput, "run csu rehearse --list-faults for the faults", "--fault: %w", err)
	}
	if _, err := operatorName(cmd.Operator); err != nil {
		return err
	}
	deployed, err := cmd.deployed(c, p)
	if err != nil {
		return err
	}
	if cmd.Dir != "" && !cmd.Child {
		if err := cmd.fresh(); err != nil {
			return err
		}
	}
	if cmd.Serve || cmd.Child {
		return cmd.serve(c, p, deployed)
	}
	dir, keep, err := cmd.folder()
	if err != nil {
		return err
	}
	site, err := cmd.startChild(c, dir)
	if err != nil {
		return err
	}
	defer site.end()
	began := time.Now()
	end, err := cmd.against(c, dir)
	if stopped := site.end(); err == nil {
		err = stopped
	}
	if err != nil && end != executor.Excepted {
		fmt.Fprintln(c.err, fit(c.err, "The rehearsal's journal and the site's record are in "+dir))
		return err
	}
	if failed := c.recorded(p, filepath.Join(dir, rehearsal.RecordFile), time.Since(began), end); failed != nil || err != nil {
		fmt.Fprintln(c.err, fit(c.err, "The rehearsal's journal and the site's record are in "+dir))
		return cmp.Or(err, failed)
	}
	if !keep {
		return os.RemoveAll(dir)
	}
	return nil
}

// deployed returns what Phalanx deploys at the plan's site; nil without --phalanx.
func (cmd *rehearseCommand) deployed(c *console, p *plan.Plan) (*rehearsal.Deployed, error) {
	if !cmd.given() {
		return nil, cmd.alone()
	}
	root, err := c.findRoot()
	if err != nil {
		return nil, err
	}
	from, err := compiler.Deploys(context.Background(), root, p.Site, cmd.phalanx())
	if err != nil {
		return nil, err
	}
	out := &rehearsal.Deployed{Commit: from.Commit.Hash, Applications: map[string]rehearsal.DeployedApplication{}}
	for _, a := range from.Applications {
		app := rehearsal.DeployedApplication{Revision: a.Revision}
		for _, r := range a.Resources {
			app.Resources = append(app.Resources, rehearsal.DeployedResource(r))
		}
		out.Applications[a.Name] = app
	}
	return out, nil
}

// folder returns the rehearsal's folder, and whether it was asked for and so is
// kept; it makes a temporary one where none is given.
func (cmd *rehearseCommand) folder() (dir string, keep bool, err error) {
	if cmd.Dir != "" {
		return cmd.Dir, true, nil
	}
	if dir, err = os.MkdirTemp("", "csu-rehearsal-"); err != nil {
		return "", false, fmt.Errorf("make a folder for the rehearsal: %w", err)
	}
	return dir, false, nil
}

// fresh refuses a folder in which this plan was rehearsed before: the journal there is
// about a simulated site that is gone.
func (cmd *rehearseCommand) fresh() error {
	name := filepath.Join(cmd.Dir, filepath.Base(cmd.Plan)+".journal")
	if _, err := os.Stat(name); err == nil {
		return fail(exitRefused, "give another folder, or remove this one",
			"rehearse the plan: %q is of an earlier rehearsal, whose simulated site is gone", shown(name))
	}
	return nil
}

// against carries the plan out against the site in the folder, and returns how that
// ended.
func (cmd *rehearseCommand) against(c *console, dir string) (end executor.End, err error) {
	flags := runFlags{Operator: cmd.Operator, Consent: cmd.Consent, Answers: cmd.Answers, SiteMap: filepath.Join(dir, rehearsal.MapFile), phalanx: cmd.Phalanx}
	l, err := c.load(cmd.Plan, flags, ofRehearsal)
	if err != nil {
		return end, err
	}
	l.siteEnds = true
	err = c.carryOut(l, flags, "", func(ctx context.Context, o executor.Options) (executor.Result, error) {
		r, err := executor.Run(ctx, o)
		end = r.End
		return r, err
	})
	return end, err
}

// serve is the simulated site's own process.
func (cmd *rehearseCommand) serve(c *console, p *plan.Plan, deployed *rehearsal.Deployed) error {
	dir, _, err := cmd.folder()
	if err != nil {
		return err
	}
	digest, err := plan.Digest(p)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if cmd.Child {
		// The parent's interrupts are the run's; the site lives as long as the
		// parent does.
		signal.Ignore(os.Interrupt)
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, c.in) // ends with the parent, however that ends
			stop()
		}()
	}
	config := rehearsal.Config{Plan: p, Digest: digest, Dir: dir, Speed: cmd.Speed, Seed: cmd.Seed, Faults: cmd.Fault, Deployed: deployed}
	if cmd.Child {
		config.Laptop = stopping(os.Getppid())
	}
	site, err := rehearsal.Start(ctx, config)
	if err != nil {
		return err
	}
	if !cmd.Child {
		c.paragraph("The simulated site of %s is running, %g times as fast as the real one. In another terminal, run:", cmd.Plan, cmd.Speed)
		fmt.Fprintf(c.out, "\n  csu exec %s --site-map %s\n\n", cmd.Plan, filepath.Join(dir, rehearsal.MapFile)) // one line, to be copied
		c.paragraph("The site's record: %s\nPress Ctrl-C to stop the site.", filepath.Join(dir, rehearsal.RecordFile))
	}
	<-ctx.Done()
	return site.Close()
}

// stopping returns a function that stops the executor, the parent of this process, and
// lets it continue.
func stopping(parent int) func(asleep bool) error {
	return func(asleep bool) error {
		signal := syscall.SIGCONT
		if asleep {
			signal = syscall.SIGSTOP
		}
		return syscall.Kill(parent, signal)
	}
}

// child is the simulated site's process, seen from the rehearsal.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	err   strings.Builder
	done  chan error
	ended bool
}

// siteLimit is how long a simulated site may take to be up, and to end, on a
// machine that does much else.
const siteLimit = 2 * time.Minute

// startChild starts the site and waits until its map is there.
func (cmd *rehearseCommand) startChild(c *console, dir string) (*child, error) {
	mapFile := filepath.Join(dir, rehearsal.MapFile)
	if err := os.Remove(mapFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("start the simulated site: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the simulated site: %w", err)
	}
	ch := &child{cmd: exec.Command(self), done: make(chan error, 1)}
	ch.cmd.Args = []string{os.Args[0], "rehearse", "--child", "--dir", dir,
		fmt.Sprintf("--speed=%g", cmd.Speed), fmt.Sprintf("--seed=%d", cmd.Seed)}
	for _, f := range cmd.Fault {
		ch.cmd.Args = append(ch.cmd.Args, "--fault="+f)
	}
	if cmd.given() {
		ch.cmd.Args = append(ch.cmd.Args, "--phalanx="+cmd.Phalanx, "--rev="+cmd.Rev)
	}
	ch.cmd.Args = append(ch.cmd.Args, cmd.Plan)
	ch.cmd.Stderr = &ch.err
	if ch.stdin, err = ch.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the simulated site: %w", err)
	}
	if err := ch.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the simulated site: %w", err)
	}
	go func() { ch.done <- ch.cmd.Wait() }()
	limit := time.After(siteLimit)
	for {
		if _, err := os.Stat(mapFile); err == nil {
			return ch, nil
		}
		select {
		case err := <-ch.done:
			ch.ended = true
			return nil, fail(exitFailed, "", "start the simulated site: %w\n%s", err, ch.err.String())
		case <-limit:
			_ = ch.end()
			return nil, fail(exitFailed, "", "start the simulated site: not ready after %s\n%s", siteLimit, ch.err.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// end ends the site; what it complains about is returned once.
func (ch *child) end() error {
	if ch.ended {
		return nil
	}
	ch.ended = true
	ch.stdin.Close()
	select {
	case err := <-ch.done:
		if err != nil {
			return fail(exitFailed, "", "the simulated site: %w\n%s", err, ch.err.String())
		}
		return nil
	case <-time.After(siteLimit):
		ch.cmd.Process.Kill()
		return fail(exitFailed, "", "stop the simulated site: still running after %s\n%s", siteLimit, ch.err.String())
	}
}

// recorded prints what the site's own record shows.
func (c *console) recorded(p *plan.Plan, file string, took time.Duration, end executor.End) error {
	effects, err := rehearsal.ReadRecord(file)
	if err != nil {
		return err
	}
	s := rehearsal.Summarize(p, effects)
	fmt.Fprintf(c.out, "\nWhat the simulated site recorded (%s, in %s of real time):\n", plan.Counted(len(effects), "action"), took.Round(100*time.Millisecond))
	if len(s.Down) > 0 {
		c.paragraph("  CSCs taken down, in this order: %s", strings.Join(abridged(s.Down, 12), ", "))
	}
	c.paragraph("  Jobs deleted: %s", plan.CSCList(s.JobsDeleted))
	fmt.Fprintf(c.out, "  scripts run: %d, commands on hosts: %d, syncs: %d\n", s.Scripts, s.Commands, s.Syncs)
	if end == executor.Aborted {
		_, err = fmt.Fprintf(c.out, "  %d of the %d CSCs are not in their expected state, as the abort left them\n", len(s.Astray), s.Seen)
		return err
	}
	if end == executor.Excepted {
		c.paragraph("  CSCs not in their expected state: %s", strings.Join(s.Astray, ", "))
		return nil
	}
	if len(s.Astray) == 0 {
		_, err = fmt.Fprintf(c.out, "  all %d CSCs are in their expected state\n", s.Seen)
		return err
	}
	slices.Sort(s.Astray)
	return fail(exitFailed, "", "CSCs not in their expected state at the end: %s", strings.Join(s.Astray, ", "))
}

// abridged leaves out the middle of a long list.
func abridged(list []string, most int) []string {
	if len(list) <= most {
		return list
	}
	half := most / 2
	return slices.Concat(list[:half], []string{fmt.Sprintf("… %d more …", len(list)-2*half)}, list[len(list)-half:])
}
