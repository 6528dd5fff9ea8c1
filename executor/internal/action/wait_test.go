package action

import (
	"context"
	"errors"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

func TestInterruptedIsUnknown(t *testing.T) {
	running := Found(Running, "it runs")
	if got := unfinished(clock.ErrLimit, running); got != running {
		t.Errorf("at the limit: %+v, want the last finding", got)
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, errors.New("no room in the journal")} {
		if got := unfinished(err, running); got.Verdict != Unknown {
			t.Errorf("%v: %+v, want verdict %q", err, got, Unknown)
		}
	}
}

func TestLastLinesAreFew(t *testing.T) {
	if got := lastLines("\n"); got != "no output" {
		t.Errorf("lastLines of no output = %q", got)
	}
	if got, want := lastLines("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n"), "output:\n...\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12"; got != want {
		t.Errorf("lastLines of 12 lines = %q, want %q", got, want)
	}
}
