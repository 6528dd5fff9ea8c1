package executor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/plan"
)

// noop does nothing, at once.
type noop struct{ action.Performer }

func idle(d plan.Parameters) action.Performer { return noop{action.Of(d)} }

func (noop) Prepare(context.Context, *action.Attempt) (any, error) { return nil, nil }
func (noop) Perform(context.Context, *action.Attempt) action.Finding {
	return action.Found(action.Done, "nothing to do")
}
func (noop) Probe(context.Context, *action.Attempt) action.Finding {
	return action.Found(action.Done, "nothing to do")
}
func (noop) Await(context.Context, *action.Attempt) action.Finding {
	return action.Found(action.Done, "nothing to do")
}
func (noop) Reading(context.Context, *action.Attempt) (string, error) { return "", nil }

// chained is the length of the chains that are measured.
const chained = 5000

// twoSyncs is what a chain is measured against: two bare pairs of write and fsync
// for each step, of the size of its records.
func twoSyncs(b *testing.B, line int) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, line)
	began := time.Now()
	for range 2 * chained {
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// runChain carries out no-op steps one after the other, on the real disk; with a
// store, whose answers come at once, it keeps a ledger.
func runChain(b *testing.B, store *ledgertest.Store) (took time.Duration, line int) {
	b.Helper()
	o := chain(b, chained)
	if store != nil {
		o.Ledger = store
	}
	began := time.Now()
	if res, err := Run(b.Context(), o); err != nil || res.End != Completed {
		b.Fatal(res.End, err)
	}
	took = time.Since(began)
	info, err := os.Stat(o.Journal)
	if err != nil {
		b.Fatal(err)
	}
	return took, int(info.Size()) / (2 * chained)
}

// BenchmarkChain is the executor's time for a no-op step in a chain of 5,000,
// against two bare pairs of write and fsync on the same disk, and what keeping the
// ledger adds to it: medians of five runs of each, in turn.
func BenchmarkChain(b *testing.B) {
	const rounds = 5
	var ours, kept, bare [rounds]float64
	writes := 0
	for b.Loop() {
		for i := range rounds {
			took, line := runChain(b, nil)
			ours[i] = float64(took.Microseconds()) / chained
			store := &ledgertest.Store{}
			took, _ = runChain(b, store)
			kept[i] = float64(took.Microseconds()) / chained
			writes = store.Writes()
			bare[i] = float64(twoSyncs(b, line).Microseconds()) / chained
		}
	}
	slices.Sort(ours[:])
	slices.Sort(kept[:])
	slices.Sort(bare[:])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours[rounds/2], "µs/step")
	b.ReportMetric(bare[rounds/2], "µs/two-fsyncs")
	b.ReportMetric(ours[rounds/2]/bare[rounds/2], "ratio")
	b.ReportMetric(kept[rounds/2]/ours[rounds/2], "ledger-ratio")
	b.ReportMetric(float64(writes)/(2*chained), "writes/record")
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
