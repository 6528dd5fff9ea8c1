package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/lsst-ts/csu/executor/exit"
)

// NotAPlanError reports that the input is not a plan: not JSON, or JSON with another
// format.
type NotAPlanError struct {
	Name   string // of the file
	Reason string
}

func (e *NotAPlanError) Error() string {
	return fmt.Sprintf("read plan %q: %s", e.Name, e.Reason)
}

// ExitCode returns [exit.Input].
func (e *NotAPlanError) ExitCode() exit.Code { return exit.Input }

// Problem is one reason why a plan is unusable, with its line.
type Problem struct {
	Line    int    // in the file, from 1; 0 where it is about the plan as a whole
	Subject string // such as `step "offline/watcher"`
	Text    string
}

// String returns the problem without its file.
func (p Problem) String() string {
	if p.Subject == "" {
		return p.Text
	}
	return p.Subject + ": " + p.Text
}

// InvalidError reports an unusable plan, with all its problems.
type InvalidError struct {
	Name     string
	Problems []Problem
}

func (e *InvalidError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		if p.Line > 0 {
			fmt.Fprintf(&b, "%s:%d: %s", e.Name, p.Line, p)
		} else {
			fmt.Fprintf(&b, "%s: %s", e.Name, p)
		}
	}
	return b.String()
}

// ExitCode returns [exit.Input].
func (e *InvalidError) ExitCode() exit.Code { return exit.Input }

// ReadFile reads and decodes the plan in a file. It also returns the bytes,
// which are what the plan's digest is about.
func ReadFile(name string) (*Plan, []byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, exit.Unusable("", "read plan: %w", err)
	}
	p, err := Decode(name, data)
	return p, data, err
}

// Decode reads a plan strictly: it reports every unknown field with its line, and accepts
// only canonical bytes. Its errors are [*NotAPlanError]
// and [*InvalidError]; name is what they call the input.
func Decode(name string, data []byte) (*Plan, error) {
	var head struct {
		Format *string `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, &NotAPlanError{name, jsonReason(data, err)}
	}
	switch {
	case head.Format == nil:
		return nil, &NotAPlanError{name, "it has no field \"format\""}
	case *head.Format != Format:
		return nil, &NotAPlanError{name, fmt.Sprintf(
			"it has the format %q, and this csu knows only %q: compile the plan again with this csu, or use the csu it was compiled with", *head.Format, Format)}
	}
	tree, err := parse(data)
	if err != nil {
		return nil, &NotAPlanError{name, err.Error()}
	}
	c := checker{}
	c.value(tree, reflect.TypeFor[Plan](), "")
	if len(c.problems) > 0 {
		return nil, &InvalidError{name, c.problems}
	}
	var p Plan
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, &InvalidError{name, []Problem{{Text: jsonReason(data, err)}}}
	}
	if problems := p.Validate(); len(problems) > 0 {
		locate(tree, problems)
		return nil, &InvalidError{name, problems}
	}
	if err := canonical(name, &p, data); err != nil {
		return nil, err
	}
	return &p, nil
}

// canonical compares data with what the plan encodes to.
func canonical(name string, p *Plan, data []byte) error {
	want, err := Encode(p)
	if err != nil {
		return &InvalidError{name, []Problem{{Text: err.Error()}}}
	}
	if bytes.Equal(want, data) {
		return nil
	}
	if bytes.Equal(want, bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))) {
		return &InvalidError{name, []Problem{{Line: 1, Text: "its lines end like those of Windows (CR LF), but a plan's end with LF: " +
			"Git has converted them; run git config core.autocrlf false, remove the file and restore it with git checkout"}}}
	}
	line := 1
	for i := 0; i < len(want) && i < len(data) && want[i] == data[i]; i++ {
		if data[i] == '\n' {
			line++
		}
	}
	return &InvalidError{name, []Problem{{Line: line, Text: "from here on the file is not in a plan's canonical form " +
		"(the order of fields, two-space indent, one array element per line, one newline at the end): " +
		"a plan is compiled, or edited within that form"}}}
}

func jsonReason(data []byte, err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("line %d: it is not JSON: %v", lineAt(data, syntax.Offset), err)
	}
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) && typ.Field == "" {
		return fmt.Sprintf("line %d: it is not an object, but the JSON kind %q", lineAt(data, typ.Offset), typ.Value)
	}
	if errors.As(err, &typ) {
		return fmt.Sprintf("line %d: field %q is a %s", lineAt(data, typ.Offset), typ.Field, typ.Value)
	}
	return err.Error()
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

// locate adds the lines of problems that name a step, a stage or a row of a table.
func locate(tree *node, problems []Problem) {
	lines := map[string]int{} // by subject
	note := func(word string, n *node, name string) {
		if f := n.field(name); f != nil {
			if s, ok := f.value.(string); ok {
				if subject := fmt.Sprintf("%s %q", word, s); lines[subject] == 0 {
					lines[subject] = n.line
				}
			}
		}
	}
	each := func(n *node, list string, visit func(*node)) {
		if l := n.field(list); l != nil {
			for _, e := range l.elems {
				visit(e)
			}
		}
	}
	step := func(n *node) { note("step", n, "id") }
	each(tree, "cscs", func(n *node) { note("csc", n, "csc") })
	each(tree, "hosts", func(n *node) { note("host", n, "name") })
	each(tree, "stages", func(n *node) {
		note("stage", n, "id")
		each(n, "steps", step)
	})
	each(tree, "final", step)
	for i := range problems {
		if p := &problems[i]; p.Line == 0 {
			p.Line = lines[p.Subject]
		}
	}
}
