package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	scriptPause = 2 * time.Second // between two looks at a script
	// commandLimit is how long LOVE may hold a command after which it has sent
	// it or given it up; its own limit is 10 s by default.
	commandLimit = 30 * time.Second
)

// queueing is the way of scripts through one ScriptQueue, within an attempt.
type queueing struct {
	a     *Attempt
	queue int // SAL index
	left  *patience
	// closes: the scripts may take down the queue that runs them, so that
	// their last event may never come.
	closes bool
	// blind is why the last look at the script saw nothing; nil where it could
	// look.
	blind error
}

// unseen says why a script's event was not seen.
func (q *queueing) unseen() string {
	if q.blind != nil {
		return "what became of it can't be seen: " + q.blind.Error()
	}
	return "the EFD has no event of it"
}

// queueNote is what is recorded of a script on its way.
type queueNote struct {
	Event    string    `json:"event"`
	Identity string    `json:"identity,omitempty"` // of the script
	Script   int       `json:"script,omitempty"`   // its SAL index
	Outcome  string    `json:"outcome,omitempty"`
	At       time.Time `json:"at"`
}

// The events of queueNote.
const (
	noteResume = "resume" // the queue is about to be resumed
	noteAdd    = "add"    // the script is about to be added
	noteAdded  = "added"  // LOVE acknowledged the script
	noteEnded  = "ended"  // the EFD has the script's end
)

func (q *queueing) name() string { return fmt.Sprintf("ScriptQueue:%d", q.queue) }

func (q *queueing) note(n queueNote) error {
	n.At = q.a.Systems.Clock.Now().UTC()
	if err := q.a.Note(n); err != nil {
		return fmt.Errorf("record %s of %q: %w", n.Event, n.Identity, err)
	}
	return nil
}

// lastScript returns the notes on the script that was the last to be added, or
// to be about to be added; false if there was none.
func lastScript(notes []json.RawMessage) (last queueNote, begun bool) {
	for _, raw := range notes {
		var n queueNote
		if json.Unmarshal(raw, &n) != nil {
			continue // a note of another form is none on a script
		}
		switch n.Event {
		case noteAdd:
			last, begun = n, true
		case noteAdded, noteEnded:
			if n.Identity == last.Identity {
				last.Event, last.Script, last.Outcome = n.Event, n.Script, n.Outcome
			}
		}
	}
	return last, begun
}

// last is lastScript for an attempt of which another csu may have made more than is
// noted here: the last of its scripts, named by their identities in order, that the
// EFD has, or else the first.
func (q *queueing) last(ctx context.Context, identities []string) (queueNote, bool) {
	n, begun := lastScript(q.a.Notes)
	if !q.a.Suspected {
		return n, begun
	}
	for _, identity := range slices.Backward(identities) {
		event, found, err := q.a.Systems.EFD.FindScript(ctx, q.queue, identity, q.a.Started)
		if err == nil && found && (!begun || identity != n.Identity) {
			return queueNote{Event: noteAdded, Identity: identity, Script: event.Index, At: q.a.Started}, true
		}
	}
	if begun {
		return n, true
	}
	return queueNote{Event: noteAdd, Identity: identities[0], At: q.a.Started}, true
}

// ready sees to it that the queue takes scripts and runs them. It returns a
// text where it does not: then nothing was added. A paused queue is resumed
// only if the operator says so.
func (q *queueing) ready(ctx context.Context) (problem string) {
	found, err := places(ctx, q.a, []string{q.name()})
	if err != nil {
		return fmt.Sprintf("no script was added, since its end could not be seen: %v", err)
	}
	if found[0].presence != efd.Speaking {
		return fmt.Sprintf("no script was added: %s", found[0])
	}
	now, problem := q.takes(ctx)
	if problem != "" || now.Running {
		return problem
	}
	return q.resume(ctx)
}

// takes reads the queue; the problem is why it would not even take a script.
func (q *queueing) takes(ctx context.Context) (now efd.Queue, problem string) {
	now, err := q.a.Systems.EFD.Queue(ctx, q.queue)
	switch {
	case err != nil:
		return now, fmt.Sprintf("no script was added, since its end could not be seen: %v", err)
	case !now.Known:
		return now, fmt.Sprintf("no script was added: the EFD has no word of the content of %s within 30 days", q.name())
	case !now.Enabled:
		return now, fmt.Sprintf("no script was added: %s is not ENABLED, and takes none; bring it to ENABLED in LOVE", q.name())
	}
	return now, ""
}

// resume resumes a queue that was seen paused, if the operator agrees. They agree
// to what it holds when they are asked: others may have worked on it until then,
// or resumed it.
func (q *queueing) resume(ctx context.Context) (problem string) {
	var now efd.Queue
	answer, err := q.a.Ask(ctx, func(ctx context.Context) (operator.Question, bool) {
		if now, problem = q.takes(ctx); problem != "" || now.Running {
			return operator.Question{}, false
		}
		return q.a.question(operator.QueuePaused,
			fmt.Sprintf("%s is paused: it would take the script and not run it. Resuming it clears its current script and starts what is queued.", q.name()),
			q.content(ctx, now), operator.Yes, operator.No), true
	})
	if problem != "" || now.Running {
		return problem
	}
	if err != nil {
		return fmt.Sprintf("no script was added: %s is paused, and nobody said whether it may be resumed: %v", q.name(), err)
	}
	if answer.Choice != operator.Yes {
		return because(fmt.Sprintf("no script was added: %s is paused, and the operator does not want it resumed", q.name()), answer)
	}
	if err := q.note(queueNote{Event: noteResume}); err != nil {
		return err.Error()
	}
	err = q.a.Systems.LOVE.Resume(ctx, q.queue)
	var silent *love.NoAckError
	if err != nil && !errors.As(err, &silent) {
		return fmt.Sprintf("no script was added, since %s is paused and could not be resumed: %v", q.name(), err)
	}
	// The event of the resumed queue is waited for: with it, what it had queued
	// is known to go on, and a later pause is known to be a new one.
	var blind error
	err = q.left.within(ctx, scriptPause, q.a.Systems.EFD.Lag()+commandLimit, func(ctx context.Context) (bool, error) {
		now, err := q.a.Systems.EFD.Queue(ctx, q.queue)
		blind = err
		return err == nil && now.Running, nil
	})
	if err != nil {
		return fmt.Sprintf("no script was added: %s was asked to resume, and has not been seen running since%s; look at it in LOVE", q.name(), colon(blind))
	}
	return ""
}

// colon writes an error behind a sentence, if there is one.
func colon(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// content lists the scripts of the queue, the current one first.
func (q *queueing) content(ctx context.Context, now efd.Queue) string {
	const shown = 10
	var b strings.Builder
	fmt.Fprintf(&b, "as of %s", hour(now.At))
	if now.CurrentIndex == 0 && len(now.Indices) == 0 {
		b.WriteString("\nit is empty")
	}
	if now.CurrentIndex != 0 {
		b.WriteString("\ncurrent: " + q.describe(ctx, now.CurrentIndex))
	}
	for i, index := range now.Indices {
		if i == shown {
			fmt.Fprintf(&b, "\nand %d more", len(now.Indices)-shown)
			break
		}
		b.WriteString("\nqueued: " + q.describe(ctx, index))
	}
	return b.String()
}

func (q *queueing) describe(ctx context.Context, index int) string {
	event, known, err := q.a.Systems.EFD.Script(ctx, q.queue, index, time.Time{})
	switch {
	case err != nil:
		return fmt.Sprintf("script %d, which could not be looked at: %v", index, err)
	case !known:
		return fmt.Sprintf("script %d, of which the EFD knows nothing", index)
	}
	return describeScript(event)
}

func describeScript(e efd.ScriptEvent) string {
	state := e.Outcome()
	if state == "" {
		state = e.ProcessState.String()
	}
	return fmt.Sprintf("script %d, %s, %s since %s", e.Index, e.Path, state, hour(e.At))
}

// sent is what is known of a script that was to be added.
type sent int

const (
	sentNot     sent = iota // it is not in the queue and will not be
	sentYes                 // it is there
	sentUnknown             // it can't be told
	sentCommand             // the command was given, and no script came of it so far
)

// add adds a script at the end of the queue. The text says why where it is not
// known to be there.
func (q *queueing) add(ctx context.Context, identity, path string, standard bool, config string) (queueNote, sent, string) {
	n := queueNote{Event: noteAdd, Identity: identity, At: q.a.Systems.Clock.Now().UTC()}
	if err := q.note(n); err != nil {
		return n, sentNot, err.Error()
	}
	index, err := q.a.Systems.LOVE.AddScript(ctx, love.Add{
		Queue: q.queue, Path: path, Standard: standard, Config: config,
		Descr: identity, ExecutionID: identity, Location: love.Last,
	})
	if err == nil {
		n.Event, n.Script = noteAdded, index
		if err := q.note(n); err != nil {
			return n, sentUnknown, fmt.Sprintf("%s was added to %s: %v", numbered(index), q.name(), err)
		}
		q.a.Progress("%s, %s, is in %s", numbered(index), path, q.name())
		return n, sentYes, ""
	}
	var silent *love.NoAckError
	if !errors.As(err, &silent) {
		return n, sentNot, err.Error()
	}
	q.a.Progress("LOVE gave no acknowledgement for %s; csu looks for the script in the EFD", path)
	event, known, why := q.locate(ctx, identity)
	switch {
	case known == sentYes:
		n.Event, n.Script = noteAdded, event.Index
		if err := q.note(n); err != nil {
			return n, sentUnknown, err.Error()
		}
		return n, sentYes, ""
	case known == sentCommand && silent.Status == http.StatusInternalServerError:
		// So LOVE answers where the component has refused the command.
		known = sentNot
	case known == sentCommand:
		known = sentUnknown
	}
	return n, known, fmt.Sprintf("%v; %s", err, why)
}

// numbered names a script; LOVE may not have told its index.
func numbered(index int) string {
	if index == 0 {
		return "the script"
	}
	return fmt.Sprintf("script %d", index)
}

// locate looks for a script in the EFD by its identity, until it is there or
// surely is not: what the EFD has of the ScriptQueues reaches well beyond now.
// That the intent was recorded long ago does not do: who was to give the command
// may have come to it late, with a machine that slept in between, but no later
// than now.
func (q *queueing) locate(ctx context.Context, identity string) (efd.ScriptEvent, sent, string) {
	client := q.a.Systems.EFD
	enough := q.a.Systems.Clock.Now().Add(client.Lag() + commandLimit)
	var event efd.ScriptEvent
	var found bool
	err := q.left.clock.Poll(ctx, scriptPause, 3*client.Lag()+3*commandLimit, func(ctx context.Context) (done bool, err error) {
		event, found, err = client.FindScript(ctx, q.queue, identity, q.a.Started)
		return found || event.EFDTime.After(enough), err
	})
	switch {
	case err == nil && found:
		return event, sentYes, ""
	case err == nil && event.CommandedAt.IsZero():
		return event, sentNot, fmt.Sprintf("the EFD, which has what the ScriptQueues said up to %s, has no such script and no such command", hour(event.EFDTime))
	case err == nil:
		return event, sentCommand, fmt.Sprintf("the EFD has the command, of %s, and no script that came of it; look at %s in LOVE", hour(event.CommandedAt), q.name())
	case !errors.Is(err, clock.ErrLimit):
		return event, sentUnknown, q.blindly(err)
	case event.EFDTime.IsZero():
		return event, sentUnknown, "the EFD hears no ScriptQueue, so that it is not known whether it has everything; look at " + q.name() + " in LOVE"
	}
	return event, sentUnknown, fmt.Sprintf("the EFD has what the ScriptQueues said up to %s only, which is too early to tell; look at %s in LOVE", hour(event.EFDTime), q.name())
}

// blindly says what can be done where the EFD does not tell.
func (q *queueing) blindly(err error) string {
	return fmt.Sprintf("%v; look at %s in LOVE, or wait until the EFD answers", err, q.name())
}

// find looks once for the script's newest event, by identity and, should the
// EFD not have the command, by the index that LOVE gave.
func (q *queueing) find(ctx context.Context, n queueNote) (efd.ScriptEvent, bool, error) {
	event, found, err := q.a.Systems.EFD.FindScript(ctx, q.queue, n.Identity, q.a.Started)
	if err != nil || found || n.Script == 0 {
		return event, found, err
	}
	byIndex, found, err := q.a.Systems.EFD.Script(ctx, q.queue, n.Script, n.At)
	if err != nil || !found {
		return event, false, err
	}
	byIndex.EFDTime = event.EFDTime
	return byIndex, true, nil
}

// errClosed says that the queue went down with its script in it, as it should.
var errClosed = errors.New("the ScriptQueue is down")

// follow waits until the script has ended, and records its end. Its error is
// errClosed, that of ctx, [clock.ErrLimit], or of the record. What it saw last
// is returned with an error too; its Index is 0 if it saw nothing.
func (q *queueing) follow(ctx context.Context, n queueNote) (efd.ScriptEvent, error) {
	var last efd.ScriptEvent
	report := q.a.reporter()
	err := q.left.poll(ctx, scriptPause, func(ctx context.Context) (bool, error) {
		event, found, err := q.find(ctx, n)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		q.blind = err
		if err != nil {
			report.say(err.Error())
			return false, nil
		}
		if found {
			last = event
		}
		if found && event.Ended() {
			return true, nil
		}
		if q.closes && q.down(ctx) {
			return false, errClosed
		}
		report.say(q.waiting(ctx, n, event, found))
		return false, nil
	})
	if err != nil {
		return last, err
	}
	if err := q.note(queueNote{Event: noteEnded, Identity: n.Identity, Script: last.Index, Outcome: last.Outcome()}); err != nil {
		return last, err
	}
	if last.Outcome() == efd.ScriptFailed.String() {
		// It has paused the queue. Whoever uses the queue next reads that in the
		// EFD, where it may come in later than the script's end.
		return last, q.a.Systems.Clock.Sleep(ctx, q.a.Systems.EFD.Lag())
	}
	return last, nil
}

// down tells whether the queue itself has gone OFFLINE.
func (q *queueing) down(ctx context.Context) bool {
	found, err := places(ctx, q.a, []string{q.name()})
	return err == nil && found[0].in(plan.Offline)
}

// waiting says what a script that has not ended waits for.
func (q *queueing) waiting(ctx context.Context, n queueNote, event efd.ScriptEvent, found bool) string {
	if found && event.ProcessState == efd.ProcessRunning {
		return describeScript(event)
	}
	now, err := q.a.Systems.EFD.Queue(ctx, q.queue)
	if err == nil && now.Known && !now.Running && now.At.After(n.At) {
		text := fmt.Sprintf("%s is paused and does not run the script; it goes on when somebody resumes it in LOVE", q.name())
		if now.CurrentIndex != 0 {
			text += ". It is held by " + q.describe(ctx, now.CurrentIndex)
		}
		return text
	}
	if !found {
		return "the EFD has no event of the script yet"
	}
	if now.CurrentIndex != 0 && now.CurrentIndex != event.Index {
		return fmt.Sprintf("script %d waits for its turn, after script %d", event.Index, now.CurrentIndex)
	}
	return describeScript(event)
}

// remedy says what can be done after a script that did not succeed.
func (q *queueing) remedy(e efd.ScriptEvent) string {
	if e.Outcome() == efd.ScriptFailed.String() {
		return fmt.Sprintf("%s is now paused with this script as its current one: read the script's log in LOVE; csu asks before it resumes the queue", q.name())
	}
	return "read the script's log in LOVE"
}

// look finds out, for a probe, what became of a script that was to be added.
// One that LOVE acknowledged was there, whatever the EFD has of it.
func (q *queueing) look(ctx context.Context, n queueNote) (efd.ScriptEvent, sent, string) {
	event, found, err := q.find(ctx, n)
	if err == nil && found {
		return event, sentYes, ""
	}
	if n.Event == noteAdd {
		event, known, why := q.locate(ctx, n.Identity)
		if known == sentCommand {
			known = sentUnknown
		}
		return event, known, why
	}
	if err != nil {
		return event, sentUnknown, q.blindly(err)
	}
	return event, sentUnknown, fmt.Sprintf("LOVE acknowledged %s, and the EFD has no event of it; look at %s in LOVE", numbered(n.Script), q.name())
}
