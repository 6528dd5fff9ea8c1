package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

const deletePause = 3 * time.Second

// deletion deletes Jobs or namespaces. It deletes only the objects that Prepare
// has recorded, by UID.
type deletion struct{ d *plan.Delete }

// Traits implements [Performer].
func (deletion) Traits() Traits { return Traits{} }

// recorded is a [cluster.Object] in the journal.
type recorded struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Inventory lists the objects that a deletion deletes.
type Inventory struct {
	Objects []recorded `json:"objects"`
}

// Inventories lists the Jobs that the plan's deletions of Jobs would delete now, by step.
func Inventories(ctx context.Context, s *Systems, p *plan.Plan) (map[string]Inventory, error) {
	found := map[string]Inventory{}
	for step := range p.AllSteps() {
		d, ok := step.Action.Parameters.(*plan.Delete)
		if !ok || d.Objects != plan.Jobs {
			continue
		}
		jobs, err := TakeInventory(ctx, s, d)
		if err != nil {
			return nil, err
		}
		found[step.ID] = jobs
	}
	return found, nil
}

// TakeInventory lists the Jobs that a deletion of Jobs would delete now.
func TakeInventory(ctx context.Context, s *Systems, d *plan.Delete) (Inventory, error) {
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

// deletionNote is recorded when the API server has accepted every deletion. From
// then on csu only waits.
type deletionNote struct {
	Accepted int `json:"accepted"`
}

func (d deletion) Prepare(ctx context.Context, a *Attempt) (any, error) {
	found, err := d.find(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := d.checkKnown(a, found); err != nil {
		return nil, err
	}
	if err := d.confirmUnlisted(ctx, a, found); err != nil {
		return nil, err
	}
	evidence := inventoryOf(found)
	if gone := d.absent(a, found); len(gone) > 0 {
		a.Progress("Jobs already gone: %s", strings.Join(gone, ", "))
	}
	return evidence, nil
}

func (d deletion) find(ctx context.Context, a *Attempt) ([]cluster.Object, error) {
	if d.d.Objects == plan.Namespaces {
		return a.Systems.Cluster.Namespaces(ctx, d.d.Selector)
	}
	found, err := a.Systems.Cluster.Jobs(ctx, d.d.Namespace, d.d.Selector)
	return a.spared(found), err
}

// spared returns the objects without the Jobs of CSCs that were set aside.
func (a *Attempt) spared(objects []cluster.Object) []cluster.Object {
	return slices.DeleteFunc(objects, func(o cluster.Object) bool {
		row := jobRow(a.Plan, o.Namespace, o.Name)
		return row != nil && slices.Contains(a.Aside, row.CSC)
	})
}

// checkKnown refuses Jobs that do not belong to the step's CSCs: the selector
// matches more now than the plan's reviewers could see.
func (d deletion) checkKnown(a *Attempt, found []cluster.Object) error {
	if d.d.Objects == plan.Namespaces {
		return nil
	}
	var strangers []string
	for _, o := range found {
		row := jobRow(a.Plan, o.Namespace, o.Name)
		switch {
		case row == nil:
			strangers = append(strangers, fmt.Sprintf("%s, which is not in the plan", o))
		case !slices.Contains(d.d.CSCs, row.CSC):
			strangers = append(strangers, fmt.Sprintf("%s of %s, which this step must not delete", o, row.CSC))
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	return fmt.Errorf("find the Jobs to delete: the selector %q also matches %s; nothing was deleted; correct the site's inventory and recompile the plan, or delete these Jobs by hand",
		d.d.Selector, strings.Join(strangers, "; "))
}

// confirmUnlisted asks the operator before it lets Jobs be deleted that are not in
// the run's inventory. An upgrade may have created them since the run began,
// perhaps another run of the same plan.
func (d deletion) confirmUnlisted(ctx context.Context, a *Attempt, found []cluster.Object) error {
	if d.d.Objects == plan.Namespaces {
		return nil // these belong to users, who come and go
	}
	var listed Inventory
	unlisted := found
	if len(a.Inventory) > 0 {
		if err := json.Unmarshal(a.Inventory, &listed); err != nil {
			return fmt.Errorf("read the inventory of Jobs from the journal: %w", err)
		}
		unlisted = slices.DeleteFunc(slices.Clone(found), func(o cluster.Object) bool { return slices.Contains(listed.Objects, recorded(o)) })
	}
	if len(unlisted) == 0 {
		return nil
	}
	why := "They were created after this run began, perhaps by another run. Deleting them may take down CSCs that are already upgraded."
	if len(a.Inventory) == 0 {
		why = "csu could not record which Jobs existed when the run began."
	}
	answer, err := a.ask(ctx, operator.Unexpected,
		fmt.Sprintf("Delete %d of %d Jobs that are unknown to this run? %s", len(unlisted), len(found), why), names(unlisted), operator.Yes, operator.No)
	switch {
	case err != nil:
		return fmt.Errorf("delete %d Jobs unknown to this run: the operator has not agreed: %w", len(unlisted), err)
	case answer.Choice != operator.Yes:
		return errors.New(because(fmt.Sprintf("delete %d Jobs unknown to this run: the operator declined", len(unlisted)), answer))
	}
	return nil
}

// jobRow returns the CSC that a Job runs, or nil if the plan has none.
func jobRow(p *plan.Plan, namespace, name string) *plan.CSC {
	for i := range p.CSCs {
		if job := p.CSCs[i].Job; job != nil && job.Namespace == namespace && job.Name == name {
			return &p.CSCs[i]
		}
	}
	return nil
}

// absent returns the step's CSCs whose Jobs were not found.
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

// objects returns the objects that the attempt deletes.
func (d deletion) objects(a *Attempt) ([]cluster.Object, error) {
	var evidence Inventory
	if err := json.Unmarshal(a.Evidence, &evidence); err != nil {
		return nil, fmt.Errorf("read the objects to delete from the journal: %w", err)
	}
	var objects []cluster.Object
	for _, o := range evidence.Objects {
		objects = append(objects, cluster.Object(o))
	}
	return a.spared(objects), nil
}

func (d deletion) Perform(ctx context.Context, a *Attempt) Finding {
	objects, err := d.objects(a)
	if err != nil {
		return Found(NotDone, "nothing was deleted: %v", err)
	}
	if len(objects) == 0 {
		return Found(Done, "nothing to do: no %s match %q", d.d.Objects, d.d.Selector)
	}
	limit := a.limit()
	var refused []string
	accepted := true
	for _, o := range objects {
		err := d.delete(ctx, a, o)
		var lost *cluster.LostError
		switch {
		case errors.As(err, &lost):
			accepted = false // wait shows whether the object goes away
		case err != nil:
			refused = append(refused, err.Error())
		}
	}
	switch {
	case len(refused) == len(objects):
		return Found(NotDone, "nothing was deleted: %s", refused[0])
	case len(refused) > 0:
		finding := d.failedIfCutShort(d.wait(ctx, a, limit, objects, false))
		finding.Text += "\n" + strings.Join(refused, "\n")
		return finding
	case accepted:
		if err := a.Note(deletionNote{Accepted: len(objects)}); err != nil {
			return Found(Unknown, "record that the deletions were accepted: %v", err)
		}
	}
	return d.failedIfCutShort(d.wait(ctx, a, limit, objects, accepted))
}

// failedIfCutShort turns CutShort into Failed. Perform has requested every
// deletion, so what is left was refused or lost.
func (deletion) failedIfCutShort(f Finding) Finding {
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

// existing returns the objects that still exist themselves, without the Jobs of
// which only pods are left. A namespace exists until it is empty.
func (d deletion) existing(ctx context.Context, a *Attempt, objects []cluster.Object) ([]cluster.Object, error) {
	found, err := d.find(ctx, a)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(objects), func(o cluster.Object) bool { return !slices.Contains(found, o) }), nil
}

// wait waits until all objects are gone, Jobs with their pods. Even if not every
// deletion is known to have been accepted, it waits for the pods of the deleted
// Jobs: a retry looks for Jobs and would not know about these pods.
func (d deletion) wait(ctx context.Context, a *Attempt, limit *clock.Limit, objects []cluster.Object, accepted bool) Finding {
	return a.watch(ctx, limit, deletePause, func(ctx context.Context) (Finding, bool) {
		finding := d.inspect(ctx, a, objects, accepted)
		// An unknown state is no reason to stop: the API server may come back.
		return finding, finding.Verdict != Running && finding.Verdict != Unknown
	})
}

// inspect determines the state of the attempt from what is still there. accepted
// means that the API server has accepted every deletion.
func (d deletion) inspect(ctx context.Context, a *Attempt, objects []cluster.Object, accepted bool) Finding {
	left, err := d.remaining(ctx, a, objects)
	if err != nil {
		return Found(Unknown, "cannot determine whether the %s are gone: %v", d.d.Objects, err)
	}
	if len(left) == 0 {
		return d.gone(objects)
	}
	existing := left
	if !accepted {
		if existing, err = d.existing(ctx, a, left); err != nil {
			return Found(Unknown, "cannot determine whether the %s are gone: %v", d.d.Objects, err)
		}
	}
	switch {
	case !accepted && len(existing) == len(objects):
		return Found(NotDone, "all %d %s are still there", len(objects), d.d.Objects)
	case !accepted && len(existing) == len(left):
		return Found(CutShort, "%d of %d %s are still there, and not every deletion is known to have been accepted; a retry deletes only what is left: %s", len(left), len(objects), d.d.Objects, names(left))
	case d.d.Objects == plan.Namespaces:
		return Found(Running, "%d of %d namespaces are still terminating: %s", len(left), len(objects), names(left))
	}
	return Found(Running, "%d of %d Jobs are being deleted, and some of their pods have not ended: %s", len(left), len(objects), names(left))
}

func (d deletion) gone(objects []cluster.Object) Finding {
	if d.d.Objects == plan.Namespaces {
		return Found(Done, "all %d namespaces are gone", len(objects))
	}
	if len(objects) == 1 {
		return Found(Done, "the Job and its pods are gone")
	}
	return Found(Done, "all %d Jobs and their pods are gone", len(objects))
}

// names lists the first few objects.
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
	return d.inspect(ctx, a, objects, len(a.Notes) > 0)
}

// unrecorded is Probe for an attempt whose objects are not in the journal. csu
// then cannot tell the pods of deleted Jobs from other pods.
func (d deletion) unrecorded(ctx context.Context, a *Attempt) Finding {
	found, err := d.find(ctx, a)
	switch {
	case err != nil:
		return Found(Unknown, "cannot determine whether the %s are gone: %v", d.d.Objects, err)
	case len(found) > 0:
		return Found(Unknown, "%d %s match %q: %s; cannot determine whether this step should delete them, since csu could not record which existed before", len(found), d.d.Objects, d.d.Selector, names(found))
	case d.d.Objects == plan.Jobs:
		return Found(Unknown, "no Jobs match %q any more, but pods of the deleted Jobs may still be running; check the namespace %q", d.d.Selector, d.d.Namespace)
	}
	return Found(Done, "no namespaces match %q any more", d.d.Selector)
}

func (d deletion) Await(ctx context.Context, a *Attempt) Finding {
	objects, err := d.objects(a)
	if err != nil {
		return Found(Unknown, "%v", err)
	}
	return d.wait(ctx, a, a.limit(), objects, len(a.Notes) > 0)
}

// Look implements [Performer].
func (d deletion) Look(ctx context.Context, a *Attempt) Finding {
	if len(a.Evidence) > 0 {
		return d.Probe(ctx, a)
	}
	found, err := d.find(ctx, a)
	switch {
	case err != nil:
		return Found(Unknown, "cannot determine whether the %s are gone: %v", d.d.Objects, err)
	case len(found) > 0:
		return Found(NotDone, "%d %s match %q: %s", len(found), d.d.Objects, d.d.Selector, names(found))
	}
	return d.unrecorded(ctx, a)
}

// Reading lists what would be deleted now.
func (d deletion) Reading(ctx context.Context, a *Attempt) (string, error) {
	found, err := d.find(ctx, a)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return fmt.Sprintf("no %s match %q", d.d.Objects, d.d.Selector), nil
	}
	text := fmt.Sprintf("%d %s: %s", len(found), d.d.Objects, names(found))
	if err := d.checkKnown(a, found); err != nil {
		text += "\n" + err.Error()
	}
	return text, nil
}
