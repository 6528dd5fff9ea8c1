package systems

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/secret"
	"github.com/lsst-ts/csu/executor/sitemap"
)

func environment(set map[string]string) func(string) (string, error) {
	return Environment(func(name string) (string, bool) { v, ok := set[name]; return v, ok })
}

func TestEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	look := environment(map[string]string{
		LOVEUsername: "ana", LOVEPassword + "_FILE": file,
		EFDUsername: "b", EFDUsername + "_FILE": file, EFDPassword + "_FILE": file + ".none",
	})
	for name, want := range map[string]string{LOVEUsername: "ana", LOVEPassword: "s3cret", SlackToken: ""} {
		if got, err := look(name); err != nil || got != want {
			t.Errorf("%s = %q, %v", name, got, err)
		}
	}
	if _, err := look(EFDUsername); exit.CodeOf(err) != exit.Input {
		t.Errorf("both given: %v", err)
	}
	if _, err := look(EFDPassword); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), EFDPassword+"_FILE") {
		t.Errorf("no file: %v", err)
	}
}

// kubeconfig writes one with a context that leads to the server.
func kubeconfig(t *testing.T, context, server string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
contexts: [{name: %q, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
current-context: %q
`, server, context, context)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// summit is a plan that talks to everything.
func summit() *plan.Plan {
	return &plan.Plan{
		Site: "summit",
		Targets: plan.Targets{
			Kubernetes: plan.Kubernetes{Context: "yagan", Server: "https://k8s.summit.example:6443"},
			LOVE:       plan.LOVE{URL: "https://love.summit.example/love"},
			EFD:        plan.EFD{URL: "https://efd.summit.example/influxdb", Database: "efd", Lag: plan.Duration(30 * time.Second)},
		},
		Stages: []plan.Stage{{ID: "one", Steps: []plan.Step{
			{ID: "one/a", Action: plan.Action{Parameters: &plan.SetState{Queue: 1, State: "OFFLINE", CSCs: []string{"A:0"}}}},
			{ID: "one/b", Action: plan.Action{Parameters: &plan.Sync{Application: "love", Revision: "main"}}},
		}}},
	}
}

func TestMissingCredentialsAreNamedTogether(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t, "yagan", "https://k8s.summit.example:6443"))
	_, err := Connect(summit(), nil, environment(map[string]string{EFDPassword: "hidden"}))
	if exit.CodeOf(err) != exit.Input || err.Error() != "missing credentials: CSU_LOVE_USERNAME, CSU_LOVE_PASSWORD, CSU_EFD_USERNAME" || strings.Contains(err.Error()+exit.HintOf(err), "hidden") {
		t.Errorf("Connect = %v", err)
	}
	only := summit()
	only.Stages[0].Steps = only.Stages[0].Steps[1:]
	if _, err := Connect(only, nil, environment(nil)); err != nil {
		t.Errorf("a plan that only syncs: %v", err)
	}
	if _, err := Connect(summit(), nil, environment(map[string]string{LOVEUsername: "a", LOVEPassword: "bbbb", EFDUsername: "c", EFDPassword: "dddd"})); err != nil {
		t.Errorf("with all credentials: %v", err)
	}
}

// A value that is too short to be told from other text can't be kept secret.
func TestShortSecretsAreRefused(t *testing.T) {
	for _, name := range []string{LOVEPassword, EFDPassword, SlackToken, SlackWebhook} {
		all := map[string]string{LOVEUsername: "a", LOVEPassword: "bbbb", EFDUsername: "c", EFDPassword: "dddd"}
		all[name] = "abc"
		_, err := Connect(summit(), nil, environment(all))
		if exit.CodeOf(err) != exit.Input || !strings.Contains(err.Error(), name) || exit.HintOf(err) == "" || strings.Contains(err.Error(), "abc") {
			t.Errorf("%s: Connect = %v", name, err)
		}
	}
}

// What Connect is given is a secret from then on, also as HTTP sends it.
func TestConnectKeepsItsCredentialsSecret(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t, "yagan", "https://k8s.summit.example:6443"))
	t.Setenv("HTTPS_PROXY", "http://ann:pass-of-the-proxy@proxy.example:3128")
	if _, err := Connect(summit(), nil, environment(map[string]string{
		LOVEUsername: "ann", LOVEPassword: "pass-of-love", EFDUsername: "ann", EFDPassword: "pass-of-the-efd",
		SlackWebhook: "https://hooks.slack.example/services/T01/B01/pass-of-the-webhook",
	})); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"pass-of-love", "pass-of-the-efd", "Basic YW5uOnBhc3Mtb2YtdGhlLWVmZA==", "http://ann:pass-of-the-proxy@proxy.example:3128",
		"https://hooks.slack.example/services/T01/B01/pass-of-the-webhook", "POST /services/T01/B01/pass-of-the-webhook HTTP/1.1", "no_service: pass-of-the-webhook",
	} {
		if got := secret.Redact(text); strings.Contains(got, "pass-of") || strings.Contains(got, "YW5u") || strings.Contains(got, "B01") {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if got := secret.Redact("ann may send commands"); got != "ann may send commands" {
		t.Errorf("the user's name became %q", got)
	}
}

func TestGuardRefusesAnotherCluster(t *testing.T) {
	all := environment(map[string]string{LOVEUsername: "a", LOVEPassword: "bbbb", EFDUsername: "c", EFDPassword: "dddd"})
	for _, c := range []struct {
		server    string
		rehearsed bool
		ok        bool
	}{
		{"https://k8s.summit.example:6443", false, true},
		{"https://k8s.summit.example:6443/", false, true},
		{"https://k8s.base.example:6443", false, false},
		{"https://127.0.0.1:6443", false, false},
		{"https://127.0.0.1:6443", true, true},
		{"https://k8s.summit.example:6443", true, false},
	} {
		config := kubeconfig(t, "yagan", c.server)
		t.Setenv("KUBECONFIG", config)
		var m *sitemap.Map
		if c.rehearsed {
			m = &sitemap.Map{Epoch: time.Now(), Real: time.Now(), Speed: 100, Kubeconfig: config, LOVE: "http://127.0.0.1:1", EFD: "http://127.0.0.1:2"}
		}
		s, err := Connect(summit(), m, all)
		if err != nil {
			t.Fatal(err)
		}
		err = Guard(summit(), s, c.rehearsed)
		if (err == nil) != c.ok || err != nil && exit.CodeOf(err) != exit.Refused {
			t.Errorf("%s, rehearsed %v: %v", c.server, c.rehearsed, err)
		}
	}
}

// TestRehearsalReachesLoopbackOnly asks a stand-in's clients for the real site.
func TestRehearsalReachesLoopbackOnly(t *testing.T) {
	m := &sitemap.Map{
		Epoch: time.Now(), Real: time.Now(), Speed: 100, LOVE: "http://love.summit.example", EFD: "http://efd.summit.example",
		Kubeconfig: kubeconfig(t, "yagan", "https://127.0.0.1:6443"), Credentials: map[string]string{LOVEUsername: "x", LOVEPassword: "yyyy"},
	}
	s, err := Connect(summit(), m, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LOVE.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("LOVE: %v", err)
	}
	if _, err := dialLoopback(t.Context(), "tcp", "192.0.2.1:22"); err == nil {
		t.Error("an address that is not a loopback one was dialled")
	}
	if s.Clock.Speed() != 100 {
		t.Errorf("the clock's speed is %v", s.Clock.Speed())
	}
}
