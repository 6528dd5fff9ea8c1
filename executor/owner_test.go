package executor

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// TestFinalStepsNotNeeded: a final step that is not needed is not started, even
// if the one before it is not needed either.
func TestFinalStepsNotNeeded(t *testing.T) {
	b := newBench(t, stage("one", step("x", host("h1"))), stage("two", step("y", host("h2")), step("z", host("h3"))))
	b.plan.Final = []plan.Step{undoing("fy", "two/y"), undoing("fz", "two/z"), undoing("fx", "one/x")}
	b.failing("one/x", 1, action.Failed)
	b.person.answer = choose(operator.Failed, operator.Abort)
	b.must(Aborted)
	b.phases(map[string]state.Phase{"final/fy": state.NotNeeded, "final/fz": state.NotNeeded, "final/fx": state.Done})
	if slices.Contains(b.world.prepared, "final/fz") {
		t.Errorf("prepared %q, want no step that is not needed", b.world.prepared)
	}
}

// TestInterruptDuringPreflight: a preflight check that an interrupt cuts short is not
// a refusal, even if the owner hears of both at once.
func TestInterruptDuringPreflight(t *testing.T) {
	for range 20 {
		b := newBench(t, stage("one", step("x", host("h1"))))
		ctx, cancel := context.WithCancel(t.Context())
		o := b.options()
		var r *run
		o.Preflight = func(*plan.Stage, *state.State) func(context.Context) error {
			return func(ctx context.Context) error {
				busy := make(chan struct{})
				go r.Do(func() { // the owner hears of the interrupt and of the check's end at once
					close(busy)
					cancel()
					time.Sleep(5 * time.Millisecond)
				})
				<-busy
				<-ctx.Done()
				return ctx.Err()
			}
		}
		var err error
		if r, err = newRun(ctx, o, false); err != nil {
			t.Fatal(err)
		}
		if err := r.open(); err != nil {
			t.Fatal(err)
		}
		res, err := r.finish(r.drive())
		r.Release()
		if err != nil || res.End != Interrupted {
			t.Fatalf("the run ended %q, %v, want %q", res.End, err, Interrupted)
		}
	}
}
