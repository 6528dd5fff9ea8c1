package ground

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// tinyModule returns a tool's module without dependencies.
func tinyModule(t *testing.T, program string) (m toolModule, source, dir string) {
	t.Helper()
	source, dir = t.TempDir(), t.TempDir()
	m = toolModule{
		name: "tiny", module: "example.org/tiny", takes: "a second",
		programs: map[string]string{"tiny": "."},
		links:    map[string]string{"tiny-by-another-name": "tiny"},
		copies:   map[string]string{"manifests": "crds"},
	}
	for name, text := range map[string]string{
		"go.mod": "module example.org/tiny\n\ngo 1.26.0\n", "go.sum": "", "main.go": program, "crds/a.yaml": "kind: A\n",
	} {
		name = filepath.Join(source, m.name, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, []byte(text))
	}
	return m, source, dir
}

func TestToolsAreBuiltOnce(t *testing.T) {
	m, source, dir := tinyModule(t, "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(os.Args[0]) }\n")
	if m.built(dir) {
		t.Fatal("an empty folder counts as built")
	}
	var reports [4]bytes.Buffer
	var all sync.WaitGroup
	for i := range reports {
		all.Go(func() {
			if err := m.buildOnce(t.Context(), &reports[i], source, dir); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var said strings.Builder
	for i := range reports {
		said.Write(reports[i].Bytes())
	}
	if n := strings.Count(said.String(), "building tiny from example.org/tiny; the first time takes about a second"); n != 1 {
		t.Errorf("of four concurrent callers %d built it, want one:\n%s", n, said.String())
	}
	if !m.built(dir) {
		t.Error("it does not count as built")
	}
	program := filepath.Join(dir, "tiny-by-another-name")
	if out, err := exec.Command(program).Output(); err != nil || string(out) != program {
		t.Errorf("%s printed %q, %v, want the name that it was called by", program, out, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "manifests", "a.yaml")); err != nil || string(text) != "kind: A\n" {
		t.Errorf("the manifest is %q, %v", text, err)
	}
}

func TestABuildThatFailsLeavesNothing(t *testing.T) {
	m, source, dir := tinyModule(t, "package main\n\nfunc main() { undeclared() }\n")
	if err := os.Mkdir(filepath.Join(dir, "build-that-was-killed"), 0o755); err != nil {
		t.Fatal(err)
	}
	var report bytes.Buffer
	err := m.buildOnce(t.Context(), &report, source, dir)
	if err == nil || !strings.Contains(err.Error(), "undefined: undeclared") {
		t.Errorf("buildOnce = %v, want the compiler's message", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.buildOnce(canceled, &report, source, dir); err == nil {
		t.Error("interrupted buildOnce = nil")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "lock" || m.built(dir) {
		t.Errorf("left behind: %v, %v, want the lock only", left, err)
	}
}

func TestToolsAreNamedByWhatTheyAreBuiltFrom(t *testing.T) {
	source, err := toolSource()
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	if err := os.CopyFS(scratch, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	digest := func() string {
		d, err := toolDigest(scratch)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first := digest()
	if again := digest(); again != first {
		t.Errorf("the digests of the same source are %s and %s", first, again)
	}
	for _, name := range []string{"argocd/go.sum", "kubernetes/go.mod", "kwok/podexec/main.go"} {
		file, err := os.OpenFile(filepath.Join(scratch, name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		changed := digest()
		if changed == first {
			t.Errorf("the digest is %s before and after a change of %s", first, name)
		}
		first = changed
	}
}

func TestAMissingPackageIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := debianProgram("redis-server"); err == nil || !strings.Contains(err.Error(), `Debian package "redis-server"`) {
		t.Errorf("debianProgram = %v, want the package's name", err)
	}
	missing := MissingPackages()
	for _, pkg := range []string{"redis-server", "git", "curl", "openssh-client"} {
		if !strings.Contains(InstallHint(missing), pkg) {
			t.Errorf("InstallHint(%v) = %q, want %s in it", missing, InstallHint(missing), pkg)
		}
	}
}
