package executor

import (
	"errors"
	"testing"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/state"
)

func TestReadStateOfAnotherPlan(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.must(Completed)
	var other *state.OtherPlanError
	if _, err := state.Read(b.disk, "j", b.plan, "other"); !errors.As(err, &other) || exit.CodeOf(err) != exit.Refused || exit.HintOf(err) == "" {
		t.Errorf("ReadState = %v", err)
	}
}
