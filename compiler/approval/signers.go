package approval

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lsst-ts/csu/executor/exit"
)

// Signers are the people whose approvals count, in the form of ssh-keygen(1), ALLOWED
// SIGNERS:
//
//	ada@lsst.org namespaces="lead@csu.lsst.org",valid-before="20270101" ssh-ed25519 AAAA… hardware key
//
// ssh-keygen decides by the file itself. csu accepts only a part of the form, in which
// it is certain who a key belongs to: each line names one person, without a pattern, and
// has the option namespaces, without which the key would count for every role. A person
// may have several keys, under one spelling of their name; a key belongs to one person.
// Certificates do not count, and a line that could never count is refused.
type Signers struct {
	Name string // of the file, relative to the project's folder
	Text string
	keys []signer
}

// A signer is a line of the file.
type signer struct {
	by         string // principal
	blob       string // the key, as on the wire
	namespaces string
	after      time.Time // from which it is valid; zero for always
	before     time.Time // until which it is valid; zero for always
	line       int
}

// valid reports whether the key may be used at a time, as ssh-keygen decides it.
func (k signer) valid(at time.Time) bool {
	return !at.Before(k.after) && (k.before.IsZero() || !at.After(k.before))
}

// Digest is the SHA-256 of the file, in hexadecimal.
func (s *Signers) Digest() string {
	sum := sha256.Sum256([]byte(s.Text))
	return hex.EncodeToString(sum[:])
}

// People returns the principals, each once, in the file's order.
func (s *Signers) People() []string {
	var out []string
	for _, k := range s.keys {
		if !slices.Contains(out, k.by) {
			out = append(out, k.by)
		}
	}
	return out
}

// Owner returns whose key it is, given as it is on the wire; "" for a key that is not in
// the file.
func (s *Signers) Owner(blob string) string {
	if i := slices.IndexFunc(s.keys, func(k signer) bool { return k.blob == blob }); i >= 0 {
		return s.keys[i].by
	}
	return ""
}

// Names reports whether the file names the role among those of a key, given as it is on
// the wire.
func (s *Signers) Names(blob, role string) bool {
	return slices.ContainsFunc(s.keys, func(k signer) bool { return k.blob == blob && k.has(role) })
}

// May reports whether the person has a key that may approve in the role at a time.
func (s *Signers) May(by, role string, at time.Time) bool {
	return slices.ContainsFunc(s.keys, func(k signer) bool { return k.by == by && k.has(role) && k.valid(at) })
}

// Lists reports whether a key of the person, given by its fingerprint, may approve in the
// role at a time.
func (s *Signers) Lists(by, role, key string, at time.Time) bool {
	return slices.ContainsFunc(s.keys, func(k signer) bool {
		return k.by == by && Fingerprint(k.blob) == key && k.has(role) && k.valid(at)
	})
}

func (k signer) has(role string) bool {
	return slices.Contains(strings.Split(k.namespaces, ","), Namespace(role))
}

// Fingerprint returns a key's, as ssh-keygen -l writes it.
func Fingerprint(blob string) string {
	sum := sha256.Sum256([]byte(blob))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

var personPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+@-]*$`)

// ParseSigners reads a signers' file; name is what its errors call it. It fails at the
// first line that csu does not accept, so that no line means less than it says.
func ParseSigners(name, text string) (*Signers, error) {
	s := &Signers{Name: name, Text: text}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, hint, err := parseSigner(line)
		k.line = n
		if err == nil {
			hint, err = s.fits(k)
		}
		if err != nil {
			return nil, exit.Refuse(hint, "%s:%d: %w", name, n, err)
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// fits reports why a line contradicts those before it.
func (s *Signers) fits(k signer) (hint string, err error) {
	for _, o := range s.keys {
		switch {
		case strings.EqualFold(o.by, k.by) && o.by != k.by:
			return fmt.Sprintf("write %s as in line %d", o.by, o.line), fmt.Errorf("%q is another spelling of %q", k.by, o.by)
		case o.blob == k.blob && o.by != k.by:
			return "give every person a key of their own", fmt.Errorf("the key is also that of %q", o.by)
		}
	}
	return "", nil
}

func parseSigner(line string) (k signer, hint string, err error) {
	const form = `write lines such as: ada@lsst.org namespaces="lead@csu.lsst.org" ssh-ed25519 AAAA…`
	fields := split(line, func(r byte) bool { return r == ' ' || r == '\t' })
	if strings.Contains(line, `\`) {
		return k, form, fmt.Errorf("a backslash is not accepted")
	}
	if k.by = fields[0]; !personPattern.MatchString(k.by) {
		return k, "give every person lines of their own", fmt.Errorf("%q is not the name of one person", short(k.by))
	}
	if len(fields) < 3 {
		return k, form, fmt.Errorf("want a person, options, the key's type and the key, got %d words", len(fields))
	}
	if _, err := parseKey(fields[1], fields[2]); err == nil {
		return k, `add the roles that the key may approve in, such as namespaces="lead@csu.lsst.org"`, fmt.Errorf("the option namespaces is missing, so that the key would count for every role")
	}
	if hint, err := k.options(fields[1]); err != nil {
		return k, hint, err
	}
	switch {
	case k.namespaces == "":
		return k, form, fmt.Errorf("the option namespaces is missing or empty")
	case len(fields) < 4:
		return k, form, fmt.Errorf("the key is missing")
	}
	if strings.Contains(fields[2], "-cert-") {
		return k, "give the key itself", fmt.Errorf("a certificate is not accepted")
	}
	k.blob, err = parseKey(fields[2], fields[3])
	return k, form, err
}

// options reads a line's options. It accepts none that ssh-keygen would refuse, or by which
// the key could never count.
func (k *signer) options(text string) (hint string, err error) {
	const only = "use only namespaces, valid-after and valid-before, each once"
	seen := map[string]bool{}
	for _, o := range split(text, func(r byte) bool { return r == ',' }) {
		option, value, _ := strings.Cut(o, "=")
		name := strings.ToLower(option)
		switch {
		case !slices.Contains([]string{"namespaces", "valid-after", "valid-before"}, name):
			return only, fmt.Errorf("csu does not know the option %q", short(option))
		case seen[name]:
			return only, fmt.Errorf("it has the option %s twice", name)
		case len(value) < 2 || value[0] != '"' || strings.IndexByte(value[1:], '"') != len(value)-2:
			return fmt.Sprintf("write %s=%q", name, strings.Trim(value, `"`)), fmt.Errorf("the value of %s is not in double quotes", name)
		}
		seen[name] = true
		value = value[1 : len(value)-1]
		switch name {
		case "namespaces":
			if value != "" {
				hint, err = "name each role, such as lead@csu.lsst.org,reviewer@csu.lsst.org, without patterns or spaces around them", checkNamespaces(value)
			}
			k.namespaces = value
		case "valid-after":
			hint = dates
			k.after, err = parseDate(value)
		case "valid-before":
			hint = dates
			k.before, err = parseDate(value)
		}
		if err != nil {
			return hint, fmt.Errorf("%s: %w", name, err)
		}
	}
	if !k.before.IsZero() && !k.after.Before(k.before) {
		return "correct one of them", fmt.Errorf("valid-before is not after valid-after, so that the key is never valid")
	}
	return "", nil
}

func checkNamespaces(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if name == "" || name != strings.TrimSpace(name) || strings.ContainsAny(name, "*?!") {
			return fmt.Errorf("%q is not the name of one namespace", short(name))
		}
	}
	return nil
}

const dates = `write a date in UTC, such as "20270101" or "20270101120000"`

// parseDate reads a time as ssh-keygen does with TZ=UTC: YYYYMMDD, with HHMM or HHMMSS, and
// Z for UTC (ssh-keygen(1), ALLOWED SIGNERS).
func parseDate(s string) (time.Time, error) {
	digits := strings.TrimSuffix(s, "Z")
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.Parse(form, digits); err == nil && len(digits) == len(form) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date", short(s))
}

// canonical refuses a key in another form than the one in which everybody writes it: in
// several forms one key would be several people's.
func canonical(blob string) error {
	key, err := ssh.ParsePublicKey([]byte(blob))
	if err != nil {
		return fmt.Errorf("it is not a public key: %w", err)
	}
	if string(key.Marshal()) != blob {
		return errors.New("it is not encoded as ssh-keygen encodes it")
	}
	return nil
}

// parseKey returns the key's bytes on the wire.
func parseKey(typ, text string) (string, error) {
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("%q is not a public key: %w", short(text), err)
	}
	if got, _, ok := cutString(string(blob)); !ok || got != typ {
		return "", fmt.Errorf("the key is not of the type %q", short(typ))
	}
	if err := canonical(string(blob)); err != nil {
		return "", fmt.Errorf("%q: %w", short(text), err)
	}
	return string(blob), nil
}

// cutString cuts a string off SSH's wire format: its length in four bytes, and its bytes.
func cutString(s string) (first, rest string, ok bool) {
	if len(s) < 4 {
		return "", "", false
	}
	n := uint64(binary.BigEndian.Uint32([]byte(s[:4])))
	if uint64(len(s)-4) < n {
		return "", "", false
	}
	return s[4 : 4+n], s[4+n:], true
}

// split cuts a line at separators outside of double quotes; empty parts are left out.
func split(line string, separates func(byte) bool) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i <= len(line); i++ {
		switch {
		case i < len(line) && line[i] == '"':
			quoted = !quoted
		case i == len(line) || !quoted && separates(line[i]):
			if i > start {
				out = append(out, line[start:i])
			}
			start = i + 1
		}
	}
	return out
}
