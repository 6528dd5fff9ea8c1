package compiler

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/inventory"
	"github.com/lsst-ts/csu/compiler/internal/load"
	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/compiler/internal/phalanx"
	"github.com/lsst-ts/csu/compiler/internal/procedure"
	"github.com/lsst-ts/csu/executor/plan"
)

// Phalanx is a revision of lsst-sqre/phalanx in a clone.
type Phalanx struct {
	Dir string // of the clone, bare or not; its work tree is neither read nor changed
	Rev string // branch, tag or commit; "" for HEAD
}

// Commit is the commit that a revision of Phalanx names.
type Commit struct {
	Hash    string // 40 hexadecimal digits
	Date    time.Time
	Subject string
}

// String returns the commit in one line.
func (c Commit) String() string {
	return fmt.Sprintf("%.9s (%s, %s)", c.Hash, c.Date.UTC().Format("2006-01-02"), c.Subject)
}

// Difference is what the site's inventory says of a CSC and Phalanx does not.
type Difference = inventory.Difference

// Import is the inventory of a site, as Phalanx has it.
type Import struct {
	Commit      Commit
	File        string       // sites/SITE/cscs.cue, below the root
	Text        string       // what the file has to contain
	CSCs        int          // in it, including Jobs that do not speak SAL
	Differences []Difference // from the inventory that the site has now
	Unread      error        // why that inventory cannot be read; Differences is then empty
}

// ImportSite derives a site's inventory from Phalanx. It writes nothing. If Phalanx has
// something that the inventory cannot say, its error is a [*RefusedError]. If the site
// would not be right with the inventory, its error has all the problems.
func ImportSite(ctx context.Context, root, site string, from Phalanx) (*Import, error) {
	apart, err := load.Without(root, site)
	if err != nil {
		return nil, err
	}
	now, commit, err := derive(ctx, root, apart, from)
	if err != nil {
		return nil, err
	}
	if err := orphans(apart, now, commit); err != nil {
		return nil, err
	}
	out := &Import{Commit: commit, File: filepath.Join("sites", site, load.InventoryFile), Text: now.CUE(), CSCs: len(now.CSCs)}
	if _, err := load.WithInventory(root, site, out.Text); err != nil {
		return nil, fmt.Errorf("%s as %.9s of Phalanx gives it does not fit the site's other files: %w", out.File, commit.Hash, err)
	}
	old, err := load.Site(root, site)
	if err != nil {
		if _, missing := os.Stat(filepath.Join(root, out.File)); missing != nil {
			return out, nil
		}
		out.Unread = err
		return out, nil
	}
	out.Differences = inventory.Compare(old, now)
	return out, nil
}

// Drift is how a site's inventory and Phalanx differ.
type Drift struct {
	Commit      Commit
	Site        string // commit of Phalanx that the site's inventory was taken from
	CSCs        int    // that Phalanx deploys
	Differences []Difference
	// Jobs are those of the CSCs of both, in the order of the site's inventory; Targets
	// say in which cluster they run.
	Jobs    []Job
	Targets plan.Targets
}

// Job is the Job of a CSC with its image in the site's inventory and in Phalanx, "" where
// that does not have it.
type Job struct {
	CSC, Namespace, Name string
	Site, Phalanx        string
}

// DriftOf compares a site's inventory with Phalanx. Its errors are those of
// [ImportSite]; it also needs the site to be right as it is.
func DriftOf(ctx context.Context, root, site string, from Phalanx) (*Drift, error) {
	old, err := load.Site(root, site)
	if err != nil {
		return nil, err
	}
	now, commit, err := derive(ctx, root, old, from)
	if err != nil {
		return nil, err
	}
	return &Drift{commit, old.Commit, len(now.CSCs), inventory.Compare(old, now), jobs(old, now), procedure.Targets(old)}, nil
}

// jobs returns the Jobs of a site's inventory and of Phalanx's.
func jobs(old *model.Site, now *inventory.Inventory) []Job {
	var out []Job
	at := map[string]int{} // by CSC and Job
	job := func(c *model.CSC) *Job {
		key := c.Name() + " " + c.Job
		if i, known := at[key]; known {
			return &out[i]
		}
		at[key] = len(out)
		namespace := c.Application
		if a, ok := old.Application(c.Application); ok {
			namespace = a.Namespace
		}
		out = append(out, Job{CSC: c.Name(), Namespace: namespace, Name: c.Job})
		return &out[len(out)-1]
	}
	for i := range old.CSCs {
		if c := &old.CSCs[i]; c.Job != "" {
			job(c).Site = old.ImageRegistry + "/" + c.Image + ":" + c.Tag(old.Cycle)
		}
	}
	for i := range now.CSCs {
		c := &now.CSCs[i]
		job(c).Phalanx = old.ImageRegistry + "/" + c.Image + ":" + c.Tag(now.Cycle)
	}
	return out
}

// CheckRendering compares a plan with what Phalanx deploys at its site, and returns the
// findings, one a line.
func CheckRendering(ctx context.Context, root string, p *plan.Plan, from Phalanx) (Commit, []string, error) {
	site, err := load.Without(root, p.Site)
	if err != nil {
		return Commit{}, nil, err
	}
	now, commit, err := derive(ctx, root, site, from)
	if err != nil {
		return commit, nil, err
	}
	return commit, inventory.CheckPlan(p, now), nil
}

// orphans refuses an inventory without a CSC to which the site's other files add
// something, such as its principal.
func orphans(site *model.Site, now *inventory.Inventory, commit Commit) error {
	refused := &RefusedError{}
	for i := range site.CSCs {
		c := &site.CSCs[i]
		if c.Host == "" && !slices.ContainsFunc(now.CSCs, func(n model.CSC) bool { return n.Name() == c.Name() }) {
			refused.Problems = append(refused.Problems, Warning{
				Place: c.Pos.String(), Subject: "CSC " + c.Name(), Text: fmt.Sprintf("is not in the inventory that %.9s of Phalanx gives, but this file adds to it", commit.Hash),
				Remedy: "remove it here",
			})
		}
	}
	if len(refused.Problems) == 0 {
		return nil
	}
	return refused
}

// derive returns what Phalanx deploys at the site, of which it needs everything but the
// inventory.
func derive(ctx context.Context, root string, site *model.Site, from Phalanx) (*inventory.Inventory, Commit, error) {
	rev, err := phalanx.Open(ctx, from.Dir, from.Rev)
	if err != nil {
		return nil, Commit{}, err
	}
	now, err := inventoryOf(ctx, root, site, rev)
	return now, commitOf(rev), err
}

// inventoryOf returns what a revision deploys at the site.
func inventoryOf(ctx context.Context, root string, site *model.Site, rev *phalanx.Revision) (*inventory.Inventory, error) {
	names, err := load.Names(root)
	if err != nil {
		return nil, err
	}
	now, problems, err := inventory.Of(ctx, rev, site, names)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		refused := &RefusedError{}
		for _, p := range problems {
			refused.Problems = append(refused.Problems, Warning(p))
		}
		return nil, refused
	}
	return now, nil
}
