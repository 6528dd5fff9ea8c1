package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// A node is a JSON value with its line. encoding/json reports only the first unknown
// field, without its line, and silently accepts a duplicate field. So a plan is first
// parsed into a tree, which is compared with the Go types.
type node struct {
	line   int
	value  any // string, json.Number, bool, nil, or one of:
	fields []field
	elems  []*node
	object bool
	array  bool
}

type field struct {
	name string
	line int
	node *node
}

func (n *node) field(name string) *node {
	for _, f := range n.fields {
		if f.name == name {
			return f.node
		}
	}
	return nil
}

// maxDepth bounds the recursion on hostile input; plans are not deeper than 8.
const maxDepth = 32

// parse reads one JSON value.
func parse(data []byte) (*node, error) {
	p := &parser{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	p.dec.UseNumber()
	n, err := p.next(0)
	if err != nil {
		return nil, err
	}
	if p.dec.More() {
		return nil, fmt.Errorf("line %d: there is more after the end of the plan", p.place())
	}
	return n, nil
}

type parser struct {
	dec  *json.Decoder
	data []byte
	line int // of offset pos
	pos  int64
}

// place returns the line of the token that was read last.
func (p *parser) place() int {
	at := p.dec.InputOffset()
	p.line += bytes.Count(p.data[p.pos:at], []byte("\n"))
	p.pos = at
	return p.line
}

func (p *parser) next(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: values are nested more than %d deep", p.place(), maxDepth)
	}
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: p.place()}
	switch tok {
	case json.Delim('{'):
		n.object = true
		for p.dec.More() {
			name, err := p.dec.Token()
			if err != nil {
				return nil, err
			}
			line := p.place()
			v, err := p.next(depth + 1)
			if err != nil {
				return nil, err
			}
			n.fields = append(n.fields, field{name.(string), line, v})
		}
		_, err = p.dec.Token()
	case json.Delim('['):
		n.array = true
		for p.dec.More() {
			v, err := p.next(depth + 1)
			if err != nil {
				return nil, err
			}
			n.elems = append(n.elems, v)
		}
		_, err = p.dec.Token()
	default:
		n.value = tok
	}
	return n, err
}

// A checker compares a tree with Go types and collects what does not match.
type checker struct {
	problems []Problem
}

func (c *checker) add(line int, subject, format string, args ...any) {
	c.problems = append(c.problems, Problem{line, subject, fmt.Sprintf(format, args...)})
}

var (
	actionType   = reflect.TypeFor[Action]()
	durationType = reflect.TypeFor[Duration]()
)

func (c *checker) value(n *node, t reflect.Type, subject string) {
	switch {
	case t == actionType:
		c.action(n, subject)
	case t == durationType:
		s, ok := n.value.(string)
		if !ok {
			c.add(n.line, subject, "a duration is a string such as \"5m\"")
			return
		}
		quoted, _ := json.Marshal(s)
		if err := new(Duration).UnmarshalJSON(quoted); err != nil {
			c.add(n.line, subject, "%v", err)
		}
	case t.Kind() == reflect.Struct:
		if c.is(n, n.object, "an object", subject) {
			c.object(n, t, subject)
		}
	case t.Kind() == reflect.Slice:
		if c.is(n, n.array, "an array", subject) {
			for _, e := range n.elems {
				c.value(e, t.Elem(), subject)
			}
		}
	case t.Kind() == reflect.Pointer:
		c.value(n, t.Elem(), subject)
	case t.Kind() == reflect.String:
		_, ok := n.value.(string)
		c.is(n, ok, "a string", subject)
	case t.Kind() == reflect.Bool:
		_, ok := n.value.(bool)
		c.is(n, ok, "true or false", subject)
	case t.Kind() == reflect.Int:
		num, ok := n.value.(json.Number)
		if ok {
			_, err := num.Int64()
			ok = err == nil
		}
		c.is(n, ok, "a whole number", subject)
	}
}

func (c *checker) is(n *node, ok bool, want, subject string) bool {
	if !ok {
		c.add(n.line, subject, "%s stands where %s belongs", n.describe(), want)
	}
	return ok
}

// describe says what a node is without repeating long input.
func (n *node) describe() string {
	switch v := n.value.(type) {
	case string:
		if len(v) > 40 {
			v = strings.ToValidUTF8(v[:40], "") + "…"
		}
		return fmt.Sprintf("the string %q", v)
	case json.Number:
		if len(v) > 40 {
			return "a number"
		}
		return "the number " + v.String()
	case bool:
		return fmt.Sprint(v)
	}
	switch {
	case n.object:
		return "an object"
	case n.array:
		return "an array"
	}
	return "null"
}

// object checks the fields of an object: none unknown, none twice, none
// missing that is always written.
func (c *checker) object(n *node, t reflect.Type, subject string) {
	subject = c.subject(n, t, subject)
	known := map[string]reflect.Type{}
	var names []string
	collect(t, known, &names)
	c.fields(n, known, names, subject)
	for _, name := range required(t) {
		if n.field(name) == nil {
			c.add(n.line, subject, "the field %q is missing", name)
		}
	}
}

// subject returns the name of the stage, step, CSC or host that an object describes.
func (c *checker) subject(n *node, t reflect.Type, outer string) string {
	for _, s := range []struct {
		t           reflect.Type
		word, field string
	}{
		{reflect.TypeFor[Stage](), "stage", "id"},
		{reflect.TypeFor[Step](), "step", "id"},
		{reflect.TypeFor[CSC](), "csc", "csc"},
		{reflect.TypeFor[Host](), "host", "name"},
	} {
		if t != s.t {
			continue
		}
		if f := n.field(s.field); f != nil {
			if id, ok := f.value.(string); ok {
				return fmt.Sprintf("%s %q", s.word, id)
			}
		}
		return s.word
	}
	return outer
}

func (c *checker) fields(n *node, known map[string]reflect.Type, names []string, subject string) {
	seen := map[string]bool{}
	for _, f := range n.fields {
		t, ok := known[f.name]
		switch {
		case !ok:
			c.add(f.line, subject, "unknown field %q%s", f.name, DidYouMean(f.name, names))
		case seen[f.name]:
			c.add(f.line, subject, "duplicate field %q", f.name)
		case t != nil:
			c.value(f.node, t, subject)
		}
		seen[f.name] = true
	}
}

func (c *checker) action(n *node, subject string) {
	if !c.is(n, n.object, "an action, which is an object,", subject) {
		return
	}
	kind := n.field("kind")
	if kind == nil {
		c.add(n.line, subject, "the action has no field \"kind\"")
		return
	}
	name, ok := kind.value.(string)
	if !c.is(kind, ok, "the name of a kind", subject) {
		return
	}
	doer := parametersOf(Kind(name))
	if doer == nil {
		var kinds []string
		for _, k := range Kinds {
			kinds = append(kinds, string(k))
		}
		meant := DidYouMean(name, kinds)
		if meant == "" {
			meant = fmt.Sprintf("; the kinds of %s are %s. If another csu has compiled this plan, run it with that one, or compile it again with this one", Format, strings.Join(kinds, ", "))
		}
		c.add(kind.line, subject, "unknown kind %q%s", name, meant)
		return
	}
	known := map[string]reflect.Type{"kind": nil}
	names := []string{"kind"}
	t := reflect.TypeOf(doer).Elem()
	collect(t, known, &names)
	subject = fmt.Sprintf("%s: action %q", subject, name)
	c.fields(n, known, names, subject)
	for _, name := range required(t) {
		if n.field(name) == nil {
			c.add(n.line, subject, "the field %q is missing", name)
		}
	}
}

func collect(t reflect.Type, known map[string]reflect.Type, names *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known[name] = f.Type
		*names = append(*names, name)
	}
}

// required returns the fields that are always written.
func required(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if name, opts, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); !strings.Contains(opts, "omitempty") {
			out = append(out, name)
		}
	}
	return out
}

// DidYouMean returns a hint that names the one of names which is nearest to the
// misspelled name, or nothing where none is near.
func DidYouMean(name string, names []string) string {
	best, distance := "", 1+max(1, len(name)/3)
	for _, n := range names {
		if d := edits(name, n); d < distance {
			best, distance = n, d
		}
	}
	if best == "" || len(name) > 64 {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// edits is the Levenshtein distance of two short words.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, prev+1, row[j]+1)
		}
	}
	return row[len(b)]
}
