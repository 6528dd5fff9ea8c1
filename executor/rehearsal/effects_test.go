package rehearsal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/internal/action"
	efdapi "github.com/lsst-ts/csu/executor/internal/efd"
	loveapi "github.com/lsst-ts/csu/executor/internal/love"
	slackapi "github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/plan/plantest"
)

// What each kind says that it does is what the site observes of it, and nothing
// else. The site has its own model of the scripts and systems.
func TestEffectsAreWhatTheSiteObserves(t *testing.T) {
	for _, sample := range plantest.Samples(t) {
		t.Run(sample.Name, func(t *testing.T) {
			t.Parallel()
			p := plantest.Plan(sample.Action)
			e := sample.Action.Effects(p)
			r := newPractice(t, p)
			r.makeReady(sample.Name)
			if sample.Name == "ssh await-build" { // nothing has begun it
				r.replies = []reply{{topic: operator.BuildLost, step: "all/1", choice: operator.Yes}}
			}
			before := len(r.site.Record())
			selected := r.site.namespacesWith(e.Namespaces)
			used := counts{}

			got := r.run(func(o *executor.Options) { o.Systems = r.only(o.Systems, e, &used) })
			// A plan that only shuts CSCs down ends with exceptions: nothing brings them up.
			if got.End != executor.Completed && (got.End != executor.Excepted || len(e.Down) == 0) {
				t.Fatalf("the run ended %q: %s\n%s\n%s", got.End, got.Text, r.seen.String(), r.site.tail(20))
			}
			r.sees(e)
			if diff := cmp.Diff(usedBy(e), used.systems()); diff != "" {
				t.Errorf("the systems that it talked to (-effects +observed):\n%s", diff)
			}
			want := promised(p, e)
			r.wait("what still has to happen", func() bool { return len(missing(want.All, r.site.observe(before, selected, e).All)) == 0 })
			_ = r.site.clk.Sleep(t.Context(), 2*time.Minute) // in which nothing else happens
			if diff := cmp.Diff(want, r.site.observe(before, selected, e)); diff != "" {
				t.Errorf("what it did (-effects +observed):\n%s\n%s", diff, r.site.tail(20))
			}
		})
	}
}

// startedBy are the CSCs that a sample starts; they are down before it. Its effects
// must not decide that: what they forget would be up already.
var startedBy = map[string][]string{
	"ssh start": {"MTVMS:1"}, "ssh start where silent": {"MTVMS:1"}, "sync": {"LOVE:0", "love-commander"}, "sync of one": {"ESS:105"},
}

// makeReady brings the site to where a sample is due: what it starts is down and has
// fallen silent in the EFD, every CSC says that it goes OFFLINE, and the camera bridge
// is enabled where it is to be sent there.
func (r *practice) makeReady(sample string) {
	s := r.site
	s.mu.Lock()
	var down []*csc
	for _, c := range s.cscs {
		c.reportsOffline = true
		if c.row.Bridge && strings.HasPrefix(sample, "shutdown") {
			s.publish(c, enabled)
		}
		if !slices.Contains(startedBy[sample], c.row.CSC) {
			continue
		}
		down = append(down, c)
		if c.row.Job != nil {
			s.cluster.removeJob(s.cluster.jobs[jobKey(c.row.Job)], metav1.DeletePropagationBackground)
			continue
		}
		h := s.hosts[c.row.Host]
		for _, v := range h.services {
			h.stop(v)
		}
	}
	s.mu.Unlock()
	for _, c := range down {
		r.wait(c.row.CSC+" to be down", func() bool { return !c.lives() && (c.row.Job == nil || s.podsOf(c) == 0) })
	}
	r.fallSilent(down)
}

// fallSilent waits until csu no longer hears the CSCs, which are down. It hears their
// last heartbeats for a while, and a step that starts only what is silent would start
// nothing.
func (r *practice) fallSilent(down []*csc) {
	r.t.Helper()
	var cscs []efdapi.CSC
	for _, c := range down {
		if c.component != "" {
			cscs = append(cscs, efdapi.CSC{Component: c.component, Index: c.index})
		}
	}
	if len(cscs) == 0 {
		return
	}
	client := r.options().Systems.EFD
	var sights []efdapi.Sight
	silent := until(5*time.Millisecond, func() bool {
		var err error
		if sights, err = client.Look(r.t.Context(), cscs); err != nil {
			r.t.Fatal(err)
		}
		return !slices.ContainsFunc(sights, func(s efdapi.Sight) bool { return s.Heard })
	})
	if !silent {
		r.t.Fatalf("CSCs that are down are still heard: %+v\n%s", sights, r.site.tail(15))
	}
}

func (s *Site) podsOf(c *csc) int {
	n := 0
	for _, p := range s.cluster.pods {
		if p.Namespace == c.row.Job.Namespace && p.Labels["csc"] == c.row.Job.Label {
			n++
		}
	}
	return n
}

// counts are the requests to the systems that are spoken to over HTTP.
type counts struct{ love, efd, slack atomic.Int64 }

// counted sends requests on, and counts them.
type counted struct{ n *atomic.Int64 }

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

func (c *counts) systems() map[string]bool {
	return map[string]bool{"LOVE": c.love.Load() > 0, "EFD": c.efd.Load() > 0, "Slack": c.slack.Load() > 0}
}

func usedBy(e plan.Effects) map[string]bool {
	return map[string]bool{"LOVE": e.LOVE, "EFD": e.EFD, "Slack": e.Posts != ""}
}

// only returns the clients of those systems alone that the effects name: a step
// that talks to another one panics.
func (r *practice) only(all *action.Systems, e plan.Effects, used *counts) *action.Systems {
	r.t.Helper()
	m := r.site.Map
	client := func(n *atomic.Int64) *http.Client { return &http.Client{Transport: counted{n}} }
	some := &action.Systems{Clock: all.Clock}
	if e.LOVE {
		some.LOVE = loveapi.New(m.LOVE, m.Credentials["CSU_LOVE_USERNAME"], m.Credentials["CSU_LOVE_PASSWORD"], client(&used.love))
	}
	if e.EFD {
		some.EFD = efdapi.New(m.EFD, "efd", m.Credentials["CSU_EFD_USERNAME"], m.Credentials["CSU_EFD_PASSWORD"], client(&used.efd), all.Clock, time.Duration(r.plan.Targets.EFD.Lag))
	}
	if e.Posts != "" {
		var err error
		if some.Slack, err = slackapi.New(m.Credentials["CSU_SLACK_TOKEN"], "", m.Slack, client(&used.slack), all.Clock); err != nil {
			r.t.Fatal(err)
		}
	}
	if e.Host != "" {
		some.Remote = all.Remote
	}
	if e.Cluster() {
		some.Cluster, some.ArgoCD, some.Registry = all.Cluster, all.ArgoCD, all.Registry
	}
	return some
}

// outcome is what a step does to the site.
type outcome struct {
	Commanded []string // CSCs with the states in which that left them, in the order of the commands
	All       []string // everything else, sorted
}

// promised returns what the effects say.
func promised(p *plan.Plan, e plan.Effects) outcome {
	var o outcome
	say := func(format string, args ...any) { o.All = append(o.All, fmt.Sprintf(format, args...)) }
	for _, c := range e.Commands {
		o.Commanded = append(o.Commanded, c+" "+e.State)
	}
	for _, d := range e.Down {
		row, _ := p.CSC(d.CSC)
		if d.By == plan.ByDeletion {
			say("the Job of %s is deleted", d.CSC)
		}
		if row.Speaks() && !row.Bridge { // a bridge that is OFFLINE goes on
			say("%s goes down", d.CSC)
		}
	}
	for _, c := range e.Starts {
		row, _ := p.CSC(c)
		if row.Job != nil {
			say("the Job of %s is created", c)
		}
		if row.Speaks() {
			say("%s comes up", c)
		}
	}
	for format, value := range map[string]string{
		"a script runs on %s": scriptQueueOf(e.Queue), "a message is posted to %s": e.Posts, "commands run on %s": e.Host, "%s is synced": e.Syncs,
		"%s is stopped": e.Stopped, "%s is started": e.Started, "%s is rebooted": e.Rebooted, "the namespaces of %s are deleted": e.Namespaces,
	} {
		if value != "" {
			say(format, value)
		}
	}
	if e.Level != "" {
		say("the level goes %s -> %s", e.LevelBefore, e.Level)
	}
	slices.Sort(o.All)
	return o
}

func scriptQueueOf(index int) string {
	if index == 0 {
		return ""
	}
	return fmt.Sprintf("ScriptQueue:%d", index)
}

// observe returns what the site has recorded from a place on, in the same words.
// What the end of a step needs no words for, it leaves out: that scripts and syncs
// have ended, and that a host and what runs there are up again after its boot.
func (s *Site) observe(from int, selected []string, e plan.Effects) outcome {
	var o outcome
	var namespaces []string
	boots := map[string]bool{}
	say := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(o.All, text) {
			o.All = append(o.All, text)
		}
	}
	for _, x := range s.Record()[from:] {
		switch x.Kind {
		case StateChanged:
			_, state, _ := strings.Cut(x.Detail, " -> ")
			i := slices.IndexFunc(o.Commanded, func(c string) bool { return strings.HasPrefix(c, x.Subject+" ") })
			if i < 0 {
				i = len(o.Commanded)
				o.Commanded = append(o.Commanded, "")
			}
			o.Commanded[i] = x.Subject + " " + state
		case CSCDown:
			say("%s goes down", x.Subject)
		case CSCUp:
			if !boots[s.byName[x.Subject].row.Host] {
				say("%s comes up", x.Subject)
			}
		case JobDeleted:
			say("the Job of %s is deleted", s.cscOfJob(x.Subject))
		case JobCreated:
			say("the Job of %s is created", s.cscOfJob(x.Subject))
		case NamespaceGone:
			namespaces = append(namespaces, x.Subject)
		case ScriptAdded:
			say("a script runs on %s", x.Subject)
		case MessagePosted:
			say("a message is posted to %s", x.Subject)
		case CommandRun:
			say("commands run on %s", x.Subject)
		case SyncStarted:
			say("%s is synced", x.Subject)
		case ServiceStop:
			say("%s on %s is stopped", x.Detail, x.Subject)
		case ServiceStart:
			say("%s on %s is started", x.Detail, x.Subject)
		case Rebooted:
			boots[x.Subject] = true
			say("%s is rebooted", x.Subject)
		case LevelChanged:
			say("the level goes %s", x.Detail)
		case ScriptEnded, SyncEnded, HostUp, LedgerClaimed, LedgerReleased:
		default:
			say("%s %s %s", x.Kind, x.Subject, x.Detail)
		}
	}
	slices.Sort(namespaces)
	if len(namespaces) > 0 && slices.Equal(namespaces, selected) {
		say("the namespaces of %s are deleted", e.Namespaces)
	} else if len(namespaces) > 0 {
		say("the namespaces %s are deleted, not %s", strings.Join(namespaces, ", "), strings.Join(selected, ", "))
	}
	slices.Sort(o.All)
	return o
}

// missing returns what is in a and not in b.
func missing(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func (s *Site) cscOfJob(key string) string {
	for _, c := range s.cscs {
		if c.row.Job != nil && jobKey(c.row.Job) == key {
			return c.row.CSC
		}
	}
	return key
}

func (s *Site) namespacesWith(selector string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, n := range s.cluster.namespaces {
		for key, value := range labelsFor(selector) {
			if n.Labels[key] == value {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// sees compares where the CSCs are with where the step saw them.
func (r *practice) sees(e plan.Effects) {
	r.t.Helper()
	s := r.site
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range e.Sees {
		for _, name := range w.CSCs {
			if at := s.where(s.csc(name)); !slices.Contains(w.States, at) && (len(w.States) > 0 || at != "running") {
				r.t.Errorf("%s is %s when the step is done, want one of %q", name, at, w.States)
			}
		}
	}
}

// where returns in which state a CSC is, in the words of plans.
func (s *Site) where(c *csc) string {
	switch {
	case c.component == "":
		for _, p := range s.cluster.pods {
			if p.Namespace == c.row.Job.Namespace && p.Labels["csc"] == c.row.Job.Label && p.Status.Phase == corev1.PodRunning {
				return "running"
			}
		}
		return "not running"
	case c.row.Bridge && c.lives() && c.state == offline:
		return plan.OfflineAvailable
	case !c.lives():
		return plan.Offline
	}
	return c.state.String()
}
