package executor

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
	"github.com/lsst-ts/csu/executor/state"
)

func TestEveryPhaseIsExplained(t *testing.T) {
	seen := map[string]state.Phase{}
	for _, p := range []state.Phase{state.Pending, state.Started, state.InDoubt, state.Failed, state.NotDone, state.Done, state.Reported, state.PerhapsSent, state.Claimed, state.ByHand, state.Skipped, state.NotNeeded, state.LeftInDoubt} {
		text := report.Explain(p)
		if !strings.HasSuffix(text, ".") || seen[text] != "" {
			t.Errorf("%q is explained as %q", p, text)
		}
		seen[text] = p
		if p.Finished() && p.Open() {
			t.Errorf("%q is both finished and open", p)
		}
	}
}

// TestRecordsThatDoNotFit: a journal whose chain is whole but which tells what
// csu never does is refused, and never written.
func TestRecordsThatDoNotFit(t *testing.T) {
	p := &plan.Plan{Stages: []plan.Stage{stage("one", step("a", host("h1")))}, Final: []plan.Step{undoing("f", "one/a")}}
	run := &journal.Run{Format: journal.Format, ID: "0123456789ab", Digest: "d"}
	started := func(n int) journal.Record {
		return journal.Record{Event: journal.Started, Stage: "one", Step: "one/a", Attempt: n}
	}
	outcome := func(n int, verdict string) journal.Record {
		return journal.Record{Event: journal.Outcome, Stage: "one", Step: "one/a", Attempt: n, Verdict: verdict}
	}
	answer := func(c operator.Choice) journal.Record {
		return journal.Record{Event: journal.Answered, Stage: "one", Step: "one/a", Answer: &journal.Answer{Topic: "failed", Choice: string(c)}}
	}
	for name, c := range map[string]struct {
		records []journal.Record
		want    string // in the error of the last record
	}{
		"started twice":            {[]journal.Record{started(1), started(2)}, "does not fit"},
		"started after done":       {[]journal.Record{started(1), outcome(1, "done"), started(2)}, "does not fit"},
		"an attempt left out":      {[]journal.Record{started(2)}, "does not fit"},
		"outcome without a start":  {[]journal.Record{outcome(0, "done")}, "does not fit"},
		"retry while in doubt":     {[]journal.Record{started(1), answer(operator.Retry)}, "does not fit"},
		"happened without a start": {[]journal.Record{answer(operator.Happened)}, "does not fit"},
		"by hand while under way":  {[]journal.Record{started(1), answer(operator.ByHand)}, "does not fit"},
		"skipped after done":       {[]journal.Record{started(1), outcome(1, "done"), answer(operator.Skip)}, "does not fit"},
		"an outcome after a word":  {[]journal.Record{started(1), answer(operator.Happened), outcome(1, "done")}, "does not fit"},
		"an outcome after by hand": {[]journal.Record{started(1), outcome(1, "failed"), answer(operator.ByHand), outcome(1, "done")}, "does not fit"},
		"accepted unsaid":          {[]journal.Record{started(1), outcome(1, "failed"), answer(operator.Accept)}, "does not fit"},
		"two outcomes":             {[]journal.Record{started(1), outcome(1, "failed"), outcome(1, "done")}, "does not fit"},
		"an unknown step":          {[]journal.Record{{Event: journal.Started, Step: "one/b"}}, `no step "one/b"`},
		"an unknown stage":         {[]journal.Record{{Event: journal.StageDone, Stage: "two"}}, `no stage "two"`},
		"no step":                  {[]journal.Record{{Event: journal.Outcome}}, "names no step"},
		"after the end":            {[]journal.Record{{Event: journal.Complete}, started(1)}, "follows the end"},
		"another run resumes":      {[]journal.Record{{Event: journal.Resumed, Run: &journal.Run{ID: "other"}}}, `has the id "other"`},
		"not needed once begun":    {[]journal.Record{{Event: journal.Started, Step: "final/f", Attempt: 1}, {Event: journal.NotNeeded, Step: "final/f"}}, "does not fit"},
	} {
		var d journaltest.Disk
		j, err := journal.Create(&d, "j", journal.Record{Event: journal.RunBegun, Time: time.Unix(0, 0), Run: run})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.records {
			if _, err := j.Append(r); err != nil {
				t.Fatal(err)
			}
		}
		_, err = state.Read(&d, "j", p, "d")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), fmt.Sprintf("line %d", len(c.records)+1)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadStateOfAnotherPlan(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.must(Completed)
	var other *state.OtherPlanError
	if _, err := state.Read(b.disk, "j", b.plan, "other"); !errors.As(err, &other) || exit.CodeOf(err) != exit.Refused || exit.HintOf(err) == "" {
		t.Errorf("ReadState = %v", err)
	}
}

// chain is a run of n steps, one after the other, on the real disk.
func chain(b testing.TB, n int) Options {
	steps := []plan.Step{step("s0", host("h"))}
	for i := 1; i < n; i++ {
		steps = append(steps, step(fmt.Sprint("s", i), host("h"), fmt.Sprint("s", i-1)))
	}
	p := &plan.Plan{Stages: []plan.Stage{stage("one", steps...)}}
	return Options{
		Plan: p, Digest: "d", PlanFile: "p", Journal: filepath.Join(b.TempDir(), "j"), Operator: &person{}, OperatorName: "Ana",
		Performer: idle,
	}
}

// TestProgressText: the steps that another csu may have carried out are counted, and
// not named as under way.
func TestProgressText(t *testing.T) {
	many := " 3 unfinished steps are checked before their stages continue, because another csu may have worked without the cluster."
	for name, c := range map[string]struct {
		begun, suspected []string
		want             string
	}{
		"nothing":       {nil, nil, `0 of 5 steps are finished; its next stage is "one".`},
		"under way":     {[]string{"one/a"}, nil, `0 of 5 steps are finished; its next stage is "one"; under way or in doubt: one/a.`},
		"one suspected": {nil, []string{"two/c"}, `0 of 5 steps are finished; its next stage is "one". 1 unfinished step is checked before its stage continues, because another csu may have worked without the cluster.`},
		"both":          {[]string{"one/a"}, []string{"one/b", "two/c", "two/d"}, `0 of 5 steps are finished; its next stage is "one"; under way or in doubt: one/a.` + many},
	} {
		s := state.New(twoStages(t).plan)
		for _, id := range c.begun {
			s.Steps[id].Phase = state.Started
		}
		for _, id := range c.suspected {
			s.Steps[id].Phase, s.Steps[id].Suspected = state.InDoubt, true
		}
		s.Steps["final/f"].Suspected = true // it was found out about
		if got := report.Progress(s); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
