package love

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddScriptGivesEveryParameter(t *testing.T) {
	m := newManager(t)
	m.answer = says(http.StatusOK, `{"ack":"100004"}`)
	index, err := m.client().AddScript(t.Context(), Add{
		Queue: 2, Path: "set_summary_state.py", Standard: true, Config: "data:\n  - [ATDome, OFFLINE]\n",
		Descr: "ATDome to OFFLINE (7f3a/offline/atdome/1)", ExecutionID: "7f3a/offline/atdome/1", LogLevel: 10, StopCheckpoint: ".*",
	})
	if err != nil || index != 100004 {
		t.Fatalf("AddScript = %d, %v, want 100004", index, err)
	}
	// LOVE would replace an omitted parameter by another sender's.
	want := []sent{{CSC: "ScriptQueue", SALIndex: 2, Cmd: "cmd_add", Params: map[string]any{
		"path": "set_summary_state.py", "isStandard": true, "config": "data:\n  - [ATDome, OFFLINE]\n",
		"descr": "ATDome to OFFLINE (7f3a/offline/atdome/1)", "executionId": "7f3a/offline/atdome/1",
		"location": 2.0, "locationSalIndex": 0.0, "logLevel": 10.0, "pauseCheckpoint": "", "stopCheckpoint": ".*",
		"block": "", "blockSize": 0.0, "startBlock": false,
	}}}
	_, _, got := m.seen()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestAddScriptReadsTheIndexIfThereIsOne(t *testing.T) {
	for ack, want := range map[string]int{`"200017"`: 200017, `" 200017\n"`: 200017, `200017`: 200017, `"Done"`: 0, `""`: 0, `"-1"`: 0, `"script 5"`: 0} {
		m := newManager(t)
		m.answer = says(http.StatusOK, `{"ack":`+ack+`}`)
		if index, err := m.client().AddScript(t.Context(), Add{Queue: 1, Path: "x.py"}); err != nil || index != want {
			t.Errorf("ack %s: AddScript = %d, %v, want %d", ack, index, err, want)
		}
	}
}

func TestAddScriptRefusesInvalidScripts(t *testing.T) {
	m := newManager(t)
	for _, a := range []Add{{Path: "x.py"}, {Queue: -1, Path: "x.py"}, {Queue: 1}, {Queue: 1, Path: "x.py", Location: 3}} {
		if _, err := m.client().AddScript(t.Context(), a); err == nil {
			t.Errorf("AddScript(%+v) = nil, want an error", a)
		}
	}
	if _, requests, _ := m.seen(); requests != 0 {
		t.Errorf("%d requests, want none", requests)
	}
}

func TestResume(t *testing.T) {
	m := newManager(t)
	if err := m.client().Resume(t.Context(), 2); err != nil {
		t.Error(err)
	}
	want := []sent{{CSC: "ScriptQueue", SALIndex: 2, Cmd: "cmd_resume", Params: map[string]any{}}}
	_, _, got := m.seen()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// page is an error page of Django, nginx or another server, which may contain
// anything.
const page = "<html><title>Server Error</title>SECRET_KEY=hush</html>"

func TestRefusedIsDistinguishedFromInDoubt(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  http.HandlerFunc
		refused bool
		says    string
	}{
		{"malformed", says(400, `{"ack":"Request must have JSON data with the following keys"}`), true, "Request must have JSON data"},
		{"not permitted", says(403, `{"ack":"Your user is not allowed to command the observatory."}`), true, "not allowed"},
		{"not permitted, another form", says(403, `{"detail":"You do not have permission to perform this action."}`), true, "do not have permission"},
		{"no such address", says(404, page), true, "the address of LOVE?"},
		{"redirected", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, true, "the address of LOVE?"},
		{"failed acknowledgement", says(200, `{"ack":"Failed: add not allowed in state <State.STANDBY: 5>"}`), true, "add not allowed"},
		{"failed acknowledgement, another form", says(200, `{"ack":"Command failed: no such script"}`), true, "no such script"},

		{"no acknowledgement in time", says(504, `{"ack":"Command time out. No ack received from component."}`), false, "No ack received"},
		{"proxy's limit", says(504, page), false, "504"},
		{"unhandled refusal", says(500, page), false, "ENABLED?"},
		{"proxy lost the manager", says(502, page), false, "502"},
		{"manager busy", says(503, page), false, "503"},
		{"time out with 408", says(408, ""), false, "408"},
		{"aborted acknowledgement", says(200, `{"ack":"Aborted"}`), false, "Aborted"},
		{"timed out acknowledgement", says(200, `{"ack":"Timeout"}`), false, "Timeout"},
		{"a page instead of an answer", says(200, page), false, "LOVE's address"},
		{"no acknowledgement in the answer", says(200, `{"status":"ok"}`), false, "LOVE's address"},
		{"connection lost", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "the answer was lost"},
		{"answer cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"ack":`))
		}, false, "the answer was lost"},
	} {
		m := newManager(t)
		m.answer = test.answer
		_, err := m.client().AddScript(t.Context(), Add{Queue: 1, Path: "x.py"})
		var refused *RefusedError
		var noAck *NoAckError
		switch {
		case test.refused && !errors.As(err, &refused):
			t.Errorf("%s: %v, want a RefusedError", test.name, err)
		case !test.refused && !errors.As(err, &noAck):
			t.Errorf("%s: %v, want a NoAckError", test.name, err)
		case !strings.Contains(err.Error(), test.says):
			t.Errorf("%s: %v, want it to say %q", test.name, err, test.says)
		case strings.Contains(err.Error(), "hush"):
			t.Errorf("%s: the error contains the page: %v", test.name, err)
		}
		if _, requests, _ := m.seen(); requests != 1 {
			t.Errorf("%s: the command was sent %d times", test.name, requests)
		}
	}
}

func TestSilenceAfterSendingIsInDoubt(t *testing.T) {
	m := newManager(t)
	ctx, cancel := context.WithCancel(t.Context())
	m.answer = func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the operator quits while the command is under way
		<-r.Context().Done()
	}
	_, err := m.client().AddScript(ctx, Add{Queue: 1, Path: "x.py"})
	var noAck *NoAckError
	if !errors.As(err, &noAck) || !errors.Is(err, context.Canceled) {
		t.Errorf("AddScript = %v, want a NoAckError for context.Canceled", err)
	}
}

func TestACommandThatWasNeverSentIsNotInDoubt(t *testing.T) {
	m := newManager(t)
	c := m.client()
	if err := c.Resume(t.Context(), 1); err != nil { // gets a token and a connection
		t.Fatal(err)
	}
	m.Close()
	c.hc.CloseIdleConnections() // so that the command is not written to one of them
	var unreachable *UnreachableError
	if _, err := c.AddScript(t.Context(), Add{Queue: 1, Path: "x.py"}); !errors.As(err, &unreachable) {
		t.Errorf("the manager is gone: %v, want an UnreachableError", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.client().AddScript(ctx, Add{Queue: 1, Path: "x.py"}); !errors.As(err, &unreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v, want an UnreachableError for context.Canceled", err)
	}
}

func TestATransportWithoutATraceLeavesInDoubt(t *testing.T) {
	m := newManager(t)
	lost := errors.New("lost")
	c := New(m.URL+"/love", user, password, &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/cmd/") {
			return nil, lost
		}
		return http.DefaultTransport.RoundTrip(r)
	})})
	var noAck *NoAckError
	if err := c.Resume(t.Context(), 1); !errors.As(err, &noAck) || !errors.Is(err, lost) {
		t.Errorf("Resume = %v, want a NoAckError", err)
	}
}
