package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/gitobject"
	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/plan"
)

// reviewed checks that a plan, whose bytes are data, is what the sources give, and if
// it must be merged, that it is in origin's default branch. It returns what it found, for
// the journal. It uses no network, and the files of commits instead of the work tree's:
// an edit that nobody has committed was not reviewed. Compiling again takes about 0.1 s for
// a full upgrade of the summit, three times that in the worst case.
func (c *console) reviewed(l *loaded, data []byte, merged bool) (string, error) {
	k, err := c.keptPlan(l, data)
	if err != nil {
		return "", err
	}
	found, err := k.sources()
	if err != nil || !merged {
		return found, err
	}
	in, err := k.origin()
	if err != nil {
		return "", err
	}
	return in + ", and " + found, nil
}

// A keptPlan is a plan in the Git repository that has the sources.
type keptPlan struct {
	worktree        // the project's folder
	file     string // as the operator gave it
	name     string // relative to the project's folder, for git
	plan     *plan.Plan
	data     []byte
	style    review.Terminal
}

// What makes a plan comparable.
const (
	inProject = "keep the plan in plans/ of a clone of the project"
	whole     = "check that the clone is complete (made without --filter) and undamaged: git fsck"
)

func (c *console) keptPlan(l *loaded, data []byte) (*keptPlan, error) {
	cannot := func(err error) error {
		return fail(exitRefused, inProject, "plan %q cannot be compared with its sources: %w", l.file, err)
	}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fail(exitRefused, "install git", "plan %q cannot be compared with its sources: %w: %w", l.file, errNoGit, err)
	}
	file, err := filepath.Abs(l.file)
	if err != nil {
		return nil, cannot(err)
	}
	// Links are followed so that the names are relative to each other.
	folder, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return nil, cannot(err)
	}
	from := folder
	if c.root != "" {
		if from, err = filepath.EvalSymlinks(c.root); err != nil {
			return nil, cannot(err)
		}
	}
	root, err := compiler.FindRoot(from)
	if err != nil {
		return nil, cannot(err)
	}
	name, err := filepath.Rel(root, filepath.Join(folder, filepath.Base(file)))
	if err != nil || !filepath.IsLocal(name) {
		return nil, cannot(fmt.Errorf("it is not in the project's folder %q", root))
	}
	return &keptPlan{worktree: worktree(root), file: l.file, name: "./" + filepath.ToSlash(name), plan: l.plan, data: data, style: review.Terminal{Width: c.width}}, nil
}

// safely are options of git. A clone that lacks objects must not fetch them: the guard
// needs no network, and its answer not to change with it. Nor must the operator's line ends
// or refs/replace get into what is compared.
var safely = []string{"--no-replace-objects", "-c", "protocol.allow=never", "-c", "core.autocrlf=false"}

// git returns the output of git in the project's folder.
func (k *keptPlan) git(args ...string) (string, error) {
	return k.worktree.git(append(slices.Clone(safely), args...)...)
}

// errNoGit reports that git cannot be asked here at all. The remedy is to make it work, and
// not to do without the review.
var errNoGit = errors.New("csu cannot use git here")

// unusable returns the refusal if git does not work in this folder, otherwise nil. The
// texts are those of git 2.39 (setup.c), which are in English whatever the locale.
func (k *keptPlan) unusable(err error) error {
	text, hint := err.Error(), ""
	switch {
	case strings.Contains(text, "dubious ownership"):
		text = "the clone belongs to another account, so git does not trust it"
		hint = fmt.Sprintf("use a clone of your own account; if this one is yours or you trust its owner, run git config --global --add safe.directory %s", shown(string(k.worktree)))
	case strings.Contains(text, "not a git repository"):
		text = "the project's folder is not a Git repository"
		hint = "run csu in a clone of the project, made with git clone; a copy of its files does not show what was reviewed"
	default:
		return nil
	}
	return k.refused(hint, "cannot be compared with its sources: %w: %s", errNoGit, text)
}

// refused returns a refusal of the plan.
func (k *keptPlan) refused(hint, format string, args ...any) error {
	return fail(exitRefused, hint, "plan %q "+format, append([]any{k.file}, args...)...)
}

// commit returns the commit of a revision; "" if there is none.
func (k *keptPlan) commit(revision string) (string, error) { return k.object(revision + "^{commit}") }

// object returns the id of an object; "" if there is none of that name.
func (k *keptPlan) object(name string) (string, error) {
	out, err := k.git("rev-parse", "--verify", "--quiet", name)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", nil // git says nothing more
	}
	if err != nil {
		return "", cmp.Or(k.unusable(err), k.refused(inProject, "cannot be compared with its sources: git: %w", err))
	}
	return strings.TrimSpace(out), nil
}

// in reports whether a revision has the plan's file, and with the plan's bytes.
func (k *keptPlan) in(revision string) (has, same bool, err error) {
	id, err := k.object(revision + ":" + k.name)
	if err != nil || id == "" {
		return false, false, err
	}
	same, err = k.holds(revision, map[string]string{k.name: string(k.data)})
	return true, same, err
}

// sources checks that the sources give the plan: those of HEAD or, if they have moved
// on since, those of the commit that brought the plan.
func (k *keptPlan) sources() (found string, err error) {
	head, err := k.commit("HEAD")
	if err == nil && head == "" {
		err = k.refused("commit the request and the plan", "cannot be compared with its sources: the repository has no commit")
	}
	if err != nil {
		return "", err
	}
	commits := []string{head}
	_, same, err := k.in(head)
	if err != nil {
		return "", err
	}
	if same {
		// The merge first: its sources are those that were checked. Then the commit on the
		// branch that was merged.
		for _, way := range [][]string{{"--first-parent"}, nil} {
			out, err := k.git(slices.Concat([]string{"log", "-1", "--format=%H"}, way, []string{head, "--", k.name})...)
			if err != nil {
				return "", k.refused(whole, "cannot be compared with its sources: git: %w", err)
			}
			if commit := strings.TrimSpace(out); !slices.Contains(commits, commit) {
				commits = append(commits, commit)
			}
		}
	}
	for _, commit := range commits {
		if err = k.given(commit); err == nil {
			return fmt.Sprintf("the sources of commit %.12s give the plan", commit), nil
		}
	}
	if same && k.shallow() {
		return "", k.refused("run git fetch --unshallow", "is not what the sources give now, and this shallow clone may lack the commit that brought it (%w)", err)
	}
	return "", err
}

// given checks that the sources of a commit give the plan's bytes.
func (k *keptPlan) given(commit string) error {
	dir, err := k.unpacked(commit)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	want, _, err := compiler.Compile(compiler.Request{Root: dir, Site: k.plan.Site, Type: k.plan.Type})
	if err != nil {
		return k.incomparable(commit, "correct the sources, compile the plan again and commit both", &compileError{err})
	}
	data, err := plan.Encode(want)
	if err != nil {
		return err
	}
	if bytes.Equal(data, k.data) {
		return nil
	}
	return k.differs(commit, want)
}

// A compileError reports sources from which this csu compiles no plan.
type compileError struct{ error }

func (e *compileError) Unwrap() error { return e.error }

// incomparable reports why the plan cannot be compared with the sources of a commit.
func (k *keptPlan) incomparable(commit, hint string, err error) error {
	return k.refused(hint, "cannot be compared with the sources of commit %.12s: %w", commit, err)
}

// unpacked returns a temporary folder with the sources of a commit. It reads Git's objects
// and not git archive, which leaves out what attributes name, such as export-ignore in
// .git/info/attributes, which nobody reviews.
func (k *keptPlan) unpacked(commit string) (dir string, err error) {
	files, err := k.cueFiles(commit)
	if err == nil && len(files) == 0 {
		err = errors.New("it has no file *.cue")
	}
	var text map[string][]byte
	if err == nil {
		text, err = k.contents(files)
	}
	if err != nil {
		return "", k.incomparable(commit, "check that the commit has the sources; "+whole, err)
	}
	dir, err = os.MkdirTemp("", "csu-sources-")
	if err == nil {
		err = unpack(dir, files, text)
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", k.incomparable(commit, "check that the sources are plain files, and that csu can write to TMPDIR", err)
	}
	return dir, nil
}

// cueFiles returns the CUE files of a commit, below the project's folder.
func (k *keptPlan) cueFiles(commit string) ([]gitobject.File, error) {
	out, err := k.git("ls-tree", "-r", "-z", commit)
	if err != nil {
		return nil, fmt.Errorf("git: %w", err)
	}
	return slices.DeleteFunc(gitobject.Files([]byte(out)), func(f gitobject.File) bool { return !strings.HasSuffix(f.Name, ".cue") }), nil
}

// contents returns what is in the files, by object.
func (k *keptPlan) contents(files []gitobject.File) (map[string][]byte, error) {
	var ask strings.Builder
	for _, f := range files {
		fmt.Fprintln(&ask, f.Object)
	}
	out, err := k.worktree.gitWith(strings.NewReader(ask.String()), append(slices.Clone(safely), "cat-file", "--batch")...)
	if err != nil {
		return nil, fmt.Errorf("git: %w", err)
	}
	text := map[string][]byte{}
	err = gitobject.Contents([]byte(out), func(object string, data []byte) { text[object] = data })
	return text, err
}

// unpack writes files into a folder.
func unpack(dir string, files []gitobject.File, text map[string][]byte) error {
	for _, f := range files {
		if !f.Plain {
			return fmt.Errorf("%q is not a plain file", f.Name)
		}
		name, err := filepath.Localize(f.Name)
		if err != nil {
			return fmt.Errorf("%q: %w", f.Name, err)
		}
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return fmt.Errorf("write the sources: %w", err)
		}
		if err := os.WriteFile(name, text[f.Object], 0o600); err != nil {
			return fmt.Errorf("write the sources: %w", err)
		}
	}
	return nil
}

// differs describes how the plan differs from the one that the sources of a commit give.
func (k *keptPlan) differs(commit string, want *plan.Plan) error {
	comparison, err := review.Compare(want, k.plan)
	if err != nil {
		return err
	}
	var all strings.Builder
	if err := comparison.Text(&all, k.style); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	const most = 16
	lines := strings.SplitAfter(all.String(), "\n")
	d := &differenceError{lines: strings.Join(lines[:min(most, len(lines))], "")}
	if len(lines) > most {
		d.lines += "…\n"
	}
	d.text = fmt.Sprintf("is not what the sources of commit %.12s give: %s", commit, comparison.Count())
	return k.refused(fmt.Sprintf("compile the plan again, commit it with its sources and have it reviewed; csu plan check %s shows every difference", k.file), "%w", d)
}

// A differenceError reports a plan that is not what the sources give.
type differenceError struct {
	text  string
	lines string // the first of the comparison
}

func (e *differenceError) Error() string { return e.text }

// origin checks that origin's default branch, as it was last fetched, has the plan.
func (k *keptPlan) origin() (found string, err error) {
	branch, err := k.defaultBranch()
	if err != nil {
		return "", err
	}
	fetched := "no fetch since the clone"
	if name, err := k.git("rev-parse", "--git-path", "FETCH_HEAD"); err == nil {
		if name = strings.TrimSpace(name); !filepath.IsAbs(name) {
			name = k.path(name)
		}
		if info, err := os.Stat(name); err == nil {
			fetched = "last fetched " + utc(info.ModTime())
		}
	}
	has, same, err := k.in("refs/remotes/" + branch)
	switch {
	case err != nil:
		return "", err
	case !has:
		return "", k.refused("have the plan reviewed and merged, then run git fetch", "is not in %s (%s)", branch, fetched)
	case !same:
		return "", k.refused(fmt.Sprintf("run git pull; csu plan diff %s --against %s shows the differences", k.file, branch), "is not the one in %s (%s)", branch, fetched)
	}
	commit, err := k.commit("refs/remotes/" + branch)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s has the plan at commit %.12s (%s)", branch, commit, fetched), nil
}

// branchHead returns the name of origin's default branch here, and its commit as it was
// last fetched.
func (k *keptPlan) branchHead() (branch, commit string, err error) {
	if branch, err = k.defaultBranch(); err != nil {
		return "", "", err
	}
	commit, err = k.commit("refs/remotes/" + branch)
	return branch, commit, err
}

// defaultBranch returns the name of origin's default branch here, such as origin/main.
func (k *keptPlan) defaultBranch() (string, error) {
	if name, err := k.git("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"); err == nil {
		name = strings.TrimSpace(name)
		if commit, err := k.commit("refs/remotes/" + name); err != nil || commit != "" {
			return name, err
		}
	}
	for _, name := range []string{"origin/main", "origin/master"} {
		if commit, err := k.commit("refs/remotes/" + name); err != nil || commit != "" {
			return name, err
		}
	}
	if _, err := k.git("remote", "get-url", "origin"); err != nil {
		return "", k.refused("clone the project's shared repository, or add it with git remote add origin URL and run git fetch origin",
			"cannot be found in origin's default branch: the repository has no remote \"origin\"")
	}
	return "", k.refused("run git fetch origin '+refs/heads/*:refs/remotes/origin/*', then git remote set-head origin --auto",
		"cannot be found in origin's default branch: neither origin/HEAD nor origin/main nor origin/master was fetched")
}
