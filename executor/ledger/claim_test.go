package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
)

// TestCheck covers who may proceed, depending on the ledger and the local
// journal.
func TestCheck(t *testing.T) {
	at := func(run, digest string, seq int) ledger.Head {
		return ledger.Head{Run: run, Digest: digest, Head: (&log{}).head(seq)}
	}
	by := func(run, digest string) *ledger.Holder { return &ledger.Holder{Run: run, Digest: digest} }
	ended := func(run, digest string, o ledger.Outcome, seq int) []ledger.Finished {
		return []ledger.Finished{{Run: run, Digest: digest, Outcome: o, Head: (&log{}).head(seq)}}
	}
	fork := journal.Head{Seq: 3, Hash: "another"}
	for i, c := range []struct {
		what   string
		ledger ledger.Ledger
		seq    int // of the journal here, of run r1 and plan d; 0 for none
		want   error
	}{
		{"a new run, no run has the site", ledger.Ledger{}, 0, nil},
		{"a new run, past runs of other plans", ledger.Ledger{Head: at("r0", "c", 9), Finished: ended("r0", "c", ledger.Complete, 9)}, 0, nil},
		{"a new run, another plan has the site", ledger.Ledger{Holder: by("r0", "c"), Head: at("r0", "c", 9)}, 0, &ledger.HeldError{}},
		{"a new run, this plan's is under way", ledger.Ledger{Holder: by("r1", "d"), Head: at("r1", "d", 9)}, 0, &ledger.ElsewhereError{}},
		{"a new run, this plan was carried out", ledger.Ledger{Head: at("r0", "c", 9), Finished: ended("r1", "d", ledger.Complete, 9)}, 0, &ledger.EndedError{}},
		{"a new run, this plan was aborted", ledger.Ledger{Finished: ended("r1", "d", ledger.Aborted, 9)}, 0, &ledger.EndedError{}},
		{"a new run, this plan's was unlocked", ledger.Ledger{Finished: ended("r1", "d", ledger.Unlocked, 9)}, 0, &ledger.EndedError{}},

		{"the run, with the newest journal", ledger.Ledger{Holder: by("r1", "d"), Head: at("r1", "d", 5)}, 5, nil},
		{"the run, with more than the ledger has", ledger.Ledger{Holder: by("r1", "d"), Head: at("r1", "d", 3)}, 5, nil},
		{"the run, with an old journal", ledger.Ledger{Holder: by("r1", "d"), Head: at("r1", "d", 6)}, 5, &ledger.BehindError{}},
		{"the run, with another branch", ledger.Ledger{Holder: by("r1", "d"), Head: ledger.Head{Run: "r1", Digest: "d", Head: fork}}, 5, &ledger.BehindError{}},
		{"the run, another plan has the site", ledger.Ledger{Holder: by("r0", "c"), Head: at("r0", "c", 3)}, 5, &ledger.HeldError{}},
		{"the run, another run of the plan has the site", ledger.Ledger{Holder: by("r2", "d"), Head: at("r2", "d", 3)}, 5, &ledger.HeldError{}},
		{"the run, complete elsewhere", ledger.Ledger{Finished: ended("r1", "d", ledger.Complete, 9), Head: at("r1", "d", 9)}, 5, &ledger.EndedError{}},
		{"the run, of a plan that was carried out by another", ledger.Ledger{Finished: ended("r2", "d", ledger.Complete, 9)}, 5, &ledger.EndedError{}},
		{"the run, unlocked, newest journal", ledger.Ledger{Finished: ended("r1", "d", ledger.Unlocked, 5), Head: at("r1", "d", 5)}, 5, nil},
		{"the run, unlocked, old journal", ledger.Ledger{Finished: ended("r1", "d", ledger.Unlocked, 6)}, 5, &ledger.BehindError{}},
		{"the run, unlocked, another run came and ended", ledger.Ledger{Head: at("r0", "c", 9), Finished: append(ended("r1", "d", ledger.Unlocked, 5), ended("r0", "c", ledger.Complete, 9)...)}, 5, nil},
		{"the run, unknown to the ledger", ledger.Ledger{}, 5, &ledger.UnknownError{}},
		{"the run, no longer known to the ledger", ledger.Ledger{Head: at("r0", "c", 9)}, 5, &ledger.UnknownError{}},
	} {
		claim := ledger.Claim{Run: "r1", Digest: "d", Begun: true}
		if c.seq > 0 {
			claim.Has, claim.Seq = (&log{c.seq}).Has, c.seq
		}
		err := claim.Check(&c.ledger)
		if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", c.want) {
			t.Errorf("%d: %s: Check = %T %v, want %T", i, c.what, err, err, c.want)
		}
		var unknown *ledger.UnknownError
		if claim.Alone = true; errors.As(err, &unknown) && claim.Check(&c.ledger) != nil {
			t.Errorf("%d: %s: Check refused although the operator confirmed", i, c.what)
		}
	}
}
