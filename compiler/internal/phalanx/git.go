package phalanx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/lsst-ts/csu/compiler/gitobject"
	"github.com/lsst-ts/csu/executor/exit"
)

// repository reads a Git repository, bare or not, with the git command. It never
// touches a work tree or the network.
type repository struct {
	dir string

	mu    sync.Mutex
	blobs map[string][]byte // by object name
}

// ofAnother are the variables by which a Git hook points git to its own repository.
var ofAnother = []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}

// git runs git and returns its output. Without input it has no standard input.
func (r *repository) git(ctx context.Context, input io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", r.dir, "--no-replace-objects"}, args...)...)
	cmd.Stdin = input
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ofAnother, name)
	})
	cmd.Env = append(cmd.Env, "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		err = errors.New(strings.TrimPrefix(strings.TrimSpace(string(failed.Stderr)), "fatal: "))
	}
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return out, nil
}

// commit returns the commit that a revision names.
func (r *repository) commit(ctx context.Context, rev string) (string, error) {
	out, err := r.git(ctx, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	return strings.TrimSpace(string(out)), err
}

// check reports why the folder is no Git repository.
func (r *repository) check(ctx context.Context) error {
	if _, err := os.Stat(r.dir); err != nil {
		return exit.Unusable("give the folder of a clone of Phalanx with --phalanx", "open Phalanx: %w", err)
	}
	if _, err := r.git(ctx, nil, "rev-parse", "--git-dir"); err != nil {
		return exit.Unusable("give the folder of a clone of Phalanx with --phalanx", "open Phalanx in %q: %w", r.dir, err)
	}
	return nil
}

// tree is the files of a commit: their object names, by path.
type tree struct {
	files map[string]string
	links map[string]bool // symbolic links and submodules
	paths []string        // of files and links, sorted
}

// tree lists the files of a commit.
func (r *repository) tree(ctx context.Context, commit string) (*tree, error) {
	out, err := r.git(ctx, nil, "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return nil, err
	}
	t := &tree{files: map[string]string{}, links: map[string]bool{}}
	for _, f := range gitobject.Files(out) {
		if f.Plain {
			t.files[f.Name] = f.Object
		} else {
			t.links[f.Name] = true
		}
		t.paths = append(t.paths, f.Name)
	}
	slices.Sort(t.paths)
	return t, nil
}

// below returns the paths of the files below a folder, sorted.
func (t *tree) below(dir string) []string {
	prefix := path.Clean(dir) + "/"
	from, _ := slices.BinarySearch(t.paths, prefix)
	to := from
	for to < len(t.paths) && strings.HasPrefix(t.paths[to], prefix) {
		to++
	}
	return t.paths[from:to]
}

// read makes the contents of the objects available to [repository.blob], with one
// git process for all of those that are not yet known.
func (r *repository) read(ctx context.Context, objects []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ask bytes.Buffer
	asked := map[string]bool{}
	for _, o := range objects {
		if _, known := r.blobs[o]; !known && !asked[o] {
			fmt.Fprintln(&ask, o)
			asked[o] = true
		}
	}
	if ask.Len() == 0 {
		return nil
	}
	out, err := r.git(ctx, &ask, "cat-file", "--batch")
	if err != nil {
		return err
	}
	return gitobject.Contents(out, func(object string, data []byte) { r.blobs[object] = data })
}

// blob returns the content of an object that was read.
func (r *repository) blob(object string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blobs[object]
}
