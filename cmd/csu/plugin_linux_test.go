package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/sitemap"
)

// pluginOf lets a site's kubeconfig get its token from a shell script, which begins with
// these lines, knows the token as $token, and runs in the folder that is returned.
func (r *served) pluginOf(t *testing.T, script string) (dir string) {
	t.Helper()
	m, err := sitemap.Read(r.siteMap)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	given := regexp.MustCompile(`"?token"?: ?"?(\w+)"?`).FindSubmatch(data)
	if given == nil {
		t.Fatalf("the kubeconfig has no token:\n%s", data)
	}
	dir = t.TempDir()
	plugin := filepath.Join(dir, "plugin")
	text := fmt.Sprintf("#!/bin/sh\ncd %s\ntoken=%s\n%s", dir, given[1], script)
	if err := os.WriteFile(plugin, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	user := fmt.Sprintf(`"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "IfAvailable", "command": %q}`, plugin)
	if err := os.WriteFile(m.Kubeconfig, []byte(strings.Replace(string(data), string(given[0]), user, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// greedy is a plugin that asks wherever it can, and whose credential lasts a second.
const greedy = `
echo 'Password for ada: ' >&2
if (printf 'One-time password: ' >/dev/tty) 2>/dev/null; then echo terminal >>heard; fi
if (read line </dev/tty && echo "$line" >>heard) 2>/dev/null; then :; fi
if read line; then echo "$line" >>heard; fi
echo run >>runs
expires=$(date -u -d '+1 second' +%Y-%m-%dT%H:%M:%SZ)
echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"'$token'","expirationTimestamp":"'$expires'"}}'
`

// TestAPluginAtTheTerminal: a credential plugin that asks, and one whose credential expires
// again and again in a run, get no key that is meant for csu, and put nothing on the screen.
func TestAPluginAtTheTerminal(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	dir := r.pluginOf(t, greedy)
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--operator", "Ada Operator", "--consent", "begin", "--answers", doubtsAnswered(t)))
	s.reads(t, `Consent needed for stage "offline"`, at)
	// While the question is open, csu renews what the cluster keeps for the run.
	limit := time.Now().Add(patience)
	for runs := ""; strings.Count(runs, "run") < 2; time.Sleep(100 * time.Millisecond) {
		data, _ := os.ReadFile(filepath.Join(dir, "runs"))
		runs = string(data)
		if time.Now().After(limit) {
			t.Fatalf("the plugin has run %q, want several times: its credential expires", runs)
		}
	}
	s.types(t, "no\n")
	s.wantExit(t, exitFailed)
	if _, err := os.Stat(filepath.Join(dir, "heard")); err == nil {
		data, _ := os.ReadFile(filepath.Join(dir, "heard"))
		t.Errorf("the plugin has heard %q", data)
	}
	s.mu.Lock()
	shown := s.screen.String()
	s.mu.Unlock()
	for _, text := range []string{"assword", "ExecCredential"} {
		if strings.Contains(shown, text) {
			t.Errorf("the screen shows %q:\n%s", text, shown)
		}
	}
}

// TestAPluginThatMustAsk: what it wants is said before the run, with what to do.
func TestAPluginThatMustAsk(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	dir := r.pluginOf(t, `
if test ! -e in; then
	printf 'Password: ' >/dev/tty || { echo 'no terminal' >&2; exit 1; }
	read password </dev/tty
fi
if test -e out; then echo 'session ended, run: tool login' >&2; exit 1; fi
`+greedy)
	s := atTerminal(t, csu(t, "preflight", r.plan, "--site-map", r.siteMap))
	s.wantExit(t, exitRefused)
	s.reads(t, "NOT OK credential: no credential for context", "exit status 1", "log in first: run kubectl --context", "error: not ready: credential")

	// In the middle of a run it is an outage of the cluster, which the operator decides.
	set := func(mode string) {
		if err := os.WriteFile(filepath.Join(dir, mode), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("in")
	s = atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--operator", "Ada Operator", "--consent", "all", "--answers", doubtsAnswered(t)))
	s.reads(t, "start offline/watcher")
	set("out")
	s.reads(t, "The cluster does not answer", "session ended, run: tool login", "1 yes, 2 stop, ? refresh >")
}
