package ground_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/registry"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/preflight"
	"github.com/lsst-ts/csu/executor/systems"
)

func TestAGoodGroundIsReadyAndStaysAsItIs(t *testing.T) {
	x := newTrial(t)
	writeTest(t, filepath.Join(x.ready.hosts["azar03"].Home, "shutdown_gc"), "#!/bin/sh\necho ran >>\"$HOME/ran\"\n")
	// Controllers write to Applications, Jobs and pods at any time. A write by
	// csu would occur on every try.
	for try := 1; ; try++ {
		before := x.everything()
		checks := x.checks()
		if err := preflight.Verdict(checks); err != nil {
			t.Fatalf("Verdict = %v, want nil\n%s", err, shown(checks))
		}
		for _, subject := range []string{
			"journal's folder", "LOVE", "EFD", "clock", "CSCs", "host azar03 as dco", "host lsstcam-mcm as operator",
			"cluster", "ledger", "permissions", "application auxtel", "schema registry", "Slack",
		} {
			if c := about(t, checks, subject); c.Result != preflight.Ready {
				t.Errorf("%s: %s, want it ready", c.Subject, c.Text)
			}
		}
		after := x.everything()
		changed := differences(before, after)
		if len(changed) == 0 {
			break
		}
		for _, name := range changed {
			was, _, _ := strings.Cut(before[name], " version ")
			is, _, written := strings.Cut(after[name], " version ")
			if was != is || !written || try == 30 {
				t.Errorf("%s was %q before the preflight, and is %q after it", name, before[name], after[name])
			}
		}
		if t.Failed() {
			break
		}
		time.Sleep(time.Second)
	}
	for name, a := range map[string]*account{"LOVE": x.ready.love, "Slack": x.ready.slack} {
		if asked := a.others(); len(asked) > 0 {
			t.Errorf("%s was asked for %q, want nothing but the account", name, asked)
		}
	}
	if sets := x.ready.registry.Sets(); len(sets) > 0 {
		t.Errorf("the registry's level was set to %q", sets)
	}
}

// everything returns what a plan could have changed, by kind and name, with
// something that differs once it was changed; what controllers write too has its
// version at the end.
func (x *trial) everything() map[string]string {
	x.t.Helper()
	all := map[string]string{}
	for _, kind := range []schema.GroupVersionResource{
		{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"},
		{Group: "batch", Version: "v1", Resource: "jobs"},
		{Version: "v1", Resource: "namespaces"},
		{Version: "v1", Resource: "pods"},
	} {
		list, err := x.argo.ground.Dynamic.Resource(kind).List(x.t.Context(), metav1.ListOptions{})
		if err != nil {
			x.t.Fatal(err)
		}
		for _, o := range list.Items {
			all[kind.Resource+" "+o.GetNamespace()+"/"+o.GetName()] = string(o.GetUID()) + " version " + o.GetResourceVersion()
		}
	}
	ledgers, err := x.argo.ground.Admin.CoreV1().ConfigMaps(ledger.Namespace).List(x.t.Context(), metav1.ListOptions{})
	if err != nil {
		x.t.Fatal(err)
	}
	for _, o := range ledgers.Items {
		all["ledgers "+o.Name] = string(o.UID) + " " + o.ResourceVersion
	}
	for name, h := range x.ready.hosts {
		err := filepath.WalkDir(h.Home, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			all["files "+name+" "+path] = info.ModTime().String()
			return nil
		})
		if err != nil {
			x.t.Fatal(err)
		}
	}
	return all
}

func differences(before, after map[string]string) []string {
	both := maps.Clone(before)
	maps.Copy(both, after)
	var changed []string
	for name := range both {
		if before[name] != after[name] {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// about returns the one check of a subject.
func about(t *testing.T, checks []preflight.Check, subject string) preflight.Check {
	t.Helper()
	var found []preflight.Check
	for _, c := range checks {
		if c.Subject == subject {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d checks of %q, want one\n%s", len(found), subject, shown(checks))
	}
	return found[0]
}

// breakage is one thing that is wrong, and how the preflight reports it.
type breakage struct {
	name    string
	breaks  func(x *trial)
	subject string   // the only one that is not ready
	texts   []string // what it says
	remedy  string   // and what to do: the hint of the cause, where that has one
}

// broken runs the preflight of a ground with one thing broken.
func broken(t *testing.T, breakages []breakage) {
	t.Helper()
	for _, b := range breakages {
		t.Run(b.name, func(t *testing.T) {
			x := newTrial(t)
			b.breaks(x)
			checks := x.checks()
			for _, c := range checks {
				if c.Result == preflight.NotReady && c.Subject != b.subject {
					t.Errorf("%s: %s, want only %s not ready", c.Subject, c.Text, b.subject)
				}
			}
			c := about(t, checks, b.subject)
			if c.Result != preflight.NotReady || preflight.Verdict(checks) == nil {
				t.Fatalf("%s is ready: %s", c.Subject, c.Text)
			}
			for _, text := range b.texts {
				if !strings.Contains(c.Text, text) {
					t.Errorf("%s: it says %q, want %q in it", c.Subject, c.Text, text)
				}
			}
			if !strings.Contains(c.Remedy, b.remedy) {
				t.Errorf("%s: the remedy is %q, want %q in it", c.Subject, c.Remedy, b.remedy)
			}
			for _, name := range []string{systems.LOVEPassword, systems.EFDPassword, systems.SlackToken} {
				if strings.Contains(shown(checks), x.site.Credentials[name]) {
					t.Errorf("the value of %s is shown:\n%s", name, shown(checks))
				}
			}
		})
	}
}

// closed is an address at which nothing listens.
const closed = "127.0.0.1:1"

func credential(name, value string) func(*trial) {
	return func(x *trial) { x.site.Credentials[name] = value }
}

func TestWhatIsWrongWithAccountsAndData(t *testing.T) {
	broken(t, []breakage{
		{"LOVE's password", credential(systems.LOVEPassword, "wrong password"), "LOVE", []string{"ann", "Unable to log in"}, "CSU_LOVE_PASSWORD"},
		{"LOVE's permission", credential(systems.LOVEUsername, "guest"), "LOVE", []string{"guest", "no permission to execute commands"}, "ask LOVE's administrators for the permission execute_commands"},
		{"LOVE down", func(x *trial) { x.site.LOVE = "http://" + closed }, "LOVE", []string{"connection refused"}, "check that you can reach"},
		{"Slack's token", credential(systems.SlackToken, "xoxb-wrong"), "Slack", []string{"Slack rejects the token", "invalid_auth"}, "CSU_SLACK_TOKEN"},
		{"Slack down", func(x *trial) { x.site.Slack = "http://" + closed }, "Slack", []string{"cannot check the token", "connection refused"}, "unset CSU_SLACK_TOKEN"},
		{"the EFD's password", credential(systems.EFDPassword, "wrong password"), "EFD", []string{"authorization failed"}, "CSU_EFD_PASSWORD"},
		{"the EFD down", func(x *trial) { x.site.EFD = "http://" + closed }, "EFD", []string{"connection refused"}, "and that it answers"},
		{"the EFD stale", func(x *trial) { x.heartbeats(x.database("stale"), 12*time.Minute) }, "EFD", []string{"newest heartbeat is 12m"}, "check in Chronograf"},
		{"the EFD silent", func(x *trial) { x.heartbeats(x.database("silent"), time.Hour) }, "EFD", []string{"no CSC was heard"}, "check in Chronograf"},
		{"the clock behind", func(x *trial) { x.heartbeats(x.database("ahead"), -20*time.Minute) }, "clock", []string{"ahead of this machine's clock"}, "ntp"},
		{"no folder for the journal", func(x *trial) { x.options.Folder = filepath.Join(x.t.TempDir(), "missing") }, "journal's folder", []string{"missing"}, "create the folder"},
	})
}

func TestWhatIsWrongWithHosts(t *testing.T) {
	host := func(change func(t *testing.T, h *ground.SSHD)) func(*trial) {
		return func(x *trial) { x.host("azar03", func(h *ground.SSHD) { change(x.t, h) }) }
	}
	broken(t, []breakage{
		{"another host key", host(func(t *testing.T, h *ground.SSHD) {
			other := func(kind ground.KeyKind) ssh.PublicKey {
				return ground.NewKey(t, filepath.Join(t.TempDir(), "key"), kind)
			}
			h.HostKeys = []ssh.PublicKey{other(ground.Ed25519), other(ground.ECDSA)}
		}), "host azar03 as dco", []string{"host key of azar03", "but the known key is", "do not continue until its administrator"}, (&remote.HostKeyError{}).Hint()},
		{"an unknown host", host(func(_ *testing.T, h *ground.SSHD) { h.HostKeys = nil }), "host azar03 as dco", []string{"host key of azar03", "unknown", "known_hosts"}, (&remote.HostKeyError{}).Hint()},
		{"a host down", host(func(_ *testing.T, h *ground.SSHD) { h.Addr = closed }), "host azar03 as dco", []string{"cannot reach", "connection refused"}, (&remote.UnreachableError{Host: "azar03 (" + closed + ")"}).Hint()},
		{"a mistake in the ssh config", host(func(_ *testing.T, h *ground.SSHD) { h.Key = "~/.ssh/%Z" }), "host azar03 as dco", []string{"IdentityFile", "%Z"}, (&remote.ConfigError{}).Hint()},
		{"a key refused", host(func(t *testing.T, h *ground.SSHD) {
			h.Key = filepath.Join(t.TempDir(), "other")
			ground.NewKey(t, h.Key, ground.Ed25519)
		}), "host azar03 as dco", []string{"the host refused", "other"}, (&remote.AuthError{}).Hint()},
		{"sudo refused", func(x *trial) {
			x.plan.Hosts[0].Users[0].Name = "ess"
			x.plan.Stages[1].Steps[1].Action.Parameters.(*plan.SSH).User = "ess"
		}, "host azar03 as ess", []string{"sudo: a password is required"}, (&remote.SudoError{User: "ess"}).Hint()},
	})
}

func TestWhatIsWrongWithTheCluster(t *testing.T) {
	follows := func(x *trial, change func(*plan.Sync)) {
		change(x.plan.Stages[1].Steps[5].Action.Parameters.(*plan.Sync))
	}
	broken(t, []breakage{
		{"another API server", func(x *trial) { x.plan.Targets.Kubernetes.Server = "https://rancher.example.org" }, "cluster", []string{"https://rancher.example.org", serverURL(t)}, "ground.yaml"},
		{"a right missing", func(x *trial) {
			x.site.Kubeconfig = x.argo.ground.Operator(x.t, x.plan, cluster.Permission{Verb: "delete", Group: "batch", Resource: "jobs"})
		}, "permissions", []string{"not permitted: delete jobs.batch in namespace auxtel"}, "ask for these permissions"},
		{"no such application", func(x *trial) { follows(x, func(s *plan.Sync) { s.Application = "mtcamera" }) }, "application mtcamera", []string{`there is no Argo CD application "mtcamera"`}, "whether the application has another name"},
		{"another branch", func(x *trial) { follows(x, func(s *plan.Sync) { s.Revision = "tickets/DM-1" }) }, "application auxtel", []string{`it follows "main", but the plan says "tickets/DM-1"`}, "have the application follow tickets/DM-1"},
		{"an operation under way", func(x *trial) {
			x.occupy("occupied")
			follows(x, func(s *plan.Sync) { s.Application = "occupied" })
		}, "application occupied", []string{"an operation by bob (csu run9/sync/1) is under way"}, "wait until it ends"},
		{"an application that can't be compared", func(x *trial) {
			x.argo.addApplication(x.t, "uncompared", "telescope", "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n")
			x.argo.refreshed(x.t, "uncompared")
			follows(x, func(s *plan.Sync) { s.Application = "uncompared" })
		}, "application uncompared", []string{"ComparisonError"}, "the problem that Argo CD reports"},
		{"the registry's level", func(x *trial) { x.level("NONE") }, "schema registry", []string{"its level is NONE, not FORWARD"}, "find out who changed it"},
		{"the registry's pod missing", func(x *trial) { x.plan.Targets.Registry.Selector = "app=none" }, "schema registry", []string{"app=none"}, (&cluster.NoPodError{Namespace: "sasquatch", Selector: "app=none"}).Hint()},
		{"another run", func(x *trial) { x.held("r1", "bob") }, "ledger", []string{"the site belongs to run r1", `led by "bob" on alps`}, "csu unlock"},
		{"the ledger missing", func(x *trial) { x.withoutLedger() }, "ledger", []string{`no ConfigMap "csu-unprepared" in namespace "csu"`}, "kubectl create configmap csu-unprepared -n csu"},
	})
}

// serverURL returns the address of the shared control plane.
func serverURL(t *testing.T) string {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return c.URL
}

// occupy creates an application whose sync, by bob, does not end before the
// test.
func (x *trial) occupy(name string) {
	x.t.Helper()
	a := x.argo
	a.addApplication(x.t, name, "telescope", waits)
	if err := a.client.Sync(x.t.Context(), name, "run9/sync/1", argocd.SyncRequest{Operator: "bob"}); err != nil {
		x.t.Fatal(err)
	}
	a.ground.Until(x.t, ground.Limit, "the sync waits for its hook", func(ctx context.Context) (bool, error) {
		o, err := a.client.Operation(ctx, name, "run9/sync/1", argocd.SyncRequest{Operator: "bob"})
		return err == nil && strings.Contains(o.Message, "migration"), fmt.Errorf("%+v, %w", o, err)
	})
	x.t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := a.ground.EndPods(context.Background(), name, "migration", 0); err != nil {
			x.t.Error(err)
		}
	})
}

// level sets the registry's level for the duration of the test.
func (x *trial) level(level string) {
	x.t.Helper()
	target := x.plan.Targets.Registry
	r := registry.New(x.argo.cluster, target.Namespace, target.Selector, target.Container)
	if err := r.SetLevel(x.t.Context(), level); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() {
		if err := r.SetLevel(context.Background(), "FORWARD"); err != nil {
			x.t.Error(err)
		}
	})
}

// held makes a run hold the trial's site for the duration of the test.
func (x *trial) held(runID, operator string) {
	x.t.Helper()
	client, err := cluster.Connect(x.ready.kubeconfig, x.plan.Targets.Kubernetes.Context)
	if err != nil {
		x.t.Fatal(err)
	}
	store := ledger.In(client, x.plan.LedgerName())
	have := func(ctx context.Context, h *ledger.Holder) error {
		return ledger.Update(ctx, store, ledger.Real(), func(l *ledger.Ledger) error { l.Holder = h; return nil })
	}
	if err := have(x.t.Context(), &ledger.Holder{Run: runID, Plan: "plan.json", Digest: "d", Operator: operator, Host: "alps"}); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() {
		if err := have(context.Background(), nil); err != nil {
			x.t.Error(err)
		}
	})
}

// withoutLedger makes the trial's site one for which no ledger was created.
func (x *trial) withoutLedger() {
	x.t.Helper()
	x.plan.Site = "unprepared"
	x.site.Kubeconfig = x.argo.ground.Operator(x.t, x.plan)
	if err := x.argo.ground.Admin.CoreV1().ConfigMaps(ledger.Namespace).Delete(x.t.Context(), x.plan.LedgerName(), metav1.DeleteOptions{}); err != nil {
		x.t.Fatal(err)
	}
}

func TestTheSiteOfThisRunIsExpected(t *testing.T) {
	x := newTrial(t)
	x.held("r2", "ann")
	x.options.RunID = "r2"
	if c := about(t, x.checks(), "ledger"); c.Result != preflight.Ready || c.Text != "the site is this run's" {
		t.Errorf("the check of its own site = %+v, want it ready", c)
	}
}

// The levels in the plan are those at its start.
func TestTheLevelOfARunThatHasBegunIsNotJudged(t *testing.T) {
	x := newTrial(t)
	x.level("NONE")
	x.options.Begun = true
	if c := about(t, x.checks(), "schema registry"); c.Result != preflight.Ready || c.Text != "its level is NONE" {
		t.Errorf("the check of the level = %+v, want it ready", c)
	}
}

func TestWhatIsWorthKnowing(t *testing.T) {
	x := newTrial(t)
	x.heartbeats(x.database("strange"), 0, "ESS:199")
	x.site.Credentials[systems.SlackToken] = ""
	checks := x.checks()
	if err := preflight.Verdict(checks); err != nil {
		t.Errorf("Verdict = %v, want nil", err)
	}
	for subject, text := range map[string]string{"CSCs": "not in the plan: ESS:199.", "Slack": "announcements are not posted"} {
		if c := about(t, checks, subject); c.Result != preflight.Remark || !strings.Contains(c.Text, text) {
			t.Errorf("the check of %s = %+v, want a note with %q", subject, c, text)
		}
	}
}

func TestCSCsTakenDownByTheRunAreNotExpectedToBeHeard(t *testing.T) {
	x := newTrial(t)
	x.database("down")
	for _, row := range x.plan.CSCs {
		x.options.Down = append(x.options.Down, row.CSC)
	}
	if c := about(t, x.checks(), "EFD"); c.Result != preflight.Remark || !strings.Contains(c.Text, "as expected at this point") {
		t.Errorf("the check of the EFD = %+v, want a note", c)
	}
}

// The permissions that the README lists are sufficient, and each is needed.
func TestTheMinimalRightsAreEnoughAndAllWanted(t *testing.T) {
	x := newTrial(t)
	if c := about(t, x.checks(), "permissions"); c.Result != preflight.Ready || !strings.HasSuffix(c.Text, "granted") {
		t.Fatalf("the check of the operator's permissions = %+v, want all granted", c)
	}
	for _, lacking := range ground.OperatorRights(x.plan) {
		t.Run(strings.ReplaceAll(lacking.String(), "/", " "), func(t *testing.T) {
			x := newTrial(t)
			x.plan.Stages = x.plan.Stages[1:]
			x.plan.Stages[0].Steps = slices.DeleteFunc(x.plan.Stages[0].Steps, func(s plan.Step) bool { return strings.HasSuffix(s.ID, "azar03") || strings.HasSuffix(s.ID, "mcm") })
			x.site.Kubeconfig = x.argo.ground.Operator(t, x.plan, lacking)
			c := about(t, x.checks(), "permissions")
			if c.Result != preflight.NotReady || c.Remedy == "" {
				t.Fatalf("the check without the permission to %s = %+v, want it not ready", lacking, c)
			}
			// A permission that an operator has everywhere is needed in each
			// namespace.
			for denied := range strings.SplitSeq(strings.TrimPrefix(c.Text, "not permitted: "), "; ") {
				if denied != lacking.String() && !strings.HasPrefix(denied, lacking.String()+" in namespace ") {
					t.Errorf("it says %q, want %q alone", c.Text, lacking)
				}
			}
		})
	}
}
