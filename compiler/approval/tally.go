package approval

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// skew is how far the clocks of two machines may differ.
const skew = 5 * time.Minute

// An Approval is one that counts.
type Approval struct {
	Statement
	Key    string // fingerprint
	File   string // name in the folder
	Digest string // of statement and signature
}

// A Refusal is an approval that does not count.
type Refusal struct{ File, Reason string }

// A Question is whether a plan is approved, at a time.
type Question struct {
	Plan     *plan.Plan
	PlanFile string
	Digest   string // of the plan
	Need     *plan.Approvals
	Files    []File
	Signers  *Signers
	// Authors are the authors of the plan's commits, by e-mail address; they count unless
	// the plan says that they don't.
	Authors []string
	// At is when the approvals must count. A key must be valid then as well as at the
	// time in the statement, which the holder of an expired key could have backdated.
	At time.Time
	// Void is why no approval counts, whatever it says; "" if they may.
	Void string
}

// A Tally is the answer.
type Tally struct {
	Counted []Approval  // by role and person
	Refused []Refusal   // by file
	Missing []plan.Need // how many more people, by role
	Able    []string    // who could give a missing approval, in the order of the signers' file
}

// Count returns who has approved. Its error means that csu cannot find out. An approval
// that does not count is no error: it is refused, with its reason.
func Count(q Question) (*Tally, error) {
	t := &Tally{}
	for _, f := range q.Files {
		a, err := q.check(f)
		var invalid *invalidError
		switch {
		case errors.As(err, &invalid):
			t.Refused = append(t.Refused, Refusal{filepath.Base(f.Name), invalid.reason})
		case err != nil:
			return nil, err
		default:
			t.Counted = append(t.Counted, a)
		}
	}
	slices.SortStableFunc(t.Counted, func(a, b Approval) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.File, b.File)) })
	t.once()
	slices.SortFunc(t.Counted, func(a, b Approval) int { return cmp.Or(strings.Compare(a.Role, b.Role), strings.Compare(a.By, b.By)) })
	slices.SortFunc(t.Refused, func(a, b Refusal) int { return strings.Compare(a.File, b.File) })
	t.Missing = Missing(q.Need, t.Counted)
	t.Able = slices.DeleteFunc(q.Signers.People(), func(by string) bool {
		counts := slices.ContainsFunc(t.Counted, func(a Approval) bool { return a.By == by })
		may := slices.ContainsFunc(t.Missing, func(n plan.Need) bool { return q.Signers.May(by, n.Role, q.At) })
		return counts || !may || q.excluded(by)
	})
	return t, nil
}

// excluded reports whether a person does not approve since they are an author of the plan.
func (q *Question) excluded(by string) bool {
	return q.Need.NotByAuthor && slices.ContainsFunc(q.Authors, func(a string) bool { return strings.EqualFold(a, by) })
}

// Missing returns how many more people must approve, by role.
func Missing(need *plan.Approvals, counted []Approval) []plan.Need {
	var out []plan.Need
	for _, n := range need.Roles {
		for _, a := range counted {
			if a.Role == n.Role {
				n.Count--
			}
		}
		if n.Count > 0 {
			out = append(out, n)
		}
	}
	return out
}

// once refuses what a person has approved after their first approval: nobody counts
// twice, in one role or in several.
func (t *Tally) once() {
	var first []Approval
	for _, a := range t.Counted {
		i := slices.IndexFunc(first, func(o Approval) bool { return strings.EqualFold(o.By, a.By) || o.Key == a.Key })
		if i < 0 {
			first = append(first, a)
			continue
		}
		t.Refused = append(t.Refused, Refusal{a.File, fmt.Sprintf("%s has already approved as %s with key %s (%s), and nobody counts twice", first[i].By, first[i].Role, first[i].Key, first[i].File)})
	}
	t.Counted = first
}

// check returns the approval of a file. If it does not count, its error is an
// [*invalidError].
func (q *Question) check(f File) (Approval, error) {
	refuse := func(format string, args ...any) (Approval, error) {
		return Approval{}, &invalidError{fmt.Sprintf(format, args...)}
	}
	if f.unusable != "" {
		return refuse("%s", f.unusable)
	}
	s, err := ParseStatement(f.Statement)
	if err != nil {
		return refuse("it is no statement of csu approve: %v", err)
	}
	if f.Signature == "" {
		return refuse("its signature, %s.sig, is missing", filepath.Base(f.Name))
	}
	blob, namespace, err := signedWith(f.Signature)
	if err != nil {
		return refuse("%v", err)
	}
	key := Fingerprint(blob)
	switch owner := q.Signers.Owner(blob); {
	case q.Void != "":
		return refuse("%s", q.Void)
	case s.Plan != filepath.Base(q.PlanFile):
		return refuse("it approves another plan, %s", s.Plan)
	case s.Attempt != q.Plan.Upgrade.Attempt:
		return refuse("it approves attempt %d, and this plan is attempt %d", s.Attempt, q.Plan.Upgrade.Attempt)
	case s.Digest != q.Digest:
		return refuse("it approves other bytes of the plan (digest %.12s…, this plan's is %.12s…)", s.Digest, q.Digest)
	case needs(q.Need, s.Role) == 0:
		return refuse("the plan needs no approval as %s", s.Role)
	case namespace != Namespace(s.Role):
		return refuse("it is signed in the namespace %q, not %q", namespace, Namespace(s.Role))
	case owner == "":
		return refuse("key %s is not in %s", key, q.Signers.Name)
	case owner != s.By:
		return refuse("it says that %s approves, but key %s is that of %s", s.By, key, owner)
	case q.excluded(s.By):
		return refuse("%s is an author of the plan, and authors do not approve at this site", s.By)
	case s.Time.After(q.At.Add(skew)):
		return refuse("it is dated %s UTC, after %s UTC, at which it would have to count", s.Time.Format(time.DateTime), q.At.UTC().Format(time.DateTime))
	}
	if err := keygenVerify(f, s, q.Signers, s.Time, q.At); err != nil {
		return Approval{}, err
	}
	return Approval{s, key, filepath.Base(f.Name), f.Digest()}, nil
}

// MissingText says in a sentence who is missing.
func MissingText(missing []plan.Need) string {
	var all []string
	for _, n := range missing {
		all = append(all, fmt.Sprintf("%d %s", n.Count, n.Role))
	}
	return strings.Join(all, ", ")
}

// Explain returns the command that verifies an approval without csu, for a shell in the
// project's folder, given the statement's file and a word of the shell for the signers' file.
func Explain(s Statement, signers, statement string, at time.Time) string {
	words := append([]string{"TZ=UTC", "ssh-keygen"}, verifyFlags(s, signers, statement+".sig", at)...)
	for i, w := range words {
		if i > 0 && w != signers {
			words[i] = Quoted(w)
		}
	}
	return strings.Join(words, " ") + " < " + Quoted(statement)
}

// Quoted returns a word for a shell.
func Quoted(w string) string {
	if strings.IndexFunc(w, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:@", r)
	}) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
