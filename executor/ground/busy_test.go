package ground_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/argocd"
)

// TestWorkIsFollowed: a sync that waits for its hook is work; what it makes slow is fast
// again when nobody follows the work any more. Other tests leave work on this cluster.
func TestWorkIsFollowed(t *testing.T) {
	a := connectArgo(t)
	a.addApplication(t, "followed", "telescope", waits)
	var begun, ended atomic.Int32
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() {
		followed <- a.ground.FollowWork(ctx, func() func() { begun.Add(1); return func() { ended.Add(1) } })
	}()
	until := func(what string, is func() bool) {
		t.Helper()
		a.ground.Until(t, ground.Limit, what, func(context.Context) (bool, error) {
			return is(), fmt.Errorf("begun %d times, ended %d times", begun.Load(), ended.Load())
		})
	}
	bob := argocd.SyncRequest{Operator: "bob"}
	if err := a.client.Sync(t.Context(), "followed", "run9/sync/1", bob); err != nil {
		t.Fatal(err)
	}
	a.ground.Until(t, ground.Limit, "the sync waits for its hook", func(ctx context.Context) (bool, error) {
		o, err := a.client.Operation(ctx, "followed", "run9/sync/1", bob)
		return err == nil && strings.Contains(o.Message, "migration"), err
	})
	until("work has begun and not ended", func() bool { return begun.Load() > ended.Load() })
	stop()
	if err := <-followed; err != nil || begun.Load() != ended.Load() {
		t.Errorf("FollowWork = %v, begun %d times, ended %d times", err, begun.Load(), ended.Load())
	}
	if err := a.ground.EndPods(t.Context(), "followed", "migration", 0); err != nil {
		t.Error(err)
	}
}
