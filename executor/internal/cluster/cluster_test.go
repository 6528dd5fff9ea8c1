package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
)

// connect starts an API server and connects to it with a fast clock, which
// shortens the pauses between repeated reads.
func connect(t *testing.T) (*kubetest.Server, *cluster.Cluster) {
	t.Helper()
	server := kubetest.Start(t)
	c, err := cluster.Connect(server.Kubeconfig(t), server.Context)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.SetClock(clock.Fast(now, now, 1000))
	return server, c
}

func TestConnectTakesTheNamedContext(t *testing.T) {
	server, c := connect(t)
	if c.Context() != "yagan" || c.Server() != server.URL {
		t.Errorf("Connect: context %q at %q, want yagan at %q", c.Context(), c.Server(), server.URL)
	}
	current, err := cluster.Connect(server.Kubeconfig(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if current.Context() != "other" {
		t.Errorf("Connect without a name selected context %q, want the current one, other", current.Context())
	}
}

func TestConnectReadsTheFilesOfKUBECONFIG(t *testing.T) {
	server := kubetest.Start(t)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent")+":"+server.Kubeconfig(t))
	c, err := cluster.Connect("", "yagan")
	if err != nil {
		t.Fatal(err)
	}
	if c.Server() != server.URL {
		t.Errorf("Server() = %q, want %q", c.Server(), server.URL)
	}
}

func TestConnectRefuses(t *testing.T) {
	server := kubetest.Start(t)
	good := server.Kubeconfig(t)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("clusters: {token: secret-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1") // as in a pod, which must not matter
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	for _, test := range []struct{ name, file, context, want string }{
		{"an unknown context", good, "pillan", `no context "pillan" (it defines other, yagan)`},
		{"a missing file", filepath.Join(t.TempDir(), "absent"), "yagan", "absent"},
		{"a broken file", broken, "yagan", "broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := cluster.Connect(test.file, test.context)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Connect = %v, want an error with %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error shows what the kubeconfig holds: %v", err)
			}
		})
	}
}

func TestCheckTarget(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://Rancher.example.org/k8s/clusters/c-1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: yagan, context: {cluster: c, user: u}}]
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(file, "yagan")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		context, server string
		ok              bool
	}{
		{"yagan", "https://rancher.example.org", true},
		{"yagan", "https://rancher.example.org:443/", true},
		{"yagan", "https://rancher.example.org/k8s/clusters/c-1", true},
		{"yagan", "https://rancher.example.org/k8s/clusters", true},
		{"yagan", "https://rancher.example.org/k8s/clusters/c", false},
		{"yagan", "https://rancher.example.org/k8s/clusters/c-12", false},
		{"yagan", "http://rancher.example.org", false},
		{"yagan", "https://rancher.example.org:6443", false},
		{"yagan", "https://example.org", false},
		{"yagan", "rancher.example.org", false},
		{"yagan", "", false},
		{"pillan", "https://rancher.example.org", false},
	} {
		err := c.CheckTarget(test.context, test.server)
		if (err == nil) != test.ok {
			t.Errorf("CheckTarget(%q, %q) = %v, want ok %v", test.context, test.server, err, test.ok)
		}
		var target *cluster.TargetError
		if err != nil && (!errors.As(err, &target) || target.WantServer != test.server || target.Context != "yagan") {
			t.Errorf("CheckTarget(%q, %q) = %#v, want a *TargetError that names both", test.context, test.server, err)
		}
	}
}

func TestReadsAreRepeatedAfterATransientFailure(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"unavailable":    {Status: http.StatusServiceUnavailable},
		"internal error": {Status: http.StatusInternalServerError},
		"expired":        {Status: http.StatusGone},
		"cut":            {CutBefore: true},
		"answer cut off": {CutAfter: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // client-go itself waits a second after a broken connection
			server, c := connect(t)
			server.Put("/apis/batch/v1/namespaces/eas/jobs/dimm1", kubetest.Object{"metadata": kubetest.Object{"labels": kubetest.Object{"csc": "true"}}})
			failures := 0 // requests arrive one at a time
			server.Faults = func(*http.Request) kubetest.Fault {
				if failures++; failures == 1 {
					return fault
				}
				return kubetest.Fault{}
			}
			jobs, err := c.Jobs(context.Background(), "eas", "csc")
			if err != nil || len(jobs) != 1 {
				t.Errorf("Jobs = %v, %v, want one Job", jobs, err)
			}
		})
	}
}

func TestReadsGiveUpEventually(t *testing.T) {
	server, c := connect(t)
	server.Faults = func(*http.Request) kubetest.Fault { return kubetest.Fault{Status: http.StatusServiceUnavailable} }
	if _, err := c.Jobs(context.Background(), "eas", "csc"); err == nil {
		t.Error("Jobs = nil error while the server is unavailable")
	}
	if n := server.Requests(http.MethodGet); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

func TestAForbiddenReadIsNotRepeated(t *testing.T) {
	server, c := connect(t)
	server.Faults = func(*http.Request) kubetest.Fault { return kubetest.Fault{Status: http.StatusForbidden} }
	_, err := c.Jobs(context.Background(), "eas", "csc")
	if err == nil || !strings.Contains(err.Error(), "permission") {
		t.Errorf("Jobs = %v, want an error that mentions the permission", err)
	}
	if n := server.Requests(http.MethodGet); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestAnUntrustedServerIsAskedOnce(t *testing.T) {
	tries := 0
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the failed handshakes
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			tries++ // connections arrive one at a time
		}
	}
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: yagan, context: {cluster: c, user: u}}]
`, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(file, "yagan")
	if err != nil {
		t.Fatal(err)
	}
	var lost *cluster.LostError
	err = c.DeleteJob(context.Background(), cluster.Object{Namespace: "eas", Name: "dimm1", UID: "1"})
	if err == nil || errors.As(err, &lost) {
		t.Errorf("DeleteJob = %v, want an error that is no *LostError", err)
	}
	if _, err := c.Jobs(context.Background(), "eas", "csc"); err == nil {
		t.Error("Jobs = nil error from an untrusted server")
	}
	server.Close() // waits for its connections, so that the count is final
	if tries != 2 {
		t.Errorf("%d connections, want one each", tries)
	}
}
