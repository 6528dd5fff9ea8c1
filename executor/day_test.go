package executor

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
)

// TestBeginningOnAnotherDay: the operator is asked once, before anything is written.
func TestBeginningOnAnotherDay(t *testing.T) {
	other := func(o *Options) { o.Day = "This plan is for 2026-11-24, which has passed." }
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.person.answer = choose(operator.OtherDay, operator.No)
	if _, err := b.run(other); exit.CodeOf(err) != exit.Refused || exit.HintOf(err) == "" {
		t.Errorf("run = %v, want a refusal with a remedy", err)
	}
	if _, err := b.disk.OpenFile("j", os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the refused run has a journal: %v", err)
	}
	if h := b.ledger.Now().Holder; h != nil {
		t.Errorf("the refused run has the site: %+v", h)
	}

	b.person.answer = choose(operator.OtherDay, operator.Yes)
	b.person.asked = nil
	b.must(Completed, other)
	if n := len(b.person.questions(operator.OtherDay)); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	answers := 0
	for _, r := range b.records() {
		if r.Event == journal.Answered && r.Answer.Topic == string(operator.OtherDay) {
			answers++
		}
	}
	if answers != 1 {
		t.Errorf("the journal has %d answers about the day, want 1", answers)
	}
}

// TestUntouched: a run that was refused before its first stage says that its journal is
// worth nothing; one that has begun does not.
func TestUntouched(t *testing.T) {
	b := newBench(t, stage("one", step("a", host("h1"))))
	b.person.answer = func(q operator.Question) (operator.Answer, error) {
		return operator.Answer{}, &operator.UnattendedError{Question: q}
	}
	if res, err := b.run(); exit.CodeOf(err) != exit.Refused || !res.Untouched {
		t.Errorf("run = %+v, %v, want it refused and untouched", res, err)
	}
	if h := b.ledger.Now().Holder; h != nil {
		t.Errorf("the refused run has the site: %+v", h)
	}
	b.person.answer = yes
	if res := b.must(Completed); res.Untouched {
		t.Error("a complete run is untouched")
	}
}
