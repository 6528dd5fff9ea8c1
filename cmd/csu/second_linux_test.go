package main

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/rehearsal"
)

// atWork starts a csu that is at work on the plan for as long as nobody answers: it
// asks for the consent to the second stage.
func (r *served) atWork(t *testing.T) *session {
	t.Helper()
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--operator", "Ada Operator", "--consent", "begin", "--answers", doubtsAnswered(t)))
	s.reads(t, `Consent needed for stage "offline"`, at)
	return s
}

// run runs csu with the plan and its site, and returns what it prints.
func (r *served) run(t *testing.T, code int, command string, flags ...string) string {
	t.Helper()
	out, err := csu(t, append([]string{command, r.plan, "--site-map", r.siteMap}, flags...)...).CombinedOutput()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Fatalf("csu %s ended with the exit code %d, want %d:\n%s", command, got, code, out)
	}
	return string(out)
}

// prints wants each pattern in a text of lines.
func prints(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(text) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// TestSecond: of two executors of one plan the second is refused, and the first is
// not disturbed; status looks on.
func TestSecond(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	first := r.atWork(t)
	prints(t, r.run(t, exitRefused, "exec", "--consent", "all", "--resume"),
		`another csu \(process [0-9]+, operator "Ada Operator"\) is running this plan`,
		"hint: wait until that csu has ended, or see how far it has come with csu status")
	prints(t, r.run(t, exitRefused, "abort"), "is running this plan")
	prints(t, r.run(t, exitComplete, "status"),
		"led by Ada Operator", "^  done +begin", "^Next: csu is running the plan")
	if err := first.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	first.wantExit(t, exitInterrupted)
	first.reads(t, "error: interrupted")
	if s := r.state(t); s.Ended != "" || s.Stages[1].Begun {
		t.Errorf("the first has ended as %q, its second stage begun: %t", s.Ended, s.Stages[1].Begun)
	}
}

// TestUnlockAtWork: the site is not taken from a csu that is at work. When that csu
// is dead it may be, which the journal keeps; a resume takes the site again.
func TestUnlockAtWork(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	first := r.atWork(t)
	prints(t, r.run(t, exitRefused, "unlock", "--reason", "impatience"),
		`another csu \(process [0-9]+, operator "Ada Operator"\) is running this plan`)
	if n := r.count(t, rehearsal.LedgerReleased); n != 0 {
		t.Errorf("the site was taken %d times while csu was at work", n)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.ended
	prints(t, r.run(t, exitComplete, "preflight"), "^ok +ledger: the site is this run's$")
	prints(t, r.run(t, exitRefused, "unlock", "--reason", "her laptop is broken"), `^Take summit from its run\?$`, "give --yes, or run csu in a terminal")
	prints(t, r.run(t, exitComplete, "unlock", "--reason", "her laptop is broken", "--operator", "Bob Operator", "--yes"),
		"^Unlocked summit: released from run [0-9a-f]+ of Ada Operator")
	taken := &search{file: r.journal, words: []string{"Bob Operator takes the site from this run: her laptop is broken"}}
	if !taken.look() {
		t.Error("the journal does not say who took the site, and why")
	}
	if n := r.count(t, rehearsal.LedgerReleased); n != 1 {
		t.Errorf("the site was taken %d times, want once", n)
	}
	if out := r.run(t, exitComplete, "exec", "--consent", "all", "--resume", "--until", "offline", "--operator", "Ada Operator"); !strings.Contains(out, "stage done offline") {
		t.Errorf("the run was not resumed:\n%s", out)
	}
	if n := r.count(t, rehearsal.LedgerClaimed); n != 2 {
		t.Errorf("the site was claimed %d times, want twice", n)
	}
}

// count returns how many effects of a kind the site has recorded.
func (r *served) count(t *testing.T, kind string) (n int) {
	t.Helper()
	all, err := rehearsal.ReadRecord(r.held.record)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == kind {
			n++
		}
	}
	return n
}
