package compiler

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/plan"
)

// The mutation test measures how strong the rules are: it changes the plans of
// the current requests in every way that the catalogue knows, and asks what
// notices. A structural mutant (order, presence, need, consent, doubt, final
// step, state, queue, width) must be refused by decoding or by a rule. A value
// mutant is refused by the rules where it disagrees with the plan's own tables
// and targets, and else by plan check, which compares the plan's bytes with what
// the sources give.

// An operator is one kind of mutation.
type operator struct {
	name       string
	structural bool
	places     func(*plan.Plan) []place
}

// A place is where an operator applies, and its mutation there. change gets a
// copy of the plan that places got.
type place struct {
	at     string
	change func(*plan.Plan)
}

// most is how many places of a structural operator in one plan are tried, and
// mostValues of another; of more than these a sample is taken, the same in each run.
const most, mostValues = 24, 12

func sample(name string, most int, all []place) []place {
	if len(all) <= most {
		return all
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 7))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:most]
}

// A harmless mutant keeps every rule, rightly. plan is the end of the plan's
// name.
type harmless struct{ plan, operator, at, reason string }

var harmlessMutants = []harmless{
	{"", "swap a stage with the next", "testing-auxtel", "the telescopes are tested in any order"},
	{"summit recovery", "swap a stage with the next", "m2", "P5 and P45 have no order"},
	{"summit recovery", "swap a stage with the next", "crios", "P45, P46 and P47 have no order"},
	{"summit recovery", "swap a stage with the next", "restart", "P45, P46 and P47 have no order"},
	{"incremental", "swap a step with one that it needs", "testing/electrometer-101-enabled 0", "one CSC is brought back to STANDBY before the other one is enabled, or afterwards"},
	{"incremental", "swap a step with one that it needs", "testing/mtmount-0-enabled 0", "one CSC is brought back to STANDBY before the other one is enabled, or afterwards"},
}

// TestMutations compiles the nine plans, applies the catalogue, and reports the
// scores.
func TestMutations(t *testing.T) {
	catalogue := slices.Concat(structural(), values())
	if n := len(catalogue); n < 40 {
		t.Fatalf("the catalogue has %d operators", n)
	}
	score := newScores()
	t.Run("plans", func(t *testing.T) {
		for _, site := range []string{"summit", "tucson-teststand", "base-teststand"} {
			for _, typ := range plan.Types {
				t.Run(site+" "+string(typ), func(t *testing.T) {
					t.Parallel()
					p, _, err := Compile(Request{Root: "..", Site: site, Type: typ})
					if err != nil {
						t.Fatal(err)
					}
					mutate(t, p, catalogue, score)
				})
			}
		}
	})
	score.report(t, catalogue)
}

// mutate applies the catalogue to one plan.
func mutate(t *testing.T, p *plan.Plan, catalogue []operator, score *scores) {
	name := p.Site + " " + string(p.Type)
	sources, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range catalogue {
		tried := mostValues
		if op.structural {
			tried = most
		}
		for _, pl := range sample(name+op.name, tried, op.places(p)) {
			m := copyOf(p)
			pl.change(m)
			switch {
			case len(m.Validate()) > 0, score.breaks(op.name, m):
				score.add(op.name, caughtByRules)
			case score.excused(name, op.name, pl.at):
				score.add(op.name, excused)
			case op.structural:
				score.add(op.name, missed)
				t.Errorf("no rule is broken by: %s: %s", op.name, pl.at)
			default:
				b, err := plan.Encode(m)
				if err != nil || !bytes.Equal(b, sources) {
					score.add(op.name, caughtByCheck)
					continue
				}
				score.add(op.name, missed)
				t.Errorf("plan check does not see: %s: %s", op.name, pl.at)
			}
		}
	}
}

// breaks reports whether the plan, an operator's mutant, breaks any rule. The rule that
// refused the operator's last mutant is tried first, since it mostly refuses this one
// too, and one rule takes a hundredth of the time of all.
func (s *scores) breaks(operator string, p *plan.Plan) bool {
	s.mu.Lock()
	last := s.rule[operator]
	s.mu.Unlock()
	for _, r := range rules {
		if r.Name == last && len(r.Check(p)) > 0 {
			return true
		}
	}
	broken := verify.Check(p)
	if len(broken) == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rule[operator] = broken[0].Rule
	return true
}

var rules = verify.Rules()

// What became of a mutant.
const (
	caughtByRules = iota // decoding included
	caughtByCheck
	excused
	missed
)

type tally [4]int

func (t *tally) all() int { return t[caughtByRules] + t[caughtByCheck] + t[excused] + t[missed] }

type scores struct {
	mu         sync.Mutex
	byOperator map[string]*tally
	used       map[harmless]bool
	rule       map[string]string // that refused an operator's last mutant
}

func newScores() *scores {
	return &scores{byOperator: map[string]*tally{}, used: map[harmless]bool{}, rule: map[string]string{}}
}

func (s *scores) add(operator string, what int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byOperator[operator] == nil {
		s.byOperator[operator] = new(tally)
	}
	s.byOperator[operator][what]++
}

// excused reports whether the list of harmless mutants has this one, and notes
// that its entry is needed.
func (s *scores) excused(plan, operator, at string) bool {
	for _, h := range harmlessMutants {
		if h.operator == operator && strings.HasSuffix(plan, h.plan) && (h.at == "" || h.at == at) {
			s.mu.Lock()
			s.used[h] = true
			s.mu.Unlock()
			return true
		}
	}
	return false
}

// report logs the scores, by operator and as a whole, and fails below 100 %.
func (s *scores) report(t *testing.T, catalogue []operator) {
	var out strings.Builder
	fmt.Fprintf(&out, "%-58s %7s %7s %7s %7s %7s\n", "operator", "mutants", "rules", "check", "listed", "missed")
	var sums [2]tally // value, structural
	for _, op := range catalogue {
		n := s.byOperator[op.name]
		if n == nil {
			t.Errorf("the operator %q applies to none of the plans", op.name)
			continue
		}
		kind := 0
		if op.structural {
			kind = 1
		}
		for i := range n {
			sums[kind][i] += n[i]
		}
		fmt.Fprintf(&out, "%-58s %7d %7d %7d %7d %7d\n", op.name, n.all(), n[caughtByRules], n[caughtByCheck], n[excused], n[missed])
	}
	value, structure := &sums[0], &sums[1]
	t.Logf("%d operators\n%s", len(catalogue), out.String())
	t.Logf("structural mutants: %d of %d caught by rules or decoding", structure[caughtByRules], structure.all()-structure[excused])
	t.Logf("value mutants: %d of %d caught, %d of them by rules alone, the others by plan check", value[caughtByRules]+value[caughtByCheck], value.all()-value[excused], value[caughtByRules])
	all, listed := value.all()+structure.all(), value[excused]+structure[excused]
	t.Logf("listed as harmless: %d of %d (%.2f %%)", listed, all, 100*float64(listed)/float64(all))
	if listed*50 > all {
		t.Errorf("more than 2 %% of the mutants are listed as harmless: %d of %d", listed, all)
	}
	for _, h := range harmlessMutants {
		if !s.used[h] || h.reason == "" {
			t.Errorf("the entry for %q: %s is not needed, or has no reason", h.operator, h.at)
		}
	}
}

// copyOf returns a plan that shares nothing with p.
func copyOf(p *plan.Plan) *plan.Plan {
	return deep(reflect.ValueOf(p)).Interface().(*plan.Plan)
}

func deep(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(deep(v.Elem()))
		return c
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		return deep(v.Elem()).Convert(v.Type())
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(deep(v.Index(i)))
		}
		return c
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			c.Field(i).Set(deep(v.Field(i)))
		}
		return c
	}
	return v
}
