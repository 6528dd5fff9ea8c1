package action

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

func TestBudgetIsForTheWholeAttempt(t *testing.T) {
	now := time.Now()
	p := &budget{clock: clock.Fast(now, now, 60000), left: 10 * time.Minute}
	polls := 0
	never := func(context.Context) (bool, error) { polls++; return false, nil }
	if err := p.within(t.Context(), time.Minute, 4*time.Minute, never); !errors.Is(err, clock.ErrLimit) || polls != 5 {
		t.Errorf("the first poll: %v after %d polls, want the limit after 5", err, polls)
	}
	polls = 0
	if err := p.within(t.Context(), time.Minute, time.Hour, never); !errors.Is(err, clock.ErrLimit) || polls != 7 {
		t.Errorf("the second poll: %v after %d polls, want the limit after the 6 minutes that were left", err, polls)
	}
	polls = 0
	if err := p.poll(t.Context(), time.Minute, never); !errors.Is(err, clock.ErrLimit) || polls != 1 {
		t.Errorf("the third poll: %v after %d polls, want one poll and no waiting", err, polls)
	}
}

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
