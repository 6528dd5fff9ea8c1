package ground_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// runLimit is how long a run may take, in real time: many times the usual.
const runLimit = 15 * time.Minute

// binary builds csu as it is installed, once.
var binary = sync.OnceValues(func() (name string, err error) {
	err = session.Do(func(t testing.TB) {
		name = filepath.Join(t.TempDir(), "csu")
		if out, err := exec.Command("go", "build", "-o", name, "../../cmd/csu").CombinedOutput(); err != nil {
			t.Fatalf("build csu: %v\n%s", err, out)
		}
	})
	return name, err
})

// upgrade is an upgrade on a proving ground of its own.
type upgrade struct {
	*ground.Site
	plan   *plan.Plan
	file   string
	dir    string
	before map[string]job
}

// job is what a test compares of a Job.
type job struct {
	uid   types.UID
	image string
}

// newUpgrade starts the ground of one of the project's plans, with its images
// committed.
func newUpgrade(t *testing.T, name string) *upgrade {
	t.Helper()
	p, _, err := plan.ReadFile(filepath.Join("../../plans", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	p.Upgrade.Phalanx = "" // the ground's repository has commits of its own
	data, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	u := &upgrade{plan: p, dir: t.TempDir()}
	u.file = filepath.Join(u.dir, "plan.json")
	if err := os.WriteFile(u.file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	u.Site = ground.StartSite(t, p, u.dir)
	u.ArgoCD.Deployment.Upgrade(t)
	u.before = u.jobs(t)
	t.Logf("the site was up after %s", time.Since(began).Round(time.Second))
	return u
}

// jobs returns the Jobs of the cluster, by namespace/name.
func (u *upgrade) jobs(t *testing.T) map[string]job {
	t.Helper()
	list, err := u.Cluster.Admin.BatchV1().Jobs("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	jobs := map[string]job{}
	for _, j := range list.Items {
		jobs[j.Namespace+"/"+j.Name] = job{j.UID, j.Spec.Template.Spec.Containers[0].Image}
	}
	return jobs
}

func (u *upgrade) journal() string { return u.file + ".journal" }

// life is a csu that carries out the plan.
type life struct {
	cmd    *exec.Cmd
	output string // the file with its output
	read   int    // how much of the output was read when a question was answered last
	ended  chan struct{}
}

func (l *life) said() string {
	text, err := os.ReadFile(l.output)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// prompt is how csu's prompts for a choice end. While csu waits for one it prints
// nothing behind it.
const prompt = "> "

// asks reports whether csu waits for an answer.
func (l *life) asks() bool { return strings.HasSuffix(l.said()[l.read:], prompt) }

// stuck says why csu will do nothing more by itself; "" while it is at work.
func (l *life) stuck() string {
	select {
	case <-l.ended:
		return fmt.Sprintf("csu has ended with exit status %d", l.cmd.ProcessState.ExitCode())
	default:
	}
	if l.asks() {
		return "csu waits for the answer to another question"
	}
	return ""
}

// await waits until something has happened that csu does. It fails the test as soon
// as csu will not do it any more.
func (l *life) await(t testing.TB, what string, happened <-chan struct{}) {
	t.Helper()
	limit, look := time.After(runLimit), time.NewTicker(100*time.Millisecond)
	defer look.Stop()
	for {
		var why string
		select {
		case <-happened:
			return
		case <-l.ended:
			why = l.stuck()
		case <-look.C:
			why = l.stuck()
		case <-limit:
			why = fmt.Sprintf("it did not happen within %s", runLimit)
		}
		if why == "" {
			continue
		}
		select {
		case <-happened: // just before
			return
		default:
			t.Fatalf("wait until %s: %s; its output:\n%s", what, why, l.said())
		}
	}
}

// start starts csu with consent to everything.
func (u *upgrade) start(t *testing.T, flags ...string) *life {
	t.Helper()
	csu, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.CreateTemp(t.TempDir(), "output")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	arguments := append([]string{"exec", u.file, "--site-map", filepath.Join(u.dir, ground.MapFile), "--consent", "all", "--operator", "Ana"}, flags...)
	l := &life{cmd: exec.Command(csu, arguments...), output: out.Name(), ended: make(chan struct{})}
	l.cmd.Stdout, l.cmd.Stderr = out, out
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.ended)
		_ = l.cmd.Wait() // the result is in ProcessState
	}()
	t.Cleanup(func() { l.kill(t); <-l.ended })
	return l
}

// kill ends csu with SIGKILL, unless it has ended.
func (l *life) kill(t testing.TB) {
	t.Helper()
	if err := l.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-l.ended
}

// complete waits until csu has ended with the upgrade complete.
func (u *upgrade) complete(t *testing.T, l *life) {
	t.Helper()
	l.await(t, "csu has ended", l.ended)
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("csu ended with exit status %d:\n%s\nThe site's record:\n%s", code, l.said(), u.effects(nil))
	}
	if !strings.Contains(l.said(), "The rehearsal is complete.") {
		t.Errorf("csu did not report that the upgrade is complete:\n%s", l.said())
	}
}

// effects lists the effects of the site that wanted selects, in order.
func (u *upgrade) effects(wanted func(rehearsal.Effect) bool) string {
	var b strings.Builder
	for _, e := range u.Simulator.Model.Record() {
		if wanted == nil && e.Kind != rehearsal.CSCFound || wanted != nil && wanted(e) {
			fmt.Fprintf(&b, "%s %s %s: %s (%s)\n", e.System, e.Kind, e.Subject, e.Detail, e.Identity)
		}
	}
	return b.String()
}

// checkJobs compares the cluster's Jobs with the plan. Jobs that the plan
// deletes must be new and have the plan's images; the others must be the old
// ones.
func (u *upgrade) checkJobs(t *testing.T) {
	t.Helper()
	deleted := map[string]bool{}
	for step := range u.plan.AllSteps() {
		if d, ok := step.Action.Parameters.(*plan.Delete); ok && d.Objects == plan.Jobs {
			for _, csc := range d.CSCs {
				deleted[csc] = true
			}
		}
	}
	if len(deleted) == 0 {
		t.Error("the plan deletes no Jobs")
	}
	after := u.jobs(t)
	for i := range u.plan.CSCs {
		row := &u.plan.CSCs[i]
		if row.Job == nil {
			continue
		}
		key := row.Job.Namespace + "/" + row.Job.Name
		old, now := u.before[key], after[key]
		switch {
		case old.uid == "" || now.uid == "":
			t.Errorf("Job %s was %+v and is %+v", key, old, now)
		case deleted[row.CSC] && now.uid == old.uid:
			t.Errorf("the Job of %s was not recreated", row.CSC)
		case deleted[row.CSC] && now.image != row.Image:
			t.Errorf("the Job of %s runs %s, want %s", row.CSC, now.image, row.Image)
		case !deleted[row.CSC] && now.uid != old.uid:
			t.Errorf("the Job of %s, which the plan does not touch, was recreated", row.CSC)
		}
	}
	if len(after) != len(u.before) {
		t.Errorf("%d Jobs, want %d", len(after), len(u.before))
	}
}

// upgrades are the plans that run on the ground: the summit's, one of each
// type.
var upgrades = []string{"2026-11-24-summit-incremental", "2026-12-15-summit-full", "2026-12-03-summit-recovery"}

var all = flag.Bool("all", false, "carry out every plan undisturbed and with takeovers, not only the incremental one")

// TestUpgradesOnTheGround carries out the summit's plans with the real csu on
// the real servers, undisturbed. Without the flag -all it runs only the first;
// [TestKilledOnTheGround] carries out the others, to the same end.
func TestUpgradesOnTheGround(t *testing.T) {
	t.Parallel()
	plans := upgrades
	if !*all {
		plans = plans[:1]
	}
	for _, name := range plans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpgrade(t, name)
			began := time.Now()
			u.complete(t, u.start(t))
			t.Logf("the upgrade took %s", time.Since(began).Round(time.Second))
			u.check(t, name, nil)
		})
	}
}

// check compares what the servers and the hosts' logs show with the plan's
// intent. alike normalizes the logs before the comparison, unless it is nil.
func (u *upgrade) check(t *testing.T, name string, alike func(logs string) string) {
	t.Helper()
	u.checkJobs(t)
	if level := u.Registry.Level(); level != "FORWARD" {
		t.Errorf("the schema registry is at %s, want FORWARD", level)
	}
	for _, e := range u.Simulator.Model.Record() {
		// An operator may start by hand a CSC that the upgrade found alive.
		if e.Kind == rehearsal.CSCDuplicate {
			t.Errorf("%s ran twice at once", e.Subject)
		}
	}
	file := filepath.Join("testdata", "upgrades", name+".txt")
	if os.Getenv("CSU_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(u.logs()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if alike == nil {
		alike = func(logs string) string { return logs }
	}
	if diff := cmp.Diff(strings.Split(alike(string(want)), "\n"), strings.Split(alike(u.logs()), "\n")); diff != "" {
		t.Errorf("the systems' logs are not those of %s (-want +got; CSU_UPDATE=1 renews it):\n%s", file, diff)
	}
}

// inOrder sorts scripts of steps that do not depend on one another, and so may
// run in either order, into the order of the plan. It leaves everything else in
// place.
func (u *upgrade) inOrder(scripts []string) {
	place, stage := map[string]int{}, map[string]int{}
	waits := map[[2]string]bool{} // whether the first waits for the second
	for i := range u.plan.Stages {
		for _, step := range u.plan.Stages[i].Steps {
			place[step.ID], stage[step.ID] = len(place), i
			for _, need := range step.Needs {
				waits[[2]string{step.ID, need}] = true
				for id := range place {
					if waits[[2]string{need, id}] {
						waits[[2]string{step.ID, id}] = true
					}
				}
			}
		}
	}
	stepOf := func(line string) string {
		_, identity, _ := strings.Cut(line, " ")
		parts := strings.Split(identity, "/")
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
	for range scripts {
		for i := range scripts[1:] {
			a, b := stepOf(scripts[i]), stepOf(scripts[i+1])
			if place[a] > place[b] && stage[a] == stage[b] && !waits[[2]string{a, b}] {
				scripts[i], scripts[i+1] = scripts[i+1], scripts[i]
			}
		}
	}
}

// logs returns what was done to each system, in order: the commands on each
// host with their account, the scripts on the queues with their step, attempt
// and group, the registry's levels, the messages.
func (u *upgrade) logs() string {
	logs := map[string][]string{"registry": u.Registry.Sets()}
	add := func(system, line string) { logs[system] = append(logs[system], line) }
	for _, e := range u.Simulator.Model.Record() {
		switch e.Kind {
		case rehearsal.CommandRun:
			add("host "+e.Subject, e.Identity+": "+strings.ReplaceAll(e.Detail, u.dir, ""))
		case rehearsal.Rebooted, rehearsal.HostUp:
			add("host "+e.Subject, e.Kind)
		case rehearsal.ScriptAdded:
			_, identity, _ := strings.Cut(e.Identity, "/") // without the run's name
			add("queue "+e.Subject, e.Detail+" "+identity)
		case rehearsal.MessagePosted:
			add("slack "+e.Subject, e.Detail)
		}
	}
	var b strings.Builder
	for _, system := range slices.Sorted(maps.Keys(logs)) {
		if strings.HasPrefix(system, "queue ") {
			u.inOrder(logs[system])
		}
		fmt.Fprintln(&b, system)
		for _, line := range logs[system] {
			fmt.Fprintln(&b, "  "+line)
		}
	}
	return b.String()
}
