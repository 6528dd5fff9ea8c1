package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	syncPause  = 5 * time.Second
	imagePause = 10 * time.Second
	// syncSettle is how long a sync may still reach the API server after its
	// answer was lost.
	syncSettle = 30 * time.Second
	// refreshAfter is how long csu waits for a sync to start before it asks Argo CD
	// to refresh the application. Argo CD's controller writes the answers to its own
	// patches into its cache, even over a newer Application with our operation
	// (controller/appcontroller.go, writeBackToInformer). It then sees the operation
	// only at its next refresh, which can be minutes away.
	refreshAfter = 2 * time.Minute
)

// sync has Argo CD sync an application or some of its resources, and waits until
// the expected images run.
type sync struct{ d *plan.Sync }

// Traits implements [Performer].
func (sync) Traits() Traits { return Traits{Identified: true} }

// syncEvidence is the state of the application before the sync.
type syncEvidence struct {
	TargetRevision  string `json:"targetRevision"`
	Revision        string `json:"revision"` // that the sync must deploy
	ResourceVersion string `json:"resourceVersion"`
	Operation       string `json:"operation,omitempty"` // who started the last operation
	// Only are the resources that are synced if Jobs of the application must be left out:
	// those that are out of sync, except the Jobs.
	Only []plan.Resource `json:"only,omitempty"`
}

// syncNote is recorded right before the sync is written.
type syncNote struct {
	Sync string `json:"sync"` // its identity
}

func (s sync) Prepare(ctx context.Context, a *Attempt) (any, error) {
	app, err := refreshed(ctx, a, s.d.Application)
	if err != nil {
		return nil, err
	}
	if app.TargetRevision != s.d.Revision {
		return nil, fmt.Errorf("prepare the sync of %q: it follows %q, but the plan expects %q; correct the application or the site's target revision, then recompile the plan",
			s.d.Application, app.TargetRevision, s.d.Revision)
	}
	if app.Revision == "" || app.SyncStatus == "Unknown" {
		return nil, fmt.Errorf("prepare the sync of %q: Argo CD cannot compare it with its source%s",
			s.d.Application, colonList(app.Problems))
	}
	evidence := syncEvidence{TargetRevision: app.TargetRevision, Revision: app.Revision, ResourceVersion: app.ResourceVersion, Operation: app.OperationBy}
	if s.partly(a) {
		for _, r := range app.OutOfSync {
			if r := plan.Resource(r); !a.Plan.Runs(r, a.Aside) {
				evidence.Only = append(evidence.Only, r)
			}
		}
	}
	return evidence, nil
}

// partly reports whether a whole application is synced without the Jobs of CSCs that
// were set aside. Argo CD can only be told what to sync, not what to leave out. A Job
// whose image has changed cannot be synced while the old one is there, and would fail the
// whole sync (P18).
func (s sync) partly(a *Attempt) bool { return len(s.d.Resources) == 0 && len(a.Aside) > 0 }

// before returns the evidence. It is empty if the attempt was not recorded.
func (s sync) before(a *Attempt) (before syncEvidence, err error) {
	if a.unrecorded() {
		return before, nil
	}
	if err := json.Unmarshal(a.Evidence, &before); err != nil {
		return before, fmt.Errorf("read the state of %q before the sync from the journal: %w", s.d.Application, err)
	}
	return before, nil
}

func colonList(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, "; ")
}

func (s sync) request(a *Attempt) argocd.SyncRequest {
	request := argocd.SyncRequest{Operator: a.Operator}
	resources := s.d.Resources
	if before, err := s.before(a); err == nil && s.partly(a) {
		resources = before.Only
	}
	for _, r := range resources {
		request.Resources = append(request.Resources, argocd.Resource(r))
	}
	return request
}

func (s sync) Perform(ctx context.Context, a *Attempt) Finding {
	if s.partly(a) && len(s.request(a).Resources) == 0 {
		return s.awaitImages(ctx, a, a.limit()) // without resources it would sync everything
	}
	if err := s.settled(ctx, a); err != nil {
		return Found(NotDone, "nothing was synced: %v", err)
	}
	if err := a.Note(syncNote{a.Identity}); err != nil {
		return Found(NotDone, "nothing was synced: record the sync: %v", err)
	}
	limit := a.limit()
	err := a.Systems.ArgoCD.Sync(ctx, s.d.Application, a.Identity, s.request(a))
	var lost *cluster.LostError
	switch {
	case errors.As(err, &lost):
		if finding := s.find(ctx, a, limit); finding.Verdict != Running {
			return finding
		}
	case err != nil:
		return Found(NotDone, "nothing was synced: %v", err)
	}
	return s.wait(ctx, a, limit)
}

// settled compares the revision that would be synced with the plan's. Its error says why
// it must not be synced.
func (s sync) settled(ctx context.Context, a *Attempt) error {
	before, err := s.before(a)
	if err != nil {
		return err
	}
	_, asked, err := a.settle(ctx, before.Revision)
	if err != nil || !asked {
		return err
	}
	app, err := refreshed(ctx, a, s.d.Application) // hours may have passed
	if err == nil && app.Revision != before.Revision {
		err = fmt.Errorf("the application is at Phalanx %s by now; retry", app.Revision)
	}
	return err
}

// find looks for the operation after a lost answer, until it is there or can no
// longer arrive.
func (s sync) find(ctx context.Context, a *Attempt, limit *clock.Limit) Finding {
	finding := a.silent()
	err := limit.PollFor(ctx, syncPause, syncSettle, func(ctx context.Context) (bool, error) {
		o, err := a.Systems.ArgoCD.Operation(ctx, s.d.Application, a.Identity, s.request(a))
		now := Found(Running, "the sync was accepted")
		switch {
		case err != nil:
			now = Found(Unknown, "cannot determine whether the sync was accepted: %v", err)
		case !o.Found:
			now = s.absent(ctx, a, o)
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		finding = now
		return err == nil && o.Found, nil
	})
	if err != nil {
		return unfinished(err, finding)
	}
	return finding
}

// absent returns the finding if the application does not have our operation. Ours
// may have been there and been replaced by another.
func (s sync) absent(ctx context.Context, a *Attempt, o argocd.Operation) Finding {
	if a.unrecorded() {
		return s.absentUnrecorded(a, o)
	}
	before, err := s.before(a)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	app, err := a.Systems.ArgoCD.Get(ctx, s.d.Application)
	switch {
	case err != nil:
		return Found(Unknown, "cannot determine whether the sync was accepted: %v", err)
	case app.ResourceVersion == before.ResourceVersion:
		return Found(NotDone, "nothing was synced: %q is unchanged", s.d.Application)
	case o.Other == "" && before.Operation == "":
		return Found(NotDone, "nothing was synced: %q has had no operation", s.d.Application)
	case o.Other == before.Operation && strings.Contains(o.Other, "(csu "):
		// An operation with an identity is unique, so it cannot have come after ours.
		return Found(NotDone, "nothing was synced: the last operation of %q is still the one by %s", s.d.Application, o.Other)
	case o.Other == "":
		return Found(Unknown, "%q has no operation now; cannot determine whether it had ours", s.d.Application)
	}
	return Found(Unknown, "the last operation of %q is by %s; cannot determine whether ours ran before it; check the application's history in Argo CD", s.d.Application, o.Other)
}

// absentUnrecorded is absent for an attempt without evidence. Each operation
// replaces the one before it. So if the last one is from before the run or the
// attempt, ours cannot have run after it.
func (s sync) absentUnrecorded(a *Attempt, o argocd.Operation) Finding {
	switch {
	case !o.LastStarted.IsZero() && o.LastStarted.Before(a.Started):
		return Found(NotDone, "nothing was synced: the last operation of %q started at %s, before this run", s.d.Application, timestamp(o.LastStarted))
	case earlierAttempt(o.OtherIdentity, a.Identity):
		return Found(NotDone, "nothing was synced: the last operation of %q is still the earlier one by %s", s.d.Application, o.Other)
	case o.Other == "" && !o.Synced:
		return Found(NotDone, "nothing was synced: %q has had no operation", s.d.Application)
	case o.Other == "":
		return Found(Unknown, "%q was synced at some time, but Argo CD shows no operation of it now; cannot determine whether this step synced it; check in Argo CD whether it is synced", s.d.Application)
	}
	return Found(Unknown, "the last operation of %q is by %s; cannot determine whether this step's ran before it in this run; check in Argo CD whether it is synced", s.d.Application, o.Other)
}

// wait waits until the operation has ended, then until the images run.
func (s sync) wait(ctx context.Context, a *Attempt, limit *clock.Limit) Finding {
	asked := a.Systems.Clock.Now() // for the sync, or for a refresh
	finding := a.watch(ctx, limit, syncPause, func(ctx context.Context) (Finding, bool) {
		finding, next := s.operation(ctx, a)
		if next == pending && a.Systems.Clock.Since(asked) >= refreshAfter {
			asked = a.Systems.Clock.Now()
			finding.Text += "; " + s.askRefresh(ctx, a)
		}
		return finding, next == over
	})
	if finding.Verdict != Done {
		return finding
	}
	return s.awaitImages(ctx, a, limit)
}

// askRefresh asks Argo CD to refresh the application, in case it has overlooked
// the operation, and describes that.
func (s sync) askRefresh(ctx context.Context, a *Attempt) string {
	if err := a.Systems.ArgoCD.AskRefresh(ctx, s.d.Application, false); err != nil {
		return fmt.Sprintf("cannot ask it to refresh the application: %v", err)
	}
	return "it may have overlooked the sync and was asked to refresh the application"
}

// progress says whether an operation may still change.
type progress int

const (
	going   progress = iota // it runs, or the API server did not answer
	pending                 // Argo CD has not started it
	over                    // it will not change any more
)

// operation judges our operation. Done does not cover the images.
func (s sync) operation(ctx context.Context, a *Attempt) (Finding, progress) {
	before, err := s.before(a)
	if err != nil {
		return Found(Unknown, "%v", err), over
	}
	o, err := a.Systems.ArgoCD.Operation(ctx, s.d.Application, a.Identity, s.request(a))
	switch {
	case err != nil:
		return Found(Unknown, "cannot determine what became of the sync: %v", err), going
	case !o.Found:
		return s.absent(ctx, a, o), over
	case o.Pending:
		return Found(Running, "Argo CD has not started the sync of %q", s.d.Application), pending
	case !o.Completed():
		return Found(Running, "Argo CD is syncing %q: %s%s; a sync has no time limit of its own, but you can terminate it in Argo CD", s.d.Application, o.Phase, colonText(o.Message)), going
	case o.Phase != "Succeeded":
		return Found(Failed, "the sync of %q ended %s%s%s", s.d.Application, o.Phase, colonText(o.Message), failures(o.Results)), over
	case o.SyncChanged:
		return Found(Failed, "Argo CD reports that the sync of %q succeeded, but it ran a different sync from the one requested (some controllers mix in the previous operation); check in Argo CD what was synced, then retry", s.d.Application), over
	case o.Revision != before.Revision && !a.unrecorded():
		return Found(Failed, "the sync of %q deployed revision %s, but revision %s was seen before it: something was pushed to %s in the meantime; check what came with it", s.d.Application, o.Revision, before.Revision, before.TargetRevision), over
	}
	return Found(Done, "%q is synced at revision %s", s.d.Application, o.Revision), over
}

func colonText(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// failures lists the resources that a sync failed on.
func failures(results []argocd.ResourceResult) string {
	const shown = 10
	var b strings.Builder
	n := 0
	for _, r := range results {
		if r.Status != "SyncFailed" && r.Status != "Failed" && r.Status != "Error" {
			continue
		}
		if n++; n <= shown {
			fmt.Fprintf(&b, "\n%s: %s%s", r.Resource, r.Status, colonText(r.Message))
		}
	}
	if n > shown {
		fmt.Fprintf(&b, "\nand %d more", n-shown)
	}
	return b.String()
}

// awaitImages waits until each CSC of the step runs its image in the plan.
func (s sync) awaitImages(ctx context.Context, a *Attempt, limit *clock.Limit) Finding {
	finding := a.watch(ctx, limit, imagePause, func(ctx context.Context) (Finding, bool) {
		finding := s.images(ctx, a)
		return finding, finding.Verdict == Done
	})
	if finding.Verdict == Running {
		// The sync itself is over, so the operator must deal with the rest.
		finding.Verdict = Failed
		finding.Text += "\ncheck with kubectl describe pod what they are waiting for; a retry leaves alone what is there and waits as long again"
	}
	return finding
}

// images checks whether the CSCs run their images.
func (s sync) images(ctx context.Context, a *Attempt) Finding {
	problems, err := s.imageProblems(ctx, a)
	if err != nil {
		return Found(Unknown, "%q is synced; cannot determine whether its CSCs run their images: %v", s.d.Application, err)
	}
	if len(problems) > 0 {
		var missing []string
		for _, name := range slices.Sorted(maps.Keys(problems)) {
			missing = append(missing, name+": "+problems[name])
		}
		return Found(Running, "%q is synced; CSCs that run their image: %d of %d; not yet:\n%s", s.d.Application, len(s.d.CSCs)-len(missing), len(s.d.CSCs), strings.Join(missing, "\n"))
	}
	switch len(s.d.CSCs) {
	case 0:
		return Found(Done, "%q is synced", s.d.Application)
	case 1:
		return Found(Done, "%q is synced, and %s runs its image", s.d.Application, s.d.CSCs[0])
	}
	return Found(Done, "%q is synced, and all %d CSCs run their images", s.d.Application, len(s.d.CSCs))
}

// imageProblems says of the CSCs that do not run their images why not.
func (s sync) imageProblems(ctx context.Context, a *Attempt) (map[string]string, error) {
	problems := map[string]string{}
	for namespace, rows := range s.jobs(a) {
		names := make([]string, len(rows))
		for i, row := range rows {
			names[i] = row.Job.Name
		}
		found, err := a.Systems.Cluster.JobImages(ctx, namespace, names)
		if err != nil {
			return nil, err
		}
		for i, row := range rows {
			if why := imageProblem(row.Image, found[i]); why != "" {
				problems[row.CSC] = why
			}
		}
	}
	return problems, nil
}

// imageProblem says why a Job does not run an image. It is "" if it does.
func imageProblem(image string, found cluster.JobImage) string {
	switch {
	case !found.Running && found.Age > 0:
		return fmt.Sprintf("%s, for %s", found.Why, found.Age.Round(time.Second))
	case !found.Running:
		return found.Why
	case image != "" && !slices.Contains(found.Images, image):
		return fmt.Sprintf("it runs %s, not %s", strings.Join(found.Images, ", "), image)
	}
	return ""
}

// jobs returns the step's CSCs that run as Jobs, by namespace.
func (s sync) jobs(a *Attempt) map[string][]*plan.CSC {
	rows := map[string][]*plan.CSC{}
	for _, name := range s.d.CSCs {
		if row, ok := a.Plan.CSC(name); ok && row.Job != nil {
			rows[row.Job.Namespace] = append(rows[row.Job.Namespace], row)
		}
	}
	return rows
}

func (s sync) Probe(ctx context.Context, a *Attempt) Finding {
	if len(a.Notes) == 0 && !a.Suspected {
		return Found(NotDone, "csu had not yet requested the sync of %q", s.d.Application)
	}
	finding, _ := s.operation(ctx, a)
	if finding.Verdict == Done {
		return s.images(ctx, a)
	}
	return finding
}

func (s sync) Await(ctx context.Context, a *Attempt) Finding { return s.wait(ctx, a, a.limit()) }

// Look implements [Performer].
func (s sync) Look(ctx context.Context, a *Attempt) Finding {
	app, err := refreshed(ctx, a, s.d.Application)
	if err != nil {
		return Found(Unknown, "cannot determine whether %q is synced: %v", s.d.Application, err)
	}
	var left []string
	for _, r := range app.OutOfSync {
		if (len(s.d.Resources) == 0 || slices.Contains(s.d.Resources, plan.Resource(r))) && !a.Plan.Runs(plan.Resource(r), a.Aside) {
			left = append(left, r.String())
		}
	}
	if len(left) > 0 {
		return Found(NotDone, "application %q, at %s: still out of sync: %s", app.Name, app.Revision, strings.Join(left, ", "))
	}
	f := s.images(ctx, a)
	if f.Verdict == Running {
		f.Verdict = NotDone
	}
	return f
}

// Reading describes the application, and what is out of sync.
func (s sync) Reading(ctx context.Context, a *Attempt) (string, error) {
	app, err := refreshed(ctx, a, s.d.Application)
	if err != nil {
		return "", err
	}
	return describeApplication(app, a.Plan), nil
}
