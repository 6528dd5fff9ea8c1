package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/plan"
)

// classes are requests of every class that merges to Phalanx have, and of the ways back.
var classes = []*upgrade{
	{name: "summit/incremental+raised", request: `date: "2026-11-24", changed: [{csc: "EAS:0", revision: 10}]`},
	{name: "summit/incremental+rollback", request: `date: "2026-11-24", changed: [{csc: "EAS:0", revision: 8, why: "rollback"}]`},
	{name: "summit/incremental+rollback0", request: `date: "2026-11-24", changed: [{csc: "EAS:0", revision: 0, why: "rollback"}, {csc: "MTMount:0", revision: 7}]`},
	{name: "summit/incremental+configuration", request: `date: "2026-11-24", changed: [{csc: "MTMount:0", why: "configuration", comesUp: "DISABLED", resources: [{kind: "ConfigMap", name: "mtmount-entrypoint"}]}]`},
	{name: "summit/incremental+unpinned", request: `date: "2026-11-24", changed: [{csc: "EAS:0", why: "unpinned"}]`},
	{name: "summit/incremental+pinned", request: `date: "2026-11-24", changed: [{csc: "Test:42", revision: 0}]`},
	{name: "summit/incremental+renumbered", request: `date: "2026-11-24"
		removed: ["ESS:105"]
		added: "ESS:120": {application: "envsys", job: "tma-ess120", cscName: "ess120", cscClass: "ess", image: "ess", revision: 6}`},
	{name: "summit/incremental+samejob", request: `date: "2026-11-24"
		removed: ["ESS:105"]
		added: "ESS:120": {application: "envsys", job: "tma-ess105", cscName: "ess120", cscClass: "ess", image: "ess", revision: 6}`},
	{name: "summit/incremental+added", request: `date: "2026-11-24"
		added: "ESS:120": {application: "envsys", job: "tma-ess120", cscName: "ess120", cscClass: "ess", image: "ess", revision: 6}`},
	{name: "summit/incremental+removed", request: `date: "2026-11-24", removed: ["Electrometer:201"]`},
	{name: "summit/incremental+love", request: `date: "2026-11-24", applications: ["love"]`},
	{name: "summit/incremental+commander", request: `date: "2026-11-24", changed: [{csc: "love-commander", revision: 4}]`},
	{name: "summit/incremental+wholelove", request: `date: "2026-11-24", changed: [{csc: "love-commander", revision: 4}, {csc: "EAS:0", revision: 10}], applications: ["love"]`},
	{name: "summit/incremental+versions", request: `date: "2026-11-24", applications: ["csc-versions"]`},
	{name: "summit/incremental+queuesstay", request: `date: "2026-11-24", changed: [{csc: "EAS:0", why: "configuration"}], queuesStay: true`},
	{name: "summit/full+back", request: `date: "2026-12-15", cycle: "c0043", revisions: "MTMount:0": 5`},
	{name: "tucson-teststand/incremental+added", request: `date: "2026-11-24"
		added: "FiberSpectrograph:301": {application: "calsys", job: "fiberspectrograph301", cscName: "fiberspectrograph301", cscClass: "fiberspectrograph", image: "fiberspectrograph"}`},
}

// TestClasses: a request of each class compiles to a plan that keeps the rules and is
// carried out to its end. What it is called, what runs before and after, and its steps
// are those of the golden file.
func TestClasses(t *testing.T) {
	t.Parallel()
	for _, u := range classes {
		t.Run(strings.ReplaceAll(u.name, "/", " "), func(t *testing.T) {
			t.Parallel()
			p := u.compile(t)
			golden := filepath.Join("testdata", "classes", strings.ReplaceAll(u.name, "/", "-")+".txt")
			got := classText(t, p)
			if os.Getenv("CSU_UPDATE") != "" {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got; CSU_UPDATE=1 renews it):\n%s", diff)
			}
			carryOut(t, u, p, startSite(t, p), "journal", nil)
		})
	}
}

// classText is what tells a plan of one class from another.
func classText(t *testing.T, p *plan.Plan) string {
	t.Helper()
	var shown bytes.Buffer
	if err := review.Text(&shown, p, review.Terminal{Width: 100}); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(shown.String(), "\nExpected times")
	var b strings.Builder
	b.WriteString(head + "\n")
	text, err := announcement(p, true)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "\nannounced: %s\n", text)
	for i := range p.Stages {
		s := &p.Stages[i]
		fmt.Fprintf(&b, "\n%s: %s\n", s.ID, s.Consent)
		for _, d := range s.Doubts {
			fmt.Fprintf(&b, "  doubt: %s\n", d)
		}
		for j := range s.Steps {
			step := &s.Steps[j]
			fmt.Fprintf(&b, "  %s: %s\n", step.ID, step.Title)
			if a, ok := step.Action.Parameters.(*plan.Announce); ok {
				fmt.Fprintf(&b, "    %s\n", a.Text)
			}
		}
	}
	return b.String()
}
