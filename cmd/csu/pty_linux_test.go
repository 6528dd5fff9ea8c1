package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// openTerminal returns both ends of a new pseudo-terminal (pty(7)).
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	ioctl := func(request uintptr, value unsafe.Pointer) error {
		raw, err := master.SyscallConn()
		if err != nil {
			return err
		}
		var errno syscall.Errno
		if err := raw.Control(func(fd uintptr) {
			_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(value))
		}); err != nil {
			return err
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
	var unlocked, number int32
	if err := ioctl(syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked)); err != nil {
		return nil, nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	if err := ioctl(syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		return nil, nil, fmt.Errorf("number of the terminal: %w", err)
	}
	size := struct{ rows, columns, x, y uint16 }{rows: 40, columns: 80}
	if err := ioctl(syscall.TIOCSWINSZ, unsafe.Pointer(&size)); err != nil {
		return nil, nil, fmt.Errorf("size of the terminal: %w", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}

// session is a person at a terminal with csu in it.
type session struct {
	keys  *os.File
	cmd   *exec.Cmd
	ended chan struct{}

	mu     sync.Mutex
	screen strings.Builder // all that was written to the terminal
	read   int             // up to where the person has read
}

// atTerminal starts a command in a terminal of 80 columns.
func atTerminal(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	master, slave, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	s := &session{keys: master, cmd: cmd, ended: make(chan struct{})}
	drained := s.drain()
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // how it ended is in its ProcessState
		<-drained
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, unless the test failed
		<-s.ended
		master.Close()
	})
	return s
}

// drain keeps what is written to the terminal, until its other end is closed.
func (s *session) drain() (drained <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, err := s.keys.Read(buf)
			s.mu.Lock()
			s.screen.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return ended
}

// text is what was written after the person has read last, its lines and columns
// made one line of words.
func (s *session) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(strings.Fields(s.screen.String()[s.read:]), " ")
}

// reads waits until all the texts stand on the terminal, after what was read
// before, and reads up to there.
func (s *session) reads(t *testing.T, texts ...string) {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		var missing []string
		now := s.text()
		for _, text := range texts {
			if !strings.Contains(now, text) {
				missing = append(missing, text)
			}
		}
		if len(missing) == 0 {
			s.mu.Lock()
			s.read = s.screen.Len()
			s.mu.Unlock()
			return
		}
		over := time.Now().After(limit)
		select {
		case <-s.ended:
			over = s.text() == now
		default:
		}
		if over {
			t.Fatalf("the terminal does not show %q but:\n%s", missing, now)
		}
	}
}

// types sends keys, such as "yes\n"; \x03 is Ctrl-C, \x04 Ctrl-D.
func (s *session) types(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func (s *session) wantExit(t *testing.T, code int) {
	t.Helper()
	<-s.ended
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("csu ended with the exit code %d, want %d:\n%s", got, code, s.text())
	}
}
