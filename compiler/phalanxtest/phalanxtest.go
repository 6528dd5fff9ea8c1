// Package phalanxtest makes small Git repositories in the shape of lsst-sqre/phalanx for
// tests: a chart of environments, a chart of CSCs with aliases and conditions, shared
// resources, and LOVE. Its charts are csu's own; they have the features of Phalanx's that
// matter to csu, and none of its text.
package phalanxtest

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed all:base
var base embed.FS

// Clone is a clone of the test's own Phalanx.
type Clone struct {
	Dir string
	t   testing.TB
}

// New returns a clone with the charts that every environment needs, an environment
// summit at cycle c0044 of the project telescope, no application, and no commit.
func New(t testing.TB) *Clone {
	t.Helper()
	c := &Clone{filepath.Join(t.TempDir(), "phalanx"), t}
	c.must(os.MkdirAll(c.Dir, 0o755))
	c.Git("init", "--quiet", "--initial-branch=main")
	below, err := fs.Sub(base, "base")
	c.must(err)
	c.must(os.CopyFS(c.Dir, below))
	return c
}

func (c *Clone) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Git runs git in the clone and returns its output without the last line feed.
func (c *Clone) Git(args ...string) string {
	c.t.Helper()
	cmd := exec.Command("git", append([]string{
		"-C", c.Dir, "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgSign=false", "-c", "core.hooksPath=" + os.DevNull,
	}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_DATE=2026-08-21T12:00:00Z", "GIT_COMMITTER_DATE=2026-08-21T12:00:00Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Write writes a file of the work tree.
func (c *Clone) Write(name, text string) {
	c.t.Helper()
	file := filepath.Join(c.Dir, filepath.FromSlash(name))
	c.must(os.MkdirAll(filepath.Dir(file), 0o755))
	c.must(os.WriteFile(file, []byte(text), 0o644))
}

// Replace replaces the first old text in a file, which must have it.
func (c *Clone) Replace(name, old, now string) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir, filepath.FromSlash(name)))
	c.must(err)
	if !strings.Contains(string(text), old) {
		c.t.Fatalf("%s does not have %q", name, old)
	}
	c.Write(name, strings.Replace(string(text), old, now, 1))
}

// Commit commits the work tree and returns the commit.
func (c *Clone) Commit(message string) string {
	c.t.Helper()
	c.Git("add", "--all")
	c.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return c.Git("rev-parse", "HEAD")
}

// Application adds an application of the project telescope that has a CSC for each alias,
// switched off unless its values say otherwise, and switches the application on at the
// summit. Its values are those for the summit.
func (c *Clone) Application(name, values string, aliases ...string) {
	c.t.Helper()
	var chart strings.Builder
	fmt.Fprintf(&chart, "apiVersion: v2\nname: %s\nversion: 1.0.0\ndependencies:\n", name)
	fmt.Fprintf(&chart, "- {name: shared, version: 1.0.0, repository: 'file://../../charts/shared'}\n")
	for _, a := range aliases {
		fmt.Fprintf(&chart, "- {name: csc, version: 1.0.0, alias: %s, condition: %s.enabled, repository: 'file://../../charts/csc'}\n", a, a)
	}
	dir := "applications/" + name
	c.Write(dir+"/Chart.yaml", chart.String())
	c.Write(dir+"/values.yaml", "")
	c.Write(dir+"/values-summit.yaml", values)
	template, err := base.ReadFile("base/application.yaml")
	c.must(err)
	c.Write("environments/templates/"+name+".yaml", strings.ReplaceAll(string(template), "NAME", name))
	c.Replace("environments/values-summit.yaml", "applications:\n", "applications:\n  "+name+": true\n")
}
