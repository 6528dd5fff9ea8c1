package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// manual is done by the operator. csu shows the instructions with what it reads
// from the site, and asks for confirmation.
type manual struct{ d *plan.Manual }

// Traits implements [Performer].
func (manual) Traits() Traits { return Traits{} }

// Prepare has nothing to record, since only the operator knows the outcome.
func (m manual) Prepare(context.Context, *Attempt) (any, error) { return nil, nil }

func (m manual) Perform(ctx context.Context, a *Attempt) Finding {
	answer, err := a.Ask(ctx, func(ctx context.Context) (operator.Question, bool) {
		reading, err := m.Reading(ctx, a)
		if err != nil {
			// The operator can still check by other means, so show what was read.
			reading = strings.TrimSpace(reading + "\n" + err.Error())
		}
		return a.question(operator.Manual, m.d.Text, reading, operator.Yes, operator.No), true
	})
	switch {
	case err != nil:
		return Found(NotDone, "the operator has not confirmed that it is done: %v", err)
	case answer.Choice != operator.Yes:
		return Found(NotDone, "%s", because(answer.By+" says it is not done", answer))
	}
	confirmed := because("confirmed by "+answer.By, answer)
	why, err := a.settleAll(ctx, m.d.Applications)
	switch {
	case err != nil:
		return Found(NotDone, "%s, but %v", confirmed, err)
	case why != "":
		confirmed += "; " + why
	}
	return Found(Done, "%s", confirmed)
}

// Probe has nothing to find out: an unanswered question is asked again.
func (m manual) Probe(context.Context, *Attempt) Finding {
	return Found(NotDone, "the operator has not confirmed that it is done; csu itself does nothing in a manual step")
}

func (m manual) Await(ctx context.Context, a *Attempt) Finding { return m.Probe(ctx, a) }

// Look implements [Performer].
func (manual) Look(context.Context, *Attempt) Finding {
	return Found(Unknown, "only the operator can see it")
}

// Reading returns the states of the step's CSCs, and how its applications compare
// with their sources. The question is asked even if something cannot be read, so
// Reading includes such errors in its text.
func (m manual) Reading(ctx context.Context, a *Attempt) (string, error) {
	var parts []string
	if len(m.d.CSCs) > 0 {
		found, err := observe(ctx, a, m.d.CSCs)
		if err != nil {
			parts = append(parts, fmt.Sprintf("cannot read the states of %s: %v", strings.Join(m.d.CSCs, ", "), err))
		} else {
			parts = append(parts, lines(found))
		}
	}
	for _, name := range m.d.Applications {
		app, err := refreshed(ctx, a, name)
		if err != nil {
			parts = append(parts, fmt.Sprintf("application %s: %v", name, err))
			continue
		}
		parts = append(parts, describeApplication(app, a.Plan))
	}
	return strings.Join(parts, "\n"), ctx.Err()
}

// refreshed reads an application after having Argo CD compare it with its source.
func refreshed(ctx context.Context, a *Attempt, name string) (argocd.Application, error) {
	if err := a.Systems.ArgoCD.Refresh(ctx, name, false); err != nil {
		return argocd.Application{}, err
	}
	return a.Systems.ArgoCD.Get(ctx, name)
}

// describeApplication describes what an application follows and which of its
// resources are out of sync, and says of each whether the plan syncs it (P22).
func describeApplication(app argocd.Application, p *plan.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "application %s follows %s, at %s%s: %s", app.Name, app.TargetRevision, app.Revision, planned(app, p), app.SyncStatus)
	for _, problem := range app.Problems {
		b.WriteString("\n  " + problem)
	}
	for _, r := range app.OutOfSync {
		mark := "the plan syncs it"
		if !syncs(p, app.Name, r) {
			mark = "NOT synced by the plan"
		}
		fmt.Fprintf(&b, "\n  out of sync: %s (%s)", r, mark)
	}
	return b.String()
}

// syncs reports whether a step of the plan syncs a resource of an application.
func syncs(p *plan.Plan, application string, r argocd.Resource) bool {
	for step := range p.AllSteps() {
		s, ok := step.Action.Parameters.(*plan.Sync)
		if ok && s.Application == application &&
			(len(s.Resources) == 0 || slices.Contains(s.Resources, plan.Resource(r))) {
			return true
		}
	}
	return false
}
