package efd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// answer is what InfluxDB 1.x sends. A statement without results has no series.
// An error may accompany status 200, for the whole answer or for one statement.
type answer struct {
	Results []struct {
		StatementID int      `json:"statement_id"`
		Series      []series `json:"series"`
		Partial     bool     `json:"partial"`
		Error       string   `json:"error"`
	} `json:"results"`
	Error string `json:"error"`
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
}

// notExecuted is InfluxDB's error for each statement after one that failed.
const notExecuted = "not executed"

// decode returns the rows of each statement.
func decode(body []byte, statements []string) ([][]row, error) {
	var a answer
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return nil, &FormatError{Reason: "the answer is not InfluxDB's JSON: is this the address of its query API?"}
	}
	if a.Error != "" {
		return nil, &QueryError{Message: a.Error}
	}
	rows := make([][]row, len(statements))
	seen := 0
	for _, r := range a.Results {
		if r.StatementID < 0 || r.StatementID >= len(statements) {
			return nil, &FormatError{Reason: fmt.Sprintf("an answer to statement %d of %d", r.StatementID+1, len(statements))}
		}
		if r.Error != "" {
			return nil, &QueryError{Statement: statements[r.StatementID], Message: r.Error, cutShort: r.Error == notExecuted}
		}
		seen++
		for _, s := range r.Series {
			if r.Partial || s.Partial {
				return nil, &FormatError{Measurement: s.Name, Reason: "the server truncated its answer"}
			}
			got, err := s.rows()
			if err != nil {
				return nil, err
			}
			rows[r.StatementID] = append(rows[r.StatementID], got...)
		}
	}
	if seen != len(statements) {
		return nil, &FormatError{Reason: fmt.Sprintf("%d answers to %d statements", seen, len(statements))}
	}
	return rows, nil
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
	return a.Error
}

func (r row) missing(field, want string) error {
	if v, ok := r.fields[field]; ok {
		return &FormatError{Measurement: r.measurement, Reason: fmt.Sprintf("field %q is %v, not %s", field, v, want)}
	}
	return &FormatError{Measurement: r.measurement, Reason: fmt.Sprintf("field %q is missing", field)}
}

// time returns the timestamp of the point, in UTC.
func (r row) time() (time.Time, error) {
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
