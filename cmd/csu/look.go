package main

import (
	"os"
	"time"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/live"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
	"github.com/lsst-ts/csu/executor/timeline"
)

// A looker looks at a run again and again. It folds the journal only when it has grown, and
// simulates the rest of the run only then or when a minute has passed, and never for more than
// a twentieth of the time.
type looker struct {
	plan            *plan.Plan
	digest, journal string
	usual           map[string]plan.Duration // of stages

	log  *timeline.Log
	size int64

	records   int // for which the rest was simulated
	at        time.Time
	low, high plan.Duration
	simulated time.Time     // by this machine's clock
	cost      time.Duration // of that
}

func newLooker(p *plan.Plan, digest, journalFile string) *looker {
	k := &looker{plan: p, digest: digest, journal: journalFile, usual: map[string]plan.Duration{}}
	for _, s := range review.EstimatePlan(p).Stages {
		k.usual[s.ID] = s.Takes
	}
	return k
}

// read folds the journal if it has changed. A journal that does not exist is an error.
func (k *looker) read() error {
	info, err := os.Stat(k.journal)
	if err != nil {
		return err
	}
	if k.log != nil && info.Size() == k.size {
		return nil
	}
	log, err := timeline.Read(journal.Disk, k.journal, k.plan, k.digest)
	if err != nil {
		return err
	}
	k.log, k.size = log, info.Size()
	return nil
}

// view returns the run as the journal, and the csu that is at work on it, show it. now is
// what that csu shows; nil if it is not known.
func (k *looker) view(held bool, now *live.Now) *live.View {
	return live.Of(k.log, live.Options{Held: held, Now: now, Clock: time.Now(), Usual: k.usual, Left: k.left})
}

// left returns how long the rest of the run takes.
func (k *looker) left(s *state.State, now time.Time) (low, high plan.Duration) {
	passed := now.Sub(k.at)
	known := s.Records == k.records && passed < time.Minute || time.Since(k.simulated) < 20*k.cost
	if k.records > 0 && passed >= 0 && known {
		return max(0, k.low-plan.Duration(passed)), max(0, k.high-plan.Duration(passed))
	}
	begun := time.Now()
	k.records, k.at = s.Records, now
	k.low, k.high = review.Remaining(k.plan, func(id string) review.Progress {
		st := s.Steps[id]
		p := review.Progress{Finished: st.Phase.Finished() || st.Step.Final() && st.Step.Undoes != "" && s.Ended != ""}
		switch {
		case p.Finished:
			p.For = plan.Duration(max(0, now.Sub(st.Since)))
		case st.Phase.Open():
			p.For = plan.Duration(max(0, now.Sub(st.Began)))
		}
		return p
	})
	k.simulated = time.Now()
	k.cost = k.simulated.Sub(begun)
	return k.low, k.high
}
