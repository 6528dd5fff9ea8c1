package approval

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

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
// may have several keys; a key belongs to one person. Certificates do not count.
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
// the wire. A pattern of the file names no role; ssh-keygen decides what it allows.
func (s *Signers) Names(blob, role string) bool {
	return slices.ContainsFunc(s.keys, func(k signer) bool {
		return k.blob == blob && slices.Contains(strings.Split(k.namespaces, ","), Namespace(role))
	})
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
		if err == nil && slices.ContainsFunc(s.keys, func(o signer) bool { return o.blob == k.blob && o.by != k.by }) {
			hint, err = "give every person a key of their own", fmt.Errorf("the key is also that of %q", s.Owner(k.blob))
		}
		if err != nil {
			return nil, exit.Refuse(hint, "%s:%d: %w", name, n, err)
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
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
	for _, o := range split(fields[1], func(r byte) bool { return r == ',' }) {
		option, value, _ := strings.Cut(o, "=")
		switch strings.ToLower(option) {
		case "namespaces":
			k.namespaces = strings.Trim(value, `"`)
		case "valid-after", "valid-before":
		default:
			return k, "use only namespaces, valid-after and valid-before", fmt.Errorf("csu does not know the option %q", short(option))
		}
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

// parseKey returns the key's bytes on the wire.
func parseKey(typ, text string) (string, error) {
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("%q is not a public key: %w", short(text), err)
	}
	if got, _, ok := cutString(string(blob)); !ok || got != typ {
		return "", fmt.Errorf("the key is not of the type %q", short(typ))
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
