package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// Rivals are two csu, each on a machine of its own with its own copy of the
// journal, that work on one run of one plan: killed, suspended, cut off from the
// cluster and started again as a seed draws it. Their steps are a model, their time
// stands still until the schedule has it go on, and each effect waits for the
// schedule, so that nothing depends on the speed of the machine.
type Rivals struct {
	seed     int64
	draw     *rand.Rand
	plan     *plan.Plan
	store    *ledgertest.Store
	clock    *ledgertest.Clock
	machines []*machine
	log      []string

	mu       sync.Mutex // guards what follows
	effects  map[string]sent
	raised   time.Duration // when the epoch rose last
	epoch    int
	process  string // that has the ledger
	problems []string
}

// sent is an effect that was had.
type sent struct {
	by string
	at time.Duration
}

// machine is a laptop.
type machine struct {
	r    *Rivals
	name string
	disk *journaltest.Disk
	life *rival // nil where no csu runs

	mu      sync.Mutex
	awake   chan struct{} // closed while the machine is awake
	cut     bool          // off from the cluster
	process string        // of the life, as the ledger names it
	lone    bool          // a life of it has gone on without the cluster
}

// rival is a csu at work.
type rival struct {
	m      *machine
	end    context.CancelFunc
	ended  chan struct{}
	tokens chan struct{} // each lets one effect happen
	how    string        // "exec", "resume", "takeover"

	mu sync.Mutex
	at int // effects that wait for a token

	res executor.Result
	err error
}

// kinds of the model's steps: what can be found again, and what can not.
func rivalPlan() *plan.Plan {
	p := &plan.Plan{
		Format: plan.Format, Site: "summit", Type: plan.Incremental,
		Upgrade: plan.Upgrade{Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Queue: 1},
	}
	for _, id := range []string{"first", "second", "third"} {
		stage := plan.Stage{ID: id, Title: "Stage " + id, Consent: "May it begin?", Source: []string{"P2"}}
		add := func(name string, d plan.Doer, onFailure plan.OnFailure) {
			step := plan.Step{
				ID: id + "/" + name, Title: name, Source: []string{"P1"}, Action: plan.Action{Doer: d},
				Timeout: plan.Duration(time.Minute), OnFailure: onFailure, ByHand: "Do it.",
			}
			if n := len(stage.Steps); n > 0 {
				step.Needs = []string{stage.Steps[n-1].ID}
			}
			stage.Steps = append(stage.Steps, step)
		}
		add("command", &plan.SSH{Host: "h", User: "u", Purpose: plan.Stop, Service: "s", Commands: []string{"true"}}, plan.Ask)
		add("message", &plan.Announce{Channel: "#c", Text: id}, plan.Report)
		add("again", &plan.SSH{Host: "h", User: "u", Purpose: plan.Start, Service: "s", Commands: []string{"true"}}, plan.Ask)
		p.Stages = append(p.Stages, stage)
	}
	return p
}

// NewRivals draws a schedule from a seed.
func NewRivals(seed int64) *Rivals {
	r := &Rivals{
		seed: seed, draw: rand.New(rand.NewPCG(uint64(seed), 8)), plan: rivalPlan(),
		store: &ledgertest.Store{}, clock: &ledgertest.Clock{}, effects: map[string]sent{},
	}
	r.store.Wrote = r.wrote
	for _, name := range []string{"A", "B"} {
		awake := make(chan struct{})
		close(awake)
		r.machines = append(r.machines, &machine{r: r, name: name, disk: &journaltest.Disk{}, awake: awake})
	}
	return r
}

func (r *Rivals) say(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf("%6s  ", r.clock.Now())+fmt.Sprintf(format, args...))
}

func (r *Rivals) wrong(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// wrote notes when another process comes to have the ledger.
func (r *Rivals) wrote(l ledger.Ledger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.Epoch != r.epoch && l.Holder != nil {
		r.epoch, r.raised, r.process = l.Epoch, r.clock.Now(), l.Holder.Process
	}
}

// advance has time go on.
func (r *Rivals) advance(d time.Duration) {
	r.quiet()
	r.clock.Advance(d, r.quiet)
	r.quiet()
}

// quiet waits until each life waits for the schedule: at an effect, for the time,
// or asleep; or has ended.
func (r *Rivals) quiet() {
	for began := time.Now(); ; time.Sleep(50 * time.Microsecond) {
		if !slices.ContainsFunc(r.machines, func(m *machine) bool { return m.moves() }) {
			return
		}
		if time.Since(began) > lifeLeast {
			panic(fmt.Sprintf("seed %d: a csu neither ends nor waits:\n%s", r.seed, strings.Join(r.log, "\n")))
		}
	}
}

func (m *machine) moves() bool {
	l := m.life
	if l == nil || m.asleep() {
		return false
	}
	select {
	case <-l.ended:
		return false
	default:
	}
	l.mu.Lock()
	at := l.at
	l.mu.Unlock()
	return m.r.clock.Sleeping(m.name) == 0 && (at == 0 || m.r.clock.Sleeping(m.name+" renews") == 0)
}

func (m *machine) asleep() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.awake:
		return false
	default:
		return true
	}
}

// wait returns when the machine is awake.
func (m *machine) wait(ctx context.Context) error {
	m.mu.Lock()
	awake := m.awake
	m.mu.Unlock()
	select {
	case <-awake:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *machine) wasLone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lone
}

func (m *machine) sleep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.awake = make(chan struct{})
}

func (m *machine) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.awake:
	default:
		close(m.awake)
	}
}

// timing is the ledger's, by the clock of the machine.
func (l *rival) timing(ctx context.Context) ledger.Timing {
	t := l.m.r.clock.Timing()
	t.Now = func() time.Duration {
		_ = l.m.wait(ctx) // a life that is killed asleep wants no time
		return l.m.r.clock.Now()
	}
	renew := t.Renew
	t.Sleep = func(sleeping context.Context, d time.Duration) error {
		if err := l.m.wait(sleeping); err != nil {
			return err
		}
		name := l.m.name
		if d == renew {
			name += " renews"
		}
		sleeping, cancel := context.WithCancel(sleeping)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		if err := l.m.r.clock.SleepAs(sleeping, name, d); err != nil {
			return err
		}
		return l.m.wait(sleeping)
	}
	return t
}

func (l *rival) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at += n
}

// view is the ledger as a machine reaches it.
type view struct {
	m      *machine
	killed context.Context // of the life
}

func (v view) reached(ctx context.Context) error {
	if err := v.m.wait(ctx); err != nil {
		return err
	}
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if v.m.cut || v.killed.Err() != nil {
		return ledgertest.ErrAway
	}
	return nil
}

func (v view) Read(ctx context.Context) (ledger.Ledger, ledger.Version, error) {
	if err := v.reached(ctx); err != nil {
		return ledger.Ledger{}, nil, err
	}
	return v.m.r.store.Read(ctx)
}

func (v view) Write(ctx context.Context, l ledger.Ledger, version ledger.Version) (ledger.Version, error) {
	if err := v.reached(ctx); err != nil {
		return nil, err
	}
	if l.Holder != nil {
		v.m.mu.Lock()
		v.m.process = l.Holder.Process
		v.m.mu.Unlock()
	}
	return v.m.r.store.Write(ctx, l, version)
}

// errKilled is how a life ends that is killed.
var errKilled = errors.New("killed")

// start begins a life on the machine.
func (m *machine) start(how string, force bool) {
	ctx, cancel := context.WithCancelCause(context.Background())
	l := &rival{m: m, end: func() { cancel(errKilled) }, ended: make(chan struct{}), tokens: make(chan struct{}), how: how}
	m.life = l
	now := time.Unix(0, 0).Add(m.r.clock.Now())
	o := executor.Options{
		Plan: m.r.plan, Digest: strings.Repeat("ab", 32), PlanFile: "plan.json", Journal: journalName, FS: m.disk,
		SiteMap: "the campaign's", Operator: (*rivalPerson)(l), Name: m.name, Version: "campaign",
		Clock: clock.Fast(now, time.Now(), 1), Ledger: view{m, ctx}, Timing: l.timing(ctx), Resume: how != "exec",
		Performer: func(d plan.Doer) action.Performer { return modelled{l} },
	}
	if how == "takeover" {
		o.Takeover = &executor.Takeover{Reason: "the schedule", Force: force}
	}
	go func() {
		defer close(l.ended)
		l.res, l.err = executor.Run(ctx, o)
	}()
	m.r.quiet()
}

// kill ends the life at once, and with it what its process had open.
func (m *machine) kill() {
	m.life.end()
	m.wake()
	<-m.life.ended
	m.disk.Kill()
	m.life = nil
}

// reap takes note of a life that has ended by itself.
func (m *machine) reap() {
	if m.life == nil {
		return
	}
	select {
	case <-m.life.ended:
	default:
		return
	}
	m.r.say("%s: %s has ended %q: %s%s", m.name, m.life.how, m.life.res.End, m.life.res.Text, because(m.life.err))
	m.disk.Kill()
	m.life = nil
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// modelled is what carries the model's steps out.
type modelled struct{ l *rival }

func (p modelled) Prepare(context.Context, *action.Attempt) (any, error) { return nil, nil }

// Perform has the effect at the moment at which it passes the gate.
func (p modelled) Perform(ctx context.Context, a *action.Attempt) action.Finding {
	r, l := p.l.m.r, p.l
	l.count(1)
	select {
	case <-l.tokens: // who gives it counts
	case <-ctx.Done():
		l.count(-1)
		return action.Found(action.Unknown, "interrupted")
	}
	for {
		before := r.clock.Now()
		if err := gate.Pass(ctx); err != nil {
			return action.Found(action.NotDone, "%v", err)
		}
		if p.have(a, before) {
			return action.Found(action.Done, "it happened")
		}
		// The machine slept, or time went on, in between: the effect was not sent
		// then, and is not sent without another look.
		if err := l.m.wait(ctx); err != nil {
			return action.Found(action.Unknown, "interrupted")
		}
	}
}

// have is the effect itself, unless time has gone on since the gate was asked.
func (p modelled) have(a *action.Attempt, before time.Duration) bool {
	r := p.l.m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	if now != before || p.l.m.asleep() {
		return false
	}
	if first, twice := r.effects[a.Step.ID]; twice {
		r.wrong("%s was had by %s at %s, and again by %s at %s", a.Step.ID, first.by, first.at, p.l.m.name, now)
	}
	r.effects[a.Step.ID] = sent{p.l.m.name, now}
	p.l.m.mu.Lock()
	process, lone := p.l.m.process, p.l.m.lone
	p.l.m.mu.Unlock()
	if process != r.process && now >= r.raised+ledger.Real().Fresh && !lone {
		r.wrong("%s of %s passed the gate at %s, and the epoch had risen at %s", a.Step.ID, p.l.m.name, now, r.raised)
	}
	return true
}

// Probe tells the truth of a command, and nothing of a message.
func (p modelled) Probe(_ context.Context, a *action.Attempt) action.Finding {
	if a.Step.Action.Kind() == plan.KindAnnounce {
		return action.Found(action.Unknown, "perhaps sent, perhaps not")
	}
	r := p.l.m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, had := r.effects[a.Step.ID]; had {
		return action.Found(action.Done, "seen")
	}
	return action.Found(action.NotDone, "not seen")
}

func (p modelled) Await(ctx context.Context, a *action.Attempt) action.Finding {
	return p.Probe(ctx, a)
}
func (modelled) Reading(context.Context, *action.Attempt) (string, error) { return "", nil }

// rivalPerson leads on a machine, and knows what goes on on the other one.
type rivalPerson rival

func (p *rivalPerson) Tell(operator.Event) {}

func (p *rivalPerson) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	l := (*rival)(p)
	if err := l.m.wait(ctx); err != nil {
		return operator.Answer{}, err
	}
	a := operator.Answer{Choice: operator.Yes, By: l.m.name, Via: "schedule"}
	other := l.m.r.machines[0]
	if other == l.m {
		other = l.m.r.machines[1]
	}
	switch q.Topic {
	case operator.Outage:
		// They agree only where nobody else is at work, nor has been since with
		// another copy of the journal; and then for good.
		a.Choice = operator.Stop
		mine, _ := l.m.disk.Content(journalName)
		if newest := l.m.r.store.Now().Head.Hash; other.life == nil && strings.Contains(string(mine), newest) && l.m.r.lonely() {
			a.Choice = operator.Yes
			l.m.mu.Lock()
			l.m.lone = true
			l.m.mu.Unlock()
		}
	case operator.Alone:
		if _, begun := other.disk.Content(journalName); begun {
			a.Choice = operator.No
		}
	case operator.FormerOutage:
		if !slices.ContainsFunc(l.m.r.machines, (*machine).wasLone) {
			a.Choice = operator.No
		}
	case operator.InDoubt:
		l.m.r.mu.Lock()
		_, had := l.m.r.effects[q.Step]
		l.m.r.mu.Unlock()
		a.Choice = operator.NotHappened
		if had {
			a.Choice = operator.Happened
		}
	case operator.Failed:
		a.Choice = operator.Retry
	}
	return a, nil
}

// lonely draws whether an operator who is alone goes on without the cluster. It is
// called while the schedule waits.
func (r *Rivals) lonely() bool { return r.seed%3 == 0 }

// Run carries the schedule out and returns what was wrong, and the log of it.
func (r *Rivals) Run() (problems, log []string) {
	r.machines[0].start("exec", false)
	for range 40 {
		r.event(r.machines[r.draw.IntN(2)])
		for _, m := range r.machines {
			m.reap()
		}
		if r.over() {
			break
		}
	}
	r.finish()
	r.judge()
	return r.problems, r.log
}

// event has something happen on a machine.
func (r *Rivals) event(m *machine) {
	switch n := r.draw.IntN(12); {
	case n < 4:
		r.step(m)
	case n < 6:
		d := []time.Duration{3 * time.Second, 15 * time.Second, time.Minute, 4 * time.Minute}[r.draw.IntN(4)]
		r.say("time goes on by %s", d)
		for left := d; left > 0; left -= min(left, 5*time.Second) {
			r.advance(min(left, 5*time.Second))
		}
	case n == 6 && m.life != nil:
		r.say("%s: killed", m.name)
		m.kill()
	case n == 7 && m.life != nil && !m.asleep():
		r.say("%s: suspended", m.name)
		r.quiet()
		m.sleep()
	case n == 8 && m.asleep():
		r.say("%s: woken", m.name)
		m.wake()
		r.quiet()
	case n == 9:
		m.mu.Lock()
		m.cut = !m.cut
		r.say("%s: cut off from the cluster: %t", m.name, m.cut)
		m.mu.Unlock()
	case m.life == nil && !m.asleep():
		r.begin(m)
	}
}

// begin starts a csu as somebody would who does not know how the run stands.
func (r *Rivals) begin(m *machine) {
	_, begun := m.disk.Content(journalName)
	how := []string{"takeover", "takeover", "resume"}[r.draw.IntN(3)]
	if !begun && how == "resume" {
		how = "exec"
	}
	force := r.draw.IntN(2) == 0
	r.say("%s: %s, force %t", m.name, how, force)
	m.start(how, force)
}

// step lets one effect happen.
func (r *Rivals) step(m *machine) {
	r.quiet()
	l := m.life
	if l == nil || m.asleep() {
		return
	}
	for {
		l.mu.Lock()
		waits := l.at > 0
		l.mu.Unlock()
		if !waits {
			return
		}
		select {
		case l.tokens <- struct{}{}:
			l.count(-1)
			r.say("%s: one effect", m.name)
			r.quiet()
			return
		case <-time.After(time.Millisecond): // its run may be ending at this moment
		}
	}
}

func (r *Rivals) over() bool { return len(r.effects) == len(r.steps()) }

func (r *Rivals) steps() (ids []string) {
	for s := range r.plan.AllSteps() {
		ids = append(ids, s.ID)
	}
	return ids
}

// finish ends all lives and has one csu carry the run to its end.
func (r *Rivals) finish() {
	for _, m := range r.machines {
		m.mu.Lock()
		m.cut = false
		m.mu.Unlock()
		if m.life != nil {
			m.kill()
		}
		m.wake()
	}
	for try := range 4 {
		m := r.machines[try%2]
		how := "takeover"
		if r.store.Now().Head.Run == "" {
			how = "exec"
		}
		r.say("%s: %s, to the end", m.name, how)
		m.start(how, true)
		for m.life != nil {
			r.step(m)
			r.advance(5 * time.Second)
			m.reap()
		}
		if l := r.store.Now(); l.Ended(strings.Repeat("ab", 32)) != nil && l.Holder == nil {
			return
		}
	}
	r.wrong("the run does not come to its end")
}

// judge: each effect was had; a message may be missing where csu could not know.
func (r *Rivals) judge() {
	for _, id := range r.steps() {
		if _, had := r.effects[id]; !had && !strings.HasSuffix(id, "/message") {
			r.wrong("left out: %s", id)
		}
	}
	if l := r.store.Now(); l.Holder != nil {
		r.wrong("at the end the site is still held by %s", l.Holder.Operator)
	}
	slices.Sort(r.problems)
}
