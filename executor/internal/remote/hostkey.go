package remote

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKey checks the key of one host as ssh does (OpenSSH 9.2, sshconnect.c,
// verify_host_key and check_host_key), except that a @revoked line about the
// host that cannot be read is no permission.
type hostKey struct {
	ctx      context.Context
	host     *endpoint
	accepted bool          // the host proved its identity, or ssh config demands no proof
	refusal  *HostKeyError // set if it did not
	notes    []string
}

// entry returns the host's name in known_hosts.
func (k *hostKey) entry() string {
	if k.host.trust.alias != "" {
		return k.host.trust.alias
	}
	return knownhosts.Normalize(k.host.addr())
}

// order returns the host key algorithms to request. The files are read when the
// host has answered: SSSD's ProxyCommand fills them just before that. Here %H
// has the port, as in OpenSSH 10; up to 9.2 at least it had none.
func (k *hostKey) order() ([]string, error) {
	t := &k.host.trust
	found := readKnown(t.files(), k.entry())
	said, err := t.ask(k.ctx, "ORDER", k.entry(), nil)
	if err != nil {
		return nil, k.refuse(nil, nil, err)
	}
	found.add(said)
	return k.host.allow.hostKeyOrder(found.lines), nil
}

// check is the ssh.HostKeyCallback.
func (k *hostKey) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	if err := k.verify(remote, key); err != nil {
		return err
	}
	k.accepted = true
	return nil
}

func (k *hostKey) verify(remote net.Addr, key ssh.PublicKey) error {
	t := &k.host.trust
	local := isLocal(k.host, remote)
	certificate, _ := key.(*ssh.Certificate)
	if err := k.notRevoked(key); err != nil {
		return k.refuse(key, nil, err)
	}
	if bits := rsaBits(key); bits > 0 && bits < k.host.allow.leastRSA {
		return k.refuse(key, nil, fmt.Errorf("it has %d bits, and RequiredRSASize is %d", bits, k.host.allow.leastRSA))
	}
	if t.localhostUnproven && local && t.alias == "" {
		return nil
	}
	found := readKnown(t.files(), k.entry())
	said, err := t.ask(k.ctx, "HOSTNAME", k.entry(), key)
	if err != nil {
		return k.refuse(key, nil, err)
	}
	found.add(said)
	k.notes = append(k.notes, found.notes...)
	var mistrust error // why the certificate does not count
	if certificate != nil {
		var status status
		if status, mistrust = k.certified(found.lines, certificate); status == trusted {
			return nil
		} else if status == revoked {
			return k.judge(key, status, found.lines, nil)
		}
		key = certificate.Key
	}
	status := statusOf(found.lines, key)
	if status == unknown && t.alias == "" && k.host.port != "22" {
		// ssh accepts a key that is known for the host without a port.
		bare := readKnown(t.files(), strings.ToLower(k.host.host))
		if statusOf(bare.lines, key) == trusted {
			return nil
		}
		if certificate != nil {
			if status, _ := k.certified(bare.lines, certificate); status == trusted {
				return nil
			}
		}
	}
	if err := k.judge(key, status, found.lines, mistrust); err != nil {
		return err
	}
	return k.checkAddress(remote, local, key, status)
}

// judge decides about a key by what known_hosts says of it.
func (k *hostKey) judge(key ssh.PublicKey, status status, lines []knownLine, mistrust error) error {
	t := &k.host.trust
	bad := slices.DeleteFunc(slices.Clone(lines), func(l knownLine) bool { return l.err == nil })
	for _, l := range bad {
		if l.marker == revokedMarker {
			return k.refuse(key, nil, fmt.Errorf("%s:%d revokes a key of this host and cannot be read: %w", l.file, l.line, l.err))
		}
	}
	switch status {
	case trusted:
		for _, l := range bad {
			k.notes = append(k.notes, fmt.Sprintf("%s:%d is skipped, it cannot be read: %v", l.file, l.line, l.err))
		}
		return nil
	case unknown:
		if t.strict != "accept-new" && t.strict != "false" {
			if len(bad) > 0 {
				mistrust = fmt.Errorf("%s:%d names the host and cannot be read: %w", bad[0].file, bad[0].line, bad[0].err)
			}
			return k.refuse(key, nil, mistrust)
		}
		k.notes = append(k.notes, fmt.Sprintf("StrictHostKeyChecking is off for new hosts: %s was not known with the key %s", k.host, describe(key)))
		if err := t.remember(k.entry(), key); err != nil {
			k.notes = append(k.notes, fmt.Sprintf("the key of %s cannot be added to known hosts: %v", k.host, err))
		}
		return nil
	}
	if t.strict == "false" {
		k.notes = append(k.notes, fmt.Sprintf("StrictHostKeyChecking is off: %s shows the key %s, which known hosts contradict", k.host, describe(key)))
		return nil
	}
	err := k.refuse(key, slices.DeleteFunc(slices.Clone(lines), func(l knownLine) bool {
		return l.key == nil || l.marker == authorityMarker || (status == revoked) != (l.marker == revokedMarker)
	}), nil)
	err.Revoked = status == revoked
	return err
}

// checkAddress compares the key with what is known of the address (CheckHostIP).
func (k *hostKey) checkAddress(remote net.Addr, local bool, key ssh.PublicKey, status status) error {
	t := &k.host.trust
	tcp, ok := remote.(*net.TCPAddr)
	if !ok || !t.address || local || !k.host.direct() || tcp.IP.String() == k.host.host || status == changed {
		return nil
	}
	found := readKnown(t.files(), knownhosts.Normalize(net.JoinHostPort(tcp.IP.String(), k.host.port)))
	if statusOf(found.lines, key) != changed {
		return nil
	}
	if t.strict == "false" {
		k.notes = append(k.notes, fmt.Sprintf("StrictHostKeyChecking is off: the address %s of %s is known with another key", tcp.IP, k.host))
		return nil
	}
	return k.refuse(key, found.lines, nil)
}

// direct reports whether csu connects to the host's address itself.
func (e *endpoint) direct() bool { return e.jump == nil && e.proxyCommand == "" }

func isLocal(e *endpoint, remote net.Addr) bool {
	tcp, ok := remote.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback() && e.direct()
}

// status is what known_hosts says of a key.
type status int

const (
	unknown status = iota
	trusted
	changed
	revoked
)

// statusOf returns what lines say of a plain key.
func statusOf(lines []knownLine, key ssh.PublicKey) status {
	s := unknown
	for _, l := range lines {
		switch {
		case l.key == nil || l.marker == authorityMarker:
		case l.marker == revokedMarker:
			if sameKey(l.key, key) {
				return revoked
			}
		case sameKey(l.key, key):
			s = trusted
		case s == unknown:
			s = changed
		}
	}
	return s
}

// certified returns what lines say of a certificate, and why it does not count.
func (k *hostKey) certified(lines []knownLine, c *ssh.Certificate) (status, error) {
	s := unknown
	for _, l := range lines {
		switch {
		case l.key == nil || l.marker == "":
		case l.marker == revokedMarker:
			if sameKey(l.key, c.SignatureKey) || sameKey(l.key, c.Key) {
				return revoked, nil
			}
		case sameKey(l.key, c.SignatureKey):
			s = trusted
		}
	}
	if s != trusted {
		return s, nil
	}
	if of := k.host.allow.authorities; of != nil && !slices.Contains(of, c.Signature.Format) {
		return unknown, fmt.Errorf("its certificate is signed with %s, which CASignatureAlgorithms does not have", c.Signature.Format)
	}
	if c.CertType != ssh.HostCert {
		return unknown, errors.New("its certificate is not one of a host")
	}
	name := k.host.host
	if k.host.trust.alias != "" {
		name = k.host.trust.alias
	}
	if err := new(ssh.CertChecker).CheckCert(name, c); err != nil {
		return unknown, fmt.Errorf("its certificate: %w", err)
	}
	return trusted, nil
}

// notRevoked checks the key against RevokedHostKeys.
func (k *hostKey) notRevoked(key ssh.PublicKey) error {
	for _, file := range k.host.trust.revoked {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("RevokedHostKeys cannot be checked: %w", err)
		}
		listed := listsKey(text, key)
		if bytes.HasPrefix(text, []byte("SSHKRL\n\x00")) {
			listed, err = k.krlHas(file, key)
		}
		if err != nil {
			return fmt.Errorf("RevokedHostKeys cannot be checked: %w", err)
		}
		if listed {
			return fmt.Errorf("the file of RevokedHostKeys, %s, revokes it", file)
		}
	}
	return nil
}

// listsKey reports whether a list of public keys has the key, or the authority
// of a certificate.
func listsKey(list []byte, key ssh.PublicKey) bool {
	certificate, _ := key.(*ssh.Certificate)
	for len(list) > 0 {
		listed, _, _, rest, err := ssh.ParseAuthorizedKey(list)
		if err != nil {
			return false // there is no further key
		}
		if sameKey(listed, key) || certificate != nil && (sameKey(listed, certificate.Key) || sameKey(listed, certificate.SignatureKey)) {
			return true
		}
		list = rest
	}
	return false
}

// krlHas reports whether a KRL revokes the key. ssh-keygen reads its format.
func (k *hostKey) krlHas(file string, key ssh.PublicKey) (bool, error) {
	shown, err := os.CreateTemp("", "csu-hostkey-*.pub")
	if err != nil {
		return false, err
	}
	defer os.Remove(shown.Name())
	_, err = shown.Write(ssh.MarshalAuthorizedKey(key))
	if err := errors.Join(err, shown.Close()); err != nil {
		return false, err
	}
	out, err := ask(k.ctx, "ssh-keygen", "-Q", "-f", file, shown.Name())
	if strings.Contains(out, ": REVOKED") {
		return true, nil
	}
	return false, err
}

// refuse keeps and returns the refusal.
func (k *hostKey) refuse(key ssh.PublicKey, lines []knownLine, why error) *HostKeyError {
	t := &k.host.trust
	k.refusal = &HostKeyError{
		Host: k.host.String(), Entry: k.entry(), Files: t.files(), Login: k.host.name, Err: why,
		Command: strings.Join(t.command, " "), DNS: t.dns,
	}
	if key != nil {
		k.refusal.Shown = describe(key)
	}
	for _, l := range lines {
		k.refusal.Known = append(k.refusal.Known, KnownLine{File: l.file, Line: l.line, Key: describe(l.key)})
	}
	return k.refusal
}

func describe(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// rsaBits returns the size of an RSA key, or 0 for another key.
func rsaBits(key ssh.PublicKey) int {
	if c, ok := key.(*ssh.Certificate); ok {
		key = c.Key
	}
	if plain, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := plain.CryptoPublicKey().(*rsa.PublicKey); ok {
			return k.N.BitLen()
		}
	}
	return 0
}
