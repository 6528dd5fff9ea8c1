package main

import (
	"fmt"
	"path/filepath"

	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/executor/plan"
)

// limits prints what no check here can show.
func (v *verification) limits() {
	v.paragraph("\n%s", lines(`This cannot show
  when an approval was signed: its time is the signer's word, and the holder of a key that was valid then can write any time
  which signers' file was the newest then: the journal names the commit that the run went by, and when a later commit was made is what Git was told
  who typed at the terminal: the operator's name is what they or their account said
  that the journal is the only one: its chain has no signature; the head that the cluster keeps is the other witness
  who wrote the plan: an author's address is what Git was told
  what a pull request held that was merged by rebase: csu sees its commits one by one`))
}

// explained prints how to repeat the checks without csu.
func (v *verification) explained() {
	v.paragraph("\nTo repeat the checks, in the project's folder:\n")
	say := func(text string) { line(v.out, "  %s", text) }
	say("# the plan's digest:")
	say("sha256sum " + shown(v.l.file))
	if a := v.counted; a != nil {
		say("# the signers, and each approval at the time that it states and at the time that counts:")
		say("signers=$(mktemp)")
		say(fmt.Sprintf("git show %s:./%s > $signers", a.commit, signersFile(v.l.plan.Site)))
		for _, c := range a.Counted {
			name := filepath.Join(approval.Dir(shown(v.l.file)), c.File)
			say(approval.Explain(c.Statement, "$signers", name, c.Time))
			say(approval.Explain(c.Statement, "$signers", name, a.at))
			say("cat " + approval.Quoted(name))
		}
	}
	for _, text := range v.explain {
		say(text)
	}
}

// verdict prints the one line that all of this amounts to.
func (v *verification) verdict() error {
	if n := v.failed; n > 0 {
		return fail(exitFailed, "the lines marked FAILED say why", "plan %q is not verified: %s failed", v.l.file, plan.Counted(n, "check"))
	}
	approved := "approved"
	switch {
	case v.counted == nil:
		approved = "reviewed"
	case v.incomplete && v.begun.Approved.Emergency != "":
		approved = "begun in an emergency, and the owed approval is there"
	case v.incomplete:
		approved = "rehearsed without all approvals"
	}
	ran := "what ran is what is here"
	if v.gone > 0 {
		ran += fmt.Sprintf(", but for the content of %s", plan.Counted(v.gone, "record"))
	}
	switch {
	case v.state == nil:
		ran = "it was not carried out here"
	case v.state.Ended == "":
		ran = fmt.Sprintf("the run has not ended: %d of %d stages began", len(v.stages), len(v.l.plan.Stages))
		if !v.online {
			ran += ", as far as this journal shows: its end is not checked (--online)"
		}
	}
	v.paragraph("\nVerified: the plan is %s; %s%s.", approved, ran, v.excepted())
	return nil
}
