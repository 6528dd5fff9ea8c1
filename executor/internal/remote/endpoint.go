package remote

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
)

// endpoint is a host with everything that a login needs, as ssh says.
type endpoint struct {
	request    request
	name       string // that ssh was asked about
	host, port string
	user       string

	network       string // "tcp", "tcp4" or "tcp6"
	bind          string // this machine's address or interface; "" for any
	attempts      int
	timeout       time.Duration
	proxyCommand  string // expanded; "" if there is none
	proxyPassesFD bool
	jump          *endpoint // nil if reached directly

	identities    []string
	identitiesSet bool // named in ssh config, not ssh's default ones
	identityOnly  bool
	certificates  []string
	agent         string            // socket; "" or "none" for no agent
	publicKey     bool              // whether ssh would authenticate by key
	unsupported   map[string]string // settings for other ways to log in, by the method that the server must accept

	trust trust
	allow algorithms
}

// trust is how ssh checks the key of a host.
type trust struct {
	alias             string // HostKeyAlias
	userFiles         []string
	globalFiles       []string
	command           []string // KnownHostsCommand, with its tokens
	revoked           []string // RevokedHostKeys
	strict            string   // "true", "ask", "accept-new" or "false"
	address           bool     // CheckHostIP
	hash              bool     // HashKnownHosts
	localhostUnproven bool     // NoHostAuthenticationForLocalhost
	dns               bool     // VerifyHostKeyDNS
	tokens            tokens
}

func (e *endpoint) addr() string { return net.JoinHostPort(e.host, e.port) }

// String names the endpoint in messages.
func (e *endpoint) String() string {
	if e.request.name == e.addr() {
		return e.request.name
	}
	return fmt.Sprintf("%s (%s)", e.request.name, e.addr())
}

// maxJumps limits a chain of jump hosts; a longer one is a cycle.
const maxJumps = 8

// resolve asks ssh how to reach r, and each jump host on the way.
func (p *Pool) resolve(ctx context.Context, r request) (*endpoint, error) {
	return p.resolveFor(ctx, r, 0)
}

func (p *Pool) resolveFor(ctx context.Context, r request, depth int) (*endpoint, error) {
	if depth > maxJumps {
		return nil, &ConfigError{Problem: fmt.Sprintf("the jump host %q is reached through more than %d others; remove the cycle in ProxyJump", r.name, maxJumps)}
	}
	name, s, err := p.askAbout(ctx, r)
	if err != nil {
		return nil, err
	}
	own, err := p.defaults(ctx)
	if err != nil {
		return nil, err
	}
	e := &endpoint{request: r, name: name, host: s.get("hostname"), port: s.get("port"), user: s.get("user")}
	if jump := s.get("proxyjump"); jump != "" {
		next, err := parseJump(jump)
		if err != nil {
			return nil, err
		}
		if e.jump, err = p.resolveFor(ctx, next, depth+1); err != nil {
			return nil, err
		}
	}
	if err := e.read(s, own); err != nil {
		return nil, &ConfigError{Problem: "ssh's settings for " + name, Err: err}
	}
	return e, nil
}

// nobody is a name that only settings for all hosts apply to.
const nobody = "csu.invalid"

// askAbout returns what ssh says of r, and the name that it was asked about. The
// operator's configuration may know a host of the plan by its name or by its
// address. The name counts if ssh config has something for it that it has neither
// for the address nor for all hosts, else the address.
func (p *Pool) askAbout(ctx context.Context, r request) (string, settings, error) {
	byName, err := p.askSSH(ctx, r, r.name)
	if err != nil || r.address == "" || r.address == r.name || !strings.EqualFold(byName.get("hostname"), r.name) {
		return r.name, byName, err
	}
	byAddress, err := p.askSSH(ctx, r, r.address)
	if err != nil || byName.sameFor(byAddress) {
		return r.address, byAddress, err
	}
	common, err := p.askSSH(ctx, r, nobody)
	if err != nil || byName.sameFor(common) {
		return r.address, byAddress, err
	}
	return r.name, byName, nil
}

// read takes what ssh says into e. own are the settings that ssh has without
// any configuration.
func (e *endpoint) read(s, own settings) (err error) {
	self, err := user.Current()
	if err != nil {
		return err
	}
	t := tokensOf(e, s.get("hostkeyalias"), self)
	e.connection(s)
	if e.proxyCommand, err = t.percent(s.get("proxycommand")); err != nil {
		return fmt.Errorf("ProxyCommand: %w", err)
	}
	if e.trust, err = trustOf(s, t); err != nil {
		return err
	}
	if e.identities, err = each(t.path, s["identityfile"]); err != nil {
		return fmt.Errorf("IdentityFile: %w", err)
	}
	e.identitiesSet = !slices.Equal(s["identityfile"], own["identityfile"])
	if e.certificates, err = each(t.path, s["certificatefile"]); err != nil {
		return fmt.Errorf("CertificateFile: %w", err)
	}
	e.identityOnly = s.is("identitiesonly")
	if e.agent, err = agentSocket(s.get("identityagent"), t); err != nil {
		return fmt.Errorf("IdentityAgent: %w", err)
	}
	// It has other values than yes and no: unbound, host-bound.
	methods := s.list("preferredauthentications")
	e.publicKey = s.get("pubkeyauthentication") != "false" && s.get("pubkeyauthentication") != "no" &&
		(methods == nil || slices.Contains(methods, "publickey"))
	e.unsupported = unsupported(s)
	e.allow, err = algorithmsOf(s, own)
	return err
}

// unsupported returns the settings of other ways to log in, which csu lacks, by
// the method that the server must accept for them.
func unsupported(s settings) map[string]string {
	found := map[string]string{}
	if s.is("gssapiauthentication") {
		found["gssapi-with-mic"] = "GSSAPIAuthentication"
	}
	if s.is("hostbasedauthentication") {
		found["hostbased"] = "HostbasedAuthentication"
	}
	if provider := s.get("pkcs11provider"); provider != "" && provider != "none" {
		found["publickey"] = "PKCS11Provider " + provider
	}
	return found
}

// connection takes how to make the network connection.
func (e *endpoint) connection(s settings) {
	e.network = map[string]string{"inet": "tcp4", "inet6": "tcp6"}[s.get("addressfamily")]
	if e.network == "" {
		e.network = "tcp"
	}
	e.bind = s.get("bindaddress")
	if e.bind == "" {
		e.bind = s.get("bindinterface")
	}
	e.attempts, _ = strconv.Atoi(s.get("connectionattempts"))
	e.attempts = max(e.attempts, 1)
	e.timeout = s.seconds("connecttimeout", dialLimit)
	e.proxyPassesFD = s.is("proxyusefdpass")
}

func trustOf(s settings, t tokens) (trust, error) {
	out := trust{
		alias:  s.get("hostkeyalias"),
		strict: s.get("stricthostkeychecking"), address: s.is("checkhostip"), hash: s.is("hashknownhosts"),
		localhostUnproven: s.is("nohostauthenticationforlocalhost"), dns: s.is("verifyhostkeydns"), tokens: t,
	}
	// ssh -G has expanded some of these already, and a name with a % in it may
	// not expand once more.
	expand := func(name string) string {
		if expanded, err := t.path(name); err == nil {
			return expanded
		}
		return name
	}
	out.userFiles = s.files("userknownhostsfile", expand)
	out.globalFiles = s.files("globalknownhostsfile", expand)
	out.revoked = s.files("revokedhostkeys", expand)
	if command := s.get("knownhostscommand"); command != "" && command != "none" {
		var err error
		if out.command, err = words(command); err != nil {
			return out, fmt.Errorf("KnownHostsCommand: %w", err)
		}
	}
	return out, nil
}

// files returns all known_hosts files.
func (t *trust) files() []string { return slices.Concat(t.userFiles, t.globalFiles) }

// each expands the names of files; "none" is no file.
func each(expand func(string) (string, error), names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		if strings.EqualFold(name, "none") {
			continue
		}
		expanded, err := expand(name)
		if err != nil {
			return nil, err
		}
		out = append(out, expanded)
	}
	return out, nil
}

// agentSocket returns the socket of the agent to use.
func agentSocket(v string, t tokens) (string, error) {
	switch {
	case v == "" || v == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK"), nil
	case v == "none":
		return v, nil
	case strings.HasPrefix(v, "$") && !strings.HasPrefix(v, "${"):
		return os.Getenv(v[1:]), nil
	}
	return t.path(v)
}
