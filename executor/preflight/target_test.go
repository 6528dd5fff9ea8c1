package preflight_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lsst-ts/csu/executor/preflight"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// A wrong cluster gets no request, and so not the operator's credentials (P20). What it
// would have been asked is shown as not checked.
func TestNothingIsSentToAWrongCluster(t *testing.T) {
	p, _, _, dir := simulated(t, "2026-12-15-summit-full")
	var requests atomic.Int32
	wrong := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer wrong.Close()
	m, err := sitemap.Read(filepath.Join(dir, rehearsal.MapFile))
	if err != nil {
		t.Fatal(err)
	}
	want := p.Targets.Kubernetes
	for name, x := range map[string]struct {
		server    string
		rehearsed bool
		remedy    string
	}{
		"another server":               {wrong.URL, false, "use the site's kubeconfig"},
		"a real server in a rehearsal": {"https://192.0.2.1:6443", true, "the simulated site has written"},
	} {
		m.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
		config := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
users: [{name: u, user: {token: the-operators-token}}]
contexts: [{name: %q, context: {cluster: c, user: u}}]
`, x.server, want.Context)
		if err := os.WriteFile(m.Kubeconfig, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		clients, err := systems.Connect(p, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer clients.Remote.Close()
		checks := preflight.Run(t.Context(), preflight.Options{Plan: p, Systems: clients, Rehearsed: x.rehearsed, Folder: dir})
		unchecked := map[string]bool{}
		for _, c := range checks {
			kind, _, _ := strings.Cut(c.Subject, " ")
			switch kind {
			case "cluster":
				if c.Result != preflight.NotReady || !strings.Contains(c.Text, x.server) || !strings.Contains(c.Remedy, x.remedy) {
					t.Errorf("%s: the check of the cluster is %+v", name, c)
				}
			case "ledger", "permissions", "application", "schema":
				unchecked[kind] = true
				if c.Result != preflight.Remark || !strings.HasPrefix(c.Text, "not checked") {
					t.Errorf("%s: %+v, want it not checked", name, c)
				}
			}
		}
		if len(unchecked) != 4 {
			t.Errorf("%s: only %v are shown as not checked", name, unchecked)
		}
		if n := requests.Load(); n != 0 {
			t.Errorf("%s: %d requests were sent to it", name, n)
		}
		if preflight.Verdict(checks) == nil {
			t.Errorf("%s: the verdict is that all is ready", name)
		}
	}
}
