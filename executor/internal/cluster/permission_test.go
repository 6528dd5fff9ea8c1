package cluster_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

func TestAllowedReturnsWhatIsDenied(t *testing.T) {
	server, c := connect(t)
	server.Allowed = func(a kubetest.Object) bool {
		return a["verb"] == "delete" && a["group"] == "batch" && a["resource"] == "jobs" && a["namespace"] == "simonyitel"
	}
	deleteJobs := cluster.Permission{Verb: "delete", Group: "batch", Resource: "jobs", Namespace: "simonyitel"}
	exec := cluster.Permission{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: "sasquatch"}
	lease := cluster.Permission{Verb: "delete", Group: "coordination.k8s.io", Resource: "leases", Namespace: "argocd", Name: "csu-summit"}
	denied, err := c.Allowed(context.Background(), []cluster.Permission{deleteJobs, exec, lease})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]cluster.Permission{exec, lease}, denied); d != "" {
		t.Errorf("denied (-want +got):\n%s", d)
	}
	if got, want := exec.String(), "create pods/exec in namespace sasquatch"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := lease.String(), "delete leases.coordination.k8s.io csu-summit in namespace argocd"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestAllowedSaysWhenItCannotAsk(t *testing.T) {
	server, c := connect(t)
	server.Faults = func(*http.Request) kubetest.Fault { return kubetest.Fault{Status: http.StatusUnauthorized} }
	if denied, err := c.Allowed(context.Background(), []cluster.Permission{{Verb: "get", Resource: "pods"}}); err == nil {
		t.Errorf("Allowed = %v without an error", denied)
	}
}
