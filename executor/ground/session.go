package ground

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Session is a testing.TB that outlives a test: servers that are started with it
// serve all tests of a program, or a person. Its temporary folders and servers
// are gone after Close.
//
//	err := session.Do(func(t testing.TB) { cluster = ground.StartCluster(t, options) })
type Session struct {
	testing.TB // nil; ground uses only the methods below

	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	cleanups []func()
	messages []string // of a failure
	dirs     []string
}

// NewSession returns a session that ends with ctx, or earlier by Close.
func NewSession(ctx context.Context) *Session {
	s := &Session{}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// Do runs body and returns its failures as an error.
func (s *Session) Do(body func(t testing.TB)) error {
	s.mu.Lock()
	before := len(s.messages)
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		body(s)
	}()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.messages) == before {
		return nil
	}
	return errors.New(strings.Join(s.messages[before:], "\n"))
}

// Close ends the session's servers, last one first, and removes their folders.
func (s *Session) Close() error {
	s.cancel()
	err := s.Do(func(testing.TB) {
		for {
			s.mu.Lock()
			if len(s.cleanups) == 0 {
				s.mu.Unlock()
				return
			}
			last := s.cleanups[len(s.cleanups)-1]
			s.cleanups = s.cleanups[:len(s.cleanups)-1]
			s.mu.Unlock()
			last()
		}
	})
	for _, dir := range slices.Backward(s.dirs) {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// Context is canceled before the cleanups, like a test's.
func (s *Session) Context() context.Context { return s.ctx }

// Cleanup registers f to be called by Close.
func (s *Session) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

// TempDir returns a new folder, which Close removes.
func (s *Session) TempDir() string {
	dir, err := os.MkdirTemp("", "csu-ground-")
	if err != nil {
		s.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs = append(s.dirs, dir)
	return dir
}

// Helper does nothing.
func (s *Session) Helper() {}

// Failed reports whether there was a failure.
func (s *Session) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages) > 0
}

func (s *Session) fail(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, strings.TrimSuffix(message, "\n"))
}

// Errorf records a failure for Do to return.
func (s *Session) Errorf(format string, arguments ...any) { s.fail(fmt.Sprintf(format, arguments...)) }

// Error records a failure for Do to return.
func (s *Session) Error(arguments ...any) { s.fail(fmt.Sprintln(arguments...)) }

// Fatalf records a failure and ends the body that Do runs.
func (s *Session) Fatalf(format string, arguments ...any) {
	s.fail(fmt.Sprintf(format, arguments...))
	runtime.Goexit()
}

// Fatal records a failure and ends the body that Do runs.
func (s *Session) Fatal(arguments ...any) {
	s.fail(fmt.Sprintln(arguments...))
	runtime.Goexit()
}

// Logf adds to a failure's message; otherwise sessions are silent.
func (s *Session) Logf(format string, arguments ...any) {
	if s.Failed() {
		s.fail(fmt.Sprintf(format, arguments...))
	}
}
