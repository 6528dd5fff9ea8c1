package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// rehearsed is a run against a simulated site: what the site's own record says
// of it, and what the operator was asked.
type rehearsed struct {
	*upgrade
	plan      *plan.Plan
	effects   []rehearsal.Effect // since the run began
	whole     []rehearsal.Effect // with how the run found the site
	questions []asked
}

// asked is a question, and how many effects the site had recorded by then.
type asked struct {
	operator.Question
	after int
}

// agreeable is an operator who says yes to everything; what failed or is in
// doubt it answers as it is told to, or not at all.
type agreeable struct {
	site   *rehearsal.Site
	failed map[string]operator.Choice // by step

	mu        sync.Mutex
	questions []asked
	events    []operator.Event
}

func (a *agreeable) Ask(_ context.Context, q operator.Question) (operator.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.questions = append(a.questions, asked{q, len(a.site.Record())})
	choice := operator.Yes
	if q.Topic == operator.Failed || q.Topic == operator.InDoubt {
		choice = a.failed[q.Step]
	}
	if !slices.Contains(q.Choices, choice) {
		return operator.Answer{}, &operator.UnattendedError{Question: q, Want: "nothing: the rehearsal should end without it"}
	}
	return operator.Answer{Choice: choice, Reason: "a test", By: "test", Via: "test"}, nil
}

func (a *agreeable) Tell(e operator.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
}

// tail is what was told last.
func (a *agreeable) tail() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, e := range a.events[max(0, len(a.events)-8):] {
		fmt.Fprintf(&b, "%s %s %s: %s\n", e.Time.Format("15:04:05"), e.Kind, e.Step, e.Text)
	}
	return b.String()
}

// startSite starts the simulated site of a plan; it ends with the test.
func startSite(t *testing.T, p *plan.Plan, faults ...string) *rehearsal.Site {
	t.Helper()
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	site, err := rehearsal.Start(t.Context(), rehearsal.Config{Plan: p, Digest: digest, Dir: t.TempDir(), Seed: 1, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(); err != nil {
			t.Error(err)
		}
	})
	return site
}

// carryOut replays a plan at a site to its end. Its journal bears the name.
func carryOut(t *testing.T, u *upgrade, p *plan.Plan, site *rehearsal.Site, journal string, failed map[string]operator.Choice) *rehearsed {
	t.Helper()
	file := filepath.Join(site.Map.Dir, rehearsal.MapFile)
	m, err := sitemap.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	systems, err := systems.Connect(p, m, func(string) (string, error) { return "", errors.New("a rehearsal reads no credential") })
	if err != nil {
		t.Fatal(err)
	}
	defer systems.Remote.Close()
	someone := &agreeable{site: site, failed: failed}
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	before := len(site.Record())
	result, err := executor.Run(t.Context(), executor.Options{
		Plan: p, Digest: digest, PlanFile: path.Base(u.name), Journal: filepath.Join(site.Map.Dir, journal), SiteMap: file,
		Systems: systems, Clock: systems.Clock, Operator: someone, OperatorName: "test", Version: "test", Ledger: custody.NewLedger(p, systems), Timing: ledger.Rehearsed(systems.Clock.Speed()),
	})
	want := executor.Completed
	if len(rehearsal.Summarize(p, site.Record()).Astray) > 0 { // csu's own look finds what the site's record shows
		want = executor.Excepted
	}
	if err != nil || result.End != want {
		t.Fatalf("%s: the run ended %q, %s: %v\n%s", u.name, result.End, result.Text, err, someone.tail())
	}
	if len(result.Down) > 0 || len(result.Owed) > 0 {
		t.Errorf("%s: still down: %q, still owed: %d", u.name, result.Down, len(result.Owed))
	}
	whole := site.Record()
	return &rehearsed{upgrade: u, plan: p, effects: whole[before:], whole: whole, questions: someone.questions}
}

// named returns the upgrade of that name.
func named(t *testing.T, name string) *upgrade {
	t.Helper()
	i := slices.IndexFunc(upgrades, func(u *upgrade) bool { return u.name == name })
	if i < 0 {
		t.Fatalf("there is no upgrade %q", name)
	}
	return upgrades[i]
}

// where returns the places in the record of the effects of a kind, and of a
// subject unless that is "".
func (r *rehearsed) where(kind, subject string) []int {
	var out []int
	for i, e := range r.effects {
		if e.Kind == kind && (subject == "" || e.Subject == subject) {
			out = append(out, i)
		}
	}
	return out
}

// builds reports whether an effect is a command of a build, which goes on by itself beside
// the steps that follow.
func (r *rehearsed) builds(e rehearsal.Effect) bool {
	by := strings.ReplaceAll(e.Detached, "_", "/") // csu-RUN/STEP/ATTEMPT
	for s := range r.plan.AllSteps() {
		if a, ok := s.Action.Parameters.(*plan.SSH); ok && (a.Purpose == plan.Build || a.Purpose == plan.AwaitBuild) && strings.Contains(by, "/"+s.ID+"/") {
			return true
		}
	}
	return false
}

// subjects are those of the effects of a kind, in order.
func (r *rehearsed) subjects(kind string) []string {
	var out []string
	for _, i := range r.where(kind, "") {
		out = append(out, r.effects[i].Subject)
	}
	return out
}

// first and last return the place of such an effect, and fail the test where
// there is none.
func (r *rehearsed) first(t *testing.T, kind, subject string) int {
	t.Helper()
	all := r.where(kind, subject)
	if len(all) == 0 {
		t.Fatalf("%s: the record has no %q of %q", r.name, kind, subject)
	}
	return all[0]
}

func (r *rehearsed) last(t *testing.T, kind, subject string) int {
	t.Helper()
	r.first(t, kind, subject)
	all := r.where(kind, subject)
	return all[len(all)-1]
}

// changes are the places at which a CSC came to a state; of any CSC for "".
func (r *rehearsed) changes(csc, state string) []int {
	var out []int
	for _, i := range r.where(rehearsal.StateChanged, csc) {
		if strings.HasSuffix(r.effects[i].Detail, "-> "+state) {
			out = append(out, i)
		}
	}
	return out
}

// sent are the CSCs that were sent to OFFLINE, in order.
func (r *rehearsed) sent() []string {
	var out []string
	for _, i := range r.changes("", plan.Offline) {
		out = append(out, r.effects[i].Subject)
	}
	return out
}

// offline returns the place at which a CSC came to OFFLINE, -1 where the
// upgrade found it there, as it does a bridge that no camera is used with.
func (r *rehearsed) offline(t *testing.T, csc string) int {
	t.Helper()
	if all := r.changes(csc, plan.Offline); len(all) > 0 {
		return all[0]
	}
	found := slices.ContainsFunc(r.whole, func(e rehearsal.Effect) bool {
		return e.Kind == rehearsal.CSCFound && e.Subject == csc && e.Detail == plan.Offline
	})
	if !found {
		t.Fatalf("%s: %s did not come to OFFLINE", r.name, csc)
	}
	return -1
}

// precedes reports two effects that came in another order.
func (r *rehearsed) precedes(t *testing.T, a, b int) {
	t.Helper()
	if a >= b {
		t.Errorf("%s: %s\n  did not come before\n%s", r.name, r.tell(a), r.tell(b))
	}
}

func (r *rehearsed) tell(i int) string {
	e := r.effects[i]
	return fmt.Sprintf("%d %s %s %s %s %s", e.Seq, e.Time.Format("15:04:05"), e.Kind, e.Subject, e.Detail, e.Identity)
}

// question returns what was asked at a step or a stage about a topic.
func (r *rehearsed) question(t *testing.T, at string, topic operator.Topic) asked {
	t.Helper()
	var found []asked
	for _, q := range r.questions {
		if q.Topic == topic && (q.Step == at || q.Step == "" && q.Stage == at) {
			found = append(found, q)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s: %s was asked %d times at %s", r.name, topic, len(found), at)
	}
	return found[0]
}

// jobs are the Jobs of CSCs, as namespace/name.
func (r *rehearsed) jobs(cscs ...string) []string {
	var out []string
	for _, name := range cscs {
		if c, ok := r.plan.CSC(name); ok && c.Job != nil {
			out = append(out, c.Job.Namespace+"/"+c.Job.Name)
		}
	}
	slices.Sort(out)
	return out
}
