package rehearsal

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// executorVariable makes the test binary run as an executor. Its value is the folder of
// the plan, the site map and the journal.
const executorVariable = "CSU_REHEARSAL_EXECUTOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(executorVariable); dir != "" {
		if err := execute(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Rehearsals spend most of their time waiting.
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "6") // cannot fail, since 6 is a number
	}
	os.Exit(m.Run())
}

// willing is an operator who consents to everything and answers no other question.
type willing struct{}

func (willing) Ask(_ context.Context, q operator.Question) (operator.Answer, error) {
	switch q.Topic {
	case operator.StageConsent, operator.StepConsent, operator.Doubt, operator.Manual:
		return operator.Answer{Choice: operator.Yes}, nil
	}
	return operator.Answer{}, fmt.Errorf("%s of %q: %s\n%s", q.Topic, q.Step, q.Text, q.Reading)
}

func (willing) Tell(operator.Event) {}

// execute runs the plan in the folder. It is called in a process of its own.
func execute(dir string) error {
	p, _, err := plan.ReadFile(filepath.Join(dir, "plan.json"))
	if err != nil {
		return err
	}
	digest, err := plan.Digest(p)
	if err != nil {
		return err
	}
	m, err := sitemap.Read(filepath.Join(dir, MapFile))
	if err != nil {
		return err
	}
	systems, err := systems.Connect(p, m, nil)
	if err != nil {
		return err
	}
	got, err := executor.Run(context.Background(), executor.Options{
		Plan: p, Digest: digest, PlanFile: "plan.json", Journal: filepath.Join(dir, "journal"), SiteMap: filepath.Join(dir, MapFile),
		Systems: systems, Operator: willing{}, OperatorName: "Ana", Version: "test", Clock: systems.Clock, Ledger: custody.NewLedger(p, systems), Timing: ledger.Rehearsed(systems.Clock.Speed()),
		SkipPreflight: "a test",
	})
	if err == nil && got.End != executor.Completed {
		err = errors.New(string(got.End) + ": " + got.Text)
	}
	return err
}

// asleep runs the plan in a process of its own, which is stopped for an hour of the
// site's time. The journal is in the folder. stopped is the site's time when the process
// was stopped.
func asleep(t *testing.T, p *plan.Plan, dir string) (site *Site, stopped time.Time) {
	t.Helper()
	text, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plan.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	var pid, at atomic.Int64
	site, err = Start(t.Context(), Config{
		Plan: p, Digest: digest, Dir: dir, Speed: practiceSpeed / slower[laptopSleeps], Seed: 1, Faults: []string{laptopSleeps},
		Laptop: func(asleep bool) error {
			if asleep {
				defer func() { at.Store(time.Now().UnixNano()) }()
				return syscall.Kill(int(pid.Load()), syscall.SIGSTOP)
			}
			return syscall.Kill(int(pid.Load()), syscall.SIGCONT)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), executorVariable+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid.Store(int64(cmd.Process.Pid))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the executor: %v\n%s\n%s", err, stderr.String(), site.tail(20))
	}
	passed := time.Unix(0, at.Load()).Sub(site.Map.Real)
	return site, site.Map.Epoch.Add(time.Duration(float64(passed) * site.Map.Speed))
}

// TestLaptopSleeps stops the executor's process for an hour of the site's time while a
// script runs. Its clock jumps and its connections end, but the run completes without a
// question.
func TestLaptopSleeps(t *testing.T) {
	t.Parallel()
	p, dir := faultyPlan(), t.TempDir()
	for step := range p.AllSteps() {
		// Longer than a busy machine takes; if the sleep counted, it would still be too short.
		step.Timeout = plan.Duration(30 * time.Minute)
	}
	site, stopped := asleep(t, p, dir)
	r := &practice{t: t, site: site, plan: p}
	r.nothingTwice()
	times(3, ScriptAdded, "ScriptQueue:1", setStatePath)(r)

	var began, over time.Time
	for _, e := range site.Record() {
		switch e.Kind {
		case FaultBegan:
			began = e.Time
		case FaultOver:
			over = e.Time
		}
	}
	if over.Sub(began) < time.Hour || stopped.Before(began) {
		t.Errorf("the laptop slept from %s to %s, and the process was stopped at %s", began, over, stopped)
	}
	// The journal shows whether the process was really stopped.
	err := journal.Read(journal.Disk, filepath.Join(dir, "journal"), func(rec *journal.Record) error {
		if rec.Time.After(stopped.Add(10*time.Minute)) && rec.Time.Before(over.Add(-time.Minute)) {
			return fmt.Errorf("record %q of %s was written during the sleep from %s to %s", rec.Event, rec.Time, stopped, over)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
