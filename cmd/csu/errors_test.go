package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// remedyFields are the names of fields that hold what an operator can do.
var remedyFields = []string{"Hint", "Remedy", "Advice", "Want"}

// errorType is an error type of the project, as its source declares it.
type errorType struct {
	fields  []string
	methods map[string]string // their results, by name
}

// errorTypes returns the types with a method Error of a package's folder, by name.
func errorTypes(t *testing.T, dir string) map[string]*errorType {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*errorType{}
	of := func(name string) *errorType {
		if all[name] == nil {
			all[name] = &errorType{methods: map[string]string{}}
		}
		return all[name]
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						for _, name := range f.Names {
							of(n.Name.Name).fields = append(of(n.Name.Name).fields, name.Name)
						}
					}
				}
			case *ast.FuncDecl:
				if n.Recv != nil {
					receiver := strings.TrimPrefix(types.ExprString(n.Recv.List[0].Type), "*")
					of(receiver).methods[n.Name.Name] = strings.TrimPrefix(types.ExprString(n.Type), "func")
				}
				return false
			}
			return true
		})
	}
	for name, e := range all {
		if e.methods["Error"] != "() string" {
			delete(all, name)
		}
	}
	return all
}

// unfit says what keeps the command line from finding what an error type knows.
func (e *errorType) unfit() string {
	hint, code := e.methods["Hint"], e.methods["ExitCode"]
	field := slices.IndexFunc(e.fields, func(f string) bool { return slices.Contains(remedyFields, f) })
	switch {
	case field >= 0 && hint == "":
		return fmt.Sprintf("it has the field %s and no method Hint", e.fields[field])
	case hint != "" && hint != "() string":
		return "its method Hint is func" + hint
	case code != "" && code != "() exit.Code" && code != "() Code":
		return "its method ExitCode is func" + code
	}
	return ""
}

// TestErrorTypes: an error type that has a remedy shows it, by the methods that the
// command line looks for.
func TestErrorTypes(t *testing.T) {
	t.Parallel()
	seen, hinted, classed := 0, 0, 0
	for _, p := range packages(t) {
		for name, e := range errorTypes(t, filepath.Join("../..", p.name())) {
			seen++
			if e.methods["Hint"] != "" {
				hinted++
			}
			if e.methods["ExitCode"] != "" {
				classed++
			}
			if why := e.unfit(); why != "" {
				t.Errorf("%s.%s: %s", p.name(), name, why)
			}
		}
	}
	if seen < 40 || hinted < 20 || classed < 25 {
		t.Errorf("%d error types were found, %d with a hint, %d with an exit code: these cannot be all", seen, hinted, classed)
	}
	for why, e := range map[string]errorType{
		"it has the field Remedy and no method Hint": {fields: []string{"Err", "Remedy"}},
		"its method Hint is func() error":            {methods: map[string]string{"Hint": "() error"}},
		"its method ExitCode is func() int":          {methods: map[string]string{"ExitCode": "() int"}},
	} {
		if got := e.unfit(); got != why {
			t.Errorf("an error type is unfit since %q, want %q", got, why)
		}
	}
}

// TestReport: what no error classifies is a failure, without a hint.
func TestReport(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		err  error
		code int
		says string
	}{
		{nil, exitComplete, ""},
		{errors.New("the moon is full"), exitFailed, "error: the moon is full\n"},
		{fmt.Errorf("look up: %w", fail(exitRefused, "csu exec PLAN", "it is day")), exitRefused, "error: look up: it is day\nhint: csu exec p.json\n"},
	} {
		var printed bytes.Buffer
		c := &console{err: &printed, plan: "p.json"}
		if code := c.report(x.err); code != x.code || printed.String() != x.says {
			t.Errorf("report %v = %d, %q; want %d, %q", x.err, code, printed.String(), x.code, x.says)
		}
	}
}
