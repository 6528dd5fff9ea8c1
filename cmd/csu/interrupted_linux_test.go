package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/lsst-ts/csu/executor/state"
)

// TestInterrupted: whatever interrupts csu, and whatever it is doing, it exits with
// 130 and says how to go on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	t.Run("SIGTERM during a step", func(t *testing.T) {
		t.Parallel()
		r := newServed(t)
		m := r.held.at("offline/cscs", "/offline/cscs/")
		x := r.start(t, "--consent", "all")
		x.await(t, m)
		if err := x.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		x.awaitSaid(t, "No new steps start")
		r.held.release()
		x.wantExit(t, exitInterrupted)
		prints(t, x.printed(), "^error: interrupted$", "^hint: resume with csu exec .* --resume --site-map ")
	})
	t.Run("the terminal is gone during a step", func(t *testing.T) {
		t.Parallel()
		r := newServed(t)
		m := r.held.at("offline/cscs", "/offline/cscs/")
		s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--consent", "all"))
		m.await(t, s.ended, s.text)
		if err := s.keys.Close(); err != nil { // the kernel sends csu a SIGHUP
			t.Fatal(err)
		}
		r.held.release()
		s.wantExit(t, exitInterrupted)
		if st := r.state(t); !strings.Contains(st.Halt, "interrupted by the operator after running steps finished") || st.Steps["offline/cscs"].Phase != state.Done {
			t.Errorf("the run was stopped with %q, offline/cscs is %s; want the step finished", st.Halt, st.Steps["offline/cscs"].Phase)
		}
	})
	t.Run("Ctrl-C at a stage's consent", func(t *testing.T) {
		t.Parallel()
		r := newServed(t)
		s := r.atWork(t)
		s.types(t, "\x03")
		s.wantExit(t, exitInterrupted)
		s.reads(t, "error: interrupted", "hint: resume with csu exec "+r.plan+" --resume")
	})
	t.Run("Ctrl-C at the question of a takeover", func(t *testing.T) {
		t.Parallel()
		ada := newServed(t)
		ada.start(t, "--consent", "all", "--operator", "Ada Operator", "--until", "begin").wantExit(t, exitComplete)
		bob := ada.onAnotherMachine(t)
		s := atTerminal(t, csu(t, "takeover", bob.plan, "--site-map", bob.siteMap, "--reason", "a test"))
		s.reads(t, "Take this run over?", yesNo)
		s.types(t, "\x03")
		s.wantExit(t, exitInterrupted)
		s.reads(t, "interrupted: nothing was started", "error: interrupted")
		if _, err := os.Stat(bob.journal); err == nil {
			t.Error("the takeover has left a journal")
		}
	})
}
