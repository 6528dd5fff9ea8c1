package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keyring holds the keys to offer to a host, in the order of ssh: the agent's
// keys that ssh config names, the agent's others, key files. A server closes
// the connection after a few wrong ones (MaxAuthTries).
type keyring struct {
	signers []ssh.Signer
	offered []string // describes each signer, for messages
	notes   []string // why other keys are not offered
	agent   net.Conn
}

// gatherKeys collects the keys for e. A key that cannot be used is not an
// error, since another may work. The notes say what was wrong.
func gatherKeys(ctx context.Context, e *endpoint) *keyring {
	k := &keyring{}
	files := k.readFiles(e.identities, e.identitiesSet)
	named := func(pub ssh.PublicKey) bool {
		return slices.ContainsFunc(files, func(f keyFile) bool {
			return f.public != nil && bytes.Equal(f.public.Marshal(), pub.Marshal())
		})
	}
	var others []ssh.Signer
	for _, s := range k.askAgent(ctx, e.agent) {
		switch {
		case named(s.PublicKey()):
			k.offer(s, "the agent's key")
		case !e.identitiesOnly:
			others = append(others, s)
		}
	}
	for _, s := range others {
		k.offer(s, "the agent's key")
	}
	for _, f := range files {
		switch {
		case f.public != nil && k.has(f.public):
		case f.signer != nil:
			k.offer(f.signer, "key file "+f.name)
		default:
			k.notes = append(k.notes, f.problem)
		}
	}
	return k
}

func (k *keyring) offer(s ssh.Signer, what string) {
	k.signers = append(k.signers, s)
	k.offered = append(k.offered, fmt.Sprintf("%s (%s %s)", what, s.PublicKey().Type(), ssh.FingerprintSHA256(s.PublicKey())))
}

func (k *keyring) has(pub ssh.PublicKey) bool {
	return slices.ContainsFunc(k.signers, func(s ssh.Signer) bool {
		return bytes.Equal(s.PublicKey().Marshal(), pub.Marshal())
	})
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

// keyFile is a private key file, or what is known of one that cannot be used.
type keyFile struct {
	name    string
	signer  ssh.Signer    // nil if it cannot be used
	public  ssh.PublicKey // nil if unknown; the agent may have the private half
	problem string
}

// readFiles reads the named key files. A missing file is noted only if ssh
// config names it.
func (k *keyring) readFiles(names []string, named bool) []keyFile {
	var files []keyFile
	for _, name := range names {
		f := keyFile{name: name}
		if pub, err := os.ReadFile(name + ".pub"); err == nil {
			if key, _, _, _, err := ssh.ParseAuthorizedKey(pub); err == nil {
				f.public = key
			}
		}
		private, err := os.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !named && f.public == nil:
			continue
		case err != nil:
			f.problem = fmt.Sprintf("cannot use key file %s: %v", name, err)
		default:
			f.parse(private)
		}
		files = append(files, f)
	}
	return files
}

func (f *keyFile) parse(private []byte) {
	signer, err := ssh.ParsePrivateKey(private)
	var encrypted *ssh.PassphraseMissingError
	switch {
	case err == nil:
		f.signer, f.public = signer, signer.PublicKey()
	case errors.As(err, &encrypted):
		if encrypted.PublicKey != nil {
			f.public = encrypted.PublicKey
		}
		f.problem = fmt.Sprintf("key file %s is encrypted and not in the agent: load it with \"ssh-add %s\"", f.name, f.name)
	default:
		// IdentityFile may name a public key whose private half is in the agent.
		if key, _, _, _, pubErr := ssh.ParseAuthorizedKey(private); pubErr == nil {
			f.public = key
			f.problem = fmt.Sprintf("key file %s is a public key whose private key the agent does not have", f.name)
			return
		}
		f.problem = fmt.Sprintf("cannot use key file %s: %v", f.name, err)
	}
}
