package rehearsal

import (
	"slices"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	runstate "github.com/lsst-ts/csu/executor/state"
)

// part is a run or its resumption, with the operator's answers.
type part struct {
	replies []reply
	end     executor.End
}

// stopByHand stops the service by hand, as the plan's command would.
var stopByHand = locked(func(s *Site) { h := s.hosts["m1m3-crio-vms"]; h.stop(h.services["ts-VMS"]) })

func skipped(step, reason string) reply {
	return reply{topic: operator.Failed, step: step, choice: operator.Skip, reason: reason}
}

// TestChoices tests each choice for a step that has failed or is in doubt: what the
// journal then records, and how the run continues.
func TestChoices(t *testing.T) {
	for _, test := range []struct {
		name, fault, step string
		parts             []part
		phase             runstate.Phase // of the step
		answers           []string       // in the journal, about the step
		stopped           int            // number of runs of the command that stops the service
	}{
		{"retry", hostCommandFails, "clean/vms",
			[]part{{[]reply{failed("clean/vms", operator.Retry, mend(hostCommandFails))}, executor.Completed}},
			runstate.Done, []string{"failed: retry"}, 2},
		{"by hand", hostCommandFails, "clean/vms",
			[]part{{[]reply{failed("clean/vms", operator.ByHand, all(mend(hostCommandFails), stopByHand))}, executor.Completed}},
			runstate.ByHand, []string{"failed: by hand"}, 1},
		{"skip", registryRefuses, "clean/none",
			[]part{{[]reply{skipped("clean/none", "no schema has changed")}, executor.Completed}},
			runstate.Skipped, []string{"failed: skip: no schema has changed"}, 1},
		{"stop", hostCommandFails, "clean/vms",
			[]part{
				{[]reply{failed("clean/vms", operator.Stop, nil)}, executor.Halted},
				{[]reply{failed("clean/vms", operator.Retry, mend(hostCommandFails), "exit status 1")}, executor.Completed},
			},
			runstate.Done, []string{"failed: stop", "failed: retry"}, 2},
		{"abort", hostCommandFails, "clean/vms",
			[]part{{[]reply{failed("clean/vms", operator.Abort, nil)}, executor.Aborted}},
			runstate.Failed, []string{"failed: abort"}, 1},
		{"happened", hostCommandHangs, "clean/vms",
			[]part{{[]reply{doubted("clean/vms", operator.Happened, all(killCommand, stopByHand))}, executor.Completed}},
			runstate.Done, []string{"in doubt: happened"}, 1},
		{"not happened", hostCommandHangs, "clean/vms",
			[]part{{[]reply{
				doubted("clean/vms", operator.NotHappened, killCommand),
				failed("clean/vms", operator.Retry, nil, "Ana confirmed that nothing of it happened"),
			}, executor.Completed}},
			runstate.Done, []string{"in doubt: not happened", "failed: retry"}, 2},
		{"stop in doubt", hostCommandHangs, "clean/vms",
			[]part{
				{[]reply{doubted("clean/vms", operator.Stop, nil)}, executor.Halted},
				{[]reply{
					doubted("clean/vms", operator.KeepWaiting, killCommand, "is still running after its time limit"),
					failed("clean/vms", operator.Retry, nil, "exit status 137"),
				}, executor.Completed},
			},
			runstate.Done, []string{"in doubt: stop", "in doubt: keep waiting", "failed: retry"}, 2},
		{"abort in doubt", hostCommandHangs, "clean/vms",
			[]part{{[]reply{doubted("clean/vms", operator.Abort, nil)}, executor.Aborted}},
			runstate.LeftInDoubt, []string{"in doubt: abort"}, 1},
		{"no to a paused queue", queuePaused, "down/watcher",
			[]part{{[]reply{
				{topic: operator.QueuePaused, step: "down/watcher", choice: operator.No, reason: "the observers use it"},
				failed("down/watcher", operator.Retry, nil, "the operator declined to resume it: the observers use it"),
				resumed("down/watcher"),
			}, executor.Completed}},
			runstate.Done, []string{"queue paused: no: the observers use it", "failed: retry", "queue paused: yes"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newPractice(t, faultyPlan(), test.fault)
			var got executor.Result
			for _, part := range test.parts {
				r.replies = slices.Clone(part.replies)
				if got = r.run(); got.End != part.end || len(r.replies) > 0 {
					t.Fatalf("the run ended %q, want %q; %d answers were not used: %s\n%s", got.End, part.end, len(r.replies), got.Text, r.seen.String())
				}
			}
			if phase := got.State.Steps[test.step].Phase; phase != test.phase {
				t.Errorf("the step is %q, want %q", phase, test.phase)
			}
			if answers := r.answers(test.step); !slices.Equal(answers, test.answers) {
				t.Errorf("the journal has the answers %q, want %q", answers, test.answers)
			}
			times(test.stopped, CommandRun, "m1m3-crio-vms", vmsStop)(r)
			if r.site.registry.level != "FORWARD" {
				t.Errorf("the registry is left at %s, want FORWARD", r.site.registry.level)
			}
			if got.End == executor.Completed {
				r.nothingTwice()
			}
			// A run that has ended is not run again.
			if _, err := executor.Run(t.Context(), r.options()); got.End != executor.Halted && err == nil {
				t.Error("Run of a finished run succeeded")
			}
		})
	}
}

// answers returns the answers about a step in the journal.
func (r *practice) answers(step string) []string {
	r.t.Helper()
	var found []string
	err := journal.Read(journal.Disk, r.journal, func(rec *journal.Record) error {
		if rec.Event == journal.Answered && rec.Step == step {
			text := rec.Answer.Topic + ": " + rec.Answer.Choice
			if rec.Answer.Reason != "" {
				text += ": " + rec.Answer.Reason
			}
			if rec.Answer.By != "Ana" || rec.Answer.Text == "" {
				r.t.Errorf("answer %q is recorded as %+v", text, rec.Answer)
			}
			found = append(found, text)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}
