package load

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// cueProblem is a problem that CUE has found, with the field that it found it in.
type cueProblem struct {
	Problem
	at path
}

// addCUE notes CUE's errors, one problem for each field that is wrong.
func (s *source) addCUE(err error) {
	var order []string
	groups := map[string][]errors.Error{}
	for _, e := range errors.Errors(err) {
		key := path(e.Path()).key()
		if len(e.Path()) == 0 { // of a file, not of a field: each error for itself
			key = fmt.Sprintf("\x00%d", len(order))
		}
		if _, ok := groups[key]; !ok {
			order = append(order, key)
		}
		groups[key] = append(groups[key], e)
	}
	for _, key := range order {
		one := s.problem(groups[key])
		one.Text = s.withoutRoot(one.Text)
		if slices.Contains(one.at, "_cross") {
			s.cross = append(s.cross, one.Problem)
			continue
		}
		s.cue = append(s.cue, one)
	}
}

// withoutRoot takes the folder of this machine out of a message.
func (s *source) withoutRoot(text string) string {
	root := s.places.naming.root
	return strings.ReplaceAll(strings.ReplaceAll(text, root+"/", ""), root, ".")
}

// problem makes one problem of CUE's errors about one field.
func (s *source) problem(errs []errors.Error) cueProblem {
	at := path{}
	for _, label := range errs[0].Path() {
		at = append(at, unquote(label))
	}
	one := cueProblem{at: at}
	one.Pos, one.Subject = s.position(at, errs), s.subject(at)
	if len(at) == 0 {
		one.Subject = s.input
		one.Text = innermost(errs[0]).Error()
		one.Remedy = "correct the file; cue vet says the same"
		return one
	}
	s.explain(&one.Problem, at, errs)
	return one
}

// innermost returns the error that the others are about.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// position returns where a person has to change something: the field itself, or
// what it was made of, or the closest field around it.
func (s *source) position(at path, errs []errors.Error) model.Pos {
	if one, ok := s.places.exact(at); ok {
		return one
	}
	// What it was made of: a string or a number if there is one, else the first
	// place that is not only the schema's or that of the site as a whole.
	var made, elsewhere model.Pos
	for _, e := range errs {
		for _, pos := range errors.Positions(e) {
			one := s.places.pos(pos)
			if s.leaf(one) != "" {
				return one
			}
			if made == (model.Pos{}) && s.places.files[one.File] && !s.around(at, one) {
				made = one
			}
			if elsewhere == (model.Pos{}) {
				elsewhere = one
			}
		}
	}
	for _, pos := range []model.Pos{made, s.places.of(at), elsewhere} {
		if pos != (model.Pos{}) {
			return pos
		}
	}
	return s.fallback
}

// leaf returns the string or the number that stands at a place, as it is written,
// or nothing.
func (s *source) leaf(pos model.Pos) string {
	if s.leaves == nil {
		s.leaves = map[model.Pos]string{}
		for _, f := range s.files {
			ast.Walk(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok {
					s.leaves[s.places.pos(lit.Pos())] = lit.Value
				}
				return true
			}, nil)
		}
	}
	return s.leaves[pos]
}

// around tells whether the position is only that of a field above the path, as
// where the site as a whole is unified with its schema.
func (s *source) around(at path, pos model.Pos) bool {
	for n := 1; n < min(len(at), 3); n++ {
		for _, one := range s.places.all(at[:n]) {
			if value := s.places.pos(one.value); value.File == pos.File && value.Line == pos.Line {
				return true
			}
		}
	}
	return false
}

// What CUE's messages begin with, and contain.
const (
	msgMissing     = "field is required but not present"
	msgClosed      = "field not allowed"
	msgConflict    = "conflicting values"
	msgDisjunction = "errors in empty disjunction"
)

// explain says what is wrong and what can be done.
func (s *source) explain(prob *Problem, at path, errs []errors.Error) {
	for _, e := range errs {
		format, args := e.Msg()
		switch {
		case strings.HasPrefix(format, msgMissing):
			explainMissing(prob, at)
			return
		case strings.HasPrefix(format, msgClosed):
			prob.Text = "there is no such field here" + s.suggestField(at)
			prob.Remedy = "correct the name, or remove it"
			return
		case ownMessage(prob, fmt.Sprintf(format, args...)):
			return
		}
	}
	if s.alternatives(prob, errs) {
		return
	}
	prob.Text, prob.Remedy = plain(errs)
	if hint := s.schemaLine(errs); hint != "" && prob.Remedy == "" {
		prob.Remedy = "correct it; what is allowed stands at " + hint
	}
	if prob.Remedy == "" {
		prob.Remedy = "correct it"
	}
}

// explainMissing explains a field that is missing.
func explainMissing(prob *Problem, at path) {
	prob.Text, prob.Remedy = "is missing", "add it"
	if at[len(at)-1] == "startByHand" {
		prob.Text = "is missing, since there is a stop and no start"
		prob.Remedy = "add the start's commands, or say in startByHand what a person has to do"
	}
}

// ownMessage reads a message of the schema's own: "subject: cause; remedy".
func ownMessage(prob *Problem, text string) bool {
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

// alternatives explains a value that is none of those that a field may have. CUE
// says so with an error for each of them.
func (s *source) alternatives(prob *Problem, errs []errors.Error) bool {
	var pairs [][2]string
	for _, e := range errs {
		format, args := e.Msg()
		switch {
		case strings.HasPrefix(format, msgConflict) && len(args) >= 2:
			pairs = append(pairs, [2]string{fmt.Sprint(args[0]), fmt.Sprint(args[1])})
		case strings.Contains(format, msgDisjunction):
		default:
			return false
		}
	}
	value := s.written(prob.Pos, pairs)
	var allowed []string
	for _, pair := range pairs {
		other := pair[0]
		if other == value {
			other = pair[1]
		}
		if other != value && !slices.Contains(allowed, other) {
			allowed = append(allowed, other)
		}
	}
	if value == "" || len(allowed) == 0 {
		return false
	}
	slices.Sort(allowed)
	prob.Remedy = "correct it"
	switch {
	case len(allowed) > 1:
		prob.Text = fmt.Sprintf("%s is none of %s", value, strings.Join(allowed, ", "))
		prob.Remedy = "write one of them"
		if len(allowed) > 2 {
			prob.Remedy += suggest(strings.Trim(value, `"`), trimmed(allowed))
		}
	case typeName(allowed[0]) != "":
		prob.Text = fmt.Sprintf("%s is no %s", value, typeName(allowed[0]))
	default:
		prob.Text = fmt.Sprintf("is %s here, and %s elsewhere", value, allowed[0])
		if hint := s.schemaLine(errs); hint != "" {
			prob.Remedy += "; what is wanted stands at " + hint
		}
	}
	return true
}

// written returns which value of the pairs is the one that stands in the source:
// that of the place, or the one that all pairs have.
func (s *source) written(pos model.Pos, pairs [][2]string) string {
	in := func(v string) bool {
		return v != "" && !slices.ContainsFunc(pairs, func(p [2]string) bool { return p[0] != v && p[1] != v })
	}
	if len(pairs) == 0 {
		return ""
	}
	for _, v := range []string{s.leaf(pos), pairs[0][1], pairs[0][0]} {
		if in(v) {
			return v
		}
	}
	return ""
}

// suggestField returns a question that names the field that was meant.
func (s *source) suggestField(at path) string {
	around := s.lookup(at[:len(at)-1])
	var fit []string
	for _, name := range s.schemaFields() {
		if around.Allows(cue.Str(name)) {
			fit = append(fit, name)
		}
	}
	return suggest(at[len(at)-1], fit)
}

// schemaFields returns the names of the fields that the schema has.
func (s *source) schemaFields() []string {
	var names []string
	for _, f := range s.schema {
		ast.Walk(f, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok {
				if name, ok := label(field); ok && !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "#") {
					names = append(names, name)
				}
			}
			return true
		}, nil)
	}
	return names
}

// schemaLine returns the line of the schema that an error comes from.
func (s *source) schemaLine(errs []errors.Error) string {
	for _, e := range errs {
		for _, pos := range errors.Positions(e) {
			if one := s.places.pos(pos); strings.HasPrefix(one.File, schemaPackage+"/") {
				return fmt.Sprintf("%s:%d", one.File, one.Line)
			}
		}
	}
	return ""
}

// plain returns what CUE says, each thing once and without the headings of
// disjunctions, and a remedy where there is a better one than the schema's line.
func plain(errs []errors.Error) (text, remedy string) {
	var all, conflicts []string
	for _, e := range errs {
		format, args := e.Msg()
		one, hint := reworded(format, args)
		switch {
		case strings.Contains(format, msgDisjunction) || slices.Contains(all, one):
		case strings.HasPrefix(format, msgConflict):
			conflicts = append(conflicts, one) // with a default, which is no reason against a value
		default:
			all = append(all, one)
			remedy = hint
		}
	}
	if len(all) == 0 {
		all = conflicts
	}
	return strings.Join(all, ", and "), remedy
}

// reworded says in the project's words what CUE says of a value that its
// constraint refuses.
func reworded(format string, args []any) (text, remedy string) {
	text = fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, "incompatible list lengths (0 and") {
		return "is empty", ""
	}
	if len(args) < 2 || !strings.HasPrefix(format, "invalid value") {
		return text, ""
	}
	value, constraint := fmt.Sprint(args[0]), fmt.Sprint(args[1])
	switch {
	case strings.HasPrefix(constraint, "time.Duration"):
		return value + " is no duration", `write it as in "90s", "10m" or "2h"`
	case strings.HasPrefix(constraint, "time.Format"):
		return value + " is no day of the calendar", "write it as YYYY-MM-DD"
	case strings.HasPrefix(constraint, "=~"):
		return fmt.Sprintf("%s is not of the form %s", value, strings.TrimPrefix(constraint, "=~")), ""
	}
	return text, ""
}

// subject names what a path is about, in the field's terms.
func (s *source) subject(at path) string {
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

// typeName returns the name of a type as CUE prints it, or nothing for what is
// a value.
func typeName(text string) string {
	switch text {
	case "string", "int", "bool", "number":
		return text
	}
	switch {
	case strings.HasPrefix(text, "["):
		return "list"
	case strings.HasPrefix(text, "{"):
		return "struct"
	}
	return ""
}

// trimmed returns strings without their quotes.
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
