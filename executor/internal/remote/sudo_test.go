package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/ground"
)

// sudoStandIn does what sudo -n -i -u USER COMMAND does, without another
// account: a clean environment, USER's home directory, and the command as one
// line for the login shell, in which sudo escapes all but a few characters.
// USER's profile prints something. Only dco needs no password.
const sudoStandIn = `#!/bin/sh
quiet= login= user=root
while getopts niu: o; do
	case $o in
	n) quiet=yes ;;
	i) login=yes ;;
	u) user=$OPTARG ;;
	*) exit 1 ;;
	esac
done
shift $((OPTIND - 1))
if [ -z "$quiet$login" ] || [ "$user" != dco ]; then
	echo 'sudo: a password is required' >&2
	exit 1
fi
line=
for a in "$@"; do
	line="$line$(printf '%s' "$a" | sed 's/[^A-Za-z0-9_$-]/\\&/g') "
done
cd "$HOME/../dco" || exit 1
home=$(pwd)
echo "$@" >>asked
exec env -i HOME="$home" PATH="$PATH" LOGNAME=dco USER=dco /bin/sh -c "echo Hello dco; echo ready >&2; $line"
`

func newSudoHost(t *testing.T) *host {
	t.Helper()
	bin := toolbox(t)
	write(t, filepath.Join(bin, "sudo"), sudoStandIn)
	h := newHost(t, ground.SSHDOptions{Env: map[string]string{"PATH": bin}})
	if err := os.Mkdir(filepath.Join(h.Home, "..", "dco"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.target.User, h.target.Via = "dco", ViaSudo
	return h
}

func TestRunThroughSudo(t *testing.T) {
	h := newSudoHost(t)
	p := h.pool(t)
	script := "x='it'\\''s'\necho \"$x $USER\" `echo back`\ncat\necho \"${PWD##*/}\""
	out, err := p.Run(t.Context(), h.target, script)
	if err != nil || out != "it's dco back\ndco\n" {
		t.Errorf("Run = %q, %v", out, err)
	}
	_, err = p.Run(t.Context(), h.target, "echo no >&2; exit 1")
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Status != 1 || exit.Stderr != "no" {
		t.Errorf("Run = %v, want the script's own exit status 1, not one of sudo", err)
	}
}

func TestSudoRefused(t *testing.T) {
	h := newSudoHost(t)
	p := h.pool(t)
	h.target.User = "root"
	_, err := p.Run(t.Context(), h.target, "true")
	var sudo *SudoError
	if !errors.As(err, &sudo) || sudo.Stderr != "sudo: a password is required" {
		t.Errorf("Run = %v, want a SudoError with sudo's message", err)
	}
	if err := p.Start(t.Context(), h.target, "once", "true"); !errors.As(err, &sudo) {
		t.Errorf("Start = %v, want a SudoError", err)
	}
}

func TestDetachedThroughSudo(t *testing.T) {
	h := newSudoHost(t)
	p := h.pool(t)
	if err := p.Start(t.Context(), h.target, "update", `echo "$USER in ${PWD##*/}"; exit 2`); err != nil {
		t.Fatal(err)
	}
	s := awaitStatus(t, p, h.target, "update", "exited")
	if s.ExitStatus != 2 || strings.TrimSpace(s.Output) != "dco in dco" {
		t.Errorf("status %d, output %q", s.ExitStatus, s.Output)
	}
	if _, err := os.Stat(filepath.Join(h.Home, "..", "dco", ".csu", "update", "status")); err != nil {
		t.Errorf("the folder is not in the account's home directory: %v", err)
	}
	if err := p.Start(t.Context(), h.target, "update", "true"); !errors.Is(err, ErrExists) {
		t.Errorf("second Start = %v, want ErrExists", err)
	}
}
