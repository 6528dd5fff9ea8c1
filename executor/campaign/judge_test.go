package campaign

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// folder is where a simulated host's files are, which is another in each case.
var folder = regexp.MustCompile(`/\S*/hosts/[^/]*/`)

// key names an effect so that it is the same in every run at a seed.
func key(e rehearsal.Effect) string {
	detail := folder.ReplaceAllString(e.Detail, "/")
	return strings.NewReplacer("|", "/", ";", ",").Replace(strings.Join([]string{e.Kind, e.Subject, detail}, " "))
}

// direct are the effects that csu has by itself, and that each step may have
// once: they are held against needs and stages as well.
var direct = map[string]bool{
	rehearsal.ScriptAdded: true, rehearsal.CommandRun: true, rehearsal.Rebooted: true, rehearsal.JobDeleted: true,
	rehearsal.NamespaceGone: true, rehearsal.SyncStarted: true, rehearsal.LevelChanged: true, rehearsal.MessagePosted: true,
}

// reference is a plan's undisturbed run.
type reference struct {
	plan    *plan.Plan
	digest  string
	effects map[string]int // how often each, by key
	// of says which step has a direct effect, by key and count: "key#1".
	of      map[string]string
	final   map[string]string
	records []journal.Record
	journal []byte
	steps   map[string][]string // the direct effects of each step, "key#1"
}

// took is when a step's attempt was under way.
type took struct {
	step     string
	from, to int64
}

// refer makes a reference of a run that is over.
func refer(w *world) (*reference, error) {
	r := &reference{plan: w.plan, digest: w.digest, effects: map[string]int{}, of: map[string]string{}, steps: map[string][]string{}}
	var err error
	if r.records, err = w.records(); err != nil {
		return nil, err
	}
	r.journal, _ = w.disk.Content(w.name)
	var spans []took
	open := map[string]int64{}
	for _, rec := range r.records {
		switch rec.Event {
		case journal.Started:
			open[rec.Step] = rec.Time.UnixNano()
		case journal.Outcome:
			spans = append(spans, took{rec.Step, open[rec.Step], rec.Time.UnixNano()})
		}
	}
	record := w.site.Record()
	for _, e := range record {
		k := key(e)
		r.effects[k]++
		if !direct[e.Kind] {
			continue
		}
		n := fmt.Sprintf("%s#%d", k, r.effects[k])
		var candidates []string
		at := e.Time.UnixNano()
		for _, s := range spans {
			if s.from <= at && at <= s.to && r.had(s.step, e) {
				candidates = append(candidates, s.step)
			}
		}
		if len(candidates) == 0 {
			return nil, fmt.Errorf("the effect %q was had by no step that was recorded as started", n)
		}
		if len(candidates) > 1 {
			return nil, fmt.Errorf("the effect %q may belong to each of the steps %q", n, candidates)
		}
		r.of[n] = candidates[0]
		r.steps[candidates[0]] = append(r.steps[candidates[0]], n)
	}
	r.final = finalState(record)
	return r, nil
}

// had tells whether an effect is one that a step has.
func (r *reference) had(id string, e rehearsal.Effect) bool {
	for st := range r.plan.AllSteps() {
		if st.ID != id {
			continue
		}
		switch a := st.Action.Doer.(type) {
		case *plan.Script, *plan.SetState:
			return e.Kind == rehearsal.ScriptAdded && strings.Contains(e.Identity, "/"+id+"/")
		case *plan.SSH:
			return e.Kind == rehearsal.CommandRun && e.Subject == a.Host
		case *plan.Reboot:
			return (e.Kind == rehearsal.Rebooted || e.Kind == rehearsal.CommandRun) && e.Subject == a.Host
		case *plan.Delete:
			return e.Kind == rehearsal.NamespaceGone && a.Objects == plan.Namespaces ||
				e.Kind == rehearsal.JobDeleted && a.Objects == plan.Jobs && slices.ContainsFunc(a.CSCs, func(name string) bool {
					row, ok := r.plan.CSC(name)
					return ok && row.Job != nil && row.Job.Namespace+"/"+row.Job.Name == e.Subject
				})
		case *plan.Sync:
			return e.Kind == rehearsal.SyncStarted && e.Subject == a.Application
		case *plan.Compatibility:
			return e.Kind == rehearsal.LevelChanged
		case *plan.Announce:
			return e.Kind == rehearsal.MessagePosted && e.Subject == a.Channel && e.Detail == a.Text
		}
	}
	return false
}

// idle names the steps of a plan that should have had an effect and had none.
func (r *reference) idle() (problems []string) {
	for st := range r.plan.AllSteps() {
		switch st.Action.Kind() {
		case plan.KindManual, plan.KindAwaitState:
		default:
			if len(r.steps[st.ID]) == 0 {
				problems = append(problems, fmt.Sprintf("%s had no effect", st.ID))
			}
		}
	}
	return problems
}

// finalState is what a site is like after its effects.
func finalState(effects []rehearsal.Effect) map[string]string {
	s := map[string]string{}
	for _, e := range effects {
		switch e.Kind {
		case rehearsal.CSCFound, rehearsal.CSCUp:
			s["csc "+e.Subject] = e.Detail
		case rehearsal.CSCDown:
			s["csc "+e.Subject] = "silent"
		case rehearsal.StateChanged:
			_, now, _ := strings.Cut(e.Detail, " -> ")
			s["csc "+e.Subject] = now
		case rehearsal.ServiceStop, rehearsal.ServiceStart:
			s["service "+e.Subject+" "+e.Detail] = e.Kind
		case rehearsal.Rebooted, rehearsal.HostUp:
			s["host "+e.Subject] = e.Kind
		case rehearsal.JobCreated:
			s["job "+e.Subject] = e.Detail
		case rehearsal.JobDeleted:
			s["job "+e.Subject] = "none"
		case rehearsal.NamespaceGone:
			s["namespace "+e.Subject] = "none"
		case rehearsal.LevelChanged:
			_, now, _ := strings.Cut(e.Detail, " -> ")
			s["level "+e.Subject] = now
		case rehearsal.QueuePaused, rehearsal.QueueResumed:
			s["queue "+e.Subject] = e.Kind
		case rehearsal.SyncEnded:
			s["application "+e.Subject] = e.Detail
		case rehearsal.LeaseCreated, rehearsal.LeaseDeleted:
			s["lease "+e.Subject] = e.Kind
		}
	}
	return s
}

// judge holds a case that came to its end against its reference, and returns
// what is wrong.
func (r *reference) judge(w *world) []string {
	j := &judge{reference: r, world: w, effects: w.site.Record()}
	var err error
	if j.records, err = w.records(); err != nil {
		return []string{err.Error()}
	}
	if j.state, err = executor.ReadState(w.fs, w.name, w.plan, w.digest); err != nil {
		return []string{err.Error()}
	}
	j.ended()
	j.counts()
	j.order()
	j.intent()
	j.identities()
	j.doubts()
	j.people()
	for what, is := range finalState(j.effects) {
		if want := r.final[what]; is != want {
			j.wrong("at the end %s is %q, and %q undisturbed", what, is, want)
		}
	}
	slices.Sort(j.problems)
	return j.problems
}

type judge struct {
	*reference
	world    *world
	state    *executor.State
	records  []journal.Record
	effects  []rehearsal.Effect
	problems []string
}

func (j *judge) wrong(format string, args ...any) {
	j.problems = append(j.problems, fmt.Sprintf(format, args...))
}

// ended: the run is complete, and every step is finished.
func (j *judge) ended() {
	if j.state.Ended != executor.Completed {
		j.wrong("the journal ends %q", j.state.Ended)
	}
	for id, st := range j.state.Steps {
		if !st.Phase.Finished() {
			j.wrong("step %s is %s at the end", id, st.Phase)
		}
		if st.Phase == executor.Done && st.Attempt == 0 {
			j.wrong("step %s is done without an attempt", id)
		}
	}
}

// counts: what happened undisturbed happened, as often.
func (j *judge) counts() {
	perhaps := map[string]bool{} // effects of messages that may be missing
	for id, st := range j.state.Steps {
		if st.Phase == executor.PerhapsSent || st.Phase == executor.Reported {
			for _, n := range j.steps[id] {
				k := n[:strings.LastIndexByte(n, '#')]
				perhaps[k] = st.Step.Action.Kind() == plan.KindAnnounce
			}
		}
	}
	got := map[string]int{}
	for _, e := range j.effects {
		got[key(e)]++
	}
	keys := maps.Clone(j.reference.effects)
	maps.Copy(keys, got)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		have, want := got[k], j.reference.effects[k]
		switch {
		case strings.HasPrefix(k, "lease "): // acquired again by each life; what counts is where it ends
		case have > want:
			j.wrong("happened %d times, and %d undisturbed: %s", have, want, k)
		case have < want && !perhaps[k]:
			j.wrong("left out: happened %d times, and %d undisturbed: %s", have, want, k)
		}
	}
}

// identity finds a step's id in what csu calls an attempt.
var identity = regexp.MustCompile(`csu-[0-9a-f]+/([a-z0-9.-]+/[a-z0-9.-]+)/[0-9]+`)

// owners are the steps that may have had an effect: the one that its identity
// names, or those that had such effects undisturbed.
func (r *reference) owners(e rehearsal.Effect) (ids []string) {
	if !direct[e.Kind] {
		return nil
	}
	if found := identity.FindStringSubmatch(e.Identity); found != nil {
		return found[1:]
	}
	k := key(e)
	for n := 1; n <= r.effects[k]; n++ {
		if id := r.of[fmt.Sprintf("%s#%d", k, n)]; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// moments are the places of each step's effects, and of what was done by hand, in
// the order of all.
func (j *judge) moments() map[string][]int {
	at := map[string][]int{}
	for i, e := range j.effects {
		if ids := j.owners(e); len(ids) == 1 {
			at[ids[0]] = append(at[ids[0]], 2*i+1)
		}
	}
	for _, h := range j.world.person.hands {
		at[h.step] = append(at[h.step], 2*h.at)
	}
	return at
}

// order: nothing happened before what it needs, nor before the stages before.
func (j *judge) order() {
	at := j.moments()
	follows := func(id, need string) {
		if len(at[id]) > 0 && len(at[need]) > 0 && slices.Min(at[id]) < slices.Max(at[need]) {
			j.wrong("%s had an effect before %s was over", id, need)
		}
	}
	for i := range j.plan.Stages {
		for _, st := range j.plan.Stages[i].Steps {
			for _, need := range st.Needs {
				follows(st.ID, need)
			}
			for k := range i {
				for _, earlier := range j.plan.Stages[k].Steps {
					follows(st.ID, earlier.ID)
				}
			}
			for _, final := range j.plan.Final {
				follows(final.ID, st.ID)
			}
		}
	}
}

// intent: no direct effect without a started record before it.
func (j *judge) intent() {
	began := map[string]int64{}
	for _, r := range j.records {
		if r.Event == journal.Started && began[r.Step] == 0 {
			began[r.Step] = r.Time.UnixNano()
		}
	}
	for _, e := range j.effects {
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
	for _, e := range j.effects {
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
	for _, r := range j.records {
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
	for _, h := range j.world.person.hands {
		done[h.step]++
	}
	for st := range j.plan.AllSteps() {
		if st.Action.Kind() == plan.KindManual && !j.world.person.trusting && done[st.ID] != 1 {
			j.wrong("%s was done by hand %d times", st.ID, done[st.ID])
		}
	}
}

// boundary is a place at which a life can end, and whose step it is.
type boundary struct {
	kind    plan.Kind
	trigger trigger
}

// boundaries lists every place of the reference: each record, and each direct
// effect, before, in the middle and after.
func (r *reference) boundaries(effects []rehearsal.Effect) []boundary {
	kinds := map[string]plan.Kind{}
	for st := range r.plan.AllSteps() {
		kinds[st.ID] = st.Action.Kind()
	}
	var list []boundary
	add := func(step string, t trigger) {
		kind := cmp.Or(kinds[step], "run")
		list = append(list, boundary{kind, t})
	}
	count := map[string]int{}
	for i := range r.records {
		k := recordKey(&r.records[i])
		count[k]++
		for _, at := range positions {
			add(r.records[i].Step, trigger{On: onRecord, Key: k, N: count[k], At: at})
		}
		switch r.records[i].Event {
		case journal.Started, journal.Noted:
			// The request that follows, and its answer.
			for n := 1; n <= 3; n++ {
				add(r.records[i].Step, trigger{On: onRequest, Key: k, N: count[k], After: n})
				add(r.records[i].Step, trigger{On: onAnswer, Key: k, N: count[k], After: n})
			}
		}
	}
	count = map[string]int{}
	for _, e := range effects {
		k := key(e)
		count[k]++
		if !direct[e.Kind] {
			continue
		}
		for _, at := range []position{middle, after} {
			add(r.of[fmt.Sprintf("%s#%d", k, count[k])], trigger{On: onEffect, Key: k, N: count[k], At: at})
		}
	}
	return list
}
