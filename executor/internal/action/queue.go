package action

import (
	"cmp"
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
	scriptPause = 2 * time.Second // between two polls of a script
	// commandLimit is how long LOVE may hold a command before it has sent it or
	// given up. LOVE's own limit is 10 s by default.
	commandLimit = 30 * time.Second
)

// queueing adds an attempt's scripts to one ScriptQueue and follows them.
type queueing struct {
	a     *Attempt
	queue int          // SAL index
	limit *clock.Limit // of the attempt
	// closes means that the scripts take down the queue that runs them, so their
	// last event may never arrive.
	closes bool
	// blind is the error of the last query for the script, nil if it succeeded.
	blind error
}

// unseen explains why csu has not seen an event of a script.
func (q *queueing) unseen() string {
	if q.blind != nil {
		return "csu cannot determine what became of it: " + q.blind.Error()
	}
	return "the EFD has no event for it"
}

// queueNote records the progress of a script.
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
	noteEnded  = "ended"  // the EFD has the script's last event
)

func (q *queueing) name() string { return fmt.Sprintf("ScriptQueue:%d", q.queue) }

func (q *queueing) note(n queueNote) error {
	n.At = q.a.Systems.Clock.Now().UTC()
	if err := q.a.Note(n); err != nil {
		return fmt.Errorf("record %s of %q: %w", n.Event, n.Identity, err)
	}
	return nil
}

// lastScript returns what is noted about the last script that was added or about
// to be added. begun is false if there is none.
func lastScript(notes []json.RawMessage) (last queueNote, begun bool) {
	for _, raw := range notes {
		var n queueNote
		if json.Unmarshal(raw, &n) != nil {
			continue // not a queueNote
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

// last returns what is known about the attempt's last script. If another csu may
// have added more scripts than are noted here, last looks for them in the EFD by
// their identities, given in order. If it finds none, it returns the last one
// noted, or else the first identity.
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

// ready makes sure that the queue accepts scripts and runs them. Otherwise it
// returns the problem, and nothing was added. It resumes a paused queue only if
// the operator agrees.
func (q *queueing) ready(ctx context.Context) (problem string) {
	limited, cancel := q.limit.Context(ctx)
	defer cancel()
	found, err := observe(limited, q.a, []string{q.name()})
	if err != nil {
		return fmt.Sprintf("no script was added, since csu could not follow it: %v", err)
	}
	if found[0].presence != efd.Speaking {
		return fmt.Sprintf("no script was added: %s", found[0])
	}
	now, problem := q.accepts(limited)
	if problem != "" || now.Running {
		return problem
	}
	return q.resume(ctx)
}

// accepts reads the queue. The problem is why it would not accept a script.
func (q *queueing) accepts(ctx context.Context) (now efd.Queue, problem string) {
	now, err := q.a.Systems.EFD.Queue(ctx, q.queue)
	switch {
	case err != nil:
		return now, fmt.Sprintf("no script was added, since csu could not follow it: %v", err)
	case !now.Known:
		return now, fmt.Sprintf("no script was added: the EFD has no record of the content of %s in the last 30 days", q.name())
	case !now.Enabled:
		return now, fmt.Sprintf("no script was added: %s is not ENABLED and does not accept scripts; enable it in LOVE", q.name())
	}
	return now, ""
}

// resume resumes a paused queue if the operator agrees. It reads the queue when
// the question's turn comes, since others may have changed or resumed it by then.
func (q *queueing) resume(ctx context.Context) (problem string) {
	var now efd.Queue
	var answer operator.Answer
	var err error
	var open operator.Question
	q.limit.Exclude(func() {
		answer, err = q.a.Ask(ctx, func(ctx context.Context) (operator.Question, bool) {
			at, why := q.accepts(ctx)
			if open.Text != "" && (why != "" || ctx.Err() != nil) {
				return open, true // it is decided by what was seen before
			}
			if now, problem = at, why; problem != "" || now.Running {
				return q.a.question(operator.QueuePaused, "", cmp.Or(problem, q.name()+" is running again")), false
			}
			open = q.a.question(operator.QueuePaused,
				fmt.Sprintf("%s is paused: it would accept the script but not run it. Resume it? This clears its current script and starts the queued ones.", q.name()),
				q.content(ctx, now), operator.Yes, operator.No)
			return open, true
		})
	})
	if problem != "" || now.Running {
		return problem
	}
	if err != nil {
		return fmt.Sprintf("no script was added: %s is paused, and the operator has not agreed to resume it: %v", q.name(), err)
	}
	if answer.Choice != operator.Yes {
		return because(fmt.Sprintf("no script was added: %s is paused, and the operator declined to resume it", q.name()), answer)
	}
	if err := q.note(queueNote{Event: noteResume}); err != nil {
		return err.Error()
	}
	err = q.a.Systems.LOVE.Resume(ctx, q.queue)
	var silent *love.NoAckError
	if err != nil && !errors.As(err, &silent) {
		return fmt.Sprintf("no script was added: %s is paused and could not be resumed: %v", q.name(), err)
	}
	// Wait for the event of the resumed queue: then its queued scripts are known
	// to continue, and a later pause is known to be a new one.
	var blind error
	err = q.limit.PollFor(ctx, scriptPause, q.a.Systems.EFD.Lag()+commandLimit, func(ctx context.Context) (bool, error) {
		now, err := q.a.Systems.EFD.Queue(ctx, q.queue)
		blind = err
		return err == nil && now.Running, nil
	})
	if err != nil {
		return fmt.Sprintf("no script was added: csu resumed %s but has not seen it running since%s; check it in LOVE", q.name(), colon(blind))
	}
	return ""
}

// colon returns the error after a colon, or "" if it is nil.
func colon(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// content lists the scripts in the queue, the current one first.
func (q *queueing) content(ctx context.Context, now efd.Queue) string {
	const shown = 10
	var b strings.Builder
	fmt.Fprintf(&b, "as of %s", timestamp(now.At))
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
		return fmt.Sprintf("script %d, whose state cannot be read: %v", index, err)
	case !known:
		return fmt.Sprintf("script %d, which is not in the EFD", index)
	}
	return describeScript(event)
}

func describeScript(e efd.ScriptEvent) string {
	state := e.Outcome()
	if state == "" {
		state = e.ProcessState.String()
	}
	return fmt.Sprintf("script %d, %s, %s since %s", e.Index, e.Path, state, timestamp(e.At))
}

// added is what csu knows about adding a script.
type added int

const (
	addedNo      added = iota // it is not in the queue and never will be
	addedYes                  // it was added
	addedUnknown              // csu cannot determine it
	addedCommand              // the command was sent, but there is no script so far
)

// add adds a script at the end of the queue. The text explains any result but
// addedYes.
func (q *queueing) add(ctx context.Context, identity, path string, standard bool, config string) (queueNote, added, string) {
	n := queueNote{Event: noteAdd, Identity: identity, At: q.a.Systems.Clock.Now().UTC()}
	if err := q.note(n); err != nil {
		return n, addedNo, err.Error()
	}
	index, err := q.a.Systems.LOVE.AddScript(ctx, love.Add{
		Queue: q.queue, Path: path, Standard: standard, Config: config,
		Descr: identity, ExecutionID: identity, Location: love.Last,
	})
	if err == nil {
		n.Event, n.Script = noteAdded, index
		if err := q.note(n); err != nil {
			return n, addedUnknown, fmt.Sprintf("%s was added to %s: %v", numbered(index), q.name(), err)
		}
		q.a.Progress("added %s, %s, to %s", numbered(index), path, q.name())
		return n, addedYes, ""
	}
	var silent *love.NoAckError
	if !errors.As(err, &silent) {
		return n, addedNo, err.Error()
	}
	q.a.Progress("LOVE did not acknowledge %s; looking for the script in the EFD", path)
	event, result, why := q.locate(ctx, identity)
	switch {
	case result == addedYes:
		n.Event, n.Script = noteAdded, event.Index
		if err := q.note(n); err != nil {
			return n, addedUnknown, err.Error()
		}
		return n, addedYes, ""
	case result == addedCommand && silent.Status == http.StatusInternalServerError:
		// This is LOVE's answer when the component has refused the command.
		result = addedNo
	case result == addedCommand:
		result = addedUnknown
	}
	return n, result, fmt.Sprintf("%v; %s", err, why)
}

// numbered names a script by its index, if LOVE returned one.
func numbered(index int) string {
	if index == 0 {
		return "the script"
	}
	return fmt.Sprintf("script %d", index)
}

// locate looks for a script in the EFD by its identity until it is found or
// certainly absent. It is absent once the EFD has data from the ScriptQueues from
// well after now. The time at which the intent was recorded is no measure: the
// machine may have slept between the record and the command. But the command
// cannot have been sent later than now.
func (q *queueing) locate(ctx context.Context, identity string) (efd.ScriptEvent, added, string) {
	client := q.a.Systems.EFD
	enough := q.a.Systems.Clock.Now().Add(client.Lag() + commandLimit)
	var event efd.ScriptEvent
	var found bool
	err := q.limit.PollFor(ctx, scriptPause, q.locateLimit(), func(ctx context.Context) (bool, error) {
		now, there, err := client.FindScript(ctx, q.queue, identity, q.a.Started)
		if err != nil {
			return false, err
		}
		event, found = now, there
		return found || event.EFDTime.After(enough), nil
	})
	switch {
	case err == nil && found:
		return event, addedYes, ""
	case err == nil && event.CommandedAt.IsZero():
		return event, addedNo, fmt.Sprintf("the EFD, with data from the ScriptQueues up to %s, has no such script and no such command", timestamp(event.EFDTime))
	case err == nil:
		return event, addedCommand, fmt.Sprintf("the EFD has the command, sent at %s, but no script resulting from it; check %s in LOVE", timestamp(event.CommandedAt), q.name())
	case !errors.Is(err, clock.ErrLimit):
		return event, addedUnknown, q.withoutEFD(err)
	case event.EFDTime.IsZero():
		return event, addedUnknown, "the EFD hears no ScriptQueue, so its data may be incomplete; check " + q.name() + " in LOVE"
	}
	return event, addedUnknown, fmt.Sprintf("the EFD has data from the ScriptQueues only up to %s, which is too early to tell; check %s in LOVE", timestamp(event.EFDTime), q.name())
}

// locateLimit is how long locate may take.
func (q *queueing) locateLimit() time.Duration { return 3*q.a.Systems.EFD.Lag() + 3*commandLimit }

// withoutEFD adds to an error of the EFD what the operator can do.
func (q *queueing) withoutEFD(err error) string {
	return fmt.Sprintf("%v; check %s in LOVE, or wait until the EFD answers", err, q.name())
}

// find looks once for the script's newest event by its identity. If the EFD does
// not have the command, it looks by the index that LOVE returned.
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

// errClosed means that the queue went down with its script in it, as intended.
var errClosed = errors.New("the ScriptQueue is down")

// follow waits until the script has ended and records its outcome. Its error is
// errClosed, ctx's error, [clock.ErrLimit], or the error of the record. It returns
// the last event it saw even with an error; the event's Index is 0 if it saw none.
func (q *queueing) follow(ctx context.Context, n queueNote) (efd.ScriptEvent, error) {
	var last efd.ScriptEvent
	report := q.a.reporter()
	q.blind = errors.New("the EFD has not answered")
	err := q.limit.Poll(ctx, scriptPause, func(ctx context.Context) (bool, error) {
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
		// The failure has paused the queue, and the EFD may show that later than
		// the script's end. The next user of the queue must not miss it.
		return last, q.a.Systems.Clock.Sleep(ctx, q.a.Systems.EFD.Lag())
	}
	return last, nil
}

// down reports whether the queue itself has gone OFFLINE.
func (q *queueing) down(ctx context.Context) bool {
	found, err := observe(ctx, q.a, []string{q.name()})
	return err == nil && found[0].in(plan.Offline)
}

// waiting explains what a script that has not ended is waiting for.
func (q *queueing) waiting(ctx context.Context, n queueNote, event efd.ScriptEvent, found bool) string {
	if found && event.ProcessState == efd.ProcessRunning {
		return describeScript(event)
	}
	now, err := q.a.Systems.EFD.Queue(ctx, q.queue)
	if err == nil && now.Known && !now.Running && now.At.After(n.At) {
		text := fmt.Sprintf("%s is paused and does not run the script; resume it in LOVE", q.name())
		if now.CurrentIndex != 0 {
			text += "; its current script is " + q.describe(ctx, now.CurrentIndex)
		}
		return text
	}
	if !found {
		return "the EFD has no event for the script yet"
	}
	if now.CurrentIndex != 0 && now.CurrentIndex != event.Index {
		return fmt.Sprintf("script %d is waiting in the queue; the current script is %d", event.Index, now.CurrentIndex)
	}
	return describeScript(event)
}

// mostMessages is how many of a script's own messages are shown.
const mostMessages = 5

// account returns what a script that did not succeed says of itself, and what the
// operator can do.
func (q *queueing) account(ctx context.Context, e efd.ScriptEvent) string {
	text := "read the script's log in LOVE"
	if e.Outcome() == efd.ScriptFailed.String() {
		text = fmt.Sprintf("%s is now paused at this script; read the script's log in LOVE; csu will ask before it resumes the queue", q.name())
	}
	since := e.ProcessStart
	if since.IsZero() {
		since = q.a.Started
	}
	reason, messages, err := q.a.Systems.EFD.ScriptLog(ctx, e.Index, since, mostMessages)
	if err != nil {
		return text // where the log is, they know
	}
	said := ""
	for _, m := range messages {
		said += "\nit logged: " + m.String()
	}
	if cause := strings.TrimPrefix(reason, "Error in run: "); cause != "" && !strings.Contains(said, cause) {
		said = "\nits reason: " + reason + said
	}
	return text + said
}

// resolve determines, for a probe, what became of a script. A script that LOVE
// acknowledged was added, even if the EFD does not have it.
func (q *queueing) resolve(ctx context.Context, n queueNote) (efd.ScriptEvent, added, string) {
	event, found, err := q.find(ctx, n)
	if err == nil && found {
		return event, addedYes, ""
	}
	if n.Event == noteAdd {
		q.limit.Extend(q.locateLimit()) // the attempt's limit is not that of its probe
		event, result, why := q.locate(ctx, n.Identity)
		if result == addedCommand {
			result = addedUnknown
		}
		return event, result, why
	}
	if err != nil {
		return event, addedUnknown, q.withoutEFD(err)
	}
	return event, addedUnknown, fmt.Sprintf("LOVE acknowledged %s, but the EFD has no event for it; check %s in LOVE", numbered(n.Script), q.name())
}
