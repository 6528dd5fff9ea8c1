package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// The markers of known_hosts, as ssh.ParseKnownHosts returns them.
const (
	authorityMarker = "cert-authority"
	revokedMarker   = "revoked"
)

// knownLine is a line of known_hosts that names a host.
type knownLine struct {
	file   string
	line   int
	marker string
	key    ssh.PublicKey // nil for a line that cannot be read
	err    error         // why not
}

// known is what known_hosts says of one name. csu reads it itself, by the rules
// of ssh (OpenSSH 9.2, hostfile.c): package knownhosts refuses every host for one
// bad line, and reveals lines only when a key does not match.
type known struct {
	lines []knownLine // that name the host, also those that cannot be read
	notes []string    // of lines that cannot be read and do not name it
}

func (k *known) add(other known) {
	k.lines = append(k.lines, other.lines...)
	k.notes = append(k.notes, other.notes...)
}

// readKnown returns what files say of name. A file that is absent says nothing.
func readKnown(files []string, name string) known {
	var k known
	for _, file := range files {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = k.read(file, f, name)
			f.Close()
		}
		if err != nil {
			k.notes = append(k.notes, fmt.Sprintf("cannot read known hosts: %v", err))
		}
	}
	return k
}

// read adds what r, called file, says of name.
func (k *known) read(file string, r io.Reader, name string) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		l := knownLine{file: file, line: n}
		hosts := ""
		fields := strings.Fields(string(text))
		if strings.HasPrefix(fields[0], "@") && len(fields) > 1 {
			l.marker, fields = fields[0][1:], fields[1:]
		}
		hosts = fields[0]
		if l.marker != "" && l.marker != authorityMarker && l.marker != revokedMarker {
			l.err = fmt.Errorf("unknown marker @%s", l.marker)
		} else if _, _, l.key, _, _, l.err = ssh.ParseKnownHosts(text); l.err == io.EOF {
			l.err = errors.New("it has no key")
		}
		named, err := names(hosts, name)
		switch {
		case err != nil || l.err != nil && !named:
			k.notes = append(k.notes, fmt.Sprintf("%s:%d is skipped, it cannot be read: %s", file, n, strings.TrimPrefix(fmt.Sprint(errors.Join(l.err, err)), "ssh: ")))
		case named:
			k.lines = append(k.lines, l)
		}
	}
	return lines.Err()
}

// names reports whether the hosts of a line name a host. An entry of known_hosts
// is hashed, or a list of patterns of which none that begins with ! may match.
func names(hosts, name string) (bool, error) {
	name = strings.ToLower(name)
	if strings.HasPrefix(hosts, "|") {
		parts := strings.Split(hosts, "|")
		if len(parts) != 4 || parts[1] != "1" {
			return false, errors.New("unknown kind of hash")
		}
		salt, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil {
			return false, fmt.Errorf("salt of the hash: %w", err)
		}
		want, err := base64.StdEncoding.DecodeString(parts[3])
		if err != nil {
			return false, fmt.Errorf("hash: %w", err)
		}
		mac := hmac.New(sha1.New, salt)
		mac.Write([]byte(name))
		return hmac.Equal(mac.Sum(nil), want), nil
	}
	named := false
	for pattern := range strings.SplitSeq(strings.ToLower(hosts), ",") {
		not := strings.HasPrefix(pattern, "!")
		if matches(strings.TrimPrefix(pattern, "!"), name) {
			if not {
				return false, nil
			}
			named = true
		}
	}
	return named, nil
}

// matches reports whether a pattern with * and ? matches s.
func matches(pattern, s string) bool {
	for len(pattern) > 0 {
		switch {
		case pattern[0] == '*':
			for i := range len(s) + 1 {
				if matches(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		case len(s) == 0 || pattern[0] != '?' && pattern[0] != s[0]:
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return len(s) == 0
}

// ask returns what KnownHostsCommand says of name; key is nil if the host has
// shown none yet (OpenSSH 9.2, sshconnect.c, load_hostkeys_command).
func (t *trust) ask(ctx context.Context, purpose, name string, key ssh.PublicKey) (known, error) {
	if len(t.command) == 0 {
		return known{}, nil
	}
	more := tokens{}
	for c, value := range t.tokens {
		more[c] = value
	}
	more['I'], more['H'], more['t'], more['f'], more['K'] = purpose, name, "NONE", "NONE", "NONE"
	if key != nil {
		more['t'], more['f'], more['K'] = key.Type(), ssh.FingerprintSHA256(key), base64.StdEncoding.EncodeToString(key.Marshal())
	}
	args := append([]string{}, t.command...)
	for i := range args[1:] {
		var err error
		if args[i+1], err = more.dollar(args[i+1]); err != nil {
			return known{}, fmt.Errorf("KnownHostsCommand: %w", err)
		}
	}
	if !filepath.IsAbs(args[0]) {
		return known{notes: []string{fmt.Sprintf("KnownHostsCommand %q is not run, it is not an absolute path", args[0])}}, nil
	}
	out, err := ask(ctx, args[0], args[1:]...)
	if errors.Is(err, fs.ErrNotExist) {
		return known{notes: []string{fmt.Sprintf("KnownHostsCommand is not run: %v", err)}}, nil
	}
	if err != nil {
		return known{}, fmt.Errorf("KnownHostsCommand %q: %w", strings.Join(args, " "), err)
	}
	var k known
	return k, k.read("KnownHostsCommand", strings.NewReader(out), name)
}

// remember adds a key to the operator's known_hosts, as ssh does where
// StrictHostKeyChecking lets it.
func (t *trust) remember(name string, key ssh.PublicKey) error {
	if len(t.userFiles) == 0 {
		return nil
	}
	file := t.userFiles[0]
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if t.hash {
		name = knownhosts.HashHostname(name)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	line := name + " " + string(ssh.MarshalAuthorizedKey(key))
	last := []byte{'\n'}
	if at, err := f.Seek(0, io.SeekEnd); err == nil && at > 0 {
		if _, err := f.ReadAt(last, at-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
