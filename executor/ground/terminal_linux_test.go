package ground_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a csu in a pseudo-terminal (pty(7)), with a person at it.
type terminal struct {
	*life
	keys *os.File
}

// atTerminal starts a command in a terminal with lines long enough for its
// questions.
func atTerminal(t testing.TB, cmd *exec.Cmd) *terminal {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { output.Close() })
	keys, screen, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	screen.Close()
	if err != nil {
		t.Fatal(err)
	}
	s := &terminal{life: &life{cmd: cmd, output: output.Name(), ended: make(chan struct{})}, keys: keys}
	go func() {
		defer close(s.ended)
		_, _ = io.Copy(output, keys) // fails when csu, at the other end, has ended
		_ = cmd.Wait()               // the result is in ProcessState
	}()
	t.Cleanup(func() { s.kill(t) })
	return s
}

// openTerminal returns both ends of a new terminal.
func openTerminal() (keys, screen *os.File, err error) {
	keys, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			keys.Close()
		}
	}()
	fd := int(keys.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("number of the terminal: %w", err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
		return nil, nil, fmt.Errorf("size of the terminal: %w", err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return keys, screen, err
}

// answer waits for a question and types the answer. It fails the test as soon as csu
// asks another question or has ended.
func (s *terminal) answer(t testing.TB, question, answer string) {
	t.Helper()
	for limit := time.Now().Add(runLimit); ; time.Sleep(5 * time.Millisecond) {
		why := s.stuck()
		said := s.said()
		if unread := said[s.read:]; strings.HasSuffix(unread, prompt) && strings.Contains(unread, question) {
			s.read = len(said)
			break
		}
		if why == "" && time.Now().After(limit) {
			why = fmt.Sprintf("it did not ask within %s", runLimit)
		}
		if why != "" {
			t.Fatalf("wait until csu asks %q: %s; its output:\n%s", question, why, said)
		}
	}
	if _, err := s.keys.WriteString(answer + "\n"); err != nil {
		t.Fatal(err)
	}
}
