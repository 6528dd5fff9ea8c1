package rehearsal

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	efdapi "github.com/lsst-ts/csu/executor/internal/efd"
	loveapi "github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/plan"
)

// addScript adds a script under an identity and returns its last event from the EFD.
func addScript(t *testing.T, s *Site, queue int, path, config, identity string) efdapi.ScriptEvent {
	t.Helper()
	began := s.clk.Now()
	index, err := s.loveClient().AddScript(t.Context(), loveapi.Add{Queue: queue, Path: path, Standard: true, Config: config, Descr: "test " + identity, ExecutionID: identity})
	if err != nil {
		t.Fatal(err)
	}
	var found efdapi.ScriptEvent
	ended := until(2*time.Millisecond, func() bool {
		e, ok, err := s.efdClient().FindScript(t.Context(), queue, identity, began)
		if err != nil {
			t.Fatal(err)
		}
		found = e
		return ok && e.Ended()
	})
	if !ended {
		t.Fatalf("script %d %s has not ended\n%s", index, path, s.tail(15))
	}
	if found.Index != index {
		t.Errorf("the script found by its identity is %d, LOVE returned %d", found.Index, index)
	}
	return found
}

func TestSetSummaryState(t *testing.T) {
	for _, test := range []struct {
		name, config, want string
		changes            []string
	}{
		{"down and up", "data:\n- [MTMount:0, OFFLINE]\n- [ESS:105, STANDBY]\nmute_alarms: false\n", "DONE",
			[]string{"MTMount:0 STANDBY -> OFFLINE", "ESS:105 ENABLED -> DISABLED", "ESS:105 DISABLED -> STANDBY"}},
		{"all indices", "data: [['ESS:*', DISABLED]]\nmute_alarms: false\n", "DONE", []string{"ESS:105 ENABLED -> DISABLED", "ESS:106 ENABLED -> DISABLED"}},
		{"no index", "data: [[MTMount, ENABLED]]\n", "DONE", []string{"MTMount:0 STANDBY -> DISABLED", "MTMount:0 DISABLED -> ENABLED"}},
		{"stops at a silent CSC", "data: [[ESS:107, ENABLED], [MTMount, ENABLED]]\n", "FAILED", nil},
		{"an entry that is one string", "data: [ESS:109 ENABLED]\n", "CONFIGURE_FAILED", nil},
		{"an entry of one element", "data: [[ESS:105]]\n", "CONFIGURE_FAILED", nil},
		{"FAULT is no target", "data: [[ESS:105, FAULT]]\n", "CONFIGURE_FAILED", nil},
		{"unknown component", "data: [[Nothing, OFFLINE]]\n", "CONFIGURE_FAILED", nil},
		{"unknown field", "data: [[ESS:105, OFFLINE]]\nmuteAlarms: false\n", "CONFIGURE_FAILED", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, smallPlan())
			e := addScript(t, s, 1, setStatePath, test.config, "run/step/1")
			if e.Outcome() != test.want {
				t.Errorf("the script ended %s, want %s\n%s", e.Outcome(), test.want, s.tail(10))
			}
			if got := s.seen(StateChanged); !slices.Equal(got, test.changes) {
				t.Errorf("state changes %q, want %q", got, test.changes)
			}
		})
	}
}

func TestMutingNeedsTheWatcher(t *testing.T) {
	s := start(t, smallPlan())
	if e := addScript(t, s, 1, setStatePath, "data: [[Watcher, OFFLINE]]\nmute_alarms: false\n", "a/b/1"); e.Outcome() != "DONE" {
		t.Fatalf("the Watcher's script ended %s", e.Outcome())
	}
	if e := addScript(t, s, 1, setStatePath, "data: [[MTMount, OFFLINE]]\n", "a/b/2"); e.Outcome() != "FAILED" {
		t.Errorf("with the Watcher down and alarms to mute, the script ended %s, want FAILED", e.Outcome())
	}
}

func TestFailedScriptPausesItsQueue(t *testing.T) {
	s := start(t, smallPlan(), "csc-stuck=MTMount:0")
	addScript(t, s, 1, setStatePath, "data: [[MTMount, OFFLINE]]\nmute_alarms: false\n", "a/b/1")
	client := s.loveClient()
	if _, err := client.AddScript(t.Context(), loveapi.Add{Queue: 1, Path: "auxtel/track_target.py", Standard: true, Descr: "next"}); err != nil {
		t.Fatal(err)
	}
	queue := s.queues[1]
	s.eventually(t, "the second script is configured", func() bool { return len(queue.waiting) == 1 && queue.waiting[0].process == processConfigured })
	time.Sleep(20 * time.Millisecond) // more than a minute of the site's time
	s.mu.Lock()
	current, waiting := queue.current, len(queue.waiting)
	s.mu.Unlock()
	if current == nil || current.path != setStatePath || waiting != 1 {
		t.Errorf("the paused queue has %v as its current script and %d waiting", current, waiting)
	}
	if err := client.Resume(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "the second script ends", func() bool { return len(queue.past) == 2 })
	want := []string{"ScriptQueue:1 " + setStatePath + " FAILED", "ScriptQueue:1 auxtel/track_target.py DONE"}
	if got := s.seen(ScriptEnded); !slices.Equal(got, want) {
		t.Errorf("outcomes %q, want %q", got, want)
	}
}

func TestPausedQueueRunsNothing(t *testing.T) {
	s := start(t, smallPlan(), "queue-paused")
	state, err := s.efdClient().Queue(t.Context(), 2)
	if err != nil || !state.Known || !state.Enabled || state.Running {
		t.Errorf("Queue = %+v, %v; want it known, enabled and paused", state, err)
	}
}

func TestUnknownScriptIsNotLoaded(t *testing.T) {
	s := start(t, smallPlan())
	if e := addScript(t, s, 2, "auxtel/enable_lattis.py", "", "a/b/1"); e.Outcome() != "LOADFAILED" {
		t.Errorf("the script ended %s", e.Outcome())
	}
}

// The ScriptQueue that runs the script is the last in the script's list and goes down
// with it.
func TestQueueThatTakesItselfDown(t *testing.T) {
	s := start(t, smallPlan())
	client := s.loveClient()
	config := "data:\n- [ScriptQueue:3, OFFLINE]\n- [ScriptQueue:2, OFFLINE]\n- [ScriptQueue:1, OFFLINE]\nmute_alarms: false\n"
	if _, err := client.AddScript(t.Context(), loveapi.Add{Queue: 1, Path: setStatePath, Standard: true, Config: config, Descr: "last"}); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "ScriptQueue:1 is silent", func() bool { return !s.csc("ScriptQueue:1").lives() })
	// Each process ends one to three seconds later, in any order.
	var down []string
	for _, e := range s.seen(StateChanged) {
		if strings.HasSuffix(e, "-> OFFLINE") {
			down = append(down, strings.Fields(e)[0])
		}
	}
	if want := []string{"ScriptQueue:3", "ScriptQueue:2", "ScriptQueue:1"}; !slices.Equal(down, want) {
		t.Errorf("queues went OFFLINE in the order %q, want %q", down, want)
	}
	s.eventually(t, "all three are silent", func() bool { return len(s.seen(CSCDown)) == 3 })
	if got := s.seen(ScriptEnded); !slices.Equal(got, []string{"ScriptQueue:1 " + setStatePath + " TERMINATED"}) {
		t.Errorf("outcomes %q, want only the TERMINATED one of ScriptQueue:1", got)
	}
	var silent *loveapi.NoAckError
	if err := client.Resume(t.Context(), 1); !errors.As(err, &silent) {
		t.Errorf("Resume of a silent queue = %v, want a NoAckError", err)
	}
	if !until(2*time.Millisecond, func() bool { return look(t, s, "ScriptQueue:1").State == plan.Offline }) {
		t.Error("the EFD does not have the queue's OFFLINE")
	}
}

func TestSystemWideShutdown(t *testing.T) {
	s := start(t, smallPlan())
	s.mu.Lock()
	for _, c := range s.cscs {
		c.reportsOffline = c.component != "MTVMS"
	}
	s.mu.Unlock()
	config := "user: a\nreason: b\nstart_with: [Watcher]\nend_with: [MTMount]\nignore: [ESS, 'MTVMS:1']\n"
	e := addScript(t, s, 1, shutdownPath, config, "a/b/1")
	if e.Outcome() != "FAILED" {
		t.Errorf("the script ended %s, want FAILED, since MTVMS:1 never reports OFFLINE", e.Outcome())
	}
	var order []string
	for _, c := range s.seen(StateChanged) {
		if strings.HasSuffix(c, "-> OFFLINE") {
			order = append(order, strings.Fields(c)[0])
		}
	}
	if want := []string{"Watcher:0", "MTVMS:1", "MTMount:0"}; !slices.Equal(order, want) {
		t.Errorf("CSCs went OFFLINE in the order %q, want %q", order, want)
	}
	s.eventually(t, "MTVMS:1 is silent", func() bool { return !s.csc("MTVMS:1").lives() })
	if !s.csc("ESS:105").lives() || !s.csc("ESS:106").lives() || !s.csc("ScriptQueue:2").lives() || !s.csc("MTCamera:0").lives() {
		t.Error("a CSC that is ignored, left out or a bridge is down")
	}
	if got := look(t, s, "MTVMS:1"); got.State != "STANDBY" {
		t.Errorf("MTVMS:1 last reported %s, want STANDBY", got.State)
	}
	bad := addScript(t, s, 2, shutdownPath, "user: a\n", "a/b/2")
	if bad.Outcome() != "CONFIGURE_FAILED" {
		t.Errorf("without a reason the script ended %s, want CONFIGURE_FAILED", bad.Outcome())
	}
}

func TestLostAcknowledgement(t *testing.T) {
	s := start(t, smallPlan(), "love-ack-lost=add")
	_, err := s.loveClient().AddScript(t.Context(), loveapi.Add{Queue: 1, Path: "auxtel/track_target.py", Standard: true, Descr: "a/b/1"})
	var silent *loveapi.NoAckError
	if !errors.As(err, &silent) {
		t.Fatalf("AddScript = %v, want a NoAckError", err)
	}
	if got := s.seen(ScriptAdded); len(got) != 1 {
		t.Errorf("scripts added: %q, want one", got)
	}
}

func TestCommandsBetweenStates(t *testing.T) {
	for _, test := range []struct {
		from, to state
		want     string
	}{
		{enabled, offline, "disable standby exitControl"},
		{offline, enabled, "enterControl start enable"},
		{fault, disabled, "standby start"},
		{standby, standby, ""},
	} {
		if got := strings.Join(commandsTo(test.from, test.to), " "); got != test.want {
			t.Errorf("%s to %s: %q, want %q", test.from, test.to, got, test.want)
		}
	}
}

func TestScriptThatFailsHalfway(t *testing.T) {
	s := start(t, smallPlan(), "script-fails=auxtel/track_target.py")
	if e := addScript(t, s, 3, "auxtel/track_target.py", "", "a/b/1"); e.Outcome() != "FAILED" {
		t.Errorf("the script ended %s", e.Outcome())
	}
	if got := s.seen(QueuePaused); len(got) != 1 {
		t.Errorf("queues paused %q, want one", got)
	}
}
