package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/executor/plan"
)

type approveCommand struct {
	Plan string `arg:"" help:"The plan's file." placeholder:"PLAN" predictor:"plan"`
	Role string `required:"" help:"The role in which you approve, such as lead." placeholder:"ROLE"`
	Key  string `help:"Sign with this key: a private key's file, or a public one's whose private key is in your agent (default: the first key of your agent or ~/.ssh that may sign)." placeholder:"FILE" predictor:"file"`
}

func (approveCommand) Help() string {
	return `Signs a statement that you approve exactly these bytes of the plan, with your SSH key, and writes it to PLAN.approvals/. Commit it; it changes nothing of what is approved. csu exec carries a plan out only with the approvals that its site asks for.

The plan must be what the committed sources give. Your key must be in sites/SITE/allowed_signers of origin's default branch, with the role's namespace, such as namespaces="lead@csu.lsst.org". Signing is ssh-keygen -Y sign, so an agent or a hardware key works as usual. Nobody counts twice: give one approval.

Examples:

  csu approve plans/2026-12-15-summit-full.json --role lead
  csu approve plans/2026-12-15-summit-full.json --role "M1M3 principal" --key ~/.ssh/id_ed25519_sk`
}

func (cmd *approveCommand) Run(c *console) error {
	l, err := c.load(cmd.Plan, runFlags{}, beforeMerge)
	if err != nil {
		return err
	}
	data, err := plan.Encode(l.plan)
	if err != nil {
		return err
	}
	k, err := c.keptPlan(l, data)
	if err != nil {
		return err
	}
	need, err := k.needed()
	if err != nil {
		return err
	}
	if err := cmd.asked(need, l); err != nil {
		return err
	}
	before, err := k.approvals(need, l.digest, time.Now())
	if err != nil {
		return err
	}
	key, by, err := cmd.signer(before.signers)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(before.Counted, func(a approval.Approval) bool { return a.By == by }); i >= 0 {
		a := before.Counted[i]
		if a.Role == cmd.Role {
			line(c.out, "%s has already approved as %s: %s/%s", by, a.Role, approval.Dir(l.file), a.File)
			return nil
		}
		return fail(exitRefused, fmt.Sprintf("remove %s/%s and its .sig to approve as %s instead", approval.Dir(l.file), a.File, cmd.Role), "%s has already approved as %s, and nobody counts twice", by, a.Role)
	}
	s := approval.Of(l.plan, l.file, l.digest, cmd.Role, by, time.Now())
	c.paragraph("%s: %s upgrade of %s, cycle %s, on %s\nYou sign:\n", l.file, l.plan.Type, l.plan.Site, l.plan.Upgrade.Cycle, l.plan.Upgrade.Date)
	for text := range strings.Lines(s.Text()) {
		line(c.out, "  %s", strings.TrimSuffix(text, "\n"))
	}
	if key.Hardware() {
		c.paragraph("\nTouch the key to confirm that you are there.")
	}
	signature, err := approval.Sign(key, s)
	if err != nil {
		return err
	}
	if err := cmd.counts(k, before, key, s, signature, l.digest); err != nil {
		return err
	}
	name, err := approval.Write(approval.Dir(l.file), s, signature)
	if err != nil {
		return err
	}
	after, err := k.approvals(need, l.digest, time.Now())
	if err != nil {
		return err
	}
	state := "The plan has all its approvals."
	if len(after.Missing) > 0 {
		state = "Still missing: " + approval.MissingText(after.Missing) + "."
	}
	c.paragraph("\nWrote %s and its signature. Commit both.\n%s", name, state)
	return nil
}

// asked refuses a role that the plan does not ask for.
func (cmd *approveCommand) asked(need *plan.Approvals, l *loaded) error {
	if need == nil {
		return fail(exitInput, "to ask for some, add approvals to the site's approvals.cue and compile the plan again", "plan %q asks for no approvals", l.file)
	}
	var roles []string
	for _, n := range need.Roles {
		roles = append(roles, n.Role)
	}
	if !slices.Contains(roles, cmd.Role) {
		return fail(exitInput, "give one of its roles: "+strings.Join(roles, ", "), "--role %q: the plan asks for no such approval%s", cmd.Role, plan.DidYouMean(cmd.Role, roles))
	}
	return nil
}

// signer returns the key to sign with, and whose it is.
func (cmd *approveCommand) signer(signers *approval.Signers) (approval.Key, string, error) {
	var keys []approval.Key
	if cmd.Key != "" {
		k, err := approval.KeyIn(cmd.Key)
		if err != nil {
			return k, "", err
		}
		keys = []approval.Key{k}
	} else {
		keys = approval.Keys(context.Background())
	}
	var prints []string
	for _, named := range []bool{true, false} {
		for _, k := range keys {
			if by := signers.Owner(k.Blob); by != "" && (!named || signers.Names(k.Blob, cmd.Role)) {
				return k, by, nil
			}
		}
	}
	for _, k := range keys {
		prints = append(prints, approval.Fingerprint(k.Blob))
	}
	add := fmt.Sprintf(`have a line NAME namespaces="%s" KEY added to it and merged, with the key as in your .pub file`, approval.Namespace(cmd.Role))
	if len(keys) == 0 {
		return approval.Key{}, "", fail(exitRefused, "give --key FILE, or load a key with ssh-add; "+add, "no key to sign with: neither an agent nor ~/.ssh has one")
	}
	return approval.Key{}, "", fail(exitRefused, add, "%s has none of your keys: %s", signers.Name, strings.Join(prints, ", "))
}

// counts refuses to write an approval that would not count.
func (cmd *approveCommand) counts(k *keptPlan, before *approvals, key approval.Key, s approval.Statement, signature, digest string) error {
	void, err := k.signersApart(before.commit)
	if err != nil {
		return err
	}
	authors, err := k.authors(before.commit)
	if err != nil {
		return err
	}
	t, err := approval.Count(approval.Question{
		Plan: k.plan, PlanFile: k.file, Digest: digest, Need: before.need, Signers: before.signers, Authors: authors, At: time.Now(), Void: void,
		Files: []approval.File{{Name: s.FileName(), Statement: s.Text(), Signature: signature}},
	})
	if err != nil {
		return err
	}
	if len(t.Refused) == 0 {
		return nil
	}
	hint := "use a key that is valid now; " + before.signers.Name + " says from when and until when"
	switch {
	case void != "":
		hint = "" // the reason says what to do
	case before.need.NotByAuthor && slices.ContainsFunc(authors, func(a string) bool { return strings.EqualFold(a, s.By) }):
		hint = "have somebody else with the role approve"
	case !before.signers.Names(key.Blob, s.Role):
		hint = "approve in a role that is yours; " + before.signers.Name + " says who may approve as what"
	}
	return fail(exitRefused, hint, "the approval would not count and was not written: %s", t.Refused[0].Reason)
}
