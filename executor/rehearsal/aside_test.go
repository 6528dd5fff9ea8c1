package rehearsal

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/report"
)

// setAside is the reply of an operator who sets aside what csu proposes, which must be the
// CSC.
func setAside(step, csc string, do func(*practice), says ...string) reply {
	return reply{topic: operator.Failed, step: step, choice: operator.SetAside, reason: "broken since tonight", aside: []string{csc}, told: "its principal", do: do, says: says}
}

// TestForgottenCSC: a CSC whose pod never starts is set aside once. No later step waits for
// it, the closing message names it, and the run ends with exceptions (P38, P40).
func TestForgottenCSC(t *testing.T) {
	t.Parallel()
	const csc = "MTMount:0"
	p, _, err := plan.ReadFile(filepath.Join("..", "..", "plans", "2026-11-24-summit-incremental.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := newPractice(t, p, podNeverStarts+"="+csc)
	r.replies = []reply{setAside("deploy/simonyitel", csc, nil, csc, "CreateContainerConfigError")}
	got := r.run()
	if got.End != executor.Excepted || len(r.replies) > 0 {
		t.Fatalf("the run ended %q: %s\n%s", got.End, got.Text, r.seen.String())
	}
	if len(got.Down) > 0 {
		t.Errorf("down, and named as an exception: %q", got.Down)
	}
	lines := report.Exceptions(got.State)
	if len(lines) != 1 || !strings.HasPrefix(lines[0], csc+": OFFLINE and silent since ") || !strings.HasSuffix(lines[0], "UTC: broken since tonight; told: its principal") {
		t.Errorf("exceptions: %q", lines)
	}
	if message := r.lastMessage(); !strings.HasSuffix(message, lines[0]) {
		t.Errorf("the closing message is %q, want it to end with %q", message, lines[0])
	}
}

// TestNotInOrderAtTheEnd: csu's own look names a CSC that is not in its expected state,
// although every step is finished and nobody has set it aside.
func TestNotInOrderAtTheEnd(t *testing.T) {
	t.Parallel()
	const csc = "MTMount:0"
	p, _, err := plan.ReadFile(filepath.Join("..", "..", "plans", "2026-11-24-summit-incremental.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := newPractice(t, p)
	r.replies = []reply{{topic: operator.Manual, step: "end/look", choice: operator.Yes, do: all(kill(csc), minute)}}
	got := r.run()
	lines := report.Exceptions(got.State)
	if got.End != executor.Excepted || len(lines) != 1 || !strings.HasPrefix(lines[0], csc+": ") || !strings.Contains(lines[0], ", expected STANDBY") {
		t.Fatalf("the run ended %q with exceptions %q\n%s", got.End, lines, r.seen.String())
	}
	if message := r.lastMessage(); !strings.Contains(message, "\n"+csc+": silent, ") { // as of the look before
		t.Errorf("the closing message does not name %s: %q", csc, message)
	}
}

// TestSetAsideInEachStage: one CSC dies in each stage of the summit's plans where a step
// concerns CSCs, and is set aside there. Each is asked about once and named at the end, and
// the steps after that do without it.
func TestSetAsideInEachStage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "plans", "*-summit-*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("the summit's plans: %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			p, _, err := plan.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			chosen := inEachStage(p)
			if len(chosen) < 6 {
				t.Fatalf("CSCs of only %d stages: %v", len(chosen), chosen)
			}
			r := newPractice(t, p)
			t.Logf("set aside: %v", chosen)
			breaks := &breakOnce{steps: map[string]bool{}}
			asked := map[string]int{}
			r.otherwise = func(r *practice, q operator.Question) reply {
				if q.Topic == operator.QueuePaused { // the shutdown usually fails with a hundred CSCs
					return reply{choice: operator.Yes}
				}
				csc, ok := chosen[q.Step]
				if asked[q.Step]++; q.Topic != operator.Failed || !ok || asked[q.Step] > 1 {
					t.Errorf("unexpected question %q about %q: %s", q.Topic, q.Step, q.Text)
					return reply{choice: operator.Stop}
				}
				return setAside(q.Step, csc, kill(csc))
			}
			for step := range chosen {
				breaks.steps[step] = true
			}
			got := r.run(func(o *executor.Options) { o.Performer = breaks.of })
			if got.End != executor.Excepted {
				t.Fatalf("the run ended %q: %s\n%s\n%s", got.End, got.Text, r.seen.String(), r.site.tail(20))
			}
			lines, message := strings.Join(report.Exceptions(got.State), "\n"), r.lastMessage()
			for step, csc := range chosen {
				if strings.Count("\n"+lines, "\n"+csc+": ") != 1 || strings.Count(message, "\n"+csc+": ") != 1 {
					t.Errorf("%s, set aside at %s, is not named once in the exceptions and in the message:\n%s\n%s", csc, step, lines, message)
				}
			}
			if n := len(report.Exceptions(got.State)); n != len(chosen) {
				t.Errorf("%d exceptions, want %d:\n%s", n, len(chosen), lines)
			}
			r.doneWithout(chosen)
		})
	}
}

// doneWithout checks that what was found out about steps after a CSC was set aside does not
// speak of it.
func (r *practice) doneWithout(chosen map[string]string) {
	r.t.Helper()
	var aside []string
	err := journal.Read(journal.Disk, r.journal, func(rec *journal.Record) error {
		if rec.Event == journal.Answered {
			aside = append(aside, rec.Answer.CSCs...)
		}
		for _, csc := range aside {
			if rec.Event == journal.Outcome && strings.Contains(rec.Text, csc+": ") {
				r.t.Errorf("%s still waited for %s: %s", rec.Step, csc, rec.Text)
			}
		}
		return nil
	})
	if err != nil {
		r.t.Error(err)
	}
	if len(aside) != len(chosen) {
		r.t.Errorf("set aside: %q, want those of %v", aside, chosen)
	}
}

// inEachStage chooses a CSC for each stage in which a step concerns CSCs, and returns them
// by that step.
func inEachStage(p *plan.Plan) map[string]string {
	chosen := map[string]string{}
	var used []string
	for i := range p.Stages {
		for j := range p.Stages[i].Steps {
			step := &p.Stages[i].Steps[j]
			names := slices.DeleteFunc(step.Names(p), func(c string) bool { return slices.Contains(used, c) })
			if csc := ordinary(names); csc != "" && step.OnFailure == plan.Ask {
				chosen[step.ID] = csc
				used = append(used, csc)
				break
			}
		}
	}
	return chosen
}

// breakOnce lets the first attempt of some steps fail.
type breakOnce struct {
	mu    sync.Mutex
	steps map[string]bool // by id
}

func (b *breakOnce) of(d plan.Parameters) action.Performer { return brokenOnce{action.Of(d), b} }

type brokenOnce struct {
	action.Performer
	all *breakOnce
}

func (b brokenOnce) Perform(ctx context.Context, a *action.Attempt) action.Finding {
	b.all.mu.Lock()
	breaks := b.all.steps[a.Step.ID]
	delete(b.all.steps, a.Step.ID)
	b.all.mu.Unlock()
	if breaks {
		return action.Found(action.Failed, "the test lets it fail")
	}
	return b.Performer.Perform(ctx, a)
}

// lastMessage returns the last message that was posted.
func (r *practice) lastMessage() string {
	record := r.site.Record()
	for _, e := range slices.Backward(record) {
		if e.Kind == MessagePosted {
			return e.Detail
		}
	}
	return ""
}
