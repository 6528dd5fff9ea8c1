package campaign

import (
	"flag"
	"strings"
	"testing"
)

var rivalSeed = flag.Int64("rivals", 0, "carry out the schedule of two csu that this seed draws")

// TestRivals: of two csu on two copies of a journal none has an effect that the
// other has had, or passes the gate when the other has the ledger; and nothing is
// left out.
func TestRivals(t *testing.T) {
	seeds := int64(100)
	if *full {
		seeds = 500
	}
	first := int64(1)
	if *rivalSeed > 0 {
		first, seeds = *rivalSeed, 1
	}
	for seed := first; seed < first+seeds; seed++ {
		problems, log := NewRivals(seed).Run()
		if len(problems) > 0 {
			t.Errorf("%s\nagain: go test ./executor/campaign -run '^TestRivals$' -rivals %d\n%s", strings.Join(problems, "\n"), seed, strings.Join(log, "\n"))
		}
	}
}
