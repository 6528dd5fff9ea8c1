package campaign

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/state"
)

// Finished is a run that is over, for a judge.
type Finished struct {
	Records []journal.Record
	State   *state.State
	Effects []rehearsal.Effect // the site's
	Hands   []Hand
	// Trusting says that what was done by hand was not noted.
	Trusting bool
}

// Hand is a manual step that a person has done, when the site's record had so
// many effects.
type Hand struct {
	Step string
	At   int
}

// Judge compares a run that is over with its reference, and returns what is wrong: an
// effect that happened twice, not at all, too early, or before its intent was recorded;
// an identity that was used twice; an unresolved doubt; a different final state.
func (r *Reference) Judge(f Finished) []string {
	j := &judge{Reference: r, over: f}
	j.counts()
	return j.judge()
}

// JudgeFaulted is Judge for a run at a site where something went wrong, so that steps
// had to be done again, or by hand: each of csu's own effects happened at most once in
// each attempt, and once if csu did the step.
func (r *Reference) JudgeFaulted(f Finished) []string {
	j := &judge{Reference: r, over: f}
	j.attempts()
	return j.judge()
}

type judge struct {
	*Reference
	over     Finished
	problems []string
}

func (j *judge) judge() []string {
	j.ended()
	j.order()
	j.intent()
	j.identities()
	j.doubts()
	j.people()
	is := finalState(j.over.Effects)
	all := maps.Clone(j.final)
	maps.Copy(all, is)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		if is[what] != j.final[what] {
			j.wrong("at the end %s is %q, and %q undisturbed", what, is[what], j.final[what])
		}
	}
	slices.Sort(j.problems)
	return j.problems
}

func (j *judge) wrong(format string, args ...any) {
	j.problems = append(j.problems, fmt.Sprintf(format, args...))
}

// ended: the run is complete, and every step is finished.
func (j *judge) ended() {
	if j.over.State.Ended != journal.Complete {
		j.wrong("the journal ends %q", j.over.State.Ended)
	}
	for id, st := range j.over.State.Steps {
		if !st.Phase.Finished() {
			j.wrong("step %s is %s at the end", id, st.Phase)
		}
		if st.Phase == state.Done && st.Attempt == 0 {
			j.wrong("step %s is done without an attempt", id)
		}
	}
}

// counts: everything in the undisturbed run happened here as often.
func (j *judge) counts() {
	perhaps := map[string]bool{} // effects of messages that may be missing
	for id, st := range j.over.State.Steps {
		if st.Phase == state.PerhapsSent || st.Phase == state.Reported {
			for _, n := range j.steps[id] {
				k := n[:strings.LastIndexByte(n, '#')]
				perhaps[k] = st.Step.Action.Kind() == plan.KindAnnounce
			}
		}
	}
	got := map[string]int{}
	for _, e := range j.over.Effects {
		got[key(e)]++
	}
	keys := maps.Clone(j.effects)
	maps.Copy(keys, got)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		have, want := got[k], j.effects[k]
		switch {
		case strings.HasPrefix(k, "ledger "): // claimed again by each life; what counts is where it ends
		case have > want:
			j.wrong("happened %d times, and %d undisturbed: %s", have, want, k)
		case have < want && !perhaps[k]:
			j.wrong("left out: happened %d times, and %d undisturbed: %s", have, want, k)
		}
	}
}

// attempts: each direct effect of a step happened at most once in each of its attempts,
// and did happen if csu did the step.
func (j *judge) attempts() {
	got := map[string]int{}
	for _, e := range j.over.Effects {
		if direct[e.Kind] {
			got[key(e)]++
		}
	}
	most, least := map[string]int{}, map[string]int{}
	for id, st := range j.over.State.Steps {
		for _, n := range j.steps[id] {
			k := n[:strings.LastIndexByte(n, '#')]
			most[k] += st.Attempt
			if st.Phase == state.Done {
				least[k]++
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if got[k] > most[k] {
			j.wrong("happened %d times, and its steps have %d attempts: %s", got[k], most[k], k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(least)) {
		if got[k] < least[k] {
			j.wrong("left out: happened %d times, and %d undisturbed: %s", got[k], least[k], k)
		}
	}
}

// moments are the places of each step's effects, and of what was done by hand, in
// the order of all.
func (j *judge) moments() map[string][]int {
	at := map[string][]int{}
	for i, e := range j.over.Effects {
		if ids := j.owners(e); len(ids) == 1 {
			at[ids[0]] = append(at[ids[0]], 2*i+1)
		}
	}
	for _, h := range j.over.Hands {
		at[h.Step] = append(at[h.Step], 2*h.At)
	}
	return at
}

// order: nothing happened before what it needs, nor before the stages before. A build is
// over with the step that awaits it.
func (j *judge) order() {
	at := j.moments()
	over := maps.Clone(at)
	for st := range j.Plan.AllSteps() {
		if a, ok := st.Action.Parameters.(*plan.SSH); ok && a.Build != "" {
			over[st.ID] = slices.Concat(at[st.ID], at[a.Build])
			delete(over, a.Build)
		}
	}
	follows := func(id, need string) {
		if len(at[id]) > 0 && len(over[need]) > 0 && slices.Min(at[id]) < slices.Max(over[need]) {
			j.wrong("%s had an effect before %s was over", id, need)
		}
	}
	for i := range j.Plan.Stages {
		for _, st := range j.Plan.Stages[i].Steps {
			for _, need := range st.Needs {
				follows(st.ID, need)
			}
			for k := range i {
				for _, earlier := range j.Plan.Stages[k].Steps {
					follows(st.ID, earlier.ID)
				}
			}
			for _, final := range j.Plan.Final {
				follows(final.ID, st.ID)
			}
		}
	}
}

// intent: no direct effect without a started record before it.
func (j *judge) intent() {
	began := map[string]int64{}
	for _, r := range j.over.Records {
		if r.Event == journal.Started && began[r.Step] == 0 {
			began[r.Step] = r.Time.UnixNano()
		}
	}
	for _, e := range j.over.Effects {
		ids := j.owners(e)
		earliest := int64(0)
		for _, id := range ids {
			if b := began[id]; b != 0 && (earliest == 0 || b < earliest) {
				earliest = b
			}
		}
		if len(ids) > 0 && (earliest == 0 || e.Time.UnixNano() < earliest) {
			j.wrong("%s had an effect before its started record: %s", strings.Join(ids, " or "), key(e))
		}
	}
}

// identities: none was used twice, and no Job was deleted that came later.
func (j *judge) identities() {
	seen := map[string]bool{}
	for _, e := range j.over.Effects {
		switch e.Kind {
		case rehearsal.ScriptAdded, rehearsal.SyncStarted, rehearsal.JobDeleted:
			if seen[e.Kind+e.Identity] {
				j.wrong("the identity %s was used twice: %s", e.Identity, key(e))
			}
			seen[e.Kind+e.Identity] = true
		case rehearsal.JobCreated:
			seen["created "+e.Identity] = true
		}
		if e.Kind == rehearsal.JobDeleted && seen["created "+e.Identity] {
			j.wrong("a Job was deleted that came after: %s", key(e))
		}
	}
}

// doubts: what a life left open, its probe resolved with evidence, or the
// operator was shown.
func (j *judge) doubts() {
	open, taken := map[string]bool{}, map[string]bool{}
	for _, r := range j.over.Records {
		switch r.Event {
		case journal.Started:
			open[r.Step] = true
		case journal.Resumed:
			taken = maps.Clone(open)
		case journal.Outcome:
			if taken[r.Step] && (r.Via == "perform" || r.Text == "") {
				j.wrong("what was in doubt was resolved without its probe: %s, via %q: %q", r.Step, r.Via, r.Text)
			}
			delete(open, r.Step)
			delete(taken, r.Step)
		case journal.Answered:
			if operator.Topic(r.Answer.Topic) == operator.InDoubt && r.Answer.Choice != string(operator.KeepWaiting) {
				delete(open, r.Step)
				delete(taken, r.Step)
			}
		case journal.Doubtful:
			if r.Reported {
				delete(open, r.Step)
				delete(taken, r.Step)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		j.wrong("%s was left open", id)
	}
}

// people: what a person does was done once.
func (j *judge) people() {
	done := map[string]int{}
	for _, h := range j.over.Hands {
		done[h.Step]++
	}
	for st := range j.Plan.AllSteps() {
		if st.Action.Kind() == plan.KindManual && !j.over.Trusting && done[st.ID] != 1 {
			j.wrong("%s was done by hand %d times", st.ID, done[st.ID])
		}
	}
}
