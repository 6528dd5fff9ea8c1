package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/plan"
)

type diffCommand struct {
	Plans   []string `arg:"" help:"The old plan and the new one; only the new one with --against, or to compare it with the last that was carried out or committed." placeholder:"PLAN"`
	Against string   `help:"Compare with the same file at this Git revision, such as origin/main." placeholder:"REV"`
	Format  string   `enum:"text,markdown,json" default:"text" help:"text for the terminal, markdown for a pull request, json for programs."`
}

func (diffCommand) Help() string {
	return `Compares steps, consents, doubts, CSCs, targets and tables by meaning and shows dangerous changes first. A new plan alone is compared with the last plan of its site and type that was carried out or, if none was, committed; what differs beyond what the two requests ask for comes first. Exits with 1 if the plans differ and with 0 if they are the same.

Examples:

  csu plan diff old.json plans/2026-11-24-summit-incremental.json
  csu plan diff plans/2026-12-15-summit-full.json
  csu plan diff --against origin/main --format markdown plans/2026-11-24-summit-incremental.json`
}

func (cmd *diffCommand) Run(c *console) error {
	old, now, err := cmd.read(c)
	if err != nil {
		return err
	}
	comparison, err := review.Compare(old, now)
	if err != nil {
		return err
	}
	if cmd.alone() {
		comparison.Shape(old, now)
	}
	switch cmd.Format {
	case "markdown":
		err = comparison.Markdown(c.raw)
	case "json":
		err = comparison.JSON(c.exact())
	default:
		err = comparison.Text(c.raw, c.style())
	}
	if err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	if !comparison.Same() {
		return fail(exitFailed, "", "the plans differ: %s", comparison.Count())
	}
	return nil
}

// alone reports whether csu finds the old plan itself.
func (cmd *diffCommand) alone() bool { return cmd.Against == "" && len(cmd.Plans) == 1 }

func (cmd *diffCommand) read(c *console) (old, now *plan.Plan, err error) {
	want := 2
	if cmd.Against != "" || cmd.alone() {
		want = 1
	}
	if len(cmd.Plans) != want {
		return nil, nil, fail(exitInput, "run csu plan diff OLD NEW, or csu plan diff --against REV PLAN", "compare plans: want %d, got %d", want, len(cmd.Plans))
	}
	if now, _, err = plan.ReadFile(cmd.Plans[want-1]); err != nil {
		return nil, nil, err
	}
	if cmd.alone() {
		old, name, why, err := beforeIt(cmd.Plans[0], now)
		if err == nil && cmd.Format == "text" {
			c.paragraph("Compared with %s, %s.", name, why)
		}
		return old, now, err
	}
	if cmd.Against == "" {
		old, _, err = plan.ReadFile(cmd.Plans[0])
		return old, now, err
	}
	name := cmd.Against + ":" + cmd.Plans[0]
	data, err := atRevision(cmd.Plans[0], cmd.Against)
	if err != nil {
		return nil, nil, err
	}
	old, err = plan.Decode(name, data)
	return old, now, err
}

// atRevision returns a file's bytes as they were at a Git revision.
func atRevision(file, revision string) ([]byte, error) {
	if strings.HasPrefix(revision, "-") {
		return nil, fail(exitInput, "", "compare with revision %q: not a revision", revision)
	}
	dir, base := filepath.Split(file)
	if dir == "" {
		dir = "."
	}
	git := exec.Command("git", "show", revision+":./"+base)
	git.Dir = dir
	data, err := git.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fail(exitInput, "fetch the revision, and check that it has the file; review a new plan with csu plan show",
			"compare %q with revision %q: git: %s", file, revision, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("compare %q with revision %q: %w", file, revision, err)
	}
	return data, nil
}

// style is how texts are written on this console: in colour on a terminal only,
// and not where NO_COLOR asks for none.
func (c *console) style() review.Terminal {
	f, isFile := c.raw.(*os.File)
	colour := isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return review.Terminal{Width: c.width, Colour: colour}
}
