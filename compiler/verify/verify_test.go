package verify

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
)

func TestGoodPlansKeepTheRules(t *testing.T) {
	for name, p := range goodPlans() {
		t.Run(name, func(t *testing.T) {
			for _, problem := range p.Validate() {
				t.Errorf("not a plan: %s", problem)
			}
			for _, v := range Check(p) {
				t.Errorf("%s", v)
			}
			data, err := plan.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := plan.Decode(name, data); err != nil {
				t.Errorf("it does not decode: %v", err)
			}
		})
	}
}

// TestRulesAreComplete: each rule has a name of its own, numbers of the
// procedure and an explanation, and each number has a rule or is in
// withoutStep.
func TestRulesAreComplete(t *testing.T) {
	word := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	covered := map[string]bool{}
	for _, r := range Rules() {
		if !word.MatchString(r.Name) || seen[r.Name] {
			t.Errorf("rule %q: its name is not a word or is used twice", r.Name)
		}
		seen[r.Name] = true
		if len(r.Explain) < 40 || r.Explain[len(r.Explain)-1] != '.' {
			t.Errorf("rule %q is not explained: %q", r.Name, r.Explain)
		}
		if len(r.Numbers) == 0 {
			t.Errorf("rule %q has no number", r.Name)
		}
		for _, n := range r.Numbers {
			if !slices.Contains(allNumbers(), n) {
				t.Errorf("rule %q has %s, which is not in the procedure", r.Name, n)
			}
		}
	}
	for _, in := range instructions {
		covered[in.number] = true
	}
	for number, why := range withoutStep {
		if covered[number] || why == "" {
			t.Errorf("%s is listed as a number without a step, but has no reason or has a step", number)
		}
		covered[number] = true
	}
	// What says how a number is understood, and is itself carried by others.
	for _, number := range allNumbers() {
		if !covered[number] {
			t.Errorf("%s is neither an instruction nor among the numbers without a step", number)
		}
	}
}

func TestEveryInstructionIsNeeded(t *testing.T) {
	applied := map[string]bool{}
	for _, p := range goodPlans() {
		v := newView(p)
		for i := range instructions {
			if instructions[i].applies(v) {
				applied[instructions[i].number] = true
			}
		}
	}
	for _, in := range instructions {
		if !applied[in.number] {
			t.Errorf("%s applies to none of the good plans", in.number)
		}
	}
}

// TestOrderOfViolations: what is about the plan comes first, then stage by stage
// and step by step, however the rules are ordered.
func TestOrderOfViolations(t *testing.T) {
	p := good(summit, plan.Incremental)
	at(p, "end/look").Timeout = 0
	p.Stages[3].Consent = ""
	at(p, "begin/announce").Source = []string{"P99"}
	csc(p, "ATAOS:0").Image = ""
	var places []string
	for _, v := range Check(p) {
		place := v.Stage + " " + v.Step
		if len(places) == 0 || places[len(places)-1] != place {
			places = append(places, place)
		}
	}
	want := []string{" ", "begin ", "begin begin/announce", p.Stages[3].ID + " ", p.Stages[3].ID + " " + p.Stages[3].Steps[0].ID, "end end/look"}
	if !slices.Equal(places, want) {
		t.Errorf("got %q, want %q", places, want)
	}
}

func TestCheckIsDeterministic(t *testing.T) {
	p := good(summit, plan.Full)
	p.CSCs, p.Hosts = nil, nil
	first := Check(p)
	if len(first) == 0 {
		t.Fatal("a plan without tables keeps the rules")
	}
	for range 5 {
		if !reflect.DeepEqual(Check(p), first) {
			t.Fatal("the same plan gives other violations")
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		site string
		typ  plan.Type
		date string
		want string
	}{
		{summit, plan.Full, "2026-11-24", ""},
		{summit, plan.Full, "2026-11-25", "2026-11-25 is a Wednesday: full deployments at summit begin on a Tuesday at 09:00 summit time"},
		{summit, plan.Incremental, "2026-11-27", "2026-11-27 is a Friday: incremental deployments at summit never begin on a Friday"},
		{summit, plan.Incremental, "2026-11-26", ""},
		{summit, plan.Recovery, "2026-11-27", ""},
		{tts, plan.Full, "2026-11-27", ""},
		{summit, plan.Full, "soon", ""},
	} {
		got := Warnings(&plan.Plan{Site: c.site, Type: c.typ, Facts: factsOf(c.site, c.typ), Upgrade: plan.Upgrade{Date: c.date}})
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%+v: %+v", c, got)
		case c.want != "" && (len(got) != 1 || got[0].Reason != c.want || got[0].Number != "P54" || got[0].Remedy == ""):
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// TestNoPanic checks the rules on absurd plans: empty ones, and
// good ones with values torn out, doubled and swapped at random.
func TestNoPanic(t *testing.T) {
	Check(&plan.Plan{})
	Check(&plan.Plan{Stages: []plan.Stage{{}, {Steps: []plan.Step{{}, {Needs: []string{""}}}}}, Final: []plan.Step{{}}})
	plans := goodPlans()
	names := make([]string, 0, len(plans))
	for name := range plans {
		names = append(names, name)
	}
	slices.Sort(names)
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := clone(t, plans[names[int(seed)%len(names)]])
		var changed []string
		for range 1 + r.IntN(6) {
			changed = append(changed, scramble(r, reflect.ValueOf(p).Elem(), ""))
		}
		func() {
			defer func() {
				if e := recover(); e != nil {
					t.Errorf("seed %d, %q: %v", seed, changed, e)
				}
			}()
			Check(p)
			Warnings(p)
		}()
	}
}

// scramble changes one value somewhere below v and returns where.
func scramble(r *rand.Rand, v reflect.Value, path string) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return path
		}
		if r.IntN(12) == 0 && v.CanSet() {
			v.SetZero()
			return path + "=nil"
		}
		return scramble(r, v.Elem(), path)
	case reflect.Struct:
		i := r.IntN(v.NumField())
		return scramble(r, v.Field(i), path+"."+v.Type().Field(i).Name)
	case reflect.Slice:
		n := v.Len()
		switch k := r.IntN(8); {
		case n == 0:
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		case k == 0:
			v.SetZero()
		case k == 1:
			i := r.IntN(n)
			v.Set(reflect.AppendSlice(v.Slice(0, i), v.Slice(i+1, n)))
		case k == 2:
			v.Set(reflect.Append(v, v.Index(r.IntN(n))))
		case k == 3:
			reflect.Swapper(v.Interface())(r.IntN(n), r.IntN(n))
		default:
			return scramble(r, v.Index(r.IntN(n)), path+"[]")
		}
	case reflect.String:
		v.SetString([]string{"", ":", "x", "Watcher:0", "csc in (", "\n- :\n", v.String() + ",", "P7", "[", "'"}[r.IntN(10)])
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(r.IntN(7)) - 2)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	}
	return path
}
