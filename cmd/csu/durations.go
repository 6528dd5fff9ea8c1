package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/timeline"
)

type durationsCommand struct {
	Site     string   `required:"" help:"The site: ${sites}." predictor:"site"`
	Output   string   `short:"o" help:"Write to this file, or to standard output with - (default: sites/SITE/durations.cue in the project)." placeholder:"FILE" predictor:"file"`
	Journals []string `arg:"" name:"journal" help:"Journals, each next to its plan." placeholder:"JOURNAL" predictor:"file"`
}

func (durationsCommand) Help() string {
	return `Learns from the journals of a site how long each class of actions takes, and writes it as CUE, to be reviewed like any other file of the site. Of each class the last 20 attempts count that csu saw done without a doubt; time in which people were waited for does not. Plans that are compiled afterwards have these times, and a range for the whole. Rehearsals and other sites' journals are left out.

Example:

  csu durations --site summit plans/*.journal`
}

func (cmd *durationsCommand) Run(c *console) error {
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	sites, err := compiler.Sites(root)
	if err != nil {
		return err
	}
	if !slices.Contains(sites, cmd.Site) {
		return fail(exitInput, "sites are "+strings.Join(sites, ", "), "no site %q", cmd.Site)
	}
	var samples []timeline.Sample
	used := 0
	for _, name := range cmd.Journals {
		l, why, err := cmd.read(name)
		switch {
		case err != nil:
			return err
		case why != "":
			line(c.err, "left out: %s: %s", shown(name), why)
			continue
		}
		used++
		samples = append(samples, l.Samples()...)
	}
	learned, few := timeline.Learn(samples)
	if len(learned) == 0 {
		return fail(exitFailed, "give the journals of more runs", "learn durations of %q from %s: no class of actions has enough good attempts", cmd.Site, plan.Counted(used, "journal"))
	}
	for _, class := range few {
		line(c.err, "too few attempts: %s: plans keep its usual time", class)
	}
	text := []byte(timeline.CUE(learned))
	if cmd.Output == "-" {
		_, err := c.exact().Write(text)
		return err
	}
	name := cmd.Output
	if name == "" {
		name = filepath.Join(root, "sites", cmd.Site, "durations.cue")
	}
	if err := plan.WriteFile(name, text, 0o644); err != nil {
		return err
	}
	return line(c.out, "%s: %s from %s; review it, and compile plans again", shown(name), plan.Counted(len(learned), "class"), plan.Counted(used, "journal"))
}

// read returns the log of a journal, or why it does not count.
func (cmd *durationsCommand) read(name string) (l *timeline.Log, why string, err error) {
	file, ok := strings.CutSuffix(name, ".journal")
	if !ok {
		return nil, "", fail(exitInput, "give files whose names end with .journal, next to their plans", "learn from %q: not a journal", name)
	}
	p, _, err := plan.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", fail(exitInput, "put the plan next to its journal", "learn from %q: %w", name, err)
	}
	if err != nil {
		return nil, "its plan cannot be read by this csu: " + err.Error(), nil
	}
	if p.Site != cmd.Site {
		return nil, "it is a journal of " + p.Site, nil
	}
	digest, err := plan.Digest(p)
	if err != nil {
		return nil, "", err
	}
	if l, err = timeline.Read(journal.Disk, name, p, digest); err != nil {
		return nil, "", fmt.Errorf("learn from %q: %w", shown(name), err)
	}
	if l.State().Run.SiteMap != "" {
		return nil, "it is a rehearsal", nil
	}
	return l, "", nil
}
