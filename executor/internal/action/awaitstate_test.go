package action

import (
	"context"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/plan"
)

func TestAwaitState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alive("STANDBY", "GIS:0", "MTMount:0")
	s.alive("FAULT", "Watcher:0")
	s.alive("OFFLINE", "MTCamera:0")
	s.state("ESS:104", "STANDBY", s.now().Add(-time.Hour)) // and no heartbeat
	bridge, watcher := row("MTCamera:0"), row("Watcher:0")
	bridge.Bridge, watcher.Principal = true, "the deployment lead"
	await := func(wants ...plan.Want) Finding {
		y := newTry(t, s.systems, &plan.AwaitState{Want: wants}, bridge, watcher, row("GIS:0"), row("MTMount:0"), row("ESS:104"))
		y.Limit = 12 * time.Second
		return y.perform(t)
	}
	up := plan.Want{States: []string{"STANDBY", "ENABLED"}, CSCs: []string{"GIS:0", "MTMount:0"}}
	expect(t, await(up), Done, "2 of 2")
	expect(t, await(up, plan.Want{States: []string{plan.Enabled}, CSCs: []string{"Watcher:0"}}), Failed,
		"1 of 3 CSCs are not", "Watcher:0: FAULT since", "the deployment lead")
	expect(t, await(plan.Want{States: []string{plan.Offline}, CSCs: []string{"ESS:104"}}), Done)
	expect(t, await(plan.Want{States: []string{plan.Standby}, CSCs: []string{"ESS:104"}}), Failed, "ESS:104: silent, last state STANDBY")
	expect(t, await(plan.Want{States: []string{plan.Offline}, CSCs: []string{"GIS:0"}}), Failed, "GIS:0: STANDBY")
	expect(t, await(plan.Want{States: []string{plan.OfflineAvailable}, CSCs: []string{"MTCamera:0"}}), Done)
	expect(t, await(plan.Want{States: []string{plan.Offline}, CSCs: []string{"MTCamera:0"}}), Done) // P11
	expect(t, await(plan.Want{States: []string{plan.OfflineAvailable}, CSCs: []string{"GIS:0"}}), Failed)

	y := newTry(t, s.systems, &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Enabled}, CSCs: []string{"Watcher:0"}}}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	expect(t, Of(y.Step.Action.Parameters).Perform(ctx, y.Attempt), NotDone, "it can wait again")
	y.Systems, y.Limit = blind(s.systems), time.Second
	expect(t, y.perform(t), Failed, "does not answer")
}

func TestSilenceNeedsAWitness(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.state("GIS:0", "STANDBY", s.now().Add(-time.Hour))
	gis := plan.CSC{CSC: "GIS:0", Job: &plan.Job{Namespace: "obssys", Name: "gis"}}
	y := newTry(t, s.systems, &plan.AwaitState{Want: []plan.Want{{States: []string{plan.Offline}, CSCs: []string{"GIS:0"}}}}, gis, row("ESS:104"))
	y.Limit = time.Second
	expect(t, y.perform(t), Failed, "the EFD may be down or late")

	// The CSC's own pod is a witness, since a CSC's Job never restarts it.
	server := kubetest.Start(t)
	uid := server.Put("/apis/batch/v1/namespaces/obssys/jobs/gis", kubetest.Object{})
	server.Put("/api/v1/namespaces/obssys/pods/gis-x", pod("gis", uid, "Running", "img"))
	c, err := cluster.Connect(server.Kubeconfig(t), server.Context)
	if err != nil {
		t.Fatal(err)
	}
	s.systems.Cluster = c
	expect(t, y.perform(t), Failed, "GIS:0: unknown")
	server.Put("/api/v1/namespaces/obssys/pods/gis-x", pod("gis", uid, "Succeeded", "img"))
	expect(t, y.perform(t), Done)
	s.systems.Cluster = nil

	// So is another CSC that is heard.
	s.alive("STANDBY", "ESS:104")
	expect(t, y.perform(t), Done)
	expect(t, y.probe(t), NotDone)
}

// pod returns a pod of a Job in a phase. Its container runs in phase Running.
func pod(job, jobUID, phase, image string) kubetest.Object {
	state := kubetest.Object{"terminated": kubetest.Object{"exitCode": 0}}
	if phase == "Running" {
		state = kubetest.Object{"running": kubetest.Object{}}
	}
	return kubetest.Object{
		"metadata": kubetest.Object{
			"labels":          kubetest.Object{"job-name": job},
			"ownerReferences": []any{kubetest.Object{"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": jobUID, "controller": true}},
		},
		"spec":   kubetest.Object{"containers": []any{kubetest.Object{"name": "csc", "image": image}}},
		"status": kubetest.Object{"phase": phase, "containerStatuses": []any{kubetest.Object{"name": "csc", "image": image, "state": state}}},
	}
}
