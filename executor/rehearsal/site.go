// Package rehearsal simulates one of the observatory's sites. The model of the site
// is derived from a plan's tables. It answers on the loopback interface as LOVE,
// the EFD, Slack, a Kubernetes API server and SSH servers.
//
// Terms:
//
//   - The site's time runs faster than real time, by the speed in the site map.
//     Everything that takes time at the site takes the site's time.
//   - An effect is something that happened at the site. The record keeps all
//     effects in order, no matter who caused them.
//   - A stand-in is a small script that replaces a command on a host and asks the
//     site what the command does.
//   - A fault is something that goes wrong, chosen by name from the catalogue. It
//     begins at the start or at a moment. It is over when its time has passed,
//     when it has struck, or when the operator has fixed it.
//   - A gate is a way into the site that can be shut.
//
// One lock, Site.mu, guards the whole model. Functions that read or change the model
// are called with the lock held. Functions that wait for the site's time take the
// lock themselves; their comments say so.
package rehearsal

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// Config configures a simulated site.
type Config struct {
	Plan   *plan.Plan
	Digest string // of the plan
	// Dir is the site's working folder, with the site map, ssh config, keys,
	// kubeconfig, the hosts' folders and the record. It is created if necessary.
	Dir   string
	Speed float64 // site seconds per real second; 0 means 3600
	Seed  int64   // of everything left to chance
	// Faults are names from the catalogue, with a subject if the fault takes one,
	// such as "csc-stuck=MTMount:0"; see [Faults].
	Faults []string
	// Laptop stops and continues the executor's process, for the fault in which
	// the operator's laptop sleeps. It is nil if that is not possible.
	Laptop func(asleep bool) error

	outside *Outside // nil if the whole site is simulated
}

// DefaultSpeed makes an hour pass in a second.
const DefaultSpeed = 3600

// MapFile and RecordFile are the names of the site map and of the record of
// effects in the site's folder.
const (
	MapFile    = "site-map.json"
	RecordFile = "record.jsonl"
)

// Site is a running simulated site.
type Site struct {
	plan   *plan.Plan
	dir    string
	seed   int64
	clk    *clock.Clock
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	record *recorder
	credentials

	// Map is the site map, as written to the site's folder.
	Map sitemap.Map

	mu     sync.Mutex
	closed bool
	slower int               // those that want the clock to run at real speed
	draws  map[string]uint64 // number of draws by subject
	faults []*chosenFault
	laptop func(asleep bool) error
	// outside holds the real parts of the site, nil if there are none.
	outside *Outside
	cscs    []*csc // in the plan's order
	byName  map[string]*csc
	queues  map[int]*queue
	efd     *efd
	love    love
	slack   slackChannels
	// refusedMessages is how many messages a busy Slack has refused.
	refusedMessages int
	registry        registry
	cluster         *cluster
	hosts           map[string]*host // by name
	calls           *calls
	// temporary is a folder outside the site's own, if there is one.
	temporary string
	servers   []*http.Server
	gates     []*gate
	apiGate   *gate
}

// Start starts a simulated site and returns once everything answers. The site runs
// until Close. When ctx is done, nothing happens at the site any more.
func Start(ctx context.Context, cfg Config) (*Site, error) {
	site, err := newSite(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start the simulated site: %w", err)
	}
	if err := site.serve(); err != nil {
		return nil, fmt.Errorf("start the simulated site: %w", errors.Join(err, site.Close()))
	}
	return site, nil
}

func newSite(ctx context.Context, cfg Config) (*Site, error) {
	if cfg.Speed == 0 {
		cfg.Speed = DefaultSpeed
	}
	if cfg.Speed < 1 {
		return nil, fmt.Errorf("speed %v is less than 1", cfg.Speed)
	}
	date, err := time.Parse(time.DateOnly, cfg.Plan.Upgrade.Date)
	if err != nil {
		return nil, fmt.Errorf("parse the plan's date: %w", err)
	}
	known, err := chooseFaults(cfg.Plan, cfg.Faults)
	if err != nil {
		return nil, err
	}
	if cfg.Laptop == nil && slices.ContainsFunc(known, func(f *chosenFault) bool { return f.Name == laptopSleeps }) {
		return nil, errNoLaptop
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// 09:00 at Cerro Pachon, where deployments begin (P54).
	epoch, now := date.Add(12*time.Hour), time.Now()
	if cfg.outside != nil {
		epoch = now.UTC()
	}
	s := &Site{
		plan: cfg.Plan, dir: dir, seed: cfg.Seed, faults: known, laptop: cfg.Laptop, outside: cfg.outside,
		clk:   clock.Fast(epoch, now, cfg.Speed),
		Map:   sitemap.Map{Digest: cfg.Digest, Epoch: epoch, Real: now, Speed: cfg.Speed, Dir: dir},
		draws: map[string]uint64{}, byName: map[string]*csc{}, queues: map[int]*queue{}, hosts: map[string]*host{},
		credentials: newCredentials(),
	}
	if s.record, err = newRecorder(filepath.Join(dir, RecordFile), s.clk.Now); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.populate(); err != nil {
		return nil, errors.Join(err, s.record.close())
	}
	return s, nil
}

// serve starts the servers and writes the files that point to them.
func (s *Site) serve() error {
	if err := s.serveLOVEAndSlack(); err != nil {
		return err
	}
	if err := s.serveAt(&s.Map.EFD, "/influxdb", s.efdHandler()); err != nil {
		return err
	}
	if err := s.serveAt(&s.Map.Record, "/record", http.HandlerFunc(s.serveRecord)); err != nil {
		return err
	}
	if err := s.serveClock(); err != nil {
		return err
	}
	if err := s.serveCluster(); err != nil {
		return err
	}
	if err := s.serveHosts(); err != nil {
		return err
	}
	s.Map.Credentials = s.credentials.byVariable()
	return s.Map.Write(filepath.Join(s.dir, MapFile))
}

func (s *Site) serveLOVEAndSlack() error {
	if err := s.serveAt(&s.Map.LOVE, "/love", s.loveHandler()); err != nil {
		return err
	}
	return s.serveAt(&s.Map.Slack, "/api/", s.slackHandler())
}

// serveAt serves a handler and stores the URL of its path in url.
func (s *Site) serveAt(url *string, path string, handler http.Handler) error {
	base, err := s.listen(handler, nil)
	if err != nil {
		return err
	}
	*url = base + path
	return nil
}

// listen serves a handler on its own port, over TLS if there is a certificate, and
// returns its base URL.
func (s *Site) listen(handler http.Handler, certificate *tls.Certificate) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	scheme := "http://"
	address := l.Addr().String()
	l = s.gated(l)
	if certificate != nil {
		scheme = "https://"
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	}
	s.serveOn(l, handler)
	return scheme + address, nil
}

// serveOn serves a handler until Close.
func (s *Site) serveOn(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }() // ends with Close
}

// gated puts a gate in front of a listener.
func (s *Site) gated(l net.Listener) *gate {
	g := newGate(l)
	s.gates = append(s.gates, g)
	return g
}

// Close stops the site's servers and the processes of its hosts.
func (s *Site) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	errs = append(errs, s.closeHosts())
	s.work.Wait()
	errs = append(errs, s.record.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the simulated site: %w", err)
	}
	return nil
}

// Record returns the effects so far, in order.
func (s *Site) Record() []Effect { return s.record.all() }

// Clock returns the site's clock.
func (s *Site) Clock() *clock.Clock { return s.clk }

// effect records an effect and begins the faults that were waiting for it.
func (s *Site) effect(e Effect) {
	s.record.add(e)
	s.moment(e.Kind)
}

func (s *Site) serveRecord(w http.ResponseWriter, _ *http.Request) {
	effects := s.Record()
	if effects == nil {
		effects = []Effect{}
	}
	writeJSON(w, http.StatusOK, effects)
}

// writeJSON answers a request. It ignores write errors, since the client notices a
// lost answer itself.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// spawn runs f in the background, without the lock, unless the site is closed.
func (s *Site) spawn(f func()) {
	if !s.closed {
		s.work.Go(f)
	}
}

// after runs f with the lock when d of the site's time has passed.
func (s *Site) after(d time.Duration, f func()) {
	s.spawn(func() {
		if s.clk.Sleep(s.ctx, d) != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	})
}

// draw returns a source of random numbers for a subject. It depends on the seed, the
// subject and the number of earlier draws for it, but not on the order in which
// things happen to run.
func (s *Site) draw(subject string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(subject))
	s.draws[subject]++
	return rand.New(rand.NewPCG(uint64(s.seed)^h.Sum64(), s.draws[subject]))
}

func (s *Site) between(subject string, low, high time.Duration) time.Duration {
	return low + time.Duration(s.draw(subject).Int64N(int64(high-low)+1))
}

func (s *Site) chance(subject string, p float64) bool { return s.draw(subject).Float64() < p }
