package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/custody"
	"github.com/lsst-ts/csu/executor/journal"
)

// repository is a git repository of a test.
type repository struct{ dir string }

func newRepository(t *testing.T) *repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git: ", err)
	}
	r := &repository{t.TempDir()}
	r.git(t, "init", "-q", "-b", "main", ".")
	r.write(t, "plan.json", "{}")
	r.commit(t, "The plan")
	return r
}

func (r *repository) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.org"}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args, err, out)
	}
}

func (r *repository) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *repository) commit(t *testing.T, message string) {
	t.Helper()
	r.git(t, "add", "-A")
	r.git(t, "commit", "-q", "-m", message)
}

// run is the journal of a run with these events behind its first record.
func (r *repository) run(t *testing.T, digest string, events ...journal.Event) {
	t.Helper()
	name := filepath.Join(r.dir, "plan.json.journal")
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	j, err := journal.Create(journal.Disk, name, journal.Record{Event: journal.RunBegun, Time: at, Run: &journal.Run{Format: journal.Format, ID: "r1", Digest: digest}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if _, err := j.Append(journal.Record{Event: e, Time: at.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCarriedOut: the end of a run is found wherever the repository's history has
// it, and only that of this very plan.
func TestCarriedOut(t *testing.T) {
	const digest = "0123"
	for name, x := range map[string]struct {
		make  func(t *testing.T, r *repository)
		found string // begins so, behind the commit; "" where there is none
		err   error
	}{
		"nothing":  {make: func(*testing.T, *repository) {}},
		"complete": {make: func(t *testing.T, r *repository) { r.run(t, digest, journal.Complete); r.commit(t, "Done") }, found: "complete"},
		"aborted": {make: func(t *testing.T, r *repository) {
			r.run(t, digest, journal.Aborting, journal.Aborted)
			r.commit(t, "Done")
		}, found: "aborted"},
		"not finished": {make: func(t *testing.T, r *repository) { r.run(t, digest, journal.Stopped); r.commit(t, "Half") }},
		"finished later": {make: func(t *testing.T, r *repository) {
			r.run(t, digest, journal.Stopped)
			r.commit(t, "Half")
			r.run(t, digest, journal.Stopped, journal.Complete)
			r.commit(t, "Done")
		}, found: "complete"},
		"deleted since": {make: func(t *testing.T, r *repository) {
			r.run(t, digest, journal.Complete)
			r.commit(t, "Done")
			r.git(t, "rm", "-q", "plan.json.journal")
			r.commit(t, "Tidy")
		}, found: "complete"},
		"on another branch": {make: func(t *testing.T, r *repository) {
			r.git(t, "switch", "-q", "-c", "deployment")
			r.run(t, digest, journal.Complete)
			r.commit(t, "Done")
			r.git(t, "switch", "-q", "main")
		}, found: "complete"},
		"of another digest": {make: func(t *testing.T, r *repository) { r.run(t, "4567", journal.Complete); r.commit(t, "Done") }},
		"of another digest since": {make: func(t *testing.T, r *repository) {
			r.run(t, digest, journal.Complete)
			r.commit(t, "Done")
			r.run(t, "4567", journal.Stopped)
			r.commit(t, "Attempt 2")
		}, found: "complete"},
		"unreadable": {make: func(t *testing.T, r *repository) {
			r.write(t, "plan.json.journal", "{\"torn\": 1}\n")
			r.commit(t, "Edited")
		}, err: custody.ErrNoHistory},
		"unreadable, and complete before": {make: func(t *testing.T, r *repository) {
			r.run(t, digest, journal.Complete)
			r.commit(t, "Done")
			r.write(t, "plan.json.journal", "{\"torn\": 1}\n")
			r.commit(t, "Edited")
		}, found: "complete"},
		"not committed": {make: func(t *testing.T, r *repository) { r.run(t, digest, journal.Complete) }},
		"no repository": {make: func(t *testing.T, r *repository) {
			if err := os.RemoveAll(filepath.Join(r.dir, ".git")); err != nil {
				t.Fatal(err)
			}
		}, err: custody.ErrNoHistory},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GIT_CEILING_DIRECTORIES", os.TempDir())
			r := newRepository(t)
			x.make(t, r)
			found, err := carriedOut(filepath.Join(r.dir, "plan.json"), digest)
			if !errors.Is(err, x.err) || x.err == nil && err != nil {
				t.Fatalf("carriedOut = %q, %v; want the error %v", found, err, x.err)
			}
			if x.found == "" && found != "" || !strings.Contains(found, " has its journal, "+x.found) && x.found != "" {
				t.Errorf("carriedOut = %q, want %q", found, x.found)
			}
		})
	}
	t.Run("in a folder", func(t *testing.T) {
		r := newRepository(t)
		plans := &repository{filepath.Join(r.dir, "plans")}
		if err := os.Mkdir(plans.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		plans.run(t, digest, journal.Complete)
		r.commit(t, "Done")
		if found, err := carriedOut(filepath.Join(plans.dir, "plan.json"), digest); err != nil || found == "" {
			t.Errorf("carriedOut = %q, %v", found, err)
		}
	})
	t.Run("no git", func(t *testing.T) {
		r := newRepository(t)
		t.Setenv("PATH", t.TempDir())
		if found, err := carriedOut(filepath.Join(r.dir, "plan.json"), digest); !errors.Is(err, custody.ErrNoHistory) {
			t.Errorf("carriedOut = %q, %v", found, err)
		}
	})
}
