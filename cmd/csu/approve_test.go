package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/executor/plan"
)

const (
	approvalsOfNight = night + ".approvals"
	signersOfSummit  = "sites/summit/allowed_signers"
)

// A committee is a clone whose site asks for three approvals of a full upgrade, and the
// keys of those who may give them.
type committee struct {
	*repository
	keys string // folder
}

// otherQueue makes another plan of the night.
var otherQueue = source{"sites/summit/upgrade.cue", `cycle:  "c0045"`, "cycle:  \"c0045\"\n\t\tqueue: 2"}

// theCommittee is made once; the tests use copies.
var theCommittee struct {
	sync.Mutex
	dir string
}

// newCommittee returns a committee: ada leads, bob reviews or leads, cyd is the M1M3
// principal, and eve has no role.
func newCommittee(t *testing.T) *committee {
	t.Helper()
	if _, err := binary(); err != nil { // its folder is removed at the end
		t.Fatal(err)
	}
	theCommittee.Lock()
	defer theCommittee.Unlock()
	if theCommittee.dir == "" {
		dir := filepath.Join(built, "committee")
		found(t, dir)
		theCommittee.dir = dir
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(theCommittee.dir)); err != nil {
		t.Fatal(err)
	}
	r := &committee{&repository{filepath.Join(dir, "clone")}, filepath.Join(dir, "keys")}
	for _, name := range []string{"ada", "bob", "cyd", "eve"} {
		if err := os.Chmod(r.key(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.git(t, "remote", "set-url", "origin", filepath.Join(dir, "origin"))
	return r
}

// found makes a committee in a folder.
func found(t *testing.T, dir string) {
	t.Helper()
	r := &committee{newProject(t), filepath.Join(dir, "keys")}
	if err := os.MkdirAll(r.keys, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ada", "bob", "cyd", "eve"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", r.key(name)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	r.git(t, "clone", "-q", "--bare", ".", filepath.Join(dir, "origin"))
	r.git(t, "clone", "-q", filepath.Join(dir, "origin"), filepath.Join(dir, "clone"))
	r.dir = filepath.Join(dir, "clone")
	r.write(t, signersOfSummit, "# Who may approve.\n"+r.signer(t, "ada", "lead")+r.signer(t, "bob", "lead", "reviewer")+r.signer(t, "cyd", "M1M3 principal"))
	r.merge(t, "Who may approve")
	r.write(t, "sites/summit/approvals.cue", "package site\n\nsite: approvals: full: {lead: 1, reviewer: 1, \"M1M3 principal\": 1}\n")
	r.compile(t)
	r.merge(t, "What must be approved")
	r.approve(t, "ada", "lead")
	r.approveOthers(t)
	if err := os.Rename(filepath.Join(r.dir, approvalsOfNight), filepath.Join(r.keys, approved)); err != nil {
		t.Fatal(err)
	}
}

// compile writes the summit's plans.
func (r *committee) compile(t *testing.T) {
	t.Helper()
	for _, typ := range []plan.Type{plan.Full, plan.Incremental} {
		p, _, err := compiler.Compile(compiler.Request{Root: r.dir, Site: "summit", Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		data, err := plan.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		r.write(t, compiler.FileName(p), string(data))
	}
}

func (r *committee) key(name string) string { return filepath.Join(r.keys, name) }

// signer returns a line of the signers' file.
func (r *committee) signer(t *testing.T, name string, roles ...string) string {
	t.Helper()
	key, err := os.ReadFile(r.key(name) + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for i, role := range roles {
		roles[i] = approval.Namespace(role)
	}
	return fmt.Sprintf("%s@lsst.org namespaces=%q %s", name, strings.Join(roles, ","), key)
}

// merge commits everything, as a pull request that is merged and fetched.
func (r *committee) merge(t *testing.T, message string) {
	t.Helper()
	r.commit(t, message)
	r.git(t, "push", "-q", "origin", "main")
	r.git(t, "fetch", "-q", "origin")
}

// approve lets a person approve the plan.
func (r *committee) approve(t *testing.T, name, role string) string {
	t.Helper()
	code, out := r.csu(t, nil, "approve", night, "--role", role, "--key", r.key(name))
	if code != exitComplete {
		t.Fatalf("csu approve as %s: exit code %d:\n%s", role, code, out)
	}
	return out
}

// approveAll gives the night's plan everybody's approvals, which they gave when the
// committee was made.
func (r *committee) approveAll(t *testing.T) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(r.dir, approvalsOfNight), os.DirFS(filepath.Join(r.keys, approved))); err != nil {
		t.Fatal(err)
	}
}

// approved is the folder beside the keys with the approvals of the night's plan.
const approved = "approved"

const passesTheGuards = "^error: missing credentials"

// TestApprove: exec refuses a plan until those whom the site names have approved it.
func TestApprove(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	missing := func(who string) string {
		return `^error: plan "` + night + `" is not approved; missing: ` + who + `$`
	}
	hint := `^hint: have them run csu approve ` + night + ` --role ROLE and commit ` + approvalsOfNight + `; ` + signersOfSummit + ` at [0-9a-f]{12} says who may; in an emergency, give --emergency REASON --approver NAME, who then owes an approval$`
	r.refuses(t, nil, "exec "+night, missing("1 M1M3 principal, 1 lead, 1 reviewer"), hint)
	r.refuses(t, nil, "exec --unreviewed GitHub-is-down "+night, missing("1 M1M3 principal, 1 lead, 1 reviewer"))
	r.ends(t, exitFailed, nil, "verify "+night, "^  FAILED missing: 1 M1M3 principal, 1 lead, 1 reviewer$", `^error: plan ".*" is not verified: 1 check failed$`)

	out := r.approve(t, "ada", "lead")
	if !regexp.MustCompile(`(?s)You sign:.*  role: lead\n  by: ada@lsst.org\n.*Wrote ` + approvalsOfNight + `/lead-ada@lsst.org.approval and its signature. Commit both.\nStill missing: 1 M1M3 principal, 1 reviewer.`).MatchString(out) {
		t.Errorf("csu approve says:\n%s", out)
	}
	if out := r.approve(t, "ada", "lead"); !strings.HasPrefix(out, "ada@lsst.org has already approved as lead: ") {
		t.Errorf("once more, csu approve says:\n%s", out)
	}
	r.approve(t, "bob", "lead")
	r.refuses(t, nil, "exec "+night, missing("1 M1M3 principal, 1 reviewer"))

	// What cannot be signed is not written.
	for _, x := range []struct {
		args string
		code int
		says string
		hint string
	}{
		{"--role reviewer --key " + r.key("bob"), exitRefused, "^error: bob@lsst.org has already approved as lead, and nobody counts twice$", "^hint: remove .*lead-bob@lsst.org.approval and its .sig to approve as reviewer instead$"},
		{"--role lead --key " + r.key("cyd"), exitRefused, `^error: the approval would not count and was not written: ssh-keygen: .*key is not permitted for use in signature namespace "lead@csu.lsst.org"`, "^hint: approve in a role that is yours; "},
		{"--role lead --key " + r.key("eve"), exitRefused, "^error: " + signersOfSummit + " at [0-9a-f]{12} has none of your keys: SHA256:", `^hint: have a line NAME namespaces="lead@csu.lsst.org" KEY added to it`},
		{"--role lead", exitRefused, "^error: no key to sign with: neither an agent nor ~/.ssh has one$", "^hint: give --key FILE"},
		{"--role lead --key nosuch", exitInput, "^error: read the public key: ", "^hint: give the file of a key"},
		{"--role leed", exitInput, `^error: --role "leed": the plan asks for no such approval \(did you mean "lead"\?\)$`, "^hint: give one of its roles: M1M3 principal, lead, reviewer$"},
	} {
		r.ends(t, x.code, nil, "approve "+night+" "+x.args, x.says, x.hint)
	}
	r.ends(t, exitInput, nil, "approve "+day+" --role lead", `^error: plan ".*" asks for no approvals$`, "^hint: to ask for some, add approvals to the site's site.cue")
	if files, err := os.ReadDir(filepath.Join(r.dir, approvalsOfNight)); err != nil || len(files) != 4 {
		t.Errorf("%d files: %v", len(files), err)
	}
	for _, end := range []string{"", ".sig"} {
		if err := os.Remove(filepath.Join(r.dir, approvalsOfNight, "lead-bob@lsst.org.approval"+end)); err != nil {
			t.Fatal(err)
		}
	}
	r.approve(t, "bob", "reviewer")
	if out := r.approve(t, "cyd", "M1M3 principal"); !strings.Contains(out, "The plan has all its approvals.") {
		t.Errorf("the last approval:\n%s", out)
	}
	r.ends(t, exitInput, nil, "exec "+night, passesTheGuards)
	r.ends(t, exitInput, nil, "exec --emergency x "+night, "^NOTE: --emergency is not needed: ", passesTheGuards)
	r.ends(t, exitComplete, nil, "verify "+night, "^Verified: the plan is approved; it was not carried out here.$")

	// Committing them changes nothing of what is approved.
	r.merge(t, "The approvals")
	r.ends(t, exitInput, nil, "exec "+night, passesTheGuards)
	// Other types need none, and nothing is asked or written.
	r.ends(t, exitInput, nil, "exec "+day, passesTheGuards)
	if _, err := os.Stat(filepath.Join(r.dir, day+".approvals")); !os.IsNotExist(err) {
		t.Errorf("a plan that needs no approvals has a folder for them: %v", err)
	}
}

// TestApprovalsThatDoNotCount: mutants of the plan, the approvals and the list of signers.
// Those of a single statement are in compiler/approval.
func TestApprovalsThatDoNotCount(t *testing.T) {
	t.Parallel()
	const lead, reviewer = approvalsOfNight + "/lead-ada@lsst.org.approval", approvalsOfNight + "/reviewer-bob@lsst.org.approval"
	only := func(t *testing.T, r *committee, line string) {
		t.Helper()
		r.write(t, signersOfSummit, r.signer(t, "bob", "lead", "reviewer")+r.signer(t, "cyd", "M1M3 principal")+line)
	}
	for name, x := range map[string]struct {
		change func(t *testing.T, r *committee)
		plan   string // night if it is ""
		says   []string
	}{
		"a byte of the plan": {change: func(t *testing.T, r *committee) {
			r.edit(t, otherQueue)
			r.compile(t)
			r.merge(t, "Another queue")
		}, says: []string{`^` + approvalsOfNight + `: lead-ada@lsst.org.approval does not count: it approves other bytes of the plan \(digest [0-9a-f]{12}…, this plan's is [0-9a-f]{12}…\)$`, "missing: 1 M1M3 principal, 1 lead, 1 reviewer$"}},
		"another role": {change: func(t *testing.T, r *committee) {
			r.edit(t, source{lead, "role: lead", "role: reviewer"})
		}, says: []string{`lead-ada@lsst.org.approval does not count: it is signed in the namespace "lead@csu.lsst.org", not "reviewer@csu.lsst.org"$`, "missing: 1 lead$"}},
		"the same key twice": {change: func(t *testing.T, r *committee) {
			for _, end := range []string{"", ".sig"} {
				data, err := os.ReadFile(filepath.Join(r.dir, lead+end))
				if err != nil {
					t.Fatal(err)
				}
				r.write(t, approvalsOfNight+"/again.approval"+end, string(data))
				if err := os.Remove(filepath.Join(r.dir, reviewer+end)); err != nil {
					t.Fatal(err)
				}
			}
		}, says: []string{`lead-ada@lsst.org.approval does not count: ada@lsst.org has already approved as lead with key SHA256:\S+ \(again.approval\), and nobody counts twice$`, "missing: 1 reviewer$"}},
		"a key that is not allowed": {change: func(t *testing.T, r *committee) {
			only(t, r, r.signer(t, "eve", "lead"))
			r.merge(t, "Ada leaves")
		}, says: []string{`lead-ada@lsst.org.approval does not count: key SHA256:\S+ is not in ` + signersOfSummit + ` at [0-9a-f]{12}$`, "missing: 1 lead$"}},
		"a key no longer allowed": {change: func(t *testing.T, r *committee) {
			only(t, r, strings.Replace(r.signer(t, "ada", "lead"), " ssh-", `,valid-before="20200101" ssh-`, 1))
			r.merge(t, "Ada's key has expired")
		}, says: []string{`lead-ada@lsst.org.approval does not count: ssh-keygen: allowed_signers:3: key has expired: verify time \S+ > valid-before \S+$`, "missing: 1 lead$"}},
		"a key not yet allowed": {change: func(t *testing.T, r *committee) {
			only(t, r, strings.Replace(r.signer(t, "ada", "lead"), " ssh-", `,valid-after="20980101" ssh-`, 1))
			r.merge(t, "Ada's next key")
		}, says: []string{`lead-ada@lsst.org.approval does not count: ssh-keygen: allowed_signers:3: key is not yet valid: `, "missing: 1 lead$"}},
		"an older attempt": {change: func(t *testing.T, r *committee) {
			r.edit(t, source{"sites/summit/upgrade.cue", `cycle:  "c0045"`, "cycle:  \"c0045\"\n\t\tattempt: 2"})
			code, out := r.csu(t, nil, "plan", "compile", "--site", "summit", "--type", "full")
			if code != exitComplete {
				t.Fatal(out)
			}
			attempt2 := strings.Replace(night, ".json", "-attempt2.json", 1)
			if err := os.CopyFS(filepath.Join(r.dir, attempt2+".approvals"), os.DirFS(filepath.Join(r.dir, approvalsOfNight))); err != nil {
				t.Fatal(err)
			}
			// As if the files were of this plan, too.
			r.edit(t, source{attempt2 + ".approvals/lead-ada@lsst.org.approval", "full.json", "full-attempt2.json"})
			r.merge(t, "The next attempt")
		}, plan: strings.Replace(night, ".json", "-attempt2.json", 1),
			says: []string{`lead-ada@lsst.org.approval does not count: it approves attempt 1, and this plan is attempt 2$`, `reviewer-bob@lsst.org.approval does not count: it approves another plan, 2026-12-15-summit-full.json$`, "missing: 1 M1M3 principal, 1 lead, 1 reviewer$"}},
		"another namespace": {change: func(t *testing.T, r *committee) {
			if err := os.Remove(filepath.Join(r.dir, lead+".sig")); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("ssh-keygen", "-Y", "sign", "-f", r.key("ada"), "-n", "git", filepath.Join(r.dir, lead)).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}, says: []string{`lead-ada@lsst.org.approval does not count: it is signed in the namespace "git", not "lead@csu.lsst.org"$`, "missing: 1 lead$"}},
		"signers changed here": {change: func(t *testing.T, r *committee) {
			r.git(t, "switch", "-q", "-c", "change")
			r.write(t, signersOfSummit, r.signer(t, "eve", "lead", "reviewer", "M1M3 principal"))
			r.commit(t, "Eve approves everything")
			code, out := r.csu(t, nil, "approve", night, "--role", "lead", "--key", r.key("eve"))
			if code != exitRefused || !strings.Contains(out, "has none of your keys") {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			// Ada's approval as if it were Eve's, whom the branch allows.
			s := mustStatement(t, r, lead)
			s.By = "eve@lsst.org"
			r.sign(t, lead, "eve", s)
		}, says: []string{`lead-ada@lsst.org.approval does not count: key SHA256:\S+ is not in ` + signersOfSummit + ` at [0-9a-f]{12}$`, "missing: 1 lead$"}},
		"signers changed in the same pull request": {change: func(t *testing.T, r *committee) {
			r.git(t, "switch", "-q", "-c", "change")
			r.edit(t, source{signersOfSummit, "# Who may approve.\n", r.signer(t, "eve", "lead", "reviewer", "M1M3 principal")})
			r.commit(t, "Eve approves everything")
			r.edit(t, otherQueue)
			r.compile(t)
			r.commit(t, "Another queue")
			r.git(t, "switch", "-q", "main")
			r.git(t, "merge", "-q", "--no-ff", "-m", "Merge", "change")
			r.git(t, "push", "-q", "origin", "main")
			r.sign(t, lead, "eve", approval.Statement{})
		}, says: []string{`lead-ada@lsst.org.approval does not count: ` + signersOfSummit + ` was changed in the same pull request as the plan \(commit [0-9a-f]{12}\); have it changed again, if only in a comment, in a pull request of its own$`, "missing: 1 M1M3 principal, 1 lead, 1 reviewer$"}},
		"moved to another plan": {change: func(t *testing.T, r *committee) {
			r.edit(t, source{"sites/summit/approvals.cue", "approvals: full", "approvals: incremental: lead: 1\nsite: approvals: full"})
			r.compile(t)
			r.merge(t, "Incremental upgrades need a lead's approval")
			if err := os.Rename(filepath.Join(r.dir, approvalsOfNight), filepath.Join(r.dir, day+".approvals")); err != nil {
				t.Fatal(err)
			}
		}, plan: day, says: []string{`lead-ada@lsst.org.approval does not count: it approves another plan, 2026-12-15-summit-full.json$`, "missing: 1 lead$"}},
		"the author": {change: func(t *testing.T, r *committee) {
			r.edit(t, source{"sites/summit/approvals.cue", "approvals: full", "approvals: notByAuthor: true\nsite: approvals: full"})
			r.compile(t)
			r.git(t, "config", "user.email", "ada@lsst.org")
			cmd := exec.Command("git", "commit", "-q", "-a", "--author=Ada <ada@lsst.org>", "-m", "Authors do not approve")
			cmd.Dir = r.dir
			cmd.Env = append(os.Environ(), "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git commit: %v\n%s", err, out)
			}
			r.git(t, "push", "-q", "origin", "main")
			r.approveOthers(t)
			s := mustStatement(t, r, lead)
			s.Digest = mustStatement(t, r, reviewer).Digest
			r.sign(t, lead, "ada", s)
		}, says: []string{`lead-ada@lsst.org.approval does not count: ada@lsst.org is an author of the plan, and authors do not approve at this site$`, "missing: 1 lead$"}},
		"a list with a key for every role": {change: func(t *testing.T, r *committee) {
			key, err := os.ReadFile(r.key("ada") + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			only(t, r, "ada@lsst.org "+string(key))
			r.merge(t, "Ada may do everything")
		}, says: []string{`^error: ` + signersOfSummit + ` at [0-9a-f]{12}:3: the option namespaces is missing, so that the key would count for every role$`, "^hint: add the roles"}},
		"no list": {change: func(t *testing.T, r *committee) {
			r.git(t, "rm", "-q", signersOfSummit)
			r.merge(t, "Nobody")
		}, says: []string{`needs approvals, but origin/main has no file ` + signersOfSummit + `$`, "^hint: have " + signersOfSummit + " reviewed and merged, in a pull request without a plan"}},
		"a shallow clone": {change: func(t *testing.T, r *committee) {
			shallow := filepath.Join(t.TempDir(), "clone")
			r.git(t, "clone", "-q", "--depth=1", "file://"+r.dir, shallow)
			if err := os.CopyFS(filepath.Join(shallow, approvalsOfNight), os.DirFS(filepath.Join(r.dir, approvalsOfNight))); err != nil {
				t.Fatal(err)
			}
			r.dir = shallow
		}, says: []string{"came with the same commit [0-9a-f]{12} as " + signersOfSummit + ", as far as this shallow clone shows$", "^hint: run git fetch --unshallow"}},
		"the rule left out": {change: func(t *testing.T, r *committee) {
			r.git(t, "switch", "-q", "-c", "change")
			r.git(t, "rm", "-q", "sites/summit/approvals.cue")
			r.compile(t)
			r.commit(t, "No approvals")
			if err := os.RemoveAll(filepath.Join(r.dir, approvalsOfNight)); err != nil {
				t.Fatal(err)
			}
		}, plan: night + " --unreviewed hurry", says: []string{"missing: 1 M1M3 principal, 1 lead, 1 reviewer$"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newCommittee(t)
			r.approveAll(t)
			x.change(t, r)
			file := x.plan
			if file == "" {
				file = night
			}
			r.refuses(t, nil, "exec "+file, x.says...)
		})
	}
}

func mustStatement(t *testing.T, r *committee, name string) approval.Statement {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	s, err := approval.ParseStatement(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign replaces a statement, or only its signature if it is the zero value, by one that a
// key has signed.
func (r *committee) sign(t *testing.T, file, name string, s approval.Statement) {
	t.Helper()
	if s.Role == "" {
		s = mustStatement(t, r, file)
	}
	k, err := approval.KeyIn(r.key(name))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := approval.Sign(k, s)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, file, s.Text())
	r.write(t, file+".sig", signature)
}

// approveOthers renews all approvals but Ada's.
func (r *committee) approveOthers(t *testing.T) {
	t.Helper()
	r.approve(t, "bob", "reviewer")
	r.approve(t, "cyd", "M1M3 principal")
}

// TestFiveCommands: the README's way from nothing to an approval.
func TestFiveCommands(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(readme), "\n## Who approves\n")
	commands := regexp.MustCompile(`(?m)^    (.+)$`).FindAllStringSubmatch(strings.SplitN(text, "\n## ", 2)[0], 5)
	if !found || len(commands) != 5 {
		t.Fatalf("the README has %d commands for setting up approvals", len(commands))
	}
	r := &committee{newClone(t), ""}
	home, bin := t.TempDir(), t.TempDir()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, filepath.Join(bin, "csu")); err != nil {
		t.Fatal(err)
	}
	// The first command, without its questions.
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, m := range commands {
		command := m[1]
		if i == 0 {
			command = strings.Replace(command, "ssh-keygen", "ssh-keygen -q -N '' -f ~/.ssh/id_ed25519", 1)
		}
		cmd := exec.Command("sh", "-ec", command)
		cmd.Dir = r.dir
		cmd.Env = []string{"HOME=" + home, "PATH=" + bin + ":" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		switch i {
		case 1, 3:
			r.merge(t, command)
		case 4:
			if !strings.Contains(string(out), "The plan has all its approvals.") {
				t.Errorf("%s:\n%s", command, out)
			}
		}
	}
	r.ends(t, exitInput, nil, "exec "+night, passesTheGuards)
}

// TestReviewShowsApprovals: the comment on a pull request says who has approved, and what
// does not count.
func TestReviewShowsApprovals(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	review := func(code int, says ...string) {
		t.Helper()
		r.ends(t, code, nil, "plan review origin/main", says...)
	}
	r.git(t, "switch", "-q", "-c", "change")
	review(exitComplete, "^No plan is changed.$")
	r.approve(t, "ada", "lead")
	r.approve(t, "bob", "reviewer")
	review(exitComplete, "^- `"+night+"`: approved as lead by ada@lsst\\.org; approved as reviewer by bob@lsst\\.org; approvals missing: 1 M1M3 principal$")
	r.approve(t, "cyd", "M1M3 principal")
	r.commit(t, "Approvals")
	review(exitComplete, "^- `"+night+"`: approved as M1M3 principal by cyd@lsst\\.org; approved as lead by ada@lsst\\.org; approved as reviewer by bob@lsst\\.org$")
	r.edit(t, otherQueue)
	r.compile(t)
	review(exitComplete, "^[0-9]+\\. `"+night+"`: .*; approvals missing: 1 M1M3 principal, 1 lead, 1 reviewer; M1M3-principal-cyd@lsst\\.org\\.approval does not count: it approves other bytes")
	r.edit(t, source{signersOfSummit, "# Who may approve.\n", r.signer(t, "eve", "lead")})
	review(exitFailed, "does not pass", night+" changes together with "+signersOfSummit+", so none of its keys would count for the plan: change it in a pull request of its own")
	r.git(t, "checkout", "-q", "main", "--", "sites/summit/upgrade.cue", night)
	r.edit(t, source{signersOfSummit, "eve@lsst.org", "*"})
	review(exitFailed, "csu refuses this list of signers", signersOfSummit+`:1: "\*" is not the name of one person`)
}
