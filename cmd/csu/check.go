package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/plan"
)

type checkCommand struct {
	Plan  string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Rules bool   `help:"Check only the rules, not the sources: for plans of past upgrades."`
	phalanxFlags
}

func (checkCommand) Help() string {
	return `Checks that the plan follows every rule for plans and, without --rules, that the sources still compile to exactly these bytes. If they do not, it shows the differences as csu plan diff does, and where each differing value is set in the sources. With --phalanx it also compares every image, Job, label, state and resource in the plan with what that revision of Phalanx deploys. Needs no network. Exits with 1 if a check fails.

Examples:

  csu plan check plans/2026-11-24-summit-incremental.json
  csu plan check plans/2026-11-24-summit-incremental.json --phalanx ~/phalanx --rev origin/tickets/OSW-2465
  csu plan check --rules plans/2025-06-03-summit-full.json`
}

func (cmd *checkCommand) Run(c *console) error {
	p, data, err := plan.ReadFile(cmd.Plan)
	if err != nil {
		return err
	}
	if violations := verify.Check(p); len(violations) > 0 {
		for _, v := range violations {
			line(c.err, "%s: %s\n    remedy: %s", cmd.Plan, v, v.Remedy)
		}
		return fail(exitFailed, "", "plan %q breaks the rules in %s", cmd.Plan, plan.Counted(len(violations), "place"))
	}
	deployed, err := cmd.rendering(c, p)
	if err != nil {
		return err
	}
	if cmd.Rules {
		_, err := fmt.Fprintf(c.out, "%s: follows the rules%s\n", cmd.Plan, deployed)
		return err
	}
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	now, from, err := compiler.Trace(compiler.Request{Root: root, Site: p.Site, Type: p.Type})
	if err != nil {
		return fmt.Errorf("compile the sources: %w", err)
	}
	want, err := plan.Encode(now)
	if err != nil {
		return err
	}
	if bytes.Equal(want, data) {
		_, err = fmt.Fprintf(c.out, "%s: follows the rules%s, and the sources compile to it\n", cmd.Plan, deployed)
		return err
	}
	comparison, err := review.Compare(p, now)
	if err != nil {
		return err
	}
	if err := comparison.Text(c.raw, c.style()); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	if err := writeOrigins(c.out, comparison, from); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return fail(exitFailed, "compile it again and review the changes; check a plan of a past upgrade with --rules",
		"plan %q: the sources now compile to a different plan: %s", cmd.Plan, comparison.Count())
}

// rendering compares the plan with Phalanx where a clone is given, and returns what the
// answer says about it.
func (cmd *checkCommand) rendering(c *console, p *plan.Plan) (string, error) {
	if !cmd.given() {
		return "", cmd.alone()
	}
	root, err := c.findRoot()
	if err != nil {
		return "", err
	}
	commit, findings, err := compiler.CheckRendering(context.Background(), root, p, cmd.phalanx())
	if err != nil {
		return "", err
	}
	for _, f := range findings {
		line(c.err, "%s: %s", cmd.Plan, f)
	}
	if len(findings) > 0 {
		return "", fail(exitFailed, "if the plan is for another revision, give it with --rev; if Phalanx has moved on, run csu site import, and compile the plan again",
			"plan %q is not what Phalanx deploys at %s: %s", cmd.Plan, commit, plan.Counted(len(findings), "finding"))
	}
	return fmt.Sprintf(", is what Phalanx deploys at %.9s", commit.Hash), nil
}

// writeOrigins says where in the sources the values that differ are written, each
// place with all that comes from it.
func writeOrigins(w io.Writer, comparison *review.Comparison, from *compiler.Provenance) error {
	var order []string
	what := map[string][]string{}
	for _, ch := range comparison.Changes {
		name := ch.Subject
		if ch.Field != "" {
			name += ", " + ch.Field
		}
		for _, place := range from.Of(ch.Subject, ch.Field, append([]string{ch.New}, ch.Come...)...) {
			if what[place] == nil {
				order = append(order, place)
			}
			what[place] = append(what[place], name)
		}
	}
	if len(order) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("\nIn the sources:\n")
	for _, place := range order {
		const most = 3
		names, more := what[place], ""
		if len(names) > most {
			more = fmt.Sprintf("; and %d more", len(names)-most)
			names = names[:most]
		}
		fmt.Fprintf(&b, "  %s: %s%s\n", place, strings.Join(names, "; "), more)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
