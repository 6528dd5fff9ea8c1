package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	if err := columns(c.out, []string{"CSC", "", "before", "now"}, cells(now.Differences)); err != nil {
		return err
	}
	what := "rewritten"
	if string(old) == now.Text {
		what = "unchanged"
	}
	return line(c.out, "%s: %s, %s of Phalanx %s, %s", shown(file), what, plan.Counted(now.CSCs, "CSC"), now.Commit, plan.Counted(len(now.Differences), "difference"))
}
