package rehearsal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// query is a SELECT statement of InfluxQL, with the parts that an EFD client needs:
// fields of a measurement, a condition, an order and a limit.
type query struct {
	fields      []string // empty for all fields
	measurement string
	where       condition // nil for none
	descending  bool
	limit       int    // 0 for none
	problem     string // why it cannot be executed although its syntax is valid
}

// condition is a WHERE clause, or a part of it.
type condition interface {
	holds(p point) bool
	// bounds narrows the span of time in which the condition can hold.
	bounds(from, to time.Time) (time.Time, time.Time)
	// salIndex returns the SAL index that the condition requires, if it does.
	salIndex() (int, bool)
}

type both struct{ a, b condition }

func (c both) holds(p point) bool { return c.a.holds(p) && c.b.holds(p) }
func (c both) bounds(from, to time.Time) (time.Time, time.Time) {
	return c.b.bounds(c.a.bounds(from, to))
}
func (c both) salIndex() (int, bool) {
	if n, ok := c.a.salIndex(); ok {
		return n, true
	}
	return c.b.salIndex()
}

type either struct{ a, b condition }

func (c either) holds(p point) bool                               { return c.a.holds(p) || c.b.holds(p) }
func (c either) bounds(from, to time.Time) (time.Time, time.Time) { return from, to }
func (c either) salIndex() (int, bool)                            { return 0, false }

// timeIs compares a point's time.
type timeIs struct {
	op string
	at time.Time
}

func (c timeIs) holds(p point) bool { return ordered(c.op, p.at.Compare(c.at)) }
func (c timeIs) bounds(from, to time.Time) (time.Time, time.Time) {
	if strings.HasPrefix(c.op, ">") || c.op == "=" {
		from = later(from, c.at)
	}
	if strings.HasPrefix(c.op, "<") && c.op != "<>" || c.op == "=" {
		to = earlier(to, c.at)
	}
	return from, to
}
func (timeIs) salIndex() (int, bool) { return 0, false }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// fieldIs compares a field with a number, a string or a boolean. It does not hold if
// the field is missing or has another type.
type fieldIs struct {
	field, op string
	value     any // float64, string or bool
}

func (c fieldIs) holds(p point) bool {
	switch want := c.value.(type) {
	case float64:
		have, ok := number(p.fields[c.field])
		return ok && ordered(c.op, compare(have, want))
	case string:
		have, ok := p.fields[c.field].(string)
		return ok && ordered(c.op, strings.Compare(have, want))
	case bool:
		have, ok := p.fields[c.field].(bool)
		return ok && (have == want) == (c.op == "=")
	}
	return false
}
func (c fieldIs) bounds(from, to time.Time) (time.Time, time.Time) { return from, to }
func (c fieldIs) salIndex() (int, bool) {
	n, ok := c.value.(float64)
	return int(n), ok && c.field == "salIndex" && c.op == "="
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func ordered(op string, sign int) bool {
	switch op {
	case "=":
		return sign == 0
	case "!=", "<>":
		return sign != 0
	case "<":
		return sign < 0
	case "<=":
		return sign <= 0
	case ">":
		return sign > 0
	default:
		return sign >= 0
	}
}

// token is a token of InfluxQL. Its kind is 'i' for an identifier (quoted or not),
// 's' for a string, 'n' for a number with its unit, 'o' for an operator or a
// bracket, and 0 for the end.
type token struct {
	kind byte
	text string
	at   int
	bare bool // an identifier without quotes, which may be a keyword
}

type queryParser struct {
	text    string
	now     time.Time
	tokens  []token
	problem string // of the current statement
}

// parseQuery parses the statements of a query.
func parseQuery(text string, now time.Time) ([]query, error) {
	p := &queryParser{text: text, now: now}
	if err := p.scan(); err != nil {
		return nil, err
	}
	var statements []query
	for {
		for p.take(";") {
		}
		if p.tokens[0].kind == 0 {
			return statements, nil
		}
		p.problem = ""
		s, err := p.query()
		if err != nil {
			return nil, err
		}
		s.problem = p.problem
		statements = append(statements, s)
		if t := p.tokens[0]; t.kind != 0 && t.text != ";" {
			return nil, p.unexpected(";, EOF")
		}
	}
}

func (p *queryParser) scan() error {
	text := p.text
	for i := 0; i < len(text); {
		c := text[i]
		start := i
		switch {
		case unicode.IsSpace(rune(c)):
			i++
			continue
		case c == '\'' || c == '"':
			var b strings.Builder
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && i+1 < len(text) {
					i++
					if text[i] == 'n' {
						b.WriteByte('\n')
						continue
					}
				}
				b.WriteByte(text[i])
			}
			if i == len(text) {
				return fmt.Errorf("error parsing query: found %s, expected identifier at line 1, char %d", text[start:], start+1)
			}
			i++
			kind := byte('s')
			if c == '"' {
				kind = 'i'
			}
			p.tokens = append(p.tokens, token{kind: kind, text: b.String(), at: start})
		case c >= '0' && c <= '9':
			for i < len(text) && (text[i] == '.' || isWord(text[i])) {
				i++
			}
			p.tokens = append(p.tokens, token{kind: 'n', text: text[start:i], at: start})
		case isWord(c):
			for i < len(text) && isWord(text[i]) {
				i++
			}
			p.tokens = append(p.tokens, token{kind: 'i', text: text[start:i], at: start, bare: true})
		default:
			i++
			if i < len(text) && (c == '<' || c == '>' || c == '!') && (text[i] == '=' || c == '<' && text[i] == '>') {
				i++
			}
			p.tokens = append(p.tokens, token{kind: 'o', text: text[start:i], at: start})
		}
	}
	p.tokens = append(p.tokens, token{text: "EOF", at: len(text)})
	return nil
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *queryParser) unexpected(want string) error {
	t := p.tokens[0]
	return fmt.Errorf("error parsing query: found %s, expected %s at line 1, char %d", t.text, want, t.at+1)
}

// take consumes an operator or a keyword if it comes next.
func (p *queryParser) take(word string) bool {
	t := p.tokens[0]
	if t.kind == 'o' && t.text == word || t.bare && strings.EqualFold(t.text, word) {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *queryParser) next(kind byte, want string) (string, error) {
	t := p.tokens[0]
	if t.kind != kind {
		return "", p.unexpected(want)
	}
	p.tokens = p.tokens[1:]
	return t.text, nil
}

func (p *queryParser) query() (s query, err error) {
	if !p.take("SELECT") {
		return s, p.unexpected("SELECT")
	}
	if !p.take("*") {
		if s.fields, err = p.list(); err != nil {
			return s, err
		}
	}
	if !p.take("FROM") {
		return s, p.unexpected("FROM")
	}
	if s.measurement, err = p.name(); err != nil {
		return s, err
	}
	if p.take("WHERE") {
		if s.where, err = p.any(); err != nil {
			return s, err
		}
	}
	if p.take("ORDER") {
		if !p.take("BY") || !p.take("time") {
			return s, p.unexpected("BY time")
		}
		s.descending = p.take("DESC")
		if !s.descending {
			p.take("ASC")
		}
	}
	if p.take("LIMIT") {
		n, err := p.next('n', "integer")
		if err != nil {
			return s, err
		}
		if s.limit, err = strconv.Atoi(n); err != nil {
			return s, fmt.Errorf("error parsing query: %q is not an integer", n)
		}
	}
	return s, nil
}

func (p *queryParser) list() ([]string, error) {
	var names []string
	for {
		name, err := p.next('i', "identifier")
		if err != nil {
			return nil, err
		}
		if names = append(names, name); !p.take(",") {
			return names, nil
		}
	}
}

// name parses a measurement's name, which the database and the retention policy may
// precede.
func (p *queryParser) name() (string, error) {
	name, err := p.next('i', "identifier")
	for err == nil && p.take(".") {
		name, err = p.next('i', "identifier")
	}
	return name, err
}

func (p *queryParser) any() (condition, error) {
	c, err := p.every()
	for err == nil && p.take("OR") {
		var d condition
		d, err = p.every()
		c = either{c, d}
	}
	return c, err
}

func (p *queryParser) every() (condition, error) {
	c, err := p.comparison()
	for err == nil && p.take("AND") {
		var d condition
		d, err = p.comparison()
		c = both{c, d}
	}
	return c, err
}

func (p *queryParser) comparison() (condition, error) {
	if p.take("(") {
		c, err := p.any()
		if err == nil && !p.take(")") {
			err = p.unexpected(")")
		}
		return c, err
	}
	isTime := p.tokens[0].bare && strings.EqualFold(p.tokens[0].text, "time")
	field, err := p.next('i', "identifier")
	if err != nil {
		return nil, err
	}
	op, err := p.next('o', "operator")
	if err != nil {
		return nil, err
	}
	switch op {
	case "=", "!=", "<>", "<", "<=", ">", ">=":
	default:
		return nil, fmt.Errorf("error parsing query: operator %s is not supported here", op)
	}
	if isTime {
		at, err := p.instant()
		return timeIs{op, at}, err
	}
	value, err := p.value()
	return fieldIs{field, op, value}, err
}

func (p *queryParser) value() (any, error) {
	sign := 1.0
	if p.take("-") {
		sign = -1
	}
	t := p.tokens[0]
	p.tokens = p.tokens[min(1, len(p.tokens)-1):]
	switch {
	case t.kind == 's':
		return t.text, nil
	case t.bare && strings.EqualFold(t.text, "true"):
		return true, nil
	case t.bare && strings.EqualFold(t.text, "false"):
		return false, nil
	case t.kind == 'n':
		if n, err := strconv.ParseFloat(t.text, 64); err == nil {
			return sign * n, nil
		}
	}
	return nil, fmt.Errorf("error parsing query: found %s, expected value at line 1, char %d", t.text, t.at+1)
}

// instant parses a time: a string, a number in nanoseconds or with a unit, or now()
// plus or minus a duration.
func (p *queryParser) instant() (time.Time, error) {
	t := p.tokens[0]
	switch {
	case t.kind == 's':
		p.tokens = p.tokens[1:]
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", time.DateOnly} {
			if at, err := time.Parse(layout, t.text); err == nil {
				return at, nil
			}
		}
		p.problem = "invalid operation: time and *influxql.StringLiteral are not compatible"
		return time.Time{}, nil
	case t.kind == 'n':
		p.tokens = p.tokens[1:]
		d, err := span64(t.text)
		return time.Unix(0, d).UTC(), err
	case p.take("now"):
		if !p.take("(") || !p.take(")") {
			return time.Time{}, p.unexpected("()")
		}
		sign := int64(0)
		if p.take("-") {
			sign = -1
		} else if p.take("+") {
			sign = 1
		}
		if sign == 0 {
			return p.now, nil
		}
		text, err := p.next('n', "duration")
		if err != nil {
			return time.Time{}, err
		}
		d, err := span64(text)
		return p.now.Add(time.Duration(sign * d)), err
	}
	return time.Time{}, p.unexpected("time")
}

var influxUnits = map[string]time.Duration{
	"": 1, "ns": 1, "u": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute,
	"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// span64 parses a number with a unit and returns it in nanoseconds.
func span64(text string) (int64, error) {
	digits := strings.TrimRightFunc(text, unicode.IsLetter)
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := influxUnits[text[len(digits):]]
	if err != nil || !ok {
		return 0, fmt.Errorf("error parsing query: invalid duration %q", text)
	}
	return n * int64(unit), nil
}
