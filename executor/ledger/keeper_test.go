package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/ledger/ledgertest"
)

// log is a journal with seq records.
type log struct{ seq int }

func (l *log) head(seq int) journal.Head {
	if seq == 0 {
		return journal.Head{}
	}
	return journal.Head{Seq: seq, Hash: fmt.Sprint("hash", seq)}
}
func (l *log) Copy() journal.Copy { return journal.Copy{Head: l.head(l.seq), Packed: []byte("packed")} }
func (l *log) Has(h journal.Head) bool {
	return h == journal.Head{} || h.Seq <= l.seq && h == l.head(h.Seq)
}

// process is a keeper and its journal.
type process struct {
	*ledger.Keeper
	journal   *log
	displaced []error
	back      []int
	asked     []ledger.Handover
}

type site struct {
	t     *testing.T
	store *ledgertest.Store
	clock *ledgertest.Clock
}

func newSite(t *testing.T) *site {
	return &site{t, &ledgertest.Store{}, &ledgertest.Clock{}}
}

// process returns the keeper of a process of the run r1 that has not claimed
// the ledger.
func (s *site) process(name string, seq int) *process {
	p := &process{journal: &log{seq}}
	p.Keeper = ledger.NewKeeper(s.store, s.clock.Hurried(), ledger.Options{
		Claim:   ledger.Claim{Run: "r1", Plan: "p.json", Digest: "d", Has: p.journal.Has, Seq: seq, Begun: true, Alone: true},
		Holder:  ledger.Holder{Run: "r1", Plan: "p.json", Digest: "d", Operator: name, Host: "host-" + name, Process: "process-" + name},
		Journal: p.journal, Stage: func() string { return "offline" }, Now: func() time.Time { return time.Unix(0, 0).Add(s.clock.Now()) },
		Displaced: func(d *ledger.DisplacedError) { p.displaced = append(p.displaced, d) },
		Back:      func(epoch int) { p.back = append(p.back, epoch) },
		Asked:     func(h ledger.Handover) { p.asked = append(p.asked, h) },
	})
	return p
}

// claimed returns a process that has claimed the ledger.
func (s *site) claimed(name string, seq int) *process {
	s.t.Helper()
	p := s.process(name, seq)
	if err := p.Keep(s.t.Context(), seq); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// next sets the outcomes of the next requests, in order.
func (s *site) next(outcomes ...ledgertest.Outcome) {
	var mu sync.Mutex
	s.store.Fault = func(string) ledgertest.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if len(outcomes) == 0 {
			return ""
		}
		o := outcomes[0]
		outcomes = outcomes[1:]
		return o
	}
}

func TestOneWriteForWhatWasRecorded(t *testing.T) {
	s := newSite(t)
	a := s.claimed("a", 1)
	l := s.store.Now()
	if l.Epoch != 1 || l.Holder.Process != "process-a" || l.Head.Seq != 1 || l.Head.Stage != "offline" || string(l.Copy) != "packed" {
		t.Fatalf("claimed: %+v", l)
	}
	a.journal.seq = 5
	for range 3 { // the first one writes, the others find it written
		if err := a.Keep(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.store.Writes(); n != 2 {
		t.Errorf("%d writes, want the claim and one more", n)
	}
	if err := a.Pass(t.Context()); err != nil || s.store.Writes() != 2 {
		t.Errorf("a fresh gate: %v, %d writes", err, s.store.Writes())
	}
	s.clock.Advance(ledger.Real().Fresh, nil)
	if err := a.Pass(t.Context()); err != nil || s.store.Writes() != 3 {
		t.Errorf("a stale gate: %v, %d writes", err, s.store.Writes())
	}
}

// TestFreshFromBeforeTheWrite checks that freshness counts from before a write
// was sent.
func TestFreshFromBeforeTheWrite(t *testing.T) {
	s := newSite(t)
	a := s.claimed("a", 1)
	s.clock.Advance(ledger.Real().Fresh, nil)
	s.store.Wrote = func(ledger.Ledger) { s.clock.Advance(ledger.Real().Fresh, nil) }
	if err := a.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.store.Wrote = nil
	if err := a.Pass(t.Context()); err != nil || s.store.Writes() != 3 {
		t.Errorf("%v, %d writes: want another one, since the last took longer than it stays fresh", err, s.store.Writes())
	}
}

func TestAnotherProcessDisplaces(t *testing.T) {
	s := newSite(t)
	a := s.claimed("a", 3)
	b := s.claimed("b", 3)
	if l := s.store.Now(); l.Epoch != 2 || l.Holder.Operator != "b" {
		t.Fatalf("taken over: %+v", l)
	}
	// a may still send while its last write is fresh, which is why b waits.
	// After that, a is shut.
	if err := a.Pass(t.Context()); err != nil {
		t.Errorf("while fresh: %v", err)
	}
	var displaced *ledger.DisplacedError
	for range 2 {
		if err := a.Keep(t.Context(), 4); !errors.As(err, &displaced) || displaced.Holder.Operator != "b" || displaced.Epoch != 2 {
			t.Errorf("displaced: %v", err)
		}
	}
	if len(a.displaced) != 1 || len(b.displaced) != 0 {
		t.Errorf("notified %v, %v", a.displaced, b.displaced)
	}
	for what, end := range map[string]error{"finish": a.Finish(t.Context(), ledger.Complete), "stop": a.Stop(t.Context(), ""), "forget": a.Forget(t.Context())} {
		if !errors.As(end, &displaced) {
			t.Errorf("%s of a displaced process: %v", what, end)
		}
	}
	if l := s.store.Now(); l.Holder == nil || l.Holder.Operator != "b" || len(l.Finished) != 0 {
		t.Errorf("at the end: %+v", l)
	}
}

// TestLostAnswers checks that after a lost answer the process finds its own
// write, or finds that it did not arrive.
func TestLostAnswers(t *testing.T) {
	for _, what := range []string{"claim", "keep", "finish", "stop"} {
		for _, outcome := range []ledgertest.Outcome{ledgertest.Lost, ledgertest.Away} {
			t.Run(fmt.Sprint(what, " ", outcome), func(t *testing.T) {
				s := newSite(t)
				p := s.process("a", 3)
				if what != "claim" {
					p = s.claimed("a", 3)
				}
				writes := 0
				s.store.Fault = func(op string) ledgertest.Outcome {
					if op == "write" {
						if writes++; writes == 1 {
							return outcome
						}
					}
					return ""
				}
				p.journal.seq = 7
				var err error
				switch what {
				case "finish":
					err = p.Finish(t.Context(), ledger.Complete)
				case "stop":
					err = p.Stop(t.Context(), "")
				default:
					err = p.Keep(t.Context(), 7)
				}
				l := s.store.Now()
				if err != nil || l.Head.Seq != 7 || len(p.displaced) > 0 {
					t.Fatalf("%v, displaced %v, the ledger: %+v", err, p.displaced, l)
				}
				if what == "finish" && (l.Holder != nil || len(l.Finished) != 1) || what == "stop" && l.Holder.Process != "" {
					t.Errorf("the ledger: %+v", l)
				}
				if l.Epoch != 1 {
					t.Errorf("epoch %d", l.Epoch)
				}
			})
		}
	}
}

func TestAwayAndBack(t *testing.T) {
	s := newSite(t)
	a := s.claimed("a", 1)
	s.store.Fault = func(string) ledgertest.Outcome { return ledgertest.Away }
	var away *ledger.AwayError
	before := s.clock.Now()
	if err := a.Keep(t.Context(), 2); !errors.As(err, &away) || !errors.Is(err, ledgertest.ErrAway) {
		t.Fatalf("away: %v", err)
	}
	if took := s.clock.Now() - before; took != 3*time.Second {
		t.Errorf("it was tried for %s, want three tries with pauses of 1 and 2 s", took)
	}
	first, n := a.Outage()
	if err := a.Keep(t.Context(), 2); !errors.As(err, &away) || s.clock.Now() != before+3*time.Second {
		t.Errorf("again: %v, at %s: want one try while the cluster is away", err, s.clock.Now())
	}
	if again, m := a.Outage(); m != n || !again.Since.Equal(first.Since) {
		t.Errorf("another outage: %v, %d", again, m)
	}
	s.store.Fault = nil
	if err := a.Keep(t.Context(), 1); err != nil {
		t.Errorf("back: %v", err)
	}
	if o, _ := a.Outage(); o != nil || len(a.back) != 0 {
		// While its last write is fresh, the gate asks nothing.
		t.Logf("outage %v, back %v", o, a.back)
	}
	s.clock.Advance(time.Minute, nil)
	if err := a.Pass(t.Context()); err != nil || len(a.back) != 1 || a.back[0] != 1 {
		t.Errorf("back: %v, notified %v", err, a.back)
	}
	s.store.Fault = func(string) ledgertest.Outcome { return ledgertest.Away }
	s.clock.Advance(time.Minute, nil)
	if err := a.Pass(t.Context()); !errors.As(err, &away) {
		t.Errorf("away once more: %v", err)
	}
	if _, m := a.Outage(); m != n+1 {
		t.Errorf("it counts as outage %d, after %d", m, n)
	}
}

// TestTakenOverWhileAway checks that the epoch is read before anything is sent
// once the cluster is back.
func TestTakenOverWhileAway(t *testing.T) {
	s := newSite(t)
	a := s.claimed("a", 1)
	s.store.Fault = func(string) ledgertest.Outcome { return ledgertest.Away }
	s.clock.Advance(time.Minute, nil)
	if err := a.Pass(t.Context()); err == nil {
		t.Fatal("it passed without the cluster")
	}
	s.store.Fault = nil
	s.claimed("b", 1)
	var displaced *ledger.DisplacedError
	if err := a.Pass(t.Context()); !errors.As(err, &displaced) {
		t.Errorf("back: %v", err)
	}
}

// TestClaimedLate checks that a process that could not claim the ledger at its start is judged when the
// cluster is back.
func TestClaimedLate(t *testing.T) {
	s := newSite(t)
	late := s.process("late", 1)
	s.store.Fault = func(string) ledgertest.Outcome { return ledgertest.Away }
	var away *ledger.AwayError
	if err := late.Keep(t.Context(), 1); !errors.As(err, &away) {
		t.Fatal(err)
	}
	s.store.Fault = nil
	b := s.claimed("b", 3)
	if err := b.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	var behind *ledger.BehindError
	var displaced *ledger.DisplacedError
	if err := late.Keep(t.Context(), 1); !errors.As(err, &displaced) || !errors.As(err, &behind) || behind.Seq != 1 || behind.Head.Seq != 3 {
		t.Errorf("claimed late: %v", err)
	}
	if late.Epoch() != 0 || s.store.Now().Epoch != 1 {
		t.Errorf("epochs %d, %d", late.Epoch(), s.store.Now().Epoch)
	}
}

func TestHandoverIsAsked(t *testing.T) {
	s := newSite(t)
	a := s.claimed("a", 1)
	s.store.Edit(func(l *ledger.Ledger) { l.Holder.Asked = &ledger.Handover{To: "b", By: "c"} })
	if err := a.Keep(t.Context(), 1); err != nil || len(a.asked) != 0 {
		t.Fatalf("%v, %v", err, a.asked)
	}
	a.journal.seq = 2
	if err := a.Keep(t.Context(), 2); err != nil || len(a.asked) == 0 || a.asked[0] != (ledger.Handover{To: "b", By: "c"}) {
		t.Fatalf("%v, %v", err, a.asked)
	}
	if s.store.Now().Holder.Asked == nil {
		t.Error("the request is gone before the run was handed over")
	}
	if err := a.Stop(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if h := s.store.Now().Holder; h.Process != "" || h.To != "b" || h.Asked != nil {
		t.Errorf("handed over: %+v", h)
	}
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		a := s.claimed("a", 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.Renew(ctx) }()
		for want := 2; want < 5; want++ {
			synctest.Wait()
			s.clock.Advance(ledger.Real().Renew, synctest.Wait)
			if n := s.store.Writes(); n != want {
				t.Errorf("%d writes, want %d", n, want)
			}
		}
		cancel()
		<-ended
	})
}

func TestWatch(t *testing.T) {
	dead := ledger.Real().Dead
	for name, c := range map[string]struct {
		happens func(s *site, a *process)
		live    bool
		process string // the one seen last
	}{
		"silent":        {func(*site, *process) {}, false, "process-a"},
		"renews":        {func(s *site, a *process) { s.clock.Advance(time.Minute, nil); _ = a.Pass(t.Context()) }, true, "process-a"},
		"ends":          {func(_ *site, a *process) { _ = a.Stop(t.Context(), "") }, false, ""},
		"another comes": {func(s *site, _ *process) { s.claimed("b", 1) }, true, "process-b"},
		"unlocked":      {func(s *site, _ *process) { s.store.Edit(func(l *ledger.Ledger) { l.Holder = nil }) }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			a := s.claimed("a", 1)
			timing, sleeps := s.clock.Hurried(), 0
			hurried := timing.Sleep
			timing.Sleep = func(ctx context.Context, d time.Duration) error {
				if sleeps++; sleeps == 5 {
					c.happens(s, a)
				}
				return hurried(ctx, d)
			}
			l, v, err := ledger.Read(t.Context(), s.store, timing)
			if err != nil {
				t.Fatal(err)
			}
			began := s.clock.Now()
			l, _, err = ledger.Watch(t.Context(), s.store, timing, l, v)
			var live *ledger.LiveError
			if errors.As(err, &live) != c.live || (err != nil) != c.live {
				t.Errorf("Watch = %v", err)
			}
			if h := l.Holder; c.process == "" && h != nil && h.Process != "" || c.process != "" && h.Process != c.process {
				t.Errorf("it saw %+v", h)
			}
			if waited := s.clock.Now() - began; name == "silent" && waited < dead || waited > dead+time.Minute+time.Second {
				t.Errorf("it watched for %s", waited)
			}
		})
	}
}

// TestWatchBlind checks that an observer that cannot read the ledger does not
// decide.
func TestWatchBlind(t *testing.T) {
	s := newSite(t)
	s.claimed("a", 1)
	l, v, err := ledger.Read(t.Context(), s.store, s.clock.Hurried())
	if err != nil {
		t.Fatal(err)
	}
	s.store.Fault = func(string) ledgertest.Outcome { return ledgertest.Away }
	if _, _, err := ledger.Watch(t.Context(), s.store, s.clock.Hurried(), l, v); !errors.Is(err, ledgertest.ErrAway) {
		t.Errorf("Watch = %v", err)
	}
}

func TestUpdate(t *testing.T) {
	s := newSite(t)
	calls := 0
	s.next("", ledgertest.Lost, "", "") // read, write, read, write
	err := ledger.Update(t.Context(), s.store, s.clock.Hurried(), func(l *ledger.Ledger) error { calls++; l.Holder = nil; return nil })
	if err != nil || calls != 2 {
		t.Errorf("Update = %v after %d calls", err, calls)
	}
	calls = 0
	err = ledger.Update(t.Context(), s.store, s.clock.Hurried(), func(l *ledger.Ledger) error {
		if calls++; calls == 1 {
			s.store.Edit(func(*ledger.Ledger) {}) // another process writes in between
		}
		return nil
	})
	if err != nil || calls != 2 {
		t.Errorf("Update over another write = %v after %d calls", err, calls)
	}
	s.store.Fault = func(op string) ledgertest.Outcome {
		if op == "write" {
			return ledgertest.Away
		}
		return ""
	}
	if err := ledger.Update(t.Context(), s.store, s.clock.Hurried(), func(*ledger.Ledger) error { return nil }); !errors.Is(err, ledgertest.ErrAway) {
		t.Errorf("Update without the cluster = %v", err)
	}
	refused := errors.New("no")
	if err := ledger.Update(t.Context(), s.store, s.clock.Hurried(), func(*ledger.Ledger) error { return refused }); err != refused {
		t.Errorf("Update that is refused = %v", err)
	}
}

// TestForeignLedger checks that a ledger that this csu cannot read does not
// count as a cluster that is away.
func TestForeignLedger(t *testing.T) {
	for _, err := range []error{&ledger.FormatError{Reason: "new"}, &cluster.MissingError{}, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "csu-summit", nil)} {
		if ledger.Away(fmt.Errorf("read: %w", err)) {
			t.Errorf("%v counts as a cluster that is away", err)
		}
	}
	for _, err := range []error{ledgertest.ErrAway, context.DeadlineExceeded, apierrors.NewServiceUnavailable("no etcd")} {
		if !ledger.Away(fmt.Errorf("read: %w", err)) {
			t.Errorf("%v does not count as a cluster that is away", err)
		}
	}
	s := newSite(t)
	a := s.claimed("a", 1)
	s.store.Broken = &ledger.FormatError{Reason: "its format is new"}
	s.clock.Advance(time.Minute, nil)
	var displaced *ledger.DisplacedError
	if err := a.Pass(t.Context()); !errors.As(err, &displaced) {
		t.Errorf("Pass = %v", err)
	}
}

func TestFinishedRunsAreKept(t *testing.T) {
	var l ledger.Ledger
	for i := range 60 {
		l.End(ledger.Finished{Digest: fmt.Sprint("d", i), Run: fmt.Sprint("r", i), Outcome: ledger.Complete})
	}
	l.End(ledger.Finished{Digest: "d59", Run: "r59", Outcome: ledger.Aborted}) // the same run again
	if len(l.Finished) != 50 || l.Ended("d9") != nil || l.Ended("d10") != nil && l.Ended("d10").Run != "r10" || l.Ended("d59").Outcome != ledger.Aborted {
		t.Errorf("%d runs, the last %+v", len(l.Finished), l.Ended("d59"))
	}
}

func TestRehearsedTiming(t *testing.T) {
	for _, speed := range []float64{0, 1, 60, 100000} {
		r := ledger.Rehearsed(speed)
		if r.Dead < r.Renew+r.Fresh || r.Dead < r.Fresh+r.Request || r.Renew < time.Second || r.Now == nil || r.Sleep == nil {
			t.Errorf("speed %g: %+v", speed, r)
		}
	}
	if r := ledger.Rehearsed(1); r.Dead != ledger.Real().Dead || r.Fresh != ledger.Real().Fresh {
		t.Errorf("at real speed: %+v", r)
	}
	before := ledger.Real().Now()
	if err := ledger.Real().Sleep(t.Context(), time.Millisecond); err != nil || ledger.Real().Now() <= before {
		t.Errorf("the real clock stands still: %v", err)
	}
}

func TestTextsOfErrors(t *testing.T) {
	h := ledger.Holder{Run: "r1", Plan: "p.json", Digest: "0123456789abcdef", Operator: "Ana", Host: "alps", Since: time.Unix(0, 0), Renewed: time.Unix(60, 0)}
	head := ledger.Head{Run: "r1", Head: journal.Head{Seq: 9, Hash: "x"}, Stage: "deploy", Time: time.Unix(60, 0)}
	for _, c := range []struct {
		err  interface{ Error() string }
		want []string
	}{
		{&ledger.HeldError{Holder: h}, []string{"run r1", `plan "p.json"`, "Ana", "alps"}},
		{&ledger.ElsewhereError{Head: head, Holder: h}, []string{"record 9", `stage "deploy"`, "Ana", "alps", "not here"}},
		{&ledger.BehindError{Seq: 4, Head: head, Holder: &h}, []string{"ends at record 4", "record 9", `stage "deploy"`, "Ana", "alps"}},
		{&ledger.BehindError{Seq: 12, Head: head, Holder: &h}, []string{"diverged", "record 9", `stage "deploy"`, "Ana", "alps"}},
		{&ledger.EndedError{Finished: ledger.Finished{Run: "r1", Operator: "Ana", Outcome: ledger.Complete}}, []string{"carried out", "Ana"}},
		{&ledger.EndedError{Finished: ledger.Finished{Run: "r1", Operator: "Ana", Outcome: ledger.Aborted}}, []string{"aborted", "Ana"}},
		{&ledger.EndedError{Finished: ledger.Finished{Run: "r1", Operator: "Ana", Outcome: ledger.Unlocked, Head: journal.Head{Seq: 3}}}, []string{"begun before", "Ana", "record 3"}},
		{&ledger.LiveError{Holder: h}, []string{"at work", "Ana", "alps"}},
		{&ledger.UnknownError{Run: "r1"}, []string{"r1"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.err.Error(), want) {
				t.Errorf("%q lacks %q", c.err.Error(), want)
			}
		}
		if hinted, ok := c.err.(interface{ Hint() string }); ok && hinted.Hint() == "" {
			t.Errorf("%q has no remedy", c.err.Error())
		}
	}
}
