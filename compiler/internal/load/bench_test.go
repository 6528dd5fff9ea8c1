package load_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	cueload "cuelang.org/go/cue/load"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/executor/plan"
)

// cueAlone loads, builds and validates a site as the stock command does.
func cueAlone(b *testing.B, root, site string) {
	b.Helper()
	for _, inst := range cueload.Instances([]string{"./sites/" + site}, &cueload.Config{Dir: root, ModuleRoot: root}) {
		if inst.Err != nil {
			b.Fatal(inst.Err)
		}
		if err := cuecontext.New().BuildInstance(inst).Validate(cue.Concrete(true)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompile is the time for compiling the summit's full plan, against what
// CUE alone needs to load and validate the same site: medians of five runs of
// each, in turn.
func BenchmarkCompile(b *testing.B) {
	const rounds = 5
	root, err := filepath.Abs("../../..")
	if err != nil {
		b.Fatal(err)
	}
	var ours, alone [rounds]float64
	for b.Loop() {
		for i := range rounds {
			began := time.Now()
			if _, _, err := compiler.Compile(compiler.Request{Root: root, Site: "summit", Type: plan.Full}); err != nil {
				b.Fatal(err)
			}
			ours[i] = time.Since(began).Seconds() * 1e3
			began = time.Now()
			cueAlone(b, root, "summit")
			alone[i] = time.Since(began).Seconds() * 1e3
		}
	}
	slices.Sort(ours[:])
	slices.Sort(alone[:])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours[rounds/2], "ms/compile")
	b.ReportMetric(alone[rounds/2], "ms/cue-alone")
	b.ReportMetric(ours[rounds/2]/alone[rounds/2], "ratio")
}
