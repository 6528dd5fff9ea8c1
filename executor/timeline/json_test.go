package timeline_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/timeline"
)

// TestJSON: programs read the report, so that its form changes only on purpose. CSU_UPDATE=1
// renews testdata/report.json; raise [timeline.Schema] if a field changes its meaning.
func TestJSON(t *testing.T) {
	t.Parallel()
	n := begun(t, fork())
	n.at(0, journal.Record{Event: journal.Guarded, Text: "the cluster is the plan's"})
	n.asked(1, "one", "", operator.StageConsent)
	n.answer(3, "one", "", operator.StageConsent, operator.Yes)
	n.at(3, journal.Record{Event: journal.StageBegun, Stage: "one"})
	n.started(3, "one/a", 1)
	n.started(3, "one/b", 1)
	n.ended(7, "one/a", 1, action.Failed)
	n.asked(8, "one", "one/a", operator.Failed)
	n.at(9, journal.Record{Event: journal.Withdrawn, Stage: "one", Step: "one/a", Question: &journal.Question{Topic: string(operator.Failed)}, Text: "all CSCs are there now"})
	n.started(9, "one/a", 2)
	n.ended(10, "one/a", 2, action.Done)
	n.at(11, journal.Record{Event: journal.Doubtful, Stage: "one", Step: "one/b", Attempt: 1, Verdict: string(action.Unknown), Text: "not seen"})
	n.at(12, journal.Record{Event: journal.Stopped, Text: "interrupted"})
	n.at(20, journal.Record{Event: journal.Resumed, Run: &journal.Run{ID: "1", Digest: digest, Operator: "Bob", Host: "base-1", Version: "v1"}})
	n.asked(21, "one", "one/b", operator.InDoubt)
	n.answer(24, "one", "one/b", operator.InDoubt, operator.Happened)
	n.started(24, "one/c", 1)
	n.ended(26, "one/c", 1, action.Failed)
	n.answer(26, "one", "one/c", operator.Failed, operator.Skip)
	n.at(26, journal.Record{Event: journal.StageDone, Stage: "one"})
	n.asked(27, "two", "", operator.StageConsent)
	data, err := json.MarshalIndent(n.log.Report(timeline.Options{Usual: 13 * time.Minute, Now: time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got, name := string(data)+"\n", filepath.Join("testdata", "report.json")
	if os.Getenv("CSU_UPDATE") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report is\n%s\nwant\n%s", got, want)
	}
}
