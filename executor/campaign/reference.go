package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
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

// direct are the effects that csu causes itself, at most once in each step. Their order
// is compared with needs and stages, too.
var direct = map[string]bool{
	rehearsal.ScriptAdded: true, rehearsal.CommandRun: true, rehearsal.Rebooted: true, rehearsal.JobDeleted: true,
	rehearsal.NamespaceGone: true, rehearsal.SyncStarted: true, rehearsal.LevelChanged: true, rehearsal.MessagePosted: true,
}

// Reference is a plan's undisturbed run at a seed.
type Reference struct {
	Setting
	effects map[string]int // how often each, by key
	// of says which step has a direct effect, by key and count: "key#1".
	of      map[string]string
	final   map[string]string
	records []journal.Record
	journal []byte
	steps   map[string][]string // the direct effects of each step, "key#1"
	list    []boundary
}

// errDisturbed says that the machine was too busy for a reference: at the site a
// second of its time is many minutes, and something ran into its limit.
var errDisturbed = errors.New("in the undisturbed run something failed, or was in doubt")

// Refer carries the plan out undisturbed, in a folder that is made inside dir,
// and returns that run. It tries three times where the machine is too busy.
func Refer(ctx context.Context, s Setting, dir string) (r *Reference, err error) {
	for n := range 3 {
		own := filepath.Join(dir, "undisturbed")
		if n > 0 {
			own += fmt.Sprintf("-%d", n+1)
		}
		if r, err = undisturbed(ctx, s, own); !errors.Is(err, errDisturbed) {
			break
		}
	}
	return r, err
}

func undisturbed(ctx context.Context, s Setting, dir string) (r *Reference, err error) {
	w, err := newWorld(ctx, s, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.site.Close()) }()
	res, _, err := w.live(ctx, Trigger{})
	if err == nil && res.End != executor.Completed {
		err = fmt.Errorf("the undisturbed run ended %q: %s", res.End, res.Text)
	}
	if err != nil {
		return nil, err
	}
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	if len(w.person.failed) > 0 || len(w.person.shown) > 0 {
		return nil, fmt.Errorf("%w: %q, %v", errDisturbed, w.person.failed, w.person.shown)
	}
	over, err := w.over()
	if err != nil {
		return nil, err
	}
	if r, err = NewReference(w.Setting, over); err != nil {
		return nil, err
	}
	r.journal = w.journal()
	if problems := r.Judge(over); len(problems) > 0 {
		return nil, fmt.Errorf("the undisturbed run: %s", strings.Join(problems, "; "))
	}
	return r, nil
}

// took is when a step's attempt was under way.
type took struct {
	step     string
	from, to int64
}

// NewReference makes a reference of an undisturbed run that is over.
func NewReference(s Setting, f Finished) (*Reference, error) {
	r := &Reference{
		Setting: s, records: f.Records, effects: map[string]int{}, of: map[string]string{}, steps: map[string][]string{},
		final: finalState(f.Effects),
	}
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
	for _, e := range f.Effects {
		k := key(e)
		r.effects[k]++
		if !direct[e.Kind] {
			continue
		}
		n := fmt.Sprintf("%s#%d", k, r.effects[k])
		var candidates []string
		at := e.Time.UnixNano()
		for _, s := range spans {
			// The commands of a build go on after its step.
			within := s.from <= at && at <= s.to || e.Detached != ""
			if within && r.had(s.step, e) && !slices.Contains(candidates, s.step) {
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
	r.list = r.boundaries(f.Effects)
	return r, nil
}

// had reports whether an effect is one of the step's.
func (r *Reference) had(id string, e rehearsal.Effect) bool {
	if e.Detached != "" && !slices.Contains(r.owners(e), id) {
		return false
	}
	for st := range r.Plan.AllSteps() {
		if st.ID != id {
			continue
		}
		switch a := st.Action.Parameters.(type) {
		case *plan.Script, *plan.SetState:
			return e.Kind == rehearsal.ScriptAdded && strings.Contains(e.Identity, "/"+id+"/")
		case *plan.SSH:
			return e.Kind == rehearsal.CommandRun && e.Subject == a.Host
		case *plan.Reboot:
			return (e.Kind == rehearsal.Rebooted || e.Kind == rehearsal.CommandRun) && e.Subject == a.Host
		case *plan.Delete:
			return e.Kind == rehearsal.NamespaceGone && a.Objects == plan.Namespaces ||
				e.Kind == rehearsal.JobDeleted && a.Objects == plan.Jobs && slices.ContainsFunc(a.CSCs, func(name string) bool {
					row, ok := r.Plan.CSC(name)
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
func (r *Reference) idle() (problems []string) {
	for st := range r.Plan.AllSteps() {
		a, _ := st.Action.Parameters.(*plan.SSH)
		switch kind := st.Action.Kind(); {
		case kind == plan.KindManual, kind == plan.KindAwaitState, a != nil && a.Purpose == plan.AwaitBuild:
		case len(r.steps[st.ID]) == 0:
			problems = append(problems, fmt.Sprintf("%s had no effect", st.ID))
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
			delete(s, "queue "+e.Subject) // one that is started anew is not paused
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
		case rehearsal.QueuePaused:
			s["queue "+e.Subject] = e.Kind
		case rehearsal.QueueResumed:
			delete(s, "queue "+e.Subject) // as it was found
		case rehearsal.SyncEnded:
			s["application "+e.Subject] = e.Detail
		case rehearsal.LedgerClaimed, rehearsal.LedgerReleased:
			s["ledger "+e.Subject] = e.Kind
		}
	}
	return s
}

// identity finds a step's id in what csu calls an attempt.
var identity = regexp.MustCompile(`csu-[0-9a-f]+/([a-z0-9.-]+/[a-z0-9.-]+)/[0-9]+`)

// stepOf returns the step that an effect's identity names; "" if it names none. The name
// of detached commands has underscores for the identity's slashes.
func stepOf(e rehearsal.Effect) string {
	for _, by := range []string{e.Identity, strings.ReplaceAll(e.Detached, "_", "/")} {
		if found := identity.FindStringSubmatch(by); found != nil {
			return found[1]
		}
	}
	return ""
}

// owners are the steps that may have had an effect: the one that its identity
// names, or those that had such effects undisturbed.
func (r *Reference) owners(e rehearsal.Effect) (ids []string) {
	if !direct[e.Kind] {
		return nil
	}
	if id := stepOf(e); id != "" {
		return []string{id}
	}
	k := key(e)
	for n := 1; n <= r.effects[k]; n++ {
		if id := r.of[fmt.Sprintf("%s#%d", k, n)]; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// boundary is a place at which a life can end, and whose step it is.
type boundary struct {
	kind    plan.Kind
	trigger Trigger
	place   int // of its step in the plan; -1 before all
}

// boundaries lists every place of the reference: each record, and each direct
// effect, before, in the middle and after.
func (r *Reference) boundaries(effects []rehearsal.Effect) []boundary {
	kinds, places := map[string]plan.Kind{}, map[string]int{}
	for st := range r.Plan.AllSteps() {
		kinds[st.ID], places[st.ID] = st.Action.Kind(), len(places)
	}
	var list []boundary
	add := func(step string, place int, t Trigger) {
		list = append(list, boundary{cmp.Or(kinds[step], "run"), t, place})
	}
	count := map[string]int{}
	for i := range r.records {
		k, place := recordKey(&r.records[i]), r.place(&r.records[i], places)
		count[k]++
		for _, at := range positions {
			add(r.records[i].Step, place, Trigger{On: OnRecord, Key: k, N: count[k], At: at})
		}
		switch r.records[i].Event {
		case journal.Started, journal.Noted:
			// The request that follows, and its answer.
			for n := 1; n <= 3; n++ {
				add(r.records[i].Step, place, Trigger{On: OnRequest, Key: k, N: count[k], Further: n})
				add(r.records[i].Step, place, Trigger{On: OnAnswer, Key: k, N: count[k], Further: n})
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
		for _, at := range []Position{Middle, After} {
			step := r.of[fmt.Sprintf("%s#%d", k, count[k])]
			add(step, places[step], Trigger{On: OnEffect, Key: k, N: count[k], At: at})
		}
	}
	return list
}

// place is that of the step which a record is about, or of the stage's first or
// last one.
func (r *Reference) place(rec *journal.Record, places map[string]int) int {
	if rec.Step != "" {
		return places[rec.Step]
	}
	if rec.Event == journal.Complete {
		return len(places)
	}
	for i := range r.Plan.Stages {
		stage := &r.Plan.Stages[i]
		switch {
		case stage.ID != rec.Stage || len(stage.Steps) == 0:
		case rec.Event == journal.StageDone:
			return places[stage.Steps[len(stage.Steps)-1].ID]
		default:
			return places[stage.Steps[0].ID]
		}
	}
	return -1
}
