package plan

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "plan.json")
	for text, mode := range map[string]os.FileMode{"one\n": 0o644, "another\n": 0o600} {
		if err := WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != text {
			t.Errorf("read %q, %v, want %q", got, err, text)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("the file is %v, %v, want the mode %v", info, err, mode)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v, want the file alone", entries, err)
	}
}

// A device in the file's place would be gone after the rename.
func TestWriteFileReplacesNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "null")
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, link} {
		if err := WriteFile(name, []byte("text"), 0o644); err == nil {
			t.Errorf("%s was replaced", name)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v, want it untouched", info, err)
	}
}
