package action

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

const another = "650a0ef2cb4428baf8412f4f762eddb2854e00d1"

// A revision of Phalanx that may deploy something else than the plan is asked about, in a
// manual step and before a sync.
func TestRevisionIsComparedWithThePlan(t *testing.T) {
	says := func(lines ...string) func(context.Context, string) ([]string, error) {
		return func(_ context.Context, commit string) ([]string, error) {
			if commit != telescope {
				return nil, errors.New("compared with another commit")
			}
			return lines, nil
		}
	}
	noCommit := func(context.Context, string) ([]string, error) {
		return nil, exit.Unusable("fetch it into the clone", "revision %q of Phalanx: no such commit", telescope)
	}
	for name, c := range map[string]struct {
		commit     string // of the plan
		deviations func(context.Context, string) ([]string, error)
		answers    []operator.Choice
		asks       []string // parts of the question; none: csu does not ask
		done       string   // what the manual step says; "" if it is not done
		not        string   // why nothing is synced; "" if it is
	}{
		"the plan names no commit":     {done: "confirmed by ann"},
		"equal":                        {commit: telescope, done: "confirmed by ann; Argo CD has Phalanx 7d3f0a1, as planned"},
		"equal, and rendered":          {commit: telescope, deviations: says(), done: "as planned"},
		"no commit, but rendered":      {deviations: says(), done: "as planned"},
		"another, which is the same":   {commit: another, deviations: says(), done: "Argo CD has Phalanx 7d3f0a1, which deploys the same as the plan's commit 650a0ef2c"},
		"another, no clone, agreed":    {commit: another, answers: []operator.Choice{operator.Yes}, asks: []string{"Argo CD has Phalanx 7d3f0a1, but the plan is for " + another, "csu has no clone of Phalanx", "resume with --phalanx DIR"}, done: "confirmed by ann; ann deploys Phalanx 7d3f0a1"},
		"another, no clone, refused":   {commit: another, answers: []operator.Choice{operator.No}, asks: []string{another}, not: "ann does not deploy Phalanx 7d3f0a1"},
		"another, nobody to ask":       {commit: another, asks: []string{another}, not: "the operator has not decided whether to deploy Phalanx 7d3f0a1"},
		"another, which is another":    {commit: another, deviations: says("application simonyitel: Job mtmount"), answers: []operator.Choice{operator.No}, asks: []string{"application simonyitel: Job mtmount"}, not: "ann does not deploy"},
		"equal, but not what it says":  {commit: telescope, deviations: says("image tag of MTMount"), answers: []operator.Choice{operator.No}, asks: []string{"Argo CD has Phalanx 7d3f0a1, which is not what the plan deploys. Deploy it?", "image tag of MTMount"}, not: "ann does not deploy"},
		"the clone has not the commit": {commit: another, deviations: noCommit, answers: []operator.Choice{operator.No}, asks: []string{"no such commit", "fetch it into the clone"}, not: "ann does not deploy"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArgo(t)
			a.systems.Phalanx = &Phalanx{Deviations: c.deviations}
			asked := func(y *try) {
				t.Helper()
				if len(c.asks) == 0 && len(y.asked) > 0 || len(c.asks) > 0 && len(y.asked) != 1 {
					t.Fatalf("asked %+v", y.asked)
				}
				for _, part := range c.asks {
					if q := y.asked[0]; q.Topic != operator.Revision || !strings.Contains(q.Text+"\n"+q.Reading, part) {
						t.Errorf("asked %+v, want %q", q, part)
					}
				}
			}
			y := a.try(t)
			y.Plan.Upgrade.Phalanx = c.commit
			y.answers = c.answers
			putRunning(a)
			got := y.perform(t)
			asked(y)
			if c.not != "" {
				expect(t, got, NotDone, "nothing was synced: ", c.not)
			} else {
				expect(t, got, Done)
			}
			if n := a.Requests(http.MethodPut); n != map[bool]int{true: 1}[c.not == ""] {
				t.Errorf("%d operations were written", n)
			}

			a.systems.Phalanx = &Phalanx{Deviations: c.deviations} // that of another csu
			y = newTry(t, a.systems, &plan.Manual{Text: "Merge it.", Applications: []string{"simonyitel"}})
			y.Plan.Upgrade.Phalanx = c.commit
			y.answers = append([]operator.Choice{operator.Yes}, c.answers...)
			got = y.perform(t)
			manual := y.asked[0]
			y.asked = y.asked[1:]
			asked(y)
			if c.not != "" {
				expect(t, got, NotDone, "confirmed by ann, but ", c.not)
			} else {
				expect(t, got, Done, c.done)
			}
			if differs := c.commit == another; strings.Contains(manual.Reading, "at "+telescope+" (the plan is for "+another+"): OutOfSync") != differs {
				t.Errorf("the manual step's reading:\n%s", manual.Reading)
			}
		})
	}
}

// putRunning adds MTMount's Job with a pod that runs the plan's image.
func putRunning(a *argo) {
	uid := putJob(a.Server, "mtmount")
	a.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "ts-dockerhub.lsst.org/mtmount:c0045"))
}

// Each revision is asked about once in a run.
func TestRevisionIsAskedAboutOnce(t *testing.T) {
	a := newArgo(t)
	a.systems.Phalanx = &Phalanx{}
	putRunning(a)
	for i, want := range []int{1, 0} {
		y := a.try(t)
		y.Plan.Upgrade.Phalanx = another
		y.answers = []operator.Choice{operator.Yes}
		expect(t, y.perform(t), Done)
		if len(y.asked) != want {
			t.Errorf("sync %d: asked %d questions, want %d", i+1, len(y.asked), want)
		}
	}
}

// A question may be open for hours: what Argo CD has then is what counts.
func TestRevisionMovesOnWhileItIsAskedAbout(t *testing.T) {
	a := newArgo(t)
	a.systems.Phalanx = &Phalanx{}
	y := a.try(t)
	y.Plan.Upgrade.Phalanx = another
	y.answers = []operator.Choice{operator.Yes}
	ask := y.Ask
	y.Ask = func(ctx context.Context, q func(context.Context) (operator.Question, bool)) (operator.Answer, error) {
		a.Edit(applications+"simonyitel", func(app kubetest.Object) {
			app["status"].(kubetest.Object)["sync"].(kubetest.Object)["revision"] = "beef"
		})
		return ask(ctx, q)
	}
	expect(t, y.perform(t), NotDone, "the application is at Phalanx beef by now; retry")
	if n := a.Requests(http.MethodPut); n != 0 {
		t.Errorf("%d operations were written", n)
	}
}
