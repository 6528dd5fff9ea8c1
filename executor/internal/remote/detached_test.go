package remote

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/ground"
	"github.com/lsst-ts/csu/executor/internal/clock"
)

// waiting is a script that runs until the test creates the file go in its home
// directory.
const waiting = `echo begun; while [ ! -e "$HOME/go" ]; do sleep 0.05; done; echo ended; exit 7`

func TestDetachedOutlivesItsPool(t *testing.T) {
	for _, kind := range []struct {
		name string
		env  map[string]string
	}{
		{"with setsid", nil},
		{"without setsid", map[string]string{"PATH": toolbox(t, "setsid")}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			h := newHost(t, ground.SSHDOptions{Env: kind.env})
			first := New(Config{SSHConfigFile: h.config})
			if s, err := first.Look(t.Context(), h.target, "run-1.crio_2"); err != nil || s.Known || s.BootID == "" {
				t.Fatalf("Look before the start = %+v, %v", s, err)
			}
			if err := first.Start(t.Context(), h.target, "run-1.crio_2", waiting); err != nil {
				t.Fatal(err)
			}
			first.Close()

			second := h.pool(t)
			awaitStatus(t, second, h.target, "run-1.crio_2", "running")
			write(t, filepath.Join(h.Home, "go"), "")
			s := awaitStatus(t, second, h.target, "run-1.crio_2", "exited")
			if s.ExitStatus != 7 || s.Output != "begun\nended\n" {
				t.Errorf("status %d, output %q; want 7 and both lines", s.ExitStatus, s.Output)
			}
		})
	}
}

// The script's environment must not depend on the wrapper.
func TestDetachedSurroundings(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	script := `umask; cat; echo "$0 $#"; [ "$PWD" = "$HOME" ] && echo home; echo 'it'\''s' >&2`
	if err := p.Start(t.Context(), h.target, "look", script); err != nil {
		t.Fatal(err)
	}
	s := awaitStatus(t, p, h.target, "look", "exited")
	mask, err := p.Run(t.Context(), h.target, "umask")
	if err != nil {
		t.Fatal(err)
	}
	if want := mask + h.folder("look") + "/script 0\nhome\nit's\n"; s.Output != want {
		t.Errorf("output %q, want %q", s.Output, want)
	}
}

func TestStartOnce(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	var started atomic.Int32
	var starts sync.WaitGroup
	for range 6 {
		starts.Go(func() {
			switch err := p.Start(t.Context(), h.target, "once", `echo x >>"$HOME/runs"`); {
			case err == nil:
				started.Add(1)
			case !errors.Is(err, ErrExists):
				t.Error(err)
			}
		})
	}
	starts.Wait()
	awaitStatus(t, p, h.target, "once", "exited")
	if err := p.Start(t.Context(), h.target, "once", "true"); !errors.Is(err, ErrExists) {
		t.Errorf("Start with the name of an ended command = %v, want ErrExists", err)
	}
	runs, err := os.ReadFile(filepath.Join(h.Home, "runs"))
	if err != nil || string(runs) != "x\n" || started.Load() != 1 {
		t.Errorf("started %d times, ran %q, %v; want once", started.Load(), runs, err)
	}
}

// A start that arrives after Forbid finds its name taken.
func TestForbid(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	for range 2 {
		s, err := p.Forbid(t.Context(), h.target, "late")
		if err != nil || !s.Known || !s.NotStarted {
			t.Fatalf("Forbid = %+v, %v, want NotStarted", s, err)
		}
	}
	if err := p.Start(t.Context(), h.target, "late", "touch $HOME/ran"); !errors.Is(err, ErrExists) {
		t.Errorf("Start after Forbid = %v, want ErrExists", err)
	}
	if s, err := p.Look(t.Context(), h.target, "late"); err != nil || !s.NotStarted {
		t.Errorf("Look after Forbid = %+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(h.Home, "ran")); err == nil {
		t.Error("the forbidden command ran")
	}
	// A command that was started is left alone.
	if err := p.Start(t.Context(), h.target, "early", "exit 3"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, p, h.target, "early", "exited")
	if s, err := p.Forbid(t.Context(), h.target, "early"); err != nil || s.ExitStatus != 3 {
		t.Errorf("Forbid of an ended command = %+v, %v", s, err)
	}
}

// Forbid does not hide that it could not take the name.
func TestForbidFails(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	write(t, filepath.Join(h.Home, ".csu"), "a file where the folder should be")
	if s, err := h.pool(t).Forbid(t.Context(), h.target, "late"); err != nil || s.Known {
		t.Errorf("Forbid = %+v, %v, want nothing known", s, err)
	}
}

func TestStartFails(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	write(t, filepath.Join(h.Home, ".csu"), "a file where the folder should be")
	err := p.Start(t.Context(), h.target, "once", "true")
	var lost *LostError
	if err == nil || errors.As(err, &lost) || !strings.Contains(err.Error(), ".csu") {
		t.Errorf("Start = %v, want an error that says what is wrong with .csu", err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "-rf", "a b", "a\nb", strings.Repeat("x", 300)} {
		var config *ConfigError
		if err := p.Start(t.Context(), h.target, name, "true"); !errors.As(err, &config) {
			t.Errorf("Start under the name %q = %v, want a ConfigError", name, err)
		}
	}
}

// A wrapper that cannot even claim its pid file leaves nothing behind.
func TestStartWhoseWrapperDies(t *testing.T) {
	bin := toolbox(t, "setsid")
	write(t, filepath.Join(bin, "setsid"), "#!/bin/sh\necho no process left >&2\nexit 1\n")
	h := newHost(t, ground.SSHDOptions{Env: map[string]string{"PATH": bin}})
	p := h.pool(t)
	err := p.Start(t.Context(), h.target, "once", `: >"$HOME/ran"`)
	if err == nil || !strings.Contains(err.Error(), "no process left") {
		t.Errorf("Start = %v, want the reason", err)
	}
	awaitStatus(t, p, h.target, "once", "unknown")
}

func TestGone(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	if err := p.Start(t.Context(), h.target, "killed", waiting); err != nil {
		t.Fatal(err)
	}
	await(t, "the script to begin", func() bool {
		s, err := p.Look(t.Context(), h.target, "killed")
		if err != nil {
			t.Fatal(err)
		}
		return s.Output == "begun\n"
	})
	// The script outlives its wrapper. While it does, it may have effects.
	h.kill(t, "killed", "pid")
	time.Sleep(200 * time.Millisecond)
	awaitStatus(t, p, h.target, "killed", "running")
	h.kill(t, "killed", "child")
	if s := awaitStatus(t, p, h.target, "killed", "gone"); s.Output != "begun\n" {
		t.Errorf("output %q, want what it printed before", s.Output)
	}

	// The process id has been reused for another process.
	write(t, filepath.Join(h.folder("killed"), "child"), fmt.Sprintf("%d 12345\n", os.Getpid()))
	if s, err := p.Look(t.Context(), h.target, "killed"); err != nil || !s.Gone {
		t.Errorf("Look = %+v, %v; want gone", s, err)
	}
}

// A script whose wrapper was killed before the script began never begins, since
// a look in between has reported it gone.
func TestGoneBeforeItStarted(t *testing.T) {
	bin := toolbox(t, "cat")
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	// The script's own process takes long to find out its identity.
	write(t, filepath.Join(bin, "cat"), `#!/bin/sh
case $1 in
/proc/[0-9]*/stat)
	if [ -s "$HOME/.csu/killed/pid" ] && mkdir "$HOME/slow" 2>/dev/null; then
		while [ ! -e "$HOME/go" ]; do sleep 0.05; done
	fi
	;;
esac
exec `+cat+` "$@"
`)
	h := newHost(t, ground.SSHDOptions{Env: map[string]string{"PATH": bin}})
	p := h.pool(t)
	if err := p.Start(t.Context(), h.target, "killed", `: >"$HOME/ran"`); err != nil {
		t.Fatal(err)
	}
	await(t, "the script's process", func() bool { _, err := os.Stat(filepath.Join(h.Home, "slow")); return err == nil })
	h.kill(t, "killed", "pid")
	awaitStatus(t, p, h.target, "killed", "gone")
	write(t, filepath.Join(h.Home, "go"), "")
	child := h.pid(t, "killed", "child")
	await(t, "the script's process to end", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	if _, err := os.Stat(filepath.Join(h.Home, "ran")); err == nil {
		t.Error("the script ran after a look had reported it gone")
	}
	awaitStatus(t, p, h.target, "killed", "gone")
}

func TestGoneByReboot(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	if err := p.Start(t.Context(), h.target, "rebooted", waiting); err != nil {
		t.Fatal(err)
	}
	h.pid(t, "rebooted", "child")
	write(t, filepath.Join(h.folder("rebooted"), "boot"), "the boot before\n")
	awaitStatus(t, p, h.target, "rebooted", "gone")
}

// A start that got stuck before its pid file is abandoned for good.
func TestLookAbandonsAStuckStart(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := New(Config{SSHConfigFile: h.config, Clock: clock.Fast(time.Now(), time.Now(), 1000)})
	defer p.Close()
	for name, files := range map[string][]string{"no-file": nil, "boot-file": {"boot"}} {
		if err := os.MkdirAll(h.folder(name), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(h.folder(name), f), string(boot))
		}
		awaitStatus(t, p, h.target, name, "never")
		if err := p.Start(t.Context(), h.target, name, "true"); !errors.Is(err, ErrExists) {
			t.Errorf("Start under an abandoned name = %v, want ErrExists", err)
		}
		// The start gets unstuck after all.
		write(t, filepath.Join(h.folder(name), "run"), aliveScript+runScript)
		write(t, filepath.Join(h.folder(name), "script"), `: >"$HOME/ran"`)
		if out, err := exec.Command("/bin/sh", filepath.Join(h.folder(name), "run")).CombinedOutput(); err == nil {
			t.Errorf("an abandoned wrapper succeeded: %s", out)
		}
		if _, err := os.Stat(filepath.Join(h.folder(name), "out")); err == nil {
			t.Error("an abandoned wrapper ran its script")
		}
		awaitStatus(t, p, h.target, name, "never")
	}
}

func TestOutputIsTheTail(t *testing.T) {
	h := newHost(t, ground.SSHDOptions{})
	p := h.pool(t)
	script := `i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done; printf 'caf\303\251'`
	if err := p.Start(t.Context(), h.target, "much", script); err != nil {
		t.Fatal(err)
	}
	s := awaitStatus(t, p, h.target, "much", "exited")
	if len(s.Output) > 4096 || len(s.Output) < 4000 || !strings.HasSuffix(s.Output, "line 1999\ncafé") {
		t.Errorf("%d bytes ending in %q", len(s.Output), s.Output[max(0, len(s.Output)-30):])
	}
}

// The connection breaks between the request to start and its answer.
func TestStartLostInTheMiddle(t *testing.T) {
	bin := toolbox(t, "setsid", "tail")
	setsid, err := exec.LookPath("setsid")
	if err != nil {
		t.Fatal(err)
	}
	tail, err := exec.LookPath("tail")
	if err != nil {
		t.Fatal(err)
	}
	// The start finishes only after a look: look.sh prints the state that it
	// found, and then calls tail.
	write(t, filepath.Join(bin, "setsid"), "#!/bin/sh\nwhile [ ! -e \"$HOME/looked\" ]; do sleep 0.05; done\nexec "+setsid+" \"$@\"\n")
	write(t, filepath.Join(bin, "tail"), "#!/bin/sh\n: >\"$HOME/looked\"\nexec "+tail+" \"$@\"\n")
	h := newHost(t, ground.SSHDOptions{Env: map[string]string{"PATH": bin}})
	var w wire
	now := time.Now()
	// Slow, so that a start gets a minute.
	p := New(Config{SSHConfigFile: h.config, Dial: w.dial, Clock: clock.Fast(now, now, 0.25)})
	defer p.Close()
	lost := make(chan error, 1)
	go func() { lost <- p.Start(t.Context(), h.target, "lost", waiting) }()
	await(t, "the start to begin", func() bool { _, err := os.Stat(h.folder("lost")); return err == nil })
	w.cut()
	err = <-lost
	var l *LostError
	if !errors.As(err, &l) {
		t.Fatalf("Start over a broken connection = %v, want a LostError", err)
	}
	// Look waits until the start has finished.
	s, err := p.Look(t.Context(), h.target, "lost")
	if err != nil || !s.Running {
		t.Fatalf("Look = %+v, %v; want running", s, err)
	}
	if err := p.Start(t.Context(), h.target, "lost", waiting); !errors.Is(err, ErrExists) {
		t.Errorf("second Start = %v, want ErrExists", err)
	}
	write(t, filepath.Join(h.Home, "go"), "")
	if s := awaitStatus(t, p, h.target, "lost", "exited"); s.ExitStatus != 7 {
		t.Errorf("exit status %d, want 7", s.ExitStatus)
	}
}
