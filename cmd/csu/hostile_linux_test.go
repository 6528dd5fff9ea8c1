package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// bytes is all that was written to the terminal.
func (s *session) bytes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String()
}

// TestHostileQuestion: the question at a terminal, what runs below the events, and what
// comes meanwhile.
func TestHostileQuestion(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	started := event("03:00:00", operator.StepStarted, "hosts/love01")
	started.Title = hostile
	view.Tell(started)
	s.reads(t, "… hosts/love01")
	progress := event("03:00:01", operator.StepProgress, "hosts/love01")
	progress.Text = hostile
	view.Tell(progress)
	answered := put(t, view, hostileQuestion())
	s.reads(t, "Not done: step", "Still running: hosts/love01", "2 abort, ? refresh >")
	noticed := event("03:00:02", operator.Notice, "")
	noticed.Text = hostile
	view.Tell(noticed)
	s.types(t, "abort\n")
	s.reads(t, "Type abort again")
	s.types(t, "no\n")
	s.reads(t, "Nothing was aborted.")
	s.types(t, "retry\n")
	<-answered
	s.reads(t, "notice")
	wantHarmless(t, "the terminal", s.bytes())
}

// TestHostileServers: what a server says arrives at the terminal as visible text.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	site, dir := serve(t, incremental, 3600), t.TempDir()
	m, err := sitemap.Read(filepath.Join(site, rehearsal.MapFile))
	if err != nil {
		t.Fatal(err)
	}
	slack := &echo{answers: func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		return answer(w, http.StatusOK, map[string]any{"ok": false, "error": "slack says " + hostile})
	}}
	love := &echo{answers: func(w http.ResponseWriter, r *http.Request, _ string) bool {
		return strings.HasSuffix(r.URL.Path, "/cmd/") && answer(w, http.StatusBadRequest, map[string]string{"ack": "love says " + hostile})
	}}
	cluster := &echo{answers: func(w http.ResponseWriter, r *http.Request, _ string) bool {
		return strings.Contains(r.URL.Path, "/applications/") && answer(w, http.StatusForbidden, map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": "cluster says " + hostile, "code": http.StatusForbidden,
		})
	}}
	m.Slack, m.LOVE, m.Kubeconfig = slack.before(t, m.Slack), love.before(t, m.LOVE), beforeCluster(t, cluster, m.Kubeconfig, dir)
	siteMap := filepath.Join(dir, rehearsal.MapFile)
	if err := m.Write(siteMap); err != nil {
		t.Fatal(err)
	}
	s := atTerminal(t, csu(t, "preflight", incremental, "--site-map", siteMap))
	s.wantExit(t, exitRefused)
	wantHarmless(t, "preflight", s.bytes())
	for _, said := range []string{"slack says", "cluster says"} {
		if !strings.Contains(s.bytes(), said) {
			t.Errorf("preflight does not show what %s:\n%s", said, s.bytes())
		}
	}
	s = atTerminal(t, csu(t, "exec", incremental, "--site-map", siteMap, "--skip-preflight", "they are hostile", "--consent", "all"))
	s.reads(t, "slack says", "love says", "Not done: step", "1 retry")
	s.types(t, "stop\n")
	s.wantExit(t, exitFailed)
	wantHarmless(t, "exec", s.bytes())
	s = atTerminal(t, csu(t, "status", incremental, "--site-map", siteMap))
	s.wantExit(t, exitComplete)
	if !strings.Contains(s.bytes(), "love says") {
		t.Errorf("status does not show what LOVE said:\n%s", s.bytes())
	}
	wantHarmless(t, "status", s.bytes())
}
