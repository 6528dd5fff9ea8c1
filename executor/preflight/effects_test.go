package preflight

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan/plantest"
)

// What preflight checks follows from the effects of the steps alone: of an
// imaginary kind with the same effects it checks the same.
func TestEffectsDecideWhatIsChecked(t *testing.T) {
	const logins = "admin@m1m3-crio-vms.cp.lsst.org"
	want := map[string]string{
		"manual": "", "manual with states": "EFD", "manual with applications": "cluster", "announce": "Slack", "await-state": "EFD",
		"ssh stop": logins, "ssh update": logins, "ssh build": logins, "ssh await-build": logins, "ssh start": logins, "ssh start where silent": "EFD " + logins, "reboot": "operator@azar02.cp.lsst.org",
		"delete jobs": "cluster", "delete namespaces": "cluster", "sync": "application love cluster", "sync of one": "application envsys cluster",
		"compatibility": "level FORWARD cluster",
	}
	for _, sample := range plantest.Samples(t) {
		p := plantest.Plan(sample.Action)
		n := needsOf(p, nil)
		expected, named := want[sample.Name]
		if !named { // scripts
			expected = "LOVE EFD"
		}
		if got := n.summary(); got != expected {
			t.Errorf("%s: it needs %q, want %q", sample.Name, got, expected)
		}
		if got := needsOf(plantest.Plan(sample.Disguised(p)), nil); !reflect.DeepEqual(got, n) {
			t.Errorf("%s: its effects alone need\n%+v, want\n%+v", sample.Name, got, n)
		}
	}
}

func (n *needs) summary() string {
	var names []string
	for name, needed := range map[string]bool{"LOVE": n.love, "EFD": n.efd, "Slack": n.slack} {
		if needed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	for _, h := range n.hosts {
		names = append(names, h.User+"@"+h.Address)
	}
	for _, a := range n.applications {
		names = append(names, "application "+a)
	}
	if n.level != "" {
		names = append(names, "level "+n.level)
	}
	if n.cluster() {
		names = append(names, "cluster")
	}
	return strings.Join(names, " ")
}

// The rights that are checked beside the ledger's are those that the step uses.
func TestRightsAreThoseOfTheEffects(t *testing.T) {
	for _, sample := range plantest.Samples(t) {
		p := plantest.Plan(sample.Action)
		var want []cluster.Permission
		for _, r := range sample.Action.Effects(p).Requests {
			if right := cluster.Permission(r); !slices.Contains(want, right) {
				want = append(want, right)
			}
		}
		got := slices.DeleteFunc(needsOf(p, nil).permissions, func(r cluster.Permission) bool { return r.Resource == "configmaps" })
		if !slices.Equal(got, want) {
			t.Errorf("%s: rights %v, want %v", sample.Name, got, want)
		}
	}
}
