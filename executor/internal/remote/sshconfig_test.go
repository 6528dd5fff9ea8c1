package remote

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// home makes a home directory with an ssh config.
func home(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("USER", "jdoe")
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	if err := os.Mkdir(filepath.Join(dir, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".ssh", "config"), config)
	return dir
}

func resolve(t *testing.T, host, address string) (*endpoint, error) {
	t.Helper()
	cfg, err := readSSHConfig("")
	if err != nil {
		return nil, err
	}
	return cfg.resolve(host, address, override{})
}

func TestResolve(t *testing.T) {
	dir := home(t, `
Host azar03 azar04
  HostName %h.short.example.org
  User short
  UserKnownHostsFile "~/known here" none
Host azar05
  User half
Host *.example.org !no.example.org
  ProxyJump jdoe2@bastion:2222
  Port 2200
  IdentityFile ~/.ssh/%h
  IdentityFile ~/.ssh/second
Host bastion
  HostName bastion.example.com
  ConnectTimeout 7
Host *
  User everyone
  HostKeyAlgorithms +ssh-rsa
`)
	type want struct{ addr, user, jump string }
	for _, c := range []struct {
		host, address string
		want          want
	}{
		{"azar03", "azar03.cp.example.org", want{"azar03.short.example.org:2200", "short", "jdoe2@bastion.example.com:2222"}},
		{"azar04", "", want{"azar04.short.example.org:22", "short", ""}},
		{"azar05", "azar05.example.org", want{"azar05.example.org:2200", "half", "jdoe2@bastion.example.com:2222"}},
		{"other", "Other.Example.Net", want{"other.example.net:22", "everyone", ""}},
		{"other", "no.example.org", want{"no.example.org:22", "everyone", ""}},
	} {
		e, err := resolve(t, c.host, c.address)
		if err != nil {
			t.Errorf("%s, %s: %v", c.host, c.address, err)
			continue
		}
		got := want{addr: e.addr(), user: e.user}
		if e.jump != nil {
			got.jump = e.jump.user + "@" + e.jump.addr()
		}
		if got != c.want {
			t.Errorf("%s, %s: %+v, want %+v", c.host, c.address, got, c.want)
		}
	}
	e, err := resolve(t, "azar05", "azar05.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{dir + "/.ssh/azar05.example.org", dir + "/.ssh/second"}; !slices.Equal(e.identities, want) {
		t.Errorf("key files %q, want %q", e.identities, want)
	}
	if e.agent != "/run/agent" || e.identitiesOnly || e.connectTimeout != dialLimit || e.jump.connectTimeout != 7*time.Second {
		t.Errorf("agent %q, identities only %v, timeouts %v and %v", e.agent, e.identitiesOnly, e.connectTimeout, e.jump.connectTimeout)
	}
}

func TestResolveWithoutConfig(t *testing.T) {
	dir := home(t, "")
	if err := os.Remove(filepath.Join(dir, ".ssh", "config")); err != nil {
		t.Fatal(err)
	}
	e, err := resolve(t, "azar03", "azar03.cp.lsst.org")
	if err != nil {
		t.Fatal(err)
	}
	if e.addr() != "azar03.cp.lsst.org:22" || e.user != "jdoe" || !slices.Contains(e.knownHosts, dir+"/.ssh/known_hosts") || !slices.Contains(e.identities, dir+"/.ssh/id_ed25519") {
		t.Errorf("%+v, want what ssh does without a config", e)
	}
	_, err = readSSHConfig(filepath.Join(dir, "absent"))
	var config *ConfigError
	if !errors.As(err, &config) {
		t.Errorf("a named config that is absent = %v, want a ConfigError", err)
	}
}

func TestResolveIncluded(t *testing.T) {
	dir := home(t, "")
	if err := os.Mkdir(filepath.Join(dir, ".ssh", "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	included := filepath.Join(dir, ".ssh", "conf.d", "summit")
	// The library resolves ~ from the account, not from $HOME.
	write(t, filepath.Join(dir, ".ssh", "config"), "Include "+filepath.Join(dir, ".ssh", "conf.d", "*")+"\nHost *\n  User everyone\n")
	write(t, included, "Host azar03\n  User included\n")
	if e, err := resolve(t, "azar03", ""); err != nil || e.user != "included" {
		t.Errorf("%+v, %v; want the account of the included file", e, err)
	}
	write(t, included, "\nMatch host azar03 exec true\n  User included\n")
	_, err := resolve(t, "azar03", "")
	var config *ConfigError
	if !errors.As(err, &config) || config.File != included || config.Line != 2 {
		t.Errorf("Match in an included file: %v; want a ConfigError with %s:2", err, included)
	}
}

func TestResolveRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"Host azar03\n  ProxyCommand ssh -W %h:%p bastion\n":                  "ProxyJump",
		"Host azar03\n  RevokedHostKeys /etc/ssh/revoked\n":                   "@revoked",
		"Host azar03\n  CertificateFile ~/.ssh/id-cert.pub\n":                 "ssh-add",
		"Match user jdoe\n  Port 23\n":                                        "Host blocks",
		"match=canonical\n  Port 23\n":                                        "Host blocks",
		"Host azar03\n  Port ssh\n":                                           "port",
		"Host azar03\n  Port 70000\n":                                         "port",
		"Host azar03\n  ConnectTimeout soon\n":                                "ConnectTimeout",
		"Host azar03\n  IdentityFile ~/.ssh/%C\n":                             "%C",
		"Host azar03\n  ProxyJump bad host\n":                                 "ProxyJump",
		"Host *\n  ProxyJump bastion\n":                                       "cycle",
		"Host azar03\n  ProxyJump b\nHost b\n  ProxyJump azar03\n":            "cycle",
		"Include " + filepath.Join(t.TempDir(), "[") + "\nHost *\n  Port 2\n": "Include",
	} {
		home(t, text)
		_, err := resolve(t, "azar03", "azar03.cp.lsst.org")
		var config *ConfigError
		if !errors.As(err, &config) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want a ConfigError about %q", text, err, want)
		}
	}
}

func TestResolveAccepts(t *testing.T) {
	for _, text := range []string{
		"Match all\n  Port 23\n",
		"Host azar03\n  Port 23\n  ProxyCommand none\n  ProxyJump none\nHost *\n  ProxyJump bastion\n",
	} {
		home(t, text)
		if e, err := resolve(t, "azar03", ""); err != nil || e.port != "23" || e.jump != nil {
			t.Errorf("%q: %+v, %v", text, e, err)
		}
	}
}

func TestJumpListGoesThroughAll(t *testing.T) {
	home(t, "Host azar03\n  ProxyJump ssh://a,b@[2001:db8::1]:24 , c\nHost a\n  ProxyJump z\nHost c\n  ProxyJump ignored\n")
	e, err := resolve(t, "azar03", "")
	if err != nil {
		t.Fatal(err)
	}
	var chain []string
	for ; e != nil; e = e.jump {
		chain = append(chain, e.user+"@"+e.addr())
	}
	if want := []string{"jdoe@azar03:22", "jdoe@c:22", "b@[2001:db8::1]:24", "jdoe@a:22", "jdoe@z:22"}; !reflect.DeepEqual(chain, want) {
		t.Errorf("the way is %q, want %q", chain, want)
	}
}
