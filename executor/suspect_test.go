package executor

import (
	"context"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// TestRebootOfAnotherCSU: a reboot is found by its identity, whatever the number of
// its attempt, so that the host is not rebooted again.
func TestRebootOfAnotherCSU(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", &plan.Reboot{Host: "h1", User: "u", Command: "reboot"}, "a")))
	b.died("one/a")
	b.world.mu.Lock()
	b.world.verdicts["csu-"+b.ledger.Now().Head.Run+"/one/b/2"] = action.Done
	b.world.mu.Unlock()
	c := b.colleague()
	c.must(Completed, takingOver(true))
	if st := c.state().Steps["one/b"]; st.Phase != state.Done || !strings.HasSuffix(st.Identity, "/one/b/2") {
		t.Errorf("one/b is %s, %s", st.Phase, st.Identity)
	}
}

// TestSuspectedByHandIsConfirmed: what a person did instead of a suspected step is
// looked for by its effect, and not by csu's identity.
func TestSuspectedByHandIsConfirmed(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1")), step("b", &plan.SetState{Queue: 1, State: "OFFLINE", CSCs: []string{"A:0"}}, "a")))
	b.died("one/a")
	c := b.colleague()
	c.world.script["one/b"] = behaviour{
		probe: func(context.Context, *action.Attempt) action.Finding {
			return action.Found(action.Unknown, "nobody can tell")
		},
		look: func(_ context.Context, a *action.Attempt) action.Finding {
			if a.Suspected {
				t.Error("what was done by hand has no identity")
			}
			return action.Found(action.Done, "A:0 is OFFLINE")
		},
	}
	c.person.answer = func(q operator.Question) (operator.Answer, error) {
		switch q.Topic {
		case operator.InDoubt:
			return operator.Answer{Choice: operator.NotHappened, By: "Bob"}, nil
		case operator.Failed:
			return operator.Answer{Choice: operator.ByHand, By: "Bob"}, nil
		}
		return yes(q)
	}
	c.must(Completed, takingOver(true))
	if got := c.state().Steps["one/b"].Confirmed; got != "csu sees it done: A:0 is OFFLINE" {
		t.Errorf("confirmed %q", got)
	}
}
