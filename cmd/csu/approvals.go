package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/approval"
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
	branch, err := k.defaultBranch()
	if err != nil {
		return nil, err
	}
	commit, err := k.commit("refs/remotes/" + branch)
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
	files, err := approval.Read(approval.Dir(k.path(k.name)))
	if err != nil {
		return nil, err
	}
	authors, err := k.authors(commit)
	if err != nil {
		return nil, err
	}
	tally, err := approval.Count(approval.Question{
		Plan: k.plan, PlanFile: k.file, Digest: digest, Need: need, Files: files, Signers: signers, Authors: authors, At: at, Void: void,
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
	return approval.ParseSigners(fmt.Sprintf("%s at %.12s", file, commit), text)
}

// signersApart returns why no key of the signers' file counts for the plan: the commit
// that brought the plan into the branch also was the last to change the file, so that new
// keys would approve the plan that brought them. "" if they count. A pull request is one
// commit of the branch's first parents if it was merged or squashed. The project's first
// commit is no pull request.
func (k *keptPlan) signersApart(commit string) (void string, err error) {
	last := func(name string) (string, error) {
		out, err := k.git("log", "-1", "--first-parent", "--format=%H %P", commit, "--", name)
		if err != nil {
			return "", k.refused(whole, "cannot be compared with its signers: git: %w", err)
		}
		return strings.TrimSpace(out), nil
	}
	if _, same, err := k.in(commit); err != nil || !same {
		return "", err // another commit will bring it
	}
	file := signersFile(k.plan.Site)
	signers, err := last(file)
	if err != nil {
		return "", err
	}
	brought, err := last(k.name)
	if err != nil || signers != brought {
		return "", err
	}
	shallow, _ := k.git("rev-parse", "--is-shallow-repository")
	by, parents, _ := strings.Cut(brought, " ")
	switch {
	case strings.TrimSpace(shallow) == "true":
		return "", k.refused("run git fetch --unshallow", "came with the same commit %.12s as %s, as far as this shallow clone shows", by, file)
	case parents == "":
		return "", nil
	}
	return fmt.Sprintf("%s was changed in the same pull request as the plan (commit %.12s); have it changed again, if only in a comment, in a pull request of its own", file, by), nil
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

// needed returns who must approve the plan. The rule of an unmerged plan is that of
// origin's default branch, if there is one: a plan cannot leave it out.
func (k *keptPlan) needed() *plan.Approvals {
	need := k.plan.Facts.Approvals
	branch, err := k.defaultBranch()
	if err != nil {
		return need
	}
	if _, same, err := k.in("refs/remotes/" + branch); err != nil || same {
		return need
	}
	commit, err := k.commit("refs/remotes/" + branch)
	if err != nil {
		return need
	}
	dir, err := k.unpacked(commit)
	if err != nil {
		return need
	}
	defer os.RemoveAll(dir)
	if rule, err := compiler.Approvals(dir, k.plan.Site, k.plan.Type); err == nil && rule != nil {
		return rule
	}
	return need
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
	need := l.plan.Facts.Approvals
	k, err := c.keptPlan(l, data)
	if err == nil {
		need = k.needed()
	}
	if need == nil {
		return nil
	}
	var a *approvals
	if err == nil {
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

// owe lets a run begin without approvals, one of which the approver owes.
func (e emergency) owe(c *console, l *loaded, lacking error) error {
	people := l.approvals.signers.People()
	switch {
	case e.approver == "":
		return fail(exitInput, "give --approver NAME, one of "+strings.Join(people, ", "), "--emergency: who owes the approval is missing")
	case !slices.Contains(people, e.approver):
		return fail(exitInput, "give one of "+strings.Join(people, ", "), "--approver %q: %s has no such person%s", e.approver, l.approvals.signers.Name, plan.DidYouMean(e.approver, people))
	case slices.ContainsFunc(l.approvals.Counted, func(a approval.Approval) bool { return a.By == e.approver }):
		return fail(exitInput, "name another approver", "--approver %q: %s has approved already, and nobody counts twice", e.approver, e.approver)
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
