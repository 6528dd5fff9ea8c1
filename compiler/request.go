package compiler

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler/internal/inventory"
	"github.com/lsst-ts/csu/compiler/internal/load"
	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
)

// Range is a range of commits of Phalanx in a clone.
type Range struct {
	Dir  string // of the clone
	From string // what is deployed; "" for the commit of the site's inventory
	To   string // what will be
}

// Change is what a range changes: a CSC or an application, its class, and the images
// before and after.
type Change = inventory.Change

// Derived is the request that a range of Phalanx asks for.
type Derived struct {
	From, To Commit
	Type     plan.Type
	File     string // sites/SITE/upgrade.cue, below the root
	Text     string // what the file has to contain; "" if the range changes nothing of the control system
	Changes  []Change
	Full     []string // why the range needs a full upgrade
	Left     []string // what the request cannot say
	Beside   []string // what the range holds beside the control system
}

// DeriveRequest derives a request from what a range of Phalanx changes at a site. Date is
// the day of the deployment, YYYY-MM-DD; reason may be "". It writes nothing. Its error is
// a [*RefusedError] if Phalanx has something that an inventory cannot say, or has all the
// problems of the request.
func DeriveRequest(ctx context.Context, root, site string, r Range, date, reason string) (*Derived, error) {
	has, err := load.Site(root, site)
	if err != nil {
		return nil, err
	}
	if r.From == "" {
		r.From = has.Commit
	}
	before, old, err := derived(ctx, root, has, r.Dir, r.From, nil)
	if err != nil {
		return nil, err
	}
	after, now, err := derived(ctx, root, has, r.Dir, r.To, before)
	if err != nil {
		return nil, err
	}
	out := &Derived{From: commitOf(before), To: commitOf(after), Type: plan.Incremental}
	if d := inventory.Compare(has, old); len(d) > 0 {
		return nil, exit.Unusable(fmt.Sprintf("run csu site import --site %s --phalanx DIR --rev %s, or give the revision that is deployed with --from", site, r.From),
			"the inventory of %s is not what %s of Phalanx deploys: %d differences, such as %s of %s", site, out.From, len(d), d[0].What, cscOrAll(d[0].CSC))
	}
	known := slices.Clone(has.Others)
	for _, a := range has.Applications {
		known = append(known, a.Name)
	}
	request := inventory.Between(old, now, known, has.Targets.ArgoCDProject)
	out.Changes, out.Full, out.Left = request.Changes, request.Full, request.Left
	out.Beside = beside(before, after, now.Rendering, has.Targets.ArgoCDProject)
	if request.Empty() {
		return out, nil
	}
	if request.Cycle != "" {
		out.Type = plan.Full
	}
	if reason == "" {
		reason = fmt.Sprintf("Phalanx %.9s to %.9s: %s", out.From.Hash, out.To.Hash, out.To.Subject)
	}
	out.File, out.Text, _, err = load.WithRequest(root, site, string(out.Type), request.CUE(date, reason))
	if err != nil {
		return nil, fmt.Errorf("the request that Phalanx %.9s to %.9s gives: %w", out.From.Hash, out.To.Hash, err)
	}
	return out, nil
}

func cscOrAll(csc string) string {
	if csc == "" {
		return "all CSCs"
	}
	return csc
}

func commitOf(r *phalanx.Revision) Commit { return Commit{r.Commit, r.Date, r.Subject} }

// derived opens a revision and returns it with its inventory. beside is a revision of
// the same clone, or nil.
func derived(ctx context.Context, root string, site *model.Site, dir, rev string, beside *phalanx.Revision) (*phalanx.Revision, *inventory.Inventory, error) {
	var r *phalanx.Revision
	var err error
	if beside == nil {
		r, err = phalanx.Open(ctx, dir, rev)
	} else {
		r, err = beside.At(ctx, rev)
	}
	if err != nil {
		return nil, nil, err
	}
	now, err := inventoryOf(ctx, root, site, r)
	return r, now, err
}

// beside names what a range holds beside the control system: the other applications of
// the site, and how many files are none of its.
func beside(before, after *phalanx.Revision, now *phalanx.Rendering, project string) []string {
	dirs, own := map[string]string{}, map[string]bool{}
	for _, a := range now.Applications {
		dirs[a.Path] = a.Name
		own[a.Path] = a.Project == project
	}
	counts := map[string]int{}
	var names []string
	rest := 0
	for _, file := range after.Changed(before) {
		parts := strings.SplitN(file, "/", 3)
		dir := path.Join(parts[:min(2, len(parts))]...)
		name := dirs[dir]
		other := strings.HasPrefix(path.Base(file), "values-") && path.Base(file) != "values-"+now.Environment+".yaml"
		switch {
		case own[dir] || parts[0] == "charts" || parts[0] == "environments":
			continue
		case name == "" || other:
			rest++
			continue
		}
		if counts[name]++; counts[name] == 1 {
			names = append(names, name)
		}
	}
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("application %s (%s)", name, plan.Counted(counts[name], "file")))
	}
	if rest > 0 {
		out = append(out, plan.Counted(rest, "file")+" of other sites and of no application")
	}
	return out
}
