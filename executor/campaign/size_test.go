package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/journal/journaltest"
	"github.com/lsst-ts/csu/executor/plan"
)

// long is how many steps the long plan has, one after the other.
const long = 5000

func longPlan(t *testing.T) (*plan.Plan, string) {
	t.Helper()
	p := site()
	var steps []plan.Step
	for i := range long {
		steps = append(steps, step(fmt.Sprintf("s%d", i), ssh(plan.Update, "true")))
	}
	p.Stages = []plan.Stage{chain("long", steps...)}
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, digest
}

// longJournal returns the journal of a run of the long plan that was stopped
// when so many steps were done, with so many notes of each step.
func longJournal(t *testing.T, digest, siteMap string, done, notes int) []byte {
	t.Helper()
	var disk journaltest.Disk
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	run := &journal.Run{Format: journal.Format, ID: "long", Digest: digest, Plan: "plan.json", Operator: "Ana", Version: "test", SiteMap: siteMap}
	j, err := journal.Create(&disk, journalName, journal.Record{Event: journal.RunBegun, Time: at, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	add := func(r journal.Record) {
		at = at.Add(time.Second)
		r.Time, r.Stage = at, "long"
		if _, err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	add(journal.Record{Event: journal.Answered, Answer: &journal.Answer{Topic: "stage consent", Choice: "yes", By: "Ana", Via: "terminal"}})
	add(journal.Record{Event: journal.StageBegun})
	for i := range done {
		id := fmt.Sprintf("long/s%d", i)
		add(journal.Record{Event: journal.Started, Step: id, Attempt: 1, Identity: "csu-long/" + id + "/1", Evidence: []byte(`{"bootId":"2a5f2c9e-5b0e-4c59-9a0f-9a6d9a0c8f10"}`)})
		for n := range notes {
			add(journal.Record{Event: journal.Noted, Step: id, Attempt: 1, Evidence: fmt.Appendf(nil, `{"started":"csu-long_long_s%d_1","look":%d}`, i, n)})
		}
		add(journal.Record{Event: journal.Outcome, Step: id, Attempt: 1, Verdict: string(action.Done), Via: "perform", Text: "the commands ended with exit status 0"})
	}
	data, _ := disk.Content(journalName)
	return data
}

// TestStatusOfALongJournal: csu status tells of a journal of 100,000 lines
// within a second and 200 MB.
func TestStatusOfALongJournal(t *testing.T) {
	p, digest := longPlan(t)
	dir := t.TempDir()
	data, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	file, lines := filepath.Join(dir, "plan.json"), longJournal(t, digest, "", long, 18)
	for name, content := range map[string][]byte{file: data, file + ".journal": lines} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	csu, err := program()
	if err != nil {
		t.Fatal(err)
	}
	// A machine that other tests keep busy delays it; what it takes of one that
	// is free is its processor time. On a slow processor a second is as long as it
	// takes there to read the lines as plain JSON three times and a half.
	second := max(time.Second, plainly(t, lines)*7/2)
	best, memory := time.Hour, int64(0)
	for n := 0; n < 3 && best > second; n++ {
		out, err := measured(csu, "status", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var took time.Duration
		var resident int64
		if _, err := fmt.Sscanf(string(out), "%d %d", &took, &resident); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		best, memory = min(best, took), max(memory, resident)
	}
	t.Logf("%s, %d MB", best.Round(time.Millisecond), memory>>20)
	if best > second || memory > 200<<20 {
		t.Errorf("csu status took %s and %d MB, want %s and 200 MB at most", best, memory>>20, second)
	}
}

// plainly is the processor time for reading a journal's lines as JSON, and for
// nothing else.
func plainly(t *testing.T, lines []byte) time.Duration {
	t.Helper()
	best := time.Hour
	for range 3 {
		began := processorTime(t)
		for line := range bytes.Lines(lines) {
			var r journal.Record
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
		}
		best = min(best, processorTime(t)-began)
	}
	return best
}

// measured returns a command that runs another one and prints its processor time
// in nanoseconds and its most memory in bytes. It is a process of its own: what
// the system counts for a process begins with the memory of the one that starts
// it.
func measured(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{program}, args...)...)
	cmd.Env = append(os.Environ(), measures+"=yes")
	return cmd
}

const measures = "CSU_CAMPAIGN_MEASURE"

// TestMain is also the process of [measured].
func TestMain(m *testing.M) {
	if os.Getenv(measures) == "" {
		code := m.Run()
		if built != "" {
			_ = os.RemoveAll(built) // it is in the folder for what is temporary
		}
		os.Exit(code)
	}
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	fmt.Println(int64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
}

// processorTime is what this process has had of the processors.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// instant does nothing, and says what had been taken of the processors when its
// first step is prepared.
type instant struct {
	action.Performer // whose traits it has
	t                *testing.T
	prepared         chan time.Duration
}

func (p instant) Prepare(context.Context, *action.Attempt) (any, error) {
	select {
	case p.prepared <- processorTime(p.t):
	default:
	}
	return nil, nil
}

func (instant) Perform(context.Context, *action.Attempt) action.Finding {
	return action.Found(action.Done, "nothing to do")
}

func (instant) Probe(context.Context, *action.Attempt) action.Finding {
	return action.Found(action.Done, "nothing to do")
}

func (instant) Await(context.Context, *action.Attempt) action.Finding {
	return action.Found(action.Done, "nothing to do")
}

func (instant) Reading(context.Context, *action.Attempt) (string, error) { return "", nil }

// TestResumeOfALongRun: of 5,000 steps with 4,999 done, the last starts within a
// second of the resume, on a machine that is free: it is the processor time that
// is counted, and the minute is for what waits.
func TestResumeOfALongRun(t *testing.T) {
	p, digest := longPlan(t)
	data := longJournal(t, digest, "", long-1, 1)
	best := time.Hour
	for n := 0; n < 3 && best > time.Second; n++ {
		name := filepath.Join(t.TempDir(), journalName)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		first := instant{nil, t, make(chan time.Duration, 1)}
		began, wall := processorTime(t), time.Now()
		res, err := executor.Run(t.Context(), executor.Options{
			Plan: p, Digest: digest, PlanFile: "plan.json", Journal: name, Operator: newPerson(nil), OperatorName: "Ana", Version: "test", Resume: true,
			Performer: func(d plan.Parameters) action.Performer { first.Performer = action.Of(d); return first },
		})
		if err != nil || res.End != executor.Completed {
			t.Fatalf("the run ended %q: %v", res.End, err)
		}
		if took := time.Since(wall); took > time.Minute {
			t.Errorf("the run took %s", took)
		}
		best = min(best, <-first.prepared-began)
	}
	t.Logf("%s", best.Round(time.Millisecond))
	if best > time.Second {
		t.Errorf("the last step began after %s of the processors, want within 1 s", best)
	}
}
