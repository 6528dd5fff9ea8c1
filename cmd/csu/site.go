package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
)

type siteCommands struct {
	Import importCommand `cmd:"" help:"Rewrite a site's inventory, cscs.cue, from a clone of Phalanx."`
	Drift  driftCommand  `cmd:"" help:"Compare a site's inventory with a clone of Phalanx."`
}

// phalanxFlags name a revision of Phalanx.
type phalanxFlags struct {
	Phalanx string `help:"A clone of lsst-sqre/phalanx, bare or not. Only commits count; csu never touches its work tree." placeholder:"DIR" predictor:"dir"`
	Rev     string `help:"The branch, tag or commit of Phalanx, such as origin/main (default: HEAD of the clone)." placeholder:"REV"`
}

func (f phalanxFlags) given() bool { return f.Phalanx != "" }

func (f phalanxFlags) phalanx() compiler.Phalanx {
	return compiler.Phalanx{Dir: f.Phalanx, Rev: f.Rev}
}

// alone refuses --rev without --phalanx.
func (f phalanxFlags) alone() error {
	if f.Rev != "" && !f.given() {
		return exit.Unusable("add --phalanx DIR, the folder of a clone of Phalanx", "--rev names a revision of Phalanx, but --phalanx is missing")
	}
	return nil
}

// required returns an error if there is no clone.
func (f phalanxFlags) required() error {
	if !f.given() {
		return exit.Unusable("clone https://github.com/lsst-sqre/phalanx and add --phalanx DIR", "--phalanx is missing")
	}
	return nil
}

type importCommand struct {
	Site string `required:"" help:"The site: ${sites}." predictor:"site"`
	phalanxFlags
}

func (importCommand) Help() string {
	return `Renders what Argo CD would apply to the site at that revision of Phalanx, and rewrites sites/SITE/cscs.cue from it: every CSC with its Job, labels, image, revision and state after the start. Prints what changes, by CSC. Needs no network: fetch the clone first. The same revision always gives the same bytes. If anything is wrong, nothing is written.

Examples:

  git -C ~/phalanx fetch
  csu site import --site summit --phalanx ~/phalanx --rev origin/main`
}

func (cmd *importCommand) Run(c *console) error {
	if err := cmd.required(); err != nil {
		return err
	}
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	now, err := compiler.ImportSite(context.Background(), root, cmd.Site, cmd.phalanx())
	if err != nil {
		return err
	}
	file := filepath.Join(root, now.File)
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the inventory: %w", err)
	}
	if string(old) != now.Text {
		if err := plan.WriteFile(file, []byte(now.Text), 0o644); err != nil {
			return err
		}
	}
	if now.Unread != nil {
		line(c.err, "warning: the inventory that was there cannot be compared: %s", lines(now.Unread.Error()))
	}
	if err := table(c.out, []string{"CSC", "", "before", "now"}, now.Differences); err != nil {
		return err
	}
	what := "rewritten"
	if string(old) == now.Text {
		what = "unchanged"
	}
	return line(c.out, "%s: %s, %s of Phalanx %s, %s", shown(file), what, countOf(now.CSCs, "CSC"), now.Commit, countOf(len(now.Differences), "difference"))
}

type driftCommand struct {
	Site string `required:"" help:"The site: ${sites}." predictor:"site"`
	phalanxFlags
}

func (driftCommand) Help() string {
	return `Compares sites/SITE/cscs.cue with what Argo CD would apply to the site at that revision of Phalanx: instances, images, revisions, states after the start, Jobs with their labels, and the resources that come with them. Needs no network. Exits with 1 and a table if something differs.

Examples:

  csu site drift --site summit --phalanx ~/phalanx --rev origin/main`
}

func (cmd *driftCommand) Run(c *console) error {
	if err := cmd.required(); err != nil {
		return err
	}
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	drift, err := compiler.DriftOf(context.Background(), root, cmd.Site, cmd.phalanx())
	if err != nil {
		return err
	}
	n := len(drift.Differences)
	if n == 0 {
		return line(c.out, "%s: no difference in %s from Phalanx %s", cmd.Site, countOf(drift.CSCs, "CSC"), drift.Commit)
	}
	head := []string{"CSC", "", fmt.Sprintf("%s (%.9s)", cmd.Site, drift.Site), fmt.Sprintf("Phalanx (%.9s)", drift.Commit.Hash)}
	if err := table(c.out, head, drift.Differences); err != nil {
		return err
	}
	return fail(exitFailed, "if that revision is deployed, run csu site import",
		"%s differs from Phalanx %s: %s", cmd.Site, drift.Commit, countOf(n, "difference"))
}

// table prints differences in columns; nothing if there are none.
func table(w io.Writer, head []string, differences []compiler.Difference) error {
	if len(differences) == 0 {
		return nil
	}
	rows := [][]string{head}
	for _, d := range differences {
		rows = append(rows, []string{d.CSC, d.What, d.Old, d.New})
	}
	return columns(w, rows)
}

// columns prints rows whose cells are aligned. All have as many cells as the first.
func columns(w io.Writer, rows [][]string) error {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
		}
		if err := line(w, "%s", strings.TrimRight(b.String(), " ")); err != nil {
			return fmt.Errorf("print the table: %w", err)
		}
	}
	return nil
}

// countOf returns a number with its noun.
func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
