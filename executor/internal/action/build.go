package action

import (
	"context"
	"fmt"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/operator"
)

// awaitBuild waits for a build that the attempt of an earlier step has begun. It finds the
// build by that attempt's name on the host, after any crash. If the build is lost, by a
// reboot for example, or has failed, the operator is asked whether to build again; the
// new build belongs to this attempt.
type awaitBuild struct{ own sshCommand }

// Traits implements [Performer].
func (w awaitBuild) Traits() Traits { return w.own.Traits() }

// Prepare makes sure that the operator can log in to the host.
func (w awaitBuild) Prepare(ctx context.Context, a *Attempt) (any, error) {
	return w.own.Prepare(ctx, a)
}

// again reports whether this attempt may have begun to build again.
func (w awaitBuild) again(a *Attempt) bool { return len(a.Notes) > 0 || a.unrecorded() }

// newest returns the newest build of the step's earlier attempts and of the step that
// began it; false if the host knows none.
func (w awaitBuild) newest(ctx context.Context, a *Attempt, t remote.Target) (sshCommand, bool, error) {
	step, number := cutAttempt(a.Identity)
	var identities []string
	for n := number - 1; n > 0; n-- {
		identities = append(identities, fmt.Sprintf("%s/%d", step, n))
	}
	if a.Begun != "" {
		identities = append(identities, a.Begun)
	}
	for _, identity := range identities {
		status, err := a.Systems.Remote.Look(ctx, t, commandName(identity))
		if err != nil {
			return sshCommand{}, false, err
		}
		if status.Known && !status.NotStarted {
			return sshCommand{d: w.own.d, of: identity}, true, nil
		}
	}
	return sshCommand{}, false, nil
}

// Perform implements [Performer].
func (w awaitBuild) Perform(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, w.own.d.Host, w.own.d.User)
	if err != nil {
		return Found(NotDone, "nothing was run: %v", err)
	}
	return w.follow(ctx, a, t)
}

// follow waits for the newest build, or builds again.
func (w awaitBuild) follow(ctx context.Context, a *Attempt, t remote.Target) Finding {
	build, found, err := w.newest(ctx, a, t)
	if err != nil {
		return Found(Unknown, "cannot determine what became of the build of %s: %v", w.own.d.Service, err)
	}
	lost := w.none(t)
	if found {
		lost = build.wait(ctx, a, a.limit(), t, true)
	}
	if lost.Verdict != Failed {
		return lost
	}
	return w.rebuild(ctx, a, t, lost)
}

func (w awaitBuild) none(t remote.Target) Finding {
	return Found(Failed, "%s knows no build of %s that this run has begun", t, w.own.d.Service)
}

// rebuild asks whether to build again, and does so.
func (w awaitBuild) rebuild(ctx context.Context, a *Attempt, t remote.Target, lost Finding) Finding {
	text := fmt.Sprintf("The build of %s on %s has to be done again: %s", w.own.d.Service, t, firstLine(lost.Text))
	if takes := a.Step.Takes; takes > 0 {
		text += fmt.Sprintf(". It takes about %s", takes)
	}
	answer, err := a.ask(ctx, operator.BuildLost, text+". Build again?", lost.Text, operator.Yes, operator.No)
	switch {
	case err != nil:
		return Found(NotDone, "%s; the operator has not agreed to build again: %v", lost.Text, err)
	case answer.Choice != operator.Yes:
		return Found(Failed, "%s", because(lost.Text+"; the operator declined to build again", answer))
	}
	if err := a.Note(sshNote{Again: w.own.name(a)}); err != nil {
		return Found(NotDone, "nothing was run: %v", err)
	}
	return w.own.run(ctx, a, a.limit(), t)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(strings.TrimSuffix(line, "; output:"), ";")
}

// Probe implements [Performer]. A build that is lost or has failed counts as not done, so
// that a new attempt asks about it.
func (w awaitBuild) Probe(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, w.own.d.Host, w.own.d.User)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	if w.again(a) {
		return w.own.Probe(ctx, a)
	}
	build, found, err := w.newest(ctx, a, t)
	switch {
	case err != nil:
		return Found(Unknown, "cannot determine what became of the build of %s: %v", w.own.d.Service, err)
	case !found:
		return Finding{NotDone, w.none(t).Text}
	}
	finding := build.Probe(ctx, a)
	if finding.Verdict == Failed {
		finding.Verdict = NotDone
	}
	return finding
}

// Await implements [Performer].
func (w awaitBuild) Await(ctx context.Context, a *Attempt) Finding {
	t, err := target(a, w.own.d.Host, w.own.d.User)
	switch {
	case err != nil:
		return Found(Unknown, "%v", err)
	case w.again(a):
		return w.own.wait(ctx, a, a.limit(), t, w.own.confirmed(a))
	}
	return w.follow(ctx, a, t)
}

// Look implements [Performer]. It sees only what csu itself has built.
func (w awaitBuild) Look(ctx context.Context, a *Attempt) Finding {
	if f := w.Probe(ctx, a); f.Verdict == Done || f.Verdict == Running {
		if f.Verdict == Running {
			f.Verdict = NotDone
		}
		return f
	}
	return Found(Unknown, "csu cannot see a build of %s that was done by hand on %s", w.own.d.Service, w.own.d.Host)
}

// Reading returns the commands.
func (w awaitBuild) Reading(ctx context.Context, a *Attempt) (string, error) {
	return w.own.Reading(ctx, a)
}

// lostBuild says how a build was lost.
func lostBuild(t remote.Target, status remote.Status) Finding {
	why := "was killed"
	if status.StartedIn != "" && status.StartedIn != status.BootID {
		why = "was lost when the host was rebooted"
	}
	return Found(Failed, "the build on %s %s; %s", t, why, lastLines(status.Output))
}
