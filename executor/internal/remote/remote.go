// Package remote runs commands on hosts over SSH: the bare-metal machines, the
// camera mcm hosts and the cRIOs of a site.
//
// A short script that only reads goes through [Pool.Run]. A command with an
// effect is detached: [Pool.Start] leaves it on the host under a name, where it
// outlives the connection, csu itself and the laptop that csu runs on, and
// [Pool.Look] finds it again by that name. A host needs nothing for this but a
// POSIX sh, the usual small tools and Linux's /proc; a cRIO with busybox has
// them.
//
// # The detached command
//
// It lives in $HOME/.csu/NAME of the account that it runs as. That folder is
// made by a plain mkdir, which is atomic: a name is started once or not at all.
//
//	boot    boot id at the start
//	script  what is run
//	run     the wrapper (run.sh), which runs it and leaves its exit status
//	pid     process id and start time of the wrapper
//	child   process id and start time of the script itself
//	out     output and error output
//	status  exit status; appears whole, by a rename
//
// It is running while the wrapper or the script lives, in the boot that it was
// started in. One that is neither running nor has a status is gone: killed, or
// the host was rebooted. So that this stays true, the script's process, once it is
// recorded, begins only if the wrapper still lives.
//
// Between the mkdir and the pid file there is a moment in which the command is
// known and nothing can be said. Look waits for it to pass, [settleLimit] at
// most, and then claims the pid file itself. The wrapper creates that file
// before it runs the script and gives up if it is there already, so that a
// start that hung can't go on later behind the operator's back: such a command
// is reported as gone and never started, for good.
//
// A host that is set to kill the processes of a user who logs out (systemd's
// KillUserProcesses=yes, off by default) kills detached commands too; they are
// then found gone.
//
// Nothing removes these folders, not even those of a run that is complete. They
// are what the host itself tells of what was done to it, when, and with which
// output; they are the fence that keeps a name from being started twice; and a
// journal that is lost, or restored from an older copy, can still be held against
// them. They are small, and named after their run: whoever looks after a host may
// remove those of past upgrades with rm -r ~/.csu/csu-RUN_*.
//
// # Trust and accounts
//
// Hosts, jump hosts, accounts and keys are those of the operator's
// ~/.ssh/config. Host keys are always checked against known_hosts, whatever
// StrictHostKeyChecking says. Authentication is by key, from the agent or from
// an unencrypted key file.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

// Limits of single network calls, in real time.
const (
	dialLimit     = 15 * time.Second // one connection with its handshake, where ssh config has no ConnectTimeout
	openLimit     = 10 * time.Second // a session on a connection that exists
	callLimit     = 30 * time.Second // one script; nothing that takes longer belongs into Run
	keepaliveTime = 15 * time.Second // between keepalives, and for the answer to one
)

// Config says how hosts are reached.
type Config struct {
	// SSHConfigFile is read instead of ~/.ssh/config, which may be absent. The
	// system-wide /etc/ssh/ssh_config is not read.
	SSHConfigFile string
	// Dial makes the network connections, to jump hosts too. Nil is a
	// net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Clock is what Look waits by. Nil is the real one.
	Clock *clock.Clock
}

// Pool keeps one connection per host and login, and makes it anew after a loss.
// It may be used by several goroutines at once.
type Pool struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	seats  map[string]*seat
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
	// Address is the DNS name, used where ssh config gives no HostName for Host
	// nor for Address. Empty means Host.
	Address string
	// User is the account the commands run as: "dco", "admin", "operator". It
	// is not used with ViaOwn.
	User string
	// Via is ViaLogin: log in as User; ViaSudo: log in with the operator's own
	// account, then "sudo -n -iu User"; or ViaOwn: the operator's own account.
	Via string
}

// New returns a pool without any connection; ssh config and known_hosts are
// read whenever one is made, so that the operator can mend them meanwhile.
func New(cfg Config) *Pool {
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	return &Pool{cfg: cfg, seats: make(map[string]*seat)}
}

// Close closes all connections. Detached commands go on. A closed pool makes
// no connections any more.
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

// Run runs a short POSIX sh script that only reads, with the home directory as
// its working directory and no input, and returns its standard output. It is
// not detached and may be lost on the way: a command with an effect belongs
// into [Pool.Start].
//
// Errors: [*ExitError] where the script ended with another status than 0,
// [*LostError] where it is unknown whether it ran. After any other one surely no
// script was run: [*ConfigError], [*UnreachableError], [*HostKeyError],
// [*AuthError], [*SudoError].
func (p *Pool) Run(ctx context.Context, t Target, script string) (string, error) {
	out, err := p.run(ctx, t, script, nil)
	if err != nil {
		return "", fmt.Errorf("run on %s: %w", t, err)
	}
	return out, nil
}

// BootID returns the id that the kernel of the host drew when it booted.
func (p *Pool) BootID(ctx context.Context, t Target) (string, error) {
	out, err := p.run(ctx, t, "cat /proc/sys/kernel/random/boot_id", nil)
	if err != nil {
		return "", fmt.Errorf("read the boot id of %s: %w", t, err)
	}
	id := strings.TrimSpace(out)
	if id == "" {
		return "", fmt.Errorf("read the boot id of %s: /proc/sys/kernel/random/boot_id is empty there", t)
	}
	return id, nil
}

// run carries a script to its target and brings its output back. pass, where it
// is not nil, is called when the session is open and may still refuse.
func (p *Pool) run(ctx context.Context, t Target, script string, pass func(context.Context) error) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	e, err := p.endpoint(t)
	if err != nil {
		return "", err
	}
	session, err := p.open(ctx, e)
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

// endpoint finds out where and as whom to log in for t.
func (p *Pool) endpoint(t Target) (*endpoint, error) {
	cfg, err := readSSHConfig(p.cfg.SSHConfigFile)
	if err != nil {
		return nil, err
	}
	login := ""
	if t.Via == ViaLogin {
		login = t.User
	}
	return cfg.resolve(t.Host, t.Address, override{user: login})
}

// String gives host and account in the words of an error message.
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

// check refuses what could be taken for an option or a piece of shell.
func (t Target) check() error {
	if !hostName.MatchString(t.Host) {
		return &ConfigError{Problem: fmt.Sprintf("%q is no host name", t.Host)}
	}
	if t.Address != "" && !hostName.MatchString(t.Address) {
		return &ConfigError{Problem: fmt.Sprintf("%q is no DNS name or address", t.Address)}
	}
	switch t.Via {
	case ViaOwn:
		return nil
	case ViaLogin, ViaSudo:
		if !userName.MatchString(t.User) {
			return &ConfigError{Problem: fmt.Sprintf("%q is no account name", t.User)}
		}
		return nil
	default:
		return &ConfigError{Problem: fmt.Sprintf("unknown way %q to an account; want login, sudo or own", t.Via)}
	}
}

var errClosed = errors.New("the pool of connections is closed")
