package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// reach makes the network connection for the handshake with e: by its
// ProxyCommand, through its jump host, or directly.
func (p *Pool) reach(ctx context.Context, e *endpoint) (net.Conn, error) {
	if p.cfg.Allow != nil {
		if err := p.cfg.Allow(e.addr()); err != nil {
			return nil, &UnreachableError{Host: e.String(), Err: err}
		}
	}
	switch {
	case e.proxyCommand != "":
		conn, err := startProxy(ctx, e)
		if err != nil {
			return nil, &UnreachableError{Host: e.String(), Err: err}
		}
		return conn, nil
	case e.jump != nil:
		return p.jump(ctx, e)
	}
	var err error
	for n := range e.attempts {
		if n > 0 { // as ssh waits between its ConnectionAttempts
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		var raw net.Conn
		if raw, err = p.dialDirectly(ctx, e); err == nil {
			return raw, nil
		}
	}
	return nil, &UnreachableError{Host: e.String(), Err: err}
}

func (p *Pool) dialDirectly(ctx context.Context, e *endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout, fmt.Errorf("no connection within %v", e.timeout))
	defer cancel()
	dial := p.cfg.Dial
	if dial == nil {
		from, err := localAddress(e.bind, e.network)
		if err != nil {
			return nil, err
		}
		dial = (&net.Dialer{LocalAddr: from}).DialContext
	}
	raw, err := dial(ctx, e.network, e.addr())
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return raw, err
}

// localAddress returns the address that BindAddress or BindInterface names, or
// nil for none.
func localAddress(bind, network string) (net.Addr, error) {
	if bind == "" {
		return nil, nil
	}
	found, err := net.ResolveIPAddr(strings.Replace(network, "tcp", "ip", 1), bind)
	if err == nil {
		return &net.TCPAddr{IP: found.IP, Zone: found.Zone}, nil
	}
	card, err := net.InterfaceByName(bind)
	if err != nil {
		return nil, fmt.Errorf("BindAddress or BindInterface %q: %w", bind, err)
	}
	addresses, err := card.Addrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() && (network != "tcp6") == (ip.IP.To4() != nil) {
			return &net.TCPAddr{IP: ip.IP}, nil
		}
	}
	return nil, fmt.Errorf("BindInterface %q has no address", bind)
}

// jump connects to e through its jump host.
func (p *Pool) jump(ctx context.Context, e *endpoint) (net.Conn, error) {
	for {
		jump, existed, err := p.connection(ctx, e.jump.request, e.jump)
		if err != nil {
			return nil, fmt.Errorf("jump host of %q: %w", e.request.name, err)
		}
		limited, cancel := context.WithTimeoutCause(ctx, e.timeout, fmt.Errorf("no connection within %v", e.timeout))
		raw, err := jump.client.DialContext(limited, "tcp", e.addr())
		if err != nil && limited.Err() != nil {
			err = context.Cause(limited)
		}
		cancel()
		if err == nil {
			return raw, nil
		}
		var refused *ssh.OpenChannelError
		if existed && ctx.Err() == nil && !errors.As(err, &refused) {
			// The jump host may have gone away in the meantime. With a new
			// connection to it, the error is about the host itself.
			jump.client.Close()
			<-jump.gone
			continue
		}
		return nil, &UnreachableError{Host: e.String(), Err: err}
	}
}

// proxy is the connection that a ProxyCommand makes.
type proxy struct {
	io.Reader
	io.WriteCloser
	command string
	said    *overheard
	process *exec.Cmd
	ended   chan struct{}
	err     error // how it ended
}

// startProxy runs the ProxyCommand of e with the operator's shell, as ssh does
// (OpenSSH 9.2, sshconnect.c, ssh_proxy_connect). The command lives as long as
// the connection; ctx limits only one that passes a connection.
func startProxy(ctx context.Context, e *endpoint) (net.Conn, error) {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	p := &proxy{command: e.proxyCommand, said: &overheard{}, ended: make(chan struct{})}
	life := context.Background()
	if e.proxyPassesFD {
		var cancel context.CancelFunc
		life, cancel = context.WithTimeout(ctx, e.timeout)
		defer cancel()
	}
	p.process = offstage(exec.CommandContext(life, shell, "-c", "exec "+e.proxyCommand))
	p.process.Stderr = p.said
	if e.proxyPassesFD {
		return p.passed()
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer childOut.Close()
	childIn, in, err := os.Pipe()
	if err != nil {
		out.Close()
		return nil, err
	}
	defer childIn.Close()
	p.Reader, p.WriteCloser = out, in
	p.process.Stdin, p.process.Stdout = childIn, childOut
	if err := p.process.Start(); err != nil {
		out.Close()
		in.Close()
		return nil, fmt.Errorf("ProxyCommand %q: %w", p.command, err)
	}
	go func() {
		p.err = p.process.Wait()
		close(p.ended)
	}()
	return p, nil
}

// passed returns the connection that the command passes (ProxyUseFdpass).
func (p *proxy) passed() (net.Conn, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	mine, its := os.NewFile(uintptr(pair[0]), "proxy"), os.NewFile(uintptr(pair[1]), "proxy")
	defer mine.Close()
	defer its.Close()
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	p.process.Stdin, p.process.Stdout = its, its
	if err := p.process.Run(); err != nil {
		return nil, p.failed(err)
	}
	fd, err := received(pair[0])
	if err != nil {
		return nil, p.failed(err)
	}
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	return net.FileConn(file)
}

// received returns the file descriptor that was sent to a socket.
func received(socket int) (int, error) {
	control := make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := syscall.Recvmsg(socket, make([]byte, 1), control, syscall.MSG_DONTWAIT)
	if err == nil {
		var messages []syscall.SocketControlMessage
		if messages, err = syscall.ParseSocketControlMessage(control[:n]); err == nil && len(messages) > 0 {
			if fds, err := syscall.ParseUnixRights(&messages[0]); err == nil && len(fds) > 0 {
				return fds[0], nil
			}
		}
	}
	return 0, errors.New("it passed no connection")
}

// failed returns the error of a command that made no connection.
func (p *proxy) failed(err error) error {
	if said := p.said.String(); said != "" {
		return fmt.Errorf("ProxyCommand %q: %w: %s", p.command, err, said)
	}
	return fmt.Errorf("ProxyCommand %q: %w", p.command, err)
}

func (p *proxy) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	return n, p.explain(err)
}

func (p *proxy) Write(b []byte) (int, error) {
	n, err := p.WriteCloser.Write(b)
	return n, p.explain(err)
}

// explain returns what the command said if it has ended.
func (p *proxy) explain(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-p.ended:
	case <-time.After(time.Second): // it has closed its input or output only
		return err
	}
	if p.err != nil {
		return p.failed(p.err)
	}
	return p.failed(errors.New("it has ended"))
}

// Close ends the command with all that it has started.
func (p *proxy) Close() error {
	err := p.WriteCloser.Close()
	// An error means that it has ended.
	_ = syscall.Kill(-p.process.Process.Pid, syscall.SIGHUP)
	select {
	case <-p.ended:
	case <-time.After(time.Second):
		_ = syscall.Kill(-p.process.Process.Pid, syscall.SIGKILL)
	}
	return err
}

// proxyAddr is the address of a connection by ProxyCommand.
type proxyAddr struct{ command string }

func (proxyAddr) Network() string  { return "ProxyCommand" }
func (a proxyAddr) String() string { return a.command }

func (p *proxy) LocalAddr() net.Addr            { return proxyAddr{p.command} }
func (p *proxy) RemoteAddr() net.Addr           { return proxyAddr{p.command} }
func (*proxy) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (*proxy) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (*proxy) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// ourVersion is how csu introduces itself in SSH.
const ourVersion = "SSH-2.0-csu"

// greeted is a connection on which both sides have introduced themselves. Only
// then does ssh read known_hosts, and so does csu. The ssh package does both in
// one step: greeted swallows its introduction and repeats the host's.
type greeted struct {
	net.Conn
	heard   io.Reader
	swallow int
}

// greet introduces csu and waits for the host's introduction (RFC 4253, 4.2).
func greet(c net.Conn) (*greeted, error) {
	ours := ourVersion + "\r\n"
	if _, err := io.WriteString(c, ours); err != nil {
		return nil, err
	}
	var line []byte
	for total := 0; total < 64<<10; total++ {
		var b [1]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return nil, err
		}
		line = append(line, b[0])
		if b[0] != '\n' {
			continue
		}
		if bytes.HasPrefix(line, []byte("SSH-")) {
			return &greeted{Conn: c, heard: io.MultiReader(bytes.NewReader(line), c), swallow: len(ours)}, nil
		}
		line = nil // a server may say something else before
	}
	return nil, errors.New("it does not speak SSH")
}

func (g *greeted) Read(p []byte) (int, error) { return g.heard.Read(p) }

func (g *greeted) Write(p []byte) (int, error) {
	n := min(g.swallow, len(p))
	g.swallow -= n
	if n == len(p) {
		return n, nil
	}
	more, err := g.Conn.Write(p[n:])
	return n + more, err
}
