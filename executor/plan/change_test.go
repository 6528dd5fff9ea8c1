package plan

import (
	"strings"
	"testing"
)

// TestMoves: what runs before and after is said once for all CSCs that change alike.
func TestMoves(t *testing.T) {
	row := func(csc, before, after string) CSC {
		return CSC{CSC: csc, Job: &Job{}, Before: before, Image: after}
	}
	p := &Plan{
		Type: Incremental,
		Upgrade: Upgrade{
			Cycle: "c0044", Added: []string{"ESS:9"}, Removed: []string{"ESS:8"},
			Changed: []Change{
				{CSC: "ESS:1", Revision: 7}, {CSC: "ESS:2", Revision: 7}, {CSC: "EAS:0", Revision: 1, Why: Rollback}, {CSC: "GIS:0", Why: Configuration},
				{CSC: "DIMM:1", Why: Unpinned}, {CSC: "Test:42"}, {CSC: "MTPtg:0", Revision: 1},
			},
		},
		CSCs: []CSC{
			row("ESS:1", "r/ess:c0044.006", "r/ess:c0044.007"), row("ESS:2", "r/ess:c0044.006", "r/ess:c0044.007"),
			row("EAS:0", "r/eas:c0044.002", "r/eas:c0044.001"), row("GIS:0", "", "r/gis:c0044.002"), row("DIMM:1", "r/dimm:c0044.001", "r/dimm:c0044"),
			row("Test:42", "", "r/test:c0044"), row("MTPtg:0", "r/ptkernel:c0044", "r/mtptg:c0044.001"), row("HVAC:0", "", "r/hvac:c0044"),
			row("ESS:8", "r/ess:c0044.006", ""), row("ESS:9", "", "r/ess:c0044.006"), {CSC: "MTCamera:0", Host: "mcm"},
		},
	}
	var got []string
	for _, m := range p.Moves() {
		got = append(got, m.String())
	}
	want := "ESS:1,2 c0044.006 → c0044.007|EAS c0044.002 → c0044.001 (rollback)|GIS c0044.002 (configuration)|DIMM:1 c0044.001 → c0044 (unpinned)|" +
		"Test:42 c0044 (new build)|MTPtg r/ptkernel:c0044 → r/mtptg:c0044.001|ESS:8 c0044.006 → none (removed)|ESS:9 none → c0044.006 (added)"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

// TestWhat: an upgrade is called what it does.
func TestWhat(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		u    Upgrade
		want string // what, and its kind in a heading
	}{
		{Full, Upgrade{From: "c0044"}, "the upgrade of the control system to cycle c0045; full upgrade"},
		{Full, Upgrade{From: "c0046"}, "the rollback of the control system from cycle c0046 to cycle c0045; rollback from cycle c0046"},
		{Recovery, Upgrade{}, "the recovery of the control system after IT maintenance; recovery after an upgrade of the OS or Kubernetes"},
		{Incremental, Upgrade{Changed: []Change{{CSC: "EAS:0"}}}, "the incremental upgrade of EAS (cycle c0045); incremental upgrade"},
		{Incremental, Upgrade{Changed: []Change{{CSC: "EAS:0", Why: Rollback}}}, "the rollback of EAS (cycle c0045); rollback of EAS"},
		{Incremental, Upgrade{Changed: []Change{{CSC: "EAS:0"}, {CSC: "GIS:0", Why: Configuration}}, Removed: []string{"ESS:1"}},
			"the incremental upgrade of EAS with the new configuration of GIS and the removal of ESS:1 (cycle c0045); incremental upgrade of EAS with new configuration of GIS and removal of ESS:1"},
		{Incremental, Upgrade{Applications: []string{"love"}}, "the upgrade of LOVE (cycle c0045); upgrade of LOVE"},
		{Incremental, Upgrade{Applications: []string{"csc-versions"}}, "the sync of csc-versions (cycle c0045); sync of csc-versions"},
		{Incremental, Upgrade{Hosts: []string{"love01"}}, "the update of love01 (cycle c0045); update of love01"},
	} {
		c.u.Cycle = "c0045"
		p := &Plan{Type: c.typ, Upgrade: c.u}
		if got := p.What() + "; " + p.Kind(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
