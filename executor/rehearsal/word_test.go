package rehearsal

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/report"
	runstate "github.com/lsst-ts/csu/executor/state"
)

// TestByHandButNotDone: with LOVE down, the operator says that the Watcher was taken down
// by hand, which it was not. csu sees that before any other CSC goes down (P8). Where they
// insist, the next consent and the end of the run name it.
func TestByHandButNotDone(t *testing.T) {
	unseen := func(choice operator.Choice, reason string, do func(*practice)) reply {
		return reply{topic: operator.Unseen, step: "down/watcher", choice: choice, reason: reason, do: do, says: []string{"Watcher:0: ENABLED", "expected OFFLINE"}}
	}
	stillUp := func(r *practice) {
		for _, e := range r.site.Record() {
			if e.Kind == StateChanged || e.Kind == CSCDown {
				r.t.Errorf("before the Watcher is down: %s %s", e.Kind, e.Subject)
			}
		}
	}
	t.Run("done at last", func(t *testing.T) {
		r := newPractice(t, faultyPlan(), loveDown)
		r.replies = []reply{
			failed("down/watcher", operator.ByHand, nil),
			unseen(operator.KeepWaiting, "", all(stillUp, kill("Watcher:0"), outlast(loveDown))),
		}
		got := r.run()
		if got.End != executor.Completed {
			t.Fatalf("the run ended %q: %s\n%s", got.End, got.Text, r.seen.String())
		}
		if st := got.State.Steps["down/watcher"]; st.Phase != runstate.ByHand || st.Accepted != nil {
			t.Errorf("down/watcher is %s, accepted %+v", st.Phase, st.Accepted)
		}
	})
	t.Run("insisted", func(t *testing.T) {
		r := newPractice(t, faultyPlan(), loveDown)
		const reason = "nobody needs its alarms tonight"
		r.replies = []reply{
			failed("down/watcher", operator.ByHand, nil),
			unseen(operator.Accept, reason, all(stillUp, outlast(loveDown))),
			{topic: operator.StageConsent, choice: operator.Yes, says: []string{"down/watcher", "against the evidence", reason}},
		}
		got := r.run()
		if got.End != executor.Completed {
			t.Fatalf("the run ended %q: %s\n%s", got.End, got.Text, r.seen.String())
		}
		lines := report.Accepted(got.State)
		if len(lines) != 1 || !strings.Contains(lines[0], "down/watcher") || !strings.Contains(lines[0], reason) {
			t.Errorf("accepted: %q", lines)
		}
	})
}
