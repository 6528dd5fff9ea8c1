package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"
)

// endpoint is a host with everything that a login needs, according to ssh
// config.
type endpoint struct {
	name           string // as the plan or a ProxyJump names it
	host, port     string
	user           string
	checkAs        string // the address to look up in known_hosts
	knownHosts     []string
	identities     []string
	identitiesSet  bool // named in ssh config, not ssh's default ones
	identitiesOnly bool
	agent          string // socket; "" or "none" for no agent
	connectTimeout time.Duration
	jump           *endpoint // nil if reached directly
}

func (e *endpoint) addr() string { return net.JoinHostPort(e.host, e.port) }

// String names the endpoint in messages.
func (e *endpoint) String() string {
	if e.name == e.addr() {
		return e.name
	}
	return fmt.Sprintf("%s (%s)", e.name, e.addr())
}

// key identifies a connection: a host, a login and the way there.
func (e *endpoint) key() string {
	k := e.user + "@" + e.addr() + " as " + e.checkAs
	if e.jump != nil {
		k += " via " + e.jump.key()
	}
	return k
}

// sshConfig is the operator's ssh config.
type sshConfig struct {
	file string
	cfg  *ssh_config.Config
	home string
}

// readSSHConfig reads file, or ~/.ssh/config, which need not exist.
func readSSHConfig(file string) (*sshConfig, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, &ConfigError{Problem: "find the operator's home directory", Err: err}
	}
	own := file == ""
	if own {
		file = filepath.Join(home, ".ssh", "config")
	}
	c := &sshConfig{file: file, cfg: &ssh_config.Config{}, home: home}
	text, err := os.ReadFile(file)
	if own && errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, &ConfigError{Problem: "read ssh config", Err: err}
	}
	if err := c.refuseMatch(file, text, 0); err != nil {
		return nil, err
	}
	c.cfg, err = ssh_config.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, &ConfigError{File: file, Problem: "read ssh config", Err: err}
	}
	return c, nil
}

var keyword = regexp.MustCompile(`^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*?)\s*$`)

// refuseMatch refuses Match blocks, also in included files. The library
// supports some of them, but not in the way of ssh.
func (c *sshConfig) refuseMatch(file string, text []byte, depth int) error {
	if depth > 5 { // the library's own limit, which it then reports
		return nil
	}
	for n, line := range strings.Split(string(text), "\n") {
		m := keyword.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch strings.ToLower(m[1]) {
		case "match":
			if strings.EqualFold(m[2], "all") {
				continue
			}
			return &ConfigError{File: file, Line: n + 1, Problem: "csu does not support Match blocks; put these settings into Host blocks"}
		case "include":
			for _, pattern := range strings.Fields(m[2]) {
				switch {
				case filepath.IsAbs(pattern):
				case strings.HasPrefix(pattern, "~/"):
					pattern = filepath.Join(c.home, pattern[2:])
				default:
					pattern = filepath.Join(c.home, ".ssh", pattern)
				}
				names, err := filepath.Glob(pattern)
				if err != nil {
					return &ConfigError{File: file, Line: n + 1, Problem: "read the files of an Include", Err: err}
				}
				for _, name := range names {
					included, err := os.ReadFile(name)
					if err != nil {
						return &ConfigError{File: file, Line: n + 1, Problem: "read the files of an Include", Err: err}
					}
					if err := c.refuseMatch(name, included, depth+1); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// nobody is a name that only settings for all hosts apply to.
const nobody = "csu.invalid"

// all returns the values of key for the first of names for which ssh config has
// a specific setting, else the setting for all hosts.
//
// The plan refers to a host by a short name and by its address, and the
// operator's config may know either: "Host azar03" or "Host *.cp.lsst.org".
func (c *sshConfig) all(names []string, key string) ([]string, error) {
	common, err := c.cfg.GetAll(nobody, key)
	if err != nil {
		return nil, &ConfigError{File: c.file, Problem: "read " + key, Err: err}
	}
	for _, name := range names {
		values, err := c.cfg.GetAll(name, key)
		if err != nil {
			return nil, &ConfigError{File: c.file, Problem: "read " + key, Err: err}
		}
		if len(values) > 0 && !slices.Equal(values, common) {
			return values, nil
		}
	}
	return common, nil
}

// first returns the first value of key, which is the effective one, or "".
func (c *sshConfig) first(names []string, key string) (string, error) {
	values, err := c.all(names, key)
	if err != nil || len(values) == 0 {
		return "", err
	}
	return values[0], nil
}

// unsupported lists settings that csu cannot honour. Ignoring them would make a
// login fail, or trust a host that ssh does not trust.
var unsupported = []struct{ key, remedy string }{
	{"ProxyCommand", "use ProxyJump for the jump host instead, which does the same as \"ssh -W\""},
	{"RevokedHostKeys", "mark revoked keys with @revoked in known_hosts instead"},
	{"CertificateFile", "load the key with its certificate into the agent with ssh-add instead"},
}

// override holds what a ProxyJump or a login sets, with precedence over ssh
// config.
type override struct {
	user, port string
	jumps      []string // the hops before this one; nil means those of ssh config
	depth      int      // how many hops follow
}

// maxJumps limits a chain of jump hosts; a longer one is a cycle.
const maxJumps = 8

// resolve determines how to log in to the host that the plan calls by name and
// address.
func (c *sshConfig) resolve(name, address string, o override) (*endpoint, error) {
	if o.depth > maxJumps {
		return nil, &ConfigError{File: c.file, Problem: fmt.Sprintf("the jump host %q is reached through more than %d others; remove the cycle in ProxyJump", name, maxJumps)}
	}
	names := []string{name}
	if address != "" && address != name {
		names = append(names, address)
	}
	r := &reader{c: c, names: names}
	e := &endpoint{name: name, port: o.port, user: o.user}
	if e.port == "" {
		e.port = r.get("Port", "22")
	}
	if n, err := strconv.ParseUint(e.port, 10, 16); r.err == nil && (err != nil || n == 0) {
		return nil, &ConfigError{File: c.file, Problem: fmt.Sprintf("port %q of %q is not a number from 1 to 65535", e.port, name)}
	}
	if e.user == "" {
		e.user = r.get("User", ownAccount())
	}
	e.host = r.hostName(names)
	r.tokens = map[byte]string{'h': e.host, 'n': name, 'p': e.port, 'r': e.user, 'u': ownAccount(), 'd': c.home}
	e.checkAs = e.addr()
	if alias := r.get("HostKeyAlias", ""); alias != "" {
		e.checkAs = net.JoinHostPort(strings.ToLower(alias), "22")
	}
	e.knownHosts = slices.Concat(
		r.paths(strings.Fields(r.get("UserKnownHostsFile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"))),
		r.paths(strings.Fields(r.get("GlobalKnownHostsFile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"))))
	e.identities = r.paths(r.all("IdentityFile"))
	e.identitiesSet = len(e.identities) > 0
	if !e.identitiesSet {
		e.identities = r.paths([]string{"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"})
	}
	e.identitiesOnly = strings.EqualFold(r.get("IdentitiesOnly", "no"), "yes")
	e.agent = r.agent()
	e.connectTimeout = r.timeout("ConnectTimeout", dialLimit)
	for _, u := range unsupported {
		if v := r.get(u.key, "none"); r.err == nil && !strings.EqualFold(v, "none") {
			return nil, &ConfigError{File: c.file, Problem: fmt.Sprintf("csu does not support %s, which is set for %q; %s", u.key, name, u.remedy)}
		}
	}
	jumps := o.jumps
	if jumps == nil {
		if list := r.get("ProxyJump", "none"); !strings.EqualFold(list, "none") {
			jumps = strings.Split(list, ",")
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(jumps) == 0 {
		return e, nil
	}
	var err error
	e.jump, err = c.hop(jumps, o.depth+1)
	return e, err
}

// hop resolves the last of jumps, which is reached through those before it. The
// first is reached as ssh config says.
func (c *sshConfig) hop(jumps []string, depth int) (*endpoint, error) {
	spec := strings.TrimPrefix(strings.TrimSpace(jumps[len(jumps)-1]), "ssh://")
	o := override{depth: depth}
	if len(jumps) > 1 {
		o.jumps = jumps[:len(jumps)-1]
	}
	if i := strings.LastIndex(spec, "@"); i >= 0 {
		o.user, spec = spec[:i], spec[i+1:]
	}
	if host, port, err := net.SplitHostPort(spec); err == nil {
		spec, o.port = host, port
	}
	if !hostName.MatchString(spec) {
		return nil, &ConfigError{File: c.file, Problem: fmt.Sprintf("ProxyJump %q is not a host", jumps[len(jumps)-1])}
	}
	return c.resolve(spec, "", o)
}

// ownAccount returns the operator's account name, for when ssh config has none.
func ownAccount() string {
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// reader reads the settings of one host and keeps the first error.
type reader struct {
	c      *sshConfig
	names  []string
	tokens map[byte]string
	err    error
}

func (r *reader) get(key, otherwise string) string {
	v, err := r.c.first(r.names, key)
	r.keep(err)
	if v == "" {
		return otherwise
	}
	return v
}

func (r *reader) all(key string) []string {
	v, err := r.c.all(r.names, key)
	r.keep(err)
	return v
}

func (r *reader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

// hostName returns the name to connect to: the first HostName set for any of
// names, else the last of names, which is the DNS name.
func (r *reader) hostName(names []string) string {
	for i, name := range names {
		v, err := r.c.first(names[i:i+1], "HostName")
		r.keep(err)
		if v != "" {
			r.tokens = map[byte]string{'h': name, 'n': name}
			return strings.ToLower(r.expand(v))
		}
	}
	return strings.ToLower(names[len(names)-1])
}

// paths expands file names; "none" means no file.
func (r *reader) paths(values []string) []string {
	var out []string
	for _, v := range values {
		v = strings.Trim(v, `"`)
		if v == "" || strings.EqualFold(v, "none") {
			continue
		}
		if rest, ok := strings.CutPrefix(v, "~/"); ok {
			v = filepath.Join(r.c.home, rest)
		}
		out = append(out, r.expand(v))
	}
	return out
}

// agent returns the socket of the agent to use.
func (r *reader) agent() string {
	v := r.get("IdentityAgent", "SSH_AUTH_SOCK")
	switch {
	case v == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK")
	case strings.EqualFold(v, "none"):
		return "none"
	case strings.HasPrefix(v, "$") && !strings.HasPrefix(v, "${"):
		return os.Getenv(v[1:])
	}
	if p := r.paths([]string{v}); len(p) > 0 {
		return p[0]
	}
	return ""
}

func (r *reader) timeout(key string, otherwise time.Duration) time.Duration {
	v := r.get(key, "")
	if v == "" || strings.EqualFold(v, "none") {
		return otherwise
	}
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if d, err := time.ParseDuration(v); err == nil && d > 0 {
		return d
	}
	r.keep(&ConfigError{File: r.c.file, Problem: fmt.Sprintf("%s %q is not a number of seconds", key, v)})
	return otherwise
}

var environment = regexp.MustCompile(`\$\{([A-Za-z0-9_]+)\}`)

// expand replaces ${NAME} and those of ssh's % tokens that csu supports.
func (r *reader) expand(v string) string {
	v = environment.ReplaceAllStringFunc(v, func(s string) string { return os.Getenv(s[2 : len(s)-1]) })
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] != '%' || i+1 == len(v) {
			b.WriteByte(v[i])
			continue
		}
		i++
		value, ok := r.tokens[v[i]]
		switch {
		case v[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(value)
		default:
			r.keep(&ConfigError{File: r.c.file, Problem: fmt.Sprintf("%q uses %%%c, which csu does not support there", v, v[i])})
		}
	}
	return b.String()
}
