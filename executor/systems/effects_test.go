package systems

import (
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
)

// Which systems and credentials a run needs follows from the effects of the steps
// alone: an imaginary kind with the same effects needs the same.
func TestEffectsSteerTheConnections(t *testing.T) {
	systems := map[string]string{
		"manual": "", "manual with states": "EFD", "manual with applications": "cluster", "announce": "",
		"await-state": "EFD", "ssh stop": "", "ssh update": "", "ssh build": "", "ssh await-build": "", "ssh start": "", "ssh start where silent": "EFD", "reboot": "",
		"delete jobs": "cluster", "delete namespaces": "cluster", "sync": "cluster", "sync of one": "cluster", "compatibility": "cluster",
	}
	for _, sample := range plantest.Samples(t) {
		p := plantest.Plan(sample.Action)
		disguised := sample.Disguised(p)
		want, named := systems[sample.Name]
		if !named { // scripts
			want = "LOVE EFD"
		}
		if got := systemsOf(t, p); got != want {
			t.Errorf("%s: it uses %q, want %q", sample.Name, got, want)
		}
		if got := systemsOf(t, plantest.Plan(disguised)); got != want {
			t.Errorf("%s: its effects alone use %q, want %q", sample.Name, got, want)
		}
	}
}

// systemsOf names the systems for which a plan needs credentials, and the cluster.
func systemsOf(t *testing.T, p *plan.Plan) string {
	t.Helper()
	c := connection{lookup: func(string) (string, error) { return "", nil }}
	_, err := c.secrets(usesOf(p), false)
	var names []string
	for _, s := range []struct{ name, user, password string }{{"LOVE", LOVEUsername, LOVEPassword}, {"EFD", EFDUsername, EFDPassword}} {
		missing := err != nil && strings.Contains(err.Error(), s.user) && strings.Contains(err.Error(), s.password)
		if missing {
			names = append(names, s.name)
		}
	}
	if UsesCluster(p) {
		names = append(names, "cluster")
	}
	return strings.Join(names, " ")
}
