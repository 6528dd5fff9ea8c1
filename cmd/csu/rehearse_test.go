package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/plan"
)

// TestWhatAnAbortLeavesIsNoError: after a run that was aborted, CSCs are not in
// their expected state, as they should; after one that is complete that is wrong.
func TestWhatAnAbortLeavesIsNoError(t *testing.T) {
	record := filepath.Join(t.TempDir(), "record.jsonl")
	if err := os.WriteFile(record, []byte(`{"seq":1,"system":"csc","kind":"found","subject":"MTMount:0","detail":"silent"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{CSCs: []plan.CSC{{CSC: "MTMount:0", Expect: plan.Standby}}}
	for end, says := range map[executor.End]string{
		executor.Aborted:   "1 of the 1 CSCs are not in their expected state, as the abort left them",
		executor.Completed: "CSCs not in their expected state at the end: MTMount:0 (OFFLINE, not STANDBY)",
	} {
		var out bytes.Buffer
		err := (&console{out: &out}).recorded(p, record, time.Second, end)
		printed := out.String()
		if err != nil {
			printed += err.Error()
		}
		if (err != nil) != (end == executor.Completed) || !strings.Contains(printed, says) {
			t.Errorf("%s: %v: %q does not say %q", end, err, printed, says)
		}
	}
}
