package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/state"
)

// keptNight returns the plan of the night in the committee's clone, and what csu says of it.
func (r *committee) keptNight(t *testing.T) (*keptPlan, *verification, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	c := &console{out: &out, err: &out, width: 200}
	p, data, err := plan.ReadFile(filepath.Join(r.dir, night))
	if err != nil {
		t.Fatal(err)
	}
	l := &loaded{plan: p, file: filepath.Join(r.dir, night), journal: filepath.Join(t.TempDir(), "journal")}
	k, err := c.keptPlan(l, data)
	if err != nil {
		t.Fatal(err)
	}
	return k, &verification{console: c, l: l, data: data}, &out
}

// needs checks who must approve the night's plan.
func (r *committee) needs(t *testing.T, why, want string) {
	t.Helper()
	k, _, _ := r.keptNight(t)
	need, err := k.needed()
	got := ""
	if err == nil && need != nil {
		got = approval.MissingText(need.Roles)
	}
	if err != nil || got != want {
		t.Errorf("%s: it needs %q, want %q; %v", why, got, want, err)
	}
}

// TestRule: what a plan needs is what it says or what origin's branch says, before the plan
// came or now, whichever is more. Where that is unknown, nobody may say that it is nothing.
func TestRule(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	const rule = "sites/summit/approvals.cue"
	const three = "1 M1M3 principal, 1 lead, 1 reviewer"
	r.needs(t, "merged", three)

	// A later rule holds for the plan that is there, and need not fit this csu elsewhere.
	r.edit(t, source{rule, "lead: 1", "lead: 2"})
	r.write(t, "sites/summit/later.cue", "package site\n\nsite: hosts: nosuch: laterField: true\n")
	r.merge(t, "Two leads")
	r.needs(t, "raised", "1 M1M3 principal, 2 lead, 1 reviewer")
	r.git(t, "revert", "--no-edit", "HEAD")
	r.git(t, "push", "-q", "origin", "main")

	// A pull request that drops the rule, as the plan says, before and after its merge.
	r.git(t, "switch", "-q", "-c", "change")
	r.git(t, "rm", "-q", rule)
	r.compile(t)
	r.commit(t, "No approvals")
	r.needs(t, "dropped, not merged", three)
	r.git(t, "switch", "-q", "main")
	r.git(t, "merge", "-q", "--no-ff", "-m", "Merge", "change")
	r.git(t, "push", "-q", "origin", "main")
	r.needs(t, "dropped and merged with the plan", three)
	r.refuses(t, nil, "exec --unreviewed hurry "+night, `missing: `+three+`$`)
	r.git(t, "switch", "-q", "-c", "reason")
	r.edit(t, otherQueue)
	r.compile(t)
	r.commit(t, "The next plan")
	r.git(t, "push", "-q", "origin", "reason:main")
	r.needs(t, "dropped before the plan", "")

	// Attributes that nobody reviews hide no rule and no source.
	r.git(t, "checkout", "-q", "-B", "attributes", "HEAD~1~1") // before the merge
	r.git(t, "push", "-q", "-f", "origin", "attributes:main")
	r.git(t, "rm", "-q", rule)
	r.compile(t)
	r.commit(t, "No approvals")
	if err := os.MkdirAll(filepath.Join(r.dir, ".git/info"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.write(t, ".git/info/attributes", "*.cue export-ignore\n")
	r.needs(t, "hidden by export-ignore", three)

	// Unknown rules.
	refused := func(why, says string) {
		t.Helper()
		k, _, _ := r.keptNight(t)
		if need, err := k.needed(); err == nil || !strings.Contains(err.Error(), says) || exit.CodeOf(err) != exit.Refused || exit.HintOf(err) == "" {
			t.Errorf("%s: it needs %v; %v", why, need, err)
		}
	}
	r.write(t, rule, "package site\n\nsite: approvals: full: lead: 0\n")
	r.commit(t, "A wrong rule")
	r.git(t, "push", "-q", "origin", "HEAD:main")
	refused("wrong", "may need approvals, but the rule of commit ")
	r.write(t, rule, "package site\n\nsite: 1\n")
	r.commit(t, "A wrong site")
	r.git(t, "push", "-q", "origin", "HEAD:main")
	refused("a wrong site", "may need approvals, but the rule of commit ")
	r.git(t, "remote", "remove", "origin")
	refused("no origin", `the repository has no remote "origin"`)
	r.refuses(t, nil, "exec --unreviewed hurry "+night, `no remote "origin"$`, "^hint: clone the project's shared repository")
}

// TestRuleInShallowClone: what the rule was before the plan came must be known.
func TestRuleInShallowClone(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	shallow := filepath.Join(t.TempDir(), "clone")
	r.git(t, "clone", "-q", "--depth=1", "file://"+r.dir, shallow)
	r.dir = shallow
	k, _, _ := r.keptNight(t)
	if _, err := k.needed(); err == nil || exit.HintOf(err) != "run git fetch --unshallow" {
		t.Errorf("%v (hint %q)", err, exit.HintOf(err))
	}
}

// TestApproverWithoutEmergency: nobody owes an approval of an ordinary run.
func TestApproverWithoutEmergency(t *testing.T) {
	t.Parallel()
	err := (&execCommand{Plan: night, Approver: "ada", Emergency: " "}).Run(&console{})
	if err == nil || exit.CodeOf(err) != exit.Input || exit.HintOf(err) != "give --emergency REASON, or leave --approver out" {
		t.Errorf("%v (hint %q)", err, exit.HintOf(err))
	}
}

// TestVerifyOlderCompiler: a plan that another csu compiled and ran is not called wrong
// because this one compiles other bytes; unless it ran it, or the plan was never merged.
func TestVerifyOlderCompiler(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	r.edit(t, source{night, `"reason": "`, `"reason": "Then `})
	r.merge(t, "As csu 0.1 compiled it")
	ran := func(version, modules string) []*journal.Record {
		return []*journal.Record{{Run: &journal.Run{Version: version, Approved: &journal.Approved{Modules: modules}}}}
	}
	check := func(runs []*journal.Record, failures int, says string) {
		t.Helper()
		_, v, out := r.keptNight(t)
		v.runs = runs
		v.bytes()
		if v.failed != failures || !strings.Contains(out.String(), says) {
			t.Errorf("%d checks failed, want %d, and %q:\n%s", v.failed, failures, says, out)
		}
	}
	const other = "give: 1 change); the csu that ran them may: verify with csu 0.1"
	check(ran("0.1", "x"), 0, other)
	check(ran(version(), "x"), 0, "verify with csu "+version())
	check(ran(version(), modules()), 1, "  FAILED plan ")
	check(ran(version(), ""), 1, "  FAILED plan ")
	check(append(ran("0.1", "x"), ran(version(), modules())...), 1, "  FAILED plan ")
	check(nil, 1, "  FAILED plan ")
	r.edit(t, source{night, `"reason": "`, `"reason": "Even `})
	check(ran("0.1", "x"), 2, "  FAILED plan ")
}

// TestVerdictOfOpenRun: half a run is not called what ran.
func TestVerdictOfOpenRun(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{Stages: make([]plan.Stage, 3)}
	for online, want := range map[bool]string{
		false: "Verified: the plan is reviewed; the run has not ended: 1 of 3 stages began, as far as this journal shows: its end is not checked (--online).\n",
		true:  "Verified: the plan is reviewed; the run has not ended: 1 of 3 stages began.\n",
	} {
		var out bytes.Buffer
		v := &verification{console: &console{out: &out, width: 200}, l: &loaded{plan: p}, online: online, state: &state.State{}, stages: make([]consented, 1)}
		if err := v.verdict(); err != nil || strings.TrimPrefix(out.String(), "\n") != want {
			t.Errorf("online %v: %v\n%s", online, err, out.String())
		}
	}
}

// TestUnlessBegunOnce: a run that has begun reads of one obstacle once.
func TestUnlessBegunOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c, l := &console{out: &out, err: &out, width: 80}, &loaded{}
	for range 2 {
		if err := (guard{begun: true}).unlessBegun(c, l, errors.New("no origin")); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(out.String(), "no origin") != 1 || len(l.reviewed) != 1 {
		t.Errorf("%q:\n%s", l.reviewed, out.String())
	}
}
