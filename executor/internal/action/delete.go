package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

const deletePause = 3 * time.Second

// deletion deletes Jobs or namespaces: those that Prepare has recorded by their
// UIDs, and never another one.
type deletion struct{ d *plan.Delete }

// Traits implements [Performer].
func (deletion) Traits() Traits { return Traits{ConfirmsByHand: true} }

// recorded is a [cluster.Object] in the journal.
type recorded struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Inventory are the objects that a deletion takes.
type Inventory struct {
	Objects []recorded `json:"objects"`
}

// Take finds what a deletion of Jobs would take now.
func Take(ctx context.Context, s *Systems, d *plan.Delete) (Inventory, error) {
	found, err := s.Cluster.Jobs(ctx, d.Namespace, d.Selector)
	return inventoryOf(found), err
}

func inventoryOf(objects []cluster.Object) Inventory {
	i := Inventory{Objects: []recorded{}}
	for _, o := range objects {
		i.Objects = append(i.Objects, recorded(o))
	}
	return i
}

// deletionNote is recorded when the API server has taken every deletion: from
// then on nothing but waiting is left.
type deletionNote struct {
	Accepted int `json:"accepted"`
}

func (d deletion) Prepare(ctx context.Context, a *Attempt) (any, error) {
	found, err := d.find(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := d.known(a, found); err != nil {
		return nil, err
	}
	if err := d.agreed(ctx, a, found); err != nil {
		return nil, err
	}
	evidence := inventoryOf(found)
	if gone := d.absent(a, found); len(gone) > 0 {
		a.Progress("already gone: the Jobs of %s", strings.Join(gone, ", "))
	}
	return evidence, nil
}

func (d deletion) find(ctx context.Context, a *Attempt) ([]cluster.Object, error) {
	if d.d.Objects == plan.Namespaces {
		return a.Systems.Cluster.Namespaces(ctx, d.d.Selector)
	}
	return a.Systems.Cluster.Jobs(ctx, d.d.Namespace, d.d.Selector)
}

// known refuses Jobs that are not those of the step's CSCs: the selector finds
// more now than the plan's reviewers could see.
func (d deletion) known(a *Attempt, found []cluster.Object) error {
	if d.d.Objects == plan.Namespaces {
		return nil
	}
	var strangers []string
	for _, o := range found {
		row := jobRow(a.Plan, o.Namespace, o.Name)
		switch {
		case row == nil:
			strangers = append(strangers, fmt.Sprintf("%s, which the plan does not know", o))
		case !slices.Contains(d.d.CSCs, row.CSC):
			strangers = append(strangers, fmt.Sprintf("%s of %s, which this step must leave alone", o, row.CSC))
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	return fmt.Errorf("find the Jobs to delete: the selector %q also finds %s; nothing was deleted. Correct the site's inventory and compile the plan again, or delete the others by hand",
		d.d.Selector, strings.Join(strangers, "; "))
}

// agreed has the operator agree to the deletion of Jobs that were not there when
// the run began: they may be those that an upgrade has made meanwhile, of this very
// plan perhaps.
func (d deletion) agreed(ctx context.Context, a *Attempt, found []cluster.Object) error {
	if d.d.Objects == plan.Namespaces {
		return nil // of users, who come and go
	}
	var listed Inventory
	unlisted := found
	if len(a.Inventory) > 0 {
		if err := json.Unmarshal(a.Inventory, &listed); err != nil {
			return fmt.Errorf("read in the journal which Jobs may be deleted: %w", err)
		}
		unlisted = slices.DeleteFunc(slices.Clone(found), func(o cluster.Object) bool { return slices.Contains(listed.Objects, recorded(o)) })
	}
	if len(unlisted) == 0 {
		return nil
	}
	why := "They were made after this run began, perhaps by another run: a CSC that is new already would go down."
	if len(a.Inventory) == 0 {
		why = "csu could not write down which Jobs there were when the run began."
	}
	answer, err := a.ask(ctx, operator.Unexpected,
		fmt.Sprintf("Delete %d of %d Jobs that this run does not know? %s", len(unlisted), len(found), why), names(unlisted), operator.Yes, operator.No)
	switch {
	case err != nil:
		return fmt.Errorf("%d Jobs were made after the run began, and nobody said that they may be deleted: %w", len(unlisted), err)
	case answer.Choice != operator.Yes:
		return errors.New(because(fmt.Sprintf("%d Jobs were made after the run began, and the operator does not want them deleted", len(unlisted)), answer))
	}
	return nil
}

// jobRow returns the CSC that a Job runs, or nil.
func jobRow(p *plan.Plan, namespace, name string) *plan.CSC {
	for i := range p.CSCs {
		if job := p.CSCs[i].Job; job != nil && job.Namespace == namespace && job.Name == name {
			return &p.CSCs[i]
		}
	}
	return nil
}

// absent returns those of the step's CSCs whose Jobs were not found.
func (d deletion) absent(a *Attempt, found []cluster.Object) []string {
	var absent []string
	for _, name := range d.d.CSCs {
		row, ok := a.Plan.CSC(name)
		there := ok && row.Job != nil && slices.ContainsFunc(found, func(o cluster.Object) bool {
			return o.Namespace == row.Job.Namespace && o.Name == row.Job.Name
		})
		if !there {
			absent = append(absent, name)
		}
	}
	return absent
}

// objects returns what the attempt is to delete.
func (d deletion) objects(a *Attempt) ([]cluster.Object, error) {
	var evidence Inventory
	if err := json.Unmarshal(a.Evidence, &evidence); err != nil {
		return nil, fmt.Errorf("read in the journal what is to be deleted: %w", err)
	}
	var objects []cluster.Object
	for _, o := range evidence.Objects {
		objects = append(objects, cluster.Object(o))
	}
	return objects, nil
}

func (d deletion) Perform(ctx context.Context, a *Attempt) Finding {
	objects, err := d.objects(a)
	if err != nil {
		return Found(NotDone, "nothing was deleted: %v", err)
	}
	if len(objects) == 0 {
		return Found(Done, "nothing to do: no %s match %q", d.d.Objects, d.d.Selector)
	}
	var refused []string
	accepted := true
	for _, o := range objects {
		err := d.delete(ctx, a, o)
		var lost *cluster.LostError
		switch {
		case errors.As(err, &lost):
			accepted = false // what it meant is seen by what goes
		case err != nil:
			refused = append(refused, err.Error())
		}
	}
	switch {
	case len(refused) == len(objects):
		return Found(NotDone, "nothing was deleted: %s", refused[0])
	case len(refused) > 0:
		finding := d.whole(d.wait(ctx, a, objects, false))
		finding.Text += "\n" + strings.Join(refused, "\n")
		return finding
	case accepted:
		if err := a.Note(deletionNote{Accepted: len(objects)}); err != nil {
			return Found(Unknown, "record that the deletions were taken: %v", err)
		}
	}
	return d.whole(d.wait(ctx, a, objects, accepted))
}

// whole is the finding of an attempt that was not cut short: all deletions were
// asked for, so that it has failed where some were not taken.
func (deletion) whole(f Finding) Finding {
	if f.Verdict == CutShort {
		f.Verdict = Failed
	}
	return f
}

func (d deletion) delete(ctx context.Context, a *Attempt, o cluster.Object) error {
	if d.d.Objects == plan.Namespaces {
		return a.Systems.Cluster.DeleteNamespace(ctx, o)
	}
	return a.Systems.Cluster.DeleteJob(ctx, o)
}

func (d deletion) remaining(ctx context.Context, a *Attempt, objects []cluster.Object) ([]cluster.Object, error) {
	if d.d.Objects == plan.Namespaces {
		return a.Systems.Cluster.RemainingNamespaces(ctx, objects)
	}
	return a.Systems.Cluster.RemainingJobs(ctx, objects)
}

// standing returns those of the objects that are still there themselves, and
// not only the pods of a Job that is gone. A namespace is, until it is empty.
func (d deletion) standing(ctx context.Context, a *Attempt, objects []cluster.Object) ([]cluster.Object, error) {
	found, err := d.find(ctx, a)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(objects), func(o cluster.Object) bool { return !slices.Contains(found, o) }), nil
}

// wait waits until all objects and, of Jobs, their pods are gone. Where not all
// deletions are known to have been taken, it waits for the pods of the Jobs that
// are gone: a retry finds Jobs, and would not know of these pods.
func (d deletion) wait(ctx context.Context, a *Attempt, objects []cluster.Object, accepted bool) Finding {
	var finding Finding
	report := a.reporter()
	err := a.patience().poll(ctx, deletePause, func(ctx context.Context) (bool, error) {
		finding = d.look(ctx, a, objects, accepted)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		report.say(finding.Text)
		// An API server that doesn't answer may come back.
		return finding.Verdict != Running && finding.Verdict != Unknown, nil
	})
	if err != nil {
		return ended(err, finding)
	}
	return finding
}

// look judges by what is still there; accepted says that the API server has
// taken all deletions.
func (d deletion) look(ctx context.Context, a *Attempt, objects []cluster.Object, accepted bool) Finding {
	left, err := d.remaining(ctx, a, objects)
	if err != nil {
		return Found(Unknown, "whether the %s are gone can't be seen: %v", d.d.Objects, err)
	}
	if len(left) == 0 {
		return d.gone(objects)
	}
	standing := left
	if !accepted {
		if standing, err = d.standing(ctx, a, left); err != nil {
			return Found(Unknown, "whether the %s are gone can't be seen: %v", d.d.Objects, err)
		}
	}
	switch {
	case !accepted && len(standing) == len(objects):
		return Found(NotDone, "all %d %s are still there", len(objects), d.d.Objects)
	case !accepted && len(standing) == len(left):
		return Found(CutShort, "%d of %d %s are still there, and not all deletions are known to have been taken; a retry takes only those that are left: %s", len(left), len(objects), d.d.Objects, names(left))
	case d.d.Objects == plan.Namespaces:
		return Found(Running, "%d of %d namespaces are being deleted, Kubernetes is still emptying them: %s", len(left), len(objects), names(left))
	}
	return Found(Running, "%d of %d Jobs are being deleted, of their pods some have not ended: %s", len(left), len(objects), names(left))
}

func (d deletion) gone(objects []cluster.Object) Finding {
	if d.d.Objects == plan.Namespaces {
		return Found(Done, "all %d namespaces are gone", len(objects))
	}
	return Found(Done, "all %d Jobs and their pods are gone", len(objects))
}

// names lists objects while they are few.
func names(objects []cluster.Object) string {
	const shown = 12
	var list []string
	for i, o := range objects {
		if i == shown {
			list = append(list, fmt.Sprintf("and %d more", len(objects)-shown))
			break
		}
		list = append(list, o.String())
	}
	return strings.Join(list, ", ")
}

func (d deletion) Probe(ctx context.Context, a *Attempt) Finding {
	if len(a.Evidence) == 0 {
		return d.unrecorded(ctx, a)
	}
	objects, err := d.objects(a)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	return d.look(ctx, a, objects, len(a.Notes) > 0)
}

// unrecorded looks where the journal does not say what the attempt was to delete.
// Pods of Jobs that are gone can't be told from others then.
func (d deletion) unrecorded(ctx context.Context, a *Attempt) Finding {
	found, err := d.find(ctx, a)
	switch {
	case err != nil:
		return Found(Unknown, "whether the %s are gone can't be seen: %v", d.d.Objects, err)
	case len(found) > 0:
		return Found(Unknown, "%d %s match %q: %s; whether they are what this step is to delete is not known, since csu could not write down before which there were", len(found), d.d.Objects, d.d.Selector, names(found))
	case d.d.Objects == plan.Jobs:
		return Found(Unknown, "no Jobs match %q any more; whether pods of Jobs that were deleted still run is not known; look in the namespace %q", d.d.Selector, d.d.Namespace)
	}
	return Found(Done, "no namespaces match %q any more", d.d.Selector)
}

func (d deletion) Await(ctx context.Context, a *Attempt) Finding {
	objects, err := d.objects(a)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	return d.wait(ctx, a, objects, len(a.Notes) > 0)
}

// Reading shows what would be deleted now.
func (d deletion) Reading(ctx context.Context, a *Attempt) (string, error) {
	found, err := d.find(ctx, a)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return fmt.Sprintf("no %s match %q", d.d.Objects, d.d.Selector), nil
	}
	text := fmt.Sprintf("%d %s: %s", len(found), d.d.Objects, names(found))
	if err := d.known(a, found); err != nil {
		text += "\n" + err.Error()
	}
	return text, nil
}
