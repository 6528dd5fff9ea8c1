package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/compiler/gitobject"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
)

// approvals are what csu knows of a plan's approvals.
type approvals struct {
	*approval.Tally
	need    *plan.Approvals
	signers *approval.Signers
	commit  string // of origin's default branch, which has the signers' file
	at      time.Time
}

// signersFile is where a site's signers are, relative to the project's folder.
func signersFile(site string) string { return "sites/" + site + "/allowed_signers" }

// approvals counts the approvals beside the plan by the signers' file in origin's default
// branch, as it was last fetched: a pull request cannot bring the keys that approve it. It
// uses no network.
func (k *keptPlan) approvals(need *plan.Approvals, digest string, at time.Time) (*approvals, error) {
	branch, commit, err := k.branchHead()
	if err != nil {
		return nil, err
	}
	return k.approvalsBy(commit, branch, need, digest, at)
}

// approvalsBy counts the approvals beside the plan by the signers' file of a commit,
// which errors call name.
func (k *keptPlan) approvalsBy(commit, name string, need *plan.Approvals, digest string, at time.Time) (*approvals, error) {
	signers, err := k.signers(commit, name)
	if err != nil {
		return nil, err
	}
	void, err := k.signersApart(commit)
	if err != nil {
		return nil, err
	}
	authors, err := k.authors(commit)
	if err != nil {
		return nil, err
	}
	tally, err := approval.Count(approval.Question{
		Plan: k.plan, PlanFile: k.file, Digest: digest, Need: need, Files: approval.Read(approval.Dir(k.path(k.name))), Signers: signers, Authors: authors, At: at, Void: void,
	})
	if err != nil {
		return nil, err
	}
	return &approvals{tally, need, signers, commit, at}, nil
}

// signers reads the site's signers' file at a commit.
func (k *keptPlan) signers(commit, name string) (*approval.Signers, error) {
	file := signersFile(k.plan.Site)
	id, err := k.object(commit + ":./" + file)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, k.refused(fmt.Sprintf("have %s reviewed and merged, in a pull request without a plan, then run git fetch; the README says what it holds", file),
			"needs approvals, but %s has no file %s", name, file)
	}
	text, err := k.git("cat-file", "blob", id)
	if err != nil {
		return nil, k.refused(whole, "cannot be compared with %s at %s: git: %w", file, name, err)
	}
	signers, err := approval.ParseSigners(fmt.Sprintf("%s at %.12s", file, commit), text)
	if err != nil {
		return nil, fail(exitRefused, exit.HintOf(err)+"; have the line corrected in a pull request of its own and merged, then run git fetch", "%w", err)
	}
	return signers, nil
}

// signersApart returns why no key of the signers' file counts for the plan: the commit
// that brought the plan into the branch also was the last to change the file, so that new
// keys would approve the plan that brought them. "" if they count. The
// project's first commit is no pull request.
func (k *keptPlan) signersApart(commit string) (void string, err error) {
	if _, same, err := k.in(commit); err != nil || !same {
		return "", err // another commit will bring it
	}
	file := signersFile(k.plan.Site)
	signers, _, err := k.last(commit, file)
	if err != nil {
		return "", err
	}
	by, before, err := k.last(commit, k.name)
	if err != nil || signers != by {
		return "", err
	}
	switch {
	case before != "":
	case k.shallow():
		return "", k.refused("run git fetch --unshallow", "came with the same commit %.12s as %s, as far as this shallow clone shows", by, file)
	default:
		return "", nil
	}
	return fmt.Sprintf("%s was changed in the same pull request as the plan (commit %.12s); have it changed again, if only in a comment, in a pull request of its own", file, by), nil
}

// last returns the last of a branch's commits that changed one of files, and its first parent; ""
// for what there is not. A pull request is one commit of the branch's first parents if it
// was merged or squashed. In a shallow clone the parent may be missing.
func (k *keptPlan) last(commit string, names ...string) (by, before string, err error) {
	out, err := k.git(append([]string{"log", "-1", "--first-parent", "--format=%H %P", commit, "--"}, names...)...)
	if err != nil {
		return "", "", k.refused(whole, "cannot be compared with its history: git: %w", err)
	}
	commits := append(strings.Fields(out), "", "")
	return commits[0], commits[1], nil
}

// wasTip reports whether a commit is one that a branch itself has had: one of its first
// parents, and not only part of what was merged into it.
func (k *keptPlan) wasTip(branch, commit string) (bool, error) {
	all, err := k.words("rev-list", "--first-parent", "refs/remotes/"+branch)
	return slices.Contains(all, commit), err
}

// date returns when a commit was made, as its committer's machine had it.
func (k *keptPlan) date(commit string) (time.Time, error) {
	out, err := k.words("log", "-1", "--format=%ct", commit)
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(strings.Join(out, ""), 10, 64)
	if err != nil {
		return time.Time{}, k.refused(whole, "cannot be compared with its history: commit %.12s has no date: %w", commit, err)
	}
	return time.Unix(seconds, 0), nil
}

// words returns the words of git's output about the history.
func (k *keptPlan) words(args ...string) ([]string, error) {
	out, err := k.git(args...)
	if err != nil {
		return nil, k.refused(whole, "cannot be compared with its history: git: %w", err)
	}
	return strings.Fields(out), nil
}

// holds reports whether a revision has files with exactly these bytes.
func (k *keptPlan) holds(revision string, files map[string]string) (bool, error) {
	for name, want := range files {
		id, err := k.object(revision + ":" + name)
		if err != nil || id == "" {
			return false, err
		}
		data, err := k.git("cat-file", "blob", id)
		if err != nil {
			return false, k.refused(whole, "cannot be read at %s: git: %w", revision, err)
		}
		if data != want {
			return false, nil
		}
	}
	return true, nil
}

// shallow reports whether the clone lacks a part of the history.
func (k *keptPlan) shallow() bool {
	out, _ := k.git("rev-parse", "--is-shallow-repository")
	return strings.TrimSpace(out) == "true"
}

// authors returns the e-mail addresses of the authors of the plan's commits, in HEAD and in
// a commit.
func (k *keptPlan) authors(commit string) ([]string, error) {
	out, err := k.git("log", "--no-merges", "--format=%ae", "HEAD", commit, "--", k.name)
	if err != nil {
		return nil, k.refused(whole, "cannot be searched for its authors: git: %w", err)
	}
	all := strings.Fields(out)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// needed returns who must approve the plan, by what the plan says and by origin's default
// branch, as it was last fetched.
func (k *keptPlan) needed() (*plan.Approvals, error) {
	_, commit, err := k.branchHead()
	if err != nil {
		return nil, err
	}
	return k.neededBy(commit)
}

// neededBy returns who must approve the plan by a commit of the branch: in each role as
// many as the plan, the commit's rule or the rule before the plan came asks for, whichever
// are most. So a pull request does not relax the rule for the plan that it brings, and a
// rule that has become stricter holds for the plans that are there. If a rule cannot be
// read, nobody knows who must approve.
func (k *keptPlan) neededBy(commit string) (*plan.Approvals, error) {
	need := k.plan.Facts.Approvals
	commits := []string{commit}
	_, same, err := k.in(commit)
	if err != nil {
		return nil, err
	}
	if same {
		_, before, err := k.last(commit, k.name)
		if err != nil {
			return nil, err
		}
		switch {
		case before != "":
			commits = append(commits, before)
		case k.shallow():
			return nil, k.refused("run git fetch --unshallow", "may need approvals that this shallow clone does not show: it lacks the rule before the plan came")
		}
	}
	for _, c := range commits {
		rule, err := k.rule(c)
		if err != nil {
			return nil, err
		}
		need = approval.Stricter(need, rule)
	}
	return need, nil
}

// neededAtMerge returns who had to approve the plan when it came into origin's default
// branch; by the branch of today if it is not there.
func (k *keptPlan) neededAtMerge() (*plan.Approvals, error) {
	branch, err := k.defaultBranch()
	if err != nil {
		return nil, err
	}
	by, _, err := k.last("refs/remotes/"+branch, k.name)
	if err != nil {
		return nil, err
	}
	if by == "" {
		return k.needed()
	}
	return k.neededBy(by)
}

// rule returns the site's rule at a commit; nil if there is none.
func (k *keptPlan) rule(commit string) (*plan.Approvals, error) {
	files, err := k.cueFiles(commit)
	if err != nil {
		return nil, k.incomparable(commit, whole, err)
	}
	if !slices.ContainsFunc(files, func(f gitobject.File) bool { return strings.HasPrefix(f.Name, "sites/"+k.plan.Site+"/") }) {
		return nil, nil
	}
	dir, err := k.unpacked(commit)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	rule, err := compiler.Approvals(dir, k.plan.Site, k.plan.Type)
	if err != nil {
		return nil, k.refused(fmt.Sprintf("correct the approvals of sites/%s in a pull request of its own, then run git fetch", k.plan.Site),
			"may need approvals, but the rule of commit %.12s cannot be read: %w", commit, err)
	}
	return rule, nil
}

// lacking reports a plan that lacks approvals as an error with a remedy.
func (a *approvals) lacking(file string) error {
	if len(a.Missing) == 0 {
		return nil
	}
	return fail(exitRefused, fmt.Sprintf("have them run csu approve %s --role ROLE and commit %s; %s says who may", file, approval.Dir(file), a.signers.Name),
		"plan %q is not approved; missing: %s", file, approval.MissingText(a.Missing))
}

// lines says who has approved, and what does not count.
func (a *approvals) lines() (counted, refused []string) {
	for _, c := range a.Counted {
		counted = append(counted, fmt.Sprintf("%s: %s, %s, key %s", c.Role, c.By, utc(c.Time), c.Key))
	}
	for _, r := range a.Refused {
		refused = append(refused, fmt.Sprintf("%s does not count: %s", r.File, r.Reason))
	}
	return counted, refused
}

// record is what the journal records.
func (a *approvals) record(site string) *journal.Approved {
	out := &journal.Approved{
		Time:    a.at.UTC().Truncate(time.Second),
		Signers: journal.Signers{File: signersFile(site), Commit: a.commit, Digest: a.signers.Digest()},
		By:      []journal.Approval{}, Modules: modules(),
	}
	for _, c := range a.Counted {
		out.By = append(out.By, journal.Approval{Role: c.Role, By: c.By, Key: c.Key, Time: c.Time, Digest: c.Digest})
	}
	for _, n := range a.Missing {
		out.Missing = append(out.Missing, approval.MissingText([]plan.Need{n}))
	}
	return out
}

// modules is the SHA-256 of the paths, versions and sums of the modules that csu was
// built from.
func modules() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	hash := sha256.New()
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Replace != nil {
			m = m.Replace
		}
		fmt.Fprintln(hash, m.Path, m.Version, m.Sum)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// An emergency is a run without approvals that are missing.
type emergency struct {
	reason   string // "" for none
	approver string // who owes an approval
}

// approved checks that the plan has the approvals that it needs. A rehearsal may come
// before them.
func (g guard) approved(c *console, l *loaded, data []byte) error {
	if !g.approvals {
		return nil
	}
	k, err := c.keptPlan(l, data)
	var need *plan.Approvals
	if err == nil {
		need, err = k.needed()
	}
	var a *approvals
	switch {
	case err == nil && need == nil, err != nil && l.siteMap != nil && l.plan.Facts.Approvals == nil:
		return nil // a rehearsal needs no repository
	case err == nil:
		a, err = k.approvals(need, l.digest, time.Now())
	}
	if err == nil {
		l.approvals, l.approved = a, a.record(l.plan.Site)
		_, refused := a.lines()
		for _, r := range refused {
			line(c.err, "%s: %s", approval.Dir(l.file), r)
		}
		err = a.lacking(l.file)
	}
	switch {
	case err == nil && g.emergency.reason != "":
		fmt.Fprintln(c.err, "NOTE: --emergency is not needed: the plan has its approvals.")
		return nil
	case err == nil:
		return nil
	case g.emergency.reason != "" && a != nil:
		return g.emergency.owe(c, l, err)
	case l.siteMap != nil:
		fmt.Fprintln(c.err, fit(c.err, fmt.Sprintf("NOTE: a real run would be refused: %v", err)))
		return nil
	}
	if a != nil {
		err = fail(exitRefused, exit.HintOf(err)+"; in an emergency, give --emergency REASON --approver NAME, who then owes an approval", "%w", err)
	}
	g.canForce = false // --unreviewed is about something else
	return g.unlessBegun(c, l, err)
}

// owe lets a run begin without approvals, one of which the approver owes. A debt that
// nobody could pay would be none.
func (e emergency) owe(c *console, l *loaded, lacking error) error {
	signers, able := l.approvals.signers, l.approvals.Able
	hint := "give one of " + strings.Join(able, ", ")
	switch {
	case len(able) == 0:
		return fail(exitRefused, "have a person with a missing role added to it in a pull request of its own, then run git fetch", "--emergency: %s has nobody who could give a missing approval later", signers.Name)
	case e.approver == "":
		return fail(exitInput, "give --approver NAME, one of "+strings.Join(able, ", "), "--emergency: who owes the approval is missing")
	case !slices.Contains(signers.People(), e.approver):
		return fail(exitInput, hint, "--approver %q: %s has no such person", e.approver, signers.Name)
	case slices.ContainsFunc(l.approvals.Counted, func(a approval.Approval) bool { return a.By == e.approver }):
		return fail(exitInput, hint, "--approver %q: %s has approved already, and nobody counts twice", e.approver, e.approver)
	case !slices.Contains(able, e.approver):
		return fail(exitInput, hint, "--approver %q: %s has no key for them that may give a missing approval now: %s", e.approver, signers.Name, approval.MissingText(l.approvals.Missing))
	}
	l.approved.Emergency, l.approved.Owes = e.reason, e.approver
	c.warn(lacking, fmt.Sprintf("it is carried out in an emergency: %s; %s owes an approval", e.reason, e.approver))
	return nil
}

// announcement is what the site's channel reads of an emergency; "" if there is none.
func (l *loaded) emergencyText(operator string) string {
	a := l.approved
	if a == nil || a.Emergency == "" {
		return ""
	}
	return fmt.Sprintf("Emergency: %s begins the %s upgrade of %s (%s) without all approvals; missing: %s. Reason: %s. %s owes an approval.",
		operator, l.plan.Type, l.plan.Site, filepath.Base(l.file), strings.Join(a.Missing, ", "), a.Emergency, a.Owes)
}
