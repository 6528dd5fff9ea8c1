package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
)

// Lease tells other machines that a run is under way, from its begin to its end,
// over interruptions and crashes. It is taken over by nobody; the same run
// acquires it again. It keeps two careful operators apart, no more; the lock on
// the journal keeps apart two executors of one run.
type Lease interface {
	// Acquire makes the Lease the run's; another run that has it is a
	// [*cluster.HeldError].
	Acquire(ctx context.Context, run Holder) error
	Release(ctx context.Context, runID string) error
}

// NewLease returns the site's Lease in its cluster, or nil where the plan talks
// to none.
func NewLease(p *plan.Plan, s *action.Systems) Lease {
	if s.Cluster == nil {
		return nil
	}
	return clusterLease{s.Cluster, p.Targets.ArgoCD.Namespace, p.LeaseName()}
}

type clusterLease struct {
	cluster         *cluster.Cluster
	namespace, name string
}

func (l clusterLease) Acquire(ctx context.Context, run Holder) error {
	return l.cluster.AcquireLease(ctx, l.namespace, l.name, run)
}

func (l clusterLease) Release(ctx context.Context, runID string) error {
	return l.cluster.ReleaseLease(ctx, l.namespace, l.name, runID)
}

// acquire takes the Lease. A recovery goes on without it where the cluster does
// not answer, since the cluster may be what is being recovered; so does an
// abort, since what was taken down must be put back.
func (r *run) acquire() error {
	if r.o.Lease == nil {
		return nil
	}
	err := r.o.Lease.Acquire(r.ctx, Holder{Plan: r.o.PlanFile, Digest: r.o.Digest, RunID: r.state.Run.ID, Operator: r.o.Name})
	var held *cluster.HeldError
	switch {
	case err == nil:
		r.leased = true
		return r.record(journal.Record{Event: journal.Guarded, Text: "the site's Lease is this run's"})
	case r.ctx.Err() != nil:
		return nil // interrupted; drive sees that
	case errors.As(err, &held):
		return &RefusedError{Err: err, Hint: held.Hint()}
	case r.o.Plan.Type != plan.Recovery && !r.giveUp && !r.aborting():
		return &RefusedError{Reason: "the site's Lease could not be had", Err: err, Hint: "see to it that the cluster answers, then repeat the command"}
	}
	text := fmt.Sprintf("the site's Lease could not be had, and the run goes on without it: see to it that nobody else runs an upgrade: %v", err)
	r.tell(operator.Notice, "", "", "%s", text)
	return r.record(journal.Record{Event: journal.Guarded, Text: text})
}

// giveBack removes the Lease. Where that fails the run ends all the same, and the
// operator is told what to do.
func (r *run) giveBack() {
	if !r.leased {
		return
	}
	if err := r.o.Lease.Release(context.WithoutCancel(r.ctx), r.state.Run.ID); err != nil {
		r.tell(operator.Notice, "", "", "the site's Lease could not be removed; remove it with csu unlock: %v", err)
		return
	}
	r.leased = false
}
