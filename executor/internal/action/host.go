package action

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/remote"
)

// target returns the SSH target for an account on a host of the plan.
func target(a *Attempt, host, user string) (remote.Target, error) {
	row, ok := a.Plan.Host(host)
	if !ok {
		return remote.Target{}, fmt.Errorf("host %q is not in the plan's table", host)
	}
	account, ok := row.User(user)
	if !ok {
		return remote.Target{}, fmt.Errorf("host %q has no account %q in the plan's table", host, user)
	}
	return remote.Target{Host: row.Name, Address: row.Address, User: account.Name, Via: account.Via}, nil
}

// commandName returns the name of the attempt's detached command. It is the
// identity with its slashes, which a file name cannot contain, replaced by
// underscores. No part of an identity contains an underscore.
func commandName(identity string) string { return strings.ReplaceAll(identity, "/", "_") }

// oneLine joins the lines of a command's output.
func oneLine(output string) string {
	return strings.Join(strings.FieldsFunc(output, func(r rune) bool { return r == '\n' }), "; ")
}

// lastLines returns the last lines of a command's output, for a finding.
func lastLines(output string) string {
	const shown = 10
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if len(lines) > shown {
		lines = append([]string{"..."}, lines[len(lines)-shown:]...)
	}
	text := strings.Join(lines, "\n")
	if strings.TrimSpace(text) == "" {
		return "no output"
	}
	return "output:\n" + text
}
