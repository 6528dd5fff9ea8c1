package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lsst-ts/csu/executor/operator"
)

// mode is that of the person's terminal.
func (s *session) mode(t *testing.T) unix.Termios {
	t.Helper()
	var mode unix.Termios
	if err := control(s.keys, func(fd int) error {
		m, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			mode = *m
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return mode
}

// resize gives the terminal another width.
func (s *session) resize(t *testing.T, columns uint16) {
	t.Helper()
	if err := control(s.keys, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}); err != nil {
		t.Fatal(err)
	}
}

// TestLineKeys: an answer is edited as in a shell, and no key becomes part of it.
func TestLineKeys(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ keys, reason string }{
		{"3 neded\x1b[D\x1b[D\x1b[De\n", "needed"},
		{"3 neded\x1bOD\x1bOD\x1bODe\n", "needed"},
		{"not needed\x1b[H3 \n", "not needed"},
		{"xx\x153 not needed, really\x17\x7f\x7f\n", "not needed"},
		{"3 not needed\x1bOP\x1b[15~\x1b[5~\x1b[<0;1;1M\n", "not needed"},
		{"3 not needed\x01\x1b[C\x1b[C\x0bnever\n", "never"},
	} {
		view, s := screenAtTerminal(t)
		answers := put(t, view, failureOf("hosts/azar03"))
		s.reads(t, "? refresh >")
		s.types(t, x.keys)
		if a := <-answers; a.Choice != operator.Skip || a.Reason != x.reason {
			t.Errorf("%q gives the answer %+v, want %q", x.keys, a, x.reason)
		}
	}
}

// TestLineArrowIsNoReason: a key that moves the cursor is not recorded as a reason.
func TestLineArrowIsNoReason(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	answers := put(t, view, failureOf("hosts/azar03"))
	s.reads(t, "? refresh >")
	s.types(t, "3\n")
	s.reads(t, "why is it skipped?")
	s.types(t, "\x1b[D\x1bOC\x1b[A\n")
	s.reads(t, "The journal records the reason", "why is it skipped?")
	s.types(t, "\n")
	s.reads(t, "Nothing was skipped.", "? refresh >")
	s.types(t, "4\n")
	if a := <-answers; a.Choice != operator.Stop {
		t.Errorf("the answer is %+v", a)
	}
}

// TestLineHistory: reasons and remarks come back with Up; choices do not, so that no answer
// is repeated by mistake.
func TestLineHistory(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	answers := put(t, view, failureOf("hosts/azar03"))
	s.reads(t, "? refresh >")
	s.types(t, "3 the rack is off\n")
	<-answers
	answers = put(t, view, failureOf("hosts/azar01"))
	s.reads(t, "hosts/azar01: 1 retry")
	s.types(t, "\x1b[A\n")
	s.reads(t, `"the rack is off" is not one of the choices`, "? refresh >")
	s.types(t, "skip\n")
	s.reads(t, "why is it skipped?")
	s.types(t, "\x1b[A")
	s.reads(t, "the rack is off")
	s.types(t, " too\n")
	if a := <-answers; a.Choice != operator.Skip || a.Reason != "the rack is off too" {
		t.Errorf("the answer is %+v", a)
	}
	answers = put(t, view, failureOf("hosts/azar02"))
	s.reads(t, "hosts/azar02: 1 retry")
	s.types(t, "\x1b[A\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B4\n") // beyond both ends
	if a := <-answers; a.Choice != operator.Stop {
		t.Errorf("the answer is %+v", a)
	}
	if want := []string{"the rack is off", "the rack is off too"}; !slices.Equal(view.recalled.lines, want) {
		t.Errorf("kept are %q, want %q", view.recalled.lines, want)
	}
}

// TestLinePaste: a paste of several lines answers no question, let alone several.
func TestLinePaste(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	answers := put(t, view, failureOf("hosts/azar03"))
	s.reads(t, "\x1b[?2004h", "? refresh >")
	s.types(t, "\x1b[200~retry\nretry\n\x1b[201~")
	s.reads(t, "retry retry")
	s.types(t, "\n")
	s.reads(t, `"retry retry" is not one of the choices`, "? refresh >")
	s.types(t, "1\n1\n") // from a terminal that does not mark a paste
	s.reads(t, "Several lines came at once; none of them is taken as an answer.", "? refresh >")
	s.types(t, "4\n")
	if a := <-answers; a.Choice != operator.Stop {
		t.Errorf("the answer is %+v", a)
	}
	s.reads(t, "\x1b[?2004l")
}

// TestLineMode: the terminal is csu's only while a question is open, and Ctrl-C is never.
func TestLineMode(t *testing.T) {
	t.Parallel()
	view, s := screenAtTerminal(t)
	before := s.mode(t)
	answers := put(t, view, failureOf("hosts/azar03"))
	s.reads(t, "? refresh >")
	during := s.mode(t)
	if during.Lflag&(unix.ICANON|unix.ECHO) != 0 || during.Lflag&unix.ISIG == 0 || during.Oflag != before.Oflag || during.Iflag != before.Iflag {
		t.Errorf("while csu asks the mode is %+v, before it was %+v", during, before)
	}
	s.types(t, "4\n")
	<-answers
	if after := s.mode(t); after != before {
		t.Errorf("after the answer the mode is %+v, before it was %+v", after, before)
	}
}

// TestLineCtrlD: at a question it ends csu, as the terminal's end does; while nothing is
// asked it does nothing.
func TestLineCtrlD(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	r.held.at("offline/watcher", "/offline/watcher/")
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--consent", "begin,offline", "--answers", doubtsAnswered(t)))
	s.reads(t, "start offline/watcher")
	s.types(t, "\x04")
	s.reads(t, `(No question is open: ignored "Ctrl-D".)`)
	r.held.release()
	s.reads(t, `Consent needed for stage "services-down"`, at)
	s.types(t, "y\x04es") // deletes nothing at the end of a line
	s.types(t, "\x15\x04")
	s.wantExit(t, exitFailed)
	s.reads(t, "error: no answer: the terminal was closed: EOF", "hint: resume with csu exec "+r.plan+" --resume")
}

// TestLineSuspend: after Ctrl-Z the shell has its terminal as it was, and after fg the
// question is there again, with what was half typed.
func TestLineSuspend(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	shell := exec.Command("sh", "-i")
	shell.Env = append(shell.Environ(), "PS1=shell> ", "ENV=")
	s := atTerminal(t, shell)
	s.reads(t, "shell>")
	before := s.mode(t)
	s.types(t, strings.Join(csu(t, "exec", r.plan, "--site-map", r.siteMap).Args, " ")+"\n")
	s.reads(t, `Doubt to confirm before stage "begin"`, at)
	s.types(t, "n")
	s.reads(t, "n")
	s.types(t, "\x1a")
	s.reads(t, "\x1b[?2004l", "shell>")
	if after := s.mode(t); after != before {
		t.Errorf("the shell's mode is %+v, before it was %+v", after, before)
	}
	s.types(t, "fg\n")
	s.reads(t, `Doubt to confirm before stage "begin"`, "1 yes checked, and the answer is yes", at+" n")
	s.types(t, "o\n")
	s.reads(t, "stopped the run at stage", "shell>")
	if after := s.mode(t); after != before {
		t.Errorf("in the end the shell's mode is %+v, before it was %+v", after, before)
	}
	s.types(t, "exit\n")
	<-s.ended
}

// TestLineSuspendAlone: without a shell that could let it continue, Ctrl-Z does not stop csu.
func TestLineSuspendAlone(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	s := r.atWork(t)
	s.types(t, "n\x1a")
	s.reads(t, `Consent needed for stage "offline"`, at)
	s.types(t, "\x15no\n")
	s.wantExit(t, exitFailed)
}

// TestLineInterrupt: a command that runs nothing gives the terminal back, too, and has done
// nothing.
func TestLineInterrupt(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	for _, x := range []struct{ command, flag, says string }{
		{"announce", "--hour-before", "error: nothing was posted: interrupted"}, {"unlock", "--reason=a test", "error: interrupted"},
	} {
		if x.command == "unlock" {
			r.start(t, "--consent", "all", "--until", "begin").wantExit(t, exitComplete)
		}
		s := atTerminal(t, csu(t, x.command, r.plan, x.flag, "--site-map", r.siteMap))
		s.reads(t, "? refresh >")
		during := s.mode(t)
		s.types(t, "ye\x03")
		s.wantExit(t, exitInterrupted)
		s.reads(t, "\x1b[?2004l", x.says)
		if after := s.mode(t); during.Lflag&unix.ICANON != 0 || after.Lflag&unix.ICANON == 0 || after.Lflag&unix.ECHO == 0 {
			t.Errorf("%s: while csu asks the mode is %+v, after it %+v", x.command, during, after)
		}
	}
}

// TestLineResize: in a terminal of another width the question is put once more.
func TestLineResize(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	s := r.atWork(t)
	s.types(t, "n")
	s.reads(t, "n")
	start := len(s.bytes())
	s.resize(t, 50)
	s.reads(t, `Consent needed for stage "offline"`, "? refresh > n")
	for line := range strings.Lines(s.bytes()[start:]) {
		if line = strings.TrimRight(line, "\r\n"); !strings.Contains(line, "\x1b") && len([]rune(line)) > 50 {
			t.Errorf("the terminal of 50 columns cuts %q", line)
		}
	}
	s.types(t, "o\n")
	s.wantExit(t, exitFailed)
}

// TestLineHangup: a terminal that is gone while csu asks is no answer, and the run can be
// resumed.
func TestLineHangup(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	s := r.atWork(t)
	s.types(t, "ye")
	s.reads(t, "ye")
	if err := s.keys.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	// Which of the two csu notices first, the signal or the end of what is typed, is chance.
	if code := s.cmd.ProcessState.ExitCode(); code != exitInterrupted && code != exitFailed {
		t.Errorf("csu ended with the exit code %d", code)
	}
	if st := r.state(t); st.Ended != "" || st.Stages[1].Begun || st.Stages[1].Consent != nil {
		t.Errorf("the run has ended as %q, the stage has begun: %t, with the consent %v", st.Ended, st.Stages[1].Begun, st.Stages[1].Consent)
	}
	prints(t, r.run(t, exitRefused, "exec", "--resume"), "no terminal to ask on")
}

// TestLineDetails: while a step runs, d shows what csu waits for.
func TestLineDetails(t *testing.T) {
	t.Parallel()
	r := newServed(t)
	m := r.held.at("offline/cscs", "/offline/cscs/")
	s := atTerminal(t, csu(t, "exec", r.plan, "--site-map", r.siteMap, "--consent", "all"))
	m.await(t, s.ended, s.text)
	s.reads(t, "… offline/cscs", "d and Enter: details; Ctrl-C: stop after these steps")
	s.types(t, "d\n")
	s.reads(t, "offline/cscs ESS:105, MTMount", "Started at", "at the site), ", "Usually takes", "csu waits for", "Last reported, at", "d and Enter: details")
	r.held.release()
	s.wantExit(t, exitComplete)
}
