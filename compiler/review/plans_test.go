package review

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/plan"
)

// The plans that tests show and compare.
const (
	summitFull        = "2026-12-15-summit-full"
	summitIncremental = "2026-11-24-summit-incremental"
)

// read returns a plan of the project, a new copy each time.
func read(t *testing.T, name string) *plan.Plan {
	t.Helper()
	p, _, err := plan.ReadFile(filepath.Join("../../plans", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// everyPlan are the names of the project's plans.
func everyPlan(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../plans/*.json")
	if err != nil || len(files) < 9 {
		t.Fatalf("there are %d plans, %v; nine are wanted", len(files), err)
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f[:len(f)-len(".json")]))
	}
	return names
}

func mustStep(t *testing.T, p *plan.Plan, id string) *plan.Step {
	t.Helper()
	s, ok := p.Step(id)
	if !ok {
		t.Fatalf("the plan has no step %q any more: correct this test", id)
	}
	return s
}

// golden compares with a file of testdata, which CSU_UPDATE=1 renews.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("CSU_UPDATE") == "1" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is different (-want +got); CSU_UPDATE=1 renews it:\n%s", name, cmp.Diff(string(want), string(got)))
	}
}
