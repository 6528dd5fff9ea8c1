package campaign

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// trial is one case: which plan, which site, and what its lives die of.
type trial struct {
	plan string
	seed int64
	how  crash
	dies []trigger // of each life; the life after the last one dies of nothing
}

// String is what the flag -case reads.
func (c trial) String() string {
	parts := []string{c.plan, strconv.FormatInt(c.seed, 10), string(c.how)}
	for _, d := range c.dies {
		parts = append(parts, d.String())
	}
	return strings.Join(parts, ";")
}

// parseTrial reads what String writes.
func parseTrial(s string) (c trial, err error) {
	parts := strings.Split(s, ";")
	if len(parts) < 3 {
		return c, fmt.Errorf("case %q: it has no plan, seed and crash", s)
	}
	c.plan, c.how = parts[0], crash(parts[2])
	if c.seed, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return c, fmt.Errorf("case %q: its seed: %w", s, err)
	}
	for _, part := range parts[3:] {
		d, err := parseTrigger(part)
		if err != nil {
			return c, fmt.Errorf("case %q: %w", s, err)
		}
		c.dies = append(c.dies, d)
	}
	return c, nil
}

// verdict is what a case came to.
type verdict struct {
	fired    []bool // whether each trigger fired
	lives    int
	shown    int // questions about what was in doubt
	problems []string
}

// mostLives bounds a case: each life but the last dies of a trigger.
const mostLives = 8

// run carries a case out against its reference.
func (c trial) run(r *reference, dir string) (v verdict) {
	wrong := func(format string, args ...any) verdict {
		v.problems = append(v.problems, fmt.Sprintf(format, args...))
		return v
	}
	w, err := newWorld(r.plan, r.digest, dir, c.seed)
	if err != nil {
		return wrong("%v", err)
	}
	defer func() {
		if err := w.site.Close(); err != nil {
			v.problems = append(v.problems, err.Error())
		}
	}()
	v.fired = make([]bool, len(c.dies))
	if c.how == processes {
		planFile, err := w.files()
		if err != nil {
			return wrong("%v", err)
		}
		for i, t := range c.dies {
			if v.fired[i], err = w.spawn(t, planFile); err != nil {
				return wrong("life %d: %v", i+1, err)
			}
			if v.lives++; w.complete() {
				w.settle()
				v.problems = append(v.problems, r.judge(w)...)
				return v
			}
		}
	}
	for v.lives < mostLives {
		t := trigger{}
		if v.lives < len(c.dies) {
			t = c.dies[v.lives]
		}
		res, fired, err := w.live(t)
		if v.lives < len(c.dies) {
			v.fired[v.lives] = fired
		}
		v.lives++
		switch {
		case err != nil && !(fired && (errors.Is(err, journaltest.ErrCrashed) || ofDisk(err))):
			return wrong("life %d: %v", v.lives, err)
		case fired:
			w.crash(c.how)
			if !w.complete() {
				continue
			}
		case res.End != executor.Completed:
			return wrong("life %d ended %q: %s", v.lives, res.End, res.Text)
		}
		break
	}
	for _, n := range w.person.shown {
		v.shown += n
	}
	w.settle()
	v.problems = append(v.problems, r.judge(w)...)
	return v
}

// references are made once per plan and seed.
type references struct {
	mu   sync.Mutex
	made map[string]*entry
}

type entry struct {
	once sync.Once
	ref  *reference
	list []boundary
	err  error
}

// of returns the undisturbed run of a plan at a seed, and its boundaries.
func (r *references) of(c trial, loaded func(string) (*reference, error)) (*reference, []boundary, error) {
	name := fmt.Sprintf("%s;%d", c.plan, c.seed)
	r.mu.Lock()
	if r.made == nil {
		r.made = map[string]*entry{}
	}
	e := r.made[name]
	if e == nil {
		e = &entry{}
		r.made[name] = e
	}
	r.mu.Unlock()
	e.once.Do(func() {
		for range 3 {
			if e.ref, e.list, e.err = undisturbed(c, loaded); !errors.Is(e.err, errDisturbed) {
				break
			}
		}
	})
	return e.ref, e.list, e.err
}

// errDisturbed says that the machine was too busy for a reference: at the site a
// second of its time is many minutes, and something ran into its limit.
var errDisturbed = errors.New("in the undisturbed run something failed, or was in doubt")

func undisturbed(c trial, loaded func(string) (*reference, error)) (*reference, []boundary, error) {
	p, err := loaded(c.plan)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "csu-campaign-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	w, err := newWorld(p.plan, p.digest, dir, c.seed)
	if err != nil {
		return nil, nil, err
	}
	defer w.site.Close()
	res, _, err := w.live(trigger{})
	if err == nil && res.End != executor.Completed {
		err = fmt.Errorf("the undisturbed run ended %q: %s", res.End, res.Text)
	}
	if err != nil {
		return nil, nil, err
	}
	w.settle()
	if len(w.person.failed) > 0 || len(w.person.shown) > 0 {
		return nil, nil, fmt.Errorf("%w: %q, %v", errDisturbed, w.person.failed, w.person.shown)
	}
	ref, err := refer(w)
	if err != nil {
		return nil, nil, err
	}
	problems := ref.judge(w)
	if purposeMade[c.plan] != nil {
		problems = append(problems, ref.idle()...)
	}
	if len(problems) > 0 {
		return nil, nil, fmt.Errorf("the undisturbed run: %s", strings.Join(problems, "; "))
	}
	return ref, ref.boundaries(w.site.Record()), nil
}
