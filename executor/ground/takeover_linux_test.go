package ground_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/state"
)

// TestTakeoverOnTheGround makes a run lose its csu, and the folder with its journal, in every stage. Each
// time another csu, in a folder of its own, takes the run over from the cluster's copy, and the last one
// completes it. The run must end as if undisturbed, except for epochs, attempts and times. Without the flag
// -all it runs only the incremental plan.
func TestTakeoverOnTheGround(t *testing.T) {
	t.Parallel()
	plans := upgrades
	if !*all {
		plans = plans[:1]
	}
	for _, name := range plans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSuccession(t, newUpgrade(t, name))
			began := time.Now()
			for i := range s.plan.Stages {
				s.fall(t, &s.plan.Stages[i])
			}
			s.complete(t, s.next(t).life)
			t.Logf("the upgrade took %s, with %d takeovers", time.Since(began).Round(time.Second), s.lives-1)
			s.checkLedger(t)
			s.check(t, name, withoutAttempts)
		})
	}
}

// attempt matches the attempt in a script's identity, in the logs of the systems, and the group. An attempt
// that finishes what another one left numbers its groups from the start.
var attempt = regexp.MustCompile(`(?m)^(  \S+ [a-z0-9-]+/[a-z0-9-]+)/\d+(/g\d+)?$`)

func withoutAttempts(logs string) string { return attempt.ReplaceAllString(logs, "$1") }

// succession is an upgrade that several csu carry out, one after the other.
type succession struct {
	*upgrade
	store ledger.Store // with administrator access
	slack *held
	lives int
	dir   string // of the csu at work
	run   string // its id
}

func newSuccession(t *testing.T, u *upgrade) *succession {
	t.Helper()
	admin, err := cluster.Connect(u.Cluster.AdminKubeconfig, "ground")
	if err != nil {
		t.Fatal(err)
	}
	return &succession{upgrade: u, store: ledger.In(admin, u.plan.LedgerName()), slack: newHeld(t, u.Map.Slack)}
}

// next starts the next csu: the first one begins the run, the others take it over.
func (s *succession) next(t *testing.T) *terminal {
	t.Helper()
	csu, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	m, err := sitemap.Read(filepath.Join(s.upgrade.dir, ground.MapFile))
	if err != nil {
		t.Fatal(err)
	}
	m.Slack = s.slack.URL
	s.dir = t.TempDir()
	siteMap := filepath.Join(s.dir, ground.MapFile)
	if err := m.Write(siteMap); err != nil {
		t.Fatal(err)
	}
	s.lives++
	arguments, former := []string{"exec", s.file}, "Is the other csu stopped?"
	if s.lives > 1 {
		arguments = []string{"takeover", s.file, "--reason", "the laptop is lost"}
		if !*all || s.lives != 3 { // once for real: waiting for the other one's silence takes long
			arguments = append(arguments, "--force")
			former = "Take the run from a csu that may be at work?"
		}
	}
	arguments = append(arguments, "--site-map", siteMap, "--consent", "all", "--operator", []string{"Ana", "Bob"}[s.lives%2])
	l := atTerminal(t, exec.Command(csu, arguments...))
	if s.lives > 1 {
		l.answer(t, "Take this run over?", "yes")
		l.answer(t, former, "yes")
		l.answer(t, "Has another csu worked without the cluster?", "no")
	}
	return l
}

func (s *succession) journal() string { return filepath.Join(s.dir, filepath.Base(s.file)+".journal") }

// fall lets the next csu carry on the run into a stage and lose everything
// there.
func (s *succession) fall(t *testing.T, stage *plan.Stage) {
	t.Helper()
	step, begun, release := s.holdIn(t, stage)
	isHeld := release != nil
	l := s.next(t)
	if begun == nil {
		begun = s.awaitStarted(t, step)
	}
	l.await(t, step+" runs", begun)
	if isHeld {
		s.Cluster.Until(t, ground.Limit, "the ledger has the stage", func(context.Context) (bool, error) {
			if now, _ := readLedger(t, s.store); now.Head.Stage == stage.ID {
				return true, nil
			}
			if why := l.stuck(); why != "" {
				t.Fatalf("%s before the ledger has the stage; its output:\n%s", why, l.said())
			}
			return false, nil
		})
	}
	l.kill(t)
	events := recordsIn(t, s.journal(), step)
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if isHeld {
		release()
	}
	now, _ := readLedger(t, s.store)
	t.Logf("csu %d ended in stage %q, with %q of step %q in its journal; the ledger has record %d, of stage %q", s.lives, stage.ID, events, step, now.Head.Seq, now.Head.Stage)
	if s.run == "" {
		s.run = now.Head.Run
	}
	if now.Holder == nil || now.Holder.Run != s.run || now.Epoch != s.lives {
		t.Errorf("the ledger has %+v at epoch %d, want run %s at epoch %d", now.Holder, now.Epoch, s.run, s.lives)
	}
	if !slices.Contains(events, "started") {
		t.Errorf("step %q was not started", step)
	}
}

// holdIn holds the effect of a step of the stage until release. begun is nil if only the journal shows that
// the step has begun; both are nil for a step with nothing that can be held.
func (s *succession) holdIn(t *testing.T, stage *plan.Stage) (step string, begun <-chan struct{}, release func()) {
	t.Helper()
	first := func(wanted func(plan.Parameters) bool) *plan.Step {
		i := slices.IndexFunc(stage.Steps, func(s plan.Step) bool { return wanted(s.Action.Parameters) })
		if i < 0 {
			return nil
		}
		return &stage.Steps[i]
	}
	if x := first(func(d plan.Parameters) bool { return d.Kind() == plan.KindScript || d.Kind() == plan.KindSetState }); x != nil {
		h := s.Simulator.Hold(t, rehearsal.ScriptAdded, "", "/"+x.ID+"/")
		return x.ID, h.Begun(), h.Release
	}
	if x := first(func(d plan.Parameters) bool { return d.Kind() == plan.KindSSH }); x != nil {
		h := s.Simulator.Hold(t, rehearsal.CommandRun, x.Action.Parameters.(*plan.SSH).Host, "")
		return x.ID, h.Begun(), h.Release
	}
	if x := first(func(d plan.Parameters) bool { sync, ok := d.(*plan.Sync); return ok && len(sync.CSCs) > 0 }); x != nil {
		h := whileSyncing(x.Action.Parameters.(*plan.Sync).Application)(s.upgrade, t)
		return x.ID, h.Begun(), h.Release
	}
	if x := first(func(d plan.Parameters) bool { a, ok := d.(*plan.Announce); return ok && !a.Handover }); x != nil {
		begun, release := s.slack.hold(t)
		return x.ID, begun, release
	}
	if x := first(func(d plan.Parameters) bool { d2, ok := d.(*plan.Delete); return ok && d2.Objects == plan.Jobs }); x != nil {
		return x.ID, nil, s.holdPod(t, x.Action.Parameters.(*plan.Delete))
	}
	if x := first(func(d plan.Parameters) bool { return d.Kind() == plan.KindAwaitState }); x != nil {
		return x.ID, nil, nil
	}
	return stage.Steps[0].ID, nil, nil
}

// holdPod keeps a pod of the Jobs that a step deletes and waits for.
func (s *succession) holdPod(t *testing.T, d *plan.Delete) (release func()) {
	t.Helper()
	for i := range s.plan.CSCs {
		if row := &s.plan.CSCs[i]; row.Job != nil && slices.Contains(d.CSCs, row.CSC) {
			return hold(t, s.Cluster, "v1", "Pod", row.Job.Namespace, podOf(t, s.Cluster, row.Job.Namespace, row.Job.Name))
		}
	}
	t.Fatalf("the Jobs in %q are of no CSC", d.Namespace)
	return nil
}

// awaitStarted reads the journal until it has the step's start.
func (s *succession) awaitStarted(t *testing.T, step string) <-chan struct{} {
	begun, file := make(chan struct{}), s.journal()
	wanted := regexp.MustCompile(`"event":"started".*"step":"` + step + `"`)
	go func() {
		for ; t.Context().Err() == nil; time.Sleep(time.Millisecond) {
			if data, err := os.ReadFile(file); err == nil && wanted.Match(data) {
				close(begun)
				return
			}
		}
	}()
	return begun
}

// checkLedger checks that the ledger has the finished run, which the last csu has released, and a copy of its
// complete journal.
func (s *succession) checkLedger(t *testing.T) {
	t.Helper()
	l, _ := readLedger(t, s.store)
	if l.Holder != nil || l.Epoch != s.lives || len(l.Finished) != 1 || l.Finished[0].Run != s.run || l.Finished[0].Outcome != ledger.Complete {
		t.Errorf("the ledger has %+v at epoch %d and the finished runs %+v, want run %s complete at epoch %d", l.Holder, l.Epoch, l.Finished, s.run, s.lives)
	}
	lines, head, err := journal.Unpack(l.Copy)
	if err != nil || head != l.Head.Head {
		t.Fatalf("the copy of the journal ends at %+v, %v, want %+v", head, err, l.Head.Head)
	}
	state, err := state.Of(s.plan, l.Head.Digest, lines)
	if err != nil {
		t.Fatal(err)
	}
	if state.Ended != journal.Complete {
		t.Errorf("by the copy of its journal the run is %q, want it complete", state.Ended)
	}
	own, err := os.ReadFile(s.journal())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(own, lines) {
		t.Errorf("the copy of the journal is not the beginning of the last csu's")
	}
}

// held is a server in front of Slack that can hold a message.
type held struct {
	*httptest.Server

	mu   sync.Mutex
	wait func() // called for the next message; may be nil
}

func newHeld(t *testing.T, to string) *held {
	t.Helper()
	h := &held{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender is gone
		}
		var wait func()
		if strings.HasSuffix(r.URL.Path, "/chat.postMessage") {
			h.mu.Lock()
			wait, h.wait = h.wait, nil
			h.mu.Unlock()
		}
		if wait != nil {
			wait()
		}
		// A held message arrives even if its sender is gone.
		sent, err := http.NewRequest(r.Method, to+r.URL.Path, bytes.NewReader(text))
		if err != nil {
			t.Error(err)
			return
		}
		sent.Header = r.Header.Clone()
		answer, err := http.DefaultClient.Do(sent)
		if err != nil {
			t.Errorf("forward a message: %v", err)
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // the sender may be gone
	}))
	t.Cleanup(h.Close)
	return h
}

// hold holds the next message until it is released.
func (h *held) hold(t *testing.T) (begun <-chan struct{}, release func()) {
	t.Helper()
	begin, released := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wait = func() { close(begin); <-released }
	return begin, release
}
