package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/operator"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

type verifyCommand struct {
	Plan    string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Online  bool   `help:"Compare the journal with the head that the site's cluster keeps."`
	Explain bool   `help:"Print how to repeat the checks without csu, with git, ssh-keygen and sha256sum."`
	SiteMap string `help:"Verify the rehearsed run in the folder of this site map." placeholder:"FILE" predictor:"file"`
}

func (verifyCommand) Help() string {
	return `Verifies, without a network, who approved which bytes of the plan and when, that these bytes are what ran, who consented to each stage, that the journal's chain is whole, and which csu ran it. It goes by the signers' file of the commit that the journal names; for a plan that has not run, by that of origin's default branch. Read-only. Exits with 1 if a check fails or an approval is still owed after an emergency.

Examples:

  csu verify plans/2026-12-15-summit-full.json
  csu verify plans/2026-12-15-summit-full.json --explain
  csu verify plans/2026-12-15-summit-full.json --online`
}

// How a check ended.
const (
	passed    = "ok"
	failed    = "FAILED"
	unchecked = "-" // not checked, or nothing to check
)

// A verification is a plan and all that is known of its approvals and its run.
type verification struct {
	*console
	l          *loaded
	data       []byte
	kept       *keptPlan
	begun      *journal.Run      // by which the first stage began; nil without a journal
	runs       []*journal.Record // of the executors
	stages     []consented
	head       journal.Head
	state      *state.State // nil if nothing was carried out here, or if it is unreadable
	unread     error        // why there is no state
	online     bool         // the cluster is asked
	counted    *approvals   // nil if none are needed, or if they cannot be verified
	incomplete bool         // the run began without some
	explain    []string
	failed     int // checks
}

// consented is the consent to a stage.
type consented struct {
	stage string
	at    time.Time
	*journal.Answer
}

func (cmd *verifyCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, runFlags{SiteMap: cmd.SiteMap}, ofStatus)
	if err != nil {
		return err
	}
	v := &verification{console: c, l: l, online: cmd.Online}
	if v.data, err = plan.Encode(l.plan); err != nil {
		return err
	}
	v.read()
	v.bytes()
	v.run()
	v.approvals()
	v.consents()
	v.builds()
	v.cluster(cmd)
	v.limits()
	if cmd.Explain {
		v.explained()
	}
	return v.verdict()
}

// says prints how a check ended.
func (v *verification) says(mark, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if mark == failed {
		v.failed++
	}
	v.paragraph("  %-6s %s", mark, text)
}

// bytes verifies that the sources give the plan, and that it was merged.
func (v *verification) bytes() {
	v.paragraph("Plan %s\n  digest %s", v.l.file, v.l.digest)
	var err error
	if v.kept, err = v.keptPlan(v.l, v.data); err != nil {
		v.kept = nil
		v.says(failed, "%v", err)
		return
	}
	found, err := v.kept.sources()
	in, notIn := v.kept.origin()
	by, another := v.another()
	switch {
	case err == nil:
		v.says(passed, "%s", found)
	case notIn == nil && another && v.compiles(err):
		v.says(unchecked, "this csu, %s, does not compile these bytes (%v); the csu that ran them may: verify with csu %s", version(), err, by)
	default:
		v.says(failed, "%v", err)
	}
	if notIn != nil {
		v.says(failed, "%v", notIn)
		return
	}
	v.says(passed, "%s", in)
}

// another reports whether the plan was only carried out by other builds of csu, and the
// version of the last of them.
func (v *verification) another() (by string, is bool) {
	for _, r := range v.runs {
		by, is = r.Run.Version, true
		if a := r.Run.Approved; by == version() && (a == nil || a.Modules == "" || a.Modules == modules()) {
			return "", false
		}
	}
	return by, is
}

// compiles reports whether an error is only that csu compiles other bytes, or none, from
// the sources that brought the plan.
func (v *verification) compiles(err error) bool {
	var other *differenceError
	var none *compileError
	return !v.kept.shallow() && (errors.As(err, &other) || errors.As(err, &none))
}

// read reads the journal.
func (v *verification) read() {
	s, err := state.Read(journal.Disk, v.l.journal, v.l.plan, v.l.digest)
	if err != nil {
		v.unread = err
		return
	}
	answered := map[string]consented{}
	err = journal.Read(journal.Disk, v.l.journal, func(r *journal.Record) error {
		v.head = journal.Head{Seq: r.Seq, Hash: r.Hash}
		if r.Run != nil {
			v.runs = append(v.runs, r)
			if len(v.stages) == 0 && (r.Run.Approved != nil || v.begun == nil) {
				v.begun = r.Run
			}
		}
		if r.Event == journal.Answered && operator.Topic(r.Answer.Topic) == operator.StageConsent && operator.Choice(r.Answer.Choice) == operator.Yes {
			answered[r.Stage] = consented{r.Stage, r.Time, r.Answer}
		}
		if r.Event == journal.StageBegun {
			a := answered[r.Stage]
			a.stage = r.Stage
			v.stages = append(v.stages, a)
		}
		return nil
	})
	switch {
	case err != nil:
		v.unread = err
	case s.Records > 0:
		v.state = s
	}
}

// run verifies that the journal is that of these bytes, and whole.
func (v *verification) run() {
	v.paragraph("\nRun")
	switch {
	case errors.Is(v.unread, fs.ErrNotExist):
		v.says(unchecked, "the plan was not carried out here: there is no journal %s", shown(v.l.journal))
		return
	case v.unread != nil:
		v.says(failed, "%v", v.unread)
		return
	case v.state == nil:
		v.says(unchecked, "the plan was not carried out: journal %s has no record", shown(v.l.journal))
		return
	}
	s := v.state
	v.says(passed, "run %s carried out these bytes: its journal %s has their digest", s.Run.ID, shown(v.l.journal))
	v.says(passed, "the journal's chain is whole: %d records, the last has the hash %s", v.head.Seq, v.head.Hash)
	if s.Run.SiteMap != "" {
		v.says(unchecked, "it is a rehearsal; the times of its journal are the simulated site's")
	}
	switch s.Ended {
	case "":
		v.says(unchecked, "it has not ended: the last record is of %s", utc(s.Last))
	default:
		v.says(passed, "it ended as %s at %s", s.Ended, utc(s.Last))
	}
	if text, err := os.ReadFile(v.l.journal); err == nil && !bytes.HasSuffix(text, []byte("\n")) {
		v.says(unchecked, "the journal's last line is torn and does not count: csu was stopped while it wrote the line, or is writing it now")
	}
	v.explain = append(v.explain,
		"# the chain: each record has the SHA-256 of its own text before the hash, and the hash of the record before; the last one's:",
		fmt.Sprintf(`tail -n 1 %s | sed 's/,"hash":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum`, shown(v.l.journal)))
}

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
	if recorded != nil {
		v.lacked(a, recorded)
	}
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
	if branch, err := v.kept.defaultBranch(); err != nil {
		return nil, err
	} else if _, err := v.kept.git("merge-base", "--is-ancestor", commit, "refs/remotes/"+branch); err != nil {
		v.says(failed, "commit %.12s, which has the signers' file, is not part of %s", commit, branch)
		return nil, nil
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

// owed says whether a person has given one of the missing approvals since an emergency, by
// the signers of today.
func (v *verification) owed(need *plan.Approvals, missing []plan.Need, by string) {
	now, err := v.kept.approvals(need, v.l.digest, time.Now())
	if err != nil {
		v.says(failed, "%v", err)
		return
	}
	i := slices.IndexFunc(now.Counted, func(a approval.Approval) bool {
		return a.By == by && slices.ContainsFunc(missing, func(n plan.Need) bool { return n.Role == a.Role })
	})
	if i < 0 {
		v.says(failed, "OWED: %s has not yet given a missing approval (%s): csu approve %s --role ROLE", by, approval.MissingText(missing), v.l.file)
		return
	}
	a := now.Counted[i]
	v.says(passed, "%s has given the approval that was owed: %s, %s, key %s", a.By, a.Role, utc(a.Time), a.Key)
}

// consents prints who consented to each stage.
func (v *verification) consents() {
	if v.state == nil {
		return
	}
	v.paragraph("\nConsents")
	for _, s := range v.stages {
		if s.Answer == nil {
			v.says(failed, "stage %s began without a consent", s.stage)
			continue
		}
		v.says(passed, "%s: %s, %s, %s", s.stage, s.By, utc(s.at), s.Via)
	}
	if n := len(v.l.plan.Stages) - len(v.stages); n > 0 {
		v.says(unchecked, "stages that did not begin: %d", n)
	}
}

// builds prints which csu was at work.
func (v *verification) builds() {
	v.paragraph("\ncsu")
	for _, r := range v.runs {
		what := "began the run"
		if r.Event == journal.Resumed {
			what = "resumed it"
		}
		sums := "its modules were not recorded"
		if a := r.Run.Approved; a != nil && a.Modules != "" {
			sums = "modules " + a.Modules
		}
		v.says(unchecked, "version %s %s for %s on %s, %s; %s", r.Run.Version, what, r.Run.Operator, filepath.Base(r.Run.Host), utc(r.Time), sums)
	}
	v.says(unchecked, "version %s verifies this; modules %s", version(), modules())
	v.says(unchecked, "the plan does not say which csu compiled it: this one compiles it again")
}

// cluster compares the journal with what the cluster keeps.
func (v *verification) cluster(cmd *verifyCommand) {
	v.paragraph("\nCluster")
	if !cmd.Online {
		v.says(unchecked, "not checked: whether the cluster keeps the same head of the journal (--online)")
		return
	}
	if v.state == nil {
		v.says(unchecked, "not checked: there is no journal to compare")
		return
	}
	status := &statusCommand{Plan: cmd.Plan, SiteMap: cmd.SiteMap}
	l, err := status.ledger(v.l.plan)
	if err != nil {
		v.says(failed, "cannot read the site's ledger: %v", err)
		return
	}
	head := journal.Head{}
	if ended := l.Ended(v.l.digest); ended != nil {
		head = ended.Head
	} else if l.Head.Digest == v.l.digest {
		head = l.Head.Head
	}
	_, has := journal.Upto(journal.Disk, v.l.journal, head)
	newest := v.head.Seq
	if v.state.Released {
		newest-- // the ledger was released before that was recorded
	}
	switch {
	case head.Seq == 0:
		v.says(failed, "the site's ledger does not know this run")
	case !has:
		v.says(failed, "the cluster keeps record %d with the hash %s, which this journal does not have", head.Seq, head.Hash)
	case head.Seq < newest:
		v.says(failed, "the cluster keeps record %d, but this journal has %d records: the others are not confirmed", head.Seq, v.head.Seq)
	default:
		v.says(passed, "the cluster keeps the same head: record %d with the hash %s", head.Seq, head.Hash)
	}
}
