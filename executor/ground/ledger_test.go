package ground_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// clones are clones of the repository on separate machines, with one site. A stand-in carries out the steps;
// the ledger, and the network to it, are real.
type clones struct {
	t          *testing.T
	ground     *ground.Cluster
	plan       *plan.Plan
	kubeconfig string       // of the operators
	store      ledger.Store // with administrator access

	mu      sync.Mutex
	effects []effect          // in order
	before  map[string]func() // by who and step: called before the effect passes the gate
	after   map[string]func() // called after it
}

// effect is the effect of a step.
type effect struct{ who, step, identity string }

// clone is one of them.
type clone struct {
	*clones
	name    string
	plan    *plan.Plan
	site    sitemap.Map
	journal string
	relay   *relay // between the machine and the API server
	person  *person
}

// newClones returns clones of one plan, one for each named operator.
func newClones(t *testing.T, site string, names ...string) (all *clones, each []*clone) {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	p := readyPlan(c)
	p.Site = site
	p.Stages = []plan.Stage{
		{ID: "begin", Steps: []plan.Step{stepOf("begin/wait", &plan.Manual{Text: "Wait."})}},
		{ID: "deploy", Steps: []plan.Step{stepOf("deploy/auxtel", &plan.Sync{Application: "auxtel", Revision: "main"})}},
	}
	p.Final = []plan.Step{stepOf("final/forward", &plan.Compatibility{Expect: "NONE", Set: "FORWARD"})}
	p.Final[0].Undoes = "deploy/auxtel"
	admin, err := cluster.Connect(c.AdminKubeconfig, "ground")
	if err != nil {
		t.Fatal(err)
	}
	all = &clones{
		t: t, ground: c, plan: p, kubeconfig: c.Operator(t, p), store: ledger.In(admin, p.LedgerName()),
		before: map[string]func(){}, after: map[string]func(){},
	}
	for _, name := range names {
		each = append(each, all.clone(name))
	}
	return all, each
}

// clone returns another clone.
func (all *clones) clone(name string) *clone {
	all.t.Helper()
	c := &clone{clones: all, name: name, plan: all.plan, person: newPerson(name), journal: filepath.Join(all.t.TempDir(), "plan.json.journal")}
	now := time.Now()
	c.site = sitemap.Map{Epoch: now, Real: now, Speed: 1}
	c.relay, c.site.Kubeconfig = newRelay(all.t, all.ground.URL, all.kubeconfig)
	return c
}

// another gives the clone another plan for the same site.
func (c *clone) another() *clone {
	p := *c.plan
	p.Upgrade.Attempt++
	c.plan = &p
	return c
}

// quick is the timing of the ledger in these tests: that of a rehearsal at four
// times the real speed.
func quick() ledger.Timing {
	const speed = 4
	t := ledger.Rehearsed(60)
	now, sleep := t.Now, t.Sleep
	t.Now = func() time.Duration { return now() * speed }
	t.Sleep = func(ctx context.Context, d time.Duration) error { return sleep(ctx, d/speed) }
	t.Fresh, t.Request, t.Renew, t.Dead = 2*time.Second*speed, time.Second*speed, time.Second*speed, dead*speed
	t.Call = 2 * time.Second
	return t
}

// dead is how long a csu must be silent, in real time, to count as dead.
const dead = 6 * time.Second

func (c *clone) options(change ...func(*executor.Options)) executor.Options {
	c.t.Helper()
	systems, err := systems.Connect(c.plan, &c.site, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { systems.Remote.Close() })
	digest, err := plan.Digest(c.plan)
	if err != nil {
		c.t.Fatal(err)
	}
	o := executor.Options{
		Plan: c.plan, Digest: digest, PlanFile: "plan.json", Journal: c.journal, FS: journal.Disk, SiteMap: "site-map.json",
		Systems: systems, Clock: systems.Clock, OperatorName: c.name, Version: "test", SkipPreflight: "a test of the ledger",
		Operator: c.person, Ledger: custody.NewLedger(c.plan, systems), Timing: quick(),
		Performer: func(d plan.Parameters) action.Performer { return standIn{action.Of(d), c} },
	}
	for _, f := range change {
		f(&o)
	}
	return o
}

func resumed(o *executor.Options) { o.Resume = true }

func until(stage string) func(*executor.Options) {
	return func(o *executor.Options) { o.Until = stage }
}

// takingOver takes the run over; if forced, even from a csu that is at work.
func takingOver(forced bool) func(*executor.Options) {
	return func(o *executor.Options) {
		o.Resume, o.Takeover = true, &custody.Takeover{Reason: "a test", Force: forced}
	}
}

// started is a run in the background.
type started struct {
	ended  chan struct{}
	end    context.CancelFunc
	result executor.Result
	err    error
}

// start starts a run.
func (c *clone) start(change ...func(*executor.Options)) *started {
	c.t.Helper()
	o := c.options(change...)
	ctx, cancel := context.WithCancel(c.t.Context())
	s := &started{ended: make(chan struct{}), end: cancel}
	go func() {
		defer close(s.ended)
		s.result, s.err = executor.Run(ctx, o)
	}()
	c.t.Cleanup(func() { cancel(); <-s.ended })
	return s
}

func (s *started) wait(t *testing.T) (executor.Result, error) {
	t.Helper()
	within(t, "the run has ended", s.ended)
	return s.result, s.err
}

// reaches waits for an event in the run. It fails the test as soon as the run has
// ended without it.
func (s *started) reaches(t *testing.T, what string, happens <-chan struct{}) {
	t.Helper()
	select {
	case <-happens:
		return
	case <-s.ended:
	case <-time.After(ground.Limit):
		t.Fatalf("not within %s: %s", ground.Limit, what)
	}
	select {
	case <-happens: // just before
	default:
		s.mustRun(t, what)
	}
}

// mustRun fails the test, which waits for something that the run does, if the run has ended.
func (s *started) mustRun(t *testing.T, what string) {
	t.Helper()
	select {
	case <-s.ended:
		t.Fatalf("not before the end of the run, %q (%s), %v: %s", s.result.End, s.result.Text, s.err, what)
	default:
	}
}

// within waits for an event that is about to happen.
func within(t *testing.T, what string, happens <-chan struct{}) {
	t.Helper()
	select {
	case <-happens:
	case <-time.After(ground.Limit):
		t.Fatalf("not within %s: %s", ground.Limit, what)
	}
}

func (c *clone) run(change ...func(*executor.Options)) (executor.Result, error) {
	c.t.Helper()
	return c.start(change...).wait(c.t)
}

// ends runs the plan, or the rest of it, and checks how it ends.
func (c *clone) ends(want executor.End, change ...func(*executor.Options)) executor.Result {
	c.t.Helper()
	r, err := c.run(change...)
	if err != nil || r.End != want {
		c.t.Fatalf("Run of %s = %q (%s), %v, want %q", c.name, r.End, r.Text, err, want)
	}
	return r
}

// kill ends a run as SIGKILL does, from the cluster's point of view: it sends
// nothing more.
func (c *clone) kill(s *started) {
	c.t.Helper()
	c.relay.set(cutOff)
	s.end()
	_, _ = s.wait(c.t) // it was interrupted
	c.relay.set(passing)
}

// copyFrom copies the current journal of another clone.
func (c *clone) copyFrom(o *clone) {
	c.t.Helper()
	data, err := os.ReadFile(o.journal)
	if err == nil {
		err = os.WriteFile(c.journal, data, 0o644)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// now returns the site's ledger.
func (all *clones) now() ledger.Ledger {
	all.t.Helper()
	l, _ := readLedger(all.t, all.store)
	return l
}

// done checks which steps were done, by whom, in order.
func (all *clones) done(want ...string) {
	all.t.Helper()
	all.mu.Lock()
	defer all.mu.Unlock()
	var got []string
	for _, e := range all.effects {
		got = append(got, e.who+" "+e.step)
	}
	if !slices.Equal(got, want) {
		all.t.Errorf("the effects are %q, want %q", got, want)
	}
}

// hold holds a step of the clone before its effect passes the gate.
func (c *clone) hold(step string) (begun <-chan struct{}, release func()) {
	at, on := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(on) })
	c.t.Cleanup(release)
	begin := sync.OnceFunc(func() { close(at) })
	c.mu.Lock()
	defer c.mu.Unlock()
	// A step that hangs does not notice that its run has ended.
	c.before[c.name+" "+step] = func() { begin(); <-on }
	return at, release
}

// then makes something happen right after the effect of a step of the clone.
func (c *clone) then(step string, happens func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after[c.name+" "+step] = happens
}

// standIn stands in for what carries out steps.
type standIn struct {
	action.Performer // the performer that it stands in for
	clone            *clone
}

func (standIn) Prepare(context.Context, *action.Attempt) (any, error) { return nil, nil }

func (s standIn) Perform(ctx context.Context, a *action.Attempt) action.Finding {
	c := s.clone
	c.mu.Lock()
	before, after := c.before[c.name+" "+a.Step.ID], c.after[c.name+" "+a.Step.ID]
	c.mu.Unlock()
	if before != nil {
		before()
	}
	if after != nil {
		defer after()
	}
	if err := gate.Pass(ctx); err != nil {
		return action.Found(action.NotDone, "%v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.effects = append(c.effects, effect{c.name, a.Step.ID, a.Identity})
	return action.Found(action.Done, "it is done")
}

func (s standIn) Probe(_ context.Context, a *action.Attempt) action.Finding {
	s.clone.mu.Lock()
	defer s.clone.mu.Unlock()
	if slices.ContainsFunc(s.clone.effects, func(e effect) bool { return e.identity == a.Identity }) {
		return action.Found(action.Done, "it was done")
	}
	return action.Found(action.NotDone, "no trace of it")
}

func (s standIn) Await(ctx context.Context, a *action.Attempt) action.Finding { return s.Probe(ctx, a) }

func (standIn) Reading(context.Context, *action.Attempt) (string, error) { return "", nil }

// person answers yes, unless the test sets another answer.
type person struct {
	name string

	mu      sync.Mutex
	answers map[operator.Topic]operator.Choice
	thinks  map[string]chan struct{}  // by stage: closed when its question is asked, which is not answered
	befores map[operator.Topic]func() // called before a question is answered
	asked   []operator.Question
	told    []string
}

func newPerson(name string) *person {
	return &person{
		name:    name,
		answers: map[operator.Topic]operator.Choice{operator.FormerOutage: operator.No}, thinks: map[string]chan struct{}{}, befores: map[operator.Topic]func(){},
	}
}

func (p *person) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	p.mu.Lock()
	choice, think, before := p.answers[q.Topic], p.thinks[q.Stage], p.befores[q.Topic]
	p.asked = append(p.asked, q)
	p.mu.Unlock()
	if before != nil {
		before()
	}
	if think != nil && q.Topic == operator.StageConsent {
		close(think)
		<-ctx.Done()
	}
	if choice == "" {
		choice = operator.Yes
	}
	return operator.Answer{Choice: choice, By: p.name, Via: "terminal"}, ctx.Err()
}

func (p *person) Tell(e operator.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, e.Text)
}

// answer sets the answer to a topic.
func (p *person) answer(topic operator.Topic, choice operator.Choice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[topic] = choice
}

// think makes the person never answer the consent question of a stage. begun is
// closed when the question is asked.
func (p *person) think(stage string) (begun <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thinks[stage] = make(chan struct{})
	return p.thinks[stage]
}

// before makes something happen before the person answers a topic.
func (p *person) before(topic operator.Topic, happens func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.befores[topic] = happens
}

// question returns the last question on a topic, or nil.
func (p *person) question(topic operator.Topic) *operator.Question {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range slices.Backward(p.asked) {
		if q.Topic == topic {
			return &q
		}
	}
	return nil
}

// wasAsked reports whether the person was asked about a topic.
func (p *person) wasAsked(topic operator.Topic) bool { return p.question(topic) != nil }

// heard returns what the person was told.
func (p *person) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.told, "\n")
}

// refusal checks that an error is a refusal with these texts, including the
// hint, that wraps an error of type E.
func refusal[E error](t *testing.T, what string, err error, texts ...string) E {
	t.Helper()
	var cause E
	if exit.CodeOf(err) != exit.Refused || !errors.As(err, &cause) {
		t.Fatalf("%s = %v, want a *RefusedError of a %T", what, err, cause)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error()+" "+exit.HintOf(err), text) {
			t.Errorf("%s = %v (hint: %s), want %q in it", what, err, exit.HintOf(err), text)
		}
	}
	return cause
}

func TestAnotherRunIsRefusedUntilTheSiteIsFree(t *testing.T) {
	all, each := newClones(t, "second", "ann", "bob")
	ann, bob := each[0], each[1].another()
	run := ann.ends(executor.Reached, until("begin")).RunID
	_, err := bob.run()
	refusal[*ledger.HeldError](t, "Run of another plan", err, run, `"ann"`, "--resume", "csu unlock")
	ann.ends(executor.Completed, resumed)
	if h := all.now().Holder; h != nil {
		t.Errorf("after the run's end the holder is %+v, want none", h)
	}
	bob.ends(executor.Completed)
	all.done("ann begin/wait", "ann deploy/auxtel", "ann final/forward", "bob begin/wait", "bob deploy/auxtel", "bob final/forward")
}

func TestAJournalThatIsBehindIsRefused(t *testing.T) {
	all, each := newClones(t, "behind", "ann", "bob", "carol")
	ann, bob, carol := each[0], each[1], each[2]
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	at, release := ann.hold("begin/wait")
	first := ann.start(until("begin"))
	first.reaches(t, "the step has begun", at)
	bob.copyFrom(ann)
	carol.copyFrom(ann)
	release()
	if r, err := first.wait(t); err != nil || r.End != executor.Reached {
		t.Fatalf("Run of ann = %q, %v, want it to reach the end of the stage", r.End, err)
	}
	head := all.now().Head
	_, err = bob.run(resumed)
	behind := refusal[*ledger.BehindError](t, "Run with the older journal", err, `"ann"`, host, fmt.Sprintf("record %d", head.Seq), `stage "deploy"`, "csu takeover")
	if behind.Seq >= head.Seq || behind.Head.Head != head.Head {
		t.Errorf("the journal of record %d is behind %+v, want it behind the ledger's %+v", behind.Seq, behind.Head, head)
	}
	// After a takeover it is the run's journal. Then ann's is behind, and when
	// the run is over, so is carol's.
	bob.ends(executor.Completed, takingOver(false))
	if bob.person.wasAsked(operator.Former) {
		t.Error("bob was asked about a csu that ended by itself")
	}
	for _, c := range []*clone{ann, carol} {
		_, err := c.run(resumed)
		refusal[*ledger.EndedError](t, "Run of "+c.name+" after the end", err, `"bob"`)
	}
	all.done("ann begin/wait", "bob deploy/auxtel", "bob final/forward")
}

func TestAFreshCloneIsRefused(t *testing.T) {
	all, each := newClones(t, "fresh", "ann", "bob")
	ann, bob := each[0], each[1]
	run := ann.ends(executor.Reached, until("deploy")).RunID
	_, err := bob.run()
	refusal[*ledger.ElsewhereError](t, "Run of a fresh clone", err, run, `"ann"`, "csu takeover")
	_, err = bob.run(resumed)
	refusal[*ledger.ElsewhereError](t, "Run of a fresh clone, resumed", err, run, `"ann"`, "csu takeover")
	ann.ends(executor.Completed, resumed)
	_, err = bob.run()
	refusal[*ledger.EndedError](t, "Run of a fresh clone after the end", err, run, `"ann"`, "raise attempt")
	_, err = bob.run(takingOver(true))
	refusal[*ledger.EndedError](t, "takeover after the end", err, run)
	if _, err := os.Stat(bob.journal); !os.IsNotExist(err) {
		t.Errorf("the clone that was refused has a journal: %v", err)
	}
	all.done("ann begin/wait", "ann deploy/auxtel", "ann final/forward")
}

// Two csu have the same journal, from the same minute. The first waits at a question, or hangs in a step. The
// second is refused as long as the first is at work, and then takes the run from it by force.
func TestARunIsTakenFromACsuAtWork(t *testing.T) {
	t.Parallel() // mostly waiting
	for _, where := range []string{"question", "step"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel() // mostly waiting
			all, each := newClones(t, "two-"+where, "ann", "bob")
			ann, bob := each[0], each[1]
			var at <-chan struct{}
			release := func() {}
			want := []string{"ann begin/wait", "bob deploy/auxtel", "bob final/forward"}
			if where == "question" {
				at = ann.person.think("deploy")
			} else {
				at, release = ann.hold("deploy/auxtel")
			}
			first := ann.start()
			first.reaches(t, "ann's csu waits", at)
			bob.copyFrom(ann)
			_, err := bob.run(resumed)
			refusal[*ledger.LiveError](t, "Run with the journal of the same minute", err, `"ann"`, "csu takeover PLAN --reason TEXT --force")
			_, err = bob.run(takingOver(false))
			refusal[*ledger.LiveError](t, "takeover without force", err, `"ann"`)
			epoch := all.now().Epoch

			bob.ends(executor.Completed, takingOver(true))
			if !bob.person.wasAsked(operator.Former) {
				t.Error("bob was not asked whether ann's csu is stopped")
			}
			release()
			r, err := first.wait(t)
			displaced := refusal[*ledger.DisplacedError](t, "the displaced run", err)
			if displaced.Epoch <= epoch || r.End == executor.Completed {
				t.Errorf("the displaced run ends %q by epoch %d, want it stopped by one above %d", r.End, displaced.Epoch, epoch)
			}
			_, err = ann.run(resumed)
			refusal[*ledger.EndedError](t, "Run of the displaced journal", err, `"bob"`)
			all.done(want...)
		})
	}
}

// While the run that was taken over is under way, the displaced csu ends by itself, and its journal is out of
// date.
func TestADisplacedJournalIsBehind(t *testing.T) {
	all, each := newClones(t, "displaced", "ann", "bob")
	ann, bob := each[0], each[1]
	at := ann.person.think("deploy")
	first := ann.start()
	first.reaches(t, "ann's csu waits", at)
	bob.ends(executor.Reached, takingOver(true), until("deploy"))
	_, err := first.wait(t)
	displaced := refusal[*ledger.DisplacedError](t, "the displaced run", err, "taken over", `"bob"`)
	if displaced.Holder == nil || displaced.Holder.Operator != "bob" {
		t.Errorf("it was displaced by %+v, want bob", displaced.Holder)
	}
	_, err = ann.run(resumed)
	refusal[*ledger.BehindError](t, "Run of the displaced journal", err, `"bob"`, "csu takeover")

	// Ann takes it back; her old journal is kept.
	ann.ends(executor.Completed, takingOver(false))
	kept, err := filepath.Glob(ann.journal + "*")
	if err != nil || len(kept) != 2 {
		t.Errorf("beside the journal there is %q (%v), want the one that was out of date", kept, err)
	}
	all.done("ann begin/wait", "bob deploy/auxtel", "ann final/forward")
}

// A killed csu is known to be dead from the lock on its journal, or from its
// silence.
func TestARunWhoseCsuWasKilled(t *testing.T) {
	t.Parallel() // mostly waiting
	all, each := newClones(t, "killed", "ann", "bob")
	ann, bob := each[0], each[1]
	killed := func(c *clone, change ...func(*executor.Options)) {
		t.Helper()
		at := c.person.think("deploy")
		s := c.start(change...)
		s.reaches(t, "the csu waits", at)
		c.kill(s)
	}
	killed(ann)
	if h := all.now().Holder; h == nil || h.Process == "" {
		t.Fatalf("the holder is %+v, want the csu that was killed", h)
	}
	const watches = "csu watches the ledger"
	killed(ann, resumed)
	if strings.Contains(ann.person.heard(), watches) || ann.person.wasAsked(operator.Former) {
		t.Errorf("with the journal at hand csu told %q and asked %+v; want it to resume at once, without a question", ann.person.heard(), ann.person.asked)
	}
	bob.copyFrom(ann)
	began := time.Now()
	bob.ends(executor.Completed, takingOver(false))
	if took := time.Since(began); took < dead || !strings.Contains(bob.person.heard(), watches) || !bob.person.wasAsked(operator.Former) {
		t.Errorf("elsewhere it was taken over after %s, asked %+v; want it after %s, with a question", took, bob.person.asked, dead)
	}
	all.done("ann begin/wait", "bob deploy/auxtel", "bob final/forward")
}

func TestTheSiteIsNotTakenFromACsuAtWork(t *testing.T) {
	all, each := newClones(t, "unlock-live", "ann", "bob")
	ann, bob := each[0], each[1]
	at, release := ann.hold("begin/wait")
	first := ann.start(until("begin"))
	first.reaches(t, "the step has begun", at)
	_, err := executor.Unlock(t.Context(), bob.options(), "I think it is dead")
	refusal[*ledger.LiveError](t, "Unlock", err, `"ann"`)
	var locked *journal.LockedError
	if _, err := executor.Unlock(t.Context(), ann.options(), "impatience"); !errors.As(err, &locked) {
		t.Errorf("Unlock beside the journal = %v, want a *LockedError", err)
	}
	release()
	if r, err := first.wait(t); err != nil || r.End != executor.Reached {
		t.Errorf("Run = %q, %v, want it complete", r.End, err)
	}
	if h := all.now().Holder; h == nil || h.Operator != "ann" {
		t.Errorf("the holder is %+v, want still ann", h)
	}
}

func TestTheSiteIsTakenFromAnAbandonedRun(t *testing.T) {
	t.Parallel() // mostly waiting
	all, each := newClones(t, "unlock", "ann", "bob", "carol")
	ann, bob, carol := each[0], each[1], each[2].another()
	at := ann.person.think("deploy")
	first := ann.start()
	first.reaches(t, "ann's csu waits", at)
	ann.kill(first)
	h, err := executor.Unlock(t.Context(), bob.options(), "ann's laptop is lost")
	if err != nil || h == nil || h.Operator != "ann" {
		t.Fatalf("Unlock = %+v, %v, want the site taken from ann's run", h, err)
	}
	if h, err := executor.Unlock(t.Context(), bob.options(), "once more"); err != nil || h != nil {
		t.Errorf("Unlock of a free site = %+v, %v, want none", h, err)
	}
	// The plan was begun: it cannot start again, but it can be continued.
	_, err = bob.run()
	refusal[*ledger.EndedError](t, "Run of the plan again", err, "csu takeover")
	carol.ends(executor.Reached, until("begin"))
	_, err = ann.run(resumed)
	refusal[*ledger.HeldError](t, "Run of the journal that was found", err, `"carol"`)
	carol.ends(executor.Completed, resumed)
	ann.person = newPerson("ann")
	ann.ends(executor.Completed, resumed)
	all.done("ann begin/wait", "carol begin/wait", "carol deploy/auxtel", "carol final/forward", "ann deploy/auxtel", "ann final/forward")
}

func TestAnUnlockedRunIsTakenOver(t *testing.T) {
	all, each := newClones(t, "unlock-takeover", "ann", "bob")
	ann, bob := each[0], each[1]
	ann.ends(executor.Reached, until("begin"))
	if h, err := executor.Unlock(t.Context(), bob.options(), "ann is ill"); err != nil || h == nil {
		t.Fatalf("Unlock = %+v, %v, want the site taken from ann's run", h, err)
	}
	bob.ends(executor.Completed, takingOver(false))
	if l := all.now(); len(l.Finished) != 1 || l.Finished[0].Outcome != ledger.Complete {
		t.Errorf("the finished runs are %+v, want the one, complete", l.Finished)
	}
	all.done("ann begin/wait", "bob deploy/auxtel", "bob final/forward")
}

func TestARunIsHandedOver(t *testing.T) {
	all, each := newClones(t, "handover", "ann", "bob")
	ann, bob := each[0], each[1]
	at, release := ann.hold("begin/wait")
	first := ann.start()
	first.reaches(t, "the step has begun", at)
	waiting, handed := make(chan struct{}), make(chan error, 1)
	o := bob.options()
	go func() {
		handed <- executor.HandOver(t.Context(), o, "bob", func(h ledger.Holder) { close(waiting) })
	}()
	select {
	case <-waiting:
	case err := <-handed:
		t.Fatalf("HandOver = %v, want it to wait for ann's csu", err)
	case <-time.After(ground.Limit):
		t.Fatal("HandOver does not wait for ann's csu")
	}
	asked := all.now().Holder.Renewed
	const seen = "ann's csu has seen the request"
	all.ground.Until(t, ground.Limit, seen, func(context.Context) (bool, error) {
		first.mustRun(t, seen)
		h := all.now().Holder
		return h.Asked != nil && h.Renewed.After(asked), nil
	})
	release() // the step finishes
	r, err := first.wait(t)
	if err != nil || r.End != executor.HandedOver {
		t.Errorf("Run of ann = %q (%s), %v, want it handed over", r.End, r.Text, err)
	}
	select {
	case err := <-handed:
		if err != nil {
			t.Fatalf("HandOver = %v", err)
		}
	case <-time.After(ground.Limit):
		t.Fatal("HandOver does not return")
	}
	if h := all.now().Holder; h == nil || h.Process != "" || h.To != "bob" || h.Asked != nil {
		t.Errorf("the holder is %+v, want ann's run without a process, for bob", h)
	}
	if _, err := ann.run(resumed); exit.CodeOf(err) != exit.Refused || !strings.Contains(err.Error(), `handed over to "bob"`) {
		t.Errorf("Run of ann = %v, want it refused: it is bob's now", err)
	}
	bob.ends(executor.Completed, takingOver(false))
	if bob.person.wasAsked(operator.Former) {
		t.Error("bob was asked about a csu that had handed its run over")
	}
	all.done("ann begin/wait", "bob deploy/auxtel", "bob final/forward")
}

// mayNot revokes the operators' permission to write the ledger, until again.
func (all *clones) mayNot() (again func()) {
	all.t.Helper()
	user := strings.TrimSuffix(filepath.Base(all.kubeconfig), ".kubeconfig")
	roles := all.ground.Admin.RbacV1().Roles(ledger.Namespace)
	role, err := roles.Get(all.t.Context(), user, metav1.GetOptions{})
	if err != nil {
		all.t.Fatal(err)
	}
	if err := roles.Delete(all.t.Context(), user, metav1.DeleteOptions{}); err != nil {
		all.t.Fatal(err)
	}
	all.awaitRight(false)
	return func() {
		all.t.Helper()
		role.ObjectMeta = metav1.ObjectMeta{Name: role.Name, Namespace: role.Namespace}
		if _, err := roles.Create(all.t.Context(), role, metav1.CreateOptions{}); err != nil {
			all.t.Fatal(err)
		}
		all.awaitRight(true)
	}
}

// awaitRight waits until the API server applies an added or deleted role.
func (all *clones) awaitRight(given bool) {
	all.t.Helper()
	client, err := cluster.Connect(all.kubeconfig, all.plan.Targets.Kubernetes.Context)
	if err != nil {
		all.t.Fatal(err)
	}
	want := []cluster.Permission{{Verb: "update", Resource: "configmaps", Namespace: ledger.Namespace, Name: all.plan.LedgerName()}}
	all.ground.Until(all.t, ground.Limit, "the permission to write the ledger has changed", func(ctx context.Context) (bool, error) {
		denied, err := client.Allowed(ctx, want)
		return err == nil && (len(denied) == 0) == given, err
	})
}

// outages are the ways in which the ledger becomes unwritable; each returns a function that ends it.
var outages = map[string]func(c *clone) (end func()){
	"cut off": func(c *clone) func() { c.relay.set(cutOff); return func() { c.relay.set(passing) } },
	"silent":  func(c *clone) func() { c.relay.set(silent); return func() { c.relay.set(passing) } },
	"right":   func(c *clone) func() { return c.mayNot() },
}

// A run whose end does not reach the ledger is complete, but still holds the site.
func TestAnEndThatIsReleasedLater(t *testing.T) {
	t.Parallel() // mostly waiting
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // mostly waiting
			all, each := newClones(t, "release-"+strings.ReplaceAll(name, " ", "-"), "ann", "bob")
			ann, bob := each[0], each[1].another()
			var end func()
			ann.then("final/forward", func() { end = outage(ann) })
			r := ann.ends(executor.Completed)
			if r.Unreleased == nil {
				t.Error("the run counts as released, but the ledger could not be written")
			}
			if h := all.now().Holder; h == nil || h.Run != r.RunID {
				t.Errorf("the holder is %+v, want still the run", h)
			}
			if name == "right" { // the others would take too long
				_, err := ann.run(resumed)
				refusal[*exit.Error](t, "Run of the complete journal", err, "ask the cluster's administrators for this permission")
			}
			end()
			_, err := bob.run()
			refusal[*ledger.HeldError](t, "Run of another plan", err, r.RunID)
			if again := ann.ends(executor.Completed, resumed); again.Unreleased != nil {
				t.Errorf("after the outage the run is not released: %v", again.Unreleased)
			}
			if l := all.now(); l.Holder != nil || len(l.Finished) != 1 || l.Finished[0].Outcome != ledger.Complete || l.Finished[0].Run != r.RunID {
				t.Errorf("the ledger is %+v, want the finished run alone", l)
			}
			bob.ends(executor.Completed)
			all.done("ann begin/wait", "ann deploy/auxtel", "ann final/forward", "bob begin/wait", "bob deploy/auxtel", "bob final/forward")
		})
	}
}

// While the ledger cannot be written, nothing is sent unless the operator agrees to continue without it.
func TestTheLedgerIsAwayInTheMiddle(t *testing.T) {
	t.Parallel() // mostly waiting
	for _, x := range []struct {
		outage string
		choice operator.Choice
	}{{"cut off", operator.Yes}, {"silent", operator.Stop}} {
		t.Run(x.outage+" "+string(x.choice), func(t *testing.T) {
			t.Parallel() // mostly waiting
			all, each := newClones(t, "away-"+strings.ReplaceAll(x.outage, " ", "-")+"-"+string(x.choice), "ann")
			ann := each[0]
			var end func()
			ann.then("begin/wait", func() { end = outages[x.outage](ann) })
			ann.person.answer(operator.Outage, x.choice)
			r, err := ann.run()
			if err != nil || !ann.person.wasAsked(operator.Outage) {
				t.Fatalf("Run = %q, %v, asked %+v; want a question about the outage", r.End, err, ann.person.asked)
			}
			if x.choice == operator.Yes {
				if r.End != executor.Completed || r.Unreleased == nil {
					t.Errorf("Run = %q, unreleased %v, want it complete and not released", r.End, r.Unreleased)
				}
			} else {
				if r.End != executor.Halted {
					t.Errorf("Run = %q, want it stopped", r.End)
				}
				all.done("ann begin/wait")
			}
			end()
			if r := ann.ends(executor.Completed, resumed); r.Unreleased != nil {
				t.Errorf("the run that was resumed is not released: %v", r.Unreleased)
			}
			if h := all.now().Holder; h != nil {
				t.Errorf("the holder is %+v, want none", h)
			}
			all.done("ann begin/wait", "ann deploy/auxtel", "ann final/forward")
		})
	}
}

// A revoked permission is not an outage: nothing is sent, and the operator learns which permission it is.
// They may have it restored while csu waits for their answer, or later.
func TestTheRightToTheLedgerIsLostInTheMiddle(t *testing.T) {
	for _, choice := range []operator.Choice{operator.Retry, operator.Stop} {
		t.Run(string(choice), func(t *testing.T) {
			all, each := newClones(t, "right-"+string(choice), "ann")
			ann := each[0]
			var again func()
			ann.then("begin/wait", func() { again = ann.mayNot() })
			ann.person.answer(operator.Failed, choice)
			if choice == operator.Retry {
				ann.person.before(operator.Failed, func() { again() })
			}
			r, err := ann.run()
			q := ann.person.question(operator.Failed)
			if err != nil || q == nil || !strings.Contains(q.Text, "ask the cluster's administrators for this permission") || ann.person.wasAsked(operator.Outage) {
				t.Fatalf("Run = %q, %v, asked %+v; want a question that names the permission", r.End, err, q)
			}
			if choice == operator.Stop {
				if r.End != executor.Halted {
					t.Errorf("Run = %q, want it stopped", r.End)
				}
				all.done("ann begin/wait")
				again()
				r = ann.ends(executor.Completed, resumed)
			}
			if r.End != executor.Completed || r.Unreleased != nil {
				t.Errorf("Run = %q, unreleased %v, want it complete and released", r.End, r.Unreleased)
			}
			all.done("ann begin/wait", "ann deploy/auxtel", "ann final/forward")
		})
	}
}

// The cluster comes back while the run continues without it: the ledger is written again, and the operator is
// told.
func TestTheLedgerIsBack(t *testing.T) {
	t.Parallel() // mostly waiting
	all, each := newClones(t, "back", "ann")
	ann := each[0]
	ann.then("begin/wait", func() { ann.relay.set(cutOff) })
	at, release := ann.hold("final/forward")
	first := ann.start()
	first.reaches(t, "the final step has begun", at)
	ann.relay.set(passing)
	const back = "the operator is told that the ledger has the steps from without it"
	ann.ground.Until(t, ground.Limit, back, func(context.Context) (bool, error) {
		first.mustRun(t, back)
		heard := ann.person.heard()
		return strings.Contains(heard, "the cluster answers again, and the site's ledger is still this run's"), fmt.Errorf("the operator was told:\n%s", heard)
	})
	release()
	if r, err := first.wait(t); err != nil || r.End != executor.Completed || r.Unreleased != nil {
		t.Errorf("Run = %q, %v, unreleased %v, want it complete", r.End, err, r.Unreleased)
	}
	all.done("ann begin/wait", "ann deploy/auxtel", "ann final/forward")
}

// A run that was taken over while its csu continued without the cluster is displaced when the cluster is
// back, and its effects in the meantime are looked for.
func TestATakeoverDuringAnOutage(t *testing.T) {
	t.Parallel() // mostly waiting
	all, each := newClones(t, "outage", "ann", "bob")
	ann, bob := each[0], each[1]
	ann.then("begin/wait", func() { ann.relay.set(cutOff) })
	at, release := ann.hold("final/forward")
	first := ann.start()
	first.reaches(t, "ann's csu has continued without the cluster", at)
	bob.person.answer(operator.FormerOutage, operator.Yes)
	bob.ends(executor.Reached, takingOver(true), until("deploy"))
	ann.relay.set(passing)
	release()
	_, err := first.wait(t)
	refusal[*ledger.DisplacedError](t, "the displaced run", err, `"bob"`)
	bob.ends(executor.Completed, resumed)
	all.done("ann begin/wait", "ann deploy/auxtel", "bob final/forward")
}
