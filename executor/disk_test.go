package executor

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
)

// TestDiskFailureEndsTheRun: when the journal can't be written, nothing is
// started any more.
func TestDiskFailureEndsTheRun(t *testing.T) {
	for _, kind := range []string{journaltest.Write, journaltest.Sync} {
		for n := 1; ; n++ {
			b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"), "a")), stage("two", step("c", host("h1"))))
			count, done := 0, -1
			b.disk.Fault = func(op journaltest.Op) journaltest.Fault {
				if op.Kind == kind {
					if count++; count == n {
						b.world.mu.Lock()
						done = len(b.world.effects)
						b.world.mu.Unlock()
						return journaltest.Fault{Err: syscall.ENOSPC}
					}
				}
				return journaltest.Fault{}
			}
			_, err := b.run()
			if done < 0 {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			var failed *journal.FailedError
			if !errors.As(err, &failed) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%s %d: %v", kind, n, err)
			}
			if len(b.world.effects) != done {
				t.Errorf("%s %d: %d effects after the failure", kind, n, len(b.world.effects)-done)
			}
			b.disk.Fault = nil
			b.disk.Kill()
			if records := b.tryRecords(); len(records) == 0 || records[len(records)-1].Event != journal.Released {
				b.must(Completed, func(o *Options) { o.Resume = len(records) > 0 })
			}
			if got := b.world.steps(); !slices.Equal(got, []string{"one/a", "one/b", "two/c"}) {
				t.Errorf("%s %d: effects %v", kind, n, got)
			}
		}
	}
}

// tryRecords is records for a journal that may not exist.
func (b *bench) tryRecords() []journal.Record {
	var records []journal.Record
	if err := journal.Read(b.disk, "j", func(r *journal.Record) error { records = append(records, *r); return nil }); err != nil {
		return nil
	}
	return records
}

func TestPanicIsNotSwallowed(t *testing.T) {
	// A panic in a step's goroutine ends the process; what can be seen here is
	// that a performer's panic passes through the loop's own code.
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.world.script["one/a"] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding { panic("broken") }}
	r, err := newRun(t.Context(), b.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if got := recover(); got != "broken" {
			t.Errorf("recovered %v", got)
		}
		b.phases(map[string]Phase{"one/a": Started})
	}()
	r.try(&b.plan.Stages[0].Steps[0])
	t.Error("the panic was swallowed")
}
