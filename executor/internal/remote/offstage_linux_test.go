package remote

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lsst-ts/csu/executor/ground"
)

// The environment variable that names the ssh config, in the process that has a
// terminal.
const offstageVariable = "CSU_TEST_SSH_OFFSTAGE"

// Whatever ssh config has csu start, it reaches neither the terminal nor what is
// typed there.
func TestNothingTouchesTheTerminal(t *testing.T) {
	if config := os.Getenv(offstageVariable); config != "" {
		onTerminal(t, config)
		return
	}
	h := newHost(t, ground.SSHDOptions{})
	intrude := "sh -c 'echo leak >/dev/tty; read x </dev/tty; echo leak >&2; %s'"
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	write(t, h.config, "Match exec \""+fmt.Sprintf(intrude, "true")+"\"\n"+
		h.ConfigBlock("azar03", h.known,
			"ProxyCommand "+fmt.Sprintf(intrude, "exec "+self+" forward %h %p"),
			"KnownHostsCommand /bin/"+fmt.Sprintf(intrude, "true")))
	master, terminal := newTerminal(t)
	cmd := exec.Command(self, "-test.run=^TestNothingTouchesTheTerminal$")
	cmd.Env = append(os.Environ(), offstageVariable+"="+h.config)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if _, err := io.WriteString(master, "typed for csu\n"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	// It ends with an error when nobody has the terminal any more.
	shown, _ := io.ReadAll(master)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, shown)
	}
	if s := string(shown); !strings.Contains(s, "csu has a terminal") || strings.Contains(s, "leak") {
		t.Errorf("the terminal shows %q, want only what csu writes", s)
	}
}

// onTerminal logs in, in a process that has a controlling terminal.
func onTerminal(t *testing.T, config string) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("the test has no terminal: %v", err)
	}
	defer tty.Close()
	fmt.Fprintln(tty, "csu has a terminal")
	p := New(Config{SSHConfigFile: config})
	defer p.Close()
	if out, err := p.Run(t.Context(), Target{Host: "azar03", Via: ViaOwn}, "echo in"); err != nil || out != "in\n" {
		t.Errorf("Run = %q, %v", out, err)
	}
	line := make([]byte, 64)
	if n, err := tty.Read(line); err != nil || string(line[:n]) != "typed for csu\n" {
		t.Errorf("csu reads %q, %v; want what was typed for it", line[:n], err)
	}
}

// newTerminal returns both ends of a pseudo-terminal.
func newTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}
