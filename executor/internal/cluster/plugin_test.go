package cluster

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/cluster/kubetest"
	"github.com/lsst-ts/csu/executor/secret"
)

// withPlugin connects to the server through a kubeconfig whose credential a shell script
// gives, and returns the folder in which the script runs.
func withPlugin(t *testing.T, server *kubetest.Server, script string) (*Cluster, string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	plugin := write("plugin", "#!/bin/sh\ncd "+dir+"\necho run >>runs\n"+script)
	kubeconfig := write("kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always, command: %q, env: [{name: FROM, value: kubeconfig}]}}}]
contexts: [{name: yagan, context: {cluster: c, user: u}}]
`, overTLS(t, server), plugin))
	c, err := Connect(kubeconfig, "yagan")
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// overTLS serves the server over TLS, without which client-go sends no credentials.
func overTLS(t *testing.T, server http.Handler) string {
	s := httptest.NewTLSServer(server)
	t.Cleanup(s.Close)
	return s.URL
}

// runs returns how often the script was run.
func runs(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "runs"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "run")
}

// prints returns the script's line that prints a credential.
func prints(status string) string {
	return fmt.Sprintf(`echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":%s}'`+"\n", status)
}

// accepts lets the server accept one token, which may be changed.
func accepts(server *kubetest.Server, token string) *atomic.Value {
	var good atomic.Value
	good.Store(token)
	server.Faults = func(r *http.Request) kubetest.Fault {
		if r.Header.Get("Authorization") != "Bearer "+good.Load().(string) {
			return kubetest.Fault{Status: http.StatusUnauthorized}
		}
		return kubetest.Fault{}
	}
	return &good
}

func TestAPluginHasNoTerminalAndNoInput(t *testing.T) {
	t.Setenv("GPG_TTY", "/dev/pts/0")
	server := kubetest.Start(t)
	accepts(server, "token-of-the-plugin")
	c, dir := withPlugin(t, server, `
if (: </dev/tty) 2>/dev/null; then echo terminal >seen; fi
if read line; then echo input >>seen; fi
echo "$FROM $GPG_TTY" >>seen
echo "$KUBERNETES_EXEC_INFO" >>seen
`+prints(`{"token":"token-of-the-plugin"}`))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Allowed(t.Context(), []Permission{{Verb: "get", Resource: "pods"}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := runs(t, dir); n != 1 {
		t.Errorf("the plugin ran %d times for 20 requests at once, want once", n)
	}
	data, err := os.ReadFile(filepath.Join(dir, "seen"))
	want := "kubeconfig \n" + `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`
	if got := strings.TrimSpace(string(data)); err != nil || got != want {
		t.Errorf("the plugin saw %q, %v, want %q", got, err, want)
	}
}

func TestAPluginThatFailsIsALogin(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"says why":       {"echo 'Your session has ended.' >&2\necho 'Run: tool login' >&2\nexit 1\n", "exit status 1; it says: Your session has ended. / Run: tool login"},
		"asks":           {"printf 'Password: ' >/dev/tty || { echo 'no terminal' >&2; exit 3; }\n", "exit status 3; it says: "},
		"prints nothing": {"exit 0\n", "it printed no ExecCredential"},
		"prints secrets": {"echo 'token: hunter2-hunter2'\n", "it printed no ExecCredential"},
		"another API":    {`echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"t0ken-of-beta"}}'` + "\n", "of client.authentication.k8s.io/v1beta1, but the kubeconfig says client.authentication.k8s.io/v1"},
		"no status":      {`echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}'` + "\n", "has no status"},
		"empty status":   {prints(`{}`), "neither a token nor a certificate"},
		"half a pair":    {prints(`{"clientCertificateData":"x"}`), "do not form a pair"},
	} {
		server := kubetest.Start(t)
		server.Faults = func(*http.Request) kubetest.Fault {
			t.Errorf("%s: a request was sent", name)
			return kubetest.Fault{}
		}
		c, dir := withPlugin(t, server, test.script)
		err := c.Write(t.Context(), "delete it", c.anyWrite)
		var login *LoginError
		var lost *LostError
		if !errors.As(err, &login) || errors.As(err, &lost) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a LoginError with %q", name, err, test.want)
		}
		if strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: the error shows what the plugin printed: %v", name, err)
		}
		if !strings.Contains(exit.HintOf(err), "log in first: run kubectl --context yagan") || !Away(err) {
			t.Errorf("%s: hint %q, away %t, want the login, and the cluster away", name, exit.HintOf(err), Away(err))
		}
		if _, err := c.Allowed(t.Context(), []Permission{{Verb: "get", Resource: "pods"}}); !errors.As(err, &login) {
			t.Errorf("%s: %v, want the LoginError again", name, err)
		}
		if n := runs(t, dir); n != 1 {
			t.Errorf("%s: the plugin ran %d times, want once for requests right after another", name, n)
		}
	}
}

func TestAPluginThatIsNotInstalled(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: nosuch-kubelogin, installHint: "Install it\nwith brew."}}}]
contexts: [{name: yagan, context: {cluster: c, user: u}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(kubeconfig, "yagan")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.Expiry(t.Context())
	if err == nil || !strings.Contains(err.Error(), `"nosuch-kubelogin"`) || !strings.Contains(err.Error(), "Install it with brew.") {
		t.Errorf("%v, want the command and how to install it", err)
	}
}

// What the plugin gave has expired, by its own word or by the server's.
func TestACredentialIsRenewed(t *testing.T) {
	server := kubetest.Start(t)
	good := accepts(server, "token-1-of-the-plugin")
	c, dir := withPlugin(t, server, `
n=$(grep -c run runs)
echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"token-'$n'-of-the-plugin"}}'
`)
	ask := func() error {
		_, err := c.Allowed(t.Context(), []Permission{{Verb: "get", Resource: "pods"}})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	good.Store("token-2-of-the-plugin")
	// A request with a body: it was rejected, so it is sent again.
	if err := ask(); err != nil || runs(t, dir) != 2 {
		t.Errorf("after the server had forgotten the token: %v, %d runs, want a second run", err, runs(t, dir))
	}
	if got := secret.Redact("token-2-of-the-plugin"); strings.Contains(got, "token-2") {
		t.Errorf("the new token is shown: %s", got)
	}
	good.Store("no token")
	if err := ask(); err == nil || !strings.Contains(err.Error(), "log in to the cluster again") || runs(t, dir) != 3 {
		t.Errorf("if the new one is rejected, too: %v, %d runs, want one more run and the remedy", err, runs(t, dir))
	}

	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	c, _ = withPlugin(t, server, prints(fmt.Sprintf(`{"token":"token-of-an-hour","expirationTimestamp":%q}`, soon.Format(time.RFC3339))))
	if at, renews, err := c.Expiry(t.Context()); err != nil || !renews || !at.Equal(soon) {
		t.Errorf("Expiry = %s, %t, %v, want %s and that it is renewed", at, renews, err, soon)
	}
	past := time.Now().Add(-time.Minute).UTC()
	c, dir = withPlugin(t, server, prints(fmt.Sprintf(`{"token":"token-of-the-past","expirationTimestamp":%q}`, past.Format(time.RFC3339))))
	for want := 1; want <= 2; want++ {
		if _, _, err := c.Expiry(t.Context()); err != nil || runs(t, dir) != want {
			t.Errorf("%d runs, %v, want one for each use of an expired credential", runs(t, dir), err)
		}
	}
}

// jwt returns a token that expires at a time.
func jwt(at time.Time) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"iss":"http://127.0.0.1:1","exp":%d}`, at.Unix())) + "." + part("signature-of-the-token")
}

// Kubeconfigs of old have auth-provider: oidc, and kubectl still takes them.
func TestTheLegacyOIDCProvider(t *testing.T) {
	server := kubetest.Start(t)
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	accepts(server, jwt(at))
	for name, test := range map[string]struct {
		token string
		want  string // of the error, or ""
	}{
		"valid":   {jwt(at), ""},
		"expired": {jwt(time.Now().Add(-time.Hour)), "No valid id-token, and cannot refresh without refresh-token"},
	} {
		kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(kubeconfig, []byte(fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: u, user: {auth-provider: {name: oidc, config: {idp-issuer-url: "http://127.0.0.1:1", client-id: id-%s, id-token: %q}}}}]
contexts: [{name: yagan, context: {cluster: c, user: u}}]
`, overTLS(t, server), name, test.token)), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Connect(kubeconfig, "yagan")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = c.Allowed(t.Context(), []Permission{{Verb: "get", Resource: "pods"}})
		var login *LoginError
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (!errors.As(err, &login) || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want a LoginError with %q", name, err, test.want)
		}
		if until, renews, err := c.Expiry(t.Context()); name == "valid" && (err != nil || renews || !until.Equal(at)) {
			t.Errorf("Expiry = %s, %t, %v, want %s", until, renews, err, at)
		}
	}
}

// anyWrite is a write for tests of what comes before it.
func (c *Cluster) anyWrite(ctx context.Context) error {
	return c.typed.CoreV1().Pods("x").Delete(ctx, "y", metav1.DeleteOptions{})
}
