package campaign

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

var (
	full   = flag.Bool("full", false, "the whole campaign, not the slice of make test")
	seed   = flag.Int64("seed", 1, "the first seed of the cases that are drawn")
	drawn  = flag.Int("drawn", 0, "how many cases are drawn beside the boundaries; 0: as many as belong to the slice or to the whole")
	beside = flag.Int("beside", 0, "how many cases run at once; 0: four on each core")
)

// trial is a case of a plan at a seed.
type trial struct {
	plan  string // by its name, see load
	seed  int64
	drawn int // so many crashes are drawn; 0: they are those of the case
	Case
}

// tally counts cases by kind, place and position.
type tally struct {
	mu      sync.Mutex
	cases   int
	lives   int
	asked   int
	missed  int
	reached map[string]int
}

func (c *tally) add(b boundary, v Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cases++
	c.lives += len(v.Lives)
	c.asked += v.Asked
	if len(v.Lives) == 0 || !v.Lives[0].Reached {
		c.missed++
		return
	}
	c.reached[rowOf(b)]++
}

// rowOf names a line of the list: kind, record or effect, position.
func rowOf(b boundary) string {
	what, at := b.trigger.Key, string(b.trigger.At)
	event := what[strings.LastIndexByte(what, ' ')+1:]
	switch b.trigger.On {
	case OnRecord:
		what = "record " + event
	case OnDisk:
		at = "fails"
	case OnEffect:
		for kind := range direct {
			if strings.HasPrefix(what, kind+" ") {
				what = "effect " + kind
			}
		}
		if at == string(Middle) {
			at = "in the middle (done, its answer lost)"
		}
	case OnRequest:
		what, at = fmt.Sprintf("request %d after %s", b.trigger.Further, event), "before (not sent)"
	case OnAnswer:
		what, at = fmt.Sprintf("request %d after %s", b.trigger.Further, event), "in the middle (answer lost)"
	}
	return fmt.Sprintf("%-14s %-32s %s", b.kind, what, at)
}

// references are made once per plan and seed.
type references struct {
	mu   sync.Mutex
	made map[string]func() (*Reference, error)
}

// of returns the undisturbed run of a trial's plan at its seed.
func (r *references) of(t *testing.T, tr trial) (*Reference, error) {
	name := fmt.Sprintf("%s;%d", tr.plan, tr.seed)
	r.mu.Lock()
	make := r.made[name]
	if make == nil {
		make = sync.OnceValues(func() (*Reference, error) {
			p, digest, err := load(tr.plan)
			if err != nil {
				return nil, err
			}
			ref, err := Refer(t.Context(), Setting{Plan: p, Digest: digest, Seed: tr.seed}, t.TempDir())
			if err != nil {
				return nil, err
			}
			if idle := ref.idle(); purposeMade[tr.plan] != nil && len(idle) > 0 {
				return nil, fmt.Errorf("the undisturbed run: %s", strings.Join(idle, "; "))
			}
			return ref, nil
		})
		r.made[name] = make
	}
	r.mu.Unlock()
	return make()
}

// campaign is a set of cases on their way.
type campaign struct {
	t      *testing.T
	refs   references
	tally  tally
	tokens chan struct{}
	work   sync.WaitGroup
	began  time.Time
}

func newCampaign(t *testing.T) *campaign {
	n := *beside
	if n == 0 {
		n = 4 * runtime.GOMAXPROCS(0)
	}
	c := &campaign{t: t, began: time.Now(), tokens: make(chan struct{}, n), tally: tally{reached: map[string]int{}}}
	c.refs.made = map[string]func() (*Reference, error){}
	t.TempDir()
	t.Cleanup(c.work.Wait) // before the folders go
	return c
}

// reference is for what is done with the reference itself.
func (c *campaign) reference(name string, seed int64) *Reference {
	tr := trial{plan: name, seed: seed}
	ref, err := c.refs.of(c.t, tr)
	if err != nil {
		c.report(tr, nil, Verdict{Problems: []string{err.Error()}}, "")
		c.t.FailNow()
	}
	return ref
}

// start runs a case beside others.
func (c *campaign) start(tr trial, b boundary) {
	c.tokens <- struct{}{}
	c.work.Go(func() {
		defer func() { <-c.tokens }()
		ref, err := c.refs.of(c.t, tr)
		if err != nil {
			c.report(tr, nil, Verdict{Problems: []string{err.Error()}}, "")
			return
		}
		if tr.drawn > 0 {
			tr.Case = ref.Draw(tr.How, tr.drawn)
			b.trigger = tr.Dies[0]
		}
		v, dir := c.run(tr.Case, ref)
		c.tally.add(b, v)
		c.report(tr, ref, v, dir)
	})
}

// draw runs the nth case that is drawn of a plan: each three have one seed, and
// one, two and three crashes.
func (c *campaign) draw(name string, n int, how Crash) {
	kind := plan.Kind("drawn")
	if how == Process {
		kind = "process"
	}
	c.start(trial{plan: name, seed: *seed + int64(n/3), drawn: 1 + n%3, Case: Case{How: how}}, boundary{kind: kind})
}

// run carries a case out in a folder; that it can't be is a problem too.
func (c *campaign) run(a Case, ref *Reference) (v Verdict, dir string) {
	b := Bench{Dir: c.t.TempDir()}
	if a.How == Process {
		var err error
		if b.Program, err = program(); err != nil {
			return Verdict{Problems: []string{err.Error()}}, b.Dir
		}
	}
	v, err := a.Run(c.t.Context(), ref, b)
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
	}
	v.Problems = append(v.Problems, misreported(ref.Plan, ref.Digest, v.Journal)...)
	return v, b.Dir
}

// finish waits for the cases and prints what there was of them.
func (c *campaign) finish(what string) {
	c.t.Helper()
	c.work.Wait()
	for _, row := range slices.Sorted(maps.Keys(c.tally.reached)) {
		c.t.Logf("%5d  %s", c.tally.reached[row], row)
	}
	c.t.Logf("%s: %d cases with %d lives in %s; %d questions about what was in doubt; in %d cases the first trigger was not reached",
		what, c.tally.cases, c.tally.lives, time.Since(c.began).Round(time.Second), c.tally.asked, c.tally.missed)
}

// report reports a failure, with the command that replays the smallest case that shows
// it, and keeps the plan, the journal and the site's record.
func (c *campaign) report(tr trial, ref *Reference, v Verdict, dir string) {
	if len(v.Problems) == 0 {
		return
	}
	least := tr.Case
	if ref == nil { // the undisturbed run failed
		least = Case{How: Killed}
	}
	first := least
	for i := 0; ref != nil && i < len(least.Dies) && len(least.Dies) > 1; {
		fewer := Case{How: least.How, Dies: slices.Delete(slices.Clone(least.Dies), i, i+1)}
		if again, in := c.run(fewer, ref); len(again.Problems) > 0 {
			least, v, dir = fewer, again, in
		} else {
			i++
		}
	}
	folder, err := kept(tr.plan, v.Journal, dir)
	if err != nil {
		c.t.Errorf("keep what failed of plan %q: %v", tr.plan, err)
	}
	again := "\nagain: " + least.replayLine(tr.plan, tr.seed)
	if len(first.Dies) > len(least.Dies) {
		again += "\nbefore its triggers were reduced: " + first.replayLine(tr.plan, tr.seed)
	}
	c.t.Errorf("seed %d of the site, plan %q, %d lives:\n  %s\nplan, journal and record: %s%s",
		tr.seed, tr.plan, len(v.Lives), strings.Join(v.Problems, "\n  "), folder, again)
}

// TestCampaign kills at every boundary of the purpose-made plans, or, for make
// test, at one of each row of the list, and at boundaries that are drawn, again
// and again in one run. With -plan and -triggers it replays one case instead.
func TestCampaign(t *testing.T) {
	c := newCampaign(t)
	if *planName != "" || *triggers != "" {
		c.replay()
		return
	}
	r := rand.New(rand.NewPCG(uint64(*seed), 4))
	names := slices.Sorted(maps.Keys(purposeMade))
	taken := map[string]bool{}
	kinds := map[plan.Kind]int{}
	for _, name := range names {
		for _, b := range c.reference(name, 1).list {
			if !*full && taken[rowOf(b)] {
				continue
			}
			taken[rowOf(b)] = true
			kinds[b.kind]++
			c.start(trial{plan: name, seed: 1, Case: Case{How: crashing[r.IntN(3)], Dies: []Trigger{b.trigger}}}, b)
		}
	}
	n := *drawn
	if n == 0 && *full {
		n = 1500
	} else if n == 0 {
		n = 80
	}
	for i := range n {
		c.draw(names[i%len(names)], i/len(names), "")
	}
	c.finish("kills")
	for _, k := range plan.Kinds {
		t.Logf("%5d boundaries of kind %s", kinds[k], k)
		if kinds[k] == 0 {
			t.Errorf("no boundary of kind %s", k)
		}
	}
	for _, row := range slices.Sorted(maps.Keys(taken)) {
		if c.tally.reached[row] == 0 {
			t.Errorf("no case came to: %s", row)
		}
	}
}

// TestUpgrade kills, at boundaries that are drawn, in a run of one of the project's
// plans.
func TestUpgrade(t *testing.T) {
	n := 3
	if *full {
		n = 30
	}
	c := newCampaign(t)
	for i := range n {
		c.draw(upgrade, i, "")
	}
	c.finish("kills in an upgrade")
	if c.tally.missed == n {
		t.Error("no case reached its first trigger")
	}
}

// upgrade is the project's plan that runs in the least time.
const upgrade = "2026-11-24-summit-incremental"

// TestSlice runs the few cases that tell the mutations of [TestMutations]; see
// there.
func TestSlice(t *testing.T) {
	const told = "effect|message posted #camera Over to you.|1|middle"
	c := newCampaign(t)
	for _, s := range []struct {
		how  Crash
		dies []string
	}{
		{Killed, []string{"none"}},
		{Killed, []string{"record|talk/asked started|1|after"}},
		{Killed, []string{"record|level/none started|1|after", "record|level/none outcome|1|before"}},
		{Killed, []string{told}},
		{Power, []string{told}},
	} {
		a := Case{How: s.how}
		for _, text := range s.dies {
			d, err := ParseTrigger(text)
			if err != nil {
				t.Fatal(err)
			}
			a.Dies = append(a.Dies, d)
		}
		c.start(trial{plan: "talk", seed: 1, Case: a}, boundary{trigger: a.Dies[0]})
	}
	c.work.Wait()
}
