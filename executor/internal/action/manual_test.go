package action

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// The operator sees the CSC's state when the question is asked, not when it began
// to wait for its turn.
func TestManualIsReadWhenItIsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alive("STANDBY", "MTM2:0")
	y := newTry(t, s.systems, &plan.Manual{Text: "Switch M2 to closed loop.", CSCs: []string{"MTM2:0"}}, row("MTM2:0"))
	y.answers = []operator.Choice{operator.Yes}
	y.later(func() { s.state("MTM2:0", "DISABLED", s.now()) })
	expect(t, y.perform(t), Done, "confirmed by ann")
	if len(y.asked) != 1 || !strings.HasPrefix(y.asked[0].Reading, "MTM2:0: DISABLED since ") {
		t.Errorf("asked %+v, want one question with the new state", y.asked)
	}
}
