package load

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/errors"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// addCUE notes CUE's errors, one problem for each field that is wrong.
func (s *source) addCUE(err error) {
	var order []string
	groups := map[string][]errors.Error{}
	for _, e := range errors.Errors(err) {
		key := path(e.Path()).key()
		if len(e.Path()) == 0 { // a file that can't be parsed: each error for itself
			key = fmt.Sprintf("\x00%d", len(order))
		}
		if _, ok := groups[key]; !ok {
			order = append(order, key)
		}
		groups[key] = append(groups[key], e)
	}
	for _, key := range order {
		prob, at := s.problem(groups[key])
		if slices.Contains(at, "_cross") {
			s.cross = append(s.cross, prob)
			continue
		}
		s.cue = append(s.cue, prob)
	}
}

// problem makes one problem of CUE's errors about one field.
func (s *source) problem(errs []errors.Error) (Problem, path) {
	at := path{}
	for _, label := range errs[0].Path() {
		at = append(at, unquote(label))
	}
	prob := Problem{Pos: s.position(at, errs), Subject: s.subject(at)}
	if prob.Subject == "" {
		prob.Subject = s.input
	}
	s.explain(&prob, at, errs)
	return prob, at
}

// position returns where a person has to change something: the field itself, or
// what it was made of, or the closest field around it.
func (s *source) position(at path, errs []errors.Error) model.Pos {
	if _, ok := s.places.exact(at); ok {
		return s.places.of(at)
	}
	var elsewhere model.Pos
	for _, e := range errs {
		for _, pos := range errors.Positions(e) {
			one := s.places.pos(pos)
			if s.places.files[one.File] && !s.around(at, one) {
				return one
			}
			if elsewhere == (model.Pos{}) {
				elsewhere = one
			}
		}
	}
	if pos := s.places.of(at); pos != (model.Pos{}) {
		return pos
	}
	return elsewhere
}

// around tells whether the position is only that of a field above the path, as
// where the site as a whole is unified with its schema.
func (s *source) around(at path, pos model.Pos) bool {
	for n := 1; n < min(len(at), 3); n++ {
		for _, one := range s.places.all(at[:n]) {
			if one.value == pos || one.value.File == pos.File && one.value.Line == pos.Line {
				return true
			}
		}
	}
	return false
}

// explain says what is wrong and what can be done.
func (s *source) explain(prob *Problem, at path, errs []errors.Error) {
	const (
		ours    = "%s"
		missing = "field is required but not present"
		closed  = "field not allowed"
	)
	last := ""
	if len(at) > 0 {
		last = at[len(at)-1]
	}
	for _, e := range errs {
		format, args := e.Msg()
		text := fmt.Sprintf(format, args...)
		switch {
		case strings.HasPrefix(format, missing):
			prob.Text, prob.Remedy = "is missing", "add it"
			if last == "startByHand" {
				prob.Text = "is missing, since there is a stop and no start"
				prob.Remedy = "add the start's commands, or say in startByHand what a person has to do"
			}
			return
		case strings.HasPrefix(format, closed):
			prob.Text = "there is no such field here" + s.suggestField(at)
			prob.Remedy = "correct the name, or remove it"
			return
		case s.ownMessage(prob, text):
			return
		}
	}
	if s.alternatives(prob, errs) {
		return
	}
	prob.Text = plain(errs)
	if hint := s.schemaLine(errs); hint != "" {
		prob.Remedy = "what is allowed stands at " + hint
	} else {
		prob.Remedy = "correct it"
	}
}

// ownMessage reads a message of the schema's own: "subject: cause; remedy".
func (s *source) ownMessage(prob *Problem, text string) bool {
	cause, remedy, ok := strings.Cut(text, "; ")
	if !ok {
		return false
	}
	if subject, rest, ok := strings.Cut(cause, ": "); ok {
		cause = rest
		if !strings.Contains(prob.Subject, subject) {
			prob.Subject = subject
		}
	}
	prob.Text, prob.Remedy = cause, remedy
	return true
}

// conflict takes apart what CUE says of two values that don't unify.
const conflict = "conflicting values %s and %s"

// alternatives explains a value that is none of those that a field may have. CUE
// says so with an error for each of them.
func (s *source) alternatives(prob *Problem, errs []errors.Error) bool {
	var pairs [][2]string
	for _, e := range errs {
		format, args := e.Msg()
		switch {
		case strings.HasPrefix(format, conflict) && len(args) >= 2:
			pairs = append(pairs, [2]string{fmt.Sprint(args[0]), fmt.Sprint(args[1])})
		case strings.Contains(format, "errors in empty disjunction"):
		default:
			return false
		}
	}
	if len(pairs) == 0 {
		return false
	}
	value := s.written(prob.Pos, pairs)
	if value == "" {
		return false
	}
	var allowed []string
	for _, pair := range pairs {
		other := pair[0]
		if other == value {
			other = pair[1]
		}
		if other == "null" || slices.Contains(allowed, other) {
			continue
		}
		allowed = append(allowed, other)
	}
	slices.Sort(allowed)
	switch {
	case len(allowed) > 1:
		prob.Text = fmt.Sprintf("%s is none of %s", value, strings.Join(allowed, ", "))
		prob.Remedy = "write one of them" + suggest(strings.Trim(value, `"`), trimmed(allowed))
	case isType(allowed[0]):
		prob.Text = fmt.Sprintf("is %s, and must be of type %s", value, allowed[0])
		prob.Remedy = "correct it"
	default:
		prob.Text = fmt.Sprintf("is %s here and %s elsewhere", value, allowed[0])
		prob.Remedy = "make them the same, or remove one of them"
		if hint := s.schemaLine(errs); hint != "" {
			prob.Remedy = "what is wanted stands at " + hint
		}
	}
	return true
}

// written returns which value of the pairs is the one that stands in the source:
// that of the place, or the one that all pairs have.
func (s *source) written(pos model.Pos, pairs [][2]string) string {
	in := func(v string) bool {
		return !slices.ContainsFunc(pairs, func(p [2]string) bool { return p[0] != v && p[1] != v })
	}
	for _, all := range s.places.fields {
		for _, one := range all {
			if one.value == pos && one.text != "" && in(one.text) {
				return one.text
			}
		}
	}
	for _, v := range []string{pairs[0][1], pairs[0][0]} {
		if in(v) {
			return v
		}
	}
	return ""
}

// suggestField returns a question that names the field that was meant.
func (s *source) suggestField(at path) string {
	if len(at) == 0 {
		return ""
	}
	selectors := make([]cue.Selector, 0, len(at))
	for _, label := range at[:len(at)-1] {
		selectors = append(selectors, cue.Str(label))
	}
	around := s.value.LookupPath(cue.MakePath(selectors...))
	var fit []string
	for _, name := range s.places.known {
		if around.Allows(cue.Str(name)) {
			fit = append(fit, name)
		}
	}
	return suggest(at[len(at)-1], fit)
}

// schemaLine returns the line of the schema that an error comes from.
func (s *source) schemaLine(errs []errors.Error) string {
	for _, e := range errs {
		for _, pos := range errors.Positions(e) {
			if one := s.places.pos(pos); one.File != "" && !s.places.files[one.File] && strings.HasSuffix(one.File, ".cue") {
				return fmt.Sprintf("%s:%d", one.File, one.Line)
			}
		}
	}
	return ""
}

// plain returns what CUE says, each thing once, without the headings of
// disjunctions.
func plain(errs []errors.Error) string {
	var all []string
	for _, e := range errs {
		format, args := e.Msg()
		text := fmt.Sprintf(format, args...)
		if strings.Contains(format, "errors in empty disjunction") || slices.Contains(all, text) {
			continue
		}
		all = append(all, text)
	}
	// The default of a field is no reason against the value.
	if rest := slices.DeleteFunc(slices.Clone(all), func(t string) bool { return strings.HasPrefix(t, "conflicting values") }); len(rest) > 0 {
		all = rest
	}
	return strings.Join(all, ", and ")
}

// subject names what a path is about, in the field's terms.
func (s *source) subject(at path) string {
	if len(at) == 0 {
		return ""
	}
	rest := at
	name := ""
	switch {
	case len(at) >= 3 && at[0] == "site" && (at[1] == "cscs" || at[1] == "outside"):
		name, rest = "CSC "+at[2], at[3:]
	case len(at) >= 5 && at[0] == "site" && at[1] == "hosts" && at[3] == "services":
		name, rest = "host "+at[2]+": service "+at[4], at[5:]
	case len(at) >= 3 && at[0] == "site" && at[1] == "hosts":
		name, rest = "host "+at[2], at[3:]
	case len(at) >= 2 && at[0] == "site":
		rest = at[1:]
	case len(at) >= 2 && at[0] == "upgrade":
		name, rest = at[1]+" upgrade", at[2:]
	}
	field := strings.Join(rest, ".")
	switch {
	case name == "":
		return field
	case field == "":
		return name
	}
	return name + ": " + field
}

var typeName = regexp.MustCompile(`^(string|int|bool|number|float|bytes|null|struct|list|_|\(.*\))$`)

func isType(text string) bool { return typeName.MatchString(text) }

func trimmed(all []string) []string {
	out := make([]string, len(all))
	for i, a := range all {
		out[i] = strings.Trim(a, `"`)
	}
	return out
}

// unquote returns the label without the quotes that CUE prints around one that
// is no identifier.
func unquote(label string) string {
	if n := len(label); n >= 2 && label[0] == '"' && label[n-1] == '"' {
		return label[1 : n-1]
	}
	return label
}
