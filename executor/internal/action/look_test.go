package action

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/internal/registry"
	"github.com/lsst-ts/csu/executor/plan"
)

func (y *try) look(t testing.TB) Finding {
	t.Helper()
	return Of(y.Step.Action.Parameters).Look(t.Context(), y.Attempt)
}

// What a person did instead of csu shows in the states of the CSCs, whatever the kind of
// the step.
func TestLookAtStates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alive("ENABLED", "ESS:104", "Watcher:0")
	s.state("ESS:105", "OFFLINE", s.now().Add(-time.Hour)) // and no heartbeat
	stop := &plan.SSH{Host: "azar03", User: "u", Purpose: plan.Stop, Service: "ess", Commands: []string{"true"}}
	for _, c := range []struct {
		what string
		d    plan.Parameters
		row  plan.CSC
		want Verdict
		says string
	}{
		{"in the state", &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:104"}}, row("ESS:104"), Done, "in the expected state"},
		{"not in the state", &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"Watcher:0"}}, row("ESS:105"), NotDone, "Watcher:0: ENABLED"},
		{"silent", &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Offline}, CSCs: []string{"ESS:105"}}}}, row("ESS:105"), Done, "in the expected state"},
		{"a service that still runs", stop, row("ESS:104"), NotDone, "expected OFFLINE"},
		{"a service that was stopped", stop, row("ESS:105"), Unknown, "may have been before"},
		{"a script of no known effect", &plan.Script{Queue: 1, Path: "x.py", Config: "{}"}, row("ESS:104"), Unknown, "no means"},
		{"a message", &plan.Announce{Channel: "#x", Text: "y"}, row("ESS:104"), Unknown, "cannot see"},
		{"a manual step", &plan.Manual{Text: "Merge it."}, row("ESS:104"), Unknown, "only the operator"},
		{"a reboot without evidence", &plan.Reboot{Host: "azar03", User: "u", Command: "reboot"}, row("ESS:104"), Unknown, "has not recorded the boot"},
	} {
		t.Run(c.what, func(t *testing.T) {
			y := newTry(t, s.systems, c.d, c.row, plan.CSC{CSC: "Watcher:0"})
			expect(t, y.look(t), c.want, c.says)
		})
	}
	y := newTry(t, blind(s.systems), &plan.SetState{Queue: 1, State: plan.Enabled, CSCs: []string{"ESS:104"}}, row("ESS:104"))
	expect(t, y.look(t), Unknown, "cannot determine the states")
}

func TestLookAtTheCluster(t *testing.T) {
	a := newArgo(t)
	sync := newTry(t, a.systems, syncMount, jobOf("MTMount:0", "mtmount"))
	expect(t, sync.look(t), NotDone, telescope, "still out of sync", "mtmount")
	a.Edit(applications+"simonyitel", func(app kubetest.Object) {
		app["status"].(kubetest.Object)["resources"].([]any)[0].(kubetest.Object)["status"] = "Synced"
	})
	uid := putJob(a.Server, "mtmount")
	expect(t, sync.look(t), NotDone, "CSCs that run their image: 0 of 1")
	a.Put(pods+"mtmount-x", pod("mtmount", uid, "Running", "ts-dockerhub.lsst.org/mtmount:c0045"))
	expect(t, sync.look(t), Done)

	del := newTry(t, a.systems, deleteJobs, jobOf("MTMount:0", "mtmount"))
	expect(t, del.look(t), NotDone, "1 jobs match", "simonyitel/mtmount")
	a.Remove(jobs + "mtmount")
	expect(t, del.look(t), Unknown, "pods of the deleted Jobs may still be running")

	a.Server.Faults = func(*http.Request) kubetest.Fault { return kubetest.Fault{Status: http.StatusForbidden} }
	expect(t, sync.look(t), Unknown, "cannot determine")
	expect(t, del.look(t), Unknown, "cannot determine")
}

func TestLookAtTheRegistry(t *testing.T) {
	now := time.Now()
	pod := registryPod{level: "NONE"}
	systems := &Systems{Clock: clock.Fast(now, now, 1000), Registry: registry.New(&pod, "sasquatch", "app=x", "")}
	y := newTry(t, systems, &plan.Compatibility{Expect: "FORWARD", Set: "NONE"})
	expect(t, y.look(t), Done, "NONE")
	pod.level = "FORWARD"
	expect(t, y.look(t), NotDone, "FORWARD, not NONE")
	pod.get = func() error { return errors.New("no route") }
	expect(t, y.look(t), Unknown, "no route")
}
