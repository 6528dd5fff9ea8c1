package campaign

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
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
	seen := map[string]bool{}
	for _, how := range []Crash{"", Process} {
		for n := 1; n <= MostCrashes; n++ {
			a, b := refs[0].Draw(how, n), refs[1].Draw(how, n)
			if x, y := CommandLine("f", a.Args(3)...), CommandLine("f", b.Args(3)...); x != y {
				t.Errorf("%d crashes are drawn as\n%s\nand as\n%s", n, x, y)
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
	if len(seen) < MostCrashes {
		t.Errorf("only %d places were drawn", len(seen))
	}
}

// TestCommandLine: a shell takes the line apart as the case was put into it.
func TestCommandLine(t *testing.T) {
	a := Case{How: Power, Dies: []Trigger{
		{On: OnRecord, Key: "talk/asked started", N: 1, At: After},
		{On: OnEffect, Key: "message posted #camera It's $HOME, `over` \"there\"\\", N: 2, At: Middle},
	}}
	want := slices.Concat([]string{"rehearse", "/tmp/a b/plan.json"}, a.Args(12))
	line := CommandLine("/tmp/a b/plan.json", a.Args(12)...)
	out, err := exec.Command("sh", "-c", "csu() { printf '%s\\n' \"$@\"; }; "+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("%s is taken apart as\n%q, want\n%q", line, got, want)
	}
	if line := CommandLine("plans/x.json", Case{How: Killed}.Args(1)...); line != "csu rehearse plans/x.json --seed 1 --crash-by killed --crash none" {
		t.Error(line)
	}
	if _, err := (Case{How: Killed, Dies: make([]Trigger, MostCrashes+1)}).Run(t.Context(), nil, Bench{}); err == nil {
		t.Error("a case with too many crashes was run")
	}
}
