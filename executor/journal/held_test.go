package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
