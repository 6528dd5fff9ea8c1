package remote

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
)

// resolveWith resolves a host with a configuration of ssh.
func resolveWith(t *testing.T, config, host, address string) (*endpoint, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	write(t, file, config)
	return New(Config{SSHConfigFile: file}).resolve(t.Context(), request{name: host, address: address})
}

// The plan's name of a host counts if ssh config has something for it alone, else
// its address.
func TestWhichNameCounts(t *testing.T) {
	const config = `
Host azar03
  HostName %h.short.example.org
  User short
Host azar05
  User half
Host *.example.org !no.example.org
  ProxyJump jdoe@bastion:2222
  Port 2200
Host bastion
  HostName bastion.example.com
Host aux*
  User pattern
Host *
  User everyone
`
	type want struct{ addr, user, jump string }
	for _, c := range []struct {
		host, address string
		want          want
	}{
		{"azar03", "azar03.cp.example.org", want{"azar03.short.example.org:22", "short", ""}},
		{"azar05", "azar05.example.org", want{"azar05:22", "half", ""}},
		{"azar06", "azar06.example.org", want{"azar06.example.org:2200", "everyone", "jdoe@bastion.example.com:2222"}},
		{"auxtel", "auxtel.example.net", want{"auxtel.example.net:22", "pattern", ""}},
		{"azar05", "", want{"azar05:22", "half", ""}},
		{"other", "Other.Example.Net", want{"other.example.net:22", "everyone", ""}},
		{"other", "no.example.org", want{"no.example.org:22", "everyone", ""}},
	} {
		e, err := resolveWith(t, config, c.host, c.address)
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
}

func TestResolveRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"Host azar03\n  Port ssh22\n":                                                           "ssh22",
		"Match nonsense\n  Port 23\n":                                                           "nonsense",
		"Host azar03\n  IdentityFile ~/.ssh/%Z\n":                                               "%Z",
		"Host azar03\n  IdentityFile ~/.ssh/%\n":                                                "ends with %",
		"Host azar03\n  IdentityFile ~nosuchuser/id\n":                                          "nosuchuser",
		"Host azar03\n  CertificateFile ~/.ssh/%Z\n":                                            "CertificateFile",
		"Host azar03\n  ProxyCommand nc %Z\n":                                                   "ProxyCommand",
		"Host azar03\n  KnownHostsCommand /bin/known \"%H\n":                                    "quote",
		"Host azar03\n  Ciphers 3des-cbc\n  KexAlgorithms sntrup761x25519-sha512@openssh.com\n": "csu has none of the KexAlgorithms",
		"Host azar03\n  ProxyJump b\nHost b\n  ProxyJump azar03\n":                              "remove the cycle",
	} {
		_, err := resolveWith(t, text, "azar03", "")
		var config *ConfigError
		if !errors.As(err, &config) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want a ConfigError about %q", text, err, want)
		}
	}
}

func TestWithoutSSH(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := New(Config{}).resolve(t.Context(), request{name: "azar03"})
	var config *ConfigError
	if !errors.As(err, &config) || !strings.Contains(err.Error(), "ssh is not installed") {
		t.Errorf("resolve without ssh = %v, want a ConfigError with the remedy", err)
	}
}

func TestJumpListGoesThroughAll(t *testing.T) {
	e, err := resolveWith(t, "Host azar03\n  ProxyJump ssh://a,b@[2001:db8::1]:24,c\nHost a\n  ProxyJump z\nHost c\n  ProxyJump ignored\nHost *\n  User jdoe\n", "azar03", "")
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

// ssh -G prints lists of files without quotes.
func TestFilesWithSpaces(t *testing.T) {
	dir := t.TempDir()
	here := filepath.Join(dir, "known here")
	write(t, here, "")
	s := settings{"userknownhostsfile": {here + " " + filepath.Join(dir, "known") + " there none"}}
	got := s.files("userknownhostsfile", func(name string) string { return name })
	if want := []string{here, filepath.Join(dir, "known"), "there"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestWords(t *testing.T) {
	got, err := words(`/bin/known  "a b" 'c "d' e\ f "g\"h" \i ""`)
	if want := []string{"/bin/known", "a b", `c "d`, "e f", `g"h`, `\i`, ""}; err != nil || !slices.Equal(got, want) {
		t.Errorf("words = %q, %v; want %q", got, err, want)
	}
}

// A rehearsal must not reach the real site, whatever its configuration says.
func TestAllow(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	touched := filepath.Join(t.TempDir(), "touched")
	write(t, h.config, h.ConfigBlock("azar03", h.known, "ProxyCommand touch "+touched))
	refusal := errors.New("not on the loopback interface")
	p := New(Config{SSHConfigFile: h.config, Allow: func(addr string) error {
		if addr != h.Addr {
			t.Errorf("asked about %s, want %s", addr, h.Addr)
		}
		return refusal
	}})
	defer p.Close()
	if _, err := p.Run(t.Context(), h.target, "true"); !errors.Is(err, refusal) {
		t.Errorf("Run = %v, want %v", err, refusal)
	}
	if _, err := os.Stat(touched); err == nil {
		t.Error("the ProxyCommand was run")
	}
}
