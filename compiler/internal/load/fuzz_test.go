package load_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/load"
	"github.com/lsst-ts/csu/compiler/internal/procedure"
	"github.com/lsst-ts/csu/executor/plan"
)

// patience is how long one input may take on a machine that does other things too;
// what hangs takes for ever.
const patience = 2 * time.Minute

// problems checks that an input is refused as a person can use it: every problem
// with its place and what it is.
func problems(t *testing.T, err error) {
	t.Helper()
	var found *load.Problems
	if !errors.As(err, &found) {
		t.Fatalf("an error of type %T: %v", err, err)
	}
	if len(found.All) == 0 {
		t.Fatal("it is refused without a problem")
	}
	for _, p := range found.All {
		if p.Pos.File == "" || p.Pos.Line == 0 || p.Text == "" {
			t.Errorf("a problem without its place or text: %+v", p)
		}
	}
}

// FuzzRequest gives any text as an upgrade.cue: no panic, no hang, problems with
// their places; and a plan that is made of it encodes to bytes that are read as
// the same plan.
func FuzzRequest(f *testing.F) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"summit", "tucson-teststand", "base-teststand"} {
		data, err := os.ReadFile(filepath.Join(root, "sites", name, "upgrade.cue"))
		if err != nil {
			f.Fatal(err)
		}
		for i := range plan.Types {
			f.Add(data, i)
		}
	}
	site, err := load.Site(root, "summit")
	if err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(f.TempDir(), "upgrade.cue")
	f.Fuzz(func(t *testing.T, data []byte, kind int) {
		typ := string(plan.Types[uint(kind)%uint(len(plan.Types))])
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		request, err := load.Request(root, site, typ, file)
		if took := time.Since(began); took > patience {
			t.Fatalf("it took %s", took)
		}
		if err != nil {
			problems(t, err)
			return
		}
		p, refused := procedure.Compile(site, request)
		if len(refused) > 0 || len(p.Validate()) > 0 {
			return
		}
		once, err := plan.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := plan.Decode("fuzz", once)
		if err != nil {
			t.Fatalf("the plan made of it is not read: %v", err)
		}
		twice, err := plan.Encode(back)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("the plan made of it does not encode to the same bytes again: %v", err)
		}
	})
}

// FuzzSite gives any text as one of a site's files.
func FuzzSite(f *testing.F) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		f.Fatal(err)
	}
	copied := f.TempDir()
	for _, dir := range []string{"cue.mod", "schema", "sites/base-teststand"} {
		if err := os.CopyFS(filepath.Join(copied, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			f.Fatal(err)
		}
	}
	file := filepath.Join(copied, "sites", "base-teststand", "states.cue")
	for _, name := range []string{"states", "hosts", "outside", "site", "testing"} {
		data, err := os.ReadFile(filepath.Join(copied, "sites", "base-teststand", name+".cue"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := load.Site(copied, "base-teststand")
		if took := time.Since(began); took > patience {
			t.Fatalf("it took %s", took)
		}
		if err != nil {
			problems(t, err)
		}
	})
}
