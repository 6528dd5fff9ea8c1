package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

// readAside asks which CSCs are set aside, why, and who was told. It proposes those that
// csu does not see, and their principals. It reports whether the answer is complete.
func (s *screen) readAside(ctx context.Context, q operator.Question, a *operator.Answer) (complete bool, err error) {
	if a.CSCs, err = s.readCSCs(ctx, q); err != nil || len(a.CSCs) == 0 {
		return false, err
	}
	if a.Reason == "" {
		if a.Reason, err = s.readReason(ctx, q, operator.SetAside); err != nil || a.Reason == "" {
			return false, err
		}
	}
	var roles []string
	for _, c := range q.CSCs {
		if slices.Contains(a.CSCs, c.Name) && c.Principal != "" && !slices.Contains(roles, c.Principal) {
			roles = append(roles, c.Principal)
		}
	}
	a.Told, err = s.readProposed(ctx, q, "who was told?", strings.Join(roles, ", "))
	return a.Told != "", err
}

// readCSCs asks for names of CSCs until each is one of the question's. It returns none
// if nothing is typed and nothing proposed.
func (s *screen) readCSCs(ctx context.Context, q operator.Question) ([]string, error) {
	var missing, all []string
	for _, c := range q.CSCs {
		all = append(all, c.Name)
		if c.Missing {
			missing = append(missing, c.Name)
		}
	}
	for {
		line, err := s.readProposed(ctx, q, "which CSCs?", strings.Join(missing, " "))
		if err != nil || line == "" {
			return nil, err
		}
		names, unknown := namedIn(line, all)
		if len(unknown) == 0 && len(names) > 0 {
			return names, nil
		}
		s.say("%q is not a CSC of this step. Its CSCs: %s", strings.Join(unknown, " "), strings.Join(abridged(all, 12), ", "))
	}
}

// namedIn returns the CSCs that a line names, which may leave out an index 0, and the
// words that name none.
func namedIn(line string, all []string) (names, unknown []string) {
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		i := slices.IndexFunc(all, func(c string) bool { return c == word || c == word+":0" })
		switch {
		case i < 0:
			unknown = append(unknown, word)
		case !slices.Contains(names, all[i]):
			names = append(names, all[i])
		}
	}
	return names, unknown
}

// readProposed reads a line, for which Enter takes what is proposed.
func (s *screen) readProposed(ctx context.Context, q operator.Question, what, proposed string) (string, error) {
	if proposed != "" {
		what += fmt.Sprintf(" (Enter: %s)", proposed)
	}
	line, err := s.readLine(ctx, func(width int) string { return promptAbout(q, what, width) })
	if line = strings.TrimSpace(line); line == "" {
		line = proposed
	}
	return line, err
}

// exceptions prints what a run leaves in non-working order, ready to post.
func (c *console) exceptions(s *state.State) {
	c.paragraph("Left out, or not in working order; ready to post to %s:", s.Plan.Targets.Slack.Channel)
	for _, line := range report.Exceptions(s) {
		c.paragraph("  %s", line)
	}
	if stopped := report.Stopped(s); len(stopped) > 0 {
		c.paragraph("These services stay stopped until they are started by hand: %s", strings.Join(stopped, ", "))
	}
}
