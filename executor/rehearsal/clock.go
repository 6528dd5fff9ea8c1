package rehearsal

import (
	"encoding/json"
	"net"
	"net/http"
)

// serveClock serves the site's clock. It is not part of the simulated site, so no
// fault cuts it off.
//
// GET answers with the present rate of the clock and, as long as the request is open,
// with each new one. POST lets the clock run at real speed as long as the request is
// open: a request ends by itself if the csu that made it is killed.
func (s *Site) serveClock() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Map.Clock = "http://" + l.Addr().String() + "/clock"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /clock", s.tellRates)
	mux.HandleFunc("POST /clock", s.slowClock)
	s.serveOn(l, mux)
	return nil
}

func (s *Site) tellRates(w http.ResponseWriter, r *http.Request) {
	for {
		rate, changed := s.clk.Rate()
		if json.NewEncoder(w).Encode(rate) != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Site) slowClock(w http.ResponseWriter, r *http.Request) {
	defer s.Slow()()
	w.WriteHeader(http.StatusOK)
	if http.NewResponseController(w).Flush() != nil {
		return
	}
	select {
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
}

// Slow lets the clock run at real speed until end is called. It takes the lock.
func (s *Site) Slow() (end func()) {
	s.slow(1)
	return func() { s.slow(-1) }
}

// slow counts those that want the clock to run at real speed.
func (s *Site) slow(more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.slower
	s.slower += more
	if before == 0 || s.slower == 0 {
		s.clk.Slow(s.slower > 0)
	}
}
