package campaign

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/systems"
)

// TestStaleJournals: copies of the journal that were made at every record, resumed
// when the run has gone one, five or all stages further, are refused and change
// nothing at the site; neither does a clone without a journal.
func TestStaleJournals(t *testing.T) {
	names := []string{upgrade}
	if *full {
		names = nil
		files, err := filepath.Glob(filepath.Join(plansFolder, "*.json"))
		if err != nil || len(files) < 9 {
			t.Fatalf("%d plans, %v", len(files), err)
		}
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stale(t, name)
		})
	}
}

// mark is where a journal stood when a stage was done.
type mark struct {
	lines   int
	journal []byte
}

func stale(t *testing.T, name string) {
	p, digest, err := load(name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.Context(), Setting{Plan: p, Digest: digest, Seed: 1}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.site.Close(); err != nil {
			t.Error(err)
		}
	}()
	systems, err := systems.Connect(p, &w.site.Map, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer systems.Remote.Close()
	tried := 0
	// refused takes a copy of the journal up, or begins without one.
	refused := func(lines []byte, at string) {
		disk := &journaltest.Disk{}
		if lines != nil {
			disk.Put(journalName, lines)
		}
		tried++
		_, err := executor.Run(t.Context(), executor.Options{
			Plan: p, Digest: digest, PlanFile: "plan.json", Journal: journalName, FS: disk, SiteMap: "elsewhere",
			Systems: systems, Operator: w.person, OperatorName: personName, Version: "campaign", Clock: systems.Clock,
			Ledger: custody.NewLedger(p, systems), Timing: ledger.Rehearsed(w.Speed), Resume: lines != nil,
		})
		if exit.CodeOf(err) != exit.Refused || exit.HintOf(err) == "" {
			t.Errorf("%s: Run = %v, want a refusal with a remedy", at, err)
		}
		if now, _ := disk.Content(journalName); !bytes.Equal(now, lines) {
			t.Errorf("%s: the journal was changed", at)
		}
	}
	marks := []mark{{}}
	for i := range p.Stages {
		last := i == len(p.Stages)-1
		w.adjust = func(o *executor.Options) {
			if !last {
				o.Until = p.Stages[i].ID
			}
		}
		res, _, err := w.live(t.Context(), Trigger{})
		if err != nil || !last && res.End != executor.Reached || last && res.End != executor.Completed {
			t.Fatalf("stage %s: %q (%s), %v", p.Stages[i].ID, res.End, res.Text, err)
		}
		content := w.journal()
		lines := bytes.SplitAfter(content, []byte("\n"))
		before := changes(w)
		for _, back := range []int{1, 5, i + 1} {
			from := i + 1 - back
			if from < 0 || back > 1 && back == i+1 && !last {
				continue
			}
			to := len(lines) - 1 // copies from the very beginning to this moment, when the run is over
			if !last || back < i+1 {
				to = marks[from].lines
				from = max(from-1, 0)
			} else {
				to -= 2 // with these two it is over here, too
			}
			for n := max(marks[from].lines, 1); n <= to; n++ {
				refused(bytes.Join(lines[:n], nil), fmt.Sprintf("a copy of %d of %d records, after stage %s", n, len(lines)-1, p.Stages[i].ID))
			}
		}
		refused(nil, "no journal, after stage "+p.Stages[i].ID)
		if after := changes(w); after != before {
			t.Errorf("after stage %s: %d changes at the site, and %d before", p.Stages[i].ID, after, before)
		}
		marks = append(marks, mark{len(lines) - 1, content})
		if !bytes.HasPrefix(content, marks[i].journal) {
			t.Errorf("after stage %s the journal is another one", p.Stages[i].ID)
		}
	}
	t.Logf("%d copies of a journal of %d records", tried, marks[len(marks)-1].lines)
	if tried < marks[len(marks)-1].lines {
		t.Errorf("only %d copies were tried", tried)
	}
}

// changes counts what was done to the site, claims of its ledger included.
func changes(w *world) (n int) {
	for _, e := range w.site.Record() {
		if direct[e.Kind] || slices.Contains([]string{rehearsal.LedgerClaimed, rehearsal.LedgerReleased}, e.Kind) {
			n++
		}
	}
	return n
}
