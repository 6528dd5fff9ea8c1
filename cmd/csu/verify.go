package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/lsst-ts/csu/executor/journal"
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
	gone       int      // records whose content a copy of the journal has left out
	hollow     int      // of them, those that were no note: csu never leaves them out
	despite    []string // texts of the guards that the run passed all the same
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
