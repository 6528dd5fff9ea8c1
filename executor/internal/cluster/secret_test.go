package cluster

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/secret"
)

// Whichever way a kubeconfig gives its credential, an API server that repeats it in an
// error does not bring it any further.
func TestCredentialsAreKnown(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"not with %s"}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("token-of-the-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	basic := func(login string) string { return base64.StdEncoding.EncodeToString([]byte(login)) }
	for name, x := range map[string]struct{ server, user, hidden string }{
		"token":         {server.URL, "{token: token-of-the-kubeconfig}", "token-of-the-kubeconfig"},
		"token file":    {server.URL, "{tokenFile: token}", "token-of-the-file"},
		"login command": {server.URL, `{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: echo, args: ['{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"token-of-the-command"}}']}}`, "token-of-the-command"},
		"password":      {server.URL, "{username: ann, password: pass-of-the-kubeconfig}", basic("ann:pass-of-the-kubeconfig")},
		"userinfo":      {strings.Replace(server.URL, "://", "://ann:pass-of-the-server@", 1), "{}", basic("ann:pass-of-the-server")},
	} {
		kubeconfig := filepath.Join(dir, "kubeconfig")
		text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: u, user: %s}]
contexts: [{name: x, context: {cluster: c, user: u}}]
`, x.server, x.user)
		if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Connect(kubeconfig, "x")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = c.ConfigMap(t.Context(), "csu", "csu-summit")
		if err == nil || !strings.Contains(err.Error(), x.hidden) {
			t.Errorf("%s: the server did not repeat %q: %v", name, x.hidden, err)
			continue
		}
		for _, text := range []string{err.Error(), c.Server(), c.CheckTarget("another", "").Error()} {
			if got := secret.Redact(text); strings.Contains(got, x.hidden) || strings.Contains(got, "pass-of-the") {
				t.Errorf("%s: %q is left", name, got)
			}
		}
	}
}

// The address of a server that is no URL is in the error.
func TestUserinfoOfABadAddress(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	const text = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://ann:pass-of/a-bad-address@ho st"}}]
contexts: [{name: x, context: {cluster: c}}]
`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Connect(kubeconfig, "x")
	if err == nil || strings.Contains(secret.Redact(err.Error()), "a-bad-address") {
		t.Errorf("Connect = %v", err)
	}
}
