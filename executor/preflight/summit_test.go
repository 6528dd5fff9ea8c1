package preflight_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/preflight"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// simulated starts the simulated site of one of the project's plans, and returns
// what leads to it, the site, and its folder.
func simulated(t *testing.T, name string) (*plan.Plan, *systems.Clients, *rehearsal.Site, string) {
	t.Helper()
	p, _, err := plan.ReadFile(filepath.Join("../../plans", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	site, err := rehearsal.Start(t.Context(), rehearsal.Config{Plan: p, Digest: digest, Dir: dir, Speed: 60, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := sitemap.Read(filepath.Join(dir, rehearsal.MapFile))
	if err != nil {
		t.Fatal(err)
	}
	systems, err := systems.Connect(p, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { systems.Remote.Close() })
	return p, systems, site, dir
}

// The summit's full plan uses every host and every application. The operator
// waits for its preflight, which must not affect the site.
func TestThePreflightOfTheSummitTakesLessThan30Seconds(t *testing.T) {
	p, systems, site, dir := simulated(t, "2026-12-15-summit-full")
	before := site.Record()
	began := time.Now()
	checks := preflight.Run(t.Context(), preflight.Options{Plan: p, Systems: systems, Rehearsed: true, Folder: dir})
	took := time.Since(began)
	if err := preflight.Verdict(checks); err != nil {
		t.Errorf("Verdict = %v, want nil", err)
	}
	if took >= 30*time.Second {
		t.Errorf("%d checks took %s, want less than 30 s", len(checks), took)
	}
	var hosts, applications int
	for _, c := range checks {
		switch kind := c.Subject[:min(len(c.Subject), 5)]; kind {
		case "host ":
			hosts++
		case "appli":
			applications++
		}
	}
	if hosts < 10 || applications < 10 {
		t.Errorf("%d logins and %d applications checked, want those of the whole summit", hosts, applications)
	}
	effects := slices.DeleteFunc(site.Record()[len(before):], func(e rehearsal.Effect) bool { return e.System == rehearsal.SystemFault })
	if len(effects) > 0 {
		t.Errorf("preflight affected the site: %v", effects)
	}
}
