package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

type driftCommand struct {
	Site string `required:"" help:"The site: ${sites}." predictor:"site"`
	phalanxFlags
	Cluster bool   `help:"Also show what the site's cluster runs now (read-only), in a third column."`
	SiteMap string `help:"With --cluster: look at the simulated site of this site map." placeholder:"FILE" predictor:"file"`
}

func (driftCommand) Help() string {
	return `Compares sites/SITE/cscs.cue with what Argo CD would apply to the site at that revision of Phalanx: instances, images, revisions, states after the start, Jobs with their labels, and the resources that come with them. Needs no network. Exits with 1 and a table if something differs.

With --cluster it also compares Phalanx with the images that run now. It only reads Jobs and pods, with your kubeconfig.

Examples:

  csu site drift --site summit --phalanx ~/phalanx --rev origin/main
  csu site drift --site summit --phalanx ~/phalanx --rev origin/main --cluster`
}

func (cmd *driftCommand) Run(c *console) error {
	if err := cmd.required(); err != nil {
		return err
	}
	if cmd.SiteMap != "" && !cmd.Cluster {
		return fail(exitInput, "add --cluster", "--site-map names a simulated site, but --cluster is missing")
	}
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	drift, err := compiler.DriftOf(context.Background(), root, cmd.Site, cmd.phalanx())
	if err != nil {
		return err
	}
	head := []string{"CSC", "", fmt.Sprintf("%s (%.9s)", cmd.Site, drift.Site), fmt.Sprintf("Phalanx (%.9s)", drift.Commit.Hash)}
	rows := cells(drift.Differences)
	with := ""
	if cmd.Cluster {
		runs, err := cmd.running(context.Background(), drift)
		if err != nil {
			return err
		}
		head, rows = append(head, "runs now"), thirdColumn(drift, rows, runs)
		with = ", nor in the images that run"
	}
	if len(rows) == 0 {
		return line(c.out, "%s: no difference in %s from Phalanx %s%s", cmd.Site, plan.Counted(drift.CSCs, "CSC"), drift.Commit, with)
	}
	if err := columns(c.out, head, rows); err != nil {
		return err
	}
	return fail(exitFailed, "if that revision is deployed, run csu site import",
		"%s differs from Phalanx %s: %s", cmd.Site, drift.Commit, plan.Counted(len(rows), "difference"))
}

// running returns what runs of each Job, or why it does not run.
func (cmd *driftCommand) running(ctx context.Context, drift *compiler.Drift) (map[compiler.Job]string, error) {
	var m *sitemap.Map
	if cmd.SiteMap != "" {
		var err error
		if m, err = sitemap.Read(cmd.SiteMap); err != nil {
			return nil, err
		}
	}
	clients, err := systems.ConnectCluster(&plan.Plan{Targets: drift.Targets}, m)
	if err != nil {
		return nil, err
	}
	in := map[string][]compiler.Job{}
	for _, j := range drift.Jobs {
		in[j.Namespace] = append(in[j.Namespace], j)
	}
	runs := map[compiler.Job]string{}
	for namespace, jobs := range in {
		names := make([]string, len(jobs))
		for i, j := range jobs {
			names[i] = j.Name
		}
		found, err := clients.Cluster.JobImages(ctx, namespace, names)
		if err != nil {
			return nil, err
		}
		for i, j := range jobs {
			runs[j] = strings.Join(found[i].Images, ", ")
			switch {
			case !found[i].Running:
				runs[j] = found[i].Why
			case slices.Contains(found[i].Images, j.Phalanx):
				runs[j] = j.Phalanx // a container's status may have it by another name, too
			}
		}
	}
	return runs, nil
}

// thirdColumn adds what runs to the rows about a CSC's image, and a row for each Job that
// runs another image than Phalanx has.
func thirdColumn(drift *compiler.Drift, rows [][]string, runs map[compiler.Job]string) [][]string {
	about := []string{"instance", "image", "revision"}
	shown := map[string]bool{}
	for i, row := range rows {
		var now []string
		for _, j := range drift.Jobs {
			if j.CSC == row[0] && slices.Contains(about, row[1]) {
				now = append(now, short(runs[j]))
				shown[j.CSC] = true
			}
		}
		rows[i] = append(row, strings.Join(slices.Compact(now), "; "))
	}
	for _, j := range drift.Jobs {
		if runs[j] != j.Phalanx && j.Phalanx != "" && !shown[j.CSC] {
			rows = append(rows, []string{j.CSC, "runs", short(j.Site), short(j.Phalanx), short(runs[j])})
		}
	}
	return rows
}

// short returns an image without its registry; any other text as it is.
func short(image string) string {
	if _, name, ok := strings.Cut(image, "/"); ok && !strings.Contains(image, " ") {
		return name
	}
	return image
}

// cells returns differences as rows of a table.
func cells(differences []compiler.Difference) [][]string {
	var rows [][]string
	for _, d := range differences {
		rows = append(rows, []string{d.CSC, d.What, d.Old, d.New})
	}
	return rows
}

// columns prints a table with its head; nothing if it has no rows.
func columns(w io.Writer, head []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	rows = append([][]string{head}, rows...)
	width := make([]int, len(head))
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
			return fmt.Errorf("print the differences: %w", err)
		}
	}
	return nil
}
