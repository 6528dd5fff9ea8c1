package rehearsal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// standIn asks the site what the command by whose name it is called does there,
// waits for the answer, and ends as that says.
const standIn = `#!/bin/sh
# A stand-in of a rehearsal.
call=$(mktemp -d "$CSU_REHEARSAL_CALLS/call.XXXXXX") && mkfifo "$call/answer" || exit 70
printf '%s\0' "$CSU_REHEARSAL_HOST" "${USER-}" "${0##*/}" "$@" >"$call/request"
printf '%s\n' "${call##*/}" >"$CSU_REHEARSAL_CALLS/bell"
read -r status output <"$call/answer"
rm -rf "$call"
[ -z "$output" ] || printf '%s\n' "$output"
exit "${status:-70}"
`

// sudo becomes another account of the host, as far as a folder goes.
const sudoStandIn = `#!/bin/sh
# A stand-in of a rehearsal.
user=root login=
while :; do
	case ${1-} in
	--)
		shift
		break
		;;
	-?*)
		options=${1#-}
		shift
		while [ -n "$options" ]; do
			rest=${options#?}
			option=${options%"$rest"}
			options=$rest
			case $option in
			i) login=yes ;;
			u)
				if [ -n "$options" ]; then
					user=$options options=
				else
					user=$1
					shift
				fi
				;;
			n | H | k | S | E) ;;
			*)
				echo "sudo: invalid option -- '$option'" >&2
				exit 1
				;;
			esac
		done
		;;
	*) break ;;
	esac
done
home=$CSU_REHEARSAL_HOST_ROOT/home/$user
if [ ! -d "$home" ]; then
	echo "sudo: unknown user: $user" >&2
	exit 1
fi
USER=$user LOGNAME=$user
export USER LOGNAME
if [ -n "$login" ]; then
	HOME=$home
	export HOME
	cd "$HOME" || exit 1
fi
[ $# -gt 0 ] || set -- /bin/sh
exec "$@"
`

// fullDisk takes the place of mkdir, without which nothing is kept, while the
// host's disk is full.
const fullDisk = `#!/bin/sh
# A stand-in of a rehearsal.
for name; do :; done
echo "mkdir: cannot create directory '$name': No space left on device" >&2
exit 1
`

// bareTools are all that a bare host has beside its stand-ins: what the POSIX
// standard asks for and every cRIO has, without util-linux (setsid) or systemd.
var bareTools = []string{
	"basename", "cat", "cut", "date", "dirname", "env", "false", "grep", "head", "id", "ln", "ls", "mkdir", "mkfifo", "mktemp", "mv",
	"nohup", "printf", "rm", "rmdir", "sed", "sh", "sort", "tail", "test", "touch", "tr", "true", "uname", "wc",
}

// bare tells whether the host is a cRIO: one that is logged in to by an account
// of its own, and has a bare POSIX shell.
func (h *host) bare() bool {
	return slices.ContainsFunc(h.row.Users, func(u plan.User) bool { return u.Via == "login" })
}

func (h *host) tools() string { return filepath.Join(h.root, "posix") }

// furnishTools makes the folder of a bare host's tools, from this machine's.
func (h *host) furnishTools() error {
	if err := os.MkdirAll(h.tools(), 0o755); err != nil {
		return err
	}
	var missing []string
	for _, name := range bareTools {
		path, err := exec.LookPath(name)
		if err != nil {
			missing = append(missing, name)
			continue
		}
		if err := os.Symlink(path, filepath.Join(h.tools(), name)); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this machine lacks %s, which a simulated cRIO needs: install coreutils, grep and sed", strings.Join(missing, ", "))
	}
	return nil
}

func (h *host) fullDisk() string { return filepath.Join(h.root, "bin", "mkdir") }

// always are stand-ins that every host has, named by the plan or not: commands
// that would reach this machine itself, or that only a real host has.
var always = []string{
	"cp", "docker", "docker-compose", "git", "hostname", "make", "pip", "pip3", "pgrep", "pkill", "ps", "reboot", "salgeneratorKafka",
	"service", "shutdown", "sleep", "systemctl", "uptime",
}

// folders of a host that take the place of this machine's.
var moved = []string{"/etc/init.d/", "/usr/sbin/", "/sbin/"}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// build makes the host's folder: homes, stand-ins, boot id.
func (h *host) build() error {
	// A site that was killed in this folder may have left processes behind.
	if err := h.killAll(); err != nil {
		return err
	}
	if err := os.RemoveAll(h.root); err != nil {
		return err
	}
	h.rewrite = h.rewriter()
	users := []string{"root", ownAccount}
	for _, u := range h.row.Users {
		if u.Via != "own" {
			users = append(users, u.Name)
		}
	}
	for _, u := range users {
		if err := os.MkdirAll(filepath.Join(h.root, "home", filepath.Base(u)), 0o755); err != nil {
			return err
		}
	}
	if err := h.newBoot(); err != nil {
		return err
	}
	if err := WriteScript(filepath.Join(h.root, "bin", "sudo"), sudoStandIn); err != nil {
		return err
	}
	if h.bare() {
		if err := h.furnishTools(); err != nil {
			return err
		}
	}
	if h.site.knows(hostDiskFull, h.row.Name) {
		if err := WriteScript(h.fullDisk(), fullDisk); err != nil {
			return err
		}
	}
	for _, name := range always {
		if err := h.put(filepath.Join(h.root, "bin", name)); err != nil {
			return err
		}
	}
	for step := range h.site.plan.AllSteps() {
		var user string
		var lines []string
		switch a := step.Action.Parameters.(type) {
		case *plan.SSH:
			if a.Host == h.row.Name {
				user, lines = a.User, append(slices.Clone(a.Commands), a.Check)
			}
		case *plan.Reboot:
			if a.Host == h.row.Name {
				user, lines = a.User, []string{a.Command}
			}
		}
		for _, line := range lines {
			if err := h.furnish(user, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewriter puts the host's own files in the place of this machine's: a command
// of the plan must not touch those.
func (h *host) rewriter() *strings.Replacer { return strings.NewReplacer(h.replacements()...) }

// replacements are what is replaced, each followed by what takes its place.
func (h *host) replacements() []string {
	pairs := []string{bootIDFile, filepath.Join(h.root, "boot_id")}
	for _, word := range h.absoluteWords() {
		pairs = append(pairs, word, h.root+path.Clean(word))
	}
	for _, folder := range moved {
		pairs = append(pairs, folder, h.root+folder)
	}
	return pairs
}

// absoluteWords are the absolute paths in the plan's commands for the host, the
// longest first.
func (h *host) absoluteWords() []string {
	var found []string
	for step := range h.site.plan.AllSteps() {
		a, ok := step.Action.Parameters.(*plan.SSH)
		if !ok || a.Host != h.row.Name {
			continue
		}
		for _, line := range append(slices.Clone(a.Commands), a.Check) {
			for _, c := range simpleCommands(line) {
				for _, w := range c.words {
					w = strings.TrimLeft(w, "<>12")
					if strings.HasPrefix(w, "/") && w != "/dev/null" && w != "/bin/sh" && len(path.Clean(w)) > 1 && !slices.Contains(found, w) {
						found = append(found, w)
					}
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}

// furnish makes what a command line needs to find: its commands, the folders
// that it enters, the files that it reads in.
func (h *host) furnish(user, line string) error {
	account := user
	if u, ok := h.row.User(user); ok && u.Via == "own" {
		account = ownAccount
	}
	home := filepath.Join(h.root, "home", filepath.Base(account))
	locate := func(in, name string) string {
		for _, base := range []string{in, name} {
			rest, tilde := strings.CutPrefix(base, "~")
			switch {
			case tilde:
				in = filepath.Join(home, rest)
			case strings.HasPrefix(base, "/"):
				in = filepath.Join(h.root, base)
			case base == in:
				in = filepath.Join(home, base)
			default:
				in = filepath.Join(in, base)
			}
		}
		return in
	}
	for _, c := range simpleCommands(line) {
		words := withoutSudo(c.words)
		if len(words) == 0 {
			continue
		}
		var err error
		switch name := words[0]; {
		case name == "cd" && len(words) > 1:
			err = os.MkdirAll(locate(c.in, words[1]), 0o755)
		case name == "." && len(words) > 1:
			err = WriteScript(locate(c.in, words[1]), "")
		case slices.Contains(shellWords, name):
		case strings.Contains(name, "/"):
			err = h.put(locate(c.in, name))
		default:
			err = h.put(filepath.Join(h.root, "bin", name))
		}
		if err != nil {
			return err
		}
		for _, w := range words[1:] {
			if strings.HasPrefix(w, "/") && w != "/dev/null" {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(h.root, w)), 0o755); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// put makes a stand-in, within the host's folder.
func (h *host) put(name string) error {
	if rel, err := filepath.Rel(h.root, name); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("a command of the plan leads out of the host's folder: %q", name)
	}
	return WriteScript(name, standIn)
}

// WriteScript writes a script that can be executed at once.
func WriteScript(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	// A process that is forked while the file is open for writing keeps it open,
	// and until that one becomes another program nobody can execute the file.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(name, []byte(text), 0o755)
}

// calls is where stand-ins leave their questions: a folder for each, whose name
// they write into the bell.
type calls struct {
	site *Site
	dir  string
	bell *os.File
}

func newCalls(s *Site, dir string) (*calls, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "bell")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		return nil, fmt.Errorf("make the stand-ins' bell: %w", err)
	}
	// Open for both, so that it neither ends nor blocks when nobody writes.
	bell, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c := &calls{s, dir, bell}
	s.work.Go(c.listen)
	return c, nil
}

func (c *calls) close() error { return c.bell.Close() }

func (c *calls) listen() {
	lines := bufio.NewScanner(c.bell)
	for lines.Scan() {
		folder := filepath.Join(c.dir, filepath.Base(lines.Text()))
		c.site.mu.Lock()
		c.site.spawn(func() { c.take(folder) })
		c.site.mu.Unlock()
	}
}

// take answers one question; without the lock.
func (c *calls) take(folder string) {
	s := c.site
	text, err := os.ReadFile(filepath.Join(folder, "request"))
	if err != nil {
		return // its process was killed, and its folder cleared away
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	if len(words) < 3 {
		return
	}
	s.mu.Lock()
	h := s.hosts[words[0]]
	if h == nil {
		s.mu.Unlock()
		return
	}
	asked := call{host: h, user: words[1], argv: words[2:]}
	a := h.obey(asked)
	e := Effect{System: SystemHost, Kind: CommandRun, Subject: h.row.Name, Detail: strings.Join(asked.argv, " "), Identity: asked.user}
	if !a.reads {
		s.effect(e)
	}
	s.mu.Unlock()
	if !a.reads {
		s.awaitHeld(s.ctx, e)
	}
	if a.hangs || s.clk.Sleep(s.ctx, a.takes) != nil {
		return // one that hangs is never answered
	}
	if a.then != nil {
		s.mu.Lock()
		a.then()
		s.mu.Unlock()
	}
	s.reply(filepath.Join(folder, "answer"), strconv.Itoa(a.status)+" "+a.output+"\n")
}

// listening is how long, in real time, a stand-in is given to listen for its
// answer: it is a process of this machine, which may be busy.
const listening = 5 * time.Minute

// reply writes an answer, once the stand-in listens for it. One that was killed
// never does.
func (s *Site) reply(name, text string) {
	pause := time.Millisecond
	for began := time.Now(); time.Since(began) < listening && s.ctx.Err() == nil; time.Sleep(pause) {
		pause = min(2*pause, 20*time.Millisecond)
		f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, syscall.ENXIO) {
			continue // not yet
		}
		if err != nil {
			return
		}
		_, _ = f.WriteString(text)
		_ = f.Close()
		return
	}
}
