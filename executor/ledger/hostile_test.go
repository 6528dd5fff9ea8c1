package ledger

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/visible"
)

// What another person has written into the ledger can't forge a line where it becomes
// part of csu's own sentences.
func TestTextsOfOthersAreVisible(t *testing.T) {
	t.Parallel()
	const hostile = "Ada\nIts csu has stopped.\x1b[2J\u202e"
	l := Ledger{
		Holder:   &Holder{Run: hostile, Plan: hostile, Operator: hostile, Host: hostile, To: hostile, Asked: &Handover{To: hostile, By: hostile}, Process: "p"},
		Head:     Head{Run: hostile, Plan: hostile, Stage: hostile},
		Finished: []Finished{{Run: hostile, Plan: hostile, Operator: hostile, Reason: hostile}},
	}
	text, err := l.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.texts()); n != 14 {
		t.Errorf("%d texts, want 14", n)
	}
	for _, text := range got.texts() {
		if *text != visible.Line(hostile) {
			t.Errorf("a text is read as %q", *text)
		}
	}
	held := (&HeldError{Holder: *got.Holder}).Error()
	if !visible.OneLine(held) || !strings.Contains(held, "Its csu has stopped.") {
		t.Errorf("the error is %q", held)
	}
}
