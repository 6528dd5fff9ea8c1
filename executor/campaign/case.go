package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// Case says how its lives end, and what that does to the disk.
type Case struct {
	How  Crash
	Dies []Trigger // of each life; the life after the last one dies of nothing
}

// Draw draws a case from the reference's seed: its triggers, as many as crashes, and
// how csu dies, where how is "". The same plan, seed and number give the same case.
// Two of three triggers are boundaries of the reference, in the plan's order, so that
// most are reached; the others are anywhere.
func (r *Reference) Draw(how Crash, crashes int) Case {
	d := rand.New(rand.NewPCG(uint64(r.Seed), r.hash("draw", crashes)))
	c := Case{How: crashing[d.IntN(len(crashing))]}
	if how != "" {
		c.How = how
	}
	var known []boundary
	for i := range crashes {
		if d.IntN(3) > 0 {
			known = append(known, r.pick(crashes, i))
			c.Dies = append(c.Dies, Trigger{})
			continue
		}
		c.Dies = append(c.Dies, anywhere(d, c.How))
	}
	slices.SortStableFunc(known, func(a, b boundary) int { return a.place - b.place })
	for i := range c.Dies {
		if c.Dies[i].On != "" {
			continue
		}
		c.Dies[i], known = known[0].trigger, known[1:]
		if i > 0 && c.Dies[i].On != OnEffect {
			c.Dies[i].N = 1 // a later life does not see the records before it
		}
	}
	return c
}

// pick takes the boundary with the least hash, so that two runs give the same
// one: the order of boundaries differs between them where steps run side by
// side, and so does the number of notes, of which only the first is taken.
func (r *Reference) pick(crashes, n int) (found boundary) {
	least := uint64(math.MaxUint64)
	for _, b := range r.list {
		if b.trigger.N > 1 && strings.HasSuffix(b.trigger.Key, " "+string(journal.Noted)) {
			continue
		}
		if h := r.hash(crashes, n, b.trigger); h < least {
			found, least = b, h
		}
	}
	return found
}

// hash hashes what is drawn, with the reference's plan and seed.
func (r *Reference) hash(what ...any) uint64 {
	sum := sha256.Sum256(fmt.Append(nil, r.Digest, r.Seed, what))
	return binary.BigEndian.Uint64(sum[:])
}

func anywhere(d *rand.Rand, how Crash) Trigger {
	t := Trigger{N: 1 + d.IntN(12), At: positions[d.IntN(3)], Further: 1 + d.IntN(6)}
	abouts := []string{OnRecord, OnRecord, OnRequest, OnAnswer, OnDisk}
	if how == Process {
		abouts = abouts[:4] // its disk is the machine's own
	}
	switch t.On = abouts[d.IntN(len(abouts))]; t.On {
	case OnRecord:
		t.Further = 0
	case OnDisk:
		faults := slices.Sorted(maps.Keys(diskFaults))
		t.Key, t.At, t.Further = faults[d.IntN(len(faults))], "", 0
	default:
		t.At = ""
	}
	return t
}

// Life is how a life of a case went.
type Life struct {
	Trigger Trigger // zero for a life without a crash
	// Reached says that the trigger fired; otherwise the life reached the end of the
	// run.
	Reached bool
}

// Verdict is the result of a case.
type Verdict struct {
	Lives    []Life
	Asked    int      // questions about what was in doubt
	Problems []string // what was done twice, left out, and so on; see [Reference.Judge]
	Journal  []byte
}

// Bench is where a case is run.
type Bench struct {
	Dir string // for the files of site and lives; made if it is missing
	// Program is the file of the csu binary, for lives that are processes.
	Program string
}

// Run runs a case and judges it. A mistake of csu is a problem in the verdict; an error
// means that the case could not be run.
func (c Case) Run(ctx context.Context, r *Reference, b Bench) (v Verdict, err error) {
	w, err := newWorld(ctx, r.Setting, b.Dir)
	if err != nil {
		return v, err
	}
	defer func() {
		v.Journal = w.journal()
		err = errors.Join(err, w.site.Close())
	}()
	if c.How == Process {
		if err := w.onDisk(); err != nil {
			return v, err
		}
	}
	for ended := false; !ended; {
		l := Life{}
		if n := len(v.Lives); n < len(c.Dies) {
			l.Trigger = c.Dies[n]
		}
		wrong := error(nil)
		l.Reached, ended, wrong = c.live(ctx, w, l.Trigger, len(v.Lives) < len(c.Dies), b.Program)
		v.Lives = append(v.Lives, l)
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		if w.late != nil {
			return v, w.late
		}
		if wrong != nil {
			v.Problems = append(v.Problems, fmt.Sprintf("life %d: %v", len(v.Lives), wrong))
			return v, nil
		}
	}
	for _, n := range w.person.shown {
		v.Asked += n
	}
	if err := w.settle(ctx); err != nil {
		return v, err
	}
	over, err := w.over()
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
		return v, nil
	}
	if v.Problems = r.Judge(over); len(v.Problems) > 0 && len(w.person.failed) > 0 {
		v.Problems = append(v.Problems, "on the way steps failed, as they also do on a machine that is too busy: "+strings.Join(w.person.failed, "; "))
	}
	return v, nil
}

// live runs a life and returns whether its trigger fired, whether the run is over, and
// what is wrong with how the life ended.
func (c Case) live(ctx context.Context, w *world, t Trigger, mortal bool, program string) (reached, ended bool, wrong error) {
	if c.How == Process && mortal {
		reached, err := w.spawn(ctx, t, program)
		return reached, err == nil && w.complete(), err
	}
	res, reached, err := w.live(ctx, t)
	switch {
	case err != nil && !(reached && (errors.Is(err, journaltest.ErrCrashed) || ofDisk(err))):
		return reached, false, err
	case reached:
		w.crash(c.How)
		return reached, w.complete(), nil
	case res.End != executor.Completed:
		return reached, false, fmt.Errorf("it ended %q: %s", res.End, res.Text)
	}
	return reached, true, nil
}
