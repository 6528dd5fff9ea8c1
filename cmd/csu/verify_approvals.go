package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
)

// approvals verifies who approved the plan.
func (v *verification) approvals() {
	v.paragraph("\nApprovals")
	var recorded *journal.Approved
	if v.begun != nil {
		recorded = v.begun.Approved
	}
	if v.kept == nil {
		v.says(failed, "csu cannot verify them without the project's repository")
		return
	}
	var a *approvals
	var err error
	if recorded != nil {
		a, err = v.recorded(recorded)
	} else {
		a, err = v.unrecorded()
	}
	if err != nil {
		v.says(failed, "%v", err)
		return
	}
	if a == nil {
		return
	}
	v.counted = a
	v.tally(a, recorded)
	if recorded == nil && len(a.Missing) > 0 {
		v.says(failed, "missing: %s", approval.MissingText(a.Missing))
	}
	if recorded == nil {
		return
	}
	if err := v.removed(a, recorded); err != nil {
		v.says(failed, "%v", err)
	}
	v.lacked(a, recorded)
}

// unrecorded counts the approvals of a plan that was not carried out, or whose journal does
// not say whose approvals its run went by. It returns nil if none are needed.
func (v *verification) unrecorded() (*approvals, error) {
	needed := v.kept.needed
	if v.begun != nil {
		needed = v.kept.neededAtMerge // a rule that is younger than the run was none of its
	}
	need, err := needed()
	if err != nil {
		return nil, err
	}
	if need == nil {
		v.says(unchecked, "the plan asks for no approvals")
		return nil, nil
	}
	if v.begun != nil {
		v.says(failed, "the journal does not say whose approvals the run went by")
	}
	return v.kept.approvals(need, v.l.digest, time.Now())
}

// recorded counts the approvals as the run did: by the rule and the signers' file that it
// went by, at the time when it began. It returns nil if it cannot.
func (v *verification) recorded(r *journal.Approved) (*approvals, error) {
	commit, err := v.kept.commit(r.Signers.Commit)
	if err != nil {
		return nil, err
	}
	if commit == "" {
		v.says(failed, "commit %s, which has the signers' file, is not in this repository: run git fetch", r.Signers.Commit)
		return nil, nil
	}
	branch, err := v.kept.defaultBranch()
	if err != nil {
		return nil, err
	}
	if was, err := v.kept.wasTip(branch, commit); err != nil {
		return nil, err
	} else if !was {
		v.says(failed, "commit %.12s, which has the signers' file, is not part of %s's first-parent history", commit, branch)
		return nil, nil
	}
	if _, same, err := v.kept.in(commit); err != nil {
		return nil, err
	} else if !same && v.begun.SiteMap == "" && !v.passed(nevertheless) {
		v.says(failed, "commit %.12s, which has the signers' file, does not have this plan, and the journal has no --unreviewed", commit)
	}
	need, err := v.kept.neededBy(commit)
	if err != nil {
		return nil, err
	}
	if need == nil {
		v.says(failed, "the run went by approvals, but neither the plan nor commit %.12s asks for any", commit)
		return nil, nil
	}
	a, err := v.kept.approvalsBy(commit, fmt.Sprintf("commit %.12s", commit), need, v.l.digest, r.Time)
	if err == nil && a.signers.Digest() != r.Signers.Digest {
		v.says(failed, "%s has the digest %s, but the run went by one of %s", a.signers.Name, a.signers.Digest(), r.Signers.Digest)
		return nil, nil
	}
	return a, err
}

// removed says which keys that the run went by the branch's list has lost since, and
// whether it had lost them before the run began: then the run went by an older list.
func (v *verification) removed(a *approvals, recorded *journal.Approved) error {
	_, newest, err := v.kept.branchHead()
	if err != nil {
		return err
	}
	changes, err := v.kept.words("log", "--first-parent", "--format=%H", a.commit+".."+newest, "--", signersFile(v.l.plan.Site))
	if err != nil {
		return err
	}
	for _, c := range a.Counted {
		if !wentBy(recorded, c) || v.kept.lists(newest, c, a.at) {
			continue
		}
		by := newest
		for _, change := range changes { // the newest first
			if v.kept.lists(change, c, a.at) {
				break
			}
			by = change
		}
		at, err := v.kept.date(by)
		if err != nil {
			return err
		}
		mark, when := unchecked, "after"
		if at.Before(recorded.Time) {
			mark, when = failed, "before"
		}
		v.says(mark, "key %s of %s as %s is no longer in the list: commit %.12s of %s removed it, %s the run began", c.Key, c.By, c.Role, by, utc(at), when)
	}
	return nil
}

// lists reports whether the signers' file of a commit lets an approval's key approve at a
// time; a file that is not there or unreadable does not.
func (k *keptPlan) lists(commit string, a approval.Approval, at time.Time) bool {
	signers, err := k.signers(commit, "")
	return err == nil && signers.Lists(a.By, a.Role, a.Key, at)
}

// tally prints what counts and what does not.
func (v *verification) tally(a *approvals, recorded *journal.Approved) {
	v.says(passed, "signers: %s, SHA-256 %s", a.signers.Name, a.signers.Digest())
	counted, refused := a.lines()
	for i, text := range counted {
		if recorded != nil && !wentBy(recorded, a.Counted[i]) {
			v.says(unchecked, "%s; the run did not go by it", text)
			continue
		}
		v.says(passed, "%s", text)
	}
	for _, text := range refused {
		mark := failed
		if recorded == nil && len(a.Missing) == 0 {
			mark = unchecked // one too many
		}
		if recorded != nil && !slices.ContainsFunc(recorded.By, func(r journal.Approval) bool { return strings.HasPrefix(text, fileOf(r)) }) {
			mark = unchecked // the run did not go by it
		}
		v.says(mark, "%s", text)
	}
	if recorded == nil {
		return
	}
	for _, r := range recorded.By {
		if !slices.ContainsFunc(a.Counted, func(c approval.Approval) bool { return c.Digest == r.Digest }) {
			v.says(failed, "the run went by an approval of %s as %s, key %s, which is not in %s or has been changed", r.By, r.Role, r.Key, approval.Dir(v.l.file))
		}
	}
}

// wentBy reports whether the run went by an approval.
func wentBy(recorded *journal.Approved, a approval.Approval) bool {
	return slices.ContainsFunc(recorded.By, func(r journal.Approval) bool { return r.Digest == a.Digest })
}

// fileOf is the name that csu approve gives an approval's file.
func fileOf(r journal.Approval) string {
	return approval.Statement{Role: r.Role, By: r.By}.FileName()
}

// lacked says what the run began without, whatever its journal says of that, and whether
// the approver has paid what was owed after an emergency.
func (v *verification) lacked(a *approvals, r *journal.Approved) {
	missing := approval.Missing(a.need, slices.DeleteFunc(slices.Clone(a.Counted), func(c approval.Approval) bool { return !wentBy(r, c) }))
	if len(missing) == 0 {
		return
	}
	v.incomplete = true
	text := approval.MissingText(missing)
	switch {
	case r.Emergency != "":
		v.says(unchecked, "EMERGENCY: the run began without %s: %s", text, r.Emergency)
		v.owed(a.need, missing, r.Owes)
	case v.state.Run.SiteMap != "":
		v.says(unchecked, "the rehearsal began without %s", text)
	default:
		v.says(failed, "the run began without %s", text)
	}
}

// owed says whether a person has given one of the missing approvals since an emergency.
func (v *verification) owed(need *plan.Approvals, missing []plan.Need, by string) {
	for _, f := range approval.Read(approval.Dir(v.kept.path(v.kept.name))) {
		if s, err := approval.ParseStatement(f.Statement); err != nil || s.By != by {
			continue
		}
		counted, err := v.kept.paid(f, need, v.l.digest)
		if err != nil {
			v.says(failed, "%v", err)
			return
		}
		i := slices.IndexFunc(counted, func(a approval.Approval) bool {
			return a.Digest == f.Digest() && a.By == by && slices.ContainsFunc(missing, func(n plan.Need) bool { return n.Role == a.Role })
		})
		if i >= 0 {
			a := counted[i]
			v.says(passed, "%s has given the approval that was owed: %s, %s, key %s", a.By, a.Role, utc(a.Time), a.Key)
			return
		}
	}
	v.says(failed, "OWED: %s has not yet given a missing approval (%s): csu approve %s --role ROLE", by, approval.MissingText(missing), v.l.file)
}

// paid returns what counts by the signers' file, and at the time, of the commit that
// brought an approval into origin's default branch: who has paid does not owe again when
// they leave. An approval that is not merged counts by the list of today.
func (k *keptPlan) paid(f approval.File, need *plan.Approvals, digest string) ([]approval.Approval, error) {
	branch, err := k.defaultBranch()
	if err != nil {
		return nil, err
	}
	name := approval.Dir(k.name) + "/" + filepath.Base(f.Name)
	merged, err := k.holds("refs/remotes/"+branch, map[string]string{name: f.Statement, name + ".sig": f.Signature})
	if err != nil {
		return nil, err
	}
	if !merged {
		a, err := k.approvals(need, digest, time.Now())
		if err != nil {
			return nil, err
		}
		return a.Counted, nil
	}
	by, _, err := k.last("refs/remotes/"+branch, name, name+".sig")
	if err != nil {
		return nil, err
	}
	at, err := k.date(by)
	if err != nil {
		return nil, err
	}
	a, err := k.approvalsBy(by, fmt.Sprintf("commit %.12s", by), need, digest, at)
	if err != nil {
		return nil, err
	}
	return a.Counted, nil
}
