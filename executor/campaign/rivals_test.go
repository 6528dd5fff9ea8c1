package campaign

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/plan"
)

var rivalSeed = flag.Int64("rivals", 0, "carry out the schedule of two csu that this seed draws")

// TestRivals: of two csu on two copies of a journal none has an effect that the
// other has had, or passes the gate when the other has the ledger; and nothing is
// left out.
func TestRivals(t *testing.T) {
	seeds := int64(500)
	if *full {
		seeds = 5000
	}
	first := int64(1)
	if *rivalSeed > 0 {
		first, seeds = *rivalSeed, 1
	}
	const enough = 20 // to show what is wrong
	for seed, wrong := first, 0; seed < first+seeds && wrong < enough; seed++ {
		problems, log := rivalry(t, seed)
		if len(problems) > 0 {
			wrong++
			t.Errorf("%s\nagain: go test ./executor/campaign -run '^TestRivals$' -rivals %d\n%s", strings.Join(problems, "\n"), seed, strings.Join(log, "\n"))
		}
	}
}

// TestRivalsAgain: what a seed draws happens in the same way each time, or what
// was found could not be shown again.
func TestRivalsAgain(t *testing.T) {
	for seed := range int64(10) {
		_, once := rivalry(t, seed)
		_, again := rivalry(t, seed)
		if diff := cmp.Diff(once, again); diff != "" {
			t.Errorf("seed %d (-first +again):\n%s", seed, diff)
		}
	}
}

// rivalry carries out what a seed draws, in a bubble in which it is known when
// both csu wait.
func rivalry(t *testing.T, seed int64) (problems, log []string) {
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, uint64(seed)) // the names of runs and processes
		problems, log = newRivals(seed).run()
	})
	return problems, log
}

// rivals are two csu, each on a machine of its own with its own copy of the
// journal, that work on one run of one plan: killed, suspended, cut off from the
// cluster and started again as a seed draws it. Their steps are a model, their time
// stands still until the schedule has it go on, and each effect waits for the
// schedule, so that nothing depends on the speed of the machine.
type rivals struct {
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

// kinds of the model's steps: what can be found again, and what can not.
func rivalPlan() *plan.Plan {
	p := &plan.Plan{
		Format: plan.Format, Site: "summit", Type: plan.Incremental,
		Upgrade: plan.Upgrade{Date: "2026-11-24", Attempt: 1, Cycle: "c0045", Queue: 1},
	}
	for _, id := range []string{"first", "second", "third"} {
		stage := plan.Stage{ID: id, Title: "Stage " + id, Consent: "May it begin?", Source: []string{"P2"}}
		add := func(name string, d plan.Parameters, onFailure plan.OnFailure) {
			step := plan.Step{
				ID: id + "/" + name, Title: name, Source: []string{"P1"}, Action: plan.Action{Parameters: d},
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

// newRivals draws a schedule from a seed.
func newRivals(seed int64) *rivals {
	r := &rivals{
		seed: seed, draw: rand.New(rand.NewPCG(uint64(seed), 8)), plan: rivalPlan(),
		store: &ledgertest.Store{}, clock: &ledgertest.Clock{}, effects: map[string]sent{},
	}
	r.store.Wrote = r.wrote
	for _, name := range []string{"A", "B"} {
		r.machines = append(r.machines, &machine{r: r, name: name, disk: &journaltest.Disk{}})
	}
	return r
}

func (r *rivals) say(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf("%6s  ", r.clock.Now())+fmt.Sprintf(format, args...))
}

func (r *rivals) wrong(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// wrote notes when another process comes to have the ledger.
func (r *rivals) wrote(l ledger.Ledger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.Epoch != r.epoch && l.Holder != nil {
		r.epoch, r.raised, r.process = l.Epoch, r.clock.Now(), l.Holder.Process
	}
}

// advance has time go on.
func (r *rivals) advance(d time.Duration) {
	r.clock.Advance(d, synctest.Wait)
	synctest.Wait()
}

// lonely draws whether an operator who is alone goes on without the cluster. It is
// called while the schedule waits.
func (r *rivals) lonely() bool { return r.seed%3 == 0 }

// run carries the schedule out and returns what was wrong, and the log of it.
func (r *rivals) run() (problems, log []string) {
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
func (r *rivals) event(m *machine) {
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
	case n == 7 && m.life != nil && !m.suspended():
		r.say("%s: suspended", m.name)
		m.sleep()
	case n == 8 && m.suspended():
		r.say("%s: woken", m.name)
		m.wake()
	case n == 9:
		m.mu.Lock()
		m.cut = !m.cut
		r.say("%s: cut off from the cluster: %t", m.name, m.cut)
		m.mu.Unlock()
	case m.life == nil && !m.suspended():
		r.begin(m)
	}
}

// begin starts a csu as somebody would who does not know how the run stands.
func (r *rivals) begin(m *machine) {
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
func (r *rivals) step(m *machine) {
	if m.life == nil || m.suspended() || !m.life.waits() {
		return
	}
	m.life.tokens <- struct{}{}
	m.life.count(-1)
	r.say("%s: one effect", m.name)
	synctest.Wait()
}

func (r *rivals) over() bool { return len(r.effects) == len(r.steps()) }

func (r *rivals) steps() (ids []string) {
	for s := range r.plan.AllSteps() {
		ids = append(ids, s.ID)
	}
	return ids
}

// finish ends all lives and has one csu carry the run to its end.
func (r *rivals) finish() {
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
	r.wrong("the run does not end")
}

// judge: each effect was had; a message may be missing where csu could not know.
func (r *rivals) judge() {
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
