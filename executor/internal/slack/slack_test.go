package slack

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

const (
	token       = "xoxb-secret-token"
	webhookPath = "/services/T000/B000/secretpath"
)

// workspace answers like Slack and records what was posted.
type workspace struct {
	*httptest.Server

	mu     sync.Mutex
	posted []string // what it accepted, even if the answer was lost
	calls  int
	answer func(call int) http.HandlerFunc // to a post; nil accepts it
}

func newWorkspace(t *testing.T) *workspace {
	w := &workspace{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/chat.postMessage", func(rw http.ResponseWriter, r *http.Request) {
		w.post(rw, r, r.FormValue("token")+" "+r.FormValue("channel")+": "+r.FormValue("text"), `{"ok":true,"channel":"C024BE91L","ts":"1503435956.000247"}`)
	})
	mux.HandleFunc("POST /api/auth.test", func(rw http.ResponseWriter, r *http.Request) {
		if r.FormValue("token") != token {
			says(200, `{"ok":false,"error":"invalid_auth"}`)(rw, r)
			return
		}
		says(200, `{"ok":true,"team":"Rubin","user":"csu","bot_id":"B1"}`)(rw, r)
	})
	mux.HandleFunc("POST "+webhookPath, func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.post(rw, r, string(body), "ok")
	})
	w.Server = httptest.NewServer(mux)
	t.Cleanup(w.Close)
	return w
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// later is Slack's rate-limit answer; an empty after omits how long to wait.
func later(after string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		says(http.StatusTooManyRequests, `{"ok":false,"error":"ratelimited"}`)(w, r)
	}
}

func (w *workspace) post(rw http.ResponseWriter, r *http.Request, text, ok string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.answer != nil {
		if h := w.answer(w.calls); h != nil {
			h(rw, r)
			return
		}
	}
	w.posted = append(w.posted, text)
	says(http.StatusOK, ok)(rw, r)
}

// seen returns how many posts arrived, and those that were accepted.
func (w *workspace) seen() (calls int, posted string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls, strings.Join(w.posted, "\n")
}

// clients returns one client of each kind.
func (w *workspace) clients(t *testing.T) map[string]*Client {
	t.Helper()
	own := func() *http.Client { return &http.Client{Transport: &http.Transport{}} }
	withToken, err := New(token, w.URL+webhookPath, w.URL+"/api", own(), clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	withWebhook, err := New("", w.URL+webhookPath, "", own(), clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Client{"token": withToken, "webhook": withWebhook}
}

func TestPost(t *testing.T) {
	w := newWorkspace(t)
	clients := w.clients(t)
	const text = `*Upgrade* to c0045 begins, "summit" & all <https://ls.st/x|here>`
	if err := clients["token"].Post(t.Context(), "#summit-announce", text, time.Minute); err != nil {
		t.Errorf("by token: %v", err)
	}
	if _, posted := w.seen(); posted != token+" #summit-announce: "+text {
		t.Errorf("by token: posted %q", posted)
	}
	if err := clients["webhook"].Post(t.Context(), "#summit-announce", "Upgrade to c0045 begins", time.Minute); err != nil {
		t.Errorf("by webhook: %v", err)
	}
	if _, posted := w.seen(); !strings.Contains(posted, `"text":"Upgrade to c0045 begins"`) {
		t.Errorf("by webhook: posted %q", posted)
	}
}

func TestNoCredential(t *testing.T) {
	c, err := New("", "", "", nil, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "#summit-announce", "x", time.Minute); !errors.Is(err, ErrNoCredential) {
		t.Errorf("Post = %v, want ErrNoCredential", err)
	}
	if err := c.Check(t.Context()); !errors.Is(err, ErrNoCredential) {
		t.Errorf("Check = %v, want ErrNoCredential", err)
	}
}

func TestNewRefusesInvalidURLs(t *testing.T) {
	const secret = "hooks.slack.com/services/T0/B0/secret"
	if _, err := New("", secret, "", nil, clock.Real()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("webhook without a scheme: %v, want an error that does not show it", err)
	}
	if _, err := New(token, "", "slack.com/api", nil, clock.Real()); err == nil {
		t.Error("New accepted an address without a scheme")
	}
}

func TestCheck(t *testing.T) {
	w := newWorkspace(t)
	for name, c := range w.clients(t) {
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := New("xoxb-revoked", "", w.URL+"/api/", nil, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	var refused *RefusedError
	if err := c.Check(t.Context()); !errors.As(err, &refused) || refused.Reason != "invalid_auth" {
		t.Errorf("revoked token: %v, want a RefusedError with invalid_auth", err)
	}
	if calls, _ := w.seen(); calls != 0 {
		t.Errorf("Check posted %d messages", calls)
	}
}

func TestRefusedIsDistinguishedFromLost(t *testing.T) {
	const page = "<html>hush</html>"
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, test := range []struct {
		kind, name string
		answer     http.HandlerFunc
		refused    bool
		says       string
	}{
		{"token", "no such channel", says(200, `{"ok":false,"error":"channel_not_found"}`), true, "channel_not_found"},
		{"token", "not in the channel", says(200, `{"ok":false,"error":"not_in_channel"}`), true, "not_in_channel"},
		{"token", "redirected", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, true, "302"},
		{"token", "half done", says(200, `{"ok":false,"error":"internal_error"}`), false, "internal_error"},
		{"token", "broken", says(500, page), false, "500"},
		{"token", "busy", says(503, page), false, "503"},
		{"token", "another server", says(200, page), false, "lost"},
		{"token", "empty answer", says(200, `{}`), false, "does not name a message"},
		{"token", "connection lost", abort, false, "lost"},
		{"webhook", "no such webhook", says(404, "no_service"), true, "no such webhook"},
		{"webhook", "archived", says(410, "channel_is_archived"), true, "archived"},
		{"webhook", "restricted", says(403, "action_prohibited"), true, "restricted"},
		{"webhook", "malformed", says(400, "invalid_payload"), true, "400"},
		{"webhook", "broken", says(500, "rollup_error"), false, "500"},
		{"webhook", "connection lost", abort, false, "lost"},
	} {
		w := newWorkspace(t)
		w.answer = func(int) http.HandlerFunc { return test.answer }
		err := w.clients(t)[test.kind].Post(t.Context(), "#summit-announce", "x", time.Minute)
		var refused *RefusedError
		var lost *LostError
		switch {
		case test.refused && !errors.As(err, &refused):
			t.Errorf("%s, %s: %v, want a RefusedError", test.kind, test.name, err)
		case !test.refused && !errors.As(err, &lost):
			t.Errorf("%s, %s: %v, want a LostError", test.kind, test.name, err)
		case !strings.Contains(err.Error(), test.says):
			t.Errorf("%s, %s: %v, want it to say %q", test.kind, test.name, err, test.says)
		case strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hush"):
			t.Errorf("%s, %s: the error shows a secret: %v", test.kind, test.name, err)
		}
		if calls, _ := w.seen(); calls != 1 {
			t.Errorf("%s, %s: sent %d times", test.kind, test.name, calls)
		}
	}
}

func TestARateLimitedPostIsSentAgain(t *testing.T) {
	for _, after := range []string{"1", ""} {
		for _, kind := range []string{"token", "webhook"} {
			w := newWorkspace(t)
			w.answer = func(call int) http.HandlerFunc {
				if call == 1 {
					return later(after)
				}
				return nil
			}
			began := time.Now()
			err := w.clients(t)[kind].Post(t.Context(), "#summit-announce", "x", time.Minute)
			if calls, posted := w.seen(); err != nil || calls != 2 || posted == "" {
				t.Errorf("%s, Retry-After %q: %v after %d calls, want it posted by the second", kind, after, err, calls)
			}
			if took := time.Since(began); took < time.Second {
				t.Errorf("%s, Retry-After %q: sent again after %v, want a wait of one second", kind, after, took)
			}
		}
	}
}

func TestWaitingForTheRateLimitIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		after string
		stop  bool // after the answer has been read; earlier the message would be lost
	}{
		"asks for too much": {"61", false},
		"stopped":           {"30", true},
	} {
		w := newWorkspace(t)
		w.answer = func(int) http.HandlerFunc { return later(test.after) }
		ctx, stop := context.WithCancel(t.Context())
		c := w.clients(t)["token"]
		if test.stop {
			c.hc.Transport = &afterwards{c.hc.Transport, stop}
		}
		err := c.Post(ctx, "#summit-announce", "x", time.Minute)
		stop()
		var refused *RefusedError
		if calls, _ := w.seen(); !errors.As(err, &refused) || calls != 1 {
			t.Errorf("%s: %v after %d calls, want a RefusedError after one", name, err, calls)
		}
		if test.stop && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want a RefusedError for context.Canceled", name, err)
		}
	}
}

// afterwards calls done when the caller has finished with the answer to a
// request.
type afterwards struct {
	http.RoundTripper
	done func()
}

func (a *afterwards) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &watchedBody{resp.Body, a.done}
	}
	return resp, err
}

type watchedBody struct {
	io.ReadCloser
	closed func()
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	b.closed()
	return err
}

func TestAMessageThatWasNeverSentIsNotInDoubt(t *testing.T) {
	w := newWorkspace(t)
	clients := w.clients(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, c := range clients {
		var refused *RefusedError
		if err := c.Post(cancelled, "#summit-announce", "x", time.Minute); !errors.As(err, &refused) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled before: %v, want a RefusedError for context.Canceled", kind, err)
		}
	}
	w.Close()
	for kind, c := range clients {
		var refused *RefusedError
		if err := c.Post(t.Context(), "#summit-announce", "x", time.Minute); !errors.As(err, &refused) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s, no server: %v, want a RefusedError without a secret", kind, err)
		}
	}
	impostor := httptest.NewUnstartedServer(says(200, `{"ok":true,"ts":"1"}`))
	impostor.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs our refusal
	impostor.StartTLS()
	defer impostor.Close()
	c, err := New(token, "", impostor.URL+"/api/", nil, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	var refused *RefusedError
	if err := c.Post(t.Context(), "#summit-announce", "x", time.Minute); !errors.As(err, &refused) {
		t.Errorf("unknown certificate: %v, want a RefusedError", err)
	}
}
