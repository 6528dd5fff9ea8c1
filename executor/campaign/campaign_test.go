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
	seed   = flag.Int64("seed", 1, "of the cases that are drawn")
	drawn  = flag.Int("drawn", 0, "how many cases are drawn beside the boundaries; 0: as many as belong to the slice or to the whole")
	only   = flag.String("case", "", "run this one case, as a failure has printed it")
	beside = flag.Int("beside", 0, "how many cases run at once; 0: four on each core")
)

// tally counts cases by kind, place and position.
type tally struct {
	mu      sync.Mutex
	cases   int
	lives   int
	shown   int
	missed  map[string]bool
	reached map[string]int
}

func (c *tally) add(b boundary, v verdict, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cases++
	c.lives += v.lives
	c.shown += v.shown
	row := rowOf(b)
	if len(v.fired) == 0 || !v.fired[0] {
		c.missed[name] = true
		return
	}
	c.reached[row]++
}

// rowOf names a line of the list: kind, record or effect, position.
func rowOf(b boundary) string {
	what, at := b.trigger.Key, string(b.trigger.At)
	switch b.trigger.On {
	case onRecord:
		what = "record " + what[strings.LastIndexByte(what, ' ')+1:]
	case onDisk:
		at = "fails"
	case onEffect:
		for kind := range direct {
			if strings.HasPrefix(what, kind+" ") {
				what = "effect " + kind
			}
		}
		if at == string(middle) {
			at = "in the middle (done, its answer lost)"
		}
	case onRequest:
		what, at = fmt.Sprintf("request %d after %s", b.trigger.After, what[strings.LastIndexByte(what, ' ')+1:]), "before (not sent)"
	case onAnswer:
		what, at = fmt.Sprintf("request %d after %s", b.trigger.After, what[strings.LastIndexByte(what, ' ')+1:]), "in the middle (answer lost)"
	}
	return fmt.Sprintf("%-14s %-32s %s", b.kind, what, at)
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
	c := &campaign{t: t, began: time.Now(), tokens: make(chan struct{}, n), tally: tally{missed: map[string]bool{}, reached: map[string]int{}}}
	t.TempDir()
	t.Cleanup(c.work.Wait) // before the folders go
	return c
}

func (c *campaign) reference(tr trial) (*reference, []boundary) {
	ref, list, err := c.refs.of(tr, func(name string) (*reference, error) {
		p, digest := load(c.t, name)
		return &reference{plan: p, digest: digest}, nil
	})
	if err != nil {
		c.t.Fatalf("%s, seed %d: %v", tr.plan, tr.seed, err)
	}
	return ref, list
}

// start runs a case beside others.
func (c *campaign) start(tr trial, b boundary) {
	ref, _ := c.reference(tr)
	c.tokens <- struct{}{}
	c.work.Go(func() {
		defer func() { <-c.tokens }()
		v := tr.run(ref, c.t.TempDir())
		c.tally.add(b, v, tr.String())
		c.report(tr, v)
	})
}

// finish waits for the cases and prints what there was of them.
func (c *campaign) finish(what string) {
	c.t.Helper()
	c.work.Wait()
	for _, row := range slices.Sorted(maps.Keys(c.tally.reached)) {
		c.t.Logf("%5d  %s", c.tally.reached[row], row)
	}
	c.t.Logf("%s: %d cases with %d lives in %s; %d questions about what was in doubt; in %d cases the first trigger was not reached",
		what, c.tally.cases, c.tally.lives, time.Since(c.began).Round(time.Second), c.tally.shown, len(c.tally.missed))
}

// report tells a failure, with the least that reproduces it.
func (c *campaign) report(tr trial, v verdict) {
	if len(v.problems) == 0 {
		return
	}
	least := tr
	ref, _ := c.reference(tr)
	for i := 0; i < len(least.dies) && len(least.dies) > 1; {
		fewer := least
		fewer.dies = slices.Delete(slices.Clone(least.dies), i, i+1)
		if again := fewer.run(ref, c.t.TempDir()); len(again.problems) > 0 {
			least, v = fewer, again
		} else {
			i++
		}
	}
	c.t.Errorf("seed %d of the site, plan %q, %d lives:\n  %s\nagain: go test ./executor/campaign -run TestCase -case '%s'",
		least.seed, least.plan, v.lives, strings.Join(v.problems, "\n  "), least)
}

// draw returns a trigger for a life, anywhere.
func draw(r *rand.Rand, list []boundary) trigger {
	if r.IntN(3) > 0 {
		return list[r.IntN(len(list))].trigger
	}
	t := trigger{N: 1 + r.IntN(12), At: positions[r.IntN(3)], After: 1 + r.IntN(6)}
	t.On = []string{onRecord, onRecord, onRequest, onAnswer, onDisk}[r.IntN(5)]
	if t.On == onDisk {
		faults := slices.Sorted(maps.Keys(diskFaults))
		t.Key = faults[r.IntN(len(faults))]
	}
	return t
}

var crashes = []crash{killed, power, partial}

// TestCampaign kills at every boundary of the purpose-made plans, or, for make
// test, at one of each row of the list, and at boundaries that are drawn, again
// and again in one run.
func TestCampaign(t *testing.T) {
	c := newCampaign(t)
	r := rand.New(rand.NewPCG(uint64(*seed), 4))
	names := slices.Sorted(maps.Keys(purposeMade))
	taken := map[string]bool{}
	kinds := map[plan.Kind]int{}
	for _, name := range names {
		_, list := c.reference(trial{plan: name, seed: 1})
		for _, b := range list {
			if !*full && taken[rowOf(b)] {
				continue
			}
			taken[rowOf(b)] = true
			kinds[b.kind]++
			c.start(trial{plan: name, seed: 1, how: crashes[r.IntN(3)], dies: []trigger{b.trigger}}, b)
		}
	}
	n := *drawn
	if n == 0 && *full {
		n = 1500
	} else if n == 0 {
		n = 80
	}
	for range n {
		tr := trial{plan: names[r.IntN(len(names))], seed: 1 + r.Int64N(8), how: crashes[r.IntN(3)]}
		_, list := c.reference(tr)
		for range 1 + r.IntN(3) {
			tr.dies = append(tr.dies, draw(r, list))
		}
		c.start(tr, boundary{"drawn", tr.dies[0]})
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

// TestSlice runs the few cases that tell the mutations of [TestMutations]; see
// there.
func TestSlice(t *testing.T) {
	c := newCampaign(t)
	for _, line := range []string{
		"talk;1;killed",
		"talk;1;killed;record|talk/asked started|1|after",
		"talk;1;killed;record|level/none started|1|after",
		"talk;1;killed;effect|message posted #camera Over to you.|1|middle",
		"talk;1;power;effect|message posted #camera Over to you.|1|middle",
	} {
		tr, err := parseTrial(line)
		if err != nil {
			t.Fatal(err)
		}
		c.start(tr, boundary{})
	}
	c.work.Wait()
}

// TestCase runs the one case of the flag.
func TestCase(t *testing.T) {
	if *only == "" {
		*only = "talk;1;killed;record|talk/manual started|1|after"
	}
	tr, err := parseTrial(*only)
	if err != nil {
		t.Fatal(err)
	}
	c := newCampaign(t)
	c.start(tr, boundary{"drawn", trigger{}})
	c.work.Wait()
}
