package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	runstate "github.com/lsst-ts/csu/executor/state"
)

// readPlan reads the project's plan for a site and a type, of any date.
func readPlan(t *testing.T, name string) *plan.Plan {
	t.Helper()
	found, err := filepath.Glob("../../plans/*-" + name + ".json")
	if err != nil || len(found) == 0 {
		t.Fatalf("no plan %s: %v", name, err)
	}
	p, _, err := plan.ReadFile(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// immediate does nothing and returns its finding.
type immediate struct {
	action.Performer // for its traits
	finding          action.Finding
}

func (immediate) Prepare(context.Context, *action.Attempt) (any, error)     { return nil, nil }
func (i immediate) Perform(context.Context, *action.Attempt) action.Finding { return i.finding }
func (i immediate) Probe(context.Context, *action.Attempt) action.Finding   { return i.finding }
func (i immediate) Await(context.Context, *action.Attempt) action.Finding   { return i.finding }
func (immediate) Reading(context.Context, *action.Attempt) (string, error)  { return "", nil }

// lostAnswer performs an action but never learns the outcome.
type lostAnswer struct{ action.Performer }

var unknown = action.Found(action.Unknown, "its answer was lost")

func (l lostAnswer) Perform(ctx context.Context, a *action.Attempt) action.Finding {
	l.Performer.Perform(ctx, a)
	return unknown
}

func (lostAnswer) Probe(context.Context, *action.Attempt) action.Finding { return unknown }

// aborting is an operator who aborts at a stage's consent, or at the first question
// about a step that has failed or is in doubt.
type aborting struct{ stage string }

func (a aborting) Ask(_ context.Context, q operator.Question) (operator.Answer, error) {
	switch q.Topic {
	case operator.StageConsent:
		if q.Stage == a.stage {
			return operator.Answer{Choice: operator.Abort}, nil
		}
	case operator.Failed, operator.InDoubt:
		if strings.HasPrefix(q.Step, "final/") {
			return operator.Answer{}, errors.New(q.Text)
		}
		return operator.Answer{Choice: operator.Abort}, nil
	}
	return operator.Answer{Choice: operator.Yes}, nil
}

func (aborting) Tell(operator.Event) {}

// TestAbortOfAFullUpgrade aborts the summit's full upgrade at every stage's consent,
// after every step that may fail, and with one step in doubt. The final step, which
// sets the registry's level back, must run if and only if the step that it undoes was
// begun. Only the registry's steps reach the site; all others are done immediately.
func TestAbortOfAFullUpgrade(t *testing.T) {
	t.Parallel()
	p := readPlan(t, "summit-full")
	r := newPractice(t, p)
	undone := p.Final[0].Undoes
	// In the stages after that of the undone step, that step has run.
	position := map[string]int{}
	for i := range p.Stages {
		position[p.Stages[i].ID] = i
	}
	undoneStage, _, _ := strings.Cut(undone, "/")

	abort := func(name, stage, step string, fails func(d plan.Parameters) action.Performer, begun bool, changes int) {
		t.Run(name, func(t *testing.T) {
			r := &practice{t: t, site: r.site, plan: p, journal: filepath.Join(t.TempDir(), "journal")}
			before := r.count(LevelChanged, "global")
			o := r.options()
			o.Operator, o.FS = aborting{stage}, &journaltest.Disk{}
			o.Ledger = &ledgertest.Store{} // as if the plan had never been run
			chosen, _ := p.Step(step)
			o.Performer = func(d plan.Parameters) action.Performer {
				_, level := d.(*plan.Compatibility)
				switch {
				case chosen != nil && chosen.Action.Parameters == d:
					return fails(d)
				case level:
					return action.Of(d)
				}
				return immediate{action.Of(d), action.Found(action.Done, "done")}
			}
			got, err := executor.Run(t.Context(), o)
			if err != nil || got.End != executor.Aborted {
				t.Fatalf("Run ended %q, %v: %s", got.End, err, got.Text)
			}
			final := got.State.Steps[p.Final[0].ID].Phase
			changed := r.count(LevelChanged, "global") - before
			r.site.mu.Lock()
			level := r.site.registry.level
			r.site.mu.Unlock()
			switch {
			case level != "FORWARD":
				t.Errorf("the registry is left at %s, want FORWARD", level)
			case begun != (final == runstate.Done) || begun == (final == runstate.NotNeeded):
				t.Errorf("the final step is %q, but the step that it undoes was begun: %v", final, begun)
			case changed != changes:
				t.Errorf("the level changed %d times, want %d", changed, changes)
			}
			if _, err := executor.Abort(t.Context(), o); err == nil {
				t.Error("Abort of an aborted run succeeded")
			}
		})
	}
	failing := func(d plan.Parameters) action.Performer {
		return immediate{action.Of(d), action.Found(action.Failed, "it failed")}
	}
	for i := range p.Stages {
		id := p.Stages[i].ID
		begun := i > position[undoneStage]
		changes := 0
		if begun {
			changes = 2 // to NONE and back
		}
		abort("at the consent to "+id, id, "", nil, begun, changes)
		for j := range p.Stages[i].Steps {
			step := &p.Stages[i].Steps[j]
			if step.OnFailure == plan.Report {
				continue // the operator is not asked
			}
			abort("after a failure of "+step.ID, "", step.ID, failing, begun || step.ID == undone, changes)
		}
	}
	abort("with "+undone+" in doubt", "", undone, func(d plan.Parameters) action.Performer { return lostAnswer{action.Of(d)} }, true, 2)
}

// If a final step fails, the journal stays open, and csu abort is repeated until the
// step has run.
func TestAbortAgain(t *testing.T) {
	t.Parallel()
	r := newPractice(t, faultyPlan(), registryRefuses, syncFails)
	r.otherwise = func(r *practice, q operator.Question) reply {
		switch {
		case q.Topic == operator.Failed && q.Step == "clean/none":
			outlast(registryRefuses)(r)
			return reply{choice: operator.Retry}
		case q.Topic == operator.Failed && q.Step == "new/simonyitel":
			// Now the registry refuses changes again.
			locked(func(s *Site) {
				for _, f := range s.faults {
					if f.Name == registryRefuses {
						f.phase = active
					}
				}
			})(r)
			return reply{choice: operator.Abort}
		}
		return reply{choice: operator.Stop}
	}
	if got := r.run(); got.End != executor.Halted || len(got.Owed) != 1 || !strings.Contains(got.Text, "repeat csu abort") {
		t.Fatalf("the run ended %q with %d final steps left: %s\n%s", got.End, len(got.Owed), got.Text, r.seen.String())
	}
	if r.site.registry.level != "NONE" {
		t.Fatalf("the registry is at %s, want NONE", r.site.registry.level)
	}
	mend(registryRefuses)(r)
	o := r.options()
	o.Resume = true
	got, err := executor.Abort(t.Context(), o)
	if err != nil || got.End != executor.Aborted || len(got.Owed) != 0 {
		t.Fatalf("the second abort ended %q, %v: %s", got.End, err, got.Text)
	}
	times(1, LevelChanged, "global", "FORWARD -> NONE")(r)
	times(1, LevelChanged, "global", "NONE -> FORWARD")(r)
	if !strings.Contains(strings.Join(got.Down, " "), "Watcher:0") {
		t.Errorf("CSCs down = %q, want the Watcher among them", got.Down)
	}
}

// TestFaultsTogether runs some of the project's plans with several faults at once and
// an operator who retries every failed step.
func TestFaultsTogether(t *testing.T) {
	for _, name := range []string{"summit-incremental", "tucson-teststand-full"} {
		for seed := range int64(2) {
			t.Run(fmt.Sprintf("%s with seed %d", name, seed), func(t *testing.T) {
				t.Parallel()
				p := readPlan(t, name)
				faults := []string{cscFaults, queuePaused, loveAckLost, loveTokenExpires, hostDrops, syncFails, slackBusy, apiAway}
				r := seeded(t, p, seed, faults...)
				r.otherwise = func(r *practice, q operator.Question) reply {
					switch q.Topic {
					case operator.Failed:
						return reply{choice: operator.Retry}
					case operator.InDoubt:
						return reply{choice: operator.KeepWaiting}
					}
					return reply{choice: operator.Yes}
				}
				r.complete()
				for _, f := range r.site.faults {
					if f.phase == pending {
						t.Errorf("%s never began", f)
					}
				}
			})
		}
	}
}
