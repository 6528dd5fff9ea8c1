package approval

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
)

// errNoKeygen is the reason why nothing can be signed or verified.
func errNoKeygen(cause error) error {
	return exit.Refuse("install OpenSSH's client, 8.7 or later", "cannot find ssh-keygen: %w", cause)
}

// keygenTime is the form of ssh-keygen's verify-time. csu runs it in UTC, in which it
// then reads the times in the signers' file, too, on every machine.
const keygenTime = "20060102150405"

// verifyFlags are those of ssh-keygen that verify an approval at a time, with a signers'
// file and the signature's file.
func verifyFlags(s Statement, signers, signature string, at time.Time) []string {
	return []string{"-Y", "verify", "-f", signers, "-I", s.By, "-n", Namespace(s.Role), "-s", signature,
		"-O", "verify-time=" + at.UTC().Format(keygenTime)}
}

// keygenVerify asks ssh-keygen whether the signature is the person's, with a key that the
// signers' file allows for the role at each of the times. Its error is ssh-keygen's.
func keygenVerify(f File, s Statement, signers *Signers, times ...time.Time) error {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return errNoKeygen(err)
	}
	dir, err := os.MkdirTemp("", "csu-verify-")
	if err != nil {
		return fmt.Errorf("verify an approval: %w", err)
	}
	defer os.RemoveAll(dir)
	const list, sig = "allowed_signers", "signature"
	for name, text := range map[string]string{list: signers.Text, sig: f.Signature} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("verify an approval: %w", err)
		}
	}
	for _, at := range times {
		cmd := exec.Command(program, verifyFlags(s, list, sig, at)...)
		cmd.Dir = dir
		cmd.Env = []string{"TZ=UTC", "LC_ALL=C", "PATH=" + os.Getenv("PATH")}
		cmd.Stdin = strings.NewReader(f.Statement)
		if out, err := cmd.CombinedOutput(); err != nil {
			return &invalidError{said(string(out), err)}
		}
	}
	return nil
}

// An invalidError is ssh-keygen's reason why a signature does not count.
type invalidError struct{ reason string }

func (e *invalidError) Error() string { return e.reason }

// said returns what ssh-keygen printed, in one line.
func said(out string, err error) string {
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && line != "Could not verify signature." {
			lines = append(lines, strings.TrimSuffix(line, "."))
		}
	}
	if len(lines) == 0 {
		return "ssh-keygen: " + err.Error()
	}
	return "ssh-keygen: " + strings.Join(lines, "; ")
}

// signedWith returns the key and the namespace that a signature names, by
// PROTOCOL.sshsig. Whether it is right is for ssh-keygen to say.
func signedWith(armored string) (blob, namespace string, err error) {
	if strings.Contains(armored, "\r\n") {
		return "", "", fmt.Errorf("the signature: %w", errWindows)
	}
	text, begins := strings.CutPrefix(armored, "-----BEGIN SSH SIGNATURE-----\n")
	text, _, ends := strings.Cut(text, "\n-----END SSH SIGNATURE-----")
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
	rest, magic := strings.CutPrefix(string(raw), "SSHSIG\x00\x00\x00\x01")
	blob, rest, hasKey := cutString(rest)
	namespace, _, hasName := cutString(rest)
	if !begins || !ends || err != nil || !magic || !hasKey || !hasName {
		return "", "", errors.New("the signature is not one of ssh-keygen -Y sign")
	}
	if err := canonical(blob); err != nil {
		return "", "", fmt.Errorf("the signature's key: %w", err)
	}
	return blob, namespace, nil
}

// A Key is one to sign with.
type Key struct {
	Blob string // the public key, as on the wire
	File string // of the key, for ssh-keygen: private, or public with the private one in an agent
	line string // of the public key, where there is no file
}

// Keys returns the keys at hand: those of the agent, then those in ~/.ssh. A machine
// without either has none.
func Keys(ctx context.Context) []Key {
	var out []Key
	add := func(text, file string) {
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) >= 2 {
				if blob, err := parseKey(f[0], f[1]); err == nil {
					out = append(out, Key{blob, file, f[0] + " " + f[1] + "\n"})
				}
			}
		}
	}
	if text, err := exec.CommandContext(ctx, "ssh-add", "-L").Output(); err == nil {
		add(string(text), "")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return out
	}
	files, _ := filepath.Glob(filepath.Join(home, ".ssh", "*.pub")) // the pattern is good
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil {
			add(string(text), strings.TrimSuffix(name, ".pub"))
		}
	}
	return out
}

// Hardware reports whether the key is in a device that waits for a touch. ssh-keygen says so
// only if its standard error is a terminal (readpass.c of openssh-portable 10.5), which csu
// reads.
func (k Key) Hardware() bool {
	typ, _, _ := cutString(k.Blob)
	return strings.HasPrefix(typ, "sk-")
}

// KeyIn returns the key of a file: a private key with its public key beside it, or a
// public key.
func KeyIn(file string) (Key, error) {
	public := file
	if !strings.HasSuffix(file, ".pub") {
		public += ".pub"
	}
	text, err := os.ReadFile(public)
	if err != nil {
		return Key{}, exit.Unusable("give the file of a key with its public key beside it; ssh-keygen -y prints it", "read the public key: %w", err)
	}
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return Key{}, exit.Unusable("", "key %q: not a public key", public)
	}
	blob, err := parseKey(f[0], f[1])
	if err != nil {
		return Key{}, exit.Unusable("", "key %q: %w", public, err)
	}
	return Key{Blob: blob, File: file}, nil
}

// Sign signs a statement with ssh-keygen, which may ask for the key's passphrase or for
// a touch on the terminal.
func Sign(k Key, s Statement) (signature string, err error) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return "", errNoKeygen(err)
	}
	dir, err := os.MkdirTemp("", "csu-sign-")
	if err != nil {
		return "", fmt.Errorf("sign the approval: %w", err)
	}
	defer os.RemoveAll(dir)
	if k.File == "" {
		k.File = filepath.Join(dir, "key.pub")
		if err := os.WriteFile(k.File, []byte(k.line), 0o600); err != nil {
			return "", fmt.Errorf("sign the approval: %w", err)
		}
	}
	text := filepath.Join(dir, "statement")
	if err := os.WriteFile(text, []byte(s.Text()), 0o600); err != nil {
		return "", fmt.Errorf("sign the approval: %w", err)
	}
	cmd := exec.Command(program, "-Y", "sign", "-f", k.File, "-n", Namespace(s.Role), text)
	var out strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, &out, &out
	if err := cmd.Run(); err != nil {
		return "", exit.Unusable("check that the key's file, agent or hardware is there, and its passphrase", "sign the approval with key %s: %s", Fingerprint(k.Blob), said(out.String(), err))
	}
	data, err := os.ReadFile(text + ".sig")
	if err != nil {
		return "", fmt.Errorf("sign the approval: %w", err)
	}
	return string(data), nil
}
