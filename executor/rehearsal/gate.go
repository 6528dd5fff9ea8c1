package rehearsal

import (
	"net"
	"sync"
	"time"
)

// gate is a listener that can be shut. A shut gate cuts every connection and accepts
// none until it is opened again.
type gate struct {
	net.Listener

	mu     sync.Mutex
	closed bool // the gate is shut; the listener stays open
	conns  map[*gatedConn]bool
}

func newGate(l net.Listener) *gate { return &gate{Listener: l, conns: map[*gatedConn]bool{}} }

// Accept implements [net.Listener].
func (g *gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			cut(raw)
			continue
		}
		c := &gatedConn{Conn: raw, gate: g}
		g.conns[c] = true
		g.mu.Unlock()
		return c, nil
	}
}

func (g *gate) shut() { g.set(true) }

func (g *gate) open() { g.set(false) }

func (g *gate) set(closed bool) {
	g.mu.Lock()
	g.closed = closed
	g.mu.Unlock()
	if closed {
		g.cutAll()
	}
}

// cutAll cuts all current connections.
func (g *gate) cutAll() {
	g.mu.Lock()
	conns := g.conns
	g.conns = map[*gatedConn]bool{}
	g.mu.Unlock()
	for c := range conns {
		cut(c.Conn)
	}
}

// cut resets a connection, as if the other end had disappeared.
func cut(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it does not matter if the connection is already gone
	}
	_ = c.Close()
}

// gatedConn is a connection that its gate can cut.
type gatedConn struct {
	net.Conn
	gate *gate
}

// Close implements [net.Conn].
func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// eachGate calls do with every gate of the site.
func (s *Site) eachGate(do func(*gate)) {
	for _, g := range s.gates {
		do(g)
	}
}

// fallAsleep stops the executor, as if its machine went to sleep.
func (s *Site) fallAsleep(string) {
	// Wait a moment, so that the current request is answered first.
	s.after(time.Second, func() {
		if !s.strikes(laptopSleeps, "") {
			s.effect(Effect{System: SystemFault, Kind: FaultFailed, Subject: laptopSleeps, Detail: "this machine was too slow: the sleep was already over"})
			return // nothing would wake the laptop up any more
		}
		if err := s.laptop(true); err != nil {
			s.effect(Effect{System: SystemFault, Kind: FaultFailed, Subject: laptopSleeps, Detail: err.Error()})
		}
	})
}

// wakeUp continues the executor. Its connections have ended in the meantime.
func (s *Site) wakeUp(string) {
	s.eachGate((*gate).cutAll)
	if err := s.laptop(false); err != nil {
		s.effect(Effect{System: SystemFault, Kind: FaultFailed, Subject: laptopSleeps, Detail: err.Error()})
	}
}
