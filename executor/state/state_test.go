package state_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// TestRecordsThatDoNotFit: a journal whose chain is whole but which tells what
// csu never does is refused, and never written.
func TestRecordsThatDoNotFit(t *testing.T) {
	step := func(id, undoes string) plan.Step {
		return plan.Step{ID: id, Undoes: undoes, Action: plan.Action{Parameters: &plan.SSH{Host: "h1"}}}
	}
	p := &plan.Plan{Stages: []plan.Stage{{ID: "one", Steps: []plan.Step{step("one/a", "")}}}, Final: []plan.Step{step("final/f", "one/a")}}
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
	p.CSCs = []plan.CSC{{CSC: "MTMount:0"}}
	aside := func(cscs ...string) journal.Record {
		r := answer(operator.SetAside)
		r.Answer.CSCs = cscs
		return r
	}
	failed := []journal.Record{started(1), outcome(1, "failed")}
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
		"nothing set aside":        {append(failed, aside()), "sets nothing aside"},
		"a stranger set aside":     {append(failed, aside("ESS:1")), `no CSC "ESS:1"`},
		"set aside twice":          {append(failed, aside("MTMount:0"), started(2), outcome(2, "failed"), aside("MTMount:0")), "already set aside"},
		"set aside in doubt":       {[]journal.Record{started(1), aside("MTMount:0")}, "does not fit"},
		"left out under way":       {[]journal.Record{started(1), {Event: journal.NotNeeded, Step: "one/a"}}, "does not fit"},
		"an unreadable look":       {[]journal.Record{{Event: journal.Looked, Evidence: []byte("{}")}}, "cannot unmarshal"},
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
