// Package rehearsal is the simulated site: a model of one of the observatory's
// sites, derived from a plan's own tables, that answers on the loopback
// interface as LOVE, the EFD, Slack, a Kubernetes API server and SSH servers
// do.
//
// The words:
//
//   - the site's time runs faster than the real one, by the map's speed;
//     whatever takes time at a site takes that of the site;
//   - an effect is something that happened at the site; the record keeps all
//     of them, in order, whoever had them done;
//   - a stand-in is a small script that takes the place of a command on a host
//     and asks the site what it does;
//   - a fault is something that goes wrong, asked for by name; the catalogue
//     has all of them. It is there from the start, or begins at a moment, and
//     is over when its time has passed, when it has struck, or when a person
//     has seen to it;
//   - a gate is a way into the site that can be shut.
//
// The model is one set of values under one lock, Site.mu. Whatever reads or
// changes the model is called with it, except what waits for the site's time:
// that takes the lock itself, and says so.
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

// Config says which site to simulate and how.
type Config struct {
	Plan   *plan.Plan
	Digest string // of the plan
	// Dir is the site's working folder, made where it is missing: site map, ssh
	// config, keys, kubeconfig, the hosts' folders and the record.
	Dir   string
	Speed float64 // site seconds in a real second; 0 is 3600
	Seed  int64   // of what differs from one rehearsal to the next
	// Faults are names of the catalogue, with a subject where the fault has
	// one: "csc-stuck=MTMount:0"; see [Faults].
	Faults []string
	// Laptop stops the process of the executor, and has it go on, for the fault
	// in which the operator's laptop sleeps; nil where that can't be done.
	Laptop func(asleep bool) error

	outside *Outside // nil where all of the site is simulated
}

// DefaultSpeed makes an hour pass in a second.
const DefaultSpeed = 3600

// MapFile is the name of the site map in the site's folder, RecordFile that of
// the record of effects.
const (
	MapFile    = "site-map.json"
	RecordFile = "record.jsonl"
)

// Site is a simulated site that runs.
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

	// Map is the site map, as it stands in the site's folder.
	Map sitemap.Map

	mu     sync.Mutex
	closed bool
	draws  map[string]uint64 // how often each subject has been drawn for
	faults []*mishap
	laptop func(asleep bool) error
	// outside are the parts of the site that are real; nil for none.
	outside *Outside
	cscs    []*csc // in the plan's order
	byName  map[string]*csc
	queues  map[int]*queue
	efd     *efd
	love    love
	slack   slackChannels
	// turnedAway is how many messages a busy Slack has not taken.
	turnedAway int
	registry   registry
	cluster    *cluster
	hosts      map[string]*host // by name
	calls      *calls
	// temporary is a folder outside the site's own; "" for none.
	temporary string
	servers   []*http.Server
	gates     []*gate
	apiGate   *gate
}

// Start starts a simulated site and returns when everything answers. It runs
// until Close; when ctx ends, nothing moves in it any more.
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
		return nil, fmt.Errorf("its speed is %v: it must be at least 1", cfg.Speed)
	}
	date, err := time.Parse(time.DateOnly, cfg.Plan.Upgrade.Date)
	if err != nil {
		return nil, fmt.Errorf("the plan's date: %w", err)
	}
	known, err := chooseFaults(cfg.Plan, cfg.Faults)
	if err != nil {
		return nil, err
	}
	if cfg.Laptop == nil && slices.ContainsFunc(known, func(f *mishap) bool { return f.Name == laptopSleeps }) {
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

// serve starts the servers and writes the files that lead to them.
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

// serveAt serves a handler, and puts the URL of its path into the map.
func (s *Site) serveAt(url *string, path string, handler http.Handler) error {
	base, err := s.listen(handler, nil)
	if err != nil {
		return err
	}
	*url = base + path
	return nil
}

// listen serves a handler on a port of its own, over TLS if there is a
// certificate, and returns its address.
func (s *Site) listen(handler http.Handler, certificate *tls.Certificate) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	scheme := "http://"
	l = s.gated(l)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	if certificate != nil {
		scheme = "https://"
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }() // ends with Close
	return scheme + l.Addr().String(), nil
}

// gated puts a gate before a listener.
func (s *Site) gated(l net.Listener) *gate {
	g := newGate(l)
	s.gates = append(s.gates, g)
	return g
}

// Close ends the site: its servers, and the processes that it runs for its
// hosts.
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
		return fmt.Errorf("end the simulated site: %w", err)
	}
	return nil
}

// Record returns the effects so far, in order.
func (s *Site) Record() []Effect { return s.record.all() }

// Clock returns the site's clock.
func (s *Site) Clock() *clock.Clock { return s.clk }

// effect puts an effect into the record, and begins the faults that it is the
// moment of.
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

// writeJSON answers a request. An answer that can't be delivered is the
// client's to notice.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// spawn runs f without the lock until the site is closed.
func (s *Site) spawn(f func()) {
	if !s.closed {
		s.work.Go(f)
	}
}

// after runs f, with the lock, when d of the site's time has passed.
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

// draw returns the source of what is left to chance about a subject. It hangs
// on seed, subject and how often it was drawn for, not on the order in which
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
