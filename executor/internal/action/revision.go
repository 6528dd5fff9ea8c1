package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	locks "sync"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// Phalanx compares the revisions of Phalanx that Argo CD would deploy with the plan. It
// remembers those that the run has settled, so that the operator is asked once about
// each; a csu that resumes the run asks again.
type Phalanx struct {
	// Deviations returns how what the plan deploys differs at a commit, one difference a
	// line. It is nil if csu has no clone of Phalanx.
	Deviations func(ctx context.Context, commit string) ([]string, error)

	mu      locks.Mutex
	settled map[string]string // why a commit may be deployed
}

func (p *Phalanx) why(commit string) (string, bool) {
	if p == nil {
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	why, ok := p.settled[commit]
	return why, ok
}

func (p *Phalanx) settle(commit, why string) string {
	if p == nil {
		return why
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settled == nil {
		p.settled = map[string]string{}
	}
	p.settled[commit] = why
	return why
}

// rendered returns Deviations, also of a nil Phalanx.
func (p *Phalanx) rendered() func(ctx context.Context, commit string) ([]string, error) {
	if p == nil {
		return nil
	}
	return p.Deviations
}

// compares reports whether there is anything to compare a revision with.
func (a *Attempt) compares() bool {
	return a.Plan.Upgrade.Phalanx != "" || a.Systems.Phalanx.rendered() != nil
}

// settle compares a commit of Phalanx that Argo CD would deploy with the plan. If it may
// deploy something else, the operator decides. It returns why the commit may be
// deployed, and whether the operator was asked; its error says why it may not.
func (a *Attempt) settle(ctx context.Context, commit string) (why string, asked bool, err error) {
	memory := a.Systems.Phalanx
	if why, known := memory.why(commit); known || !a.compares() {
		return why, false, nil
	}
	found, err := a.deviations(ctx, commit)
	own := a.Plan.Upgrade.Phalanx
	switch {
	case err == nil && len(found) == 0 && (own == "" || own == commit):
		return memory.settle(commit, fmt.Sprintf("Argo CD has Phalanx %.9s, as planned", commit)), false, nil
	case err == nil && len(found) == 0:
		return memory.settle(commit, fmt.Sprintf("Argo CD has Phalanx %.9s, which deploys the same as the plan's commit %.9s", commit, own)), false, nil
	case err != nil:
		found = []string{err.Error()}
		if hint := exit.HintOf(err); hint != "" {
			found = append(found, hint)
		}
	}
	text := fmt.Sprintf("Argo CD has Phalanx %s, which is not what the plan deploys. Deploy it?", commit)
	if own != "" && own != commit {
		text = fmt.Sprintf("Argo CD has Phalanx %s, but the plan is for %s. Deploy it?", commit, own)
	}
	answer, err := a.Ask(ctx, func(context.Context) (operator.Question, bool) {
		_, known := memory.why(commit) // another step may have asked in the meantime
		return a.question(operator.Revision, text, strings.Join(found, "\n"), operator.Yes, operator.No), !known
	})
	if why, known := memory.why(commit); known {
		return why, true, nil
	}
	if err != nil {
		return "", true, fmt.Errorf("the operator has not decided whether to deploy Phalanx %.9s: %w", commit, err)
	}
	if answer.Choice != operator.Yes {
		return "", true, errors.New(because(fmt.Sprintf("%s does not deploy Phalanx %.9s", answer.By, commit), answer))
	}
	return memory.settle(commit, because(fmt.Sprintf("%s deploys Phalanx %.9s", answer.By, commit), answer)), true, nil
}

// errNoClone is what csu says of a revision that it cannot render.
var errNoClone = exit.Unusable("resume with --phalanx DIR, the folder of a clone, to have csu compare them; or compare them with git diff", "csu has no clone of Phalanx to compare what the two deploy")

// deviations returns how what the plan deploys differs at a commit.
func (a *Attempt) deviations(ctx context.Context, commit string) ([]string, error) {
	deviations := a.Systems.Phalanx.rendered()
	if deviations == nil {
		if commit == a.Plan.Upgrade.Phalanx {
			return nil, nil
		}
		return nil, errNoClone
	}
	a.Progress("comparing Phalanx %.9s with the plan", commit)
	return deviations(ctx, commit)
}

// settleAll is settle for the applications of a manual step. It returns all reasons.
func (a *Attempt) settleAll(ctx context.Context, applications []string) (string, error) {
	var reasons []string
	for _, name := range applications {
		if !a.compares() {
			break
		}
		app, err := refreshed(ctx, a, name)
		if err != nil {
			return "", err
		}
		why, _, err := a.settle(ctx, app.Revision)
		if err != nil {
			return "", err
		}
		if !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	}
	return strings.Join(reasons, "; "), nil
}

// planned says how an application's revision compares with the plan's commit; "" if it is
// the same, or if the plan names none.
func planned(app argocd.Application, p *plan.Plan) string {
	if own := p.Upgrade.Phalanx; own != "" && own != app.Revision {
		return fmt.Sprintf(" (the plan is for %s)", own)
	}
	return ""
}
