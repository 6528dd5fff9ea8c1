package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestHeldTellsWhetherAnExecutorHasTheJournal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.json.journal")
	first := Record{Time: time.Now(), Event: RunBegun, Run: &Run{Format: Format, ID: "0123456789ab", Digest: "d", PID: os.Getpid()}}
	j, err := Create(Disk, name, first)
	if err != nil {
		t.Fatal(err)
	}
	if held, err := Held(name); err != nil || !held {
		t.Errorf("Held of an open journal = %v, %v; want true", held, err)
	}
	if running, err := recordedProcessRuns(name); err != nil || !running {
		t.Errorf("the recorded process = %v, %v; want running, it is this one", running, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err := Held(name); err != nil || held {
		t.Errorf("Held of a closed journal = %v, %v; want false", held, err)
	}
	if _, err := Held(name + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Held of no journal = %v, want that it does not exist", err)
	}
}

// TestHeldComparesDevices: a lock on a file of another file system that happens
// to have the journal's inode number is none on the journal.
func TestHeldComparesDevices(t *testing.T) {
	for line, want := range map[string][3]string{
		"7: FLOCK  ADVISORY  WRITE 3112 fe:00:1837 0 EOF":      {"3112", "fe:00", "1837"},
		"7: -> FLOCK  ADVISORY  WRITE 3113 fe:00:1837 0 EOF":   {},
		"8: FLOCK  ADVISORY  READ  3112 fe:00:1837 0 EOF":      {},
		"9: POSIX  ADVISORY  WRITE 3112 fe:00:1837 0 EOF":      {},
		"9: FLOCK  ADVISORY  WRITE 3112 103:10001a:1837 0 EOF": {"3112", "103:10001a", "1837"},
		"9: FLOCK  ADVISORY  WRITE 3112 <none>:1837 0 EOF":     {"3112", "<none>", "1837"},
		"9: FLOCK  ADVISORY  WRITE 3112 nonsense 0 EOF":        {"3112", "", "nonsense"},
		"": {},
	} {
		if pid, device, inode := lockOf(line); [3]string{pid, device, inode} != want {
			t.Errorf("lockOf(%q) = %q, %q, %q; want %q", line, pid, device, inode, want)
		}
	}
	for dev, want := range map[uint64]string{0xfe00: "fe:00", 0x2e: "00:2e", 0x10000000031a: "1003:1a", 0x1001031a: "103:1001a"} {
		if got := deviceOf(dev); got != want {
			t.Errorf("deviceOf(%#x) = %q, want %q", dev, got, want)
		}
	}
	// A process has open what it has open, and no file beside it.
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	me := strconv.Itoa(os.Getpid())
	for name, want := range map[string]bool{"open": true, "other": false} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := hasOpen(me, info); got != want {
			t.Errorf("hasOpen of %s = %v", name, got)
		}
		if hasOpen("0", info) || hasOpen("-1", info) {
			t.Errorf("no process has %s open", name)
		}
	}
}
