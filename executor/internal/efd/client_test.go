package efd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/clock"
)

// hasty returns a clock on which the pauses between attempts are short.
func hasty() *clock.Clock {
	now := time.Now()
	return clock.Fast(now, now, 1000)
}

func TestOnlyTheReaderMayRead(t *testing.T) {
	db := ground.StartInfluxDB(t, true)
	db.Write(t, "lsst.sal.MTMount.logevent_summaryState salIndex=0i,summaryState=2i")
	client := func(database, username, password string) *Client {
		return New(db.URL, database, username, password, nil, clock.Real(), testLag)
	}
	sights, err := client(db.Database, db.Username, db.Password).Look(t.Context(), []CSC{{"MTMount", 0}})
	if err != nil || sights[0].State != "ENABLED" {
		t.Errorf("Look as the reader = %v, %v, want ENABLED", sights, err)
	}
	for name, c := range map[string]*Client{
		"wrong password": client(db.Database, db.Username, "hunter2"),
		"no user":        client(db.Database, "", ""),
		"other database": client("_internal", db.Username, db.Password),
	} {
		err := look(c, "MTMount:0")
		var auth *AuthError
		if !errors.As(err, &auth) {
			t.Errorf("%s: %v, want an AuthError", name, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), db.Password) {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestErrorsInsideAnAnswerOf200(t *testing.T) {
	db := ground.StartInfluxDB(t, false)
	var query *QueryError
	// Look sends two statements. InfluxDB answers both with "not executed", and
	// gives the reason only for a statement sent alone.
	err := look(New(db.URL, "nosuch", "", "", nil, clock.Real(), testLag), "MTMount:0")
	if !errors.As(err, &query) || query.Message != "database not found: nosuch" {
		t.Errorf("no such database: %v, want a QueryError that says so", err)
	}
	c := New(db.URL, db.Database, "", "", nil, clock.Real(), testLag)
	asks := func(field string) selection {
		return selection{component: "X", topic: "t", fields: []string{field}, since: time.Now()}
	}
	for field, want := range map[string]string{
		"shout(a)": "undefined function shout()",
		"":         "error parsing query",
	} {
		for _, statements := range [][]selection{{asks(field)}, {asks("a"), asks(field), asks("a")}} {
			_, _, err := c.ask(t.Context(), statements...)
			if query = nil; !errors.As(err, &query) || !strings.Contains(query.Message, want) {
				t.Errorf("%q: %v, want a QueryError with %q", statements, err, want)
			}
		}
	}
}

func TestTransientFailuresAreRetried(t *testing.T) {
	db := ground.StartInfluxDB(t, false)
	for name, fail := range map[string]func() (*http.Response, error){
		"503": func() (*http.Response, error) {
			return &http.Response{StatusCode: 503, Status: "503 Service Unavailable", Body: io.NopCloser(strings.NewReader("<html>"))}, nil
		},
		"reset": func() (*http.Response, error) {
			return nil, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
		},
		"cut off": func() (*http.Response, error) {
			return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"results":[`), broken{}))}, nil
		},
	} {
		calls := 0
		flaky := transport(func(r *http.Request) (*http.Response, error) {
			if calls++; calls < attempts {
				return fail()
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		c := New(db.URL, db.Database, "", "", &http.Client{Transport: flaky}, hasty(), testLag)
		if err := look(c, "MTMount:0"); err != nil {
			t.Errorf("%s: %v, want the answer of the third attempt", name, err)
		}
		calls = -100
		err := look(c, "MTMount:0")
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) || calls != -100+attempts {
			t.Errorf("%s forever: %v after %d calls, want an UnreachableError after %d", name, err, calls+100, attempts)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAnOutageIsAnUnreachableError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"error":"engine: shard is disabled"}`, http.StatusServiceUnavailable)
	}))
	defer server.Close()
	var unreachable *UnreachableError
	err := look(New(server.URL, "efd", "", "", nil, hasty(), testLag), "MTMount:0")
	if !errors.As(err, &unreachable) || unreachable.Status != 503 || unreachable.Message != "engine: shard is disabled" {
		t.Errorf("503: %v, want an UnreachableError with its status and text", err)
	}
	server.Close()
	err = look(New(server.URL, "efd", "", "", nil, hasty(), testLag), "MTMount:0")
	var op *net.OpError
	if unreachable = nil; !errors.As(err, &unreachable) || unreachable.Status != 0 || !errors.As(err, &op) {
		t.Errorf("no server: %v, want an UnreachableError with the network's error", err)
	}
}

func TestAnotherServerIsNotMistakenForTheEFD(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"login page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>log in</html>") },
		"redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"not found":  http.NotFound,
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"ok"}`) },
		"too few results": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"results":[{"statement_id":0}]}`)
		},
		"too many results": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"results":[{"statement_id":7}]}`)
		},
		"cut off by server": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"results":[{"statement_id":0,"series":[{"name":"x","columns":["time"],"values":[[1]],"partial":true}]},{"statement_id":1}]}`)
		},
		"short row": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"results":[{"statement_id":0,"series":[{"name":"x","columns":["time","a"],"values":[[1]]}]},{"statement_id":1}]}`)
		},
		"text for a number": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"results":[{"statement_id":0,"series":[{"name":"x","columns":["time","summaryState"],"values":[[1,"2"]]}]},{"statement_id":1}]}`)
		},
	} {
		server := httptest.NewServer(handler)
		err := look(New(server.URL, "efd", "", "", nil, hasty(), testLag), "MTMount:0")
		var format *FormatError
		if !errors.As(err, &format) {
			t.Errorf("%s: %v, want a FormatError", name, err)
		}
		server.Close()
	}
}

func TestACancelledReadIsNotRetried(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	c := New("http://efd.invalid", "efd", "", "", &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		calls++
		cancel()
		return nil, r.Context().Err()
	})}, hasty(), testLag)
	_, err := c.Look(ctx, []CSC{{"MTMount", 0}})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("Look = %v after %d calls, want context.Canceled after one", err, calls)
	}
}
