package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	commandPause = 5 * time.Second // between two looks at a detached command
	checkLimit   = time.Minute     // for a check to come to 0 after the commands
	// startLimit is how long after its attempt has begun a command is given to
	// come to be started, where the answer to that was lost: a slow login, a
	// sudo that waits for its directory. Then its name is taken, so that it
	// can't be started any more.
	startLimit = time.Minute
)

// sshCommand runs commands on a host, detached under a name made from the
// attempt's identity. What they leave in ~/.csu stays on the host, as package
// remote says.
type sshCommand struct{ d *plan.SSH }

// Traits implements [Performer].
func (sshCommand) Traits() Traits { return Traits{Identified: true} }

// Prepare makes sure that the host lets the operator in, and reads its boot id.
func (s sshCommand) Prepare(ctx context.Context, a *Attempt) (any, error) {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return nil, err
	}
	return bootEvidence(ctx, a, t)
}

// sshNote is recorded when the host has said that the command is started.
type sshNote struct {
	Started string `json:"started"` // its name there
}

// script runs each command in a shell of its own, since each stands for itself,
// and ends with the first that fails. It does not rely on set -e, which lets
// "cd there && make" pass where there is no such folder.
func (s sshCommand) script() string {
	var b strings.Builder
	for _, c := range s.d.Commands {
		fmt.Fprintf(&b, "( %s\n) || exit $?\n", c)
	}
	return b.String()
}

// silent looks whether a CSC speaks that must be silent before anything is run.
// Its finding stands where ok is false.
func (s sshCommand) silent(ctx context.Context, a *Attempt) (finding Finding, ok bool) {
	if len(s.d.Silent) == 0 {
		return Finding{}, true
	}
	found, err := places(ctx, a, s.d.Silent)
	if err != nil {
		return Found(NotDone, "nothing was run, since it can't be told whether %s is silent: %v", plan.CSCList(s.d.Silent), err), false
	}
	for _, p := range found {
		switch {
		case p.presence == efd.Speaking:
			return Found(Done, "nothing was run: %s speaks, in %s, and a second daemon must not start beside it", p.row.CSC, p.sight.State), false
		case !p.known():
			return Found(NotDone, "nothing was run, since it can't be told whether %s is silent: no other CSC is heard that would show that the EFD takes data in. Look on %s whether it runs, and start it by hand if it does not", p.row.CSC, s.d.Host), false
		}
	}
	return Finding{}, true
}

func (s sshCommand) Perform(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return Found(NotDone, "nothing was run: %v", err)
	}
	if finding, ok := s.silent(ctx, a); !ok {
		return finding
	}
	err = a.Systems.Remote.Start(ctx, t, commandName(a.Identity), s.script())
	var lost *remote.LostError
	switch {
	case err == nil, errors.Is(err, remote.ErrExists): // what has this name is ours
		if err := a.Note(sshNote{commandName(a.Identity)}); err != nil {
			return Found(Unknown, "the commands were started on %s: %v", t, err)
		}
		return s.wait(ctx, a, t, true)
	case errors.As(err, &lost):
		a.Progress("%v; csu looks whether it runs", err)
		return s.wait(ctx, a, t, false)
	}
	return Found(NotDone, "nothing was run: %v", err)
}

// wait follows the command until it has ended, and then sees to the check.
// started says that the host has confirmed the start.
func (s sshCommand) wait(ctx context.Context, a *Attempt, t remote.Target, started bool) Finding {
	left, report := a.patience(), a.reporter()
	var finding Finding
	var status remote.Status
	var blind error
	err := left.poll(ctx, commandPause, func(ctx context.Context) (bool, error) {
		status, blind = s.look(ctx, a, t, started)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if blind != nil {
			// The host may be back in a moment, and the command goes on meanwhile.
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
		return s.check(ctx, a, t, left)
	case err == nil:
		return finding
	case blind != nil:
		return ended(err, Found(Unknown, "what became of the commands on %s can't be seen: %v", t, blind))
	}
	return ended(err, finding)
}

// look finds the detached command. One that has not come to be started in its
// time is kept from it: what is taken for not done must not happen later, beside
// the next attempt.
func (s sshCommand) look(ctx context.Context, a *Attempt, t remote.Target, started bool) (remote.Status, error) {
	status, err := a.Systems.Remote.Look(ctx, t, commandName(a.Identity))
	if err != nil || status.Known || started || a.Systems.Clock.Since(a.Started) < startLimit {
		return status, err
	}
	return a.Systems.Remote.Forbid(ctx, t, commandName(a.Identity))
}

func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}

// judge tells what the state of the detached command means; Done is without the
// check.
func (s sshCommand) judge(a *Attempt, t remote.Target, status remote.Status, started bool) Finding {
	switch {
	case !status.Known && started:
		return Found(Unknown, "the commands were started on %s, and what they left in ~/.csu/%s is not there any more: how far they came is not known", t, commandName(a.Identity))
	case !status.Known && a.Systems.Clock.Since(a.Started) < startLimit:
		return Found(Running, "the commands have not been begun on %s so far", t)
	case !status.Known:
		return Found(Unknown, "the commands were not begun on %s so far, and it can't be made sure that they never will: the folder ~/.csu/%s can't be made there", t, commandName(a.Identity))
	case status.NotStarted:
		return Found(NotDone, "the commands were not begun on %s", t)
	case status.Running:
		return Found(Running, "the commands run on %s; %s", t, lastLines(status.Output))
	case status.Gone:
		return Found(Unknown, "the commands were begun on %s and then killed, or the host was rebooted: how far they came is not known; %s", t, lastLines(status.Output))
	case status.ExitStatus != 0:
		return Found(Failed, "the commands on %s ended with exit status %d; %s", t, status.ExitStatus, lastLines(status.Output))
	}
	return Found(Done, "the commands on %s ended with exit status 0", t)
}

// check runs the step's check until it comes to 0.
func (s sshCommand) check(ctx context.Context, a *Attempt, t remote.Target, left *patience) Finding {
	if s.d.Check == "" {
		return Found(Done, "the commands on %s ended with exit status 0", t)
	}
	left.left = max(left.left, checkLimit)
	var failed *remote.ExitError
	var other error
	report := a.reporter()
	err := left.within(ctx, commandPause, checkLimit, func(ctx context.Context) (bool, error) {
		_, err := a.Systems.Remote.Run(ctx, t, s.d.Check)
		failed, other = nil, err
		if err == nil {
			return true, nil
		}
		if errors.As(err, &failed) {
			report.say(fmt.Sprintf("the check has not come to 0 yet: %v", failed))
		}
		return false, ctx.Err()
	})
	switch {
	case err == nil:
		return Found(Done, "the commands on %s ended with exit status 0, and the check after them too", t)
	case failed != nil:
		return ended(err, Found(Failed, "the commands on %s ended with exit status 0, but the check %q did not: %v", t, s.d.Check, failed))
	}
	return ended(err, Found(Unknown, "the commands on %s ended with exit status 0, but the check %q could not be run: %v", t, s.d.Check, other))
}

func (s sshCommand) Probe(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	var finding Finding
	err = a.Systems.Clock.Poll(ctx, commandPause, 2*startLimit, func(ctx context.Context) (bool, error) {
		status, err := s.look(ctx, a, t, len(a.Notes) > 0)
		if err != nil {
			return false, err
		}
		finding = s.judge(a, t, status, len(a.Notes) > 0)
		// One that may still come to be started is waited for.
		return status.Known || finding.Verdict != Running, nil
	})
	switch {
	case err != nil:
		return Found(Unknown, "what became of the commands can't be seen: %v", err)
	case finding.Verdict == Done:
		return s.check(ctx, a, t, a.patience())
	}
	return finding
}

func (s sshCommand) Await(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, s.d.Host, s.d.User)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	return s.wait(ctx, a, t, len(a.Notes) > 0)
}

// Reading shows what will be run, and how the check comes out now.
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
		return text + fmt.Sprintf("\nthe check %q holds already", s.d.Check), nil
	case errors.As(err, &failed):
		return text + fmt.Sprintf("\nthe check %q does not hold yet", s.d.Check), nil
	}
	return text, err
}
