package efd

import (
	"fmt"
	"strings"
	"time"
)

// selection is a SELECT statement on one measurement, always with a limit in
// time.
type selection struct {
	component, topic string
	fields           []string // none means all fields of the measurement
	where            []string
	since            time.Time
	newest           bool // only the newest point
}

func (s selection) measurement() string { return "lsst.sal." + s.component + "." + s.topic }

func (s selection) String() string {
	fields := "*"
	if len(s.fields) > 0 {
		fields = strings.Join(s.fields, ", ")
	}
	where := append([]string{}, s.where...)
	where = append(where, "time >= '"+s.since.UTC().Format("2006-01-02T15:04:05.000000000Z")+"'")
	statement := fmt.Sprintf(`SELECT %s FROM "%s" WHERE %s`, fields, s.measurement(), strings.Join(where, " AND "))
	if s.newest {
		statement += " ORDER BY time DESC LIMIT 1"
	}
	return statement
}

func is(field string, n int) string { return fmt.Sprintf("%s = %d", field, n) }

func says(field, text string) string { return field + " = " + literal(text) }

// literal quotes a string for InfluxQL.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}
