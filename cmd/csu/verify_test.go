package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler"
	"github.com/lsst-ts/csu/compiler/approval"
	"github.com/lsst-ts/csu/executor/journal"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
)

// volatile is what differs from run to run in what csu verify prints.
var volatile = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "KEY"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "COMMIT"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b20[0-9-]{8} [0-9:]{8} UTC`), "TIME"},
	{regexp.MustCompile(`verify-time=[0-9]{14}`), "verify-time=TIME"},
	{regexp.MustCompile(`version \S+ `), "version VERSION "},
	{regexp.MustCompile(` on \S+, TIME`), " on HOST, TIME"},
	{regexp.MustCompile(`: [0-9]+ records`), ": N records"},
	{regexp.MustCompile(`\S*/site/`), "SITE/"},
}

func settled(out string) string {
	for _, v := range volatile {
		out = v.pattern.ReplaceAllString(out, v.instead)
	}
	return out
}

// golden compares a text with a file of testdata, which CSU_UPDATE=1 renews.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if os.Getenv("CSU_UPDATE") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// TestVerify: every type of upgrade is rehearsed with three approvals. csu verifies the
// finished rehearsal, and names each part of it that is damaged.
func TestVerify(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	const three = `: {lead: 1, reviewer: 1, "M1M3 principal": 1}` + "\n"
	r.write(t, "sites/summit/approvals.cue", "package site\n\nsite: approvals: full"+three+"site: approvals: incremental"+three+"site: approvals: recovery"+three)
	r.compile(t)
	p, _, err := compiler.Compile(compiler.Request{Root: r.dir, Site: "summit", Type: plan.Recovery})
	if err != nil {
		t.Fatal(err)
	}
	data, err := plan.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, compiler.FileName(p), string(data))
	r.merge(t, "All types")
	if out := r.ends(t, exitComplete, nil, "rehearse --consent all --speed 3600 "+day, `^NOTE: a real run would be refused: plan ".*" is not approved; missing: 1 M1M3 principal, 1 lead, 1 reviewer$`); strings.Contains(out, "Approved as") {
		t.Errorf("without approvals:\n%s", out)
	}
	sites := map[string]string{}
	for _, file := range []string{compiler.FileName(p), night, day} {
		for name, role := range map[string]string{"ada": "lead", "bob": "reviewer", "cyd": "M1M3 principal"} {
			if code, out := r.csu(t, nil, "approve", file, "--role", role, "--key", r.key(name)); code != exitComplete {
				t.Fatalf("csu approve as %s: exit code %d:\n%s", role, code, out)
			}
		}
		sites[file] = filepath.Join(t.TempDir(), "site")
		r.ends(t, exitComplete, nil, "rehearse --operator Dan --consent all --dir "+sites[file]+" "+file, "^Approved as lead: ada@lsst.org, ", "^The rehearsal is complete")
		r.ends(t, exitComplete, nil, "verify --site-map "+sites[file]+"/site-map.json "+file, "^Verified: the plan is approved; what ran is what is here.$")
	}
	verify := "verify " + day + " --site-map " + sites[day] + "/site-map.json"
	out := r.ends(t, exitComplete, nil, verify+" --explain")
	golden(t, "verify.golden", settled(out))

	// What --explain prints can be pasted.
	_, script, _ := strings.Cut(out, "To repeat the checks, in the project's folder:\n")
	script, _, _ = strings.Cut(script, "\nVerified: ")
	said := r.sh(t, script)
	if n := strings.Count(said, `Good "`); n != 6 {
		t.Errorf("%d good signatures, want 3 at 2 times:\n%s", n, said)
	}
	for _, hash := range regexp.MustCompile(`(?:  digest |the last has the hash )([0-9a-f]{64})`).FindAllStringSubmatch(out, -1) {
		if !strings.Contains(said, hash[1]) {
			t.Errorf("the commands do not print %s:\n%s", hash[1], said)
		}
	}

	lines := sites[day] + "/" + filepath.Base(day) + ".journal"
	lead := filepath.Join(r.dir, day+".approvals/lead-ada@lsst.org.approval")
	for name, x := range map[string]struct {
		file   string
		change func(string) string // nil removes the file
		says   []string
	}{
		"plan":    {filepath.Join(r.dir, day), replaced(`"reason": "`, `"reason": "Not `), []string{"is not what the sources of commit", "is not the one in origin/main", "lead-ada@lsst.org.approval does not count: it approves other bytes of the plan", "^hint: the lines marked FAILED say why"}},
		"journal": {lines, replaced(`"event":"stage"`, `"event":"stagf"`), []string{`^  FAILED journal ".*": line [0-9]+ is damaged: the line does not match its own hash`}},
		"line removed": {lines, func(s string) string {
			i := strings.Index(s, "\n") + 1
			j := i + strings.Index(s[i:], "\n") + 1
			return s[:i] + s[j:]
		}, []string{`^  FAILED journal ".*": line 2 is damaged: its number is 3: lines were removed`}},
		"other journal":  {lines, func(string) string { return read(t, sites[night]+"/"+filepath.Base(night)+".journal") }, []string{"^  FAILED .*this journal belongs to another plan"}},
		"signature":      {lead + ".sig", func(string) string { return read(t, strings.Replace(lead, "lead-ada", "reviewer-bob", 1)+".sig") }, []string{`^  FAILED lead-ada@lsst.org.approval does not count: it is signed in the namespace "reviewer@csu.lsst.org"`, "^  FAILED the run went by an approval of ada@lsst.org as lead, key SHA256:.*, which is not in .* or has been changed$"}},
		"outcomes gone":  {lines, gutted(journal.Outcome), []string{"^  -      the content of [0-9]+ records is gone: not checked$", "^  FAILED step begin/.* has no outcome, although the run has ended: it is started$"}},
		"guards gone":    {lines, gutted(journal.Guarded), []string{"^  FAILED the content of [0-9]+ records? is gone while no step was running: csu leaves out only the notes of running steps$"}},
		"stages gone":    {lines, gutted(journal.StageBegun), []string{"^  FAILED the run is complete, but the journal does not say that [0-9]+ of its stages began$"}},
		"consents gone":  {lines, gutted(journal.Answered), []string{"^  FAILED stage begin began without a consent$"}},
		"statement":      {lead, replaced("role: lead", "role: reviewer"), []string{"^  FAILED lead-ada@lsst.org.approval does not count"}},
		"approval moved": {lead, nil, []string{"^  FAILED the run went by an approval of ada@lsst.org as lead"}},
	} {
		was := read(t, x.file)
		if x.change == nil {
			if err := os.Remove(x.file); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(x.file, []byte(x.change(was)), 0o600); err != nil {
			t.Fatal(err)
		}
		command := verify
		if name == "plan" {
			command = "verify " + day // the site map names another digest
		}
		out := r.ends(t, exitFailed, nil, command, append(x.says, `^error: plan ".*" is not verified: [0-9]+ checks? failed$`)...)
		if strings.Contains(out, "Verified:") {
			t.Errorf("%s: csu verifies it all the same:\n%s", name, out)
		}
		if err := os.WriteFile(x.file, []byte(was), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A copy of a journal lacks the notes of steps that have an outcome.
	full := read(t, lines)
	if err := os.WriteFile(lines, []byte(gutted(journal.Noted)(full)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ends(t, exitComplete, nil, verify, "^  -      the content of [0-9]+ records is gone: not checked$", `^Verified: the plan is approved; what ran is what is here, but for the content of [0-9]+ records\.$`)
	if err := os.WriteFile(lines, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	// What a cut journal lacks only the cluster knows, and csu says so.
	cut := read(t, lines)
	for range 3 {
		cut = cut[:strings.LastIndex(strings.TrimSuffix(cut, "\n"), "\n")+1]
	}
	if err := os.WriteFile(lines, []byte(cut+`{"seq":`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ends(t, exitComplete, nil, verify, "^  -      it has not ended: the last record is of ", "^  -      the journal's last line is torn and does not count: ", `^Verified: the plan is approved; the run has not ended: ([0-9]+) of ([0-9]+) stages began, as far as this journal shows: its end is not checked \(--online\)\.$`, "^  -      not checked: whether the cluster keeps the same head of the journal")

	// The signers' list may change later: the run went by that of its time.
	r.write(t, signersOfSummit, r.signer(t, "eve", "lead"))
	r.merge(t, "All have left")
	r.ends(t, exitComplete, nil, verify, "^  -      key SHA256:.* of ada@lsst.org as lead is no longer in the list: commit [0-9a-f]{12} of .* removed it, after the run began$")
	r.ends(t, exitFailed, nil, "verify "+day, "^  FAILED missing: 1 M1M3 principal, 1 lead, 1 reviewer$")
}

// gutted replaces each record of an event by one that has only its hash: the chain is whole.
func gutted(e journal.Event) func(string) string {
	record := regexp.MustCompile(`^(\{"seq":.*?,"event":")` + string(e) + `".*,"hash":"([0-9a-f]{64})"\}\n$`)
	return func(s string) string {
		var b strings.Builder
		for line := range strings.Lines(s) {
			if m := record.FindStringSubmatch(line); m != nil {
				line = m[1] + `elided","original":"` + m[2] + `"`
				line += fmt.Sprintf(`,"hash":"%x"}`+"\n", sha256.Sum256([]byte(line)))
			}
			b.WriteString(line)
		}
		return b.String()
	}
}

func replaced(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestVerifyOnline: the head that the cluster keeps finds a journal that was cut.
func TestVerifyOnline(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	site := serve(t, filepath.Join(r.dir, day), 3600)
	flags := day + " --site-map " + site + "/" + rehearsal.MapFile
	verify := "verify --online " + flags
	r.ends(t, exitComplete, nil, verify, "^  -      the plan was not carried out here: ", "^  -      the plan asks for no approvals$", "^  -      not checked: there is no journal to compare$", "^Verified: the plan is reviewed; it was not carried out here.$")
	r.ends(t, exitComplete, nil, "exec --consent all --until begin "+flags)
	r.ends(t, exitComplete, nil, verify, "^  ok     the cluster keeps the same head: record [0-9]+ with the hash [0-9a-f]{64}$", "^  -      stages that did not begin: [0-9]+$")
	name := site + "/" + filepath.Base(day) + ".journal"
	whole := read(t, name)
	for range 2 {
		s := read(t, name)
		if err := os.WriteFile(name, []byte(s[:strings.LastIndex(strings.TrimSuffix(s, "\n"), "\n")+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.ends(t, exitFailed, nil, verify, "^  FAILED the cluster keeps record [0-9]+ with the hash [0-9a-f]{64}, which this journal does not have$")
	if err := os.WriteFile(name, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ends(t, exitComplete, nil, "exec --resume --skip-preflight hurry --consent all "+flags)
	r.ends(t, exitComplete, nil, verify, "^  -      the run passed a guard all the same: .* continued without preflight: hurry$", "^Verified: .*; it ran without preflight\\.$", "^  ok     it ended as complete at ", "^  ok     the cluster keeps the same head: record [0-9]+")
	// Without the cluster's answer nothing is compared.
	if err := os.Remove(filepath.Join(site, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	r.ends(t, exitFailed, nil, verify, "^  FAILED cannot read the site's ledger: ")
}

// TestEmergency: a plan runs without an approval if a named approver owes it; the site's
// channel reads of it, and csu verify shows it until it is paid.
func TestEmergency(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	r.approve(t, "ada", "lead")
	r.approve(t, "cyd", "M1M3 principal")
	emergency := func(approver string) string {
		return "exec --emergency fire --approver " + approver + " " + night
	}
	r.ends(t, exitInput, nil, "exec --emergency fire "+night, "^error: --emergency: who owes the approval is missing$", "^hint: give --approver NAME, one of bob@lsst.org$")
	for approver, says := range map[string]string{
		"bib@lsst.org": signersOfSummit + " at [0-9a-f]{12} has no such person$",
		"ada@lsst.org": "ada@lsst.org has approved already, and nobody counts twice$",
	} {
		r.ends(t, exitInput, nil, emergency(approver), `^error: --approver "`+approver+`": `+says, "^hint: give one of bob@lsst.org$")
	}
	warning := `^warning: plan ".*" is not approved; missing: 1 reviewer; it is carried out in an emergency: fire; bob@lsst.org owes an approval$`
	r.ends(t, exitInput, nil, emergency("bob@lsst.org"), warning, passesTheGuards)

	site := serve(t, filepath.Join(r.dir, night), 3600)
	flags := " --site-map " + site + "/" + rehearsal.MapFile
	r.ends(t, exitComplete, nil, emergency("bob@lsst.org")+flags+" --operator Dan --consent all --until begin", warning)
	const announced = "Emergency: Dan begins the full upgrade of summit (2026-12-15-summit-full.json) without all approvals; missing: 1 reviewer. Reason: fire. bob@lsst.org owes an approval."
	var posted []string
	effects, err := rehearsal.ReadRecord(filepath.Join(site, rehearsal.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range effects {
		if e.Kind == rehearsal.MessagePosted {
			posted = append(posted, e.Detail)
		}
	}
	if len(posted) == 0 || posted[0] != announced {
		t.Errorf("posted %q, want first %q", posted, announced)
	}
	var guards []string
	name := site + "/" + filepath.Base(night) + ".journal"
	if err := journal.Read(journal.Disk, name, func(rec *journal.Record) error {
		if rec.Event == journal.Guarded {
			guards = append(guards, rec.Text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"to be announced on #summit-announce: " + announced, "announced on #summit-announce"} {
		if !slices.Contains(guards, want) {
			t.Errorf("the journal does not have %q: %q", want, guards)
		}
	}
	const owed = `^  FAILED OWED: bob@lsst.org has not yet given a missing approval \(1 reviewer\): csu approve ` + night + " --role ROLE$"
	r.ends(t, exitFailed, nil, "verify "+night+flags, "^  -      EMERGENCY: the run began without 1 reviewer: fire$", owed)
	// An approval that was not missing does not pay it.
	r.approve(t, "bob", "lead")
	r.ends(t, exitFailed, nil, "verify "+night+flags, owed)
	for _, end := range []string{"", ".sig"} {
		if err := os.Remove(filepath.Join(r.dir, approvalsOfNight, "lead-bob@lsst.org.approval"+end)); err != nil {
			t.Fatal(err)
		}
	}
	r.approve(t, "bob", "reviewer")
	const paid = "^  ok     bob@lsst.org has given the approval that was owed: reviewer, "
	r.ends(t, exitComplete, nil, "verify "+night+flags, paid, "^Verified: the plan is begun in an emergency, and the owed approval is there; the run has not ended: 1 of [0-9]+ stages began, as far as this journal shows: its end is not checked")
	// Bob has paid, whatever becomes of him and his key.
	r.merge(t, "Bob's approval")
	r.write(t, signersOfSummit, r.signer(t, "ada", "lead")+r.signer(t, "cyd", "M1M3 principal")+r.signer(t, "eve", "reviewer"))
	r.merge(t, "Bob leaves")
	r.ends(t, exitComplete, nil, "verify "+night+flags, paid)
	// A debt is not paid by a key that the list no longer had when the approval was merged.
	r.git(t, "rm", "-q", "-r", approvalsOfNight)
	r.merge(t, "All approvals withdrawn")
	r.git(t, "checkout", "-q", "HEAD~1", "--", approvalsOfNight)
	r.ends(t, exitFailed, nil, "verify "+night+flags, owed)
	r.merge(t, "Bob's approval again")
	r.ends(t, exitFailed, nil, "verify "+night+flags, owed)
}

// TestVerifyForgedJournal: what a journal says of the approvals is compared with the
// project.
func TestVerifyForgedJournal(t *testing.T) {
	t.Parallel()
	r := newCommittee(t)
	r.approveAll(t)
	r.merge(t, "The approvals")
	p, _, err := plan.ReadFile(filepath.Join(r.dir, night))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	main := r.commitOf(t, "origin/main")
	list := approvalDigest(t, r)
	before := r.commitOf(t, "main~2") // has the list, but not the plan
	// A branch that changed the list and took it back was never the list.
	r.git(t, "switch", "-q", "-c", "detour")
	r.edit(t, source{signersOfSummit, "# Who may approve.\n", ""})
	r.commit(t, "Another list")
	detour := r.commitOf(t, "HEAD")
	r.git(t, "checkout", "-q", "main", "--", signersOfSummit)
	r.commit(t, "The list again")
	r.git(t, "switch", "-q", "main")
	r.git(t, "merge", "-q", "--no-ff", "-m", "Merge", "detour")
	r.write(t, signersOfSummit, r.signer(t, "bob", "lead", "reviewer")+r.signer(t, "cyd", "M1M3 principal"))
	r.merge(t, "Ada's key was stolen")
	all := func(a *journal.Approved) *journal.Approved {
		for _, f := range approval.Read(filepath.Join(r.dir, approvalsOfNight)) {
			s, err := approval.ParseStatement(f.Statement)
			if err != nil {
				t.Fatal(err)
			}
			a.By = append(a.By, journal.Approval{Role: s.Role, By: s.By, Time: s.Time, Digest: f.Digest()})
		}
		a.Time = a.Time.Add(time.Hour)
		return a
	}
	r.git(t, "switch", "-q", "-c", "change")
	r.write(t, signersOfSummit, r.signer(t, "eve", "lead", "reviewer", "M1M3 principal"))
	r.commit(t, "Eve approves everything")
	branch := r.commitOf(t, "HEAD")
	r.git(t, "switch", "-q", "main")
	for name, x := range map[string]struct {
		change func(a *journal.Approved) *journal.Approved
		says   string
	}{
		"not recorded":              {func(*journal.Approved) *journal.Approved { return nil }, "^  FAILED the journal does not say whose approvals the run went by$"},
		"list of a branch":          {func(a *journal.Approved) *journal.Approved { a.Signers.Commit = branch; return a }, "^  FAILED commit " + branch[:12] + ", which has the signers' file, is not part of origin/main's first-parent history$"},
		"list of a merged branch":   {func(a *journal.Approved) *journal.Approved { a.Signers.Commit = detour; return a }, "^  FAILED commit " + detour[:12] + ", which has the signers' file, is not part of origin/main's first-parent history$"},
		"a removed key":             {all, "^  FAILED key SHA256:.* of ada@lsst.org as lead is no longer in the list: commit [0-9a-f]{12} of .* removed it, before the run began$"},
		"a commit without the plan": {func(a *journal.Approved) *journal.Approved { a.Signers.Commit = before; return all(a) }, "^  FAILED commit " + before[:12] + ", which has the signers' file, does not have this plan, and the journal has no --unreviewed$"},
		"unknown commit":            {func(a *journal.Approved) *journal.Approved { a.Signers.Commit = strings.Repeat("ab", 20); return a }, "^  FAILED commit (ab){20}, which has the signers' file, is not in this repository: run git fetch$"},
		"other list":                {func(a *journal.Approved) *journal.Approved { a.Signers.Digest = strings.Repeat("ab", 32); return a }, "^  FAILED " + signersOfSummit + " at .* has the digest " + list + ", but the run went by one of (ab){32}$"},
		"went by none":              {func(a *journal.Approved) *journal.Approved { return a }, "^  FAILED the run began without 1 M1M3 principal, 1 lead, 1 reviewer$"},
		"an approval": {func(a *journal.Approved) *journal.Approved {
			a.By = []journal.Approval{{Role: "lead", By: "eve", Key: "SHA256:x", Digest: "x"}}
			return a
		}, "^  FAILED the run went by an approval of eve as lead, key SHA256:x, which is not in "},
		"before the signing": {func(a *journal.Approved) *journal.Approved { a.Time = a.Time.Add(-time.Hour); return a }, "^  -      lead-ada@lsst.org.approval does not count: it is dated "},
	} {
		a := x.change(&journal.Approved{Time: time.Now().UTC().Truncate(time.Second), By: []journal.Approval{}, Signers: journal.Signers{File: signersOfSummit, Commit: main, Digest: list}})
		file := filepath.Join(r.dir, night+".journal")
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		j, err := journal.Create(journal.Disk, file, journal.Record{Event: journal.RunBegun, Time: time.Now(), Run: &journal.Run{Format: journal.Format, ID: "r1", Digest: digest, Approved: a}})
		if err == nil {
			err = j.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		code, out := r.csu(t, nil, "verify", night)
		if !regexp.MustCompile("(?m)"+x.says).MatchString(out) || code != exitFailed {
			t.Errorf("%s: exit code %d, want %q:\n%s", name, code, x.says, out)
		}
	}
	// A run that was not reviewed says so.
	file := filepath.Join(r.dir, night+".journal")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	a := all(&journal.Approved{Time: time.Now().UTC().Truncate(time.Second), Signers: journal.Signers{File: signersOfSummit, Commit: before, Digest: list}})
	j, err := journal.Create(journal.Disk, file, journal.Record{Event: journal.RunBegun, Time: time.Now(), Run: &journal.Run{Format: journal.Format, ID: "r1", Digest: digest, Approved: a}})
	if err == nil {
		_, err = j.Append(journal.Record{Event: journal.Guarded, Time: time.Now(), Text: "not merged" + nevertheless + "hurry"})
		err = errors.Join(err, j.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	r.ends(t, exitFailed, nil, "verify "+night, "^  -      the run passed a guard all the same: not merged; it is carried out nevertheless: hurry$", `^error: plan ".*" is not verified: 1 check failed$`) // Ada's key
	// Outside of the project nothing can be verified.
	elsewhere := &repository{t.TempDir()}
	elsewhere.write(t, "p.json", read(t, filepath.Join(r.dir, night)))
	elsewhere.ends(t, exitFailed, nil, "verify p.json", "^  FAILED plan .* cannot be compared with its sources: ", "^  FAILED csu cannot verify them without the project's repository$")
}

func approvalDigest(t *testing.T, r *committee) string {
	t.Helper()
	s, err := approval.ParseSigners(signersOfSummit, read(t, filepath.Join(r.dir, signersOfSummit)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Digest()
}

func (r *committee) commitOf(t *testing.T, revision string) string {
	t.Helper()
	return strings.TrimSpace(r.sh(t, "git rev-parse "+revision))
}

// sh runs a script in the project's folder, which must succeed, and returns its output.
func (r *committee) sh(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}
