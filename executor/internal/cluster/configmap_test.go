package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/internal/gate"
	"github.com/lsst-ts/csu/executor/ledger"
)

const configMapPath = "/api/v1/namespaces/csu/configmaps/csu-summit"

// connectForConfigMap starts an API server with a ConfigMap that has a label
// and an annotation set by others.
func connectForConfigMap(t *testing.T) (*kubetest.Server, *cluster.Cluster) {
	t.Helper()
	server, c := connect(t)
	server.Put(configMapPath, kubetest.Object{"metadata": kubetest.Object{
		"labels": kubetest.Object{"owner": "it"}, "annotations": kubetest.Object{"note": "do not delete"},
	}})
	return server, c
}

func readConfigMap(t *testing.T, c *cluster.Cluster) *cluster.ConfigMap {
	t.Helper()
	m, err := c.ConfigMap(t.Context(), "csu", "csu-summit")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// at returns a fault for the requests with this method.
func at(method string, fault kubetest.Fault) func(*http.Request) kubetest.Fault {
	return func(r *http.Request) kubetest.Fault {
		if r.Method == method {
			return fault
		}
		return kubetest.Fault{}
	}
}

func TestAConfigMapIsReadAndWritten(t *testing.T) {
	server, c := connectForConfigMap(t)
	m := readConfigMap(t, c)
	if len(m.Data) != 0 || len(m.Binary) != 0 {
		t.Errorf("a new ConfigMap has %v and %v, want nothing", m.Data, m.Binary)
	}
	m.Data, m.Binary = map[string]string{"text": "ä"}, map[string][]byte{"copy": {0, 0xff}}
	written, err := c.UpdateConfigMap(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	again := readConfigMap(t, c)
	for name, got := range map[string]*cluster.ConfigMap{"as it was written": written, "as it was read": again} {
		if d := cmp.Diff(m.Data, got.Data) + cmp.Diff(m.Binary, got.Binary); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	// What was written can be written over without another read, and fields
	// left out of it are gone.
	written.Data, written.Binary = map[string]string{"text": "b"}, nil
	if _, err := c.UpdateConfigMap(t.Context(), written); err != nil {
		t.Fatal(err)
	}
	object := server.Get(configMapPath)
	if d := cmp.Diff(kubetest.Object{"text": "b"}, object["data"]); d != "" || object["binaryData"] != nil {
		t.Errorf("the data (-want +got):\n%sand the binary data %v, want none", d, object["binaryData"])
	}
	meta := object["metadata"].(kubetest.Object)
	if d := cmp.Diff(kubetest.Object{"owner": "it"}, meta["labels"]) + cmp.Diff(kubetest.Object{"note": "do not delete"}, meta["annotations"]); d != "" {
		t.Errorf("labels and annotations (-want +got):\n%s", d)
	}
}

func TestAConfigMapIsNotWrittenOverAnotherVersion(t *testing.T) {
	for name, change := range map[string]func(*kubetest.Server){
		"written meanwhile": func(s *kubetest.Server) { s.Edit(configMapPath, func(kubetest.Object) {}) },
		"recreated": func(s *kubetest.Server) {
			s.Remove(configMapPath)
			s.Put(configMapPath, kubetest.Object{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := connectForConfigMap(t)
			m := readConfigMap(t, c)
			change(server)
			m.Data = map[string]string{"text": "a"}
			var conflict *cluster.ConflictError
			var lost *cluster.LostError
			if _, err := c.UpdateConfigMap(t.Context(), m); !errors.As(err, &conflict) || errors.As(err, &lost) {
				t.Errorf("UpdateConfigMap = %v, want a *ConflictError", err)
			}
			if data := server.Get(configMapPath)["data"]; data != nil {
				t.Errorf("the data is %v, want it unchanged", data)
			}
		})
	}
}

func TestAMissingConfigMap(t *testing.T) {
	server, c := connect(t)
	_, err := c.ConfigMap(t.Context(), "csu", "csu-summit")
	var missing *cluster.MissingError
	if !errors.As(err, &missing) || missing.Namespace != "csu" || missing.Name != "csu-summit" {
		t.Fatalf("ConfigMap = %v, want a *MissingError that names it", err)
	}
	for _, command := range []string{"kubectl create namespace csu;", "kubectl create configmap csu-summit -n csu"} {
		if !strings.Contains(missing.Hint(), command) {
			t.Errorf("the hint is %q, want %q in it", missing.Hint(), command)
		}
	}
	if n := server.Requests(http.MethodGet); n != 1 {
		t.Errorf("%d reads, want 1", n)
	}

	// A write never creates it.
	server, c = connectForConfigMap(t)
	m := readConfigMap(t, c)
	server.Remove(configMapPath)
	var lost *cluster.LostError
	if _, err := c.UpdateConfigMap(t.Context(), m); err == nil || errors.As(err, &lost) {
		t.Errorf("UpdateConfigMap of a missing ConfigMap = %v, want an error that is no *LostError", err)
	}
	if server.Get(configMapPath) != nil || server.Requests(http.MethodPost) != 0 {
		t.Error("the ConfigMap was created")
	}
}

func TestAFailedConfigMapWrite(t *testing.T) {
	for _, x := range []struct {
		name    string
		fault   kubetest.Fault
		lost    bool
		written bool
		text    string
	}{
		{"cut off before", kubetest.Fault{CutBefore: true}, true, false, "answer was lost"},
		{"cut off after", kubetest.Fault{CutAfter: true}, true, true, "answer was lost"},
		{"failed", kubetest.Fault{Status: http.StatusInternalServerError}, true, false, "answer was lost"},
		{"timed out", kubetest.Fault{Status: http.StatusGatewayTimeout}, true, false, "answer was lost"},
		{"forbidden", kubetest.Fault{Status: http.StatusForbidden}, false, false, "ask the cluster's administrators for this permission"},
		{"not logged in", kubetest.Fault{Status: http.StatusUnauthorized}, false, false, "log in to the cluster again"},
	} {
		t.Run(x.name, func(t *testing.T) {
			server, c := connectForConfigMap(t)
			m := readConfigMap(t, c)
			server.Faults = at(http.MethodPut, x.fault)
			m.Data = map[string]string{"text": "a"}
			_, err := c.UpdateConfigMap(t.Context(), m)
			var lost *cluster.LostError
			var conflict *cluster.ConflictError
			if err == nil || errors.As(err, &lost) != x.lost || errors.As(err, &conflict) {
				t.Errorf("UpdateConfigMap = %v, want a *LostError: %t", err, x.lost)
			} else if !strings.Contains(err.Error(), x.text) {
				t.Errorf("UpdateConfigMap = %v, want %q in it", err, x.text)
			}
			if n := server.Requests(http.MethodPut); n != 1 {
				t.Errorf("%d writes, want 1", n)
			}
			if written := len(server.Writes()) == 1; written != x.written {
				t.Errorf("written %t, want %t", written, x.written)
			}
		})
	}
}

// A read is tried once, since every reader of the ledger has a retry policy of
// its own.
func TestAConfigMapIsReadWithOneTry(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"forbidden": {Status: http.StatusForbidden},
		"failed":    {Status: http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := connectForConfigMap(t)
			server.Faults = at(http.MethodGet, fault)
			_, err := c.ConfigMap(t.Context(), "csu", "csu-summit")
			var missing *cluster.MissingError
			if err == nil || errors.As(err, &missing) || !strings.Contains(err.Error(), `read ConfigMap "csu/csu-summit"`) {
				t.Errorf("ConfigMap = %v, want an error that says what was read", err)
			}
			if n := server.Requests(http.MethodGet); n != 1 {
				t.Errorf("%d reads, want 1", n)
			}
		})
	}
}

// If the API server is busy, client-go sends the write again after the Retry-After. That is safe because the
// server did not accept the first one. The context limits how long it goes on.
func TestAWriteWaitsForABusyAPIServerUntilTheContextEnds(t *testing.T) {
	server, c := connectForConfigMap(t)
	m := readConfigMap(t, c)
	m.Data = map[string]string{"text": "a"}
	busy := true
	server.Faults = func(r *http.Request) kubetest.Fault {
		if r.Method != http.MethodPut || !busy {
			return kubetest.Fault{}
		}
		busy = false
		return kubetest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 1}
	}
	m, err := c.UpdateConfigMap(t.Context(), m)
	if err != nil {
		t.Fatalf("UpdateConfigMap = %v, want it written once the API server is no longer busy", err)
	}
	if n := len(server.Writes()); n != 1 {
		t.Errorf("%d writes were carried out, want 1", n)
	}

	server.Faults = at(http.MethodPut, kubetest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 60})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.UpdateConfigMap(ctx, m); err == nil {
		t.Error("UpdateConfigMap = nil, but the API server was busy throughout")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("UpdateConfigMap took %s, but the context ended after 500ms", took)
	}
	if n := len(server.Writes()); n != 1 {
		t.Errorf("%d writes were carried out, want only the earlier one", n)
	}
}

// A ConfigMap is written through the gate like any other effect. The ledger's
// own writes are not, since the gate waits for them.
func TestAConfigMapPassesTheGateAndTheLedgerDoesNot(t *testing.T) {
	server, c := connectForConfigMap(t)
	shut := errors.New("taken over")
	ctx := gate.With(t.Context(), func(context.Context) error { return shut })
	m := readConfigMap(t, c)
	m.Data = map[string]string{"text": "a"}
	var closed *gate.ClosedError
	if _, err := c.UpdateConfigMap(ctx, m); !errors.As(err, &closed) || !errors.Is(err, shut) {
		t.Errorf("UpdateConfigMap = %v, want a *ClosedError", err)
	}
	if n := server.Requests(http.MethodPut); n != 0 {
		t.Errorf("%d writes were sent, want none", n)
	}

	store := ledger.In(c, "csu-summit")
	l, v, err := store.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l.Epoch = 1
	if _, err := store.Write(ctx, l, v); err != nil {
		t.Errorf("Write of the ledger = %v, want it to bypass the gate", err)
	}
	if n := server.Requests(http.MethodPut); n != 1 {
		t.Errorf("%d writes were sent, want only the ledger's", n)
	}
}
