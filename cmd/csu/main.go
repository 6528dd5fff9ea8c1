// Command csu compiles, reviews, rehearses and carries out upgrades of the
// Rubin Observatory's control system.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"
	"golang.org/x/term"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
)

// Exit codes.
const (
	exitComplete    = 0
	exitFailed      = 1   // failed, stopped or different
	exitInput       = 2   // unusable input
	exitRefused     = 3   // refused by a guard
	exitInterrupted = 130 // by a signal
)

type commands struct {
	Root string `help:"The project's folder: the one with cue.mod. By default the working directory or the closest one above it." placeholder:"DIR" predictor:"dir"`

	Plan       planCommands              `cmd:"" help:"Compile, check and show plans."`
	Preflight  preflightCommand          `cmd:"" help:"Look whether everything that a plan needs is there. Only reads."`
	Exec       execCommand               `cmd:"" help:"Carry out a plan, stage by stage, with a journal beside it."`
	Abort      abortCommand              `cmd:"" help:"Give up a run: carry out its final steps and close the journal."`
	Takeover   takeoverCommand           `cmd:"" help:"Resume a run that was begun elsewhere, from the cluster's copy of its journal."`
	Handover   handoverCommand           `cmd:"" help:"Stop the csu that is at work on a run, so that a colleague can take it over."`
	Unlock     unlockCommand             `cmd:"" help:"Take the site from a run that will never be resumed."`
	Status     statusCommand             `cmd:"" help:"Tell where a run stands, what is in doubt and what to do next."`
	Announce   announceCommand           `cmd:"" help:"Post the announcement of a deployment to the site's Slack channel."`
	Rehearse   rehearseCommand           `cmd:"" help:"Carry out a plan against a simulated site."`
	Version    versionCommand            `cmd:"" help:"Print csu's version."`
	Completion kongcompletion.Completion `cmd:"" help:"Print how tab completion is set up in bash, zsh or fish."`
}

type planCommands struct {
	Compile compileCommand `cmd:"" help:"Compile a site's upgrade request into a plan."`
	Check   checkCommand   `cmd:"" help:"Check that a plan keeps the rules, and that the sources still give it."`
	Show    showCommand    `cmd:"" help:"Show a plan: an overview, or the complete runbook."`
	Diff    diffCommand    `cmd:"" help:"Compare two plans by meaning, what may be dangerous first."`
}

// console is what a command prints on and reads from.
type console struct {
	in       *os.File
	out, err io.Writer
	terminal bool // both in and out
	width    int
	root     string
	plan     string // that the command is about, with the flag of its simulated site; "" for none
}

// exitError carries the exit code of an error that has been explained.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func fail(code int, hint, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...), hint}
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	c := &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, width: 100}
	c.terminal = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		c.width = w
	}
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("csu"),
		kong.Description("The control-system upgrade tool of the Rubin Observatory.\n\n"+
			"A plan is compiled from the definition of a site, reviewed, rehearsed and then carried out:\n\n"+
			"  csu plan compile --site summit --type incremental\n"+
			"  csu plan show plans/2026-11-24-summit-incremental.json\n"+
			"  csu rehearse plans/2026-11-24-summit-incremental.json\n"+
			"  csu exec plans/2026-11-24-summit-incremental.json\n\n"+
			"Exit codes: 0 complete, 1 failed or stopped, 2 unusable input, 3 refused by a guard, 130 interrupted."),
		kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: c.width}),
		kong.Bind(c),
		kong.Vars{"sites": siteChoice(args)},
	)
	if err != nil {
		fmt.Fprintln(c.err, "error:", err)
		return exitInput
	}
	// Asked by a shell for completions, it answers and exits.
	kongcompletion.Register(parser, kongcompletion.WithPredictors(map[string]complete.Predictor{
		"plan": complete.PredictFiles("*.json"), "file": complete.PredictFiles("*"), "dir": complete.PredictDirs("*"),
		"site": complete.PredictFunc(func(a complete.Args) []string { return siteNames(a.All) }),
	}))
	ctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		return c.report(&exitError{exitInput, err, "csu --help shows the commands; csu COMMAND --help shows one with examples"})
	}
	c.root = cli.Root
	return c.report(ctx.Run())
}

// report prints an error and its hint and returns the exit code.
func (c *console) report(err error) int {
	if err == nil {
		return exitComplete
	}
	code, hint := classify(err)
	fmt.Fprintln(c.err, fit(c.err, "error: "+err.Error()))
	if hint != "" {
		hint = naming(hint, c.plan)
		fmt.Fprintln(c.err, fit(c.err, "hint: "+hint))
	}
	return code
}

var planIn = regexp.MustCompile(`\b(csu [a-z]+) PLAN\b`)

// naming puts a plan, with its flags, into the commands of a hint, so that they can be
// pasted; "" leaves them as they are.
func naming(hint, plan string) string {
	if plan == "" {
		return hint
	}
	return planIn.ReplaceAllStringFunc(hint, func(command string) string { return strings.TrimSuffix(command, "PLAN") + plan })
}

// classify returns the exit code and the hint for an error.
func classify(err error) (code int, hint string) {
	var (
		exit       *exitError
		refused    *executor.RefusedError
		input      *executor.InputError
		locked     *journal.LockedError
		damaged    *journal.DamageError
		failed     *journal.FailedError
		lost       *journal.LostFileError
		unattended *operator.UnattendedError
		rules      *compiler.RulesError
	)
	switch {
	case errors.As(err, &exit):
		return exit.code, exit.hint
	case errors.As(err, &refused):
		return exitRefused, refused.Hint
	case errors.As(err, &locked):
		return exitRefused, "let it end, or look at it with csu status PLAN"
	case errors.As(err, &unattended) && slices.Contains(beforeJournal, unattended.Question.Topic):
		return exitRefused, "run this command in a terminal; nothing was started"
	case errors.As(err, &unattended):
		return exitRefused, "what has been done is in the journal; go on with --resume"
	case errors.As(err, &input):
		return exitInput, input.Hint
	case errors.As(err, &damaged):
		return exitInput, "the journal was changed after csu wrote it; restore it from a copy. Nothing was started"
	case errors.As(err, &failed):
		return exitFailed, "whatever ran when the journal failed is in doubt; --resume looks what became of it"
	case errors.As(err, &lost):
		return exitFailed, lost.Hint()
	case errors.Is(err, errNoAnswer):
		return exitFailed, "what has been done is in the journal; go on with --resume"
	case errors.As(err, &rules):
		return exitFailed, ""
	case errors.Is(err, context.Canceled):
		return exitInterrupted, "go on with --resume"
	}
	return exitInput, ""
}

// findRoot returns the project's folder.
func (c *console) findRoot() (string, error) {
	if c.root != "" {
		return compiler.FindRoot(c.root)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	return compiler.FindRoot(dir)
}

type versionCommand struct{}

func (versionCommand) Run(c *console) error {
	_, err := fmt.Fprintln(c.out, "csu", version())
	return err
}

// version is the module's version, or the revision it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value[:min(12, len(s.Value))]
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return strings.TrimSpace(v)
}
