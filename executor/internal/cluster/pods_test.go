package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

const podsPath = "/api/v1/namespaces/simonyitel/pods/"

type object = kubetest.Object

// putPod stores a pod of a Job with one container, in the given state.
func putPod(s *kubetest.Server, job cluster.Object, name, phase string, age time.Duration, state object) {
	pod := object{
		"metadata": object{
			"creationTimestamp": time.Now().Add(-age).UTC().Format(time.RFC3339),
			"ownerReferences":   []any{kubetest.Owner(job.Name, job.UID)},
			"labels":            object{"job-name": job.Name},
		},
		"spec": object{"containers": []any{object{"name": "csc", "image": "ts-dockerhub.lsst.org/mtmount:c0045.007"}}},
	}
	status := object{"phase": phase}
	if state != nil {
		status["containerStatuses"] = []any{object{"name": "csc", "image": "ts-dockerhub.lsst.org/mtmount@sha256:ab", "state": state}}
	}
	pod["status"] = status
	s.Put(podsPath+name, pod)
}

var running = object{"running": object{}}

func TestJobImages(t *testing.T) {
	server, c := connect(t)
	c.SetClock(clock.Real()) // a second of the fast clock would make a pod a quarter of an hour older
	mount := putJob(server, "mtmount", nil)
	putPod(server, mount, "mtmount-old", "Failed", 3*time.Hour, object{"terminated": object{"exitCode": 1, "reason": "Error"}})
	putPod(server, mount, "mtmount-new", "Running", time.Hour, running)
	pulling := putJob(server, "mtaos", nil)
	putPod(server, pulling, "mtaos-x", "Pending", time.Minute, object{"waiting": object{"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})
	failed := putJob(server, "mtptg", nil)
	putPod(server, failed, "mtptg-x", "Failed", time.Minute, object{"terminated": object{"exitCode": 2, "reason": "Error"}})
	putJob(server, "mtdome", nil)
	leaving := putJob(server, "mtrotator", nil)
	putPod(server, leaving, "mtrotator-x", "Running", time.Minute, running)
	server.Edit(podsPath+"mtrotator-x", func(o object) {
		o["metadata"].(object)["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	})
	homeless := putJob(server, "mtmount-ccw", nil)
	putPod(server, homeless, "mtmount-ccw-x", "Pending", time.Minute, nil)
	server.Edit(podsPath+"mtmount-ccw-x", func(o object) {
		o["status"].(object)["conditions"] = []any{object{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}}
	})
	// A pod left over from an earlier Job of the same name must not count.
	putPod(server, cluster.Object{Name: "mtdome", UID: "older"}, "mtdome-old", "Running", time.Hour, running)

	got, err := c.JobImages(context.Background(), "simonyitel", []string{"mtmount", "mtaos", "mtptg", "mtdome", "mtrotator", "mtmount-ccw", "mthexapod"})
	if err != nil {
		t.Fatal(err)
	}
	if age := got[0].Age; age < time.Hour || age > time.Hour+10*time.Minute {
		t.Errorf("mtmount's pod is %v old, want the age of the newest, an hour", age)
	}
	for i := range got {
		got[i].Age = 0
	}
	want := []cluster.JobImage{
		{Namespace: "simonyitel", Job: "mtmount", Running: true, Images: []string{"ts-dockerhub.lsst.org/mtmount:c0045.007", "ts-dockerhub.lsst.org/mtmount@sha256:ab"}},
		{Namespace: "simonyitel", Job: "mtaos", Why: `container "csc" is waiting: ImagePullBackOff: Back-off pulling image`},
		{Namespace: "simonyitel", Job: "mtptg", Why: `container "csc" has ended: Error, exit status 2`},
		{Namespace: "simonyitel", Job: "mtdome", Why: "the Job has no pod yet"},
		{Namespace: "simonyitel", Job: "mtrotator", Why: `pod "mtrotator-x" is being deleted`},
		{Namespace: "simonyitel", Job: "mtmount-ccw", Why: `pod "mtmount-ccw-x" has no node: Unschedulable: 0/3 nodes are available`},
		{Namespace: "simonyitel", Job: "mthexapod", Why: "no such Job"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("images (-want +got):\n%s", d)
	}
}

func TestAPodRunsOnlyIfAllItsContainersDo(t *testing.T) {
	server, c := connect(t)
	job := putJob(server, "mtmount", nil)
	putPod(server, job, "mtmount-x", "Running", time.Minute, running)
	server.Edit(podsPath+"mtmount-x", func(o object) {
		spec := o["spec"].(object)
		spec["containers"] = append(spec["containers"].([]any), object{"name": "sidecar", "image": "sidecar:1"})
	})
	got, err := c.JobImages(context.Background(), "simonyitel", []string{"mtmount"})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Running || strings.Contains(strings.Join(got[0].Images, " "), "sidecar") {
		t.Errorf("JobImages = %+v, want not running and no image of the sidecar", got[0])
	}
}

func TestPodEnded(t *testing.T) {
	ended := object{"terminated": object{"exitCode": 0, "reason": "Completed"}}
	for _, test := range []struct {
		name         string
		put          func(*kubetest.Server, cluster.Object)
		ended, known bool
	}{
		{"running", func(s *kubetest.Server, j cluster.Object) { putPod(s, j, "p", "Running", 0, running) }, false, true},
		{"pending", func(s *kubetest.Server, j cluster.Object) { putPod(s, j, "p", "Pending", 0, nil) }, false, true},
		{"succeeded", func(s *kubetest.Server, j cluster.Object) { putPod(s, j, "p", "Succeeded", 0, ended) }, true, true},
		{"failed", func(s *kubetest.Server, j cluster.Object) { putPod(s, j, "p", "Failed", 0, ended) }, true, true},
		{"failed with its node", func(s *kubetest.Server, j cluster.Object) { putPod(s, j, "p", "Failed", 0, running) }, false, false},
		{"unknown", func(s *kubetest.Server, j cluster.Object) { putPod(s, j, "p", "Unknown", 0, running) }, false, false},
		{"one of two", func(s *kubetest.Server, j cluster.Object) {
			putPod(s, j, "p", "Succeeded", 0, ended)
			putPod(s, j, "q", "Running", 0, running)
		}, false, true},
		{"one of two unknown", func(s *kubetest.Server, j cluster.Object) {
			putPod(s, j, "p", "Succeeded", 0, ended)
			putPod(s, j, "q", "Unknown", 0, nil)
		}, false, false},
		{"no pod yet", func(*kubetest.Server, cluster.Object) {}, false, false},
		{"pod gone", func(s *kubetest.Server, j cluster.Object) {
			s.Edit(jobsPath+j.Name, func(o object) {
				o["status"] = object{"conditions": []any{object{"type": "Failed", "status": "True"}}}
			})
		}, true, true},
		{"another Job's pod", func(s *kubetest.Server, j cluster.Object) {
			putPod(s, cluster.Object{Name: j.Name, UID: "older"}, "p", "Succeeded", 0, ended)
		}, false, false},
		{"no Job", func(s *kubetest.Server, j cluster.Object) { s.Remove(jobsPath + j.Name) }, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, c := connect(t)
			test.put(server, putJob(server, "mtmount", nil))
			ended, known, err := c.PodEnded(context.Background(), "simonyitel", "mtmount")
			if err != nil || ended != test.ended || known != test.known {
				t.Errorf("PodEnded = %v, %v, %v, want %v, %v", ended, known, err, test.ended, test.known)
			}
		})
	}
}
