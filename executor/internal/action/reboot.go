package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/plan"
)

// rebootGrace is how long a host may still answer after the reboot command: it
// stops its services first.
const rebootGrace = 2 * time.Minute

// reboot reboots a host and waits until it answers with a new boot id.
type reboot struct{ d *plan.Reboot }

// Traits implements [Performer].
func (reboot) Traits() Traits {
	return Traits{Identified: true}
}

// boot is the evidence: the host's boot id before anything was run on it.
type boot struct {
	BootID string `json:"bootId"`
}

func bootEvidence(ctx context.Context, a *Attempt, t remote.Target) (boot, error) {
	id, err := a.Systems.Remote.BootID(ctx, t)
	var unreachable *remote.UnreachableError
	if errors.As(err, &unreachable) {
		err = fmt.Errorf("%w; check that the host is up and reachable from here", err)
	}
	return boot{id}, err
}

func (r reboot) Prepare(ctx context.Context, a *Attempt) (any, error) {
	t, err := target(a, r.d.Host, r.d.User)
	if err != nil {
		return nil, err
	}
	return bootEvidence(ctx, a, t)
}

// before returns the target and the boot id from before the reboot. The boot id
// is empty if the attempt was not recorded.
func (r reboot) before(a *Attempt) (remote.Target, boot, error) {
	t, err := target(a, r.d.Host, r.d.User)
	if err != nil {
		return t, boot{}, err
	}
	var b boot
	if len(a.Evidence) == 0 {
		return t, b, nil
	}
	if err := json.Unmarshal(a.Evidence, &b); err != nil {
		return t, b, fmt.Errorf("read the boot id from the journal: %w", err)
	}
	if b.BootID == "" {
		return t, b, errors.New("the journal has no boot id of the host from before the reboot")
	}
	return t, b, nil
}

func (r reboot) Perform(ctx context.Context, a *Attempt) Finding {
	t, before, err := r.before(a)
	if err != nil {
		return Found(NotDone, "nothing was run: %v", err)
	}
	if before.BootID == "" {
		return Found(NotDone, "nothing was run: the journal has no boot id of %s from before the reboot", t.Host)
	}
	limit := a.limit()
	err = a.Systems.Remote.Start(ctx, t, commandName(a.Identity), r.d.Command+"\n")
	var lost *remote.LostError
	if err != nil && !errors.Is(err, remote.ErrExists) && !errors.As(err, &lost) {
		return Found(NotDone, "nothing was run: %v", err)
	}
	return r.wait(ctx, a, limit)
}

// Await polls until the host has a new boot id or is known not to reboot.
func (r reboot) Await(ctx context.Context, a *Attempt) Finding {
	return r.wait(ctx, a, a.limit())
}

// wait is Await with a limit that is already running.
func (r reboot) wait(ctx context.Context, a *Attempt, limit *clock.Limit) Finding {
	return a.watch(ctx, limit, commandPause, func(ctx context.Context) (Finding, bool) {
		finding := r.inspect(ctx, a, true)
		return finding, finding.Verdict != Running && (finding.Verdict != Failed || limit.Spent() >= rebootGrace)
	})
}

func (r reboot) Probe(ctx context.Context, a *Attempt) Finding {
	return r.inspect(ctx, a, len(a.Evidence) > 0)
}

// inspect compares the host's boot id with the one from before the reboot. If the
// attempt was not recorded, it compares with the boot in which the host started
// the command. begun means that the attempt is known to have begun, so a host
// that does not answer is going down or coming up.
func (r reboot) inspect(ctx context.Context, a *Attempt, begun bool) Finding {
	t, before, err := r.before(a)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	status, err := a.Systems.Remote.Look(ctx, t, commandName(a.Identity))
	if err == nil && !status.Known && (!begun || a.Systems.Clock.Since(a.Started) >= rebootGrace) {
		// Once csu reports the reboot as not done, it must no longer happen.
		status, err = a.Systems.Remote.Forbid(ctx, t, commandName(a.Identity))
	}
	if before.BootID == "" {
		before.BootID = status.BootID
		if status.StartedIn != "" && !status.NotStarted {
			before.BootID = status.StartedIn
		}
	}
	var hostKey *remote.HostKeyError
	var config *remote.ConfigError
	switch {
	case errors.As(err, &hostKey), errors.As(err, &config), err != nil && !begun:
		return Found(Unknown, "cannot determine whether %s was rebooted: %v", t.Host, err)
	case err != nil:
		// A host that is going down or coming up also refuses logins for a while.
		return Found(Running, "cannot reach %s: it is rebooting or has not come up again: %v", t.Host, err)
	case status.BootID != before.BootID:
		return Found(Done, "%s answers with a new boot id", t.Host)
	case status.Running:
		return Found(Running, "the command %q still runs on %s", r.d.Command, t.Host)
	case begun && a.Systems.Clock.Since(a.Started) < rebootGrace, !begun && status.Known && !status.NotStarted:
		return Found(Running, "%s still answers with its old boot id", t.Host)
	case !status.Known:
		return Found(Unknown, "%s has not rebooted, but the command may still reach it: csu cannot create ~/.csu/%s there to prevent that", t.Host, commandName(a.Identity))
	case status.NotStarted:
		return Found(NotDone, "%s was not rebooted: the command %q was never started there", t.Host, r.d.Command)
	case status.Gone:
		return Found(Failed, "%s was not rebooted within %s: the command %q was killed there", t.Host, rebootGrace, r.d.Command)
	}
	return Found(Failed, "%s was not rebooted within %s: the command %q ended with exit status %d; %s", t.Host, rebootGrace, r.d.Command, status.ExitStatus, lastLines(status.Output))
}

// Look implements [Performer].
func (r reboot) Look(ctx context.Context, a *Attempt) Finding {
	if len(a.Evidence) == 0 {
		return Found(Unknown, "csu has not recorded the boot that %s was in before", r.d.Host)
	}
	return r.inspect(ctx, a, false)
}

// Reading returns the host's name and when it was booted, so that the operator sees
// which machine it is. To the minute, since what an open question shows must not change
// by itself: uptime -s is off by a second now and then.
func (r reboot) Reading(ctx context.Context, a *Attempt) (string, error) {
	t, err := target(a, r.d.Host, r.d.User)
	if err != nil {
		return "", err
	}
	out, err := a.Systems.Remote.Run(ctx, t, `hostname; echo "up since $(uptime -s | cut -c -16)"`)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s reports: %s", t, oneLine(out)), nil
}
