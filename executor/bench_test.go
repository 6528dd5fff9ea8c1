package executor

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/plan"
)

// noop does nothing, at once.
type noop struct{}

func idle(plan.Doer) action.Performer { return noop{} }

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

// BenchmarkTwoSyncs is what BenchmarkChain is measured against: two bare pairs of
// write and fsync for each step.
func BenchmarkTwoSyncs(b *testing.B) {
	const n = 5000
	line := make([]byte, 350)
	for b.Loop() {
		f, err := os.Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		for range 2 * n {
			if _, err := f.Write(line); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/step")
}
