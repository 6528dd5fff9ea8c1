package ground

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestASessionReturnsWhatFails(t *testing.T) {
	s := NewSession(t.Context())
	reached := false
	err := s.Do(func(t testing.TB) {
		t.Errorf("the %s", "first")
		t.Fatal("the second")
		reached = true
	})
	if err == nil || err.Error() != "the first\nthe second" || reached {
		t.Errorf("Do = %v, went on %v, want both failures, and the end at Fatal", err, reached)
	}
	if err := s.Do(func(testing.TB) {}); err != nil {
		t.Errorf("the next Do = %v, want nil", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestASessionCleansUp(t *testing.T) {
	s := NewSession(t.Context())
	var order []string
	var dir string
	err := s.Do(func(t testing.TB) {
		dir = t.TempDir()
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() {
			order = append(order, "second")
			t.Error("the cleanup failed")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the folder is gone after Do: %v", err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "the cleanup failed") {
		t.Errorf("Close = %v, want the cleanup's failure", err)
	}
	if strings.Join(order, " ") != "second first" {
		t.Errorf("cleanups ran as %v, want the last one first", order)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder still exists after Close: %v", err)
	}
	if s.Context().Err() == nil {
		t.Error("the context is not canceled after Close")
	}
}

func TestAServerThatCannotStartShowsItsLog(t *testing.T) {
	s := NewSession(t.Context())
	tries := 0
	err := s.Do(func(t testing.TB) {
		server{
			name: "broken", program: "/bin/sh", dir: t.TempDir(), ports: 1,
			arguments: func([]int) []string {
				tries++
				return []string{"-c", "echo address already in use >&2; exit 1"}
			},
			ready: answers,
		}.start(t)
	})
	if err == nil || !strings.Contains(err.Error(), "start broken: the process has ended") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("start = %v, want its log", err)
	}
	if tries != 5 {
		t.Errorf("%d tries, want five: its port may have been taken", tries)
	}
	err = s.Do(func(t testing.TB) {
		server{
			name: "mute", program: "/bin/sleep", dir: t.TempDir(), ports: 1, limit: 200 * time.Millisecond,
			arguments: func([]int) []string { return []string{"60"} },
			ready:     answers,
		}.start(t)
	})
	if err == nil || !strings.Contains(err.Error(), "start mute: not ready after 200ms") {
		t.Errorf("start = %v, want that it is not ready", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v, want nothing left to end", err)
	}
}

func TestAServerIsEndedByItsSession(t *testing.T) {
	s := NewSession(t.Context())
	var p *process
	err := s.Do(func(t testing.TB) {
		sleep := server{name: "sleep", program: "/bin/sleep", dir: t.TempDir(), arguments: func([]int) []string { return []string{"60"} }}
		var err error
		if p, err = sleep.run(nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.stop(t) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.hasEnded() {
		t.Fatal("it has ended by itself")
	}
	if err := s.Close(); err != nil || !p.hasEnded() {
		t.Errorf("Close = %v, ended %v", err, p.hasEnded())
	}
}

func TestFreePortsAreDifferent(t *testing.T) {
	ports, err := freePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %d was given twice", port)
		}
		seen[port] = true
		if err := answers(context.Background(), []int{port}); err == nil {
			t.Errorf("something answers on port %d, which was reported as free", port)
		}
	}
}
