package campaign

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// machine is a laptop.
type machine struct {
	r    *rivals
	name string
	disk *journaltest.Disk
	life *rival // nil where no csu runs

	mu      sync.Mutex
	asleep  bool
	waiting []chan struct{} // what waits for the machine to wake
	cut     bool            // off from the cluster
	process string          // of the life, as the ledger names it
	lone    bool            // a life of it has gone on without the cluster
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

func (m *machine) suspended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asleep
}

// wait returns when the machine is awake.
func (m *machine) wait(ctx context.Context) error {
	m.mu.Lock()
	if !m.asleep {
		m.mu.Unlock()
		return ctx.Err()
	}
	awake := make(chan struct{})
	m.waiting = append(m.waiting, awake)
	m.mu.Unlock()
	select {
	case <-awake:
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (m *machine) wasLone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lone
}

func (m *machine) sleep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asleep = true
}

// wake lets those go on that wait for the machine, one after the other, so that
// their order is the same each time.
func (m *machine) wake() {
	m.mu.Lock()
	waiting := m.waiting
	m.asleep, m.waiting = false, nil
	m.mu.Unlock()
	for _, awake := range waiting {
		close(awake)
		synctest.Wait()
	}
}

// timing is the ledger's, by the clock of the machine.
func (l *rival) timing(ctx context.Context) ledger.Timing {
	t := l.m.r.clock.Timing()
	t.Now = func() time.Duration {
		_ = l.m.wait(ctx) // a life that is killed asleep wants no time
		return l.m.r.clock.Now()
	}
	t.Sleep = func(sleeping context.Context, d time.Duration) error {
		if err := l.m.wait(sleeping); err != nil {
			return err
		}
		sleeping, cancel := context.WithCancel(sleeping)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		if err := l.m.r.clock.Sleep(sleeping, d); err != nil {
			return err
		}
		return l.m.wait(sleeping)
	}
	return t
}

// waits reports whether an effect waits for a token.
func (l *rival) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at > 0
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
		SiteMap: "the campaign's", Operator: (*rivalPerson)(l), OperatorName: m.name, Version: "campaign",
		Clock: clock.Fast(now, time.Now(), 1), Ledger: view{m, ctx}, Timing: l.timing(ctx), Resume: how != "exec",
		Performer: func(d plan.Parameters) action.Performer { return modelled{action.Of(d), l} },
	}
	if how == "takeover" {
		o.Takeover = &custody.Takeover{Reason: "the schedule", Force: force}
	}
	go func() {
		defer close(l.ended)
		l.res, l.err = executor.Run(ctx, o)
	}()
	synctest.Wait()
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
type modelled struct {
	action.Performer // whose traits it has
	l                *rival
}

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
	if now != before || p.l.m.suspended() {
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
	case operator.Former:
		// The ledger keeps the other csu from starting anything only where it asks it.
		if other.life != nil && other.wasLone() {
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
