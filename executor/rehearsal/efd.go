package rehearsal

import (
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
)

// fields of a point: int, float64, string or bool.
type fields map[string]any

type point struct {
	at     time.Time
	fields fields
}

// efd is the InfluxDB of the site. Events are stored as points of their
// measurements. Heartbeats come every second, so they are computed from the CSCs'
// lifetimes instead.
type efd struct {
	site       *Site
	database   string
	lag        time.Duration
	points     map[string][]point // by measurement, sorted by time
	components map[string][]*csc
	reached    time.Time // the horizon when the fault efd-lags began
	answers    int       // given since the fault efd-spoils began
	spoilt     int       // of them
}

// defaultLag is how late data arrive if the plan does not say.
const defaultLag = 10 * time.Second

func newEFD(s *Site) *efd {
	e := &efd{
		site: s, database: s.plan.Targets.EFD.Database, lag: time.Duration(s.plan.Targets.EFD.Lag),
		points: map[string][]point{}, components: map[string][]*csc{},
	}
	if e.lag <= 0 {
		e.lag = defaultLag
	}
	return e
}

func (e *efd) add(measurement string, at time.Time, f fields) {
	e.points[measurement] = append(e.points[measurement], point{at, f})
	if o := e.site.outside; o != nil {
		o.Event(measurement, at, f)
	}
}

// order sorts the events of a measurement by time. The CSCs of a component started
// at different times.
func (e *efd) order(measurement string) {
	slices.SortStableFunc(e.points[measurement], func(a, b point) int { return a.at.Compare(b.at) })
}

// lastState returns the last summary state that a CSC has published, or 0.
func (e *efd) lastState(c *csc) state {
	for _, p := range slices.Backward(e.points[measurement(c.component, "logevent_summaryState")]) {
		if p.fields["salIndex"] == c.index {
			return state(p.fields["summaryState"].(int))
		}
	}
	return 0
}

// horizon returns the time up to which data have arrived. The connector writes in
// intervals, and data take a while to reach it.
func (e *efd) horizon(now time.Time) time.Time {
	half := e.lag / 2
	if e.site.strikes(efdLags, "") {
		if late := now.Add(-efdLate); late.After(e.reached) {
			return late
		}
		return e.reached // data that have arrived stay
	}
	return now.Add(-half).Truncate(half)
}

// beat is the interval of heartbeats.
const beat = time.Second

// heartbeats yields the times of a CSC's heartbeats from one time to another.
func (c *csc) heartbeats(from, to time.Time, descending bool) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		spans := slices.Clone(c.alive)
		if descending {
			slices.Reverse(spans)
		}
		for _, life := range spans {
			end := to
			if !life.to.IsZero() {
				end = earlier(to, life.to)
			}
			last := int64(end.Sub(life.from) / beat)
			first := int64(max(0, from.Sub(life.from)+beat-1) / beat)
			if end.Before(life.from) {
				continue
			}
			for i := range last - first + 1 {
				n := first + i
				if descending {
					n = last - i
				}
				if !yield(life.from.Add(time.Duration(n) * beat)) {
					return
				}
			}
		}
	}
}

// scan yields the points of the query's measurement from one time to another.
func (e *efd) scan(s query, from, to time.Time) iter.Seq[point] {
	return func(yield func(point) bool) {
		component, beats := strings.CutSuffix(strings.TrimPrefix(s.measurement, "lsst.sal."), ".logevent_heartbeat")
		if beats {
			for _, p := range e.beats(component, s, from, to) {
				if !yield(p) {
					return
				}
			}
			return
		}
		points := e.points[s.measurement]
		first, _ := slices.BinarySearchFunc(points, from, func(p point, t time.Time) int { return p.at.Compare(t) })
		end := len(points)
		for end > first && points[end-1].at.After(to) {
			end--
		}
		points = points[first:end]
		for i := range points {
			p := points[i]
			if s.descending {
				p = points[len(points)-1-i]
			}
			if !yield(p) {
				return
			}
		}
	}
}

// beats returns the heartbeats of a component's CSCs, for each CSC at most as many as
// the query's limit.
func (e *efd) beats(component string, s query, from, to time.Time) []point {
	index, one := 0, false
	if s.where != nil {
		index, one = s.where.salIndex()
	}
	var found []point
	for _, c := range e.components[component] {
		if one && c.index != index {
			continue
		}
		n := 0
		for at := range c.heartbeats(from, to, s.descending) {
			p := point{at, fields{"salIndex": c.index, "heartbeat": true}}
			if s.where != nil && !s.where.holds(p) {
				continue
			}
			found = append(found, p)
			if n++; n == s.limit {
				break
			}
		}
	}
	slices.SortStableFunc(found, func(a, b point) int {
		if s.descending {
			return b.at.Compare(a.at)
		}
		return a.at.Compare(b.at)
	})
	return found
}

// result and series have InfluxDB's JSON form.
type result struct {
	StatementID int      `json:"statement_id"`
	Series      []series `json:"series,omitempty"`
	Error       string   `json:"error,omitempty"`
}

type series struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Values  [][]any  `json:"values"`
}

// run executes a statement on the data that have arrived up to a time.
func (e *efd) run(q query, epoch string, to time.Time) []series {
	from := e.site.Map.Epoch.Add(-history)
	if q.where != nil {
		from, to = q.where.bounds(from, to)
	}
	var points []point
	for p := range e.scan(q, from, to) {
		if q.where != nil && !q.where.holds(p) || !p.hasOne(q.fields) {
			continue
		}
		if points = append(points, p); len(points) == q.limit {
			break
		}
	}
	if len(points) == 0 {
		return nil
	}
	keys := q.fields
	if len(keys) == 0 {
		keys = fieldKeys(points)
	}
	out := series{Name: q.measurement, Columns: append([]string{"time"}, keys...)}
	for _, p := range points {
		row := []any{influxTime(p.at, epoch)}
		for _, k := range keys {
			row = append(row, p.fields[k])
		}
		out.Values = append(out.Values, row)
	}
	return []series{out}
}

// hasOne reports whether the point has one of the fields. InfluxDB leaves out points
// that have none.
func (p point) hasOne(names []string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return p.fields[n] != nil })
}

func fieldKeys(points []point) []string {
	set := map[string]bool{}
	for _, p := range points {
		for k := range p.fields {
			set[k] = true
		}
	}
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// influxTime formats a time in the requested unit.
func influxTime(at time.Time, epoch string) any {
	if unit, ok := influxUnits[epoch]; ok && epoch != "" {
		return at.UnixNano() / int64(unit)
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// efdHandler serves InfluxDB's query API.
func (s *Site) efdHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/influxdb/query", s.unlessDown(efdDown, s.serveQuery))
	mux.HandleFunc("/query", s.unlessDown(efdDown, s.serveQuery))
	mux.HandleFunc("/influxdb/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

func (s *Site) serveQuery(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	if !given {
		user, password = r.FormValue("u"), r.FormValue("p")
	}
	w.Header().Set("X-Influxdb-Version", "1.11.3")
	refuse := func(status int, text string) { writeJSON(w, status, map[string]string{"error": text}) }
	switch {
	case user == "":
		refuse(http.StatusUnauthorized, "unable to parse authentication credentials")
		return
	case user != s.efdUser || password != s.efdPassword:
		refuse(http.StatusUnauthorized, "authorization failed")
		return
	case r.FormValue("q") == "":
		refuse(http.StatusBadRequest, `missing required parameter "q"`)
		return
	}
	statements, err := parseQuery(r.FormValue("q"), s.clk.Now())
	if err != nil {
		refuse(http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	if s.strikes(efdError, "") {
		s.mu.Unlock()
		writeJSON(w, http.StatusOK, map[string]any{"results": []result{{Error: "timeout"}}})
		return
	}
	results := s.efd.results(statements, r.FormValue("db"), r.FormValue("epoch"))
	if s.strikes(efdSpoils, "") {
		results = s.efd.spoil(results)
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"results": results})
}

// spoils are the ways in which every ninth answer is spoilt, in turn. The texts are those
// of influxdata/influxdb at 09783cb (1.8), which has them with status 200.
var spoils = []func([]result) []result{
	overloaded("max-concurrent-queries limit exceeded(20, 20)"),
	func(r []result) []result { return r[:len(r)-1] }, // one is missing
	overloaded("engine is closed"),
	func(r []result) []result { // the last one is doubled, or answers no statement
		r[len(r)-1].StatementID--
		return r
	},
	overloaded("query interrupted"),
	func(r []result) []result { // the rows are of the day after
		for i := range r {
			for j := range r[i].Series {
				for _, row := range r[i].Series[j].Values {
					if ms, ok := row[0].(int64); ok {
						row[0] = ms + (24 * time.Hour).Milliseconds()
					}
				}
			}
		}
		return r
	},
	overloaded("query-timeout limit exceeded"),
}

func overloaded(text string) func([]result) []result {
	return func([]result) []result { return []result{{Error: text}} }
}

// spoil returns the results as they are, or every ninth time spoilt.
func (e *efd) spoil(results []result) []result {
	if e.answers++; e.answers%9 != 0 {
		return results
	}
	e.spoilt++
	return spoils[(e.spoilt-1)%len(spoils)](results)
}

// results executes the statements of a request, up to the first that fails. All of
// them see the same data. Otherwise, with time running a thousand times faster on a
// stalling machine, the data could change within a request by more than any client
// allows for.
func (e *efd) results(statements []query, database, epoch string) []result {
	to := e.horizon(e.site.clk.Now())
	results := make([]result, 0, len(statements))
	for i, q := range statements {
		switch {
		case database == "":
			q.problem = "database name required"
		case e.database != "" && database != e.database:
			q.problem = "database not found: " + database
		}
		if q.problem == "" {
			results = append(results, result{StatementID: i, Series: e.run(q, epoch, to)})
			continue
		}
		failed := result{StatementID: i, Error: q.problem}
		if i == len(statements)-1 {
			return append(results, failed)
		}
		// InfluxDB gives the remaining statements the number of the first, and a
		// second result with the same number replaces the first one.
		if i > 0 {
			results = append(results, failed)
		}
		return append(results, result{Error: "not executed"})
	}
	return results
}
