package remote

import (
	"bufio"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyError reports that a host did not prove its identity. Nothing was run,
// and no key was offered to it.
type HostKeyError struct {
	Host    string      // as in "azar03 (azar03.cp.lsst.org:22)"
	Entry   string      // the host's name in known_hosts
	Shown   string      // type and SHA-256 fingerprint of the key that the host showed; "" if it did not get that far
	Files   []string    // the known_hosts files
	Known   []KnownLine // the lines that name the host; empty for an unknown host
	Revoked bool        // the key shown is marked @revoked in known_hosts
	Login   string      // the argument for ssh that makes the host known
	Err     error       // another cause, or nil
}

// KnownLine is a line of a known_hosts file.
type KnownLine struct {
	File string
	Line int
	Key  string // type and SHA-256 fingerprint
}

func (e *HostKeyError) Error() string {
	files := strings.Join(e.Files, ", ")
	head := "host key of " + e.Host + ": "
	switch {
	case e.Shown == "":
		return fmt.Sprintf("%snot checked: %v; correct the file or remove the line", head, e.Err)
	case e.Revoked:
		return fmt.Sprintf("%sthe host shows %s, which %s marks as revoked; stop and ask the host's administrator", head, e.Shown, e.lines())
	case len(e.Known) == 0 && e.Err == nil:
		return fmt.Sprintf("%sunknown: the host shows %s, and no line of %s names %s; compare the fingerprint with the one that the host's administrator gives you, then connect once with \"ssh %s\" to accept it",
			head, e.Shown, files, e.Entry, e.Login)
	case e.Err != nil:
		return fmt.Sprintf("%sthe host shows %s, which is not accepted: %v; ask the host's administrator, or correct %s", head, e.Shown, e.Err, files)
	default:
		return fmt.Sprintf("%sthe host shows %s, but the known key is %s; this may be an attack, or the host was reinstalled: do not continue until its administrator confirms the new fingerprint, then remove the old lines with \"ssh-keygen -f %s -R '%s'\"",
			head, e.Shown, e.lines(), e.Known[0].File, e.Entry)
	}
}

func (e *HostKeyError) Unwrap() error { return e.Err }

func (e *HostKeyError) lines() string {
	var all []string
	for _, k := range e.Known {
		all = append(all, fmt.Sprintf("%s:%d (%s)", k.File, k.Line, k.Key))
	}
	return strings.Join(all, ", ")
}

// knownHosts checks the key of one host.
type knownHosts struct {
	callback ssh.HostKeyCallback
	host     *endpoint
	accepted bool          // the host proved its identity
	refusal  *HostKeyError // set if it did not
}

// readKnownHosts reads the existing known_hosts files of e.
func readKnownHosts(e *endpoint) (*knownHosts, error) {
	var present []string
	for _, name := range e.knownHosts {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			present = append(present, name)
		}
	}
	callback, err := knownhosts.New(present...)
	if err != nil {
		return nil, &HostKeyError{Host: e.String(), Files: e.knownHosts, Err: err}
	}
	return &knownHosts{callback: callback, host: e}, nil
}

// check is the ssh.HostKeyCallback; address is the endpoint's checkAs.
func (k *knownHosts) check(address string, remote net.Addr, key ssh.PublicKey) error {
	err := k.callback(address, remote, key)
	if err == nil {
		k.accepted = true
		return nil
	}
	k.refusal = &HostKeyError{
		Host:  k.host.String(),
		Entry: knownhosts.Normalize(address),
		Shown: describe(key),
		Files: k.host.knownHosts,
		Login: k.host.name,
	}
	var mismatch *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &mismatch):
		for _, w := range mismatch.Want {
			k.refusal.Known = append(k.refusal.Known, knownLine(w))
		}
	case errors.As(err, &revoked):
		k.refusal.Revoked = true
		k.refusal.Known = []KnownLine{knownLine(revoked.Revoked)}
	default:
		k.refusal.Err = err
	}
	return k.refusal
}

func knownLine(k knownhosts.KnownKey) KnownLine {
	return KnownLine{File: k.Filename, Line: k.Line, Key: describe(k.Key)}
}

func describe(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

// algorithms returns the host key algorithms to request, starting with those
// that known_hosts has a key for. A host has several keys and shows one.
// Without this order it could show one that is not in known_hosts, and would
// look like another host.
func (k *knownHosts) algorithms(address string) []string {
	var authority bool
	var known []string
	for _, w := range k.lines(address) {
		if isAuthority(w) {
			authority = true
			continue
		}
		switch t := w.Key.Type(); t {
		case ssh.KeyAlgoRSA:
			known = append(known, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			known = append(known, t)
		}
	}
	var certificates, plain []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if strings.Contains(a, "-cert-v01@") {
			certificates = append(certificates, a)
		} else {
			plain = append(plain, a)
		}
	}
	// A certificate is requested only if its authority is known. Otherwise it
	// would be refused even if its key were the known one.
	var order []string
	if authority {
		order = append(order, certificates...)
	}
	for _, a := range slices.Concat(known, plain) {
		if slices.Contains(plain, a) && !slices.Contains(order, a) {
			order = append(order, a)
		}
	}
	return order
}

// lines returns the lines of known_hosts that name address. The package reveals
// them only when a key does not match, so lines checks a key that cannot match.
func (k *knownHosts) lines(address string) []knownhosts.KnownKey {
	none, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var mismatch *knownhosts.KeyError
	if errors.As(k.callback(address, &net.TCPAddr{}, none), &mismatch) {
		return mismatch.Want
	}
	return nil
}

// isAuthority reports whether k's line is marked @cert-authority, which the
// package does not reveal.
func isAuthority(k knownhosts.KnownKey) bool {
	f, err := os.Open(k.Filename)
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if n == k.Line {
			fields := strings.Fields(lines.Text())
			return len(fields) > 0 && fields[0] == "@cert-authority"
		}
	}
	return false
}
