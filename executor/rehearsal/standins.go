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

// standIn asks the site what the command of its name does, waits for the answer, and
// prints and exits as the answer says.
const standIn = `#!/bin/sh
# A stand-in of a rehearsal.
call=$(mktemp -d "$CSU_REHEARSAL_CALLS/call.XXXXXX") && mkfifo "$call/answer" || exit 70
printf '%s\0' "$$" "$CSU_REHEARSAL_HOST" "${USER-}" "${0##*/}" "$@" >"$call/request"
printf '%s\n' "${call##*/}" >"$CSU_REHEARSAL_CALLS/bell"
read -r status output <"$call/answer"
rm -rf "$call"
[ -z "$output" ] || printf '%s\n' "$output"
exit "${status:-70}"
`

// sudoStandIn switches to the folder of another account of the host.
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

// fullDisk replaces mkdir while the host's disk is full. csu stores nothing without
// mkdir.
const fullDisk = `#!/bin/sh
# A stand-in of a rehearsal.
for name; do :; done
echo "mkdir: cannot create directory '$name': No space left on device" >&2
exit 1
`

// bareTools are the tools that a bare host has beside its stand-ins: those that POSIX
// requires and every cRIO has, without util-linux (setsid) or systemd.
var bareTools = []string{
	"basename", "cat", "cut", "date", "dirname", "env", "false", "grep", "head", "id", "ln", "ls", "mkdir", "mkfifo", "mktemp", "mv",
	"nohup", "printf", "rm", "rmdir", "sed", "sh", "sort", "tail", "test", "touch", "tr", "true", "uname", "wc",
}

// bare reports whether the host is a cRIO, which has a login account of its own and a
// bare POSIX shell.
func (h *host) bare() bool {
	return slices.ContainsFunc(h.row.Users, func(u plan.User) bool { return u.Via == "login" })
}

func (h *host) tools() string { return filepath.Join(h.root, "posix") }

// furnishTools creates the folder of a bare host's tools, with links to this machine's.
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
		return fmt.Errorf("a simulated cRIO needs %s, which this machine lacks; install coreutils, grep and sed", strings.Join(missing, ", "))
	}
	return nil
}

func (h *host) fullDisk() string { return filepath.Join(h.root, "bin", "mkdir") }

// standardStandIns are the stand-ins of every host: commands that would affect this
// machine itself, or that only a real host has.
var standardStandIns = []string{
	"cp", "docker", "docker-compose", "git", "hostname", "make", "pip", "pip3", "pgrep", "pkill", "ps", "reboot", "salgeneratorKafka",
	"service", "shutdown", "sleep", "systemctl", "uptime",
}

// movedFolders are folders that a host has instead of this machine's.
var movedFolders = []string{"/etc/init.d/", "/usr/sbin/", "/sbin/"}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// build creates the host's folder with its homes, stand-ins and boot id.
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
	if h.site.hasFault(hostDiskFull, h.row.Name) {
		if err := WriteScript(h.fullDisk(), fullDisk); err != nil {
			return err
		}
	}
	for _, name := range standardStandIns {
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

// rewriter replaces this machine's paths in a command with the host's, since the plan's
// commands must not touch this machine's files.
func (h *host) rewriter() *strings.Replacer { return strings.NewReplacer(h.replacements()...) }

// replacements returns pairs of a text and its replacement, as [strings.NewReplacer]
// takes them.
func (h *host) replacements() []string {
	pairs := []string{bootIDFile, filepath.Join(h.root, "boot_id")}
	for _, word := range h.absoluteWords() {
		pairs = append(pairs, word, h.root+path.Clean(word))
	}
	for _, folder := range movedFolders {
		pairs = append(pairs, folder, h.root+folder)
	}
	return pairs
}

// absoluteWords returns the absolute paths in the plan's commands for the host, the
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

// furnish creates what a command line needs: stand-ins for its commands, the folders
// that it changes to and the files that it sources.
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

// put creates a stand-in within the host's folder.
func (h *host) put(name string) error {
	if rel, err := filepath.Rel(h.root, name); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("a command of the plan leads outside the host's folder: %q", name)
	}
	return WriteScript(name, standIn)
}

// WriteScript writes an executable script that can be run at once.
func WriteScript(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	// A process forked while the file is open for writing keeps it open until it
	// executes another program. Until then the file cannot be executed.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(name, []byte(text), 0o755)
}

// calls receives the stand-ins' calls. A stand-in creates a folder with its call and
// writes the folder's name into the pipe called bell.
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
		return nil, fmt.Errorf("create the stand-ins' pipe: %w", err)
	}
	// Open the pipe for reading and writing, so that it neither ends nor blocks without
	// a writer.
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

// take answers one call. It is called without the lock.
func (c *calls) take(folder string) {
	s := c.site
	text, err := os.ReadFile(filepath.Join(folder, "request"))
	if err != nil {
		return // the process was killed and its folder removed
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	if len(words) < 4 {
		return
	}
	detached := detachedAs(words[0])
	s.mu.Lock()
	h := s.hosts[words[1]]
	if h == nil {
		s.mu.Unlock()
		return
	}
	asked := call{host: h, user: words[2], argv: words[3:]}
	a := h.respond(asked)
	e := Effect{System: SystemHost, Kind: CommandRun, Subject: h.row.Name, Detail: strings.Join(asked.argv, " "), Identity: asked.user, Detached: detached}
	if !a.reads {
		s.effect(e)
	}
	s.mu.Unlock()
	if !a.reads {
		s.awaitHeld(s.ctx, e)
	}
	if a.hangs || s.clk.Sleep(s.ctx, a.takes) != nil {
		return // a call that hangs is never answered
	}
	if a.then != nil {
		s.mu.Lock()
		a.then()
		s.mu.Unlock()
	}
	s.reply(filepath.Join(folder, "answer"), strconv.Itoa(a.status)+" "+a.output+"\n")
}

// listenLimit is how long, in real time, a stand-in may take until it listens for its
// answer. It is a process of this machine, which may be busy.
const listenLimit = 5 * time.Minute

// reply writes an answer once the stand-in listens for it. A killed stand-in never
// does.
func (s *Site) reply(name, text string) {
	pause := time.Millisecond
	for began := time.Now(); time.Since(began) < listenLimit && s.ctx.Err() == nil; time.Sleep(pause) {
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
