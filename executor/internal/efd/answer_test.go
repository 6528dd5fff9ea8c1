package efd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/clock"
)

// spoilt returns a client whose first answers, of status 200, are spoilt; the others
// are the database's. calls counts the requests.
func (s *site) spoilt(first int, spoil func(body string) string) (c *Client, calls *int) {
	calls = new(int)
	return New(s.db.URL, s.db.Database, "", "", &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if *calls++; err != nil || *calls > first {
			return resp, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(strings.NewReader(spoil(string(body))))
		resp.ContentLength = -1
		return resp, err
	})}, clock.Fast(s.now, time.Now(), 50), longLag), calls
}

// longLag leaves a slow machine enough time to hear heartbeats by a fast clock.
const longLag = 10 * time.Minute

// failing returns what InfluxDB answers, whatever the query, if its first statement fails.
func failing(message string) func(string) string {
	return func(string) string { return fmt.Sprintf(`{"results":[{"statement_id":0,"error":%q}]}`, message) }
}

func replace(old, with string) func(string) string {
	return func(body string) string {
		if !strings.Contains(body, old) {
			panic(fmt.Sprintf("no %q in %s", old, body))
		}
		return strings.Replace(body, old, with, 1)
	}
}

// An EFD that answers "not now", and one whose answer is not one to the question, may
// answer properly the next time. If not, nothing is known: a CSC must not be taken for
// silent. The texts are those of influxdata/influxdb at 09783cb (1.8).
func TestASpoiltAnswerIsReadAgainAndIsNeverSilence(t *testing.T) {
	s := newSite(t)
	s.state("MTMount:0", 2, time.Hour)
	s.heartbeat("MTMount:0", 5*time.Second)
	s.heartbeat("ATDome:0", 5*time.Second)
	const states, beats = `{"statement_id":0,`, `{"statement_id":1,`
	for name, test := range map[string]struct {
		spoil func(string) string
		want  string // in the error, if it lasts
	}{
		"concurrent queries": {failing("max-concurrent-queries limit exceeded(20, 20)"), "read the EFD: max-concurrent-queries limit exceeded(20, 20)"},
		"engine":             {failing("engine is closed"), "read the EFD: engine is closed"},
		"shard":              {failing("shard is disabled"), "read the EFD: shard is disabled"},
		"interrupted":        {failing("query interrupted"), "read the EFD: query interrupted"},
		"query timeout":      {failing("query-timeout limit exceeded"), "read the EFD: query-timeout limit exceeded"},
		"shutdown":           {failing("query engine shutdown"), "read the EFD: query engine shutdown"},
		"timeout":            {failing("timeout"), "read the EFD: timeout"},
		"system":             {failing("open /var/lib/influxdb: too many open files"), "too many open files"},
		"panic":              {failing(`SELECT salIndex FROM efd.autogen."lsst.sal.MTMount.logevent_heartbeat" [panic:runtime error]`), "the server failed on the query [panic:runtime error]"},
		"whole answer":       {func(string) string { return `{"error":"timeout"}` }, "read the EFD: timeout"},
		"missing":            {func(body string) string { return body[:strings.Index(body, `,`+beats)] + "]}" }, "3 answers to 4 statements"},
		"doubled":            {replace(beats, states), "answer 2 is not to statement 2"},
		"unnumbered":         {replace(beats, `{`), "answer 2 is not to statement 2"},
		"out of range":       {replace(beats, `{"statement_id":7,`), "answer 2 is not to statement 2"},
		"negative":           {replace(beats, `{"statement_id":-1,`), "answer 2 is not to statement 2"},
		"another's":          {replace("lsst.sal.MTMount.logevent_heartbeat", "lsst.sal.MTDome.logevent_heartbeat"), `"lsst.sal.MTMount.logevent_heartbeat" was asked for`},
		"old":                {replace(fmt.Sprint(s.now.Add(-time.Hour).UnixMilli()), "1000"), "earlier than was asked for"},
		"no JSON":            {func(string) string { return "<html>" }, "not InfluxDB's JSON"},
	} {
		for spoilt := attempts - 1; spoilt <= attempts; spoilt++ {
			c, calls := s.spoilt(spoilt, test.spoil)
			// Two CSCs: if the answer lacks those of one, the other would be a witness.
			sights, err := c.Look(t.Context(), []CSC{{"MTMount", 0}, {"ATDome", 0}})
			if name == "missing" { // by the first statement alone, if its answer is cut
				test.want = "1 answers to 4 statements"
			}
			switch {
			case spoilt < attempts && (err != nil || sights[0].State != "ENABLED" || !sights[0].Heard):
				t.Errorf("%s, %d times: %+v, %v, want the answer of attempt %d", name, spoilt, sights, err, attempts)
			case spoilt == attempts && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%s, %d times: %+v, %v, want an error with %q", name, spoilt, sights, err, test.want)
			case *calls != attempts:
				t.Errorf("%s, %d times: %d requests, want %d", name, spoilt, *calls, attempts)
			case err != nil && strings.Contains(err.Error(), "SELECT"):
				t.Errorf("%s: the error shows the query: %v", name, err)
			}
		}
	}
}

// What the server says of one statement stands for all; only if all have run is it an
// answer.
func TestANotExecutedStatementMayPass(t *testing.T) {
	s := newSite(t)
	c, calls := s.spoilt(1, failing(notExecuted))
	if err := look(c, "MTMount:0"); err != nil || *calls != 3 {
		t.Errorf("Look = %v after %d requests, want the answer after 3: all, the first alone, all again", err, *calls)
	}
}

// The clock of one machine is no reason to know nothing of the others.
func TestTimesInTheFutureAreUnknown(t *testing.T) {
	s := newSite(t)
	for _, csc := range []string{"MTMount:0", "ATDome:0", "ATPtg:0"} {
		s.state(csc, 2, time.Hour)
		s.heartbeat(csc, 5*time.Second)
	}
	s.state("ATDome:0", 4, -time.Hour) // its own word: OFFLINE
	s.heartbeat("ATPtg:0", -skew/2)    // within what clocks may differ
	cscs := []CSC{{"MTMount", 0}, {"ATDome", 0}, {"ATPtg", 0}}
	c, _ := s.spoilt(0, nil)
	sights, err := c.Look(t.Context(), cscs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Presence{Speaking, Unknown, Speaking} {
		if got := Judge(sights[i], sights, c.clk.Now(), longLag); got != want {
			t.Errorf("%s: %s (%+v), want %s", cscs[i], got, sights[i], want)
		}
	}
	if ahead := sights[1].Ahead; ahead < 50*time.Minute || ahead > time.Hour || sights[1].State != "" {
		t.Errorf("ATDome:0 = %+v, want nothing but how far its time is ahead", sights[1])
	}

	s.heartbeat("ATDome:0", -2*time.Hour)
	var ahead *AheadError
	if _, err := c.Fresh(t.Context(), cscs); !errors.As(err, &ahead) || ahead.Measurement != "lsst.sal.ATDome.logevent_heartbeat" || ahead.Hint() == "" {
		t.Errorf("Fresh = %v, want an AheadError that names the measurement", err)
	}
	s.point("ScriptQueue", "logevent_queue", -time.Hour, "salIndex=1i,enabled=true,running=true,currentSalIndex=0i")
	if _, err := c.Queue(t.Context(), 1); !errors.As(err, &ahead) {
		t.Errorf("Queue = %v, want an AheadError", err)
	}
}

// A real InfluxDB that runs as many queries as it may.
func TestARealOverloadPasses(t *testing.T) {
	t.Setenv("INFLUXDB_COORDINATOR_MAX_CONCURRENT_QUERIES", "1")
	db := ground.StartInfluxDB(t, false)
	// A query whose answer nobody reads occupies the only place.
	long := strings.Repeat("x", 60_000)
	lines := make([]string, 300)
	for i := range lines {
		lines[i] = fmt.Sprintf("long text=%q %d", long, i+1)
	}
	db.Write(t, lines...)
	resp, err := http.Get(db.URL + "/query?" + url.Values{"db": {db.Database}, "q": {"SELECT text FROM long"}, "chunked": {"true"}, "chunk_size": {"1"}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	var query *QueryError
	err = look(New(db.URL, db.Database, "", "", nil, hasty(), testLag), "MTMount:0")
	if !errors.As(err, &query) || query.Message != "max-concurrent-queries limit exceeded(1, 1)" {
		t.Fatalf("Look of an overloaded EFD = %v, want its own text", err)
	}
	if !strings.Contains(query.Hint(), "overloaded") {
		t.Errorf("hint %q, want it to say that the EFD is overloaded", query.Hint())
	}
	calls := 0
	c := New(db.URL, db.Database, "", "", &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if calls++; calls == attempts {
			resp.Body.Close() // the other query ends
			waitIdle(t, db)
		}
		return http.DefaultTransport.RoundTrip(r)
	})}, hasty(), testLag)
	if err := look(c, "MTMount:0"); err != nil || calls != attempts {
		t.Errorf("Look = %v after %d requests, want the answer once the other query has ended", err, calls)
	}
}

// waitIdle waits until the database takes another query.
func waitIdle(t *testing.T, db *ground.InfluxDB) {
	for deadline := time.Now().Add(ground.Limit); ; {
		resp, err := http.Get(db.URL + "/query?q=SHOW+DATABASES")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), "limit exceeded") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %s", body)
		}
	}
}
