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

// cueProblem is a problem that CUE found, with its field.
type cueProblem struct {
	Problem
	at path
}

// addCUE adds CUE's errors, one problem for each wrong field.
func (s *source) addCUE(err error) {
	var order []string
	groups := map[string][]errors.Error{}
	for _, e := range errors.Errors(err) {
		key := path(e.Path()).key()
		if len(e.Path()) == 0 { // about a file, not a field: keep each error separate
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

// withoutRoot removes the project's absolute path from a message.
func (s *source) withoutRoot(text string) string {
	root := s.places.naming.root
	return strings.ReplaceAll(strings.ReplaceAll(text, root+"/", ""), root, ".")
}

// problem combines CUE's errors about one field into one problem.
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
		one.Remedy = "correct the file; cue vet reports the same"
		return one
	}
	s.explain(&one.Problem, at, errs)
	return one
}

// innermost returns the innermost wrapped error.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// position returns the position to correct: the field itself, what it was made of,
// or the closest enclosing field.
func (s *source) position(at path, errs []errors.Error) model.Pos {
	if one, ok := s.places.exact(at); ok {
		return one
	}
	// What it was made of: a string or a number if there is one, else the first
	// position that is not in the schema or that of the whole site.
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

// leaf returns the string or number literal at a position, or "".
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

// around reports whether the position is that of a field above the path, as when
// the whole site is unified with its schema.
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

// Beginnings and parts of CUE's messages.
const (
	msgMissing     = "field is required but not present"
	msgClosed      = "field not allowed"
	msgConflict    = "conflicting values"
	msgDisjunction = "errors in empty disjunction"
)

// explain sets the problem's text and remedy.
func (s *source) explain(prob *Problem, at path, errs []errors.Error) {
	for _, e := range errs {
		format, args := e.Msg()
		switch {
		case strings.HasPrefix(format, msgMissing):
			explainMissing(prob, at)
			return
		case strings.HasPrefix(format, msgClosed):
			prob.Text = "unknown field" + s.suggestField(at)
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
		prob.Remedy = "correct it; see " + hint
	}
	if prob.Remedy == "" {
		prob.Remedy = "correct it"
	}
}

// explainMissing explains a field that is missing.
func explainMissing(prob *Problem, at path) {
	prob.Text, prob.Remedy = "is missing", "add it"
	if at[len(at)-1] == "startByHand" {
		prob.Text = "is missing: the service has stop but no start"
		prob.Remedy = "add the start commands, or describe the start in startByHand"
	}
}

// ownMessage parses a message of our own schema: "subject: cause; remedy".
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

// alternatives explains a value that matches none of a field's alternatives. CUE
// reports an error for each of them.
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
		prob.Text = fmt.Sprintf("%s is not one of %s", value, strings.Join(allowed, ", "))
		prob.Remedy = "use one of them"
		if len(allowed) > 2 {
			prob.Remedy += suggest(strings.Trim(value, `"`), trimmed(allowed))
		}
	case typeName(allowed[0]) != "":
		prob.Text = fmt.Sprintf("%s is not of type %s", value, typeName(allowed[0]))
	default:
		prob.Text = fmt.Sprintf("is %s here but %s elsewhere", value, allowed[0])
		if hint := s.schemaLine(errs); hint != "" {
			prob.Remedy += "; see " + hint
		}
	}
	return true
}

// written returns the value of the pairs that is in the source: that at the
// position, or the one in all pairs.
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

// suggestField returns a question with the closest field name.
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

// plain returns CUE's messages, each once and without the headings of
// disjunctions, and a remedy if there is a better one than the schema's line.
func plain(errs []errors.Error) (text, remedy string) {
	var all, conflicts []string
	for _, e := range errs {
		format, args := e.Msg()
		one, hint := reworded(format, args)
		switch {
		case strings.Contains(format, msgDisjunction) || slices.Contains(all, one):
		case strings.HasPrefix(format, msgConflict):
			conflicts = append(conflicts, one) // with a default, which does not forbid a value
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

// reworded rewords CUE's message about a value that violates its constraint.
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
		return value + " is not a duration", `use a duration such as "90s", "10m" or "2h"`
	case strings.HasPrefix(constraint, "time.Format"):
		return value + " is not a date", "use the form YYYY-MM-DD"
	case strings.HasPrefix(constraint, "=~"):
		return fmt.Sprintf("%s does not match %s", value, strings.TrimPrefix(constraint, "=~")), ""
	}
	return text, ""
}

// subject returns what a path is about, in the field's terms.
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

// typeName returns the name of a type as CUE prints it, or "" for a value.
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

// unquote removes the quotes that CUE prints around a label that is not an
// identifier.
func unquote(label string) string {
	if n := len(label); n >= 2 && label[0] == '"' && label[n-1] == '"' {
		return label[1 : n-1]
	}
	return label
}
