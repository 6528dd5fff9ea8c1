package efd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// answer is what InfluxDB 1.x sends: for each statement a result with its number,
// in order. A statement without results has no series. An error may accompany
// status 200, for the whole answer or for one statement.
type answer struct {
	Results []result `json:"results"`
	Error   string   `json:"error"`
}

type result struct {
	StatementID *int     `json:"statement_id"`
	Series      []series `json:"series"`
	Partial     bool     `json:"partial"`
	Error       string   `json:"error"`
}

type series struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Values  [][]any  `json:"values"`
	Partial bool     `json:"partial"`
}

// row is a point of a measurement.
type row struct {
	measurement string
	fields      map[string]any // only those that the point has
	ahead       time.Duration  // its time is in the future by so much, and cannot be believed
}

// decode returns the rows of each statement. Each statement must have exactly one
// result, and each row must be one that was asked for: a result that is missing
// would look as if the EFD had nothing, and so as if a CSC were silent. The error for a
// time that is after now by more than clocks may differ is an [*AheadError], with which
// decode returns the rows all the same.
func decode(body []byte, statements []selection, now time.Time, differ time.Duration) ([][]row, error) {
	var a answer
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return nil, &FormatError{Reason: "the answer is not InfluxDB's JSON: is this the address of its query API?"}
	}
	if a.Error != "" {
		return nil, &QueryError{Message: withoutQuery(a.Error)}
	}
	// Before anything else, since an answer with an error is not complete.
	for _, r := range a.Results {
		if r.Error != "" {
			return nil, &QueryError{Message: withoutQuery(r.Error), at: r.index(statements)}
		}
	}
	if len(a.Results) != len(statements) {
		return nil, &FormatError{Reason: fmt.Sprintf("%d answers to %d statements", len(a.Results), len(statements))}
	}
	rows := make([][]row, len(statements))
	var ahead error
	for i, r := range a.Results {
		if r.index(statements) != i {
			return nil, &FormatError{Reason: fmt.Sprintf("of %d answers, answer %d is not to statement %d", len(statements), i+1, i+1)}
		}
		for _, s := range r.Series {
			if r.Partial || s.Partial {
				return nil, &FormatError{Measurement: s.Name, Reason: "the server truncated its answer"}
			}
			got, err := s.rows()
			if err != nil {
				return nil, err
			}
			for j := range got {
				if err := got[j].answers(statements[i], now, differ); err != nil {
					return nil, err
				}
				if got[j].ahead > 0 && ahead == nil {
					_, ahead = got[j].time()
				}
			}
			rows[i] = append(rows[i], got...)
		}
	}
	return rows, ahead
}

// index returns the index of the result's statement, or -1 if it names none.
func (r *result) index(statements []selection) int {
	if r.StatementID == nil || *r.StatementID < 0 || *r.StatementID >= len(statements) {
		return -1
	}
	return *r.StatementID
}

// answers checks that the row is of the measurement and the times that were asked
// for, and notes whether its time is in the future by more than clocks may differ.
func (r *row) answers(s selection, now time.Time, differ time.Duration) error {
	if r.measurement != s.measurement() {
		return &FormatError{Measurement: r.measurement, Reason: fmt.Sprintf("%q was asked for", s.measurement())}
	}
	at, err := r.time()
	if err != nil {
		return err
	}
	// Times come in whole milliseconds.
	if at.Before(s.since.Truncate(time.Millisecond)) {
		return &FormatError{Measurement: r.measurement, Reason: fmt.Sprintf("a row of %s, earlier than was asked for", at.Format(time.DateTime))}
	}
	if by := at.Sub(now); by > differ {
		r.ahead = by
	}
	return nil
}

func (s series) rows() ([]row, error) {
	rows := make([]row, 0, len(s.Values))
	for _, values := range s.Values {
		if len(values) != len(s.Columns) {
			return nil, &FormatError{Measurement: s.Name, Reason: fmt.Sprintf("a row of %d values under %d columns", len(values), len(s.Columns))}
		}
		r := row{measurement: s.Name, fields: make(map[string]any, len(values))}
		for i, v := range values {
			if v != nil {
				r.fields[s.Columns[i]] = v
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// errorText returns the error in an answer's JSON, or nothing. An answer that
// is not InfluxDB's, such as a proxy's error page, is not worth showing.
func errorText(body []byte) string {
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return ""
	}
	return withoutQuery(a.Error)
}

func (r row) missing(field, want string) error {
	if v, ok := r.fields[field]; ok {
		return &FormatError{Measurement: r.measurement, Reason: fmt.Sprintf("field %q is %v, not %s", field, v, want)}
	}
	return &FormatError{Measurement: r.measurement, Reason: fmt.Sprintf("field %q is missing", field)}
}

// time returns the timestamp of the point, in UTC. The error for a time that cannot
// be believed is an [*AheadError].
func (r row) time() (time.Time, error) {
	if r.ahead > 0 {
		return time.Time{}, &AheadError{Measurement: r.measurement, By: r.ahead}
	}
	ms, err := r.integer("time")
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}

func (r row) integer(field string) (int, error) {
	n, ok := r.fields[field].(json.Number)
	if !ok {
		return 0, r.missing(field, "a number")
	}
	if i, err := strconv.Atoi(n.String()); err == nil {
		return i, nil
	}
	// A field that was created by a value like 4.0 is a float forever.
	f, err := n.Float64()
	if err != nil || f != float64(int(f)) {
		return 0, r.missing(field, "a whole number")
	}
	return int(f), nil
}

// optional is like integer, but a missing field counts as 0.
func (r row) optional(field string) (int, error) {
	if _, ok := r.fields[field]; !ok {
		return 0, nil
	}
	return r.integer(field)
}

func (r row) text(field string) (string, error) {
	s, ok := r.fields[field].(string)
	if !ok {
		return "", r.missing(field, "a string")
	}
	return s, nil
}

// flag reads a boolean. A connector may have written it as 0 or 1.
func (r row) flag(field string) (bool, error) {
	if b, ok := r.fields[field].(bool); ok {
		return b, nil
	}
	n, err := r.integer(field)
	if err != nil || n < 0 || n > 1 {
		return false, r.missing(field, "true or false")
	}
	return n == 1, nil
}

// taiMinusUTC has been valid since 2017; no other leap second is announced.
const taiMinusUTC = 37 * time.Second

// tai reads a timestamp that a SAL component puts into its messages: seconds of
// TAI since 1970. 0, or no field, means "not yet".
func (r row) tai(field string) (time.Time, error) {
	v, ok := r.fields[field]
	if !ok {
		return time.Time{}, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, r.missing(field, "a number of seconds")
	}
	seconds, err := n.Float64()
	if err != nil {
		return time.Time{}, r.missing(field, "a number of seconds")
	}
	if seconds == 0 {
		return time.Time{}, nil
	}
	// To the microsecond: a float64 of today's seconds is no more precise.
	return time.UnixMicro(int64(seconds * 1e6)).Add(-taiMinusUTC).UTC(), nil
}
