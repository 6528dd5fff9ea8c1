package ground_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor"
	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// clone is a clone of the repository with a plan in it: a journal of its own,
// and an operator.
type clone struct {
	t       *testing.T
	plan    *plan.Plan
	client  *cluster.Cluster // as the operator
	site    sitemap.Map
	name    string
	journal string
	// perform is what the first step does; nil: nothing, with success.
	perform func(ctx context.Context)
}

// newClones returns clones of one plan, for operators of the names.
func newClones(t *testing.T, site string, names ...string) []*clone {
	t.Helper()
	c, client := connect(t)
	p := readyPlan(c)
	p.Site = site
	p.Stages = []plan.Stage{
		{ID: "begin", Steps: []plan.Step{stepOf("begin/wait", &plan.Manual{Text: "Wait."})}},
		{ID: "deploy", Steps: []plan.Step{stepOf("deploy/auxtel", &plan.Sync{Application: "auxtel", Revision: "main"})}},
	}
	p.Final = nil
	now := time.Now()
	where := sitemap.Map{Epoch: now, Real: now, Speed: 1, Kubeconfig: c.Operator(t, p)}
	var clones []*clone
	for _, name := range names {
		clones = append(clones, &clone{t: t, plan: p, client: client, site: where, name: name, journal: filepath.Join(t.TempDir(), "plan.json.journal")})
	}
	return clones
}

func (c *clone) options() executor.Options {
	c.t.Helper()
	systems, err := executor.Connect(c.plan, &c.site, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { systems.Remote.Close() })
	digest, err := plan.Digest(c.plan)
	if err != nil {
		c.t.Fatal(err)
	}
	return executor.Options{
		Plan: c.plan, Digest: digest, PlanFile: "plan.json", Journal: c.journal, FS: journal.Disk,
		Systems: systems, Clock: systems.Clock, Name: c.name, Version: "test", SkipPreflight: "a test of the Lease",
		Operator: consenting{c.name}, Lease: executor.NewLease(c.plan, systems), Until: "begin",
		Performer: func(plan.Doer) action.Performer { return standIn{c} },
	}
}

func (c *clone) run(change ...func(*executor.Options)) (executor.Result, error) {
	c.t.Helper()
	o := c.options()
	for _, f := range change {
		f(&o)
	}
	return executor.Run(c.t.Context(), o)
}

func resumed(o *executor.Options) { o.Resume = true }

// begun runs the plan's first stage, after which the run holds the Lease.
func (c *clone) begun(change ...func(*executor.Options)) string {
	c.t.Helper()
	r, err := c.run(change...)
	if err != nil || r.End != executor.Reached {
		c.t.Fatalf("Run = %q (%s), %v, want it to reach the end of the stage", r.End, r.Text, err)
	}
	if h := c.holder(); h == nil || h.RunID != r.RunID || h.Operator != c.name {
		c.t.Fatalf("the Lease's holder is %+v, want run %s of %s", h, r.RunID, c.name)
	}
	return r.RunID
}

func (c *clone) holder() *executor.Holder {
	c.t.Helper()
	h, err := c.client.LeaseHolder(c.t.Context(), "argocd", c.plan.LeaseName())
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// guarded returns the texts of the journal's records about guards.
func (c *clone) guarded() string {
	c.t.Helper()
	var texts []string
	err := journal.Read(journal.Disk, c.journal, func(r *journal.Record) error {
		if r.Event == journal.Guarded {
			texts = append(texts, r.Text)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Join(texts, "\n")
}

// consenting is an operator who says yes.
type consenting struct{ name string }

func (o consenting) Ask(ctx context.Context, q operator.Question) (operator.Answer, error) {
	return operator.Answer{Choice: operator.Yes, By: o.name, Via: "terminal"}, ctx.Err()
}

func (consenting) Tell(operator.Event) {}

// standIn stands in for what carries out steps: the Lease alone is real here.
type standIn struct{ clone *clone }

func (standIn) Prepare(context.Context, *action.Attempt) (any, error) { return nil, nil }

func (s standIn) Perform(ctx context.Context, _ *action.Attempt) action.Finding {
	if s.clone.perform != nil {
		s.clone.perform(ctx)
	}
	if ctx.Err() != nil {
		return action.Found(action.Unknown, "interrupted")
	}
	return action.Found(action.Done, "it is done")
}

func (standIn) Probe(context.Context, *action.Attempt) action.Finding {
	return action.Found(action.Done, "it is done")
}

func (s standIn) Await(ctx context.Context, a *action.Attempt) action.Finding {
	return s.Probe(ctx, a)
}

func (standIn) Reading(context.Context, *action.Attempt) (string, error) { return "", nil }

func TestTheSecondCloneIsRefusedUntilTheLeaseIsUnlocked(t *testing.T) {
	clones := newClones(t, "clones", "ann", "bob")
	ann, bob := clones[0], clones[1]
	runID := ann.begun()
	_, err := bob.run()
	var refused *executor.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("Run of the second clone = %v, want it refused", err)
	}
	for _, text := range []string{runID, `"ann"`, "--resume", "csu unlock"} {
		if !strings.Contains(err.Error()+refused.Hint, text) {
			t.Errorf("Run of the second clone = %v (hint: %s), want %q in it", err, refused.Hint, text)
		}
	}
	if h := bob.holder(); h == nil || h.RunID != runID {
		t.Fatalf("the Lease's holder is %+v, want ann's run still", h)
	}
	if _, err := bob.run(resumed); !errors.As(err, &refused) || !strings.Contains(err.Error(), runID) {
		t.Errorf("Run of the second clone, resumed = %v, want it refused as before", err)
	}

	// Ann's journal is lost. Bob, who does not have it, removes her Lease.
	h, err := executor.Unlock(t.Context(), bob.options(), "ann's laptop is lost")
	if err != nil || h == nil || h.RunID != runID || h.Operator != "ann" {
		t.Fatalf("Unlock = %+v, %v, want ann's Lease removed", h, err)
	}
	if h, err := executor.Unlock(t.Context(), bob.options(), "once more"); err != nil || h != nil {
		t.Errorf("Unlock of what is gone = %+v, %v, want none", h, err)
	}
	bob.begun()
	// Ann's journal is found: now she is the second.
	if _, err := ann.run(resumed); !errors.As(err, &refused) || !strings.Contains(err.Error(), `"bob"`) {
		t.Errorf("Run of the first clone = %v, want it refused, with bob's name", err)
	}
}

func TestAJournalWithoutItsLeaseAcquiresItAgain(t *testing.T) {
	ann := newClones(t, "journal", "ann")[0]
	runID := ann.begun()
	if err := ann.client.ReleaseLease(t.Context(), "argocd", ann.plan.LeaseName(), runID); err != nil {
		t.Fatal(err)
	}
	if again := ann.begun(resumed); again != runID {
		t.Errorf("the run that was taken up is %s, want %s", again, runID)
	}
	if n := strings.Count(ann.guarded(), "the site's Lease is this run's"); n != 2 {
		t.Errorf("the journal says %d times that the Lease is the run's, want 2:\n%s", n, ann.guarded())
	}
}

func TestALeaseThatADeadRunHasLeft(t *testing.T) {
	clones := newClones(t, "dead", "ann", "bob")
	ann, bob := clones[0], clones[1]
	dies, die := context.WithCancel(t.Context())
	ann.perform = func(context.Context) { die() }
	r, err := executor.Run(dies, ann.options())
	if err != nil || r.End != executor.Interrupted {
		t.Fatalf("Run = %q, %v, want it interrupted", r.End, err)
	}
	if h := ann.holder(); h == nil || h.RunID != r.RunID {
		t.Fatalf("the Lease's holder is %+v, want the dead run %s", h, r.RunID)
	}
	var refused *executor.RefusedError
	if _, err := bob.run(); !errors.As(err, &refused) || !strings.Contains(err.Error(), r.RunID) {
		t.Errorf("Run of another clone = %v, want it refused", err)
	}
	// With its journal the run needs no unlock.
	if again := ann.begun(resumed); again != r.RunID {
		t.Errorf("the run that was taken up is %s, want %s", again, r.RunID)
	}
	if _, err := executor.Unlock(t.Context(), ann.options(), "nobody will resume it"); err != nil {
		t.Fatal(err)
	}
	if text := ann.guarded(); !strings.Contains(text, "ann removes the site's Lease: nobody will resume it") {
		t.Errorf("the journal says nothing of the removal:\n%s", text)
	}
	bob.begun()
}

func TestUnlockIsRefusedWhileAnExecutorIsAtWork(t *testing.T) {
	ann := newClones(t, "work", "ann")[0]
	atWork, goOn := make(chan struct{}), make(chan struct{})
	ann.perform = func(ctx context.Context) {
		close(atWork)
		select {
		case <-goOn:
		case <-ctx.Done():
		}
	}
	var ended sync.WaitGroup
	var result executor.Result
	var failure error
	o := ann.options()
	ended.Go(func() { result, failure = executor.Run(t.Context(), o) })
	select {
	case <-atWork:
	case <-time.After(ground.Limit):
		t.Fatalf("the run did not begin within %s", ground.Limit)
	}
	holder, err := executor.Unlock(t.Context(), ann.options(), "impatience")
	var locked *journal.LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), "ann") {
		t.Errorf("Unlock = %v, want a *LockedError that names ann", err)
	}
	if h := ann.holder(); h == nil || holder == nil || h.RunID != holder.RunID {
		t.Errorf("the Lease's holder is %+v, that of Unlock %+v, want the run at work", h, holder)
	}
	close(goOn)
	ended.Wait()
	if failure != nil || result.End != executor.Reached {
		t.Errorf("Run = %q, %v, want it undisturbed", result.End, failure)
	}
}

// A run that ends gives its Lease back.
func TestTheLeaseEndsWithTheRun(t *testing.T) {
	ann := newClones(t, "end", "ann")[0]
	ann.begun()
	r, err := ann.run(resumed, func(o *executor.Options) { o.Until = "" })
	if err != nil || r.End != executor.Completed {
		t.Fatalf("Run = %q (%s), %v, want it complete", r.End, r.Text, err)
	}
	if h := ann.holder(); h != nil {
		t.Errorf("the Lease's holder is %+v, want none", h)
	}
}
