package ground

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// influxBinary is where Debian's package influxdb puts the server; PATH is
	// searched too.
	influxBinary  = "/usr/bin/influxd"
	influxPackage = "influxdb"

	influxAdmin, influxAdminPassword = "admin", "the administrator of the ground"
)

// InfluxDB is a running InfluxDB 1.x server with the database "efd", like the
// EFD of a site.
type InfluxDB struct {
	URL      string // what "/query" is appended to
	Database string // "efd"

	// The user who may read Database and nothing else. Both are empty if the
	// server needs no authentication.
	Username, Password string

	admin bool // writing needs the administrator's password
}

// StartInfluxDB starts a separate server for the test, on loopback, on ports
// that the system chooses, with its data in t.TempDir, and ends it with the
// test. With auth, every request needs a name and a password. If influxd is
// missing, the test fails.
func StartInfluxDB(t testing.TB, auth bool) *InfluxDB {
	t.Helper()
	binary, err := influxPath()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "influxdb.conf")
	if err := os.WriteFile(config, []byte(influxConfig(dir, auth)), 0o600); err != nil {
		t.Fatal(err)
	}
	address := runInfluxDB(t, binary, config)
	db := &InfluxDB{URL: "http://" + address, Database: "efd", admin: auth}
	if auth {
		// The first user may be created without authentication, but must be an
		// administrator.
		db.Execute(t, fmt.Sprintf(`CREATE USER %q WITH PASSWORD '%s' WITH ALL PRIVILEGES`, influxAdmin, influxAdminPassword))
	}
	db.Execute(t, fmt.Sprintf("CREATE DATABASE %q", db.Database))
	if auth {
		db.Username, db.Password = "reader", "the reader of the ground"
		db.Execute(t, fmt.Sprintf(`CREATE USER %q WITH PASSWORD '%s'`, db.Username, db.Password))
		db.Execute(t, fmt.Sprintf(`GRANT READ ON %q TO %q`, db.Database, db.Username))
	}
	return db
}

func influxPath() (string, error) {
	if _, err := os.Stat(influxBinary); err == nil {
		return influxBinary, nil
	}
	path, err := exec.LookPath("influxd")
	if err != nil {
		return "", fmt.Errorf("influxd is not installed: install the Debian package %q (InfluxDB 1.x)", influxPackage)
	}
	return path, nil
}

// influxConfig disables everything that listens or reports, except the HTTP
// service.
func influxConfig(dir string, auth bool) string {
	return fmt.Sprintf(`reporting-enabled = false
bind-address = "127.0.0.1:0"

[meta]
  dir = %q

[data]
  dir = %q
  wal-dir = %q

[coordinator]
  write-timeout = "5m"

[monitor]
  store-enabled = false

[subscriber]
  enabled = false

[continuous_queries]
  enabled = false

[http]
  bind-address = "127.0.0.1:0"
  auth-enabled = %t
  log-enabled = false

[logging]
  format = "logfmt"
  level = "info"
  suppress-logo = true
`, filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), auth)
}

// influxListening matches the line in which influxd reports its port. Choosing
// a free port for it beforehand could lose a race.
var influxListening = regexp.MustCompile(`msg="Listening on HTTP".* addr=(127\.0\.0\.1:\d+)`)

// runInfluxDB starts influxd and returns the address of its HTTP service once
// it is listening.
func runInfluxDB(t testing.TB, binary, config string) string {
	t.Helper()
	cmd := exec.Command(binary, "-config", config)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = apart()
	if err := launch(cmd); err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	var log influxLog
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		log.follow(stderr, address)
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("end influxd (process %d): %v", cmd.Process.Pid, err)
		}
		<-read
		// The exit status only says that it was killed.
		_ = cmd.Wait()
	})
	select {
	case a := <-address:
		return a
	case <-read:
		t.Fatalf("influxd ended before it listened:\n%s", log.String())
	case <-time.After(Limit):
		t.Fatalf("influxd does not listen after %s:\n%s", Limit, log.String())
	}
	return ""
}

// influxLog keeps influxd's output for the message of a failed test.
type influxLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *influxLog) follow(r io.Reader, address chan<- string) {
	found := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		l.mu.Lock()
		l.text.WriteString(lines.Text() + "\n")
		l.mu.Unlock()
		if m := influxListening.FindStringSubmatch(lines.Text()); m != nil && !found {
			found = true
			address <- m[1]
		}
	}
	// A line too long for the scanner stops it. The rest must still be read, or
	// influxd would block.
	_, _ = io.Copy(io.Discard, r)
}

func (l *influxLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Write writes points in line protocol, with times in nanoseconds, and fails
// the test unless the server accepts all of them.
func (db *InfluxDB) Write(t testing.TB, lines ...string) {
	t.Helper()
	db.post(t, "/write?"+url.Values{"db": {db.Database}}.Encode(), "text/plain", strings.Join(lines, "\n"), http.StatusNoContent)
}

// Execute runs a statement as the administrator, and fails the test if the
// server refuses it.
func (db *InfluxDB) Execute(t testing.TB, statement string) {
	t.Helper()
	answer := db.post(t, "/query", "application/x-www-form-urlencoded", url.Values{"db": {db.Database}, "q": {statement}}.Encode(), http.StatusOK)
	if strings.Contains(answer, `"error"`) {
		t.Fatalf("influxd: %s: %s", statement, answer)
	}
}

func (db *InfluxDB) post(t testing.TB, path, contentType, body string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, db.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if db.admin {
		req.SetBasicAuth(influxAdmin, influxAdminPassword)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("influxd: %v", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("influxd: %v", err)
	}
	if resp.StatusCode != want {
		t.Fatalf("influxd: POST %s: %s: %s", path, resp.Status, answer)
	}
	return string(answer)
}
