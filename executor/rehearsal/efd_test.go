package rehearsal

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	efdapi "github.com/lsst-ts/csu/executor/internal/efd"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// influx serves the points with which the answers below were recorded.
func influx(t *testing.T) string {
	t.Helper()
	epoch := time.Unix(1000003600, 0).UTC()
	s := &Site{plan: smallPlan(), clk: clock.Fast(epoch, time.Now(), 1), Map: sitemap.Map{Epoch: epoch}, credentials: credentials{efdUser: "a", efdPassword: "b"}}
	s.efd = newEFD(s)
	state := func(nano int64, index, state int) {
		s.efd.add("lsst.sal.X.logevent_summaryState", time.Unix(0, nano), fields{"salIndex": index, "summaryState": state})
	}
	state(1000000000000000000, 1, 5)
	state(1000000001000000000, 2, 2)
	state(1000000002123456789, 1, 4)
	s.efd.add("lsst.sal.Q.logevent_script", time.Unix(1000000003, 0), fields{"path": "a b.py", "isStandard": true, "t": 1.5, "salIndex": 1})
	server := httptest.NewServer(s.efdHandler())
	t.Cleanup(server.Close)
	return server.URL
}

// The answers were recorded from InfluxDB 1.6.7 with the same points.
func TestAnswersAreThoseOfInfluxDB(t *testing.T) {
	base := influx(t)
	const states = `"lsst.sal.X.logevent_summaryState"`
	for _, test := range []struct {
		q, db, epoch string
		status       int
		want         string
	}{
		{`SELECT summaryState FROM ` + states + ` WHERE salIndex = 1 AND time >= '2001-09-09T01:46:40.000000000Z' ORDER BY time DESC LIMIT 1`, "efd", "ms", 200,
			`{"results":[{"statement_id":0,"series":[{"name":"lsst.sal.X.logevent_summaryState","columns":["time","summaryState"],"values":[[1000000002123,4]]}]}]}`},
		{`SELECT * FROM ` + states + " WHERE salIndex = 1;\n" + `SELECT summaryState FROM "lsst.sal.Nothing.x";SELECT salIndex, summaryState FROM ` + states + ` WHERE time > 1000000001s`, "efd", "ns", 200,
			`{"results":[{"statement_id":0,"series":[{"name":"lsst.sal.X.logevent_summaryState","columns":["time","salIndex","summaryState"],"values":[[1000000000000000000,1,5],[1000000002123456789,1,4]]}]},{"statement_id":1},{"statement_id":2,"series":[{"name":"lsst.sal.X.logevent_summaryState","columns":["time","salIndex","summaryState"],"values":[[1000000002123456789,1,4]]}]}]}`},
		{`SELECT summaryState FROM ` + states + ` WHERE summaryState != 5`, "efd", "", 200,
			`{"results":[{"statement_id":0,"series":[{"name":"lsst.sal.X.logevent_summaryState","columns":["time","summaryState"],"values":[["2001-09-09T01:46:41Z",2],["2001-09-09T01:46:42.123456789Z",4]]}]}]}`},
		{`SELECT nothing FROM ` + states, "efd", "", 200, `{"results":[{"statement_id":0}]}`},
		{`SELECT nothing, salIndex FROM ` + states + ` LIMIT 1`, "efd", "", 200,
			`{"results":[{"statement_id":0,"series":[{"name":"lsst.sal.X.logevent_summaryState","columns":["time","nothing","salIndex"],"values":[["2001-09-09T01:46:40Z",null,1]]}]}]}`},
		{`SELECT path, isStandard, t FROM "lsst.sal.Q.logevent_script" WHERE path = 'a b.py' AND (salIndex = 1 OR salIndex = 2)`, "efd", "s", 200,
			`{"results":[{"statement_id":0,"series":[{"name":"lsst.sal.Q.logevent_script","columns":["time","path","isStandard","t"],"values":[[1000000003,"a b.py",true,1.5]]}]}]}`},
		{`SELECT path FROM "lsst.sal.Q.logevent_script" WHERE path = 1`, "efd", "s", 200, `{"results":[{"statement_id":0}]}`},
		{`SELECT * FROM ` + states, "other", "", 200, `{"results":[{"statement_id":0,"error":"database not found: other"}]}`},
		{`SELECT * FROM ` + states + `; SELECT * FROM ` + states, "other", "", 200, `{"results":[{"statement_id":0,"error":"not executed"}]}`},
		{`SELECT * FROM ` + states + ` WHERE time >= 'now'`, "efd", "", 200,
			`{"results":[{"statement_id":0,"error":"invalid operation: time and *influxql.StringLiteral are not compatible"}]}`},
		{`SELECT * FROM ` + states, "", "", 200, `{"results":[{"statement_id":0,"error":"database name required"}]}`},
		{`SELECT x`, "efd", "", 400, `{"error":"error parsing query: found EOF, expected FROM at line 1, char 9"}`},
		{``, "efd", "", 400, `{"error":"missing required parameter \"q\""}`},
	} {
		status, got := askInflux(t, base, "a", "b", url.Values{"q": {test.q}}, url.Values{"db": {test.db}, "epoch": {test.epoch}})
		if status != test.status || got != test.want {
			t.Errorf("%s\n gave %d %s\nwant %d %s", test.q, status, got, test.status, test.want)
		}
	}
	if status, got := askInflux(t, base, "a", "c", url.Values{"q": {"x"}}, nil); status != 401 || got != `{"error":"authorization failed"}` {
		t.Errorf("with a wrong password: %d %s", status, got)
	}
	if status, got := askInflux(t, base, "", "", url.Values{"q": {"x"}}, nil); status != 401 || got != `{"error":"unable to parse authentication credentials"}` {
		t.Errorf("without a user: %d %s", status, got)
	}
}

func askInflux(t *testing.T, base, user, password string, form, values url.Values) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/influxdb/query?"+values.Encode(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func TestInvalidQueriesAreRefused(t *testing.T) {
	for _, text := range []string{
		"SELEC x", "SELECT", "SELECT x FROM", "SELECT x FROM y WHERE", "SELECT x FROM y WHERE a = 'b", `SELECT "x FROM y`, "SELECT x FROM y WHERE a ~ 1", "SELECT x FROM y WHERE (a = 1",
		"SELECT x FROM y WHERE time > 5q", "SELECT x FROM y WHERE time > now(", "SELECT x FROM y LIMIT a", "SELECT x FROM y LIMIT 99999999999999999999", "SELECT x FROM y ORDER BY a", "SELECT x FROM a, b",
		"SELECT last(x) FROM y", "DROP DATABASE efd", "SELECT x FROM y WHERE a =", "SELECT x FROM y WHERE a = -", "\x00",
	} {
		if q, err := parseQuery(text, time.Time{}); err == nil {
			t.Errorf("parseQuery(%q) = %+v, want an error", text, q)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(`SELECT a, b FROM "m" WHERE salIndex = 1 AND time >= now() - 5m ORDER BY time DESC LIMIT 1; SELECT * FROM m`)
	f.Add(`SELECT x FROM a.b."c" WHERE (t = 'x\'y' OR u != true) AND time < '2026-11-24 12:00:00'`)
	f.Fuzz(func(t *testing.T, text string) {
		statements, err := parseQuery(text, time.Unix(0, 0))
		for _, q := range statements {
			if err == nil && q.measurement == "" && !strings.Contains(text, `""`) {
				t.Errorf("%q: a statement without a measurement", text)
			}
		}
	})
}

func TestHeartbeatsMatchLifetimes(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	c := &csc{alive: []span{{at(100), at(103)}, {from: at(200)}}}
	for _, test := range []struct {
		from, to   int
		descending bool
		want       []int
	}{
		{0, 99, false, nil},
		{0, 150, false, []int{100, 101, 102, 103}},
		{102, 201, false, []int{102, 103, 200, 201}},
		{102, 201, true, []int{201, 200, 103, 102}},
		{104, 199, true, nil},
	} {
		var got []int
		for beat := range c.heartbeats(at(test.from), at(test.to), test.descending) {
			got = append(got, int(beat.Unix()))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("from %d to %d: %v, want %v", test.from, test.to, got, test.want)
		}
	}
}

// The EFD does not have new data at once, but has them before the lag is over.
func TestIngestionLags(t *testing.T) {
	s := &Site{plan: smallPlan()}
	e := newEFD(s)
	for second := range 20 {
		now := time.Unix(int64(1000+second), 0)
		if h := e.horizon(now); h.After(now.Add(-e.lag/2)) || h.Before(now.Add(-e.lag)) {
			t.Errorf("at %v the data have arrived up to %v", now, h)
		}
	}
}

func TestAliveFindsEveryIndex(t *testing.T) {
	s := start(t, smallPlan())
	got, err := s.efdClient().Alive(t.Context(), []string{"ESS", "MTMount", "Test"})
	if want := []efdapi.CSC{{Component: "ESS", Index: 105}, {Component: "ESS", Index: 106}, {Component: "MTMount"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Alive = %v, %v; want %v", got, err, want)
	}
}

func BenchmarkStatements(b *testing.B) {
	s, err := Start(b.Context(), Config{Plan: smallPlan(), Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	cscs := []efdapi.CSC{{Component: "MTMount"}, {Component: "ESS", Index: 105}, {Component: "ScriptQueue", Index: 1}}
	client := s.efdClient()
	for b.Loop() {
		if _, err := client.Look(b.Context(), cscs); err != nil {
			b.Fatal(err)
		}
	}
}
