package remote

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// algorithms are those that ssh config allows and csu has, in its order.
type algorithms struct {
	kex, ciphers, macs []string
	hostKeys           []string
	byKnown            bool     // order hostKeys by what is in known_hosts
	publicKeys         []string // of the operator's keys, as ssh config allows them
	authorities        []string // of signatures in certificates, as ssh config allows them
	leastRSA           int      // bits
}

// algorithmsOf returns those of s. Where ssh prints none, csu's own apply. A list
// of which csu has nothing is refused by name: the handshake could only fail.
func algorithmsOf(s, own settings) (algorithms, error) {
	safe, unsafe := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	a := algorithms{
		byKnown:     ordered(s.list("hostkeyalgorithms"), own.list("hostkeyalgorithms")),
		publicKeys:  s.list("pubkeyacceptedalgorithms"),
		authorities: s.list("casignaturealgorithms"),
	}
	if a.publicKeys == nil {
		a.publicKeys = s.list("pubkeyacceptedkeytypes") // its name before OpenSSH 8.5
	}
	fmt.Sscan(s.get("requiredrsasize"), &a.leastRSA) // absent before OpenSSH 9.1
	for _, list := range []struct {
		name      string
		into      *[]string
		safe, has []string
	}{
		{"KexAlgorithms", &a.kex, safe.KeyExchanges, slices.Concat(safe.KeyExchanges, unsafe.KeyExchanges, []string{"curve25519-sha256@libssh.org"})},
		{"Ciphers", &a.ciphers, safe.Ciphers, slices.Concat(safe.Ciphers, unsafe.Ciphers)},
		{"MACs", &a.macs, safe.MACs, slices.Concat(safe.MACs, unsafe.MACs)},
		{"HostKeyAlgorithms", &a.hostKeys, safe.HostKeys, slices.Concat(safe.HostKeys, unsafe.HostKeys)},
	} {
		allowed := s.list(strings.ToLower(list.name))
		if allowed == nil {
			*list.into = list.safe
			continue
		}
		*list.into = slices.DeleteFunc(slices.Clone(allowed), func(a string) bool { return !slices.Contains(list.has, a) })
		if len(*list.into) == 0 {
			return a, fmt.Errorf("csu has none of the %s %s; allow one of %s too", list.name, strings.Join(allowed, ","), strings.Join(list.safe, ","))
		}
	}
	return a, nil
}

// hostKeyOrder returns the host key algorithms to request. A host has several
// keys and shows one. Those that known holds come first, since another one
// would look like another host (OpenSSH 9.2, sshconnect2.c, order_hostkeyalgs).
func (a *algorithms) hostKeyOrder(known []knownLine) []string {
	if !a.byKnown {
		return a.hostKeys
	}
	prefer := func(algorithm string) bool {
		return slices.ContainsFunc(known, func(l knownLine) bool {
			switch {
			case l.key == nil:
				return false
			case l.marker == authorityMarker:
				return strings.Contains(algorithm, "-cert-v01@")
			}
			return l.marker == "" && l.key.Type() == keyType(algorithm)
		})
	}
	if keys := func(l knownLine) bool {
		return l.marker == "" && l.key != nil && l.key.Type() == keyType(a.hostKeys[0])
	}; slices.ContainsFunc(known, keys) {
		return a.hostKeys
	}
	var first, last []string
	for _, algorithm := range a.hostKeys {
		if prefer(algorithm) {
			first = append(first, algorithm)
		} else {
			last = append(last, algorithm)
		}
	}
	return append(first, last...)
}

// keyType returns the type of the plain key that an algorithm signs with.
func keyType(algorithm string) string {
	plain := strings.Replace(algorithm, "-cert-v01@openssh.com", "", 1)
	switch {
	case strings.HasPrefix(plain, "rsa-sha2-"):
		return ssh.KeyAlgoRSA
	case plain != algorithm && strings.HasPrefix(plain, "sk-"):
		return plain + "@openssh.com"
	}
	return plain
}

// allowed returns those of ssh config's signature algorithms that a key can use.
func (a *algorithms) allowed(key ssh.PublicKey) []string {
	_, certificate := key.(*ssh.Certificate)
	var out []string
	for _, algorithm := range a.publicKeys {
		if strings.Contains(algorithm, "-cert-v01@") == certificate && keyType(algorithm) == keyType(key.Type()) {
			out = append(out, algorithm)
		}
	}
	return out
}

// restrict returns a signer that uses only what ssh config allows for its key, or
// nil if that is nothing.
func (a *algorithms) restrict(s ssh.Signer) ssh.Signer {
	if a.publicKeys == nil {
		return s
	}
	allowed := a.allowed(s.PublicKey())
	if len(allowed) == 0 {
		return nil
	}
	able, ok := s.(ssh.AlgorithmSigner)
	if !ok || keyType(s.PublicKey().Type()) != ssh.KeyAlgoRSA {
		return s // a key of another type has one algorithm
	}
	for i := range allowed {
		allowed[i] = strings.Replace(allowed[i], "-cert-v01@openssh.com", "", 1)
	}
	restricted, err := ssh.NewSignerWithAlgorithms(able, allowed)
	if err != nil {
		return s
	}
	return restricted
}
