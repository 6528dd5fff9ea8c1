package ground

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/rehearsal"
)

// A session runs its command in the host's folder, with the host's files
// instead of this machine's, and with the session's input.
func TestASessionIsInItsHostsFolder(t *testing.T) {
	root := filepath.Join(t.TempDir(), "it's a folder & more")
	writeScript := func(name, text string) {
		t.Helper()
		if out, err := exec.Command("mkdir", "-p", filepath.Dir(name)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		writeFile(t, name, []byte("#!/bin/sh\n"+text+"\n"))
	}
	writeScript(filepath.Join(root, "home", "here"), "")
	writeScript(filepath.Join(root, "etc/init.d/ts-VMS"), `echo "ts-VMS $*"`)
	writeFile(t, filepath.Join(root, "boot_id"), []byte("ours\n"))
	login := rehearsal.Login{
		Home: filepath.Join(root, "home"), Environment: []string{"SITE=a b", "PATH=/usr/bin:/bin"},
		Replace: map[string]string{"/etc/init.d/": "'" + strings.ReplaceAll(root, "'", `'\''`) + "'/etc/init.d/", "/proc/sys/kernel/random/boot_id": "../boot_id"},
		Longest: []string{"/proc/sys/kernel/random/boot_id", "/etc/init.d/"},
	}
	host := StartSSHD(t, SSHDOptions{Config: []string{"ForceCommand /bin/sh " + writeLogin(t, t.TempDir(), map[string]rehearsal.Login{"": login})}})
	known, config := filepath.Join(t.TempDir(), "known_hosts"), filepath.Join(t.TempDir(), "config")
	writeFile(t, known, []byte(host.KnownHosts()))
	writeFile(t, config, []byte(host.ConfigBlock("crio", known)))
	cmd := exec.Command("ssh", "-F", config, "-o", "BatchMode=yes", "crio",
		"sh /etc/init.d/ts-VMS stop; cat /proc/sys/kernel/random/boot_id\npwd; echo \"$SITE ${HOME-none}\"; cat; exit 3")
	cmd.Stdin = strings.NewReader("input")
	out, err := cmd.Output()
	if want := "ts-VMS stop\nours\n" + login.Home + "\na b none\ninput"; string(out) != want {
		t.Errorf("the session says %q (%v), want %q", out, err, want)
	}
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("it ends with %d, want 3", code)
	}
}
