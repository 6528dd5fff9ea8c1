package ground

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Tools are the paths of the programs that Debian does not have, built from
// their Go modules.
type Tools struct {
	Etcd, APIServer, ControllerManager, Scheduler, Kwok string
	PodExec                                             string // csu's own, see tools/kwok/podexec
	// The roles of Argo CD's single program, selected by the name it is called
	// by.
	RepoServer, ApplicationController string

	KwokStages, ArgoCDCRDs string // folders of manifests
}

// toolModule is a nested module below tools, which pins the version of what is
// built. There are several because their dependencies conflict.
type toolModule struct {
	name     string
	module   string            // with the programs and manifests
	programs map[string]string // file name to package
	links    map[string]string // further name to file name
	copies   map[string]string // folder in the cache to folder in the module
	takes    string            // duration of the first build, on two cores
	ldflags  string
}

var toolModules = []toolModule{
	{
		name: "etcd", module: "go.etcd.io/etcd/server/v3", takes: "one minute",
		programs: map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
	},
	{
		name: "kubernetes", module: "k8s.io/kubernetes", takes: "ten minutes",
		programs: map[string]string{
			"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
			"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
			"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
		},
		// Otherwise they report version v0.0.0, which some clients compare.
		ldflags: "-X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
	},
	{
		name: "kwok", module: "sigs.k8s.io/kwok", takes: "two minutes",
		programs: map[string]string{"kwok": "sigs.k8s.io/kwok/cmd/kwok", "podexec": "./podexec"},
		copies:   map[string]string{"kwok-stages": "kustomize/stage/node"},
	},
	{
		name: "argocd", module: "github.com/argoproj/argo-cd/v3", takes: "five minutes",
		programs: map[string]string{"argocd": "github.com/argoproj/argo-cd/v3/cmd"},
		links:    map[string]string{"argocd-repo-server": "argocd", "argocd-application-controller": "argocd"},
		copies:   map[string]string{"argocd-crds": "manifests/crds"},
	},
}

// BuildTools returns the tools, building those that are missing from the user's
// cache folder. The first build takes many minutes, and report says so. If
// several test programs need the tools at once, one builds and the others wait.
// It needs the project's source: the working folder must be in it.
func BuildTools(ctx context.Context, report io.Writer) (*Tools, error) {
	source, err := toolSource()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache folder for the proving ground's tools: %w", err)
	}
	cache = filepath.Join(cache, "csu-ground")
	digest, err := toolDigest(source)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, digest)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache folder for the proving ground's tools: %w", err)
	}
	for _, m := range toolModules {
		if m.built(dir) {
			continue
		}
		if err := m.buildOnce(ctx, report, source, dir); err != nil {
			return nil, err
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	return &Tools{
		Etcd: in("etcd"), APIServer: in("kube-apiserver"), ControllerManager: in("kube-controller-manager"), Scheduler: in("kube-scheduler"),
		Kwok: in("kwok"), RepoServer: in("argocd-repo-server"), ApplicationController: in("argocd-application-controller"),
		PodExec: in("podexec"), KwokStages: in("kwok-stages"), ArgoCDCRDs: in("argocd-crds"),
	}, nil
}

// toolSource finds the folder with the tools' modules, from the working folder
// upwards. It cannot be embedded, since Go does not embed other modules.
func toolSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		source := filepath.Join(dir, "executor", "ground", "tools")
		if _, err := os.Stat(filepath.Join(source, toolModules[0].name, "go.mod")); err == nil {
			return source, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find executor/ground/tools: the working folder is not in the source of csu")
		}
		dir = parent
	}
}

// toolDigest identifies what the tools are built from: the modules' pinned
// versions and their own source, the recipe and the compiler.
func toolDigest(source string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, m := range toolModules {
		fmt.Fprintf(sum, "%+v\n", m)
		err := filepath.WalkDir(filepath.Join(source, m.name), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s %d\n%s", entry.Name(), len(text), text)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("read what the proving ground's tools are built from: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// built reports whether all of a module's files are in the folder.
func (m toolModule) built(dir string) bool {
	for _, name := range m.files() {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func (m toolModule) files() []string {
	var names []string
	for _, set := range []map[string]string{m.programs, m.links, m.copies} {
		for name := range set {
			names = append(names, name)
		}
	}
	return names
}

// buildOnce builds a module's programs, holding a lock, unless another process
// has built them in the meantime.
func (m toolModule) buildOnce(ctx context.Context, report io.Writer, source, dir string) error {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("lock the proving ground's tools: %w", err)
	}
	defer lock.Close() // which also unlocks
	for said := false; ; {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock the proving ground's tools: %w", err)
		}
		if !said {
			fmt.Fprintf(report, "ground: another process is building the proving ground's tools; waiting for it\n")
			said = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the process that builds the proving ground's tools: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
	if m.built(dir) {
		return nil
	}
	if err := removeScratch(dir); err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(report, "ground: building %s from %s; the first time takes about %s; the result is kept in %s\n", m.name, m.module, m.takes, dir)
	if err := m.build(ctx, filepath.Join(source, m.name), dir); err != nil {
		return fmt.Errorf("build the proving ground's %s: %w", m.name, err)
	}
	fmt.Fprintf(report, "ground: built %s in %s\n", m.name, time.Since(began).Round(time.Second))
	return nil
}

const scratchPrefix = "build-"

// removeScratch removes what a killed build left. The caller must hold the
// lock.
func removeScratch(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, scratchPrefix+"*"))
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("remove what an earlier build has left: %w", err)
		}
	}
	return nil
}

// build builds into a separate folder and moves the finished result into place,
// so that an interrupted build leaves nothing that looks finished.
func (m toolModule) build(ctx context.Context, source, dir string) error {
	scratch, err := os.MkdirTemp(dir, scratchPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	for name, pkg := range m.programs {
		if _, err := m.runGo(ctx, source, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w "+m.ldflags, "-o", filepath.Join(scratch, name), pkg); err != nil {
			return err
		}
	}
	for name, to := range m.links {
		if err := os.Symlink(to, filepath.Join(scratch, name)); err != nil {
			return err
		}
	}
	for name, from := range m.copies {
		out, err := m.runGo(ctx, source, "list", "-m", "-f", "{{.Dir}}", m.module)
		if err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(scratch, name), os.DirFS(filepath.Join(strings.TrimSpace(out), from))); err != nil {
			return err
		}
	}
	for _, name := range m.files() {
		to := filepath.Join(dir, name)
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(scratch, name), to); err != nil {
			return err
		}
	}
	return nil
}

func (m toolModule) runGo(ctx context.Context, dir string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Dir = dir
	// The tools have their own versions, regardless of any workspace. Without
	// cgo they need no C compiler.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, lastLines(errs.String(), 30))
	}
	return out.String(), nil
}

// lastLines returns at most the last n lines of a text, truncating long ones.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i := range lines {
		lines[i] = strings.ToValidUTF8(lines[i][:min(len(lines[i]), 400)], "")
	}
	return strings.Join(lines, "\n")
}
