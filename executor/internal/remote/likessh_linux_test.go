package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lsst-ts/csu/executor/ground"
)

// The environment variable that names the scene, in the process that plays it.
const sceneVariable = "CSU_TEST_SSH_SCENE"

// scene is what the cases of TestLikeSSH are played in: real servers, and files
// for them. The texts of a case use its values as $NAME.
type scene struct {
	Dir    string            // its files
	Values map[string]string // ports, keys and programs, by name
}

// ssh finds its files by the account's home directory and below /etc/ssh, not by
// $HOME. So this test plays its cases in a mount namespace with files of its own
// there: as root in a new one, as another user in a new user namespace.
func TestLikeSSH(t *testing.T) {
	if file := os.Getenv(sceneVariable); file != "" {
		playScene(t, file)
		return
	}
	file := newScene(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	play := exec.CommandContext(t.Context(), self, "-test.run=^TestLikeSSH$", "-test.v=false", "-test.timeout=20m")
	play.Env = append(os.Environ(), sceneVariable+"="+file, "SHELL=/bin/sh", "SSH_AUTH_SOCK=", "HOME="+filepath.Join(filepath.Dir(file), "home"))
	play.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setsid: true}
	if os.Getuid() != 0 {
		play.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		// Not as root of the namespace, as whom ssh would set groups.
		play.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		play.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		play.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	out, err := play.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("this test needs a mount namespace: run it as root, or allow user namespaces (sysctl user.max_user_namespaces, and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0): %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// newScene starts the servers and writes the scene's files. It returns the name
// of the scene's own file.
func newScene(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := scene{Dir: dir, Values: map[string]string{"HOME": filepath.Join(dir, "home"), "DIR": dir}}
	for _, folder := range []string{"home", "ssh", "keys"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.keys(t)
	authorized := filepath.Join(dir, "authorized_keys")
	write(t, authorized, s.Values["ID"]+"\n"+s.Values["RSA"]+"\n"+s.Values["LOCKED"]+"\n")
	certified := s.Values["CERTIFIED"] // the name is a server's from now on
	s.server(t, "MAIN", authorized)
	s.server(t, "BASTION", authorized)
	s.server(t, "RSAHOST", authorized, "HostKey "+dir+"/keys/host_rsa")
	s.server(t, "OLDKEY", authorized, "HostKey "+dir+"/keys/host_rsa", "HostKeyAlgorithms ssh-rsa")
	s.server(t, "OLDKEX", authorized, "KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-cbc", "MACs hmac-sha1")
	s.server(t, "OLDSIGN", authorized, "PubkeyAcceptedAlgorithms ssh-rsa")
	s.server(t, "CERTIFIED", authorized, "HostKey "+dir+"/keys/host", "HostCertificate "+dir+"/keys/host-cert.pub", "HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519")
	s.server(t, "FEWTRIES", authorized, "MaxAuthTries 2")
	s.server(t, "TWOKEYS", authorized, "AuthenticationMethods publickey,publickey")
	s.server(t, "USERCA", "none", "TrustedUserCAKeys "+dir+"/keys/ca.pub")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.Values["CERTIFIED_KEY"] = certified
	s.Values["FORWARD"] = self + " forward"
	s.Values["PASS"] = self + " pass"
	file := filepath.Join(dir, "scene.json")
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text))
	return file
}

// server starts a server, whose port becomes the value of name, and its host
// keys name_ED25519 and name_ECDSA.
func (s *scene) server(t *testing.T, name, authorized string, config ...string) {
	t.Helper()
	h := ground.StartSSHD(t, ground.SSHDOptions{
		Accounts: []string{"ada", "dco"},
		Config:   append(config, "Match all", "AuthorizedKeysFile "+authorized),
	})
	_, s.Values[name], _ = net.SplitHostPort(h.Addr)
	for i, kind := range []string{"_ED25519", "_ECDSA"} {
		key := strings.Fields(strings.TrimSpace(strings.Split(h.KnownHosts(), "\n")[i]))
		s.Values[name+kind] = key[1] + " " + key[2]
	}
}

// keys makes the keys and certificates, with ssh-keygen.
func (s *scene) keys(t *testing.T) {
	t.Helper()
	dir := filepath.Join(s.Dir, "keys")
	keygen := func(args ...string) {
		t.Helper()
		cmd := exec.Command("ssh-keygen", append([]string{"-q"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
		}
	}
	for name, kind := range map[string]string{"id": "ed25519", "other": "ed25519", "locked": "ed25519", "ca": "ed25519", "host": "ed25519", "stranger": "ecdsa", "rsa": "rsa", "host_rsa": "rsa", "certified": "ed25519"} {
		phrase := ""
		if name == "locked" {
			phrase = "a secret"
		}
		keygen("-t", kind, "-N", phrase, "-C", "", "-f", name)
		text, err := os.ReadFile(filepath.Join(dir, name+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		s.Values[strings.ToUpper(name)] = strings.TrimSpace(string(text))
	}
	keygen("-s", "ca", "-I", "ada", "-n", "ada", "certified.pub")
	keygen("-s", "ca", "-I", "azar03", "-h", "-n", "127.0.0.1,azar03.cp.lsst.org,azar0?.cp.lsst.org", "host.pub")
	keygen("-k", "-f", "revoked.krl", "other.pub")
}

// playScene plays all cases in this process's own mount namespace.
func playScene(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s scene
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.Dir, "passwd"), fmt.Sprintf("ada:x:%d:%d:the operator:%s:/bin/sh\n", os.Getuid(), os.Getgid(), s.Values["HOME"]))
	write(t, filepath.Join(s.Dir, "hosts"), "127.0.0.1 localhost azar03.cp.lsst.org azar03.cp.lsst.org.\n")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("keep mounts to this test: %v", err)
	}
	for from, to := range map[string]string{"passwd": "/etc/passwd", "hosts": "/etc/hosts", "ssh": "/etc/ssh"} {
		if err := unix.Mount(filepath.Join(s.Dir, from), to, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("mount the test's own %s: %v", to, err)
		}
	}
	if len(likeSSH) < 60 {
		t.Errorf("%d cases, want 60 at least", len(likeSSH))
	}
	for _, c := range likeSSH {
		t.Run(c.name, func(t *testing.T) { s.play(t, c) })
	}
}

// likeCase is a configuration of ssh. $NAME in a text is a value of the scene.
type likeCase struct {
	name   string
	host   string            // for ssh's command line; "" for azar03
	system string            // /etc/ssh/ssh_config
	user   string            // ~/.ssh/config
	known  string            // ~/.ssh/known_hosts; "" for the keys of MAIN and BASTION
	files  map[string]string // further files below the home directory, or keys by "=name"; *.sh are programs, and everybody may write *open
	agent  []string          // keys that the agent has
	env    map[string]string
	works  bool   // whether ssh gets in
	learns bool   // whether ssh adds the key to known_hosts
	says   string // part of csu's error, or of a note of its pool
}

// play compares what ssh and csu do.
func (s *scene) play(t *testing.T, c likeCase) {
	t.Setenv("SSH_AUTH_SOCK", "")
	if len(c.agent) > 0 {
		var keys []string
		for _, k := range c.agent {
			keys = append(keys, filepath.Join(s.Dir, "keys", k))
		}
		t.Setenv("SSH_AUTH_SOCK", serveAgent(t, keys...))
	}
	t.Setenv("AGENT", os.Getenv("SSH_AUTH_SOCK"))
	for name, value := range c.env {
		t.Setenv(name, s.text(value))
	}
	host := c.host
	if host == "" {
		host = "azar03"
	}
	// The account and the port say which login it was.
	const where = `echo "$USER ${SSH_CONNECTION##* }"`
	s.lay(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ssh := offstage(exec.CommandContext(ctx, "ssh", "-o", "BatchMode=yes", "-o", "ControlPath=none", "-o", "GSSAPIAuthentication=no", host, where))
	var said strings.Builder
	ssh.Stderr = &said
	theirs, sshErr := ssh.Output()
	if (sshErr == nil) != c.works {
		t.Errorf("ssh: %v, want success %v\n%s", sshErr, c.works, said.String())
	}
	learned := s.read(t, ".ssh/known_hosts")
	s.lay(t, c)
	p := New(Config{})
	defer p.Close()
	ours, err := p.Run(t.Context(), Target{Host: host, Via: ViaOwn}, where)
	if (err == nil) != (sshErr == nil) {
		t.Errorf("csu: %v\nssh: %v\n%s", err, sshErr, said.String())
	} else if err == nil && ours != string(theirs) {
		t.Errorf("csu logged in to %q, and ssh to %q", ours, theirs)
	}
	if !strings.Contains(fmt.Sprint(err, p.Notes()), s.text(c.says)) {
		t.Errorf("csu: %v, notes %q; want %q in one of them", err, p.Notes(), s.text(c.says))
	}
	if !c.learns {
		return
	}
	// The hash of a name differs each time.
	if got := s.read(t, ".ssh/known_hosts"); len(got) != len(learned) || strings.Count(got, "\n") != 2 || !strings.Contains(got, "|1|") && got != learned {
		t.Errorf("csu left known_hosts as\n%s\nand ssh as\n%s", got, learned)
	}
}

// lay writes the files of a case.
func (s *scene) lay(t *testing.T, c likeCase) {
	t.Helper()
	home := s.Values["HOME"]
	for _, folder := range []string{home, filepath.Join(s.Dir, "ssh"), filepath.Join(s.Dir, "pubconf")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	known := c.known
	if known == "" {
		known = "[127.0.0.1]:$MAIN $MAIN_ED25519\n[127.0.0.1]:$MAIN $MAIN_ECDSA\n[127.0.0.1]:$BASTION $BASTION_ED25519\n"
	}
	files := map[string]string{".ssh/known_hosts": known, ".ssh/config": c.user, ".ssh/id_ed25519": "=id"}
	for name, text := range c.files {
		files[name] = text
	}
	for name, text := range files {
		if key, ok := strings.CutPrefix(text, "="); ok {
			data, err := os.ReadFile(filepath.Join(s.Dir, "keys", key))
			if err != nil {
				t.Fatal(err)
			}
			text = string(data)
		} else {
			text = s.text(text)
		}
		file := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		switch {
		case strings.HasSuffix(name, ".sh"):
			mode = 0o700
		case strings.HasSuffix(name, "open"):
			mode = 0o666
		}
		if text == "" {
			continue
		}
		write(t, file, text)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(s.Dir, "ssh", "ssh_config"), s.text(c.system))
}

func (s *scene) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Values["HOME"], name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// text replaces the scene's values in a text.
func (s *scene) text(text string) string {
	return os.Expand(text, func(name string) string {
		if value, ok := s.Values[name]; ok {
			return value
		}
		if name == "$" {
			return "$"
		}
		if rest, ok := strings.CutPrefix(name, "_"); ok { // of the shell or of ssh
			return "${" + rest + "}"
		}
		return "$" + name
	})
}
