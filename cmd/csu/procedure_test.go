package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/verify"
	"github.com/lsst-ts/csu/executor/plan"
)

// lastNumber is the last number of the procedure.
const lastNumber = 55

// A number is an instruction of the procedure and what keeps it.
type number struct {
	name    string // P1 to P55
	asks    string // what it asks for, in brief
	carried []carrier
	// guard says what keeps a number that is no step, or not only one, and tests
	// which tests show it, as folder.Function.
	guard string
	tests []string
	// holds checks, on each plan to which the number applies, what the ids alone
	// don't tell.
	holds func(t *testing.T, u *upgrade, p *plan.Plan)
}

// A carrier says what carries a number in some upgrades: there these steps and
// stages cite it, all of them and no others.
type carrier struct {
	upgrades string // patterns, see upgrade.is
	// ids are those of steps, with alternatives in braces. One that ends with a
	// slash is a stage that cites the number by itself.
	ids string
}

// TestPlansOnDisk: plans holds what the sources give.
func TestPlansOnDisk(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, u := range upgrades {
		if u.variant() {
			continue
		}
		p := u.compile(t)
		data, err := plan.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		name := compiler.FileName(p)
		want[filepath.Base(name)] = true
		onDisk, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(data, onDisk) {
			at, had, has := firstDifference(onDisk, data)
			t.Errorf("%s:%d: the sources give another plan:\n  plan:    %s\n  sources: %s", name, at, had, has)
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "plans"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && !want[e.Name()] {
			t.Errorf("plans/%s is the plan of none of the nine requests", e.Name())
		}
	}
}

// TestVariantsKeepTheRules: what the compiler makes of the variants is as good
// as the nine.
func TestVariantsKeepTheRules(t *testing.T) {
	t.Parallel()
	for _, u := range upgrades {
		for _, v := range verify.Check(u.compile(t)) {
			t.Errorf("%s: %s", u.name, v)
		}
	}
}

// TestProcedure: each number of the procedure has a row in [procedure], and
// each row holds.
func TestProcedure(t *testing.T) {
	t.Parallel()
	rows := map[string]*number{}
	for i := range procedure {
		n := &procedure[i]
		if rows[n.name] != nil {
			t.Errorf("%s has two rows", n.name)
		}
		rows[n.name] = n
	}
	for i := 1; i <= lastNumber; i++ {
		name := fmt.Sprintf("P%d", i)
		n := rows[name]
		if n == nil {
			t.Errorf("%s has no row", name)
			continue
		}
		delete(rows, name)
		t.Run(name, n.check)
	}
	for name := range rows {
		t.Errorf("the row %s is about no number of the procedure", name)
	}
}

// check reports whether the row holds.
func (n *number) check(t *testing.T) {
	if len(n.carried) == 0 && n.guard == "" || n.asks == "" {
		t.Fatal("the row says too little")
	}
	for _, c := range n.carried {
		if !slices.ContainsFunc(upgrades, func(u *upgrade) bool { return u.is(c.upgrades) }) {
			t.Errorf("%q is none of the upgrades", c.upgrades)
		}
	}
	for _, u := range upgrades {
		p := u.compile(t)
		var want []string
		for _, c := range n.carried {
			if u.is(c.upgrades) {
				want = append(want, ids(c.ids)...)
			}
		}
		slices.Sort(want)
		if repeated := slices.Compact(slices.Clone(want)); len(repeated) != len(want) {
			t.Errorf("%s: the row names a step twice: %q", u.name, want)
		}
		if got := citing(p, n.name); !slices.Equal(got, want) {
			t.Errorf("%s: %s is cited by\n  %s\nand should be by\n  %s", u.name, n.name, strings.Join(got, " "), strings.Join(want, " "))
			continue
		}
		if n.holds != nil && (len(want) > 0 || len(n.carried) == 0) {
			n.holds(t, u, p)
		}
	}
	if (n.guard == "") != (len(n.tests) == 0) {
		t.Error("a guard wants the tests that show it, and they want to be named with one")
	}
	for _, name := range n.tests {
		if err := testExists(name); err != nil {
			t.Errorf("what keeps it is %s; %v", n.guard, err)
		}
	}
}

// citing returns the ids of the steps that cite a number, and of the stages
// that do so by themselves, with a slash.
func citing(p *plan.Plan, number string) []string {
	var out []string
	for s := range p.AllSteps() {
		if slices.Contains(s.Source, number) {
			out = append(out, s.ID)
		}
	}
	for i := range p.Stages {
		s := &p.Stages[i]
		bySteps := slices.ContainsFunc(s.Steps, func(st plan.Step) bool { return slices.Contains(st.Source, number) })
		// A stage's principals are its own (P3), whatever its steps ask beside.
		if slices.Contains(s.Source, number) && (!bySteps || number == "P3" && len(s.Principals) > 0) {
			out = append(out, s.ID+"/")
		}
	}
	slices.Sort(out)
	return out
}

// ids expands the alternatives in braces.
func ids(text string) []string {
	var out []string
	for _, field := range strings.Fields(text) {
		out = append(out, expand(field)...)
	}
	return out
}

func expand(s string) []string {
	before, rest, found := strings.Cut(s, "{")
	if !found {
		return []string{s}
	}
	alternatives, after, _ := strings.Cut(rest, "}")
	var out []string
	for _, a := range strings.Split(alternatives, ",") {
		for _, e := range expand(after) {
			out = append(out, before+a+e)
		}
	}
	return out
}

// testExists looks for a test function in the source tree, such as
// executor.TestPreflight, or for one of the scripts that TestScript runs.
func testExists(name string) error {
	folder, function, _ := strings.Cut(name, ".")
	if script, ok := strings.CutPrefix(function, "TestScript/"); ok {
		_, err := os.Stat(filepath.Join(root, folder, "testdata", "script", script+".txtar"))
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == function && strings.HasPrefix(function, "Test") {
				return nil
			}
		}
	}
	return fmt.Errorf("%s has no test function %s", folder, function)
}

func TestIDs(t *testing.T) {
	t.Parallel()
	got := ids("a/x b/{one,two}-{stop,start} c/")
	want := []string{"a/x", "b/one-stop", "b/one-start", "b/two-stop", "b/two-start", "c/"}
	if !slices.Equal(got, want) {
		t.Errorf("ids = %q, want %q", got, want)
	}
}
