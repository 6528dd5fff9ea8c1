// Package approval says who has approved a plan.
//
// The words:
//
//   - a statement is a short text that names the plan by its digest, the role and the
//     person who approves, and the time;
//   - an approval is a statement with a signature of it, as ssh-keygen -Y sign writes
//     one (SSHSIG), in two files of the folder [Dir] beside the plan;
//   - the signers are the people whose keys count, with their roles, in a file of
//     OpenSSH's form; see [Signers];
//   - the need is what the plan asks for, by role.
//
// Signatures are made and verified by ssh-keygen itself, so that the keys of agents and
// hardware work as the operator knows them, and everything that csu says can be repeated
// without csu. Written for OpenSSH 8.7 (the first with validity times of keys) and later;
// read from PROTOCOL.sshsig, sshsig.c and ssh-keygen(1) of openssh-portable 10.5.
package approval

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// Extension is that of a statement's file; its signature's has .sig in addition, as
// ssh-keygen writes it.
const Extension = ".approval"

// header is the statement's first line.
const header = "csu-approval/1"

// mostBytes is more than any statement or signature has.
const mostBytes = 64 << 10

// Dir returns the folder of a plan's approvals.
func Dir(planFile string) string { return planFile + ".approvals" }

// Namespace is that of the signatures of a role: it is signed with the statement, and
// the signers' file limits keys by it.
func Namespace(role string) string { return role + "@csu.lsst.org" }

// A Statement is what is signed.
type Statement struct {
	Plan    string // name of the plan's file, without its folder
	Attempt int    // of the plan's upgrade
	Digest  string // of the plan
	Role    string
	By      string    // a principal of the signers' file
	Time    time.Time // as the signer's machine had it, in whole seconds
}

// Of returns a person's statement about a plan.
func Of(p *plan.Plan, planFile, digest, role, by string, at time.Time) Statement {
	return Statement{filepath.Base(planFile), p.Upgrade.Attempt, digest, role, by, at.UTC().Truncate(time.Second)}
}

// Text returns the statement's bytes.
func (s Statement) Text() string {
	return fmt.Sprintf("%s\nplan: %s\nattempt: %d\ndigest: %s\nrole: %s\nby: %s\ntime: %s\n",
		header, s.Plan, s.Attempt, s.Digest, s.Role, s.By, s.Time.UTC().Format(time.RFC3339))
}

// FileName is the name of the statement's file in [Dir]. It is for people: what counts is
// in the file.
func (s Statement) FileName() string {
	return strings.ReplaceAll(s.Role, " ", "-") + "-" + s.By + Extension
}

// ParseStatement reads a statement strictly: only what [Statement.Text] writes.
func ParseStatement(text string) (Statement, error) {
	var s Statement
	lines := strings.Split(text, "\n")
	if lines[0] != header && lines[0] != header+"\r" {
		return s, fmt.Errorf("its first line is %q, not %q", short(lines[0]), header)
	}
	value := func(i int, name string) string {
		if i >= len(lines) {
			return ""
		}
		v, _ := strings.CutPrefix(lines[i], name+": ")
		return v
	}
	s = Statement{Plan: value(1, "plan"), Digest: value(3, "digest"), Role: value(4, "role"), By: value(5, "by")}
	s.Attempt, _ = strconv.Atoi(value(2, "attempt"))
	s.Time, _ = time.Parse(time.RFC3339, value(6, "time"))
	if strings.Contains(text, "\r\n") {
		return s, errWindows
	}
	if s.Text() != text {
		return s, errors.New("it has other lines than plan, attempt, digest, role, by and time, each once and in this order")
	}
	return s, nil
}

// errWindows reports that Git or an editor has changed a signed file.
var errWindows = errors.New("it has Windows line ends; run git config core.autocrlf false and check the file out again")

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// A File is a statement as it was found, with its signature.
type File struct {
	Name      string // path
	Statement string
	Signature string // armored; "" if it is missing
	unusable  string // why it cannot be read; "" if it can
}

// Digest identifies the file's bytes, signature included.
func (f File) Digest() string {
	sum := sha256.Sum256([]byte(f.Statement + "\x00" + f.Signature))
	return hex.EncodeToString(sum[:])
}

// Read returns the approvals in a folder, by name; none if there is no folder. What cannot
// be read is among them, and does not count: a stray file must not stop a night. Links are
// not followed, since what they lead to is not what was committed.
func Read(dir string) []File {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !info.IsDir():
		err = errors.New("it is not a folder")
	}
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		return []File{{Name: dir, unusable: err.Error()}}
	}
	var out []File
	for _, e := range entries {
		if filepath.Ext(e.Name()) != Extension {
			continue
		}
		f := File{Name: filepath.Join(dir, e.Name())}
		if f.Statement, err = small(f.Name); err == nil {
			f.Signature, err = small(f.Name + ".sig")
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.unusable = err.Error()
		}
		out = append(out, f)
	}
	return out
}

// small reads a plain file of the folder.
func small(name string) (string, error) {
	info, err := os.Lstat(name)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > mostBytes) {
		err = fmt.Errorf("%s is not a plain file of at most %d bytes", filepath.Base(name), mostBytes)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(name)
	}
	return string(data), err
}

// Write adds an approval to a folder, which it makes if there is none.
func Write(dir string, s Statement, signature string) (name string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("write the approval: %w", err)
	}
	name = filepath.Join(dir, s.FileName())
	// The signature first: a statement without one would be reported as unsigned.
	if err := plan.WriteFile(name+".sig", []byte(signature), 0o644); err != nil {
		return "", err
	}
	return name, plan.WriteFile(name, []byte(s.Text()), 0o644)
}

// Stricter returns what satisfies both: in each role the greater number. Nil asks for
// nothing.
func Stricter(a, b *plan.Approvals) *plan.Approvals {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := &plan.Approvals{NotByAuthor: a.NotByAuthor || b.NotByAuthor}
	for _, n := range slices.Concat(a.Roles, b.Roles) {
		if needs(out, n.Role) == 0 {
			out.Roles = append(out.Roles, plan.Need{Role: n.Role, Count: max(needs(a, n.Role), needs(b, n.Role))})
		}
	}
	slices.SortFunc(out.Roles, func(a, b plan.Need) int { return strings.Compare(a.Role, b.Role) })
	return out
}

// needs returns how many people must approve in a role; 0 for another role.
func needs(a *plan.Approvals, role string) int {
	i := slices.IndexFunc(a.Roles, func(n plan.Need) bool { return n.Role == role })
	if i < 0 {
		return 0
	}
	return a.Roles[i].Count
}
