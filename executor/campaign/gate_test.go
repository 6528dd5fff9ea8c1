package campaign

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// usurped is a ledger that another csu claims at the moment at which the intent of a
// step is in it; from then on the run's own last write is an hour old.
type usurped struct {
	ledger.Store
	now  func() time.Duration
	step func() bool // the journal's last record is the step's intent
	then func()

	mu sync.Mutex
	is bool
}

func (u *usurped) Write(ctx context.Context, l ledger.Ledger, v ledger.Version) (ledger.Version, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	v, err := u.Store.Write(ctx, l, v)
	if err != nil || u.is || !u.step() {
		return v, err
	}
	u.is = true
	u.then()
	l.Epoch++
	l.Holder = &ledger.Holder{Run: l.Holder.Run, Digest: l.Holder.Digest, Operator: "Bob", Host: "elsewhere", Process: "another"}
	if _, err := u.Store.Write(ctx, l, v); err != nil {
		return v, err
	}
	return v, nil
}

func (u *usurped) Now() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.is {
		return u.now() + time.Hour
	}
	return u.now()
}

// TestGateOfEveryKind: a csu that is displaced between the intent and the effect
// sends nothing, whatever the kind of the step, and runs no final step.
func TestGateOfEveryKind(t *testing.T) {
	kinds := map[plan.Kind]bool{}
	for _, p := range []*plan.Plan{talkPlan(), queuePlan(), hostPlan(), clusterPlan()} {
		building := map[string]bool{}
		for step := range p.AllSteps() {
			a, _ := step.Action.Parameters.(*plan.SSH)
			building[step.ID] = a != nil && a.Purpose == plan.Build
		}
		for step := range p.AllSteps() {
			kind := step.Action.Kind()
			a, _ := step.Action.Parameters.(*plan.SSH)
			if kind == plan.KindManual || kind == plan.KindAwaitState || a != nil && a.Purpose == plan.AwaitBuild {
				continue // they change nothing
			}
			kinds[kind] = true
			t.Run(step.ID, func(t *testing.T) {
				t.Parallel()
				w, err := newWorld(t.Context(), Setting{Plan: p, Digest: strings.Repeat("ab", 32), Seed: 1}, t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := w.site.Close(); err != nil {
						t.Error(err)
					}
				}()
				effects := func() (n int) {
					for _, e := range w.site.Record() {
						// A build that an earlier step has begun goes on by itself.
						earlier := building[stepOf(e)] && stepOf(e) != step.ID
						if direct[e.Kind] && !earlier {
							n++
						}
					}
					return n
				}
				before := -1
				w.adjust = func(o *executor.Options) {
					if o.Ledger == nil { // the plan talks to no cluster, and its run keeps a ledger nevertheless
						o.Ledger = &ledgertest.Store{}
					}
					u := &usurped{Store: o.Ledger, now: o.Timing.Now, then: func() { before = effects() }, step: func() bool {
						records, err := w.records()
						last := len(records) - 1
						return err == nil && last >= 0 && records[last].Event == journal.Started && records[last].Step == step.ID
					}}
					o.Ledger, o.Timing.Now = u, u.Now
				}
				_, _, err = w.live(t.Context(), Trigger{})
				var displaced *ledger.DisplacedError
				if !errors.As(err, &displaced) || displaced.Holder.Operator != "Bob" {
					t.Errorf("the run ended with %v", err)
				}
				if err := w.settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				if after := effects(); before < 0 || after != before {
					record := w.site.Record()
					t.Errorf("%d effects when it was displaced, and %d at the end: %+v", before, after, record[len(record)-1])
				}
				if s, err := state.Read(w.fs, w.name, w.Plan, w.Digest); err != nil || s.Steps[step.ID].Phase.Happened() {
					t.Errorf("the step is %v, %v", s.Steps[step.ID].Phase, err)
				}
			})
		}
	}
	for _, kind := range plan.Kinds {
		if only := kind == plan.KindManual || kind == plan.KindAwaitState; !only && !kinds[kind] { // those only look
			t.Errorf("no step of kind %s was tried", kind)
		}
	}
}
