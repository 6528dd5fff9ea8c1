package ground_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/preflight"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
	"github.com/lsst-ts/csu/executor/systems"
)

// ready is a ground without faults, shared by the tests of the preflight. A
// test that breaks something does so in its own [trial].
type ready struct {
	efd         *ground.InfluxDB
	hosts       map[string]*ground.SSHD
	registry    *ground.Registry
	love, slack *account
	kubeconfig  string
	dir         string
}

// The accounts of LOVE and Slack, by the names of csu's variables.
var loveAndSlack = map[string]string{
	systems.LOVEUsername: "ann", systems.LOVEPassword: "secret of love", systems.SlackToken: "xoxb-secret-of-slack",
}

var sharedReady = sync.OnceValues(func() (r *ready, err error) {
	c, err := shared()
	if err != nil {
		return nil, err
	}
	err = session.Do(func(t testing.TB) {
		r = &ready{efd: ground.StartInfluxDB(t, true), hosts: map[string]*ground.SSHD{}, dir: t.TempDir()}
		p := readyPlan(c)
		r.registry = ground.StartRegistry(t, c, p.Targets.Registry)
		r.kubeconfig = c.Operator(t, p)
		r.love, r.slack = newAccount(t, loveAnswers), newAccount(t, slackAnswers)
		writeTest(t, filepath.Join(r.dir, "bin", "sudo"), sudoStandIn)
		for _, h := range p.Hosts {
			r.hosts[h.Name] = ground.StartSSHD(t, ground.SSHDOptions{Env: map[string]string{"PATH": filepath.Join(r.dir, "bin") + ":/usr/bin:/bin"}})
		}
	})
	return r, err
})

// sudoStandIn stands in for sudo -n -iu USER COMMAND. Everyone may become dco,
// it keeps no log and, unlike the real one, it does not change the account.
const sudoStandIn = `#!/bin/sh
if [ "$1 $2 $3" != "-n -iu dco" ]; then
	echo 'sudo: a password is required' >&2
	exit 1
fi
shift 3
cd "$HOME" && exec "$@"
`

func writeTest(t testing.TB, name, text string) {
	t.Helper()
	if err := rehearsal.WriteScript(name, text); err != nil {
		t.Fatal(err)
	}
}

// account is a server that knows one account, and records every request that is
// not about the account.
type account struct {
	*httptest.Server

	mu    sync.Mutex
	other []string
}

// newAccount serves the given answers; false means unknown.
func newAccount(t testing.TB, answers func(w http.ResponseWriter, r *http.Request) bool) *account {
	a := &account{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers(w, r) {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.other = append(a.other, r.Method+" "+r.URL.Path)
		http.Error(w, "not here", http.StatusNotFound)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *account) others() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.other)
}

func answer(w http.ResponseWriter, status int, body any) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone by now.
	_ = json.NewEncoder(w).Encode(body)
	return true
}

// loveAnswers answers like LOVE's manager about accounts: ann may send
// commands, and guest may not.
func loveAnswers(w http.ResponseWriter, r *http.Request) bool {
	about := func(username string) map[string]any {
		return map[string]any{
			"token": "token of " + username, "user": map[string]any{"username": username},
			"permissions": map[string]any{"execute_commands": username == "ann"},
		}
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /manager/api/get-token/":
		var login struct{ Username, Password string }
		if err := json.NewDecoder(r.Body).Decode(&login); err != nil || login.Password != loveAndSlack[systems.LOVEPassword] {
			return answer(w, http.StatusBadRequest, map[string]any{"non_field_errors": []string{"Unable to log in with provided credentials."}})
		}
		return answer(w, http.StatusOK, about(login.Username))
	case "GET /manager/api/validate-token/":
		username, given := strings.CutPrefix(r.Header.Get("Authorization"), "Token token of ")
		if !given {
			return answer(w, http.StatusUnauthorized, map[string]any{"detail": "Invalid token."})
		}
		return answer(w, http.StatusOK, about(username))
	}
	return false
}

// slackAnswers answers like Slack about tokens.
func slackAnswers(w http.ResponseWriter, r *http.Request) bool {
	if r.Method+" "+r.URL.Path != "POST /auth.test" {
		return false
	}
	if r.FormValue("token") != loveAndSlack[systems.SlackToken] {
		return answer(w, http.StatusOK, map[string]any{"ok": false, "error": "invalid_auth"})
	}
	return answer(w, http.StatusOK, map[string]any{"ok": true, "team": "ground", "user": "csu"})
}

// readyPlan uses everything that csu can use.
func readyPlan(c *ground.Cluster) *plan.Plan {
	p := site()
	p.Site = "preflight"
	p.Targets.Kubernetes.Server = c.URL
	p.Targets.Kubernetes.Kubeconfig = "ground.yaml"
	p.Targets.EFD = plan.EFD{Database: "efd", Lag: plan.Duration(10 * time.Minute)} // as long as a test may take
	p.Targets.Registry.Selector = "app=preflight-schema-registry"                   // distinct from those of other tests
	p.Hosts = []plan.Host{
		{Name: "azar03", Address: "azar03.example.org", Users: []plan.User{{Name: "dco", Via: "sudo"}}},
		{Name: "lsstcam-mcm", Address: "lsstcam-mcm.example.org", Users: []plan.User{{Name: "operator", Via: "own"}}},
	}
	p.Stages = []plan.Stage{
		{ID: "offline", Steps: []plan.Step{
			stepOf("offline/announce", &plan.Announce{Channel: "#ground", Text: "It begins."}),
			stepOf("offline/watcher", &plan.SetState{Queue: 1, State: plan.Offline, CSCs: []string{"Watcher:0"}}),
		}},
		{ID: "deploy", Steps: []plan.Step{
			stepOf("deploy/none", &plan.Compatibility{Expect: "FORWARD", Set: "NONE"}),
			stepOf("deploy/azar03", &plan.SSH{Host: "azar03", User: "dco", Purpose: plan.Stop, Service: "GenericCameras", Commands: []string{"./shutdown_gc"}}),
			stepOf("deploy/mcm", &plan.Reboot{Host: "lsstcam-mcm", User: "operator", Command: "sudo reboot"}),
			stepOf("deploy/nublado", &plan.Delete{Objects: plan.Namespaces, Selector: "app=nublado-users"}),
			stepOf("deploy/atdome", &plan.Delete{Objects: plan.Jobs, Namespace: "auxtel", Selector: "csc-name=atdome", CSCs: []string{"ATDome:0"}}),
			stepOf("deploy/auxtel", &plan.Sync{Application: "auxtel", Revision: "main", CSCs: []string{"ATDome:0"}}),
		}},
	}
	p.Final = []plan.Step{stepOf("final/forward", &plan.Compatibility{Expect: "NONE", Set: "FORWARD"})}
	return p
}

func stepOf(id string, d plan.Parameters) plan.Step {
	return plan.Step{ID: id, Title: id, Action: plan.Action{Parameters: d}, Timeout: plan.Duration(time.Minute), OnFailure: plan.Ask}
}

// trial is a preflight on the ground with one fault.
type trial struct {
	t       *testing.T
	argo    argo
	ready   *ready
	plan    *plan.Plan
	site    sitemap.Map
	hosts   map[string]ground.SSHD // as in the ssh config and known_hosts
	options preflight.Options
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	a := connectArgo(t)
	r, err := sharedReady()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	now := time.Now()
	x := &trial{
		t: t, argo: a, ready: r, plan: readyPlan(a.ground), hosts: map[string]ground.SSHD{},
		site: sitemap.Map{
			Epoch: now, Real: now, Speed: 1, LOVE: r.love.URL, EFD: r.efd.URL, Slack: r.slack.URL, Kubeconfig: r.kubeconfig,
			Credentials: map[string]string{systems.EFDUsername: r.efd.Username, systems.EFDPassword: r.efd.Password},
		},
		options: preflight.Options{Folder: t.TempDir()},
	}
	maps.Copy(x.site.Credentials, loveAndSlack)
	for name, h := range r.hosts {
		x.hosts[name] = *h
	}
	x.heartbeats(r.efd, 0)
	return x
}

// heartbeats writes a heartbeat of all CSCs of the site at some time ago.
func (x *trial) heartbeats(db *ground.InfluxDB, ago time.Duration, more ...string) {
	x.t.Helper()
	names := more
	for _, row := range x.plan.CSCs {
		names = append(names, row.CSC)
	}
	var lines []string
	for _, name := range names {
		component, index, _ := strings.Cut(name, ":")
		lines = append(lines, fmt.Sprintf("lsst.sal.%s.logevent_heartbeat salIndex=%si %d", component, index, time.Now().Add(-ago).UnixNano()))
	}
	db.Write(x.t, lines...)
}

// database gives the trial a database of its own, without any heartbeats.
func (x *trial) database(name string) *ground.InfluxDB {
	x.t.Helper()
	x.ready.efd.Execute(x.t, fmt.Sprintf("CREATE DATABASE %q", name))
	x.ready.efd.Execute(x.t, fmt.Sprintf("GRANT READ ON %q TO %q", name, x.ready.efd.Username))
	db := *x.ready.efd
	db.Database = name
	x.plan.Targets.EFD.Database = name
	return &db
}

// host changes what csu knows of a host.
func (x *trial) host(name string, change func(*ground.SSHD)) {
	h := x.hosts[name]
	change(&h)
	x.hosts[name] = h
}

// checks connects as csu does and runs the preflight.
func (x *trial) checks() []preflight.Check {
	x.t.Helper()
	dir := x.t.TempDir()
	known := filepath.Join(dir, "known_hosts")
	var keys, config strings.Builder
	for name, h := range x.hosts {
		keys.WriteString(h.KnownHosts())
		config.WriteString(h.ConfigBlock(name+" "+name+".example.org", known))
	}
	writeTest(x.t, known, keys.String())
	x.site.SSHConfig = filepath.Join(dir, "ssh_config")
	writeTest(x.t, x.site.SSHConfig, config.String())
	systems, err := systems.Connect(x.plan, &x.site, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	defer systems.Remote.Close()
	x.options.Plan, x.options.Systems = x.plan, systems
	return preflight.Run(context.WithoutCancel(x.t.Context()), x.options)
}

// shown returns the checks as csu prints them, for the messages of tests.
func shown(checks []preflight.Check) string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "%-7s %s: %s (%s)\n", c.Result, c.Subject, c.Text, c.Remedy)
	}
	return b.String()
}
