package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/journal"
)

// Holder is who holds a site's Lease.
type Holder = cluster.Holder

// Unlock removes the Lease of the plan's site that a run has left behind, and
// returns who held it; nil where there was none. Where the run's journal is at
// hand, the removal and its reason are recorded there first. A Lease whose run
// has an executor at work on that journal is refused.
func Unlock(ctx context.Context, o Options, reason string) (holder *Holder, err error) {
	if err := Guard(o.Plan, o.Systems, o.SiteMap != ""); err != nil {
		return nil, err
	}
	if o.Systems.Cluster == nil {
		return nil, &InputError{Reason: "unlock: the plan talks to no cluster, so that there is no Lease of it"}
	}
	namespace, name := o.Plan.Targets.ArgoCD.Namespace, o.Plan.LeaseName()
	holder, err = o.Systems.Cluster.LeaseHolder(ctx, namespace, name)
	if err != nil || holder == nil {
		return nil, err
	}
	state := NewState(o.Plan)
	j, _, err := journal.Open(o.FS, o.Journal, state.fold(o.Digest))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, journal.ErrEmpty):
		// Its journal is in another clone, or lost: that is what unlock is for.
	case err != nil:
		return holder, classify(err)
	default:
		defer func() { err = errors.Join(err, j.Close()) }()
		if state.Run.ID == holder.RunID && state.Ended == "" {
			text := fmt.Sprintf("%s removes the site's Lease: %s", o.Name, reason)
			if _, err := j.Append(journal.Record{Event: journal.Guarded, Time: o.Clock.Now(), Text: text}); err != nil {
				return holder, err
			}
		}
	}
	return holder, o.Systems.Cluster.RemoveLease(ctx, namespace, name, *holder)
}
