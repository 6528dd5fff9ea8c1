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
	// leastDisk is more than any journal needs.
	leastDisk = 64 << 20
	// mostSkew is how far this machine's clock may be from the EFD's data
	// before times in the EFD and in the journal can no longer be compared.
	mostSkew = 10 * time.Second
)

// local checks the machine that csu runs on.
func (p *preflight) local(context.Context) []Check {
	const subject = "journal's folder"
	f, err := os.CreateTemp(p.Folder, ".csu-preflight-*")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Check{notReady(subject, "create the folder, or correct the plan's path", "no folder %q", p.Folder)}
	case err != nil:
		return []Check{notReady(subject, "give your account write access to it", "cannot create a file in it: %v", err)}
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return []Check{notReady(subject, "check the folder's permissions", "%v", err)}
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(p.Folder, &disk); err != nil {
		return []Check{notReady(subject, "check the disk", "%v", err)}
	}
	free := disk.Bavail * uint64(disk.Bsize)
	if free < leastDisk {
		return []Check{notReady(subject, "free space on the disk", "%d MiB free in %s, want %d", free>>20, p.Folder, leastDisk>>20)}
	}
	return []Check{ready(subject, "writable; %d MiB free", free>>20)}
}

func (p *preflight) love(ctx context.Context) []Check {
	const subject = "LOVE"
	account, err := p.Systems.LOVE.Check(ctx)
	var auth *love.AuthError
	switch {
	case errors.As(err, &auth) && account != nil:
		return []Check{notReady(subject, "ask LOVE's administrators for the permission execute_commands, or use another account with CSU_LOVE_USERNAME", "%v", err)}
	case errors.As(err, &auth):
		return []Check{notReady(subject, "check CSU_LOVE_USERNAME and CSU_LOVE_PASSWORD", "%v", err)}
	case err != nil:
		return []Check{notReady(subject, "check that you can reach "+p.Plan.Targets.LOVE.URL, "%v", late(err))}
	}
	return []Check{ready(subject, "%s may send commands", account.Username)}
}

func (p *preflight) efd(ctx context.Context) []Check {
	const subject = "EFD"
	cscs, speaking := p.expectedToSpeak()
	asked := p.Systems.Clock.Now()
	newest, err := p.Systems.EFD.Fresh(ctx, cscs)
	var auth *efd.AuthError
	var ahead *efd.AheadError
	switch {
	case errors.As(err, &ahead):
		return []Check{notReady("clock", ahead.Hint(), "%v", err)}
	case errors.As(err, &auth):
		return []Check{notReady(subject, "check CSU_EFD_USERNAME and CSU_EFD_PASSWORD", "%v", err)}
	case err != nil:
		return []Check{notReady(subject, cmp.Or(exit.HintOf(err), "check that you can reach "+p.Plan.Targets.EFD.URL+" and that it answers"), "%v", late(err))}
	}
	age := asked.Sub(newest)
	lag := p.Systems.EFD.Lag()
	var out []Check
	switch {
	case newest.IsZero() && (!speaking || p.Plan.Type == plan.Recovery):
		out = append(out, remark(subject, "it answers; no CSC is heard, as expected at this point"))
	case newest.IsZero():
		out = append(out, notReady(subject, "check in Chronograf that the EFD is recording", "it answers, but no CSC was heard recently"))
	case age > lag+mostSkew+15*time.Second:
		out = append(out, notReady(subject, "check in Chronograf that the EFD is recording, and check this machine's clock", "its newest heartbeat is %s old", age.Round(time.Second)))
	default:
		out = append(out, ready(subject, "its newest heartbeat is %s old", max(age, 0).Round(time.Second)))
	}
	out = append(out, ready("clock", "agrees with the EFD's data"))
	return append(out, p.unknown(ctx)...)
}

// expectedToSpeak returns the CSCs of the table that the run has not taken
// down, and whether at least one of them should be heard.
func (p *preflight) expectedToSpeak() (cscs []efd.CSC, some bool) {
	for i := range p.Plan.CSCs {
		row := &p.Plan.CSCs[i]
		csc, err := efd.ParseCSC(row.CSC)
		if err != nil {
			continue // does not use SAL
		}
		cscs = append(cscs, csc)
		some = some || !slices.Contains(p.Down, row.CSC)
	}
	return cscs, some
}

// unknown names the CSCs that are heard but not in the plan.
func (p *preflight) unknown(ctx context.Context) []Check {
	const subject = "CSCs"
	alive, err := p.Systems.EFD.Alive(ctx, components(p.Plan))
	if err != nil {
		return []Check{notReady(subject, "check that the EFD answers", "cannot determine which CSCs are heard: %v", late(err))}
	}
	var strange []string
	for _, c := range alive {
		if _, known := p.Plan.CSC(c.String()); !known {
			strange = append(strange, c.String())
		}
	}
	if len(strange) > 0 {
		return []Check{remark(subject, "heard, but not in the plan: %s. They are not upgraded, but system_wide_shutdown.py would take them down too", plan.CSCList(strange))}
	}
	return []Check{ready(subject, "all %d that are heard are in the plan", len(alive))}
}

// host logs in and, if needed, becomes the user. It runs no command of the
// plan.
func (p *preflight) host(ctx context.Context, t remote.Target) []Check {
	subject := fmt.Sprintf("host %s as %s", t.Host, t.User)
	_, err := p.Systems.Remote.Run(ctx, t, "true")
	if err == nil {
		return []Check{ready(subject, "lets you in")}
	}
	remedy := cmp.Or(exit.HintOf(err), fmt.Sprintf("check that %s is up and reachable from here, also through the jump hosts of your ssh config", t.Address))
	return []Check{notReady(subject, remedy, "%v", late(err))}
}

// logins returns what the operator should know of the logins to all hosts.
func (p *preflight) logins() []Check {
	if len(p.needs.hosts) == 0 {
		return nil
	}
	var out []Check
	for _, note := range p.Systems.Remote.Notes() {
		out = append(out, remark("ssh", "%s", note))
	}
	return out
}

// target checks the context and the API server (P20); wrong is why they are not the
// plan's, or nil.
func (p *preflight) target(wrong error) Check {
	const subject = "cluster"
	switch want := p.Plan.Targets.Kubernetes; {
	case wrong != nil && p.Rehearsed:
		return notReady(subject, "use the kubeconfig that the simulated site has written", "%v", wrong)
	case wrong != nil:
		return notReady(subject, fmt.Sprintf("use the site's kubeconfig, %s, and its context %s", want.Kubeconfig, want.Context), "%v", wrong)
	}
	return ready(subject, "context %s, API server %s", p.Systems.Cluster.Context(), p.Systems.Cluster.Server())
}

// login says until when the operator's credential for the cluster is valid.
func (p *preflight) login(ctx context.Context, subject string) Check {
	at, renews, err := p.Systems.Cluster.Expiry(ctx)
	stamp := at.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case err != nil:
		return notReady(subject, exit.HintOf(err), "%v", late(err))
	case at.IsZero():
		return ready(subject, "does not say when it expires")
	case !at.After(time.Now()) && !renews:
		return notReady(subject, "log in to the cluster again", "it expired at %s", stamp)
	case p.Ends.IsZero() || at.After(p.Ends):
		return ready(subject, "valid until %s", stamp)
	case renews:
		return remark(subject, "it expires at %s, before the expected end at %s; the kubeconfig's plugin must then give another one without asking", stamp, p.Ends.UTC().Format("15:04 UTC"))
	}
	return remark(subject, "it expires at %s, before the expected end at %s: log in again first, or csu will ask you to in the middle", stamp, p.Ends.UTC().Format("15:04 UTC"))
}

// ledger says who has the site.
func (p *preflight) ledger(ctx context.Context, subject string) Check {
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
	return ready(subject, "no upgrade of %s is running", p.Plan.Site)
}

func (p *preflight) permissions(ctx context.Context, subject string) Check {
	denied, err := p.Systems.Cluster.Allowed(ctx, p.needs.permissions)
	if err != nil {
		return notReady(subject, cmp.Or(exit.HintOf(err), "check that the API server answers"), "%v", late(err))
	}
	if len(denied) == 0 {
		return ready(subject, "all %d granted", len(p.needs.permissions))
	}
	var names []string
	for _, d := range denied {
		names = append(names, d.String())
	}
	return notReady(subject, "ask for these permissions in the cluster", "not permitted: %s", strings.Join(names, "; "))
}

// application checks an application that will be synced.
func (p *preflight) application(ctx context.Context, subject, name string) Check {
	app, err := p.Systems.ArgoCD.Get(ctx, name)
	var missing *argocd.MissingError
	switch {
	case errors.As(err, &missing):
		return notReady(subject, "check in Argo CD, "+p.Plan.Targets.ArgoCD.URL+", whether the application has another name", "%v", err)
	case err != nil:
		return notReady(subject, cmp.Or(exit.HintOf(err), "check that the API server answers and lets you read Applications"), "%v", late(err))
	case app.OperationRunning:
		return notReady(subject, "wait until it ends, or terminate it in Argo CD", "an operation by %s is under way", app.OperationBy)
	case app.SelfHeals:
		return notReady(subject, "disable auto-sync in Argo CD for the time of the upgrade: argocd app set "+name+" --sync-policy none",
			"it syncs itself (auto-sync with selfHeal): Argo CD would bring back the Jobs that the plan deletes")
	case len(app.Problems) > 0:
		return notReady(subject, "fix the problem that Argo CD reports", "%s", strings.Join(app.Problems, "; "))
	}
	if want := p.revision(name); want != "" && app.TargetRevision != want {
		return notReady(subject, "have the application follow "+want+", or set its branch in the request", "it follows %q, but the plan says %q", app.TargetRevision, want)
	}
	var out []string
	for _, r := range app.OutOfSync {
		out = append(out, r.String())
	}
	text := fmt.Sprintf("%s at %s, health %s", app.SyncStatus, short(app.Revision), app.Health)
	if len(out) > 0 {
		text += fmt.Sprintf("; out of sync: %s", abridged(out, 6))
	}
	return ready(subject, "%s", text)
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

func (p *preflight) registry(ctx context.Context, subject string) Check {
	level, err := p.Systems.Registry.Level(ctx)
	switch {
	case err != nil:
		return notReady(subject, cmp.Or(exit.HintOf(err), "check that you may exec into its pod and that it answers"), "%v", late(err))
	case !p.Begun && level != p.needs.level:
		return notReady(subject, "find out who changed it; the plan starts with "+p.needs.level, "its level is %s, not %s", level, p.needs.level)
	}
	return ready(subject, "its level is %s", level)
}

func (p *preflight) slack(ctx context.Context) []Check {
	const subject = "Slack"
	const unreached = "check that you can reach Slack; an upgrade does not need it, so you may also unset CSU_SLACK_TOKEN"
	err := p.Systems.Slack.Check(ctx)
	var refused *slack.RefusedError
	var lost *slack.LostError
	switch {
	case errors.Is(err, slack.ErrNoCredential):
		return []Check{remark(subject, "neither CSU_SLACK_TOKEN nor CSU_SLACK_WEBHOOK is set: announcements are not posted, and csu shows you the hand-overs to pass on yourself")}
	case errors.As(err, &refused) && refused.Err == nil:
		return []Check{notReady(subject, "check CSU_SLACK_TOKEN; an upgrade does not need Slack, so you may also unset it", "Slack rejects the token: %s", refused.Reason)}
	case errors.As(err, &lost) && lost.Err == nil:
		return []Check{notReady(subject, unreached, "cannot check the token: Slack answered %s", lost.Reason)}
	case err != nil:
		// Slack's client reports errors about messages, but none was posted
		// here.
		return []Check{notReady(subject, unreached, "cannot check the token: %v", late(errors.Unwrap(err)))}
	}
	return []Check{ready(subject, "the token is valid")}
}
