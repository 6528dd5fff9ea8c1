// Command csu compiles, reviews, rehearses and carries out upgrades of the
// Rubin Observatory's control system.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"
	"golang.org/x/term"

	_ "github.com/lsst-ts/csu/cmd/csu/internal/early"
	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/systems"
)

// The exit codes; their meanings are in package exit.
const (
	exitComplete    = int(exit.Complete)
	exitFailed      = int(exit.Failed)
	exitInput       = int(exit.Input)
	exitRefused     = int(exit.Refused)
	exitExceptions  = int(exit.Exceptions)
	exitInterrupted = int(exit.Interrupted)
)

type commands struct {
	Root string `help:"The project's folder, which contains cue.mod (default: the nearest one, from the working directory upward)." placeholder:"DIR" predictor:"dir"`

	ShowVersion kong.VersionFlag `name:"version" help:"Print csu's version."`

	Plan       planCommands              `cmd:"" help:"Compile, check, show, compare and review plans."`
	Site       siteCommands              `cmd:"" help:"Keep a site's inventory true to Phalanx."`
	Approve    approveCommand            `cmd:"" help:"Approve a plan: sign its digest with your SSH key."`
	Verify     verifyCommand             `cmd:"" help:"Verify who approved a plan, and that it is what ran, with which consents (read-only)."`
	Preflight  preflightCommand          `cmd:"" help:"Check that everything the plan needs is reachable and permitted (read-only)."`
	Exec       execCommand               `cmd:"" help:"Carry out a plan stage by stage and keep a journal next to it."`
	Abort      abortCommand              `cmd:"" help:"Abort a run: run its final steps, which undo what must not stay, and close its journal."`
	Takeover   takeoverCommand           `cmd:"" help:"Resume a run that started elsewhere, from the cluster's copy of its journal."`
	Handover   handoverCommand           `cmd:"" help:"Stop a running csu so that a colleague can take over its run."`
	Unlock     unlockCommand             `cmd:"" help:"Unlock the site of a run that will never be resumed."`
	Status     statusCommand             `cmd:"" help:"Show the progress of a run, which steps have an unknown outcome, and what to do next."`
	Watch      watchCommand              `cmd:"" help:"Serve a page on this machine that shows a run to a room (read-only)."`
	Report     reportCommand             `cmd:"" help:"Report what took how long in a run, what went wrong, and what is left."`
	Announce   announceCommand           `cmd:"" help:"Post the announcement of a deployment to the site's Slack channel."`
	Durations  durationsCommand          `cmd:"" help:"Learn from journals how long the actions at a site take."`
	Rehearse   rehearseCommand           `cmd:"" help:"Carry out a plan against a simulated site."`
	Version    versionCommand            `cmd:"" help:"Print csu's version."`
	Completion kongcompletion.Completion `cmd:"" help:"Show how to set up tab completion in bash, zsh or fish."`
}

type planCommands struct {
	Compile compileCommand `cmd:"" help:"Compile a site's upgrade request into a plan."`
	Request requestCommand `cmd:"" help:"Write an upgrade's request from what a range of Phalanx's commits changes."`
	Check   checkCommand   `cmd:"" help:"Check that a plan follows the rules and still matches its sources."`
	Show    showCommand    `cmd:"" help:"Show a plan: an overview, or the complete runbook."`
	Diff    diffCommand    `cmd:"" help:"Compare two plans by meaning, dangerous changes first."`
	Review  reviewCommand  `cmd:"" help:"Review every plan that differs from a Git revision, for a pull request."`
}

// console is what a command prints on and reads from.
type console struct {
	in       *os.File
	out, err io.Writer // for texts; see edge
	raw      io.Writer // standard output without the edge
	terminal bool      // both in and out
	width    int
	root     string
	plan     string // that the command is about, with the flag of its simulated site; "" for none
}

// fail returns an error with an exit code and a hint, which may be "".
func fail(code int, hint, format string, args ...any) error {
	return &exit.Error{Class: exit.Code(code), Remedy: hint, Err: fmt.Errorf(format, args...)}
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	c := &console{in: os.Stdin, out: edge{os.Stdout}, err: edge{os.Stderr}, raw: os.Stdout, width: 100}
	c.terminal = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		c.width = w
	}
	log.SetOutput(c.err) // net/http logs what a server sends unasked
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
			"Exit codes: 0 complete, 1 failed or stopped, 2 invalid input, 3 refused by a safety check, 130 interrupted."),
		kong.Writers(os.Stdout, os.Stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: c.width}),
		kong.Bind(c),
		kong.Vars{"sites": siteChoice(args), "version": "csu " + version()},
	)
	if err != nil {
		return c.report(err) // a mistake in the definitions above
	}
	// Answers a shell that asks for completions, and exits.
	kongcompletion.Register(parser, kongcompletion.WithPredictors(map[string]complete.Predictor{
		"plan": complete.PredictFiles("*.json"), "file": complete.PredictFiles("*"), "dir": complete.PredictDirs("*"),
		"site": complete.PredictFunc(func(a complete.Args) []string { return siteNames(a.All) }),
	}))
	if len(args) > 0 && args[0] == "help" { // as git and kubectl take it
		args = append(args[1:], "--help")
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		return c.report(exit.Unusable("run csu --help for the commands, or csu COMMAND --help for one with examples", "%w", err))
	}
	c.root = cli.Root
	return c.report(ctx.Run())
}

// report prints an error and its hint and returns the exit code.
func (c *console) report(err error) int {
	if err == nil {
		return exitComplete
	}
	fmt.Fprintln(c.err, fit(c.err, "error: "+hanging(err.Error())))
	if hint := exit.HintOf(err); hint != "" {
		fmt.Fprintln(c.err, fit(c.err, "hint: "+hanging(naming(hint, c.plan))))
	}
	return int(exit.CodeOf(err))
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

// environment returns a secret by its variable's name, from the environment or from
// the file that it names.
func environment(name string) (string, error) {
	value, err := systems.Environment(os.LookupEnv)(name)
	if err != nil {
		return "", exit.Unusable("", "%w", err)
	}
	return value, nil
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
