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
	host   *endpoint
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

// connection returns the pool's connection for r and whether it existed before.
// e is what ssh says of r, or nil if it is to be asked.
func (p *Pool) connection(ctx context.Context, r request, e *endpoint) (c *conn, existed bool, err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, &UnreachableError{Host: r.name, Err: errClosed}
	}
	s := p.seats[r]
	if s == nil {
		s = &seat{lock: make(chan struct{}, 1)}
		p.seats[r] = s
	}
	p.mu.Unlock()

	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return nil, false, &UnreachableError{Host: r.name, Err: ctx.Err()}
	}
	if c := s.conn.Load(); c != nil && c.alive() {
		return c, true, nil
	}
	if e == nil {
		if e, err = p.resolve(ctx, r); err != nil {
			return nil, false, err
		}
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

// open opens a session for r. A connection that turns out to be dead is replaced
// once. A session that the server refuses is requested again for a while, since
// others may end. Both are safe because nothing was sent yet.
func (p *Pool) open(ctx context.Context, r request) (*session, error) {
	var limit <-chan time.Time // set at the first refusal
	for {
		c, existed, err := p.connection(ctx, r, nil)
		if err != nil {
			return nil, err
		}
		s, err := c.open(ctx)
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
			return nil, &UnreachableError{Host: c.host.String(), Err: err}
		}
		if !existed || ctx.Err() != nil {
			return nil, &UnreachableError{Host: c.host.String(), Err: err}
		}
		c.client.Close()
		<-c.gone
	}
}

func (c *conn) open(ctx context.Context) (*session, error) {
	select {
	case c.slots <- struct{}{}:
	case <-c.gone:
		return nil, errors.New("the connection has ended")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, openLimit, fmt.Errorf("no answer within %v", openLimit))
	defer cancel()
	s := &session{host: c.host.String(), login: c.host.user, conn: c}
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

// dial connects to e and logs in.
func (p *Pool) dial(ctx context.Context, e *endpoint) (*conn, error) {
	raw, err := p.reach(ctx, e)
	if err != nil {
		return nil, err
	}
	keys := gatherKeys(ctx, e)
	defer keys.close()

	// A connection through a jump host's channel or a command has no deadlines,
	// but any connection can be closed.
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout, fmt.Errorf("no login within %v", e.timeout))
	defer cancel()
	watched := &watchedConn{Conn: raw}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()

	key := &hostKey{ctx: ctx, host: e}
	refused := &AuthError{Host: e.String(), User: e.user, Notes: keys.notes}
	client, err := handshake(watched, key, keys, refused)
	switch {
	case err == nil:
		p.note(key.notes)
		return newConn(e, client), nil
	case key.refusal != nil:
		raw.Close()
		p.note(key.notes)
		return nil, key.refusal
	case ctx.Err() != nil:
		return nil, &UnreachableError{Host: e.String(), Err: context.Cause(ctx)}
	case !key.accepted || watched.broken.Load():
		raw.Close()
		return nil, &UnreachableError{Host: e.String(), Err: err}
	default:
		// The connection is intact and the host is the right one, so the
		// authentication failed.
		raw.Close()
		refused.Offered = keys.offered
		for _, method := range refused.Accepts {
			if setting := e.unsupported[method]; setting != "" {
				refused.Unsupported = append(refused.Unsupported, setting)
			}
		}
		return nil, refused
	}
}

// handshake logs in on an open connection. It fills what refused says of the
// server.
func handshake(raw net.Conn, key *hostKey, keys *keyring, refused *AuthError) (*ssh.Client, error) {
	greeted, err := greet(raw)
	if err != nil {
		return nil, err
	}
	order, err := key.order()
	if err != nil {
		return nil, err
	}
	e := key.host
	client, channels, requests, err := ssh.NewClientConn(greeted, e.addr(), &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: e.allow.kex, Ciphers: e.allow.ciphers, MACs: e.allow.macs},
		User:              e.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(keys.signers...)},
		ClientVersion:     ourVersion,
		HostKeyCallback:   key.check,
		HostKeyAlgorithms: order,
		AuthCallback: func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			refused.Accepts = c.AllowedMethods
			return nil, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(client, channels, requests), nil
}

func newConn(host *endpoint, client *ssh.Client) *conn {
	c := &conn{host: host, client: client, slots: make(chan struct{}, sessionsAtOnce), gone: make(chan struct{})}
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
