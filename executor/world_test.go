package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/owner"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// world is what the steps of a test act on: it remembers every effect, and the
// tests ask it, not the executor, what happened. Its performers do what the test
// scripts; unscripted ones succeed, and their probes tell the truth.
type world struct {
	t *testing.T

	mu       sync.Mutex
	effects  []string                  // identities, in the order of their effects
	verdicts map[string]action.Verdict // by identity
	prepared []string
	running  map[string]int // by resource
	most     int            // that ran at once
	script   map[string]behaviour
}

// behaviour replaces what a step does; nil fields leave the world's own way.
type behaviour struct {
	prepare func(ctx context.Context, a *action.Attempt) (any, error)
	perform func(ctx context.Context, a *action.Attempt) action.Finding
	probe   func(ctx context.Context, a *action.Attempt) action.Finding
	await   func(ctx context.Context, a *action.Attempt) action.Finding
	look    func(ctx context.Context, a *action.Attempt) action.Finding
	reading string
	// readings replaces reading where it changes.
	readings func() string
}

func newWorld(t *testing.T) *world {
	return &world{t: t, verdicts: map[string]action.Verdict{}, running: map[string]int{}, script: map[string]behaviour{}}
}

// effect makes the effect of an attempt, which must be its first.
func (w *world) effect(a *action.Attempt, v action.Verdict) action.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, twice := w.verdicts[a.Identity]; twice {
		w.t.Errorf("%s: the effect was made twice", a.Identity)
	}
	w.effects = append(w.effects, a.Identity)
	w.verdicts[a.Identity] = v
	return action.Found(v, "the effect of %s: %s", a.Step.ID, v)
}

// look is a truthful probe.
func (w *world) look(a *action.Attempt) action.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, there := w.verdicts[a.Identity]; there {
		return action.Found(v, "seen: %s", v)
	}
	return action.Found(action.NotDone, "nothing of it is to be seen")
}

// steps returns the ids of the steps that had an effect, in order.
func (w *world) steps() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for _, identity := range w.effects {
		_, rest, _ := strings.Cut(identity, "/")
		ids = append(ids, rest[:strings.LastIndexByte(rest, '/')])
	}
	return ids
}

func (w *world) performer(d plan.Parameters) action.Performer { return scripted{action.Of(d), w} }

type scripted struct {
	action.Performer // whose traits it has
	w                *world
}

func (s scripted) Prepare(ctx context.Context, a *action.Attempt) (any, error) {
	s.w.mu.Lock()
	s.w.prepared = append(s.w.prepared, a.Step.ID)
	do := s.w.script[a.Step.ID].prepare
	s.w.mu.Unlock()
	if do != nil {
		return do(ctx, a)
	}
	return map[string]string{"before": a.Step.ID}, nil
}

func (s scripted) Perform(ctx context.Context, a *action.Attempt) action.Finding {
	res := a.Step.Effects(a.Plan).Resource
	s.w.mu.Lock()
	s.w.running[res]++
	total := 0
	for _, n := range s.w.running {
		total += n
	}
	s.w.most = max(s.w.most, total)
	if res != "" && s.w.running[res] > 1 {
		s.w.t.Errorf("%s: two steps use %q at once", a.Step.ID, res)
	}
	do := s.w.script[a.Step.ID].perform
	s.w.mu.Unlock()
	defer func() {
		s.w.mu.Lock()
		s.w.running[res]--
		s.w.mu.Unlock()
	}()
	if a.Started.IsZero() || a.Limit <= 0 {
		s.w.t.Errorf("%s: started %v, limit %v", a.Identity, a.Started, a.Limit)
	}
	if do != nil {
		return do(ctx, a)
	}
	if ctx.Err() != nil {
		return action.Found(action.Unknown, "interrupted")
	}
	return s.w.effect(a, action.Done)
}

func (s scripted) Probe(ctx context.Context, a *action.Attempt) action.Finding {
	if do := s.w.behaviour(a).probe; do != nil {
		return do(ctx, a)
	}
	return s.w.look(a)
}

func (s scripted) Await(ctx context.Context, a *action.Attempt) action.Finding {
	if do := s.w.behaviour(a).await; do != nil {
		return do(ctx, a)
	}
	return s.w.look(a)
}

func (s scripted) Look(ctx context.Context, a *action.Attempt) action.Finding {
	if do := s.w.behaviour(a).look; do != nil {
		return do(ctx, a)
	}
	return action.Found(action.Unknown, "nobody can see it")
}

func (s scripted) Reading(_ context.Context, a *action.Attempt) (string, error) {
	if do := s.w.behaviour(a).readings; do != nil {
		return do(), nil
	}
	return s.w.behaviour(a).reading, nil
}

func (w *world) behaviour(a *action.Attempt) behaviour {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.script[a.Step.ID]
}

// person answers questions and remembers what was asked and told.
type person struct {
	mu     sync.Mutex
	asked  []operator.Question
	told   []operator.Event
	answer func(operator.Question) (operator.Answer, error)
	hear   func(operator.Event) // of each event that is told; nil for nobody
	at     int                  // questions open at the moment
	t      *testing.T
}

func (p *person) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	p.mu.Lock()
	p.asked = append(p.asked, q)
	if p.at++; p.at > 1 {
		p.t.Errorf("two questions at once: %s", q.Step)
	}
	answer := p.answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.at--
		p.mu.Unlock()
	}()
	if ctx.Err() != nil {
		return operator.Answer{}, ctx.Err()
	}
	if answer == nil {
		return yes(q)
	}
	return answer(q)
}

func (p *person) Tell(e operator.Event) {
	p.mu.Lock()
	p.told = append(p.told, e)
	hear := p.hear
	p.mu.Unlock()
	if hear != nil {
		hear(e)
	}
}

// questions returns the questions of a topic.
// heard reports whether the operator was told something of a kind with such a text.
func (p *person) heard(kind operator.EventKind, text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.told, func(e operator.Event) bool { return e.Kind == kind && strings.Contains(e.Text, text) })
}

func (p *person) questions(topic operator.Topic) []operator.Question {
	p.mu.Lock()
	defer p.mu.Unlock()
	var of []operator.Question
	for _, q := range p.asked {
		if q.Topic == topic {
			of = append(of, q)
		}
	}
	return of
}

// yes consents to everything, and knows no answer to a failure.
func yes(q operator.Question) (operator.Answer, error) {
	if slices.Contains(q.Choices, operator.Yes) {
		return operator.Answer{Choice: operator.Yes, By: "Ana", Via: "terminal"}, nil
	}
	return operator.Answer{}, &operator.UnattendedError{Question: q, Want: "a terminal"}
}

// choose answers the topic with the choices in turn, the last one for ever, and
// everything else with yes.
func choose(topic operator.Topic, choices ...operator.Choice) func(operator.Question) (operator.Answer, error) {
	var mu sync.Mutex
	return func(q operator.Question) (operator.Answer, error) {
		if q.Topic != topic {
			return yes(q)
		}
		mu.Lock()
		defer mu.Unlock()
		c := choices[0]
		if len(choices) > 1 {
			choices = choices[1:]
		}
		return operator.Answer{Choice: c, Reason: "for the test", By: "Ana", Via: "terminal"}, nil
	}
}

// bench is a run on a disk of its own, which tests can repeat and resume.
type bench struct {
	t      *testing.T
	plan   *plan.Plan
	world  *world
	person *person
	disk   *journaltest.Disk
	clock  *clock.Clock
	ledger *ledgertest.Store
	time   *ledgertest.Clock // of the ledger
}

func newBench(t *testing.T, stages ...plan.Stage) *bench {
	t.Helper()
	p := &plan.Plan{
		Format: plan.Format, Site: "summit", Type: plan.Incremental,
		Upgrade: plan.Upgrade{Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Queue: 1}, Stages: stages,
	}
	now := time.Now()
	return &bench{
		t: t, plan: p, world: newWorld(t), person: &person{t: t}, disk: &journaltest.Disk{},
		clock: clock.Fast(now, now, 1000), ledger: &ledgertest.Store{}, time: &ledgertest.Clock{},
	}
}

func (b *bench) options() Options {
	return Options{
		Plan: b.plan, Digest: strings.Repeat("ab", 32), PlanFile: "plan.json", Journal: "j", FS: b.disk,
		Operator: b.person, OperatorName: "Ana", Version: "v1", Clock: b.clock, Performer: b.world.performer,
		Ledger: b.ledger, Timing: b.time.Hurried(),
	}
}

func (b *bench) valid() {
	b.t.Helper()
	if problems := b.plan.Validate(); len(problems) > 0 {
		b.t.Fatalf("the plan of the test: %v", problems)
	}
}

func (b *bench) run(change ...func(*Options)) (Result, error) {
	b.t.Helper()
	b.valid()
	o := b.options()
	for _, c := range change {
		c(&o)
	}
	return Run(b.t.Context(), o)
}

// away has the ledger's cluster answer nothing, or answer again.
func (b *bench) away(is bool) {
	b.ledger.Fault = nil
	if is {
		b.ledger.Fault = func(string) ledgertest.Outcome { return ledgertest.Away }
	}
}

// anothers has the ledger belong to a run of another plan.
func anothers(l *ledger.Ledger) {
	l.Epoch++
	l.Holder = &ledger.Holder{Run: "another", Plan: "other.json", Digest: strings.Repeat("cd", 32), Operator: "Bob", Host: "b"}
}

func resumed(o *Options) { o.Resume = true }

// must runs and wants the end.
func (b *bench) must(end End, change ...func(*Options)) Result {
	b.t.Helper()
	res, err := b.run(change...)
	if err != nil {
		b.t.Fatalf("run: %v", err)
	}
	if res.End != end {
		b.t.Fatalf("the run ended %q (%s), want %q", res.End, res.Text, end)
	}
	return res
}

// state folds the journal anew.
func (b *bench) state() *state.State {
	b.t.Helper()
	s, err := state.Read(b.disk, "j", b.plan, b.options().Digest)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// phases checks where steps stand, given as id and phase in turn.
func (b *bench) phases(want map[string]state.Phase) {
	b.t.Helper()
	s := b.state()
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got := s.Steps[id].Phase; got != want[id] {
			b.t.Errorf("step %s is %q, want %q", id, got, want[id])
		}
	}
}

// inVain is how long a test waits for what must come: far longer than a busy
// machine takes.
const inVain = 5 * time.Minute

// until waits until it is so.
func (b *bench) until(what string, so func() bool) {
	b.t.Helper()
	for began := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(began) > inVain {
			b.t.Errorf("in vain waited for this: %s", what)
			return
		}
	}
}

// recorded waits until the journal has such a record of the step. What the run
// keeps in mind with the record, it does before anything else is decided.
func (b *bench) recorded(id string, event journal.Event, via string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s of %s, via %q", event, id, via), func() bool {
		return slices.ContainsFunc(b.records(), func(r journal.Record) bool {
			return r.Step == id && r.Event == event && r.Via == via
		})
	})
}

// ending waits within an attempt until the run has seen that it is to end.
func (b *bench) ending(ctx context.Context, a *action.Attempt) {
	b.t.Helper()
	b.until("the run is ending", func() bool {
		_, err := a.Ask(ctx, func(context.Context) (operator.Question, bool) { return operator.Question{}, false })
		return errors.Is(err, owner.ErrEnding)
	})
}

// events returns the journal's events.
func (b *bench) records() []journal.Record {
	b.t.Helper()
	var records []journal.Record
	err := journal.Read(b.disk, "j", func(r *journal.Record) error {
		records = append(records, *r)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return records
}

func stage(id string, steps ...plan.Step) plan.Stage {
	for i := range steps {
		steps[i].ID = id + "/" + steps[i].ID
		for j, need := range steps[i].Needs {
			steps[i].Needs[j] = id + "/" + need
		}
	}
	return plan.Stage{ID: id, Title: "Stage " + id, Consent: "May " + id + " begin?", Source: []string{"P2"}, Steps: steps}
}

func step(id string, d plan.Parameters, needs ...string) plan.Step {
	return plan.Step{
		ID: id, Title: "Do " + id, Source: []string{"P1"}, Needs: needs, Action: plan.Action{Parameters: d},
		Timeout: plan.Duration(time.Minute), OnFailure: plan.Ask, ByHand: "Do " + id + " by hand.",
	}
}

func host(name string) plan.Parameters {
	return &plan.SSH{Host: name, User: "u", Purpose: plan.Stop, Service: "s", Commands: []string{"true"}}
}

func undoing(id, undoes string) plan.Step {
	s := step("final/"+id, &plan.Compatibility{Expect: "NONE", Set: "FORWARD"})
	s.Undoes = undoes
	return s
}

func message(channel string) plan.Parameters { return &plan.Announce{Channel: channel, Text: "x"} }

func evidenceOf(a *action.Attempt) string {
	var e map[string]string
	if json.Unmarshal(a.Evidence, &e) != nil {
		return ""
	}
	return e["before"]
}
