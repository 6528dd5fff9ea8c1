package procedure

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lsst-ts/csu/compiler/internal/model"
)

// byHand is what a person pastes after the login, without the last line, which
// only looks.
func byHand(t *testing.T, commands ...string) string {
	t.Helper()
	h := &model.Host{Address: "crio.example.org", Users: []model.User{{Name: "admin", Via: "login"}}}
	text := onHost(h, &model.Commands{User: "admin", Run: commands, Takes: time.Hour})
	pasted, _, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(pasted, "\n")
	if lines[0] != "    ssh admin@crio.example.org" || lines[len(lines)-1] != "    tail -f csu-update.log" {
		t.Fatalf("by hand:\n%s", text)
	}
	return strings.Join(lines[1:len(lines)-1], "\n")
}

// atCRIO starts what a person types in a POSIX sh, in a session of its own, and
// returns the home folder.
func atCRIO(t *testing.T, typed string) (home string, session *exec.Cmd) {
	t.Helper()
	// A shell can't take notice of a hangup that was ignored when it began, as it
	// is in tests that run under nohup; one that is handled is not passed on.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	home = t.TempDir()
	session = exec.Command("dash", "-c", typed)
	session.Dir, session.Env = home, []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	session.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	return home, session
}

// awaitLine waits for a line in the log, and returns what is in it then.
func awaitLine(t *testing.T, home, want string) string {
	t.Helper()
	for limit := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		log, err := os.ReadFile(filepath.Join(home, detachedLog))
		if bytes.Contains(log, []byte(want+"\n")) {
			return string(log)
		}
		if time.Now().After(limit) {
			t.Fatalf("the log has no line %q: %v\n%s", want, err, log)
		}
	}
}

// TestByHandOutlivesItsSession: the SAL generation goes on when the connection
// drops (P29).
func TestByHandOutlivesItsSession(t *testing.T) {
	home, session := atCRIO(t, byHand(t, "cd / && echo 'it'\"'\"'s begun'", "while [ ! -e ~/go ]; do sleep 0.05; done", "echo $PWD")+"\nwait")
	awaitLine(t, home, "it's begun")
	if err := syscall.Kill(-session.Process.Pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := session.Wait(); err == nil {
		t.Error("the session has not ended")
	}
	if err := os.WriteFile(filepath.Join(home, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if log := awaitLine(t, home, "finished"); !strings.Contains(log, "\n"+home+"\n") {
		t.Errorf("a command did not begin in the home folder:\n%s", log)
	}
}

// TestByHandStopsAtAFailure: what comes after a command that fails, in whichever
// part of it, is not run.
func TestByHandStopsAtAFailure(t *testing.T) {
	for _, fails := range []string{"false", "cd ~/none && echo there", ". ~/none.env && true", "exit 3"} {
		home, session := atCRIO(t, byHand(t, "echo first", fails, "touch second")+"\nwait $!")
		if err := session.Wait(); err == nil {
			t.Errorf("%q: it ended with 0", fails)
		}
		if log := awaitLine(t, home, "first"); strings.Contains(log, "\nfinished\n") {
			t.Errorf("%q: the log says that it finished:\n%s", fails, log)
		}
		if _, err := os.Stat(filepath.Join(home, "second")); err == nil {
			t.Errorf("%q: what comes after it was run", fails)
		}
	}
}

// TestByHandInTheForeground: what is soon done is typed as it is.
func TestByHandInTheForeground(t *testing.T) {
	h := &model.Host{Address: "azar03.example.org", Users: []model.User{{Name: "dco", Via: "sudo"}}}
	got := onHost(h, &model.Commands{User: "dco", Run: []string{"./launch_gc"}, Takes: time.Minute})
	if want := "    ssh azar03.example.org\n    sudo -iu dco\n    ./launch_gc"; got != want {
		t.Errorf("by hand:\n%s", got)
	}
}
