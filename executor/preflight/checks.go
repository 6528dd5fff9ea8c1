package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	// leastDisk is what a journal never comes near.
	leastDisk = 64 << 20
	// mostSkew is how far this machine's clock may be from the EFD's data
	// before times in the EFD and in the journal can't be compared.
	mostSkew = 10 * time.Second
)

// local checks the machine that csu runs on.
func (p *preflight) local(context.Context) []Check {
	const subject = "journal's folder"
	f, err := os.CreateTemp(p.Folder, ".csu-preflight-*")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Check{notReady(subject, "make the folder, or correct the plan's path", "there is no folder %q", p.Folder)}
	case err != nil:
		return []Check{notReady(subject, "let your account write there", "no file can be made in it: %v", err)}
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return []Check{notReady(subject, "look at the folder's rights", "%v", err)}
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(p.Folder, &disk); err != nil {
		return []Check{notReady(subject, "look at the disk", "%v", err)}
	}
	free := disk.Bavail * uint64(disk.Bsize)
	if free < leastDisk {
		return []Check{notReady(subject, "make room on the disk", "%d MiB are free in %s, %d are wanted", free>>20, p.Folder, leastDisk>>20)}
	}
	return []Check{ready(subject, "can be written; %d MiB free", free>>20)}
}

func (p *preflight) love(ctx context.Context) []Check {
	const subject = "LOVE"
	account, err := p.Systems.LOVE.Check(ctx)
	var auth *love.AuthError
	switch {
	case errors.As(err, &auth) && account != nil:
		return []Check{notReady(subject, "ask LOVE's administrators for the permission execute_commands, or take another account with CSU_LOVE_USERNAME", "%v", err)}
	case errors.As(err, &auth):
		return []Check{notReady(subject, "look at CSU_LOVE_USERNAME and CSU_LOVE_PASSWORD", "%v", err)}
	case err != nil:
		return []Check{notReady(subject, "see that "+p.Plan.Targets.LOVE.URL+" is reached from here", "%v", late(err))}
	}
	return []Check{ready(subject, "%s may send commands", account.Username)}
}

func (p *preflight) efd(ctx context.Context) []Check {
	const subject = "EFD"
	cscs, speaking := p.expectedToSpeak()
	asked := p.Systems.Clock.Now()
	newest, err := p.Systems.EFD.Fresh(ctx, cscs)
	var auth *efd.AuthError
	switch {
	case errors.As(err, &auth):
		return []Check{notReady(subject, "look at CSU_EFD_USERNAME and CSU_EFD_PASSWORD", "%v", err)}
	case err != nil:
		return []Check{notReady(subject, "see that "+p.Plan.Targets.EFD.URL+" is reached from here and answers", "%v", late(err))}
	}
	// The answer is from some moment in between, which in a rehearsal, where
	// time runs fast, may be minutes: old is what was so when it was asked, and
	// ahead of the clock what is so now.
	age, ahead := asked.Sub(newest), newest.Sub(p.Systems.Clock.Now())
	lag := p.Systems.EFD.Lag()
	var out []Check
	switch {
	case newest.IsZero() && (!speaking || p.Plan.Type == plan.Recovery):
		out = append(out, remark(subject, "it answers; no CSC is heard, as is to be expected now"))
	case newest.IsZero():
		out = append(out, notReady(subject, "see in Chronograf whether the EFD takes data in", "it answers, but no CSC was heard lately"))
	case age > lag+mostSkew+15*time.Second:
		out = append(out, notReady(subject, "see in Chronograf whether the EFD takes data in, and compare this machine's clock", "its newest heartbeat is %s old", age.Round(time.Second)))
	default:
		out = append(out, ready(subject, "its newest heartbeat is %s old", max(age, 0).Round(time.Second)))
	}
	if ahead > mostSkew {
		out = append(out, notReady("clock", "set this machine's clock (ntp)", "this machine's clock is %s behind the EFD's data", ahead.Round(time.Second)))
	} else {
		out = append(out, ready("clock", "agrees with the EFD's data"))
	}
	return append(out, p.unknown(ctx)...)
}

// expectedToSpeak returns the CSCs of the table that the run has not taken down,
// and whether one of them is to be heard.
func (p *preflight) expectedToSpeak() (cscs []efd.CSC, some bool) {
	for i := range p.Plan.CSCs {
		row := &p.Plan.CSCs[i]
		csc, err := efd.ParseCSC(row.CSC)
		if err != nil {
			continue // speaks no SAL
		}
		cscs = append(cscs, csc)
		some = some || !slices.Contains(p.Down, row.CSC)
	}
	return cscs, some
}

// unknown names CSCs that are heard and that the plan does not know.
func (p *preflight) unknown(ctx context.Context) []Check {
	const subject = "CSCs"
	alive, err := p.Systems.EFD.Alive(ctx, components(p.Plan))
	if err != nil {
		return []Check{notReady(subject, "see that the EFD answers", "which CSCs are heard can't be told: %v", late(err))}
	}
	var strange []string
	for _, c := range alive {
		if _, known := p.Plan.CSC(c.String()); !known {
			strange = append(strange, c.String())
		}
	}
	if len(strange) > 0 {
		return []Check{remark(subject, "heard, and unknown to the plan: %s. They are not upgraded, and system_wide_shutdown.py would take them down too", plan.CSCList(strange))}
	}
	return []Check{ready(subject, "the %d that are heard are known to the plan", len(alive))}
}

// host logs in and, where that is wanted, becomes the user; it runs no command
// of the plan.
func (p *preflight) host(ctx context.Context, t remote.Target) []Check {
	subject := fmt.Sprintf("host %s as %s", t.Host, t.User)
	_, err := p.Systems.Remote.Run(ctx, t, "true")
	if err == nil {
		return []Check{ready(subject, "lets you in")}
	}
	remedy := cmp.Or(exit.HintOf(err), fmt.Sprintf("check that %s is up and reachable from here, also through the jump hosts of ~/.ssh/config", t.Address))
	return []Check{notReady(subject, remedy, "%v", late(err))}
}

// target checks context and API server (P20), and who has the site.
func (p *preflight) target(ctx context.Context) []Check {
	const subject = "cluster"
	want := p.Plan.Targets.Kubernetes
	c := p.Systems.Cluster
	if !p.Rehearsed {
		if err := c.CheckTarget(want.Context, want.Server); err != nil {
			return []Check{notReady(subject, fmt.Sprintf("take the site's kubeconfig, %s, and its context %s", want.Kubeconfig, want.Context), "%v", err)}
		}
	}
	out := []Check{ready(subject, "context %s, API server %s", c.Context(), c.Server())}
	return append(out, p.ledger(ctx))
}

// ledger says who has the site.
func (p *preflight) ledger(ctx context.Context) Check {
	const subject = "ledger"
	l, _, err := ledger.Read(ctx, ledger.In(p.Systems.Cluster, p.Plan.LedgerName()), ledger.Real())
	h := l.Holder
	switch {
	case err != nil:
		return notReady(subject, cmp.Or(exit.HintOf(err), "check that the API server answers and lets you read it"), "%v", late(err))
	case h != nil && h.Run == p.RunID:
		return ready(subject, "the site is this run's")
	case h != nil:
		held := &ledger.HeldError{Holder: *h}
		return notReady(subject, held.Hint(), "%v", held)
	}
	return ready(subject, "nobody runs an upgrade of %s", p.Plan.Site)
}

func (p *preflight) permissions(ctx context.Context) []Check {
	const subject = "permissions"
	denied, err := p.Systems.Cluster.Allowed(ctx, p.needs.permissions)
	if err != nil {
		return []Check{notReady(subject, "see that the API server answers", "%v", late(err))}
	}
	if len(denied) == 0 {
		return []Check{ready(subject, "all %d are given", len(p.needs.permissions))}
	}
	var names []string
	for _, d := range denied {
		names = append(names, d.String())
	}
	return []Check{notReady(subject, "ask for these rights in the cluster", "you may not: %s", strings.Join(names, "; "))}
}

// application checks one that will be synced.
func (p *preflight) application(ctx context.Context, name string) []Check {
	subject := "application " + name
	app, err := p.Systems.ArgoCD.Get(ctx, name)
	var missing *argocd.MissingError
	switch {
	case errors.As(err, &missing):
		return []Check{notReady(subject, "look in Argo CD, "+p.Plan.Targets.ArgoCD.URL+", whether it has another name there", "%v", err)}
	case err != nil:
		return []Check{notReady(subject, "see that the API server answers and lets you read Applications", "%v", late(err))}
	case app.OperationRunning:
		return []Check{notReady(subject, "wait until it has ended, or end it in Argo CD", "an operation of %s is under way", app.OperationBy)}
	case len(app.Problems) > 0:
		return []Check{notReady(subject, "mend what Argo CD complains about", "%s", strings.Join(app.Problems, "; "))}
	}
	if want := p.revision(name); want != "" && app.TargetRevision != want {
		return []Check{notReady(subject, "have the application follow "+want+", or put its branch into the request", "it follows %q, the plan says %q", app.TargetRevision, want)}
	}
	var out []string
	for _, r := range app.OutOfSync {
		out = append(out, r.String())
	}
	text := fmt.Sprintf("%s at %s, health %s", app.SyncStatus, short(app.Revision), app.Health)
	if len(out) > 0 {
		text += fmt.Sprintf("; out of sync: %s", abridged(out, 6))
	}
	return []Check{ready(subject, "%s", text)}
}

// revision is the branch that the plan wants an application to follow.
func (p *preflight) revision(application string) string {
	for s := range p.Plan.AllSteps() {
		if a, ok := s.Action.Parameters.(*plan.Sync); ok && a.Application == application {
			return a.Revision
		}
	}
	return ""
}

func short(revision string) string { return revision[:min(len(revision), 12)] }

func abridged(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (p *preflight) registry(ctx context.Context) []Check {
	const subject = "schema registry"
	level, err := p.Systems.Registry.Level(ctx)
	switch {
	case err != nil:
		return []Check{notReady(subject, cmp.Or(exit.HintOf(err), "check that you may exec into its pod and that it answers"), "%v", late(err))}
	case !p.Begun && level != p.needs.level:
		return []Check{notReady(subject, "find out who changed it; the plan begins with "+p.needs.level, "its level is %s, not %s", level, p.needs.level)}
	}
	return []Check{ready(subject, "its level is %s", level)}
}

func (p *preflight) slack(ctx context.Context) []Check {
	const subject = "Slack"
	const unreached = "see that Slack is reached from here; an upgrade does not wait for it, so that you may also unset CSU_SLACK_TOKEN"
	err := p.Systems.Slack.Check(ctx)
	var refused *slack.RefusedError
	var lost *slack.LostError
	switch {
	case errors.Is(err, slack.ErrNoCredential):
		return []Check{remark(subject, "neither CSU_SLACK_TOKEN nor CSU_SLACK_WEBHOOK is set: announcements are not posted, and hand-overs are shown to you to be told by hand")}
	case errors.As(err, &refused) && refused.Err == nil:
		return []Check{notReady(subject, "look at CSU_SLACK_TOKEN; an upgrade does not wait for Slack, so that you may also unset it", "the token is not taken: %s", refused.Reason)}
	case errors.As(err, &lost) && lost.Err == nil:
		return []Check{notReady(subject, unreached, "whether the token holds can't be told: it answers %s", lost.Reason)}
	case err != nil:
		// What Slack's client says is about messages, and none was posted.
		return []Check{notReady(subject, unreached, "whether the token holds can't be told: %v", late(errors.Unwrap(err)))}
	}
	return []Check{ready(subject, "the token holds")}
}
