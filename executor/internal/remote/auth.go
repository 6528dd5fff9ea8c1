package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keyring holds the keys to offer to a host, in the order of ssh (OpenSSH 9.2,
// sshconnect2.c, pubkey_prepare): certificates that ssh config names, the agent's
// keys that it names, the agent's others, key files. A server closes the
// connection after a few wrong ones (MaxAuthTries).
type keyring struct {
	signers []ssh.Signer
	offered []string // describes each signer, for messages
	notes   []string // why other keys are not offered
	agent   net.Conn
}

// identity is a key or certificate that may be offered.
type identity struct {
	what   string        // for messages
	public ssh.PublicKey // nil if unknown
	signer ssh.Signer    // nil if csu does not have the private key
	why    string        // why not
}

// gatherKeys collects the keys for e. A key that cannot be used is not an
// error, since another may work. The notes say what was wrong.
func gatherKeys(ctx context.Context, e *endpoint) *keyring {
	k := &keyring{}
	if !e.publicKey {
		k.notes = append(k.notes, "ssh config switches publickey authentication off")
		return k
	}
	files := k.readFiles(e)
	var named, others []identity
	agents := k.askAgent(ctx, e.agent)
	for _, s := range agents {
		held := identity{what: "the agent's key", public: s.PublicKey(), signer: s}
		switch n := slices.IndexFunc(files, func(f identity) bool { return f.public != nil && sameKey(f.public, s.PublicKey()) }); {
		case n >= 0:
			named = append(named, held)
			files = slices.Delete(files, n, n+1)
		case !e.identityOnly:
			others = append(others, held)
		}
	}
	own := slices.Concat(named, others, files)
	var certificates []identity
	for _, name := range e.certificates {
		if c := readCertificate(name); c != nil {
			certificates = append(certificates, identity{what: "certificate " + name, public: c})
		} else {
			k.notes = append(k.notes, fmt.Sprintf("%s, the CertificateFile, is not a certificate", name))
		}
	}
	for _, id := range slices.Concat(certificates, own) {
		k.offer(e, id, slices.Concat(own, held(agents)))
	}
	return k
}

// held returns all that an agent has: a certificate may be for one of its keys
// that is not offered by itself.
func held(agents []ssh.Signer) []identity {
	var out []identity
	for _, s := range agents {
		out = append(out, identity{public: s.PublicKey(), signer: s})
	}
	return out
}

// offer adds a key, if it has a private half, among own, and ssh config allows it.
func (k *keyring) offer(e *endpoint, id identity, own []identity) {
	if c, ok := id.public.(*ssh.Certificate); ok && id.signer == nil {
		for _, o := range own {
			if o.signer != nil && sameKey(o.signer.PublicKey(), c.Key) {
				// It fails only for another key.
				id.signer, _ = ssh.NewCertSigner(c, o.signer)
				break
			}
		}
		id.why = id.what + " is for a private key that csu does not have"
	}
	if id.signer == nil {
		k.notes = append(k.notes, id.why)
		return
	}
	public := id.signer.PublicKey()
	if bits := rsaBits(public); bits > 0 && bits < e.allow.leastRSA {
		k.notes = append(k.notes, fmt.Sprintf("%s has %d bits, and RequiredRSASize is %d", id.what, bits, e.allow.leastRSA))
		return
	}
	signer := e.allow.restrict(id.signer)
	if signer == nil {
		k.notes = append(k.notes, fmt.Sprintf("%s is a %s, which PubkeyAcceptedAlgorithms does not have", id.what, public.Type()))
		return
	}
	k.signers = append(k.signers, signer)
	k.offered = append(k.offered, fmt.Sprintf("%s (%s %s)", id.what, public.Type(), ssh.FingerprintSHA256(public)))
}

// close closes the connection to the agent. Its keys cannot sign afterwards.
func (k *keyring) close() {
	if k.agent != nil {
		k.agent.Close()
	}
}

// askAgent returns the keys of the agent that listens on socket.
func (k *keyring) askAgent(ctx context.Context, socket string) []ssh.Signer {
	if socket == "" {
		k.notes = append(k.notes, "no agent: SSH_AUTH_SOCK is not set")
		return nil
	}
	if socket == "none" {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		k.notes = append(k.notes, fmt.Sprintf("the agent does not answer: %v", err))
		return nil
	}
	k.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		k.notes = append(k.notes, fmt.Sprintf("the agent does not list its keys: %v", err))
		return nil
	}
	return signers
}

// readFiles reads the key files of e and, unless ssh config names certificates,
// those beside them. A missing file is noted only if ssh config names it.
func (k *keyring) readFiles(e *endpoint) []identity {
	var out []identity
	for _, name := range e.identities {
		id := identity{what: "key file " + name}
		if pub, err := os.ReadFile(name + ".pub"); err == nil {
			if key, _, _, _, err := ssh.ParseAuthorizedKey(pub); err == nil {
				id.public = key
			}
		}
		private, err := os.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !e.identitiesSet && id.public == nil:
			continue
		case err != nil:
			id.why = fmt.Sprintf("cannot use key file %s: %v", name, err)
		default:
			id.parse(name, private)
		}
		if mode, open := othersMayRead(name); open {
			id.signer, id.why = nil, fmt.Sprintf("key file %s is ignored, others may read it (mode %#o): chmod 600 it", name, mode)
		}
		out = append(out, id)
		if len(e.certificates) > 0 {
			continue
		}
		if c := readCertificate(name + "-cert.pub"); c != nil {
			out = append(out, identity{what: "certificate " + name + "-cert.pub", public: c})
		}
	}
	return out
}

// othersMayRead reports whether ssh would ignore the private key in a file of
// the operator for its permissions (OpenSSH 9.2, authfile.c,
// sshkey_perm_ok).
func othersMayRead(name string) (fs.FileMode, bool) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().Perm(), ok && int(owner.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}

// readCertificate returns the certificate of a user in a file, or nil.
func readCertificate(name string) *ssh.Certificate {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	c, ok := key.(*ssh.Certificate)
	if !ok || c.CertType != ssh.UserCert {
		return nil
	}
	return c
}

func (id *identity) parse(name string, private []byte) {
	signer, err := ssh.ParsePrivateKey(private)
	var encrypted *ssh.PassphraseMissingError
	switch {
	case err == nil:
		id.signer, id.public = signer, signer.PublicKey()
	case errors.As(err, &encrypted):
		if encrypted.PublicKey != nil {
			id.public = encrypted.PublicKey
		}
		id.why = fmt.Sprintf("key file %s is encrypted and not in the agent: load it with \"ssh-add %s\"", name, name)
	default:
		// IdentityFile may name a public key whose private half is in the agent.
		if key, _, _, _, pubErr := ssh.ParseAuthorizedKey(private); pubErr == nil {
			id.public = key
			id.why = fmt.Sprintf("key file %s is a public key whose private key the agent does not have", name)
			return
		}
		id.why = fmt.Sprintf("cannot use key file %s: %v", name, err)
	}
}
