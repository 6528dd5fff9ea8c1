package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/compiler/review"
	"github.com/lsst-ts/csu/executor/plan"
)

type reviewCommand struct {
	Base string `arg:"" help:"The Git revision to compare with, such as origin/main; what it has gained since is not counted." placeholder:"REV"`
}

func (reviewCommand) Help() string {
	return `Reviews every plan that differs from a Git revision, in Markdown, as the comment on a pull request: first whether each plan follows the rules and the sources compile to it, and every dangerous change; then all changes by meaning; then the runbooks. A new plan is compared with the last plan of its site and type that was carried out or, if none was, committed; what differs beyond what the two requests ask for comes first. Exits with 1 if a check fails, a request has no plan, or a dangerous change does not fit into the first 60 lines.

Examples:

  csu plan review origin/main | less`
}

func (cmd *reviewCommand) Run(c *console) error {
	root, err := c.findRoot()
	if err != nil {
		return err
	}
	r := &reviewer{console: c, worktree: worktree(root)}
	if r.base, err = r.mergeBase(cmd.Base); err != nil {
		return err
	}
	out := review.PullRequest{Base: cmd.Base}
	if out.Requests, err = r.requests(); err != nil {
		return err
	}
	if out.Plans, err = r.plans(); err != nil {
		return err
	}
	if err := r.approvals(&out); err != nil {
		return err
	}
	comment, reasons := out.Markdown()
	if _, err := fmt.Fprint(c.out, comment); err != nil {
		return fmt.Errorf("write the review: %w", err)
	}
	if len(reasons) > 0 {
		return fail(exitFailed, "", "the review fails: %s", strings.Join(reasons, "; "))
	}
	return nil
}

// A reviewer finds what a pull request does to the plans.
type reviewer struct {
	*console
	worktree
	base string // commit
}

// requests returns the requests whose plan is not in plans/.
func (r *reviewer) requests() ([]review.Finding, error) {
	root := string(r.worktree)
	files, err := filepath.Glob(filepath.Join(root, "plans", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list the plans: %w", err)
	}
	var kept [][]byte
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		kept = append(kept, data)
	}
	sites, err := compiler.Sites(root)
	if err != nil {
		return nil, err
	}
	var out []review.Finding
	for _, site := range sites {
		types, err := compiler.Requested(root, site)
		if err != nil {
			out = append(out, review.Finding{Subject: site, Text: "its requests cannot be read", Details: err.Error()})
		}
		for _, typ := range types {
			subject := fmt.Sprintf("%s, %s", site, typ)
			p, _, err := compiler.Compile(compiler.Request{Root: root, Site: site, Type: typ})
			if err != nil {
				out = append(out, review.Finding{Subject: subject, Text: "the sources give no plan", Details: err.Error()})
				continue
			}
			data, err := plan.Encode(p)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(kept, func(k []byte) bool { return bytes.Equal(k, data) }) {
				out = append(out, review.Finding{Subject: subject, Text: fmt.Sprintf("the plan that the sources give is not in plans/: `csu plan compile --site %s --type %s`", site, typ)})
			}
		}
	}
	return out, nil
}

// plans returns the plans that differ from the base.
func (r *reviewer) plans() ([]review.ChangedPlan, error) {
	names, err := r.changed(r.base, "plans/*.json")
	if err != nil {
		return nil, err
	}
	before, err := r.before()
	if err != nil {
		return nil, err
	}
	var out []review.ChangedPlan
	for _, name := range names {
		p := review.ChangedPlan{File: name, Old: map[string]*plan.Plan{}}
		if _, err := os.Lstat(r.path(name)); errors.Is(err, fs.ErrNotExist) {
			p.Removed = true
			out = append(out, p)
			continue
		}
		p.Fails = r.check(name)
		p.New, _, err = plan.ReadFile(r.path(name))
		if err != nil {
			p.New = nil // its check says why
		}
		old, was := before[name]
		p.Added = !was
		switch {
		case old.err != nil:
			p.Fails = strings.TrimSpace(fmt.Sprintf("%s\nit cannot be compared with %.12s: %v", p.Fails, r.base, old.err))
		case was:
			p.Old[name] = old.plan
		case p.New != nil:
			for file, b := range before {
				if b.err == nil && b.plan.Site == p.New.Site && b.plan.Type == p.New.Type {
					p.Old[file] = b.plan
				}
			}
			if p.Last, p.LastWhy, err = r.predecessor(r.base, p.Old); err != nil {
				return nil, err
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// check returns what csu plan check prints about a plan that does not pass; "" if it
// passes.
func (r *reviewer) check(name string) string {
	var said bytes.Buffer
	c := &console{out: &said, err: &said, width: r.width, root: string(r.worktree)}
	err := (&checkCommand{Plan: shown(r.path(name))}).Run(c)
	if err == nil {
		return ""
	}
	c.report(err)
	return said.String()
}

// approvals adds the state of the approvals, by the signers' files of the base. A wrong
// signers' file fails the check, and so does one that changes together with a plan: none
// of its keys would count.
func (r *reviewer) approvals(out *review.PullRequest) error {
	lists, err := r.changed(r.base, "sites/*/allowed_signers")
	if err != nil {
		return err
	}
	for _, name := range lists {
		text, err := os.ReadFile(r.path(name))
		if err == nil {
			_, err = approval.ParseSigners(name, string(text))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			out.Signers = append(out.Signers, review.Finding{Subject: name, Text: "csu refuses this list of signers", Details: err.Error()})
		}
	}
	files, err := r.changed(r.base, "plans/*"+approval.Extension+"*")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range out.Plans {
		p := &out.Plans[i]
		seen[p.File] = true
		if p.New == nil || p.New.Facts.Approvals == nil {
			continue
		}
		p.Approvals = r.approvalsOf(p.File, p.New)
		if list := signersFile(p.New.Site); slices.Contains(lists, list) {
			p.Fails = strings.TrimSpace(fmt.Sprintf("%s\n%s changes together with %s, so none of its keys would count for the plan: change it in a pull request of its own", p.Fails, p.File, list))
		}
	}
	for _, name := range files {
		file, isApproval := strings.CutSuffix(filepath.ToSlash(filepath.Dir(name)), approval.Dir(""))
		if !isApproval || seen[file] {
			continue
		}
		seen[file] = true
		text := "its approvals change, but it asks for none"
		if p, _, err := plan.ReadFile(r.path(file)); err != nil {
			text = "its approvals change, but it cannot be read: " + err.Error()
		} else if p.Facts.Approvals != nil {
			text = r.approvalsOf(file, p)
		}
		out.Approved = append(out.Approved, review.Finding{Subject: file, Text: text})
	}
	return nil
}

// approvalsOf says who has approved a plan, by the signers' file of the base.
func (r *reviewer) approvalsOf(file string, p *plan.Plan) string {
	a, err := func() (*approvals, error) {
		data, err := plan.Encode(p)
		if err != nil {
			return nil, err
		}
		digest, err := plan.Digest(p)
		if err != nil {
			return nil, err
		}
		k := &keptPlan{worktree: r.worktree, file: file, name: "./" + file, plan: p, data: data}
		return k.approvalsBy(r.base, fmt.Sprintf("commit %.12s", r.base), p.Facts.Approvals, digest, time.Now())
	}()
	if err != nil {
		return "approvals cannot be verified: " + err.Error()
	}
	var parts []string
	for _, c := range a.Counted {
		parts = append(parts, fmt.Sprintf("approved as %s by %s", c.Role, c.By))
	}
	if len(a.Missing) > 0 {
		parts = append(parts, "approvals missing: "+approval.MissingText(a.Missing))
	}
	_, refused := a.lines()
	return strings.Join(append(parts, refused...), "; ")
}

// A past plan is a plan at the base, or why it cannot be read.
type past struct {
	plan *plan.Plan
	err  error
}

// before returns the plans at the base, by file.
func (r *reviewer) before() (map[string]past, error) {
	names, err := r.at(r.base, "plans/")
	if err != nil {
		return nil, err
	}
	out := map[string]past{}
	for _, name := range names {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		data, err := r.git("show", r.base+":./"+name)
		if err != nil {
			return nil, fmt.Errorf("read %q at %.12s: git: %w", name, r.base, err)
		}
		p, err := plan.Decode(r.base[:12]+":"+name, []byte(data))
		out[name] = past{p, err}
	}
	return out, nil
}

// A worktree is the project's folder in a Git repository. Names of files are relative
// to it.
type worktree string

func (r worktree) path(name string) string {
	return filepath.Join(string(r), filepath.FromSlash(name))
}

// git returns the output of git in the folder.
func (r worktree) git(args ...string) (string, error) { return r.gitWith(nil, args...) }

// gitWith is git with an input; nil for none.
func (r worktree) gitWith(input io.Reader, args ...string) (string, error) {
	git := exec.Command("git", args...)
	git.Dir, git.Stdin = string(r), input
	git.Env = append(os.Environ(), "LC_ALL=C") // csu reads some of its messages
	out, err := git.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// list returns the output of git as names that end with NUL.
func (r worktree) list(args ...string) ([]string, error) {
	out, err := r.git(args...)
	if err != nil {
		return nil, fmt.Errorf("list the plans: git %s: %w", args[0], err)
	}
	return slices.DeleteFunc(strings.Split(out, "\x00"), func(s string) bool { return s == "" }), nil
}

// mergeBase returns the commit from which HEAD and a revision have diverged.
func (r worktree) mergeBase(revision string) (string, error) {
	if strings.HasPrefix(revision, "-") {
		return "", fail(exitInput, "", "compare with revision %q: not a revision", revision)
	}
	out, err := r.git("merge-base", revision, "HEAD")
	if err != nil {
		return "", fail(exitInput, "fetch the revision with its history", "compare with revision %q: git: %w", revision, err)
	}
	return strings.TrimSpace(out), nil
}

// changed returns the files of a pattern that are not as they are at a commit.
func (r worktree) changed(commit, pattern string) ([]string, error) {
	known, err := r.list("diff", "--name-only", "--no-renames", "--relative", "-z", commit, "--", pattern)
	if err != nil {
		return nil, err
	}
	others, err := r.list("ls-files", "--others", "--exclude-standard", "-z", "--", pattern)
	if err != nil {
		return nil, err
	}
	all := append(known, others...)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// at returns the files of a folder at a commit.
func (r worktree) at(commit, folder string) ([]string, error) {
	return r.list("ls-tree", "-r", "--name-only", "-z", commit, "--", folder)
}
