// Package remote runs commands on hosts over SSH: the bare-metal machines, the camera mcm hosts and the cRIOs
// of a site.
//
// A short script that only reads goes through [Pool.Run]. A command with an effect is detached: [Pool.Start]
// leaves it on the host under a name, where it outlives the connection, csu itself and the laptop that csu
// runs on, and [Pool.Look] finds it again by that name. All a host needs is a POSIX sh, the usual small tools
// and Linux's /proc; a cRIO with busybox has them.
//
// # The detached command
//
// It lives in $HOME/.csu/NAME of the account that it runs as. That folder is created by a plain mkdir, which
// is atomic: a name is started once or not at all.
//
//	boot    boot id at the start
//	script  what is run
//	run     the wrapper (run.sh), which runs it and leaves its exit status
//	pid     process id and start time of the wrapper
//	child   process id and start time of the script itself
//	out     output and error output
//	status  exit status; appears whole, by a rename
//
// It is running while the wrapper or the script is alive, in the boot in which it was started. If it is
// neither running nor has a status, it is gone: killed, or the host was rebooted. To keep that true, the
// script's process, once recorded, begins only if the wrapper is still alive.
//
// Between the mkdir and the pid file there is a moment in which the command is known but its state is not.
// Look waits for that to pass, for [settleLimit] at most, and then claims the pid file itself. The wrapper
// creates that file before it runs the script, and exits if it exists already. So a start that hung cannot
// resume later behind the operator's back: the command is reported as gone and never started, for good.
//
// A host configured to kill the processes of users who log out (systemd's KillUserProcesses=yes, off by
// default) kills detached commands too. They are then reported as gone.
//
// Nothing removes these folders, not even after the run is complete. They are the host's own record of what
// was done to it, when, and with which output. They keep a name from being started twice. A journal that was
// lost, or restored from an older copy, can still be compared with them. They are small and named after their
// run. The host's administrators may remove those of past upgrades with rm -r ~/.csu/csu-RUN_*.
//
// # Trust and accounts
//
// Where ssh works, csu works: ssh itself is asked, by ssh -G, for all settings of a host and its jump hosts,
// and what it leaves to do is done as it does it: tokens, known_hosts, ProxyCommand and KnownHostsCommand,
// certificates, algorithms. Authentication is by key, from the agent or from an unencrypted key file, and never
// asks. GSSAPI, PKCS#11 and host-based authentication are not supported; an [*AuthError] names them where they
// are configured.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

// Limits of single network calls, in real time.
const (
	dialLimit     = 15 * time.Second // one connection with its handshake, if ssh config has no ConnectTimeout
	openLimit     = 10 * time.Second // a session on an existing connection
	callLimit     = 30 * time.Second // one script; anything longer must not use Run
	keepaliveTime = 15 * time.Second // between keepalives, and for the answer to each
)

// Config says how to reach hosts.
type Config struct {
	// SSHConfigFile is used by ssh instead of ~/.ssh/config and the system-wide
	// configuration (ssh -F). "" means those two.
	SSHConfigFile string
	// Dial makes the network connections, including those to jump hosts but not
	// those of a ProxyCommand. Nil means a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Allow, unless nil, may refuse to connect to the address of a host or jump
	// host, however it is reached.
	Allow func(addr string) error
	// Clock is the clock that Look waits by. Nil means the real one.
	Clock *clock.Clock
}

// Pool keeps one connection per host and login, and reconnects after a loss. It
// may be used by several goroutines at once.
type Pool struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	seats  map[request]*seat
	bare   settings // those of ssh without any configuration
	notes  []string // see Notes
}

// Ways to become the account that commands run as; see [Target].
const (
	ViaLogin = "login"
	ViaSudo  = "sudo"
	ViaOwn   = "own"
)

// Target is a host and the account that commands run as.
type Target struct {
	// Host is the name in the plan. It is tried as an alias in ssh config.
	Host string
	// Address is the DNS name. ssh is asked about it if ssh config has no other
	// name for Host. Empty means Host.
	Address string
	// User is the account that the commands run as: "dco", "admin", "operator".
	// ViaOwn does not use it.
	User string
	// Via is ViaLogin: log in as User; ViaSudo: log in with the operator's own
	// account, then "sudo -n -iu User"; or ViaOwn: the operator's own account.
	Via string
}

// New returns a pool without connections. It asks ssh and reads known_hosts
// whenever it connects, so that the operator can correct them in the meantime.
func New(cfg Config) *Pool {
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	return &Pool{cfg: cfg, seats: make(map[request]*seat)}
}

// Close closes all connections. Detached commands continue. A closed pool makes
// no new connections.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	seats := p.seats
	p.seats = nil
	p.mu.Unlock()
	for _, s := range seats {
		s.close()
	}
	return nil
}

// Run runs a short POSIX sh script that only reads, in the home directory and
// without input, and returns its standard output. It is not detached and may
// get lost; a command with an effect must use [Pool.Start].
//
// An [*ExitError] means that the script ended with a status other than 0, a
// [*LostError] that it is unknown whether it ran. After any other error no
// script was run: [*ConfigError], [*UnreachableError], [*HostKeyError],
// [*AuthError], [*SudoError].
func (p *Pool) Run(ctx context.Context, t Target, script string) (string, error) {
	out, err := p.run(ctx, t, script, nil)
	if err != nil {
		return "", fmt.Errorf("run on %s: %w", t, err)
	}
	return out, nil
}

// BootID returns the id that the host's kernel generated when it booted.
func (p *Pool) BootID(ctx context.Context, t Target) (string, error) {
	out, err := p.run(ctx, t, "cat /proc/sys/kernel/random/boot_id", nil)
	if err != nil {
		return "", fmt.Errorf("read the boot id of %s: %w", t, err)
	}
	id := strings.TrimSpace(out)
	if id == "" {
		return "", fmt.Errorf("read the boot id of %s: /proc/sys/kernel/random/boot_id is empty", t)
	}
	return id, nil
}

// run runs a script on its target and returns its output. pass, unless nil, is
// called when the session is open and may still refuse.
func (p *Pool) run(ctx context.Context, t Target, script string, pass func(context.Context) error) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	session, err := p.open(ctx, t.request())
	if err != nil {
		return "", err
	}
	defer session.end()
	if pass != nil {
		if err := pass(ctx); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	mark := newMark()
	sudo := ""
	if t.Via == ViaSudo {
		sudo = t.User
	}
	done, err := session.execute(ctx, command(mark.script()+script, sudo))
	if err != nil {
		return "", err
	}
	return done.verdict(t, mark)
}

// request returns what ssh is asked about t.
func (t Target) request() request {
	r := request{name: t.Host, address: t.Address}
	if t.Via == ViaLogin {
		r.user = t.User
	}
	return r
}

// Notes returns, once each, what the operator should know of the logins so far:
// lines of known_hosts that cannot be read, and host keys that ssh config let
// pass without proof.
func (p *Pool) Notes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.notes)
}

func (p *Pool) note(notes []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range notes {
		if !slices.Contains(p.notes, n) {
			p.notes = append(p.notes, n)
		}
	}
}

// String returns host and account as error messages name them.
func (t Target) String() string {
	if t.Via == ViaOwn {
		return fmt.Sprintf("%q with the operator's own account", t.Host)
	}
	return fmt.Sprintf("%q as %q", t.Host, t.User)
}

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9:_][A-Za-z0-9._:-]*$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// check refuses names that could be mistaken for an option or for shell syntax.
func (t Target) check() error {
	if !hostName.MatchString(t.Host) {
		return &ConfigError{Problem: fmt.Sprintf("%q is not a host name", t.Host)}
	}
	if t.Address != "" && !hostName.MatchString(t.Address) {
		return &ConfigError{Problem: fmt.Sprintf("%q is not a DNS name or address", t.Address)}
	}
	switch t.Via {
	case ViaOwn:
		return nil
	case ViaLogin, ViaSudo:
		if !userName.MatchString(t.User) {
			return &ConfigError{Problem: fmt.Sprintf("%q is not an account name", t.User)}
		}
		return nil
	default:
		return &ConfigError{Problem: fmt.Sprintf("unknown way %q to an account; want login, sudo or own", t.Via)}
	}
}

var errClosed = errors.New("the connection pool is closed")
