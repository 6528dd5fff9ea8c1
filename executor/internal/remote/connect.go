package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// sessionsAtOnce limits the sessions on one connection. sshd's default
// MaxSessions is 10, and it counts a session for a moment after it was closed.
const sessionsAtOnce = 4

// A session that the server refuses is requested again after refusedPause,
// until refusedLimit has passed since the first refusal. Whatever holds the
// other sessions may take up to callLimit each.
const (
	refusedPause = 200 * time.Millisecond
	refusedLimit = 2 * callLimit
)

// seat holds one connection of the pool. Its lock is a channel, so that waiting
// for a slow host can be interrupted.
type seat struct {
	lock chan struct{}
	conn atomic.Pointer[conn]
}

// conn is an authenticated connection.
type conn struct {
	client *ssh.Client
	slots  chan struct{}
	gone   chan struct{} // closed when the connection has ended
}

func (s *seat) close() {
	if c := s.conn.Load(); c != nil {
		c.client.Close()
	}
}

func (c *conn) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// connection returns the pool's connection to e and whether it existed before.
func (p *Pool) connection(ctx context.Context, e *endpoint) (c *conn, existed bool, err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, &UnreachableError{Host: e.String(), Err: errClosed}
	}
	s := p.seats[e.key()]
	if s == nil {
		s = &seat{lock: make(chan struct{}, 1)}
		p.seats[e.key()] = s
	}
	p.mu.Unlock()

	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return nil, false, &UnreachableError{Host: e.String(), Err: ctx.Err()}
	}
	if c := s.conn.Load(); c != nil && c.alive() {
		return c, true, nil
	}
	c, err = p.dial(ctx, e)
	if err != nil {
		return nil, false, err
	}
	s.conn.Store(c)
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed { // in the meantime; Close may have missed this connection
		c.client.Close()
		return nil, false, &UnreachableError{Host: e.String(), Err: errClosed}
	}
	return c, false, nil
}

// open opens a session on e. A connection that turns out to be dead is replaced
// once. A session that the server refuses is requested again for a while, since
// others may end. Both are safe because nothing was sent yet.
func (p *Pool) open(ctx context.Context, e *endpoint) (*session, error) {
	var limit <-chan time.Time // set at the first refusal
	for {
		c, existed, err := p.connection(ctx, e)
		if err != nil {
			return nil, err
		}
		s, err := c.open(ctx, e)
		if err == nil {
			return s, nil
		}
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			if limit == nil {
				limit = time.After(refusedLimit)
			}
			select {
			case <-time.After(refusedPause):
				continue
			case <-limit:
			case <-ctx.Done():
			}
			return nil, &UnreachableError{Host: e.String(), Err: err}
		}
		if !existed || ctx.Err() != nil {
			return nil, &UnreachableError{Host: e.String(), Err: err}
		}
		c.client.Close()
		<-c.gone
	}
}

func (c *conn) open(ctx context.Context, e *endpoint) (*session, error) {
	select {
	case c.slots <- struct{}{}:
	case <-c.gone:
		return nil, errors.New("the connection has ended")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, openLimit, fmt.Errorf("no answer within %v", openLimit))
	defer cancel()
	s := &session{host: e.String(), login: e.user, conn: c}
	opened := make(chan error, 1)
	go func() {
		var err error
		s.channel, s.requests, err = c.client.OpenChannel("session", nil)
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			<-c.slots
			return nil, err
		}
		return s, nil
	case <-ctx.Done():
		go func() { // a late answer returns its session
			if <-opened == nil {
				go ssh.DiscardRequests(s.requests)
				s.channel.Close()
			}
			<-c.slots
		}()
		return nil, context.Cause(ctx)
	}
}

// dial connects to e, through its jump host if it has one.
func (p *Pool) dial(ctx context.Context, e *endpoint) (*conn, error) {
	known, err := readKnownHosts(e)
	if err != nil {
		return nil, err
	}
	raw, err := p.reach(ctx, e)
	if err != nil {
		return nil, err
	}
	keys := gatherKeys(ctx, e)
	defer keys.close()

	// A connection through a jump host's channel has no deadlines, but any
	// connection can be closed.
	ctx, cancel := context.WithTimeoutCause(ctx, e.connectTimeout, fmt.Errorf("no login within %v", e.connectTimeout))
	defer cancel()
	watched := &watchedConn{Conn: raw}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()

	refused := &AuthError{Host: e.String(), User: e.user, Notes: keys.notes}
	client, channels, requests, err := ssh.NewClientConn(watched, e.checkAs, &ssh.ClientConfig{
		User:              e.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(keys.signers...)},
		HostKeyCallback:   known.check,
		HostKeyAlgorithms: known.algorithms(e.checkAs),
		AuthCallback: func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			refused.Accepts = c.AllowedMethods
			return nil, nil
		},
	})
	switch {
	case err == nil:
		return newConn(ssh.NewClient(client, channels, requests)), nil
	case known.refusal != nil:
		return nil, known.refusal
	case ctx.Err() != nil:
		return nil, &UnreachableError{Host: e.String(), Err: context.Cause(ctx)}
	case !known.accepted || watched.broken.Load():
		return nil, &UnreachableError{Host: e.String(), Err: err}
	default:
		// The connection is intact and the host is the right one, so the
		// authentication failed.
		refused.Offered = keys.offered
		return nil, refused
	}
}

// reach makes the network connection for the handshake with e.
func (p *Pool) reach(ctx context.Context, e *endpoint) (net.Conn, error) {
	for {
		var jump *conn
		existed := false
		if e.jump != nil {
			var err error
			if jump, existed, err = p.connection(ctx, e.jump); err != nil {
				return nil, fmt.Errorf("jump host of %q: %w", e.name, err)
			}
		}
		limited, cancel := context.WithTimeoutCause(ctx, e.connectTimeout, fmt.Errorf("no connection within %v", e.connectTimeout))
		var raw net.Conn
		var err error
		if jump != nil {
			raw, err = jump.client.DialContext(limited, "tcp", e.addr())
		} else {
			raw, err = p.cfg.Dial(limited, "tcp", e.addr())
		}
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

func newConn(client *ssh.Client) *conn {
	c := &conn{client: client, slots: make(chan struct{}, sessionsAtOnce), gone: make(chan struct{})}
	go func() {
		// The users of the connection report how it ended.
		_ = client.Wait()
		close(c.gone)
	}()
	go c.keepAlive(keepaliveTime, keepaliveTime)
	return c
}

// keepAlive sends a keepalive after each interval every, and closes the
// connection if the host does not answer within limit. Otherwise it would take
// many minutes to notice that a laptop was asleep or that a firewall forgot the
// connection.
func (c *conn) keepAlive(every, limit time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	answers := make(chan error, 1)
	for {
		select {
		case <-c.gone:
			return
		case <-ticker.C:
		}
		go func() {
			_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
			answers <- err
		}()
		select {
		case err := <-answers:
			if err == nil {
				continue
			}
		case <-time.After(limit):
		case <-c.gone:
			return
		}
		c.client.Close()
		return
	}
}

// watchedConn records whether the connection broke by itself. The ssh package
// has no error type for a refused authentication; if the connection did not
// break, nothing else can have failed.
type watchedConn struct {
	net.Conn
	closed, broken atomic.Bool
}

func (w *watchedConn) note(err error) {
	if err != nil && !w.closed.Load() {
		w.broken.Store(true)
	}
}

func (w *watchedConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.note(err)
	return n, err
}

func (w *watchedConn) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.note(err)
	return n, err
}

func (w *watchedConn) Close() error {
	w.closed.Store(true)
	return w.Conn.Close()
}
