package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/plan"
)

// setStateScript is the standard script of ts_standardscripts. Its
// configuration is a list of CSCs with their states, which it takes in order
// until one fails.
const setStateScript = "set_summary_state.py"

// setState brings CSCs to a state with set_summary_state.py. What counts is
// where they are afterwards; how the script ended is evidence only.
type setState struct{ d *plan.SetState }

// Traits implements [Performer].
func (setState) Traits() Traits { return Traits{Identified: true, ConfirmsByHand: true} }

// setStateEvidence is where the CSCs were, and which script takes which of them.
type setStateEvidence struct {
	Before map[string]string `json:"before"` // state or "silent", by CSC
	Groups [][]string        `json:"groups"` // those not there, a script for each group
}

func (s setState) want() want { return wantAll(s.d.CSCs, s.d.State) }

func (s setState) Prepare(ctx context.Context, a *Attempt) (any, error) {
	found, err := places(ctx, a, s.d.CSCs)
	if err != nil {
		return nil, err
	}
	var unknown []place
	evidence := setStateEvidence{Before: map[string]string{}, Groups: [][]string{}}
	for _, p := range found {
		evidence.Before[p.row.CSC] = p.state()
		if !p.known() && !p.in(s.d.State) {
			unknown = append(unknown, p)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("it can't be told which CSCs have to go to %s, since it is not known where these are; see in Chronograf whether the EFD takes data in, then retry:\n%s", s.d.State, lines(unknown))
	}
	evidence.Groups = s.groups(s.want().missing(found))
	return evidence, nil
}

// groups divides the CSCs among scripts, in their order. Those that are silent
// come last, and apart: the script fails on them, and would not get to the CSCs
// behind them (P41).
func (s setState) groups(missing []place) [][]string {
	size := s.d.GroupSize
	if size == 0 {
		size = len(s.d.CSCs)
	}
	var speaking, silent []string
	for _, p := range missing {
		if p.presence == efd.Speaking {
			speaking = append(speaking, p.row.CSC)
		} else {
			silent = append(silent, p.row.CSC)
		}
	}
	groups := [][]string{}
	for _, names := range [][]string{speaking, silent} {
		groups = slices.AppendSeq(groups, slices.Chunk(names, size))
	}
	return groups
}

// config returns the script's configuration for a group.
func (s setState) config(names []string) string {
	var b strings.Builder
	b.WriteString("data:\n")
	for _, name := range names {
		// A CSC without an index is named without one there.
		fmt.Fprintf(&b, "- [%s, %s]\n", strings.TrimSuffix(name, ":0"), s.d.State)
	}
	fmt.Fprintf(&b, "mute_alarms: %t\n", s.d.MuteAlarms)
	return b.String()
}

func (s setState) queueing(a *Attempt) *queueing {
	q := &queueing{a: a, queue: s.d.Queue, left: a.patience()}
	q.closes = s.d.State == plan.Offline && slices.Contains(s.d.CSCs, q.name())
	return q
}

func (s setState) Perform(ctx context.Context, a *Attempt) Finding {
	var evidence setStateEvidence
	if err := json.Unmarshal(a.Evidence, &evidence); err != nil {
		return Found(NotDone, "no script was added: the evidence of this attempt can't be read: %v", err)
	}
	if len(evidence.Groups) == 0 {
		return s.confirm(ctx, a)
	}
	q := s.queueing(a)
	var troubles []string
	for i, names := range evidence.Groups {
		trouble, stop := s.perform(ctx, q, i, names)
		if stop != nil && (stop.Verdict != NotDone || i == 0) {
			return *stop
		}
		troubles = append(troubles, trouble...)
		if stop != nil {
			break // nothing of this group was begun, but of those before it
		}
	}
	return s.settle(ctx, q, s.slow(a), troubles)
}

// confirm looks once more where all CSCs were found in their state already.
func (s setState) confirm(ctx context.Context, a *Attempt) Finding {
	missing, err := s.want().look(ctx, a)
	switch {
	case err != nil:
		return Found(NotDone, "no script was added, since all CSCs were found in %s; a second look failed: %v", s.d.State, err)
	case len(missing) > 0:
		return Found(NotDone, "no script was added, since all CSCs were found in %s; a moment later these were not:\n%s", s.d.State, lines(missing))
	}
	return Found(Done, "nothing to do: %s", s.all())
}

func (s setState) all() string {
	if len(s.d.CSCs) == 1 {
		return fmt.Sprintf("%s is %s", s.d.CSCs[0], s.d.State)
	}
	return fmt.Sprintf("all %d CSCs are %s", len(s.d.CSCs), s.d.State)
}

// perform has one script take a group to its state. trouble says what went
// wrong; stop is set where the attempt can't go on with the next group.
func (s setState) perform(ctx context.Context, q *queueing, i int, names []string) (trouble []string, stop *Finding) {
	end := func(f Finding) ([]string, *Finding) { return []string{f.Text}, &f }
	if problem := q.ready(ctx); problem != "" {
		return end(Found(NotDone, "%s", problem))
	}
	q.a.Progress("%s for %s", setStateScript, strings.Join(names, ", "))
	n, added, why := q.add(ctx, s.identity(q.a, i), setStateScript, true, s.config(names))
	switch added {
	case sentNot:
		return end(Found(NotDone, "%s was not added to %s: %s", setStateScript, q.name(), why))
	case sentUnknown:
		return end(Found(Unknown, "it is not known whether %s was added to %s for %s: %s", setStateScript, q.name(), strings.Join(names, ", "), why))
	}
	event, err := q.follow(ctx, n)
	switch {
	case event.Ended():
		return s.trouble(q, event), nil
	case errors.Is(err, errClosed):
		return nil, nil
	case event.Index == 0:
		return end(ended(err, Found(Unknown, "%s was added to %s, and %s; look at the queue in LOVE", numbered(n.Script), q.name(), q.unseen())))
	}
	return end(ended(err, Found(Running, "%s", describeScript(event))))
}

// settle judges by where the CSCs are, once the EFD can have it, at most after
// the time within.
func (s setState) settle(ctx context.Context, q *queueing, within time.Duration, troubles []string) Finding {
	// The scripts may have used up the time; what they did must still be seen.
	q.left.left = max(q.left.left, within)
	missing, err := s.want().await(ctx, q.a, q.left, within)
	if err != nil {
		return ended(err, Found(Unknown, "%v", err))
	}
	if len(missing) == 0 {
		return Found(Done, "%s", strings.Join(append([]string{s.all()}, troubles...), "\n"))
	}
	return s.short(missing, troubles)
}

// slow is how long after a script's end the EFD may take to show where the CSCs
// are: a CSC that ends its process is heard until its heartbeats are missed.
func (s setState) slow(a *Attempt) time.Duration { return 4*a.Systems.EFD.Lag() + commandLimit }

// short is the finding where some CSCs are not there and nothing is under way.
func (s setState) short(missing []place, troubles []string) Finding {
	text := fmt.Sprintf("%d of %d CSCs are %s; a retry takes only those that are not:\n%s", len(s.d.CSCs)-len(missing), len(s.d.CSCs), s.d.State, lines(missing))
	if len(troubles) > 0 {
		text += "\n" + strings.Join(troubles, "\n")
	}
	for _, p := range missing {
		if !p.known() {
			return Found(Unknown, "%s", text)
		}
	}
	return Found(Failed, "%s", text)
}

func (s setState) Probe(ctx context.Context, a *Attempt) Finding {
	q := s.queueing(a)
	n, begun := q.last(ctx, s.identities(a))
	if !begun {
		return s.look(ctx, a, NotDone, nil)
	}
	event, known, why := q.look(ctx, n)
	switch {
	case known == sentNot && n.Identity == s.identity(a, 0):
		return s.look(ctx, a, NotDone, []string{why})
	case known == sentNot:
		return s.rest(ctx, q, n, false, 0)
	case event.Ended():
		within := max(0, s.slow(a)-a.Systems.Clock.Since(event.At))
		if troubles := s.trouble(q, event); len(troubles) > 0 {
			return s.settle(ctx, q, within, troubles)
		}
		return s.rest(ctx, q, n, true, within)
	case q.closes && q.down(ctx):
		return s.settle(ctx, q, s.slow(a), nil)
	case known == sentYes:
		return Found(Running, "%s", describeScript(event))
	}
	// A script whose fate is not known would find nothing to do any more if all
	// CSCs are there.
	missing, err := s.want().look(ctx, a)
	text := fmt.Sprintf("it is not known what became of %s on %s: %s", setStateScript, q.name(), why)
	switch {
	case err != nil: // the EFD's, of which why tells
		return Found(Unknown, "%s", text)
	case len(missing) == 0 && a.unrecorded():
		return Found(Unknown, "%s\n%s, and may have been before", text, s.all())
	case len(missing) == 0:
		return Found(Done, "%s", s.all())
	}
	return Found(Unknown, "%s\n%s", text, s.short(missing, nil).Text)
}

// rest judges an attempt whose last script, that of the note, has ended or was
// never added. Where every CSC that was begun with is in its state, a new attempt
// can take the others without a question.
func (s setState) rest(ctx context.Context, q *queueing, n queueNote, added bool, within time.Duration) Finding {
	begun, left := s.begun(q.a, n, added)
	if len(left) == 0 {
		return s.settle(ctx, q, within, nil)
	}
	q.left.left = max(q.left.left, within)
	missing, err := wantAll(begun, s.d.State).await(ctx, q.a, q.left, within)
	switch {
	case err != nil:
		return ended(err, Found(Unknown, "%v", err))
	case len(missing) > 0:
		return s.settle(ctx, q, 0, nil)
	}
	return Found(CutShort, "what was begun came to its end; no script was added for %s", strings.Join(left, ", "))
}

// begun divides the step's CSCs: those that were there before, or whose script
// was begun, up to that of the note, and those behind it.
func (s setState) begun(a *Attempt, n queueNote, added bool) (begun, left []string) {
	var evidence setStateEvidence
	if json.Unmarshal(a.Evidence, &evidence) != nil {
		return s.d.CSCs, nil // Perform has begun nothing with such evidence
	}
	for i, names := range slices.Backward(evidence.Groups) {
		last := s.identity(a, i) == n.Identity
		if last && added {
			break
		}
		left = slices.Concat(names, left)
		if last {
			break
		}
	}
	begun = slices.DeleteFunc(slices.Clone(s.d.CSCs), func(c string) bool { return slices.Contains(left, c) })
	return begun, left
}

// identity is that of the script for the i-th group.
func (s setState) identity(a *Attempt, i int) string { return fmt.Sprintf("%s/g%d", a.Identity, i+1) }

// identities are those of the scripts that the attempt has at the most: where it is
// not recorded how the CSCs were found, one for each.
func (s setState) identities(a *Attempt) []string {
	var evidence setStateEvidence
	n := len(s.d.CSCs)
	if json.Unmarshal(a.Evidence, &evidence) == nil && len(evidence.Groups) > 0 {
		n = len(evidence.Groups)
	}
	names := make([]string, max(n, 1))
	for i := range names {
		names[i] = s.identity(a, i)
	}
	return names
}

// look judges by where the CSCs are where nothing is under way; short is the
// verdict if some are not there.
func (s setState) look(ctx context.Context, a *Attempt, short Verdict, troubles []string) Finding {
	missing, err := s.want().look(ctx, a)
	switch {
	case err != nil:
		return ended(err, Finding{})
	case len(missing) == 0 && a.unrecorded():
		// The step before this one may have yet to take them elsewhere.
		return Found(NotDone, "no script was added; %s, and a new attempt sees whether anything is to be done", s.all())
	case len(missing) == 0:
		return Found(Done, "%s", s.all())
	case short == NotDone:
		return Found(NotDone, "no script was added; %d of %d are not %s:\n%s", len(missing), len(s.d.CSCs), s.d.State, lines(missing))
	}
	return s.short(missing, troubles)
}

// trouble says what a script's end means for the operator, if anything.
func (s setState) trouble(q *queueing, e efd.ScriptEvent) []string {
	if e.Succeeded() || q.closes && e.ProcessState == efd.ProcessTerminated {
		return nil // a queue that closes terminates its scripts
	}
	return []string{fmt.Sprintf("script %d, %s, ended %s; %s", e.Index, e.Path, e.Outcome(), q.remedy(e))}
}

// Await waits for the script that runs. Groups behind it are left to a new
// attempt.
func (s setState) Await(ctx context.Context, a *Attempt) Finding {
	q := s.queueing(a)
	n, begun := q.last(ctx, s.identities(a))
	if !begun {
		return s.Probe(ctx, a)
	}
	event, err := q.follow(ctx, n)
	if err != nil && !errors.Is(err, errClosed) && !event.Ended() {
		return ended(err, Found(Running, "%s on %s has not ended", setStateScript, q.name()))
	}
	return s.Probe(ctx, a)
}

// Reading shows where the CSCs are.
func (s setState) Reading(ctx context.Context, a *Attempt) (string, error) {
	found, err := places(ctx, a, s.d.CSCs)
	if err != nil {
		return "", err
	}
	return lines(found), nil
}
