package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	syncPause  = 5 * time.Second
	imagePause = 10 * time.Second
	// syncSettle is how long a sync whose answer was lost may still come to the
	// API server.
	syncSettle = 30 * time.Second
	// overlooked is after how long Argo CD is asked to look again at a sync that
	// it has not begun. Its controller writes the answers to its own patches into
	// its cache, even where a newer Application with our operation is there
	// already (controller/appcontroller.go, writeBackToInformer); it then sees
	// the operation at its next refresh, which can be minutes away.
	overlooked = 2 * time.Minute
)

// sync has Argo CD sync an application, or some of its resources, and waits
// until the expected images run.
type sync struct{ d *plan.Sync }

// Traits implements [Performer].
func (sync) Traits() Traits { return Traits{Identified: true} }

// syncEvidence is how the application was found before the sync.
type syncEvidence struct {
	TargetRevision  string `json:"targetRevision"`
	Revision        string `json:"revision"` // that the sync must bring
	ResourceVersion string `json:"resourceVersion"`
	Operation       string `json:"operation,omitempty"` // whose the last operation was
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
		return nil, fmt.Errorf("prepare the sync of %q: it follows %q, and the plan expects %q: correct the application, or the site's target revision, and compile the plan again",
			s.d.Application, app.TargetRevision, s.d.Revision)
	}
	if app.Revision == "" || app.SyncStatus == "Unknown" {
		return nil, fmt.Errorf("prepare the sync of %q: Argo CD can't compare it with its source%s",
			s.d.Application, colonList(app.Problems))
	}
	return syncEvidence{TargetRevision: app.TargetRevision, Revision: app.Revision, ResourceVersion: app.ResourceVersion, Operation: app.OperationBy}, nil
}

// before returns how the application was found; nothing of an attempt that is not
// recorded.
func (s sync) before(a *Attempt) (before syncEvidence, err error) {
	if a.unrecorded() {
		return before, nil
	}
	if err := json.Unmarshal(a.Evidence, &before); err != nil {
		return before, fmt.Errorf("read in the journal how %q was found: %w", s.d.Application, err)
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
	for _, r := range s.d.Resources {
		request.Resources = append(request.Resources, argocd.Resource(r))
	}
	return request
}

func (s sync) Perform(ctx context.Context, a *Attempt) Finding {
	if err := a.Note(syncNote{a.Identity}); err != nil {
		return Found(NotDone, "nothing was synced: record the sync: %v", err)
	}
	err := a.Systems.ArgoCD.Sync(ctx, s.d.Application, a.Identity, s.request(a))
	var lost *cluster.LostError
	switch {
	case errors.As(err, &lost):
		if finding := s.find(ctx, a); finding.Verdict != Running {
			return finding
		}
	case err != nil:
		return Found(NotDone, "nothing was synced: %v", err)
	}
	return s.wait(ctx, a)
}

// find looks, after a lost answer, for the operation until it is there or can't
// come any more.
func (s sync) find(ctx context.Context, a *Attempt) Finding {
	var finding Finding
	err := a.Systems.Clock.Poll(ctx, syncPause, syncSettle, func(ctx context.Context) (bool, error) {
		o, err := a.Systems.ArgoCD.Operation(ctx, s.d.Application, a.Identity, s.request(a))
		if err != nil {
			finding = Found(Unknown, "whether the sync was taken can't be seen: %v", err)
			return false, nil
		}
		finding = Found(Running, "the sync was taken")
		if !o.Found {
			finding = s.absent(ctx, a, o)
		}
		return o.Found, nil
	})
	if err != nil {
		return ended(err, finding)
	}
	return finding
}

// absent is the finding where the application has no operation of ours. Ours
// may have been there, and another one have taken its place.
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
		return Found(Unknown, "whether the sync was taken can't be seen: %v", err)
	case app.ResourceVersion == before.ResourceVersion:
		return Found(NotDone, "nothing was synced: %q is as it was found", s.d.Application)
	case o.Other == "" && before.Operation == "":
		return Found(NotDone, "nothing was synced: %q has had no operation", s.d.Application)
	case o.Other == before.Operation && strings.Contains(o.Other, "(csu "):
		// Such an operation can't have come again after ours.
		return Found(NotDone, "nothing was synced: the last operation of %q is still that of %s", s.d.Application, o.Other)
	case o.Other == "":
		return Found(Unknown, "%q has no operation now; whether it had ours is not known", s.d.Application)
	}
	return Found(Unknown, "the last operation of %q is of %s; whether ours was there before it is not known; look at the application's history in Argo CD", s.d.Application, o.Other)
}

// absentUnrecorded is absent where it is not known how the application was found.
// An operation takes the place of the one before it, so that what is there from
// before the run, or before the attempt, has had no operation of ours behind it.
func (s sync) absentUnrecorded(a *Attempt, o argocd.Operation) Finding {
	switch {
	case !o.LastStarted.IsZero() && o.LastStarted.Before(a.Started):
		return Found(NotDone, "nothing was synced: the last operation that Argo CD began for %q is of %s, before this run", s.d.Application, hour(o.LastStarted))
	case earlierAttempt(o.OtherIdentity, a.Identity):
		return Found(NotDone, "nothing was synced: the last operation of %q is still that of %s, which came before", s.d.Application, o.Other)
	case o.Other == "" && !o.Synced:
		return Found(NotDone, "nothing was synced: %q has had no operation", s.d.Application)
	case o.Other == "":
		return Found(Unknown, "%q was synced at some time, and Argo CD shows no operation of it now; whether it had one of this step is not known; look in Argo CD whether it is synced", s.d.Application)
	}
	return Found(Unknown, "the last operation of %q is of %s; whether one of this step was there before it in this run is not known; look in Argo CD whether it is synced", s.d.Application, o.Other)
}

// wait follows the operation until its end, and then the images.
func (s sync) wait(ctx context.Context, a *Attempt) Finding {
	left, report := a.patience(), a.reporter()
	var finding Finding
	asked := a.Systems.Clock.Now() // to begin it
	err := left.poll(ctx, syncPause, func(ctx context.Context) (bool, error) {
		var next progress
		finding, next = s.operation(ctx, a)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if next == pending && a.Systems.Clock.Since(asked) >= overlooked {
			asked = a.Systems.Clock.Now()
			finding.Text += "; " + s.again(ctx, a)
		}
		report.say(finding.Text)
		return next == over, nil
	})
	switch {
	case err != nil:
		return ended(err, finding)
	case finding.Verdict != Done:
		return finding
	}
	return s.awaitImages(ctx, a, left)
}

// again has Argo CD look at the application, in case it has overlooked the
// operation, and says so.
func (s sync) again(ctx context.Context, a *Attempt) string {
	if err := a.Systems.ArgoCD.AskRefresh(ctx, s.d.Application, false); err != nil {
		return fmt.Sprintf("it can't be asked to look again: %v", err)
	}
	return "it may have overlooked it, and was asked to look again"
}

// progress is what another look at an operation may find.
type progress int

const (
	going   progress = iota // something else: it runs, or the API server did not answer
	pending                 // something else: Argo CD has not begun it
	over                    // the same
)

// operation judges our operation; Done is without the images.
func (s sync) operation(ctx context.Context, a *Attempt) (Finding, progress) {
	before, err := s.before(a)
	if err != nil {
		return Found(Unknown, "%v", err), over
	}
	o, err := a.Systems.ArgoCD.Operation(ctx, s.d.Application, a.Identity, s.request(a))
	switch {
	case err != nil:
		return Found(Unknown, "what became of the sync can't be seen: %v", err), going
	case !o.Found:
		return s.absent(ctx, a, o), over
	case o.Pending:
		return Found(Running, "Argo CD has not begun the sync of %q", s.d.Application), pending
	case !o.Completed():
		return Found(Running, "Argo CD syncs %q: %s%s; a sync has no time limit of its own, and can be terminated in Argo CD", s.d.Application, o.Phase, colonText(o.Message)), going
	case o.Phase != "Succeeded":
		return Found(Failed, "the sync of %q ended %s%s%s", s.d.Application, o.Phase, colonText(o.Message), failures(o.Results)), over
	case o.SyncChanged:
		return Found(Failed, "Argo CD says that the sync of %q succeeded, but it carried out another one than csu asked for (some controllers mix in the operation before); see in Argo CD what was synced, and retry", s.d.Application), over
	case o.Revision != before.Revision && !a.unrecorded():
		return Found(Failed, "the sync of %q brought revision %s, and %s was seen before it: something was pushed to %s meanwhile; look at what came with it", s.d.Application, o.Revision, before.Revision, before.TargetRevision), over
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

// awaitImages waits until each CSC of the step runs its image of the table.
func (s sync) awaitImages(ctx context.Context, a *Attempt, left *patience) Finding {
	var finding Finding
	report := a.reporter()
	err := left.poll(ctx, imagePause, func(ctx context.Context) (bool, error) {
		finding = s.images(ctx, a)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		report.say(finding.Text)
		return finding.Verdict == Done, nil
	})
	if err != nil {
		if finding.Verdict == Running {
			// The sync itself is over; what is missing is for a person to see to.
			finding.Verdict = Failed
			finding.Text += "\nsee with kubectl describe pod what they wait for; a retry leaves alone what is there, and waits as long again"
		}
		return ended(err, finding)
	}
	return finding
}

// images looks whether the CSCs run their images.
func (s sync) images(ctx context.Context, a *Attempt) Finding {
	var missing []string
	for namespace, rows := range s.jobs(a) {
		names := make([]string, len(rows))
		for i, row := range rows {
			names[i] = row.Job.Name
		}
		found, err := a.Systems.Cluster.JobImages(ctx, namespace, names)
		if err != nil {
			return Found(Unknown, "%q is synced; whether its CSCs run their images can't be seen: %v", s.d.Application, err)
		}
		for i, row := range rows {
			if why := whyNot(row.Image, found[i]); why != "" {
				missing = append(missing, row.CSC+": "+why)
			}
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return Found(Running, "%q is synced; %d of %d CSCs run their image, not yet:\n%s", s.d.Application, len(s.d.CSCs)-len(missing), len(s.d.CSCs), strings.Join(missing, "\n"))
	}
	switch len(s.d.CSCs) {
	case 0:
		return Found(Done, "%q is synced", s.d.Application)
	case 1:
		return Found(Done, "%q is synced, and %s runs its image", s.d.Application, s.d.CSCs[0])
	}
	return Found(Done, "%q is synced, and all %d CSCs run their images", s.d.Application, len(s.d.CSCs))
}

// whyNot says why a Job does not run an image; "" if it does.
func whyNot(image string, found cluster.JobImage) string {
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

// jobs returns the rows of the step's CSCs that run as Jobs, by namespace.
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
		return Found(NotDone, "csu had not come to asking for the sync of %q", s.d.Application)
	}
	finding, _ := s.operation(ctx, a)
	if finding.Verdict == Done {
		return s.images(ctx, a)
	}
	return finding
}

func (s sync) Await(ctx context.Context, a *Attempt) Finding { return s.wait(ctx, a) }

// Reading shows what is out of sync.
func (s sync) Reading(ctx context.Context, a *Attempt) (string, error) {
	app, err := refreshed(ctx, a, s.d.Application)
	if err != nil {
		return "", err
	}
	return describeApplication(app, a.Plan), nil
}
