package load

import (
	"slices"
	"strconv"
	"time"

	"cuelang.org/go/cue"
)

// fields reads a struct of the source, field by field. A field that is absent, or
// that CUE's validation has already reported, is the zero value.
//
// Fields are looked up by name: iterating over them makes CUE sort them, which
// takes longer than everything else here.
type fields struct {
	source *source
	at     path
	value  cue.Value
	unit   path // of what is left alone as soon as CUE has refused a part of it; nil: each field for itself
}

// parts returns the fields of a struct whose mistakes do not hide the others.
func (s *source) parts(at path) fields {
	return fields{source: s, at: at, value: s.lookup(at)}
}

// whole returns the fields of a struct that is read as one: if CUE has refused a
// part of it, all of them are absent.
func (s *source) whole(at path) fields {
	return s.unit(at, at, s.lookup(at))
}

func (s *source) unit(at, unit path, v cue.Value) fields {
	if !v.Exists() || !s.valid && v.Err() != nil {
		return fields{source: s, at: at, unit: unit}
	}
	v, _ = v.Default()
	return fields{source: s, at: at, value: v, unit: unit}
}

// exists reports whether the struct exists.
func (f fields) exists() bool { return f.value.Exists() }

// in returns the fields of a struct that is part of what is read as one.
func (f fields) in(name string) fields {
	return f.source.unit(f.at.with(name), f.unit, f.lookup(name))
}

func (f fields) lookup(name string) cue.Value {
	return f.value.LookupPath(cue.MakePath(cue.Str(name)))
}

func (f fields) text(name string) string {
	text, _ := read(f, name, cue.Value.String)
	return text
}

// prose returns a text without the file's line breaks.
func (f fields) prose(name string) string { return unwrap(f.text(name)) }

func (f fields) flag(name string) bool {
	flag, _ := read(f, name, cue.Value.Bool)
	return flag
}

// number also reports whether the field is present.
func (f fields) number(name string) (int, bool) {
	n, ok := read(f, name, cue.Value.Int64)
	return int(n), ok
}

// seconds returns a duration that the source gives as a number of seconds.
func (f fields) seconds(name string) time.Duration {
	s, _ := read(f, name, cue.Value.Float64)
	return time.Duration(s * float64(time.Second))
}

func (f fields) texts(name string) []string {
	out, _ := read(f, name, func(v cue.Value) ([]string, error) {
		out := []string{}
		list, err := v.List()
		for list.Next() {
			text, wrong := list.Value().String()
			if out = append(out, text); err == nil {
				err = wrong
			}
		}
		return out, err
	})
	return out
}

// structs returns the elements of a list, each read as one with the list.
func (f fields) structs(name string) []fields {
	at := f.at.with(name)
	unit := f.unit
	if unit == nil {
		unit = at
	}
	out, _ := read(f, name, func(v cue.Value) ([]fields, error) {
		var out []fields
		list, err := v.List()
		for i := 0; list.Next(); i++ {
			out = append(out, f.source.unit(at.with(strconv.Itoa(i)), unit, list.Value()))
		}
		return out, err
	})
	return out
}

// read reads a field, and reports whether it is there. It
// reports a value that is valid in CUE but does not fit in Go, such as a number
// that is too large.
func read[T any](f fields, name string, as func(cue.Value) (T, error)) (T, bool) {
	var none T
	v := f.lookup(name)
	if !v.Exists() {
		return none, false
	}
	out, err := as(v)
	if err == nil {
		return out, true
	}
	if v.Err() != nil {
		return none, false
	}
	at := f.unit
	if at == nil {
		at = f.at.with(name)
	}
	if s := f.source; !s.wrong(at) {
		s.report(at, s.subject(at), "cannot read it: "+err.Error(), "compare it with its definition in schema")
	}
	return out, true
}

// lookup returns the value at a path. Each is looked up once.
func (s *source) lookup(at path) cue.Value {
	if len(at) == 0 {
		return s.value
	}
	key := at.key()
	if v, ok := s.found[key]; ok {
		return v
	}
	around, label := s.lookup(at[:len(at)-1]), at[len(at)-1]
	v := around.LookupPath(cue.MakePath(cue.Str(label)))
	if i, err := strconv.Atoi(label); err == nil && i >= 0 && !v.Exists() {
		v = around.LookupPath(cue.MakePath(cue.Index(i)))
	}
	s.found[key] = v
	return v
}

// wrong reports whether CUE has reported a problem at a path or below it.
func (s *source) wrong(at path) bool {
	return slices.ContainsFunc(s.cue, func(p cueProblem) bool { return slices.Equal(p.at, at) || p.at.below(at) })
}

// names returns the regular fields of a struct, in their order.
func (s *source) names(at path) []string {
	key := at.key()
	names, known := s.ordered[key]
	if !known {
		names = s.order(at)
		s.ordered[key] = names
	}
	return names
}

// order finds the fields of a struct, and with them their values.
func (s *source) order(at path) []string {
	it, err := s.lookup(at).Fields(cue.All(), cue.Optional(false), cue.Hidden(false), cue.Definitions(false), cue.Attributes(false))
	if err != nil {
		return nil
	}
	var names []string
	for it.Next() {
		if sel := it.Selector(); sel.LabelType() == cue.StringLabel && sel.ConstraintType() == 0 {
			name := sel.Unquoted()
			names = append(names, name)
			s.found[at.with(name).key()] = it.Value()
		}
	}
	return names
}
