package rehearsal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// buildsOn returns what the summit's full plan does on the cRIOs of the CSCs, which keep
// their states: the stages with the builds and with what follows them.
func buildsOn(t *testing.T, hosts ...string) *plan.Plan {
	t.Helper()
	p := readPlan(t, "summit-full")
	p.Final = nil
	p.Stages = slices.DeleteFunc(p.Stages, func(s plan.Stage) bool { return s.ID != "builds" && s.ID != "crios" })
	for i := range p.Stages {
		p.Stages[i].Steps = slices.DeleteFunc(p.Stages[i].Steps, func(s plan.Step) bool {
			return !slices.ContainsFunc(s.Names(p), func(csc string) bool {
				c, ok := p.CSC(csc)
				return ok && slices.Contains(hosts, c.Host)
			})
		})
	}
	return p
}

// The services of the CSCs that keep their states are down for minutes of the site's time,
// although their builds take more than an hour (P6, P29).
func TestServicesAreDownForMinutes(t *testing.T) {
	t.Parallel()
	hosts := []string{"m1m3-crio-ss", "m1m3-crio-ts"}
	r := atSpeed(t, buildsOn(t, hosts...), 1, 120) // slow enough that csu's own work does not count
	if got := r.run(); got.End != executor.Completed {
		t.Fatalf("the run ended %q: %s\n%s", got.End, got.Text, r.seen.String())
	}
	for _, host := range hosts {
		var built, stopped, started time.Time
		for _, e := range r.site.Record() {
			switch {
			case e.Subject != host:
			case e.Kind == CommandRun && strings.HasPrefix(e.Detail, "make") && built.Before(e.Time):
				built = e.Time
			case e.Kind == ServiceStop:
				stopped = e.Time
			case e.Kind == ServiceStart:
				started = e.Time
			}
		}
		if down := started.Sub(stopped); stopped.IsZero() || down <= 0 || down >= 5*time.Minute {
			t.Errorf("the service on %s was down for %s", host, down)
		}
		if !built.Before(stopped) {
			t.Errorf("the service on %s was stopped at %s, before the last build at %s", host, stopped, built)
		}
	}
}

// A reboot of the cRIO loses its build. The operator is asked, and the build is done again
// while the service runs; nothing else is repeated.
func TestRebootLosesABuild(t *testing.T) {
	t.Parallel()
	const host = "m1m3-crio-ss"
	r := newPractice(t, buildsOn(t, host))
	if got := r.run(func(o *executor.Options) { o.Until = "builds" }); got.End == executor.Completed {
		t.Fatalf("the run ended %q: %s", got.End, got.Text)
	}
	locked(func(s *Site) { s.hosts[host].reboot() })(r)
	r.wait(host+" to be up", func() bool { return !r.site.hosts[host].down })
	r.replies = []reply{{topic: operator.BuildLost, step: "crios/" + host + "-built", says: []string{"lost when the host was rebooted", "Build again?"}, choice: operator.Yes}}
	if got := r.run(); got.End != executor.Completed {
		t.Fatalf("the run ended %q: %s\n%s", got.End, got.Text, r.seen.String())
	}
	if len(r.replies) > 0 || !strings.Contains(r.seen.String(), "lost when the host was rebooted") {
		t.Errorf("the operator was not asked about the lost build:\n%s", r.seen.String())
	}
	stops := 0
	for _, e := range r.site.Record() {
		if e.Subject == host && e.Kind == ServiceStop {
			stops++
		}
	}
	if stops != 1 {
		t.Errorf("the service was stopped %d times", stops)
	}
}
