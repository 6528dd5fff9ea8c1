package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/sitemap"
)

// output keeps what a command prints, and signals the first of it.
type output struct {
	bytes.Buffer
	once    sync.Once
	printed chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Buffer.Write(p)
	o.once.Do(func() { close(o.printed) })
	return n, err
}

func TestServeLeadsAPersonToTheGround(t *testing.T) {
	out := &output{printed: make(chan struct{})} // serve prints all at once when the ground is up
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "../../../../plans/2026-11-24-tucson-teststand-incremental.json"}, out, io.Discard)
	}()
	select {
	case <-out.printed:
	case err := <-ended:
		t.Fatalf("serve ended: %v", err)
	case <-time.After(15 * time.Minute):
		t.Fatal("the ground is not up after 15 minutes")
	}
	name := regexp.MustCompile(`/\S+/site-map\.json`).FindString(out.String())
	m, err := sitemap.Read(name)
	if err != nil {
		t.Fatalf("the printed site map: %v\n%s", err, out)
	}
	if config, err := os.ReadFile(m.Kubeconfig); err != nil || !strings.Contains(string(config), "current-context: pillan") {
		t.Errorf("the kubeconfig of the map: %v\n%s\nwant the context of the plan", err, config)
	}
	if text, err := exec.Command("ssh", "-F", m.SSHConfig, "-o", "BatchMode=yes", anyHostOf(t, m.SSHConfig), "echo it lets me in").CombinedOutput(); err != nil || !strings.Contains(string(text), "it lets me in") {
		t.Errorf("ssh: %v\n%s", err, text)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("serve = %v after the interrupt, want nil", err)
	}
	if _, err := os.Stat(m.Dir); !os.IsNotExist(err) {
		t.Errorf("the map's folder still exists after the end: %v", err)
	}
}

func anyHostOf(t *testing.T, config string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^Host (\S+)`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no host in the ssh config:\n%s", text)
	}
	return string(found[1])
}

func TestUnknownArgumentsAreRefused(t *testing.T) {
	for _, arguments := range [][]string{nil, {"prepare", "all"}, {"serve"}, {"start", "plan.json"}} {
		var errs bytes.Buffer
		if err := run(t.Context(), arguments, io.Discard, &errs); err == nil || !strings.Contains(errs.String(), "ground prepare") {
			t.Errorf("run(%q) = %v, %q, want an error and the usage", arguments, err, errs.String())
		}
	}
}

func TestAMissingPackageStopsServe(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(t.Context(), []string{"serve", "../../../../plans/2026-11-24-tucson-teststand-incremental.json"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "redis-server") || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("serve = %v, want the package and how to install it", err)
	}
}
