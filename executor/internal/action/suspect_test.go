package action

import (
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

// suspect makes an attempt one that another csu may have made in a run that began
// an hour ago.
func (y *try) suspect() {
	y.Suspected, y.Evidence, y.Notes = true, nil, nil
	y.Started = y.Systems.Clock.Now().Add(-time.Hour)
}

// expectSuspect is expect for the probe of a suspected attempt, which tells the
// operator nothing of what only csu knows.
func expectSuspect(t *testing.T, y *try, want Verdict, says ...string) {
	t.Helper()
	got := y.probe(t)
	expect(t, got, want, says...)
	for _, text := range []string{"JSON", "unexpected end", "in the journal", "had not come to"} {
		if strings.Contains(got.Text, text) {
			t.Errorf("the operator reads %q", got.Text)
		}
	}
}

func TestSuspectedSync(t *testing.T) {
	// By somebody, under the identity, if any.
	by := func(identity string) kubetest.Object {
		o := kubetest.Object{"initiatedBy": kubetest.Object{"username": "bob"}, "sync": kubetest.Object{
			"resources": []any{kubetest.Object{"group": "batch", "kind": "Job", "namespace": "simonyitel", "name": "mtmount"}},
		}}
		if identity != "" {
			o["info"] = []any{kubetest.Object{"name": "csu", "value": identity}}
		}
		return o
	}
	const ours = "csu-r7k/stage/step/2"
	for name, c := range map[string]struct {
		waits  kubetest.Object // the operation that waits or runs
		last   kubetest.Object // the one that ran last
		phase  string
		ago    time.Duration // since when
		synced bool          // the history has a sync
		image  bool          // the image runs
		want   Verdict
		says   string
	}{
		"succeeded":                 {last: by(ours), phase: "Succeeded", image: true, want: Done, says: "MTMount:0 runs its image"},
		"succeeded, without images": {last: by(ours), phase: "Succeeded", want: Running, says: "not yet"},
		"failed":                    {last: by(ours), phase: "Failed", want: Failed, says: "ended Failed: it was tried"},
		"runs":                      {waits: by(ours), last: by(ours), phase: "Running", want: Running, says: "Argo CD syncs"},
		"waits":                     {waits: by(ours), want: Running, says: "has not begun"},
		"another, before the run":   {last: by(""), phase: "Succeeded", ago: 2 * time.Hour, want: NotDone, says: "before this run"},
		"another waits, and the last was before the run": {waits: by("csu-x/y/z/1"), last: by(""), phase: "Succeeded", ago: 2 * time.Hour, want: NotDone, says: "before this run"},
		"another, in the run":                            {last: by(""), phase: "Succeeded", ago: time.Minute, want: Unknown, says: `the last operation of "simonyitel" is of bob`},
		"another, at an unknown time":                    {last: by(""), phase: "Succeeded", ago: -1, want: Unknown, says: "is of bob"},
		"another waits":                                  {waits: by(""), want: Unknown, says: "is of bob"},
		"another step of the run":                        {last: by("csu-r7k/stage/other/1"), phase: "Succeeded", ago: time.Minute, want: Unknown, says: "is of bob (csu csu-r7k/stage/other/1)"},
		"the attempt before":                             {last: by("csu-r7k/stage/step/1"), phase: "Failed", ago: time.Minute, want: NotDone, says: "is still that of bob (csu csu-r7k/stage/step/1), which came before"},
		"the attempt after":                              {last: by("csu-r7k/stage/step/10"), phase: "Failed", ago: time.Minute, want: Unknown, says: "is of bob"},
		"none":                                           {want: NotDone, says: "has had no operation"},
		"none any more":                                  {synced: true, want: Unknown, says: "Argo CD shows no operation of it now"},
		"another, before the run, and Argo CD's history": {last: by(""), phase: "Succeeded", ago: 2 * time.Hour, synced: true, want: NotDone, says: "before this run"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArgo(t)
			a.outcome = func(kubetest.Object) kubetest.Object { return nil }
			y := a.try(t)
			y.Identity = ours
			y.suspect()
			uid := putJob(a.Server, "mtmount")
			if c.image {
				a.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "ts-dockerhub.lsst.org/mtmount:c0045"))
			}
			a.Edit(applications+"simonyitel", func(app kubetest.Object) {
				status := app["status"].(kubetest.Object)
				if c.waits != nil {
					app["operation"] = c.waits
				}
				if c.last != nil {
					state := succeeded(c.last)
					state["phase"], state["message"] = c.phase, "it was tried"
					if c.ago >= 0 {
						state["startedAt"] = y.Systems.Clock.Now().Add(-c.ago).UTC().Format(time.RFC3339)
					}
					status["operationState"] = state
				}
				if c.synced {
					status["history"] = []any{kubetest.Object{"id": 7, "revision": telescope, "deployedAt": "2026-11-24T09:00:00Z"}}
				}
			})
			expectSuspect(t, y, c.want, c.says)
		})
	}
	t.Run("no application", func(t *testing.T) {
		a := newArgo(t)
		a.Remove(applications + "simonyitel")
		a.Before = nil
		y := a.try(t)
		y.suspect()
		expectSuspect(t, y, Unknown, `there is no Argo CD application "simonyitel"`)
	})
}
