package rehearsal

import (
	"net"
	"sync"
	"time"
)

// gate is a listener that can be shut: then every connection is cut, and none
// is taken, until it is opened again.
type gate struct {
	net.Listener

	mu     sync.Mutex
	closed bool // shut, and not the listener's end
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

// cutAll cuts the connections that there are.
func (g *gate) cutAll() {
	g.mu.Lock()
	conns := g.conns
	g.conns = map[*gatedConn]bool{}
	g.mu.Unlock()
	for c := range conns {
		cut(c.Conn)
	}
}

// cut ends a connection as one ends whose other end has gone: with a reset.
func cut(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // one that is gone already is as good
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

// eachGate does something to every way into the site.
func (s *Site) eachGate(do func(*gate)) {
	for _, g := range s.gates {
		do(g)
	}
}

// fallAsleep stops the executor, as the sleep of its machine does.
func (s *Site) fallAsleep(string) {
	// Not now: what is happening is to be answered first.
	s.after(time.Second, func() {
		if !s.strikes(laptopSleeps, "") {
			s.effect(Effect{System: SystemFault, Kind: FaultFailed, Subject: laptopSleeps, Detail: "this machine came to it when the sleep was over already"})
			return // nobody would wake the laptop any more
		}
		if err := s.laptop(true); err != nil {
			s.effect(Effect{System: SystemFault, Kind: FaultFailed, Subject: laptopSleeps, Detail: err.Error()})
		}
	})
}

// wakeUp has it go on. Its connections have ended meanwhile.
func (s *Site) wakeUp(string) {
	s.eachGate((*gate).cutAll)
	if err := s.laptop(false); err != nil {
		s.effect(Effect{System: SystemFault, Kind: FaultFailed, Subject: laptopSleeps, Detail: err.Error()})
	}
}
