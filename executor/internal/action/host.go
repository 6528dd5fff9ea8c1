package action

import (
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/remote"
)

// target finds a host and an account of it in the plan's table.
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

// commandName returns the name of the attempt's detached command: the identity,
// in which only the slashes have no place in a file's name. No part of an
// identity has an underscore.
func commandName(identity string) string { return strings.ReplaceAll(identity, "/", "_") }

// oneLine joins the lines of an output.
func oneLine(output string) string {
	return strings.Join(strings.FieldsFunc(output, func(r rune) bool { return r == '\n' }), "; ")
}

// lastLines returns the end of a command's output for a finding.
func lastLines(output string) string {
	const shown = 10
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if len(lines) > shown {
		lines = append([]string{"..."}, lines[len(lines)-shown:]...)
	}
	text := strings.Join(lines, "\n")
	if strings.TrimSpace(text) == "" {
		return "it printed nothing"
	}
	return "its output ends:\n" + text
}
