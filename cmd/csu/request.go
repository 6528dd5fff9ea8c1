package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
)

type requestCommand struct {
	Site    string `required:"" help:"The site: ${sites}." predictor:"site"`
	Phalanx string `required:"" help:"A clone of lsst-sqre/phalanx, bare or not. Only commits count; csu never touches its work tree." placeholder:"DIR" predictor:"dir"`
	From    string `help:"The commit that is deployed (default: that of the site's inventory)." placeholder:"REV"`
	To      string `required:"" help:"The commit that will be deployed, such as origin/main." placeholder:"REV"`
	Date    string `help:"The day of the deployment at the site (default: today)." placeholder:"YYYY-MM-DD"`
	Reason  string `help:"The reason for the upgrade (default: the commits, and the subject of the last one)." placeholder:"TEXT"`
}

func (requestCommand) Help() string {
	return `Compares what Argo CD would apply to the site at both commits, and writes the request for that upgrade into sites/SITE/upgrade.cue, in the place of the one of its type. Prints every CSC and application that changes with its class, why the range needs a full upgrade if it does, and what it holds beside the control system. Needs no network: fetch the clone first. Phalanx does not say whether schemas stay compatible, nor which hosts must be updated: add that to the request.

Examples:

  git -C ~/phalanx fetch
  csu plan request --site summit --phalanx ~/phalanx --to origin/main --date 2026-11-24
  csu plan compile --site summit --type incremental`
}

func (cmd *requestCommand) Run(c *console) error {
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	if cmd.Date == "" {
		cmd.Date = time.Now().Format(time.DateOnly)
	} else if _, err := time.Parse(time.DateOnly, cmd.Date); err != nil {
		return exit.Unusable("write it as in 2026-11-24", "--date %q is not a date", cmd.Date)
	}
	d, err := compiler.DeriveRequest(context.Background(), root, cmd.Site, compiler.Range{Dir: cmd.Phalanx, From: cmd.From, To: cmd.To}, cmd.Date, cmd.Reason)
	if err != nil {
		return err
	}
	line(c.out, "From %s", d.From)
	line(c.out, "to   %s\n", d.To)
	var rows [][]string
	for _, x := range d.Changes {
		rows = append(rows, []string{x.Subject, string(x.Class), x.Old, x.New})
	}
	if len(d.Changes) > 0 {
		if err := columns(c.out, []string{"CSC or application", "class", "before", "after"}, rows); err != nil {
			return err
		}
		line(c.out, "")
	}
	cmd.say(c, "Needs a full upgrade:", d.Full)
	cmd.say(c, "Not in the request:", d.Left)
	cmd.say(c, "Beside the control system:", d.Beside)
	if d.Text == "" {
		return line(c.out, "%s: nothing of the control system changes; no request is written", cmd.Site)
	}
	file := filepath.Join(root, d.File)
	if len(d.Full) > 0 && d.Type != plan.Full {
		return fail(exitFailed, "plan a full upgrade, or take these changes out of the range",
			"%s is not written: the range needs a full upgrade", shown(file))
	}
	old, err := os.ReadFile(file)
	if err == nil && string(old) == d.Text {
		return line(c.out, "%s: unchanged, it has this %s request", shown(file), d.Type)
	}
	if err := plan.WriteFile(file, []byte(d.Text), 0o644); err != nil {
		return err
	}
	return line(c.out, "%s: %s request for %s; next: csu plan compile --site %s --type %s", shown(file), d.Type, cmd.Date, cmd.Site, d.Type)
}

// say prints a list below its heading.
func (cmd *requestCommand) say(c *console, heading string, list []string) {
	if len(list) == 0 {
		return
	}
	line(c.out, "%s", heading)
	for _, one := range list {
		line(c.out, "- %s", one)
	}
	line(c.out, "")
}
