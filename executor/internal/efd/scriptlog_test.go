package efd

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func (s *site) logs(index, level int, message, traceback string, ago time.Duration) {
	s.Helper()
	s.point("Script", "logevent_logMessage", ago, fmt.Sprintf("salIndex=%di,level=%di,message=%s,traceback=%s", index, level, quote(message), quote(traceback)))
}

func TestScriptLog(t *testing.T) {
	s := newSite(t)
	since := s.now.Add(-10 * time.Minute)
	if reason, messages, err := s.client.ScriptLog(t.Context(), 100004, since, 2); reason != "" || messages != nil || err != nil {
		t.Errorf("a script that has logged nothing: %q, %v, %v", reason, messages, err)
	}
	s.point("Script", "logevent_state", 3*time.Minute, `salIndex=100004i,state=3i,reason=""`)
	s.point("Script", "logevent_state", time.Minute, `salIndex=100004i,state=10i,reason="Error in run: no mirror"`)
	s.point("Script", "logevent_state", 30*time.Second, `salIndex=100005i,state=9i,reason="another script"`)
	s.logs(100004, 40, "an hour ago, under the same index", "", time.Hour)
	s.logs(100004, 30, "the oldest", "", 5*time.Minute)
	s.logs(100004, 20, "not a warning", "", 4*time.Minute)
	s.logs(100004, 30, "slow", "", 2*time.Minute)
	s.logs(100004, 40, "Error in run", "Traceback (most recent call last):\n  line 1\nRuntimeError: no mirror\n", time.Minute)
	s.logs(100005, 40, "another script", "", 59*time.Second)
	reason, messages, err := s.client.ScriptLog(t.Context(), 100004, since, 2)
	if err != nil || reason != "Error in run: no mirror" || len(messages) != 2 {
		t.Fatalf("ScriptLog = %q, %v, %v", reason, messages, err)
	}
	for i, want := range []string{" UTC WARNING slow", " UTC ERROR Error in run: RuntimeError: no mirror"} {
		if got := messages[i].String(); !strings.HasSuffix(got, want) {
			t.Errorf("message %d is %q, want it to end with %q", i, got, want)
		}
	}
	if got := (LogMessage{Level: 35, Message: "x"}).String(); !strings.HasSuffix(got, "level 35 x") {
		t.Errorf("a level without a name: %q", got)
	}

	// An answer of another form is not taken for a log.
	s.point("Script", "logevent_logMessage", time.Second, `salIndex=100006i,level=40i,traceback="no message"`)
	if _, _, err := s.client.ScriptLog(t.Context(), 100006, since, 2); err == nil || !strings.Contains(err.Error(), "log of script 100006") {
		t.Errorf("a message without its text: %v", err)
	}
}
