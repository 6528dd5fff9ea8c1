package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/state"
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

// A panic in a step leaves that step in doubt, lets the others finish, and ends the
// run so that it can be resumed.
func TestPanicLeavesTheStepInDoubt(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", host("h2"))), stage("two", step("c", host("h1"))))
	begun := make(chan struct{})
	b.world.script["one/b"] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding {
		close(begun)
		return action.Found(action.Done, "done")
	}}
	b.world.script["one/a"] = behaviour{perform: func(context.Context, *action.Attempt) action.Finding { <-begun; panic("broken") }}
	_, err := b.run()
	var panicked *PanicError
	if !errors.As(err, &panicked) || panicked.Step != "one/a" || panicked.Value != "broken" || !strings.Contains(string(panicked.Stack), "TestPanicLeavesTheStepInDoubt") {
		t.Fatalf("run = %v (%+v)", err, panicked)
	}
	b.phases(map[string]state.Phase{"one/a": state.InDoubt, "one/b": state.Done, "two/c": state.Pending})
	b.world.script["one/a"] = behaviour{probe: func(context.Context, *action.Attempt) action.Finding { return action.Found(action.Done, "it happened") }}
	b.must(Completed, resumed)
	if got := b.world.steps(); !slices.Contains(got, "two/c") || slices.Contains(got, "one/a") {
		t.Errorf("effects: %v", got)
	}
}
