package campaign

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDrawnAgain: the same plan, seed and number give the same case in another
// run, in which steps that run side by side come in another order.
func TestDrawnAgain(t *testing.T) {
	p, digest, err := load("wide")
	if err != nil {
		t.Fatal(err)
	}
	s := Setting{Plan: p, Digest: digest, Seed: 3}
	var refs [2]*Reference
	for i := range refs {
		if refs[i], err = Refer(t.Context(), s, t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Reverse(refs[1].list) // whatever the order
	const most = 7               // crashes of one case
	seen := map[string]bool{}
	for _, how := range []Crash{"", Process} {
		for n := 1; n <= most; n++ {
			a, b := refs[0].Draw(how, n), refs[1].Draw(how, n)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("%d crashes (-one run +the other):\n%s", n, diff)
			}
			if len(a.Dies) != n {
				t.Errorf("of %d crashes %d were drawn", n, len(a.Dies))
			}
			for _, d := range a.Dies {
				seen[d.String()] = true
				if err := d.Check(p); err != nil {
					t.Error(err)
				}
				if read, err := ParseTrigger(d.String()); err != nil || read != d {
					t.Errorf("%q is read as %+v, %v; it is %+v", d, read, err, d)
				}
				if how == Process && d.On == OnDisk {
					t.Errorf("the disk of a process is to fail: %s", d)
				}
			}
		}
	}
	if len(seen) < most {
		t.Errorf("only %d places were drawn", len(seen))
	}
}
