package ground_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// repository runs git in the repository that Argo CD follows.
func (a argo) repository(t *testing.T, args ...string) (string, error) {
	t.Helper()
	dir := strings.TrimPrefix(a.Deployment.URL, "file://")
	out, err := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ground", "-c", "user.email=ground@localhost"}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

// A plan whose commit is not what a real Argo CD has: the sync runs if both are equal or
// deploy the same, and otherwise only if the operator says so. What is compared here are
// the files that Argo CD renders the application from.
func TestRevisionThatArgoCDHas(t *testing.T) {
	a := connectArgo(t)
	head := func() string { return a.refreshed(t, "simonyitel").Revision }
	settings := plan.Resource{Kind: "ConfigMap", Namespace: "simonyitel", Name: "mtmount-configfile"}
	defer func() { a.commit(t, map[string]string{"MTMount:0": "c0044.006"}); head() }()
	a.commit(t, map[string]string{"MTMount:0": "c0044.006"})
	first := head()
	for _, c := range []struct {
		name  string
		merge func() (planned string) // what happens before the run; returns the plan's commit
		clone bool
		asks  bool
	}{
		{"equal", func() string { return first }, false, false},
		{"ahead with the same rendering", func() string { a.Deployment.Add(t, "README.md", "More."); return first }, true, false},
		{"the same, but no clone", func() string { return first }, false, true},
		{"squashed", func() string {
			branch, err := a.repository(t, "commit-tree", "-m", "The branch", "HEAD^{tree}")
			if err != nil {
				t.Fatal(err)
			}
			return branch
		}, true, false},
		{"ahead with another rendering", func() string { a.commit(t, map[string]string{"MTMount:0": "c0044.009"}); return first }, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			planned := c.merge()
			now := head()
			s := &plan.Sync{Application: "simonyitel", Revision: "main", Resources: []plan.Resource{settings}}
			step := plan.Step{ID: "deploy/simonyitel", Title: "Sync simonyitel", Action: plan.Action{Parameters: s}}
			p := &plan.Plan{Upgrade: plan.Upgrade{Phalanx: planned}, Stages: []plan.Stage{{ID: "deploy", Steps: []plan.Step{step}}}}
			phalanx := &action.Phalanx{}
			if c.clone {
				phalanx.Deviations = func(_ context.Context, commit string) ([]string, error) {
					changed, err := a.repository(t, "diff", "--name-only", planned, commit, "--", "applications/simonyitel", "charts")
					return strings.Fields(changed), err
				}
			}
			var asked []operator.Question
			attempt := &action.Attempt{
				Plan: p, Step: &p.Stages[0].Steps[0], Operator: "ann", Identity: "csu-rev/deploy/simonyitel/" + strings.ReplaceAll(c.name, " ", "-"),
				Systems: &action.Systems{Clock: clock.Real(), Cluster: a.cluster, ArgoCD: a.client, Phalanx: phalanx},
				Limit:   10 * time.Minute, Started: time.Now(),
				Note: func(any) error { return nil }, Progress: t.Logf,
				Ask: func(ctx context.Context, question func(context.Context) (operator.Question, bool)) (operator.Answer, error) {
					q, _ := question(ctx)
					asked = append(asked, q)
					return operator.Answer{Choice: operator.No, By: "ann"}, nil
				},
			}
			evidence, err := action.Of(s).Prepare(t.Context(), attempt)
			if err != nil {
				t.Fatal(err)
			}
			if attempt.Evidence, err = json.Marshal(evidence); err != nil {
				t.Fatal(err)
			}
			found := action.Of(s).Perform(t.Context(), attempt)
			want := map[bool]action.Verdict{false: action.Done, true: action.NotDone}[c.asks]
			if found.Verdict != want || (len(asked) > 0) != c.asks {
				t.Errorf("%s: %s; asked %+v", found.Verdict, found.Text, asked)
			}
			if c.asks && !strings.Contains(asked[0].Text, "Argo CD has Phalanx "+now+", but the plan is for "+planned) {
				t.Errorf("asked %q", asked[0].Text)
			}
			o, err := a.client.Operation(t.Context(), "simonyitel", attempt.Identity, argocd.SyncRequest{Operator: "ann", Resources: []argocd.Resource{argocd.Resource(settings)}})
			if err != nil || o.Found == c.asks {
				t.Errorf("Argo CD has the sync: %v (%v)", o.Found, err)
			}
		})
	}
}
