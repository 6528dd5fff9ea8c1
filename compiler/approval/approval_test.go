package approval

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
)

var (
	noon   = time.Date(2026, 12, 14, 12, 0, 0, 0, time.UTC)
	digest = strings.Repeat("ab", 32)
)

const planFile = "plans/2026-12-15-summit-full-attempt2.json"

// newPlan returns a plan that a lead and a reviewer must approve.
func newPlan() *plan.Plan {
	p := &plan.Plan{Upgrade: plan.Upgrade{Attempt: 2}}
	p.Facts.Approvals = &plan.Approvals{Roles: []plan.Need{{Role: "M1M3 principal", Count: 1}, {Role: "lead", Count: 1}, {Role: "reviewer", Count: 1}}}
	return p
}

// newKey makes a key of a type, without a passphrase.
func newKey(t *testing.T, typ string) Key {
	t.Helper()
	file := filepath.Join(t.TempDir(), "id")
	keygen(t, "", "-q", "-t", typ, "-N", "", "-C", "a key", "-f", file)
	k, err := KeyIn(file)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keygen runs ssh-keygen as a person does, and returns what it prints.
func keygen(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("ssh-keygen", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// public returns the line of a key's public file, without its comment.
func public(t *testing.T, k Key) string {
	t.Helper()
	data, err := os.ReadFile(strings.TrimSuffix(k.File, ".pub") + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimSpace(string(data)), " a key")
}

func signersOf(t *testing.T, text string) *Signers {
	t.Helper()
	s, err := ParseSigners("sites/summit/allowed_signers", text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// approve signs as csu approve does.
func approve(t *testing.T, k Key, role, by string) File {
	t.Helper()
	s := Of(newPlan(), planFile, digest, role, by, noon)
	sig, err := Sign(k, s)
	if err != nil {
		t.Fatal(err)
	}
	return File{Name: s.FileName(), Statement: s.Text(), Signature: sig}
}

func count(t *testing.T, signers *Signers, at time.Time, files ...File) *Tally {
	t.Helper()
	got, err := Count(Question{Plan: newPlan(), Need: newPlan().Facts.Approvals, PlanFile: planFile, Digest: digest, Files: files, Signers: signers, Authors: []string{"ada@lsst.org"}, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestEveryKindOfKey: csu verifies what ssh-keygen has signed, and the reverse, with keys
// in files and in an agent.
func TestEveryKindOfKey(t *testing.T) {
	for _, typ := range []string{"ed25519", "ecdsa", "rsa", "agent"} {
		t.Run(typ, func(t *testing.T) {
			k := newKey(t, map[bool]string{true: "ed25519", false: typ}[typ == "agent"])
			line := public(t, k)
			if typ == "agent" {
				agent(t, k)
			}
			signers := signersOf(t, `ada@lsst.org namespaces="M1M3 principal@csu.lsst.org,git" `+line+" laptop\n")
			dir := t.TempDir()

			// csu signs, stock ssh-keygen verifies.
			if typ == "agent" {
				k = Keys(context.Background())[0]
			}
			f := approve(t, k, "M1M3 principal", "ada@lsst.org")
			s, err := ParseStatement(f.Statement)
			if err != nil {
				t.Fatal(err)
			}
			name, err := Write(Dir(filepath.Join(dir, "p.json")), s, f.Signature)
			if err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(dir, "allowed_signers")
			if err := os.WriteFile(list, []byte(signers.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			explained := exec.Command("sh", "-c", Explain(s, list, name, noon))
			if out, err := explained.CombinedOutput(); err != nil || !strings.Contains(string(out), `Good "M1M3 principal@csu.lsst.org" signature for ada@lsst.org with`) {
				t.Errorf("%s: %v\n%s", explained.Args[2], err, out)
			}
			if out, err := exec.Command("sh", "-c", strings.Replace(Explain(s, list, name, noon), "ada@", "bob@", 1)).CombinedOutput(); err == nil {
				t.Errorf("ssh-keygen verifies it for another person, too:\n%s", out)
			}

			// Stock ssh-keygen signs, csu verifies.
			if err := os.Remove(name + ".sig"); err != nil {
				t.Fatal(err)
			}
			keygen(t, "", "-Y", "sign", "-f", file(t, k, dir), "-n", Namespace(s.Role), name)
			files := Read(Dir(filepath.Join(dir, "p.json")))
			if len(files) != 1 {
				t.Fatalf("read %d approvals", len(files))
			}
			got := count(t, signers, noon, files...)
			if len(got.Counted) != 1 || got.Counted[0].Key != strings.Fields(keygen(t, line, "-l", "-f", "-"))[1] {
				t.Errorf("counted %+v, refused %+v", got.Counted, got.Refused)
			}
			if MissingText(got.Missing) != "1 lead, 1 reviewer" {
				t.Errorf("missing: %s", MissingText(got.Missing))
			}
		})
	}
}

// file returns the key's file for ssh-keygen.
func file(t *testing.T, k Key, dir string) string {
	t.Helper()
	if k.File != "" {
		return k.File
	}
	name := filepath.Join(dir, "agent.pub")
	if err := os.WriteFile(name, []byte(k.line), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// agent starts an agent that alone has the key from now on.
func agent(t *testing.T, k Key) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Setenv("SSH_AUTH_SOCK", socket)
	t.Setenv("HOME", t.TempDir())
	limit := time.Now().Add(time.Minute)
	for {
		out, err := exec.Command("ssh-add", "-q", k.File).CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("ssh-add: %v\n%s", err, out)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := os.Remove(k.File); err != nil {
		t.Fatal(err)
	}
}

// TestRefused: an approval that is not what it seems does not count, and csu says why.
func TestRefused(t *testing.T) {
	ada, bob, eve, old, next := newKey(t, "ed25519"), newKey(t, "ed25519"), newKey(t, "ed25519"), newKey(t, "ed25519"), newKey(t, "ed25519")
	signers := signersOf(t, strings.Join([]string{
		"# who may approve",
		`ada@lsst.org namespaces="lead@csu.lsst.org,reviewer@csu.lsst.org" ` + public(t, ada),
		`bob@lsst.org namespaces="lead@csu.lsst.org" ` + public(t, bob),
		`ada@lsst.org namespaces="lead@csu.lsst.org",valid-before="20261201" ` + public(t, old),
		`cyd@lsst.org namespaces="lead@csu.lsst.org",valid-after="20270101" ` + public(t, next),
	}, "\n"))
	good := approve(t, ada, "lead", "ada@lsst.org")
	if got := count(t, signers, noon, good); len(got.Counted) != 1 {
		t.Fatalf("the good one does not count: %+v", got.Refused)
	}
	// signed returns a statement as it never was, with a good signature of it.
	signed := func(k Key, namespace string, change func(*Statement)) File {
		s := Of(newPlan(), planFile, digest, "lead", "ada@lsst.org", noon)
		change(&s)
		name := filepath.Join(t.TempDir(), "statement")
		if err := os.WriteFile(name, []byte(s.Text()), 0o600); err != nil {
			t.Fatal(err)
		}
		keygen(t, "", "-Y", "sign", "-f", k.File, "-n", namespace, name)
		f := File{Name: "x", Statement: s.Text()}
		sig, err := os.ReadFile(name + ".sig")
		if err != nil {
			t.Fatal(err)
		}
		f.Signature = string(sig)
		return f
	}
	lead := Namespace("lead")
	edited := func(from, to string) File {
		f := good
		if f.Statement = strings.Replace(f.Statement, from, to, 1); f.Statement == good.Statement {
			t.Fatalf("the statement has no %q", from)
		}
		return f
	}
	flipped := good
	at := len(flipped.Signature) / 2
	for flipped.Signature[at] == 'A' || flipped.Signature[at] == '\n' {
		at++
	}
	flipped.Signature = flipped.Signature[:at] + "A" + flipped.Signature[at+1:]
	unsigned, other := good, good
	unsigned.Signature, other.Signature = "", "-----BEGIN PGP SIGNATURE-----\n"
	for name, x := range map[string]struct {
		file File
		says string
	}{
		"other bytes of the plan":   {signed(ada, lead, func(s *Statement) { s.Digest = strings.Repeat("cd", 32) }), "it approves other bytes of the plan (digest cdcdcdcdcdcd…, this plan's is abababababab…)"},
		"digest edited":             {edited(strings.Repeat("ab", 32), strings.Repeat("cd", 32)), "it approves other bytes of the plan"},
		"another plan":              {signed(ada, lead, func(s *Statement) { s.Plan = "2026-11-24-summit-incremental.json" }), "it approves another plan, 2026-11-24-summit-incremental.json"},
		"an older attempt":          {signed(ada, lead, func(s *Statement) { s.Attempt = 1 }), "it approves attempt 1, and this plan is attempt 2"},
		"role edited":               {edited("role: lead", "role: reviewer"), `it is signed in the namespace "lead@csu.lsst.org", not "reviewer@csu.lsst.org"`},
		"a role that is not theirs": {approve(t, bob, "reviewer", "bob@lsst.org"), `key is not permitted for use in signature namespace "reviewer@csu.lsst.org"`},
		"a role of no plan":         {signed(ada, Namespace("astronomer"), func(s *Statement) { s.Role = "astronomer" }), "the plan needs no approval as astronomer"},
		"another namespace":         {signed(ada, "git", func(*Statement) {}), `it is signed in the namespace "git", not "lead@csu.lsst.org"`},
		"another person":            {signed(ada, lead, func(s *Statement) { s.By = "bob@lsst.org" }), "it says that bob@lsst.org approves, but key " + Fingerprint(ada.Blob) + " is that of ada@lsst.org"},
		"a key that is not allowed": {approve(t, eve, "lead", "ada@lsst.org"), "key " + Fingerprint(eve.Blob) + " is not in sites/summit/allowed_signers"},
		"a key no longer allowed":   {approve(t, old, "lead", "ada@lsst.org"), "key has expired"},
		"backdated":                 {signed(old, lead, func(s *Statement) { s.Time = noon.AddDate(0, -1, 0) }), "key has expired"},
		"a key not yet allowed":     {approve(t, next, "lead", "cyd@lsst.org"), "key is not yet valid"},
		"dated before it was valid": {signed(next, lead, func(s *Statement) { s.By = "cyd@lsst.org" }), "key is not yet valid"},
		"of the future":             {signed(ada, lead, func(s *Statement) { s.Time = noon.Add(time.Hour) }), "it is dated 2026-12-14 13:00:00 UTC, after 2026-12-14 12:00:00 UTC"},
		"time edited":               {edited("12:00:00Z", "11:00:00Z"), "ssh-keygen: Signature verification failed: incorrect signature"},
		"signature damaged":         {flipped, ""},
		"no signature":              {unsigned, "its signature, " + filepath.Base(good.Name) + ".sig, is missing"},
		"not a signature":           {other, "the signature is not one of ssh-keygen -Y sign"},
		"a further line":            {File{Name: "x", Statement: good.Statement + "note: x\n", Signature: good.Signature}, "it is no statement of csu approve: it has other lines"},
		"Windows' line ends":        {File{Name: "x", Statement: good.Statement, Signature: strings.ReplaceAll(good.Signature, "\n", "\r\n")}, "the signature: it has Windows line ends; run git config core.autocrlf false"},
		"Windows' in the statement": {File{Name: "x", Statement: strings.ReplaceAll(good.Statement, "\n", "\r\n"), Signature: good.Signature}, "it is no statement of csu approve: it has Windows line ends"},
		"not a statement":           {File{Name: "x", Statement: "hello\n", Signature: good.Signature}, `its first line is "hello", not "csu-approval/1"`},
	} {
		got := count(t, signers, noon, x.file)
		if len(got.Counted) != 0 || len(got.Refused) != 1 || len(got.Missing) != 3 {
			t.Errorf("%s: counted %+v, refused %+v", name, got.Counted, got.Refused)
		} else if !strings.Contains(got.Refused[0].Reason, x.says) {
			t.Errorf("%s: %q, want %q", name, got.Refused[0].Reason, x.says)
		}
	}

	// Nobody counts twice: neither in one role nor in two, nor with two keys.
	second := approve(t, ada, "reviewer", "ada@lsst.org")
	same := good
	same.Name = "other" + Extension
	oldest := signed(old, lead, func(s *Statement) { s.Time = noon.AddDate(0, -1, 0) })
	for name, files := range map[string][]File{"two roles": {good, second}, "one role": {good, same}, "two keys": {good, oldest}} {
		when := noon
		if name == "two keys" {
			when = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
			files[0] = signed(ada, lead, func(s *Statement) { s.Time = when })
		}
		got := count(t, signers, when, files...)
		if len(got.Counted) != 1 || len(got.Missing) != 2 || len(got.Refused) != 1 || !strings.Contains(got.Refused[0].Reason, "nobody counts twice") {
			t.Errorf("%s: counted %+v, refused %+v", name, got.Counted, got.Refused)
		}
	}

	p := newPlan()
	p.Facts.Approvals.NotByAuthor = true
	// Git is told an address in any spelling.
	got, err := Count(Question{Plan: p, Need: p.Facts.Approvals, PlanFile: planFile, Digest: digest, Files: []File{good, approve(t, bob, "lead", "bob@lsst.org")}, Signers: signers, Authors: []string{"ADA@lsst.org"}, At: noon})
	if err != nil || len(got.Refused) != 1 || got.Refused[0].Reason != "ada@lsst.org is an author of the plan, and authors do not approve at this site" || len(got.Counted) != 1 {
		t.Errorf("the author: %+v, %v", got, err)
	}
}

// TestSigners: a line that could mean more than it says is refused, with its number.
func TestSigners(t *testing.T) {
	ada, bob := public(t, newKey(t, "ed25519")), public(t, newKey(t, "ecdsa"))
	const roles = ` namespaces="lead@csu.lsst.org" `
	s := signersOf(t, "\n# people\nada@lsst.org"+roles+ada+"\r\n\tbob namespaces=\"lead@csu.lsst.org\",VALID-AFTER=\"20260101Z\"\t"+bob+" the \"laptop\"\nada@lsst.org namespaces=\"git\" "+ada)
	if got := strings.Join(s.People(), " "); got != "ada@lsst.org bob" {
		t.Errorf("people: %s", got)
	}
	if len(s.Digest()) != 64 {
		t.Errorf("digest: %s", s.Digest())
	}
	for line, says := range map[string]string{
		"ada@lsst.org " + ada:                                                      "the option namespaces is missing, so that the key would count for every role",
		`ada@lsst.org valid-before="20270101" ` + ada:                              "the option namespaces is missing or empty",
		`ada@lsst.org namespaces="" ` + ada:                                        "the option namespaces is missing or empty",
		"ada@lsst.org,bob@lsst.org" + roles + ada:                                  `"ada@lsst.org,bob@lsst.org" is not the name of one person`,
		"*@lsst.org" + roles + ada:                                                 `"*@lsst.org" is not the name of one person`,
		`"ada@lsst.org"` + roles + ada:                                             "is not the name of one person",
		`ada cert-authority,namespaces="lead" ` + ada:                              `csu does not know the option "cert-authority"`,
		`ada namespaces="a\" ` + ada + `" ` + bob:                                  "a backslash is not accepted",
		"ada" + roles + "ssh-ed25519":                                              "the key is missing",
		"ada" + roles + "ssh-rsa " + ada[12:]:                                      `the key is not of the type "ssh-rsa"`,
		"ada" + roles + "ssh-ed25519 AAAA$":                                        `"AAAA$" is not a public key`,
		"ada" + roles + "ssh-rsa-cert-v01@openssh.com AA":                          "a certificate is not accepted",
		`ada namespaces=lead@csu.lsst.org ` + ada:                                  "the value of namespaces is not in double quotes",
		`ada namespaces="lead@csu.lsst.org"x ` + ada:                               "the value of namespaces is not in double quotes",
		`ada namespaces="*" ` + ada:                                                `namespaces: "*" is not the name of one namespace`,
		`ada namespaces="lead, git" ` + ada:                                        `namespaces: " git" is not the name of one namespace`,
		`ada namespaces="!git,lead" ` + ada:                                        `namespaces: "!git" is not the name of one namespace`,
		`ada namespaces="a",namespaces="b" ` + ada:                                 "it has the option namespaces twice",
		`ada namespaces="a",valid-before="soon" ` + ada:                            `valid-before: "soon" is not a date`,
		`ada namespaces="a",valid-after="20270230" ` + ada:                         `valid-after: "20270230" is not a date`,
		`ada namespaces="a",valid-after="2027010" ` + ada:                          `valid-after: "2027010" is not a date`,
		`ada namespaces="a",valid-after="20270101",valid-before="20260101" ` + ada: "the key is never valid",
		"ada@lsst.org" + roles + ada + "\nAda@LSST.org" + roles + bob:              `allowed_signers:3: "Ada@LSST.org" is another spelling of "ada@lsst.org"`,
		"ada": "got 1 words",
		"ada" + roles + ada + "\nbob" + roles + ada: `allowed_signers:3: the key is also that of "ada"`,
	} {
		_, err := ParseSigners("allowed_signers", "# people\n"+line+"\n")
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "allowed_signers:") || exit.HintOf(err) == "" || exit.CodeOf(err) != exit.Refused {
			t.Errorf("%s\n%v (hint %q), want %q", line, err, exit.HintOf(err), says)
		}
	}
}

// TestNoKeygen: without ssh-keygen nothing is approved, and csu says what to install.
func TestNoKeygen(t *testing.T) {
	k := newKey(t, "ed25519")
	f := approve(t, k, "lead", "ada@lsst.org")
	signers := signersOf(t, `ada@lsst.org namespaces="lead@csu.lsst.org" `+public(t, k))
	t.Setenv("PATH", "")
	_, err := Count(Question{Plan: newPlan(), Need: newPlan().Facts.Approvals, PlanFile: planFile, Digest: digest, Files: []File{f}, Signers: signers, At: noon})
	_, signing := Sign(k, Of(newPlan(), planFile, digest, "lead", "ada@lsst.org", noon))
	for _, err := range []error{err, signing} {
		if err == nil || exit.CodeOf(err) != exit.Refused || exit.HintOf(err) != "install OpenSSH's client, 8.7 or later" {
			t.Errorf("%v (hint %q)", err, exit.HintOf(err))
		}
	}
}

// TestFiles: what cannot be read or signed is reported by name.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("not an approval"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := KeyIn(filepath.Join(dir, "README")); err == nil || exit.CodeOf(err) != exit.Input {
		t.Errorf("no public key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.pub"), []byte("hello world\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := KeyIn(filepath.Join(dir, "bad.pub")); err == nil || !strings.Contains(err.Error(), "bad.pub") {
		t.Errorf("not a public key: %v", err)
	}
	k := newKey(t, "ed25519")
	if err := os.Remove(k.File); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	if _, err := Sign(k, Of(newPlan(), planFile, digest, "lead", "ada", noon)); err == nil || !strings.Contains(err.Error(), Fingerprint(k.Blob)) || exit.HintOf(err) == "" {
		t.Errorf("no private key: %v", err)
	}
}

// TestOneKeyTwoEncodings: a key in another encoding would be a second person's, since
// ssh-keygen compares the numbers.
func TestOneKeyTwoEncodings(t *testing.T) {
	k := newKey(t, "rsa")
	typ, rest, _ := cutString(k.Blob)
	exponent, rest, _ := cutString(rest)
	wire := func(s string) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	again := wire(typ) + wire("\x00\x00"+exponent) + rest
	line := "ssh-rsa " + base64.StdEncoding.EncodeToString([]byte(again))
	const roles = ` namespaces="lead@csu.lsst.org" `
	const says = "it is not encoded as ssh-keygen encodes it"
	if _, err := ParseSigners("allowed_signers", "ada"+roles+public(t, k)+"\nbob"+roles+line+"\n"); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("the list of signers: %v", err)
	}
	f := approve(t, k, "lead", "ada@lsst.org")
	text := strings.Split(f.Signature, "-----")[2]
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(raw), wire(k.Blob), wire(again), 1)
	f.Signature = strings.Replace(f.Signature, text, "\n"+base64.StdEncoding.EncodeToString([]byte(changed))+"\n", 1)
	got := count(t, signersOf(t, "ada@lsst.org"+roles+public(t, k)), noon, f)
	if len(got.Counted) != 0 || len(got.Refused) != 1 || got.Refused[0].Reason != "the signature's key: "+says {
		t.Errorf("counted %+v, refused %+v", got.Counted, got.Refused)
	}
	if (Key{Blob: wire("sk-ssh-ed25519@openssh.com")}).Hardware() == k.Hardware() {
		t.Error("csu cannot distinguish hardware keys")
	}
}

// TestAble: only those who could give a missing approval now may owe one.
func TestAble(t *testing.T) {
	key := func() string { return public(t, newKey(t, "ed25519")) }
	ada := newKey(t, "ed25519")
	signers := signersOf(t, strings.Join([]string{
		`ada namespaces="lead@csu.lsst.org,reviewer@csu.lsst.org" ` + public(t, ada),
		`bob namespaces="lead@csu.lsst.org" ` + key(),
		`cyd namespaces="reviewer@csu.lsst.org" ` + key(),
		`dan namespaces="reviewer@csu.lsst.org",valid-before="20261201" ` + key(),
		`eve namespaces="reviewer@csu.lsst.org",valid-after="20270101" ` + key(),
		`fay namespaces="M1M3 principal@csu.lsst.org",valid-before="202612141200Z" ` + key(),
	}, "\n"))
	p := newPlan()
	q := Question{Plan: p, Need: p.Facts.Approvals, PlanFile: planFile, Digest: digest, Files: []File{approve(t, ada, "lead", "ada")}, Signers: signers, Authors: []string{"CYD"}, At: noon}
	for notByAuthor, want := range map[bool]string{false: "cyd fay", true: "fay"} {
		q.Need.NotByAuthor = notByAuthor
		got, err := Count(q)
		if err != nil || strings.Join(got.Able, " ") != want {
			t.Errorf("not by author %v: %q, want %q; %v", notByAuthor, got.Able, want, err)
		}
	}
}

// TestStricter: two rules together ask for the greater number in each role.
func TestStricter(t *testing.T) {
	a := &plan.Approvals{Roles: []plan.Need{{Role: "lead", Count: 2}, {Role: "reviewer", Count: 1}}}
	b := &plan.Approvals{Roles: []plan.Need{{Role: "M2", Count: 1}, {Role: "lead", Count: 1}}, NotByAuthor: true}
	want := &plan.Approvals{Roles: []plan.Need{{Role: "M2", Count: 1}, {Role: "lead", Count: 2}, {Role: "reviewer", Count: 1}}, NotByAuthor: true}
	for _, got := range []*plan.Approvals{Stricter(a, b), Stricter(b, a), Stricter(Stricter(a, nil), Stricter(nil, b))} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if Stricter(nil, nil) != nil {
		t.Error("no rule asks for approvals")
	}
}

// TestStrayFiles: what is no approval does not count, and stops nothing.
func TestStrayFiles(t *testing.T) {
	k := newKey(t, "ed25519")
	dir := filepath.Join(t.TempDir(), "plan.json.approvals")
	if files := Read(dir); len(files) != 0 {
		t.Errorf("no folder: %v", files)
	}
	good := approve(t, k, "lead", "ada@lsst.org")
	s, err := ParseStatement(good.Statement)
	if err != nil {
		t.Fatal(err)
	}
	name, err := Write(dir, s, good.Signature)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name+Extension) }
	for name, data := range map[string]string{in("big"): strings.Repeat("x", mostBytes+1), filepath.Join(dir, "README"): "not an approval"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Symlink("nosuch", in("dangling")), os.Symlink(name, in("link")), os.Mkdir(in("folder"), 0o700), syscall.Mkfifo(in("fifo"), 0o600),
		os.Link(name, in("signed by a folder")), os.Mkdir(in("signed by a folder")+".sig", 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	signers := signersOf(t, `ada@lsst.org namespaces="lead@csu.lsst.org" `+public(t, k))
	got := count(t, signers, noon, Read(dir)...)
	var said []string
	for _, r := range got.Refused {
		said = append(said, r.File+": "+r.Reason)
	}
	want := ""
	for _, n := range []string{"big", "dangling", "fifo", "folder", "link", "signed by a folder"} {
		at := n + Extension
		what := at
		if n == "signed by a folder" {
			what += ".sig"
		}
		want += at + ": " + what + " is not a plain file of at most 65536 bytes\n"
	}
	if len(got.Counted) != 1 || strings.Join(said, "\n")+"\n" != want {
		t.Errorf("counted %+v, refused\n%s\nwant\n%s", got.Counted, strings.Join(said, "\n"), want)
	}
	for what, path := range map[string]string{"file": filepath.Join(dir, "README"), "link": in("link")} {
		got := count(t, signers, noon, Read(path)...)
		if len(got.Refused) != 1 || got.Refused[0].Reason != "it is not a folder" {
			t.Errorf("a %s instead of the folder: %+v", what, got.Refused)
		}
	}
}
