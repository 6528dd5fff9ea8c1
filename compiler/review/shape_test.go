package review

import (
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// nextNight returns a plan with another day, cycle and reason, in all its texts, after a
// night with another cycle.
func nextNight(t *testing.T, p *plan.Plan) *plan.Plan {
	t.Helper()
	changes := []string{p.Upgrade.Date, "2027-01-19", p.Upgrade.Cycle, "c0099", p.Upgrade.Reason, "Upgrade of the next night"}
	if p.Upgrade.From != "" {
		changes = append(changes, p.Upgrade.From, "c0098")
	}
	return rewritten(t, p, changes...)
}

// nightBack returns the plan that goes back to the cycle before.
func nightBack(t *testing.T, p *plan.Plan) *plan.Plan {
	t.Helper()
	back := *p
	back.Upgrade.Cycle, back.Upgrade.From = p.Upgrade.From, p.Upgrade.Cycle
	return rewritten(t, p, p.What(), back.What(), p.Upgrade.Cycle, p.Upgrade.From, p.Upgrade.From, p.Upgrade.Cycle)
}

// rewritten returns a plan with other words in all its texts, given in pairs.
func rewritten(t *testing.T, p *plan.Plan, oldnew ...string) *plan.Plan {
	t.Helper()
	data, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	out, err := plan.Decode("rewritten.json", []byte(strings.NewReplacer(oldnew...).Replace(string(data))))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// beyond returns the subjects and fields of the changes that no request asks for.
func beyond(t *testing.T, old, now *plan.Plan) string {
	t.Helper()
	c, err := Compare(old, now)
	if err != nil {
		t.Fatal(err)
	}
	c.Shape(old, now)
	var out []string
	for _, ch := range c.Changes {
		if !ch.Asked {
			out = append(out, strings.TrimSpace(ch.What+" "+ch.Subject+" "+ch.Field))
		}
	}
	if len(out) != c.Beyond() {
		t.Errorf("%d changes are beyond the requests, the comparison says %d", len(out), c.Beyond())
	}
	return strings.Join(out, "; ")
}

// TestShape: another day, cycle, reason and images are what the requests ask for, in every
// text that has them. Anything else is a difference in shape, however small.
func TestShape(t *testing.T) {
	t.Parallel()
	old := read(t, summitFull)
	if got := beyond(t, old, nextNight(t, old)); got != "" {
		t.Errorf("the next night differs in shape: %s", got)
	}
	if back := nightBack(t, old); !back.Upgrade.LowersCycle() {
		t.Error("the night back is no rollback: correct this test")
	} else if got := beyond(t, old, back); got != "" {
		t.Errorf("the night back differs in shape: %s", got)
	}
	stage := func(p *plan.Plan, id string) *plan.Stage {
		for i := range p.Stages {
			if p.Stages[i].ID == id {
				return &p.Stages[i]
			}
		}
		t.Fatalf("no stage %q", id)
		return nil
	}
	for name, c := range map[string]struct {
		change func(p *plan.Plan)
		want   string
	}{
		"a time limit": {func(p *plan.Plan) { p.Stages[1].Steps[0].Timeout += plan.Duration(time.Hour) }, "timeout"},
		"a principal":  {func(p *plan.Plan) { p.CSCs[0].Principal = "night crew" }, "principal"},
		"a step less": {func(p *plan.Plan) {
			s := stage(p, "end")
			s.Steps = s.Steps[1:]
			for i := range s.Steps {
				s.Steps[i].Needs = nil
			}
		}, "removed step"},
		"a consent": {func(p *plan.Plan) { p.Stages[1].Consent = "Go?" }, "consent"},
		"a word of a text that asks of another cycle too": {func(p *plan.Plan) {
			p.Stages[0].Consent = strings.Replace(p.Stages[0].Consent, "may be done", "must be done", 1)
		}, "consent"},
		"words in another order": {func(p *plan.Plan) {
			p.Stages[0].Consent = strings.Replace(p.Stages[0].Consent, "everyone concerned has agreed", "concerned everyone has agreed", 1)
		}, "consent"},
		"an address": {func(p *plan.Plan) { p.Hosts[0].Address = "elsewhere.cp.lsst.org" }, "address"},
		"a registry": {func(p *plan.Plan) { p.CSCs[0].Image = "example.org/other:c0099" }, "image"},
		"a stage's place": {func(p *plan.Plan) {
			p.Stages[2], p.Stages[3] = p.Stages[3], p.Stages[2]
		}, "reordered plan stages"},
	} {
		now := nextNight(t, old)
		c.change(now)
		if got := beyond(t, old, now); !strings.Contains(got, c.want) {
			t.Errorf("%s is not beyond the requests: %q", name, got)
		}
	}
}

// TestShapeOfARequest: a CSC that only one request changes brings steps, and names in the
// steps of others; a step about another CSC is beyond it.
func TestShapeOfARequest(t *testing.T) {
	t.Parallel()
	old := read(t, summitIncremental)
	now := nextNight(t, old)
	const csc = "ESS:105"
	now.Upgrade.Changed = slicesWithout(now.Upgrade.Changed, csc)
	for i := range now.Stages {
		var kept []plan.Step
		for _, s := range now.Stages[i].Steps {
			if set := cscsOf(s.Effects(now)); len(set) == 1 && set[0] == csc {
				continue
			}
			kept = append(kept, s)
		}
		now.Stages[i].Steps = kept
	}
	if got := beyond(t, old, now); strings.Contains(got, "removed step") {
		t.Errorf("without %s there are differences in shape: %s", csc, got)
	}
	old.Upgrade.Changed = slicesWithout(old.Upgrade.Changed, csc) // neither asks for it now
	c, err := Compare(old, now)
	if err != nil {
		t.Fatal(err)
	}
	c.NowTouched, c.NoLongerTouched = nil, nil
	c.Shape(old, now)
	if c.Beyond() == 0 {
		t.Errorf("steps of %s are removed, and no request asks for that", csc)
	}
}

func slicesWithout(changes []plan.Change, csc string) []plan.Change {
	var out []plan.Change
	for _, ch := range changes {
		if ch.CSC != csc {
			out = append(out, ch)
		}
	}
	return out
}
