package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// An echo stands before one server of a simulated site. Some requests it answers itself,
// with all that they say, in the form of that server's errors.
type echo struct {
	to      string
	answers func(w http.ResponseWriter, r *http.Request, said string) bool // false passes the request on

	mu      sync.Mutex
	secrets []string // that it has seen
	echoed  int
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var form url.Values
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		form, _ = url.ParseQuery(string(body)) // of another form, it has no token
	}
	_, header, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	e.mu.Lock()
	for _, s := range []string{header, form.Get("token")} {
		if s != "" && !slices.Contains(e.secrets, s) {
			e.secrets = append(e.secrets, s)
		}
	}
	e.mu.Unlock()
	said := fmt.Sprintf("echo of %v %s", r.Header, body)
	if e.answers(w, r, said) {
		e.mu.Lock()
		e.echoed++
		e.mu.Unlock()
		return
	}
	to, err := url.Parse(e.to)
	if err != nil {
		panic(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	proxy.ServeHTTP(w, r)
}

// before puts the echo before the server at an address, and returns its own address.
func (e *echo) before(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(e)
	if u.Scheme == "https" { // client-go sends no token without
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	e.to = u.Scheme + "://" + u.Host
	return server.URL + u.Path
}

func answer(w http.ResponseWriter, status int, v any) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
	return true
}

// raw answers what is no HTTP at all, whose first line the transport's error quotes.
func raw(w http.ResponseWriter, said string) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(conn, "%s\r\n\r\n", strings.Join(strings.Fields(said), "_"))
	conn.Close()
	return true
}

// TestEchoingServers: a server that repeats the request in its answer brings no secret
// to the screen, into the journal, an error or a file.
func TestEchoingServers(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		system  string
		args    []string
		answers func(w http.ResponseWriter, r *http.Request, said string) bool
	}{
		"Slack": {"slack", []string{"--until", "begin"}, func(w http.ResponseWriter, r *http.Request, said string) bool {
			return answer(w, http.StatusOK, map[string]any{"ok": false, "error": said})
		}},
		"EFD": {"efd", nil, func(w http.ResponseWriter, r *http.Request, said string) bool {
			return answer(w, http.StatusBadRequest, map[string]string{"error": said})
		}},
		"EFD, not HTTP": {"efd", nil, func(w http.ResponseWriter, r *http.Request, said string) bool { return raw(w, said) }},
		"LOVE": {"love", nil, func(w http.ResponseWriter, r *http.Request, said string) bool {
			return strings.HasSuffix(r.URL.Path, "/cmd/") && answer(w, http.StatusBadRequest, map[string]string{"ack": said})
		}},
		"LOVE, not HTTP": {"love", nil, func(w http.ResponseWriter, r *http.Request, said string) bool {
			return strings.HasSuffix(r.URL.Path, "/cmd/") && raw(w, said)
		}},
		"LOVE's login": {"love", nil, func(w http.ResponseWriter, r *http.Request, said string) bool {
			return strings.HasSuffix(r.URL.Path, "/get-token/") && raw(w, said)
		}},
		"cluster": {"cluster", nil, func(w http.ResponseWriter, r *http.Request, said string) bool {
			return r.Method == http.MethodDelete && answer(w, http.StatusForbidden, map[string]any{
				"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": said, "code": http.StatusForbidden,
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const plan = "../../plans/2026-11-24-summit-incremental.json"
			site, dir := serve(t, plan, 3600), t.TempDir()
			m, err := sitemap.Read(filepath.Join(site, rehearsal.MapFile))
			if err != nil {
				t.Fatal(err)
			}
			e := &echo{answers: x.answers}
			for variable, value := range m.Credentials {
				if !strings.HasSuffix(variable, "_USERNAME") {
					e.secrets = append(e.secrets, value)
				}
			}
			switch x.system {
			case "slack":
				m.Slack = e.before(t, m.Slack)
			case "efd":
				m.EFD = e.before(t, m.EFD)
			case "love":
				m.LOVE = e.before(t, m.LOVE)
			case "cluster":
				m.Kubeconfig = beforeCluster(t, e, m.Kubeconfig, dir)
			}
			siteMap := filepath.Join(dir, rehearsal.MapFile)
			if err := m.Write(siteMap); err != nil {
				t.Fatal(err)
			}
			cmd := csu(t, slices.Concat([]string{"exec", plan, "--site-map", siteMap, "--skip-preflight", "the servers echo", "--consent", "all"}, x.args)...)
			out, err := cmd.CombinedOutput()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.echoed == 0 {
				t.Fatalf("nothing was echoed:\n%s", out)
			}
			texts := map[string]string{"the screen": string(out)}
			for _, folder := range []string{site, dir} {
				filesOf(t, folder, texts)
			}
			journal := filepath.Join(dir, filepath.Base(plan)+".journal")
			for _, where := range []string{"the screen", journal} {
				if !strings.Contains(texts[where], "***") {
					t.Errorf("%s does not have the echo, so this test shows nothing:\n%s", where, texts[where])
				}
			}
			for where, text := range texts {
				for _, s := range e.secrets {
					if strings.Contains(text, s) {
						t.Errorf("%s has the secret %q", where, s)
					}
				}
			}
		})
	}
}

// filesOf adds the texts of the files in a folder, but for those that are there for
// credentials.
func filesOf(t *testing.T, folder string, texts map[string]string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || slices.Contains([]string{rehearsal.MapFile, "kubeconfig", "id_ed25519"}, d.Name()) {
			return err
		}
		content, err := os.ReadFile(name)
		texts[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// beforeCluster puts the echo before the API server, and returns a kubeconfig in the
// folder that leads to it.
func beforeCluster(t *testing.T, e *echo, kubeconfig, dir string) string {
	t.Helper()
	config, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	server := regexp.MustCompile(`server: (\S+)`).FindSubmatch(config)
	authority := regexp.MustCompile(`certificate-authority-data: \S+`).Find(config)
	if server == nil || authority == nil {
		t.Fatalf("unexpected kubeconfig:\n%s", config)
	}
	changed := strings.NewReplacer(string(server[1]), e.before(t, string(server[1])), string(authority), "insecure-skip-tls-verify: true").Replace(string(config))
	name := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
