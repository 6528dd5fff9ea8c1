package efd

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	path     = "set_summary_state.py"
	identity = "7f3a9c/offline/watcher/1"
)

func (s *site) find(queue int, identity string) (ScriptEvent, bool) {
	s.Helper()
	e, found, err := s.client.FindScript(s.Context(), queue, identity, s.now.Add(-10*time.Minute))
	if err != nil {
		s.Fatal(err)
	}
	return e, found
}

func TestFindScriptJoinsTheCommandWithItsScript(t *testing.T) {
	s := newSite(t)
	s.add(1, 4711, path, "Watcher to OFFLINE ("+identity+")", 3*time.Minute)
	s.script(1, 100004, 4711, path, "", ProcessLoading, ScriptUnconfigured, 179*time.Second)
	s.script(1, 100004, 4711, path, "", ProcessRunning, ScriptRunning, 100*time.Second)
	// None of these is the script to find.
	s.add(1, 4712, path, "Watcher to OFFLINE (7f3a9c/offline/watcher/12)", 90*time.Second)
	s.script(1, 100005, 4712, path, "", ProcessDone, ScriptDone, 80*time.Second)
	s.script(2, 200004, 4711, path, "", ProcessDone, ScriptDone, 70*time.Second)
	s.script(1, 100006, 4711, "maintel/track.py", "", ProcessDone, ScriptDone, 60*time.Second)
	s.script(1, 100000, 4711, path, "", ProcessDone, ScriptFailed, 9*time.Minute)
	s.heartbeat("ScriptQueue:2", 4*time.Second)

	got, found := s.find(1, identity)
	want := ScriptEvent{
		Index: 100004, Path: path, Standard: true, ProcessState: ProcessRunning, ScriptState: ScriptRunning, CmdID: 4711,
		At: s.now.Add(-100 * time.Second), ProcessStart: s.now.Add(-100 * time.Second),
		CommandedAt: s.now.Add(-3 * time.Minute), EFDTime: s.now.Add(-4 * time.Second),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(near)); !found || diff != "" {
		t.Errorf("found %v (-want +got):\n%s", found, diff)
	}
}

func TestFindScriptDistinguishesNotYetFromNotAtAll(t *testing.T) {
	s := newSite(t)
	if e, found := s.find(1, identity); found || !e.EFDTime.IsZero() || !e.CommandedAt.IsZero() {
		t.Errorf("empty database: %+v, %v, want nothing", e, found)
	}
	s.heartbeat("ScriptQueue:1", 3*time.Second)
	if e, found := s.find(1, identity); found || !near(e.EFDTime, s.now.Add(-3*time.Second)) {
		t.Errorf("no command: %+v, %v, want the time of the heartbeat", e, found)
	}
	s.script(1, 100777, 99, path, "", ProcessDone, ScriptDone, 5*time.Minute) // by another sender's command with that number
	s.add(1, 99, path, identity, 2*time.Second)
	if e, found := s.find(1, identity); found || !near(e.CommandedAt, s.now.Add(-2*time.Second)) {
		t.Errorf("a command without a script: %+v, %v, want the time of the command", e, found)
	}
	s.script(1, 100000, 99, path, "", ProcessLoading, ScriptUnknown, time.Second)
	if e, found := s.find(1, identity); !found || e.Index != 100000 {
		t.Errorf("then its script: %+v, %v, want 100000", e, found)
	}
}

func TestFindScriptReturnsTheFirstWithAnExecutionId(t *testing.T) {
	s := newSite(t)
	// This database has no commands. The second script is another sender's,
	// which got the executionId that the commander had kept.
	s.script(1, 100001, 50, path, identity, ProcessLoading, ScriptUnconfigured, 5*time.Minute)
	s.script(1, 100001, 50, path, identity, ProcessDone, ScriptFailed, 4*time.Minute)
	s.script(1, 100002, 51, path, identity, ProcessDone, ScriptDone, 3*time.Minute)
	if e, found := s.find(1, identity); !found || e.Index != 100001 || e.Outcome() != "FAILED" || e.ExecutionID != identity {
		t.Errorf("found %v %+v, want script 100001 ended", found, e)
	}
}

func TestFindScriptPrefersTheCommandToTheExecutionId(t *testing.T) {
	s := newSite(t)
	s.add(1, 77, path, identity, 2*time.Minute) // refused, so it has no script
	s.script(1, 100002, 78, path, identity, ProcessDone, ScriptDone, time.Minute)
	if e, found := s.find(1, identity); found {
		t.Errorf("found script %d of another command", e.Index)
	}
}

func TestFindScriptQuotesTheIdentity(t *testing.T) {
	s := newSite(t)
	for i, identity := range []string{`it's`, `back\slash`, `back\'both`, "two\nlines", `"; DROP MEASUREMENT x; --`} {
		s.script(1, 100+i, i+1, path, identity, ProcessDone, ScriptDone, time.Duration(i+1)*time.Second)
		if e, found := s.find(1, identity); !found || e.Index != 100+i {
			t.Errorf("executionId %q: found %v %+v, want script %d", identity, found, e, 100+i)
		}
		if e, found := s.find(1, identity+"x"); found {
			t.Errorf("executionId %q: found script %d", identity+"x", e.Index)
		}
	}
	if _, _, err := s.client.FindScript(t.Context(), 1, " ", s.now); err == nil {
		t.Error("FindScript accepted an empty identity")
	}
}

func TestFindScriptIgnoresScriptsOlderThanSince(t *testing.T) {
	s := newSite(t)
	s.add(1, 5, path, identity, time.Hour)
	s.script(1, 100000, 5, path, identity, ProcessDone, ScriptDone, 59*time.Minute)
	if e, found := s.find(1, identity); found {
		t.Errorf("found %+v, which is older", e)
	}
}

func TestScriptReadsTheNewestEventOfAnIndex(t *testing.T) {
	s := newSite(t)
	s.script(1, 100000, 1, "old.py", "", ProcessDone, ScriptDone, 24*time.Hour) // the queue has been restarted since
	s.script(1, 100000, 2, path, "", ProcessRunning, ScriptRunning, 60*time.Second)
	s.script(1, 100001, 3, path, "", ProcessConfigured, ScriptConfigured, 50*time.Second)
	since := s.now.Add(-time.Hour)
	e, found, err := s.client.Script(t.Context(), 1, 100000, since)
	if err != nil || !found || e.Path != path || e.Ended() {
		t.Errorf("script 100000 = %+v, %v, %v, want the running one", e, found, err)
	}
	s.script(1, 100000, 2, path, "", ProcessDone, ScriptDone, 40*time.Second)
	e, found, err = s.client.Script(t.Context(), 1, 100000, since)
	if err != nil || !found || !e.Succeeded() {
		t.Errorf("script 100000 = %+v, %v, %v, want it done", e, found, err)
	}
	if e, found, err := s.client.Script(t.Context(), 2, 100000, time.Time{}); err != nil || found {
		t.Errorf("script 100000 of another queue = %+v, %v, %v, want none", e, found, err)
	}
}

func TestScriptNamesAMissingField(t *testing.T) {
	s := newSite(t)
	s.point("ScriptQueue", "logevent_script", time.Second, `salIndex=1i,scriptSalIndex=7i,cmdId=1i,path="x.py",isStandard=true,scriptState=8i`)
	_, found, err := s.client.Script(t.Context(), 1, 7, s.now.Add(-time.Minute))
	var format *FormatError
	if found || !errors.As(err, &format) || !strings.Contains(err.Error(), `"processState"`) {
		t.Errorf("Script = %v, %v, want a FormatError that names processState", found, err)
	}
}

func TestOutcome(t *testing.T) {
	for _, test := range []struct {
		process   ProcessState
		script    ScriptState
		outcome   string
		succeeded bool
	}{
		{ProcessUnknown, ScriptUnknown, "", false},
		{ProcessLoading, ScriptUnconfigured, "", false},
		{ProcessConfigured, ScriptConfigured, "", false},
		{ProcessRunning, ScriptDone, "", false}, // the process has not ended
		{ProcessDone, ScriptDone, "DONE", true},
		{ProcessDone, ScriptFailed, "FAILED", false},
		{ProcessDone, ScriptStopped, "STOPPED", false},
		{ProcessDone, ScriptRunning, "FAILED", false}, // killed
		{ProcessDone, ScriptUnknown, "FAILED", false},
		{ProcessDone, ScriptConfigureFailed, "CONFIGURE_FAILED", false},
		{ProcessLoadFailed, ScriptUnknown, "LOADFAILED", false},
		{ProcessConfigureFailed, ScriptConfigureFailed, "CONFIGURE_FAILED", false},
		{ProcessTerminated, ScriptDone, "TERMINATED", false},
	} {
		e := ScriptEvent{ProcessState: test.process, ScriptState: test.script}
		if e.Outcome() != test.outcome || e.Succeeded() != test.succeeded || e.Ended() != (test.outcome != "") {
			t.Errorf("process %v, script %v: %q, ended %v, succeeded %v, want %q, succeeded %v", test.process, test.script, e.Outcome(), e.Ended(), e.Succeeded(), test.outcome, test.succeeded)
		}
	}
}
