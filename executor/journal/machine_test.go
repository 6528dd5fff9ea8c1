package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func create(t *testing.T, name string) *Journal {
	t.Helper()
	j, err := Create(Disk, name, Record{Time: time.Now(), Event: RunBegun, Run: &Run{Format: Format, ID: "0123456789ab", Digest: "d", PID: os.Getpid()}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{
		"0123456789abcdef\n": "9f9f5111f7b27a78",
		"":                   host,
		"\n":                 host,
		"uninitialized\n":    host,
	} {
		name := filepath.Join(dir, "machine-id")
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := machine(name); got != want {
			t.Errorf("machine with id %q = %q, want %q", content, got, want)
		}
	}
	if got := machine(filepath.Join(dir, "none")); got != host {
		t.Errorf("machine without an id = %q, want %q", got, host)
	}
}

func TestPlaceOnDisk(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	a, b := create(t, "a"), create(t, "b")
	defer a.Close()
	defer b.Close()
	p, q := a.Place(), b.Place()
	if path, _ := filepath.Abs("a"); p.Path != path || p.Machine != thisMachine() || p.Machine == "" || !strings.Contains(p.File, ":") {
		t.Errorf("Place = %+v, want path %q on %q", p, path, thisMachine())
	}
	if p.Machine != q.Machine || p.File == q.File {
		t.Errorf("two files of a machine: %+v, %+v", p, q)
	}
}
