package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/plan"
)

type compileCommand struct {
	Site    string `required:"" help:"The site: ${sites}." predictor:"site"`
	Type    string `required:"" help:"The upgrade type: full, incremental or recovery."`
	Upgrade string `help:"Read the request from this file instead of sites/SITE/upgrade.cue." placeholder:"FILE" predictor:"file"`
	Output  string `short:"o" help:"Write the plan to this file, or to standard output with - (default: plans/DATE-SITE-TYPE.json in the project)." placeholder:"FILE" predictor:"file"`
}

func (compileCommand) Help() string {
	return `Reads the site definition and the request in sites/SITE/upgrade.cue, and writes the plan. Needs neither network nor credentials. The same sources always give the same bytes.

Examples:

  csu plan compile --site summit --type incremental
  csu plan compile --site tucson-teststand --type full -o -`
}

func (cmd *compileCommand) Run(c *console) error {
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	p, warnings, err := compiler.Compile(compiler.Request{Root: root, Site: cmd.Site, Type: plan.Type(cmd.Type), Upgrade: cmd.Upgrade})
	if err != nil {
		return err
	}
	for _, w := range warnings {
		line(c.err, "warning: %s\nhint: %s", w, w.Remedy)
	}
	data, err := plan.Encode(p)
	if err != nil {
		return err
	}
	if cmd.Output == "-" {
		_, err := c.exact().Write(data)
		return err
	}
	name := cmd.Output
	if name == "" {
		name = filepath.Join(root, compiler.FileName(p))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return fail(exitInput, "give -o - to write to standard output", "write %q: not a regular file", name)
	}
	if err := keepsJournal(name, data); err != nil {
		return err
	}
	if err := plan.WriteFile(name, data, 0o644); err != nil {
		return err
	}
	digest, err := plan.Digest(p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s\n%s, %s, digest %s\n", shown(name), plan.Counted(len(p.Stages), "stage"), plan.Counted(count(p), "step"), digest)
	return err
}

// keepsJournal refuses to replace a plan that a run has begun with: its journal
// belongs to those bytes.
func keepsJournal(name string, data []byte) error {
	old, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if _, err := os.Stat(name + ".journal"); err == nil {
		return fail(exitRefused, "raise attempt in upgrade.cue, which gives the new plan its own name",
			"write plan %q: a run of this plan has begun: its journal %q belongs to the old plan", shown(name), filepath.Base(name)+".journal")
	}
	return nil
}

func count(p *plan.Plan) int {
	n := 0
	for range p.AllSteps() {
		n++
	}
	return n
}

// shown is a path as people type it.
func shown(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

type showCommand struct {
	Plan   string `arg:"" help:"The plan's file." placeholder:"PLAN"`
	Format string `enum:"text,markdown,html" default:"text" help:"text: an overview for the terminal; markdown: the complete runbook, for a pull request; html: a single page to browse."`
}

func (showCommand) Help() string {
	return `Examples:

  csu plan show plans/2026-11-24-summit-incremental.json | less
  csu plan show --format markdown plans/2026-11-24-summit-incremental.json > runbook.md
  csu plan show --format html plans/2026-11-24-summit-incremental.json > plan.html`
}

func (cmd *showCommand) Run(c *console) error {
	p, _, err := plan.ReadFile(cmd.Plan)
	if err != nil {
		return err
	}
	switch cmd.Format {
	case "markdown":
		return review.Markdown(c.raw, p)
	case "html":
		return review.HTML(c.raw, p)
	}
	on := c.style()
	on.Least = verify.LowerBound(p)
	return review.Text(c.raw, p, on)
}
