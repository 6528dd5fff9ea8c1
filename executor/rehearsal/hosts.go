package rehearsal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/lsst-ts/csu/executor/plan"
)

// ownAccount is the operator's account on the simulated hosts.
const ownAccount = "rehearsal"

// host is a machine outside the cluster: an SSH server, a folder for its files,
// and the services that run on it.
type host struct {
	site            *Site
	row             *plan.Host
	root            string // its folder
	rewrite         *strings.Replacer
	serviceCommands []serviceCommand // the plan's commands that stop and start services
	services        map[string]*service

	signer   ssh.Signer
	listener net.Listener
	down     bool // rebooting
	conns    map[*ssh.ServerConn]bool
	hanging  []net.Conn // connections that it has accepted and never answers
	away     bool       // it accepts no connections for a while
}

// service is something on a host that can be stopped and started.
type service struct {
	name    string
	running bool
	cscs    []*csc
}

// folderName matches the names of hosts and accounts, since they become folder names.
var folderName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// addHosts creates the plan's hosts, without their servers.
func (s *Site) addHosts() error {
	for i := range s.plan.Hosts {
		row := &s.plan.Hosts[i]
		if !folderName.MatchString(row.Name) {
			return fmt.Errorf("host %q: invalid host name", row.Name)
		}
		for _, u := range row.Users {
			if !folderName.MatchString(u.Name) {
				return fmt.Errorf("host %q: invalid account name %q", row.Name, u.Name)
			}
		}
		if s.hosts[row.Name] != nil {
			continue
		}
		h := &host{site: s, row: row, services: map[string]*service{}, conns: map[*ssh.ServerConn]bool{}}
		s.hosts[row.Name] = h
		h.readPlan()
	}
	return nil
}

// plain matches paths that need no quotes in a shell or in an ssh config.
var plain = regexp.MustCompile(`^[A-Za-z0-9/._+-]+$`)

// runFolder returns the folder for the hosts' folders. Commands use its path without
// quotes. It is the site's own folder if its path allows that, and otherwise a
// temporary folder that is removed with the site.
func (s *Site) runFolder() (string, error) {
	if plain.MatchString(s.dir) {
		return s.dir, nil
	}
	var err error
	s.temporary, err = os.MkdirTemp("", "csu-site-")
	return s.temporary, err
}

// furnishHosts creates the hosts' folders with their stand-ins, and returns their
// parent folder.
func (s *Site) furnishHosts() (run string, err error) {
	if run, err = s.runFolder(); err != nil {
		return "", err
	}
	if s.calls, err = newCalls(s, filepath.Join(run, "calls")); err != nil {
		return "", err
	}
	for _, row := range s.plan.Hosts {
		h := s.hosts[row.Name]
		h.root = filepath.Join(run, "hosts", row.Name)
		if err := h.build(); err != nil {
			return "", fmt.Errorf("host %q: %w", row.Name, err)
		}
	}
	return run, nil
}

// serveHosts starts an SSH server for each host and writes an ssh config for them.
func (s *Site) serveHosts() error {
	run, err := s.furnishHosts()
	if err != nil {
		return err
	}
	operator, err := newKey(filepath.Join(run, "id_ed25519"))
	if err != nil {
		return err
	}
	var config, known strings.Builder
	for _, row := range s.plan.Hosts {
		h := s.hosts[row.Name]
		if err := h.serve(operator); err != nil {
			return fmt.Errorf("host %q: %w", row.Name, err)
		}
		address := h.listener.Addr().(*net.TCPAddr)
		names := []string{fmt.Sprintf("127.0.0.1:%d", address.Port)}
		aliases := row.Name
		for _, n := range []string{row.Name, row.Address} {
			if n != "" {
				names = append(names, n, fmt.Sprintf("%s:%d", n, address.Port))
			}
		}
		if row.Address != "" && row.Address != row.Name {
			aliases += " " + row.Address
		}
		fmt.Fprintf(&config, "Host %s\n  HostName 127.0.0.1\n  Port %d\n  User %s\n", aliases, address.Port, ownAccount)
		fmt.Fprintf(&config, "  IdentityFile %s\n  IdentitiesOnly yes\n  IdentityAgent none\n", filepath.Join(run, "id_ed25519"))
		fmt.Fprintf(&config, "  UserKnownHostsFile %s\n  GlobalKnownHostsFile none\n\n", filepath.Join(run, "known_hosts"))
		if s.hasFault(hostHangs, row.Name) {
			config.WriteString("  ConnectTimeout 3\n") // a longer wait would rehearse nothing more
		}
		shown := h.signer.PublicKey()
		if s.hasFault(hostKeyChanged, row.Name) {
			other, err := newKey("")
			if err != nil {
				return err
			}
			shown = other.PublicKey()
		}
		known.WriteString(knownhosts.Line(names, shown) + "\n")
	}
	if err := os.WriteFile(filepath.Join(run, "known_hosts"), []byte(known.String()), 0o600); err != nil {
		return err
	}
	s.Map.SSHConfig = filepath.Join(run, "ssh_config")
	return os.WriteFile(s.Map.SSHConfig, []byte(config.String()), 0o600)
}

// newKey creates a key and, unless name is "", writes it to a file.
func newKey(name string) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil || name == "" {
		return signer, err
	}
	block, err := ssh.MarshalPrivateKey(private, "csu rehearsal")
	if err != nil {
		return nil, err
	}
	return signer, os.WriteFile(name, pem.EncodeToMemory(block), 0o600)
}

// serve starts the host's SSH server. It accepts the operator's key.
func (h *host) serve(operator ssh.Signer) (err error) {
	if h.signer, err = newKey(""); err != nil {
		return err
	}
	key := string(operator.PublicKey().Marshal())
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
		if string(offered.Marshal()) != key || h.home(c.User()) == "" {
			return nil, fmt.Errorf("no account %q with this key", c.User())
		}
		return nil, nil
	}}
	config.AddHostKey(h.signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.listener = h.site.gated(l)
	h.site.work.Go(func() {
		for {
			conn, err := h.listener.Accept()
			if err != nil {
				return // closed
			}
			h.site.mu.Lock()
			gone := h.down || h.away || h.site.closed || h.site.strikes(hostUnreachable, h.row.Name)
			switch {
			case gone:
			case h.site.strikes(hostHangs, h.row.Name):
				h.hanging = append(h.hanging, conn)
			default:
				h.site.spawn(func() { h.converse(conn, config) })
			}
			h.site.mu.Unlock()
			if gone {
				_ = conn.Close() // there is nothing to do about an error
			}
		}
	})
	return nil
}

// home returns the home directory of an account, or "" if the host does not have it.
func (h *host) home(user string) string {
	home := filepath.Join(h.root, "home", filepath.Base(user))
	if info, err := os.Stat(home); err != nil || !info.IsDir() {
		return ""
	}
	return home
}

// converse serves a connection.
func (h *host) converse(raw net.Conn, config *ssh.ServerConfig) {
	defer raw.Close()
	if raw.SetDeadline(time.Now().Add(30*time.Second)) != nil {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil || raw.SetDeadline(time.Time{}) != nil {
		return
	}
	s := h.site
	s.mu.Lock()
	gone := h.down || s.closed
	h.conns[conn] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(h.conns, conn)
		s.mu.Unlock()
	}()
	if gone {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.spawn(func() { h.session(conn.User(), channel, requests) })
		s.mu.Unlock()
	}
}

// session runs the command of one session.
func (h *host) session(user string, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var m struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &m) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		if r.Reply(true, nil) != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		status := h.run(user, m.Command, channel)
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
		return
	}
}

// run runs a command line with this machine's shell, in the host's folder.
func (h *host) run(user, command string, channel ssh.Channel) int {
	cmd := exec.Command("/bin/sh", "-c", h.rewrite.Replace(command))
	cmd.Dir = h.home(user)
	cmd.Env = h.environment(user)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Copy the input by hand, since the command may end before its input does.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 126
	}
	cmd.Stdout, cmd.Stderr = &hostOutput{channel, h}, channel.Stderr()
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(channel.Stderr(), err)
		return 126
	}
	go func() {
		_, _ = io.Copy(stdin, channel) // ends with the channel or the command
		_ = stdin.Close()
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			return 137
		}
		return exit.ExitCode()
	}
	return 0
}

// hostOutput is the standard output of a session.
type hostOutput struct {
	io.Writer
	host *host
}

// Write implements [io.Writer]. A host that drops its connections does so instead of
// confirming that a detached command was started.
func (o *hostOutput) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte("started\n")) && o.host.drops() {
		return 0, io.ErrClosedPipe
	}
	return o.Writer.Write(p)
}

// drops makes the host unreachable for two minutes, once, if it has the fault
// host-drops. It reports whether it did.
func (h *host) drops() bool {
	s := h.site
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.activeFault(hostDrops, h.row.Name)
	if f == nil || h.away {
		return false
	}
	h.away = true
	h.disconnect()
	s.after(2*time.Minute, func() {
		h.away = false
		s.endFault(f)
	})
	return true
}

// closeHosts stops the SSH servers and all processes of the hosts.
func (s *Site) closeHosts() error {
	var errs []error
	s.mu.Lock()
	for _, h := range s.hosts {
		if h.listener != nil {
			errs = append(errs, h.listener.Close())
		}
		h.disconnect()
	}
	s.mu.Unlock()
	for _, h := range s.hosts {
		if h.root != "" {
			errs = append(errs, h.killAll())
		}
	}
	if s.calls != nil {
		errs = append(errs, s.calls.close())
	}
	if s.temporary != "" {
		errs = append(errs, os.RemoveAll(s.temporary))
	}
	return errors.Join(errs...)
}

func (h *host) disconnect() {
	for c := range h.conns {
		_ = c.Close() // it does not matter if the connection is already gone
	}
	for _, c := range h.hanging {
		_ = c.Close()
	}
	h.hanging = nil
}

// reboot takes the host down and brings it up again with a new boot id.
func (h *host) reboot() {
	s := h.site
	if h.down {
		return
	}
	h.down = true
	s.effect(Effect{System: SystemHost, Kind: Rebooted, Subject: h.row.Name})
	h.disconnect()
	for _, v := range h.services {
		for _, c := range v.cscs {
			s.down(c, "its host was rebooted")
		}
	}
	s.spawn(func() {
		err := errors.Join(h.power(false), h.killAll())
		if s.clk.Sleep(s.ctx, 4*time.Minute) != nil {
			return
		}
		err = errors.Join(err, h.newBoot(), h.power(true))
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			// The host stays down, like a host that cannot boot.
			s.effect(Effect{System: SystemHost, Kind: HostUp, Subject: h.row.Name, Detail: "failed: " + err.Error()})
			return
		}
		h.down = false
		s.effect(Effect{System: SystemHost, Kind: HostUp, Subject: h.row.Name})
		for _, v := range h.services {
			if v.running {
				h.comeUp(v)
			}
		}
	})
}

// power turns the host's real SSH server off or on, if it has one.
func (h *host) power(on bool) error {
	if h.site.outside == nil {
		return nil
	}
	return h.site.outside.Power(h.row.Name, on)
}

func (h *host) newBoot() error {
	return os.WriteFile(filepath.Join(h.root, "boot_id"), []byte(string(newUID())+"\n"), 0o644)
}
