package action

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	commandPause = 5 * time.Second // between two polls of a detached command
	checkLimit   = time.Minute     // for a check to pass after the commands
	// startLimit is how long after the start of its attempt a command may still
	// start if the answer was lost, since a login may be slow or sudo may wait for
	// its directory. After that csu takes the command's name, so that it can no
	// longer start.
	startLimit = time.Minute
)

// sshCommand runs commands on a host, detached under a name made from the
// attempt's identity. Package remote explains the files that they leave in ~/.csu.
type sshCommand struct {
	d *plan.SSH
	// of is the identity of the attempt that has started the commands; "" for the one
	// that is performed.
	of string
}

// name returns the commands' name on the host.
func (s sshCommand) name(a *Attempt) string { return commandName(cmp.Or(s.of, a.Identity)) }

// Traits implements [Performer].
func (sshCommand) Traits() Traits { return Traits{Identified: true} }

// Prepare makes sure that the operator can log in to the host, and reads its boot id.
func (s sshCommand) Prepare(ctx context.Context, a *Attempt) (any, error) {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return nil, err
	}
	return bootEvidence(ctx, a, t)
}

// sshNote is recorded when the host has confirmed that the command was started.
type sshNote struct {
	Again   string `json:"again,omitempty"`   // the name under which a build is about to begin again
	Started string `json:"started,omitempty"` // the command's name on the host
}

// confirmed reports whether the host has confirmed the start of the commands.
func (s sshCommand) confirmed(a *Attempt) bool {
	return s.of != "" || slices.ContainsFunc(a.Notes, func(raw json.RawMessage) bool {
		var n sshNote
		return json.Unmarshal(raw, &n) == nil && n.Started != ""
	})
}

// script runs each command in its own shell, since the commands are independent,
// and stops at the first that fails. It does not rely on set -e, which ignores the
// failing cd in "cd folder && make".
func (s sshCommand) script() string {
	var b strings.Builder
	for _, c := range s.d.Commands {
		fmt.Fprintf(&b, "( %s\n) || exit $?\n", c)
	}
	return b.String()
}

// checkSilent checks that the CSCs that must be silent are silent before anything
// is run. If ok is false, the attempt ends with finding.
func (s sshCommand) checkSilent(ctx context.Context, a *Attempt) (finding Finding, ok bool) {
	if len(s.d.Silent) == 0 {
		return Finding{}, true
	}
	found, err := observe(ctx, a, s.d.Silent)
	if err != nil {
		return Found(NotDone, "nothing was run: cannot determine whether %s is silent: %v", plan.CSCList(s.d.Silent), err), false
	}
	for _, p := range found {
		switch {
		case p.presence == efd.Speaking:
			return Found(Done, "nothing was run: %s is already running, in %s, and a second daemon must not be started", p.row.CSC, p.sight.State), false
		case !p.known():
			return Found(NotDone, "nothing was run: cannot determine whether %s is silent, since no other CSC is heard that would show that the EFD is ingesting data; check on %s whether it is running, and start it by hand if it is not", p.row.CSC, s.d.Host), false
		}
	}
	return Finding{}, true
}

func (s sshCommand) Perform(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return Found(NotDone, "nothing was run: %v", err)
	}
	if finding, ok := s.checkSilent(ctx, a); !ok {
		return finding
	}
	return s.run(ctx, a, a.limit(), t)
}

// run starts the commands and waits until they have ended; of a build, until it has begun.
func (s sshCommand) run(ctx context.Context, a *Attempt, limit *clock.Limit, t remote.Target) Finding {
	err := a.Systems.Remote.Start(ctx, t, s.name(a), s.script())
	var lost *remote.LostError
	switch {
	case err == nil, errors.Is(err, remote.ErrExists): // a command of this name is ours
		if err := a.Note(sshNote{Started: s.name(a)}); err != nil {
			return Found(Unknown, "the commands were started on %s: %v", t, err)
		}
		return s.wait(ctx, a, limit, t, true)
	case errors.As(err, &lost):
		a.Progress("%v; checking whether the commands were started", err)
		return s.wait(ctx, a, limit, t, false)
	}
	return Found(NotDone, "nothing was run: %v", err)
}

// wait waits until the command has ended, then runs the check. started means that
// the host has confirmed the start.
func (s sshCommand) wait(ctx context.Context, a *Attempt, limit *clock.Limit, t remote.Target, started bool) Finding {
	report := a.reporter()
	finding := a.silent()
	var blind error
	err := limit.Poll(ctx, commandPause, func(ctx context.Context) (bool, error) {
		status, err := s.find(ctx, a, t, started)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if blind = err; blind != nil {
			// The host may be back in a moment, and the command keeps running.
			report.say(blind.Error())
			return false, nil
		}
		if status.Running {
			report.say(lastLine(status.Output))
		}
		finding = s.judge(a, t, status, started)
		return finding.Verdict != Running, nil
	})
	switch {
	case err == nil && finding.Verdict == Done:
		return s.check(ctx, a, limit, t, finding)
	case err == nil:
		return finding
	case blind != nil:
		return unfinished(err, Found(Unknown, "cannot determine what became of the commands on %s: %v", t, blind))
	}
	return unfinished(err, finding)
}

// find returns the status of the detached command. If the command has not started
// before the deadline, find prevents it from starting: what csu reports as not done
// must not happen later, during the next attempt.
func (s sshCommand) find(ctx context.Context, a *Attempt, t remote.Target, started bool) (remote.Status, error) {
	status, err := a.Systems.Remote.Look(ctx, t, s.name(a))
	if err != nil || status.Known || started || a.Systems.Clock.Since(a.Started) < startLimit {
		return status, err
	}
	return a.Systems.Remote.Forbid(ctx, t, s.name(a))
}

func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}

// judge turns the status of the detached command into a finding. Done does not
// cover the check.
func (s sshCommand) judge(a *Attempt, t remote.Target, status remote.Status, started bool) Finding {
	switch {
	case !status.Known && started:
		return Found(Unknown, "the commands were started on %s, but their files in ~/.csu/%s are gone: cannot determine how far they got", t, s.name(a))
	case !status.Known && a.Systems.Clock.Since(a.Started) < startLimit:
		return Found(Running, "the commands have not started on %s yet", t)
	case !status.Known:
		return Found(Unknown, "the commands have not started on %s, but may still do so: csu cannot create ~/.csu/%s there to prevent that", t, s.name(a))
	case status.NotStarted:
		return Found(NotDone, "the commands were not started on %s", t)
	case s.d.Purpose == plan.Build: // what becomes of it is for the step that awaits it
		return Found(Done, "the build of %s has begun on %s, as ~/.csu/%s; it goes on by itself", s.d.Service, t, s.name(a))
	case status.Running:
		return Found(Running, "the commands are running on %s; %s", t, lastLines(status.Output))
	case status.Gone && s.d.Purpose == plan.AwaitBuild:
		return lostBuild(t, status)
	case status.Gone:
		return Found(Unknown, "the commands were started on %s and then killed, or the host was rebooted: cannot determine how far they got; %s", t, lastLines(status.Output))
	case status.ExitStatus != 0:
		return Found(Failed, "the commands on %s ended with exit status %d; %s", t, status.ExitStatus, lastLines(status.Output))
	}
	return Found(Done, "the commands on %s ended with exit status 0", t)
}

// check runs the step's check, if it has one, until it passes. found says that the commands
// are done.
func (s sshCommand) check(ctx context.Context, a *Attempt, limit *clock.Limit, t remote.Target, found Finding) Finding {
	if s.d.Check == "" {
		return found
	}
	limit.Extend(checkLimit)
	var failed *remote.ExitError
	var other error
	report := a.reporter()
	err := limit.PollFor(ctx, commandPause, checkLimit, func(ctx context.Context) (bool, error) {
		_, err := a.Systems.Remote.Run(ctx, t, s.d.Check)
		if err == nil {
			return true, nil
		}
		if ctx.Err() != nil && other != nil {
			return false, ctx.Err() // cut short: the last result counts
		}
		failed, other = nil, err
		if errors.As(err, &failed) {
			report.say(fmt.Sprintf("the check still fails: %v", failed))
		}
		return false, ctx.Err()
	})
	switch {
	case err == nil:
		return Found(Done, "the commands on %s ended with exit status 0, and the check passed", t)
	case failed != nil:
		return unfinished(err, Found(Failed, "the commands on %s ended with exit status 0, but the check %q failed: %v", t, s.d.Check, failed))
	}
	return unfinished(err, Found(Unknown, "the commands on %s ended with exit status 0, but the check %q could not be run: %v", t, s.d.Check, other))
}

func (s sshCommand) Probe(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	var finding Finding
	err = a.Systems.Clock.Poll(ctx, commandPause, 2*startLimit, func(ctx context.Context) (bool, error) {
		status, err := s.find(ctx, a, t, s.confirmed(a))
		if err != nil {
			return false, err
		}
		finding = s.judge(a, t, status, s.confirmed(a))
		// Wait for a command that may still start.
		return status.Known || finding.Verdict != Running, nil
	})
	switch {
	case err != nil:
		return Found(Unknown, "cannot determine what became of the commands: %v", err)
	case finding.Verdict == Done:
		return s.check(ctx, a, a.limit(), t, finding)
	}
	return finding
}

func (s sshCommand) Await(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	return s.wait(ctx, a, a.limit(), t, s.confirmed(a))
}

// Look implements [Performer].
func (s sshCommand) Look(ctx context.Context, a *Attempt) Finding { return lookAtStates(ctx, a) }

// Reading returns the commands, and whether the check passes now.
func (s sshCommand) Reading(ctx context.Context, a *Attempt) (string, error) {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("on %s:\n%s", t, strings.Join(s.d.Commands, "\n"))
	if s.d.Check == "" {
		return text, nil
	}
	_, err = a.Systems.Remote.Run(ctx, t, s.d.Check)
	var failed *remote.ExitError
	switch {
	case err == nil:
		return text + fmt.Sprintf("\nthe check %q already passes", s.d.Check), nil
	case errors.As(err, &failed):
		return text + fmt.Sprintf("\nthe check %q does not pass yet", s.d.Check), nil
	}
	return text, err
}
