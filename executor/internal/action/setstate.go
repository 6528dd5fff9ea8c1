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

// setStateScript is the standard script of ts_standardscripts. Its configuration
// is a list of CSCs with their target states, which it processes in order until
// one fails.
const setStateScript = "set_summary_state.py"

// setState brings CSCs to a state with set_summary_state.py. It is judged by the
// states of the CSCs afterwards. How the script ended is only reported.
type setState struct{ d *plan.SetState }

// Traits implements [Performer].
func (setState) Traits() Traits { return Traits{Identified: true} }

// setStateEvidence is the state of the CSCs before, and how the rest is divided
// among scripts.
type setStateEvidence struct {
	Before map[string]string `json:"before"` // state or "silent", by CSC
	Groups [][]string        `json:"groups"` // the CSCs not in the state, one script per group
}

func (s setState) want() want { return wantAll(s.d.CSCs, s.d.State) }

func (s setState) Prepare(ctx context.Context, a *Attempt) (any, error) {
	found, err := observe(ctx, a, s.d.CSCs)
	if err != nil {
		return nil, err
	}
	var unknown []observation
	evidence := setStateEvidence{Before: map[string]string{}, Groups: [][]string{}}
	for _, p := range found {
		evidence.Before[p.row.CSC] = p.state()
		if !p.known() && !p.in(s.d.State) {
			unknown = append(unknown, p)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("cannot determine which CSCs must go to %s: the states of these are unknown; check in Chronograf that the EFD is ingesting data, then retry:\n%s", s.d.State, lines(unknown))
	}
	evidence.Groups = s.groups(s.want().missing(found))
	return evidence, nil
}

// groups divides the CSCs among scripts, in order. Silent CSCs come last, in
// groups of their own: the script fails on them and would not reach the CSCs after
// them (P41).
func (s setState) groups(missing []observation) [][]string {
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
		// The script wants a CSC without an index named without one.
		fmt.Fprintf(&b, "- [%s, %s]\n", strings.TrimSuffix(name, ":0"), s.d.State)
	}
	fmt.Fprintf(&b, "mute_alarms: %t\n", s.d.MuteAlarms)
	return b.String()
}

func (s setState) queueing(a *Attempt) *queueing {
	q := &queueing{a: a, queue: s.d.Queue, limit: a.limit()}
	q.closes = s.d.State == plan.Offline && slices.Contains(s.d.CSCs, q.name())
	return q
}

func (s setState) Perform(ctx context.Context, a *Attempt) Finding {
	var evidence setStateEvidence
	if err := json.Unmarshal(a.Evidence, &evidence); err != nil {
		return Found(NotDone, "no script was added: cannot read the evidence of this attempt: %v", err)
	}
	if len(evidence.Groups) == 0 {
		return s.confirm(ctx, a)
	}
	q := s.queueing(a)
	var problems []string
	for i, names := range evidence.Groups {
		problem, stop := s.perform(ctx, q, i, names)
		if stop != nil && (stop.Verdict != NotDone || i == 0) {
			return *stop
		}
		problems = append(problems, problem...)
		if stop != nil {
			break // this group was not started, but those before it were
		}
	}
	return s.settle(ctx, q, s.settleTime(a), problems)
}

// confirm checks once more that all CSCs are in their state, since Prepare found
// them there.
func (s setState) confirm(ctx context.Context, a *Attempt) Finding {
	missing, err := s.want().missingTwice(ctx, a)
	switch {
	case err != nil:
		return Found(NotDone, "no script was added, since all CSCs were in %s, but a second check failed: %v", s.d.State, err)
	case len(missing) > 0:
		return Found(NotDone, "no script was added, since all CSCs were in %s, but a moment later these were not:\n%s", s.d.State, lines(missing))
	}
	return Found(Done, "nothing to do: %s", s.all())
}

func (s setState) all() string {
	if len(s.d.CSCs) == 1 {
		return fmt.Sprintf("%s is %s", s.d.CSCs[0], s.d.State)
	}
	return fmt.Sprintf("all %d CSCs are %s", len(s.d.CSCs), s.d.State)
}

// perform brings one group to the state with one script. problems says what went
// wrong. stop is set if the attempt cannot continue with the next group.
func (s setState) perform(ctx context.Context, q *queueing, i int, names []string) (problems []string, stop *Finding) {
	end := func(f Finding) ([]string, *Finding) { return []string{f.Text}, &f }
	if problem := q.ready(ctx); problem != "" {
		return end(Found(NotDone, "%s", problem))
	}
	q.a.Progress("adding %s for %s", setStateScript, strings.Join(names, ", "))
	n, result, why := q.add(ctx, s.identity(q.a, i), setStateScript, true, s.config(names))
	switch result {
	case addedNo:
		return end(Found(NotDone, "%s was not added to %s: %s", setStateScript, q.name(), why))
	case addedUnknown:
		return end(Found(Unknown, "cannot determine whether %s was added to %s for %s: %s", setStateScript, q.name(), strings.Join(names, ", "), why))
	}
	event, err := q.follow(ctx, n)
	switch {
	case event.Ended():
		return s.problems(ctx, q, event), nil
	case errors.Is(err, errClosed):
		return nil, nil
	case event.Index == 0:
		return end(unfinished(err, Found(Unknown, "%s was added to %s, but %s; check the queue in LOVE", numbered(n.Script), q.name(), q.unseen())))
	}
	return end(unfinished(err, Found(Running, "%s", describeScript(event))))
}

// settle judges by the states of the CSCs. It gives the EFD up to within to show
// them.
func (s setState) settle(ctx context.Context, q *queueing, within time.Duration, problems []string) Finding {
	// The scripts may have used up the time, but csu must still see their effect.
	q.limit.Extend(within)
	missing, err := s.want().await(ctx, q.a, q.limit, within)
	if err != nil {
		return unfinished(err, Found(Unknown, "%v", err))
	}
	if len(missing) == 0 {
		return Found(Done, "%s", strings.Join(append([]string{s.all()}, problems...), "\n"))
	}
	return s.incomplete(missing, problems)
}

// settleTime is how long after a script's end the EFD may take to show the states
// of the CSCs. A CSC that has ended its process counts as heard until its
// heartbeats are missed.
func (s setState) settleTime(a *Attempt) time.Duration { return 4*a.Systems.EFD.Lag() + commandLimit }

// incomplete returns the finding if some CSCs are not in the state and nothing is
// under way.
func (s setState) incomplete(missing []observation, problems []string) Finding {
	text := fmt.Sprintf("%d of %d CSCs are %s; a retry takes only the rest:\n%s", len(s.d.CSCs)-len(missing), len(s.d.CSCs), s.d.State, lines(missing))
	if len(problems) > 0 {
		text += "\n" + strings.Join(problems, "\n")
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
		return s.notAdded(ctx, a)
	}
	event, result, why := q.resolve(ctx, n)
	switch {
	case result == addedNo && n.Identity == s.identity(a, 0):
		return s.notAdded(ctx, a)
	case result == addedNo:
		return s.rest(ctx, q, n, false, 0)
	case event.Ended():
		within := max(0, s.settleTime(a)-a.Systems.Clock.Since(event.At))
		if problems := s.problems(ctx, q, event); len(problems) > 0 {
			return s.settle(ctx, q, within, problems)
		}
		return s.rest(ctx, q, n, true, within)
	case q.closes && q.down(ctx):
		return s.settle(ctx, q, s.settleTime(a), nil)
	case result == addedYes:
		return Found(Running, "%s", describeScript(event))
	}
	// If all CSCs are in the state, it does not matter what became of the script:
	// it would have nothing left to do.
	missing, err := s.want().missingTwice(ctx, a)
	text := fmt.Sprintf("cannot determine what became of %s on %s: %s", setStateScript, q.name(), why)
	switch {
	case err != nil: // the EFD failed, as why already says
		return Found(Unknown, "%s", text)
	case len(missing) == 0 && a.unrecorded():
		return Found(Unknown, "%s\n%s, but may have been before", text, s.all())
	case len(missing) == 0:
		return Found(Done, "%s", s.all())
	}
	return Found(Unknown, "%s\n%s", text, s.incomplete(missing, nil).Text)
}

// rest judges an attempt whose last script, the one in the note, has ended or was
// never added. If every CSC handled so far is in the state, a new attempt can take
// the others without a question.
func (s setState) rest(ctx context.Context, q *queueing, n queueNote, added bool, within time.Duration) Finding {
	begun, left := s.begun(q.a, n, added)
	if len(left) == 0 {
		return s.settle(ctx, q, within, nil)
	}
	q.limit.Extend(within)
	missing, err := wantAll(begun, s.d.State).await(ctx, q.a, q.limit, within)
	switch {
	case err != nil:
		return unfinished(err, Found(Unknown, "%v", err))
	case len(missing) > 0:
		return s.settle(ctx, q, 0, nil)
	}
	return Found(CutShort, "the CSCs handled so far are %s; no script was added for %s", s.d.State, strings.Join(left, ", "))
}

// begun divides the step's CSCs. The first part was in the state before or belongs
// to a script that was added, up to the one in the note. The rest is left to do.
func (s setState) begun(a *Attempt, n queueNote, added bool) (begun, left []string) {
	var evidence setStateEvidence
	if json.Unmarshal(a.Evidence, &evidence) != nil {
		return s.d.CSCs, nil // Perform starts nothing with such evidence
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

// identity returns the identity of the script for group i.
func (s setState) identity(a *Attempt, i int) string { return fmt.Sprintf("%s/g%d", a.Identity, i+1) }

// identities returns the identities of all scripts that the attempt may have. If
// the groups were not recorded, there may be one script per CSC.
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

// notAdded judges an attempt that has added no script by the states of the CSCs.
func (s setState) notAdded(ctx context.Context, a *Attempt) Finding {
	missing, err := s.want().missingTwice(ctx, a)
	switch {
	case err != nil:
		return unfinished(err, Finding{})
	case len(missing) == 0 && a.unrecorded():
		// An earlier step may still have to take them to another state.
		return Found(NotDone, "no script was added; %s, and a new attempt checks whether anything is left to do", s.all())
	case len(missing) == 0:
		return Found(Done, "%s", s.all())
	}
	return Found(NotDone, "no script was added; %d of %d are not %s:\n%s", len(missing), len(s.d.CSCs), s.d.State, lines(missing))
}

// problems describes a script that did not succeed, and what the operator can do.
func (s setState) problems(ctx context.Context, q *queueing, e efd.ScriptEvent) []string {
	if e.Succeeded() || q.closes && e.ProcessState == efd.ProcessTerminated {
		return nil // a queue that goes down terminates its scripts
	}
	return []string{fmt.Sprintf("script %d, %s, ended %s; %s", e.Index, e.Path, e.Outcome(), q.account(ctx, e))}
}

// Await waits for the running script. The groups after it are left to a new
// attempt.
func (s setState) Await(ctx context.Context, a *Attempt) Finding {
	q := s.queueing(a)
	n, begun := q.last(ctx, s.identities(a))
	if !begun {
		return s.Probe(ctx, a)
	}
	event, err := q.follow(ctx, n)
	if err != nil && !errors.Is(err, errClosed) && !event.Ended() {
		return unfinished(err, Found(Running, "%s on %s has not ended", setStateScript, q.name()))
	}
	return s.Probe(ctx, a)
}

// Look implements [Performer].
func (s setState) Look(ctx context.Context, a *Attempt) Finding { return lookAtStates(ctx, a) }

// Reading returns the states of the CSCs.
func (s setState) Reading(ctx context.Context, a *Attempt) (string, error) {
	found, err := observe(ctx, a, s.d.CSCs)
	if err != nil {
		return "", err
	}
	return lines(found), nil
}
