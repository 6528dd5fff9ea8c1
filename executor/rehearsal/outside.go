package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
)

// Outside are the parts of a site that are real: its cluster, its EFD and the
// SSH servers of its hosts. The model tells them what it does, and is told by
// [Site.PodRuns] and [Site.PodGone] what the cluster does.
//
// All functions must be set. Event and Ended are called with the model's lock, and must neither wait nor
// call the model.
type Outside struct {
	// Event is called with what the CSCs publish, heartbeats apart. The values of
	// the fields are of type int, float64, string or bool.
	Event func(measurement string, at time.Time, fields map[string]any)
	// Ended is called when the process of a CSC in the cluster has ended by
	// itself.
	Ended func(row *plan.CSC)
	// Power is called, without the lock, when a host goes down for a reboot and
	// when it comes up again.
	Power func(host string, on bool) error
	// Held is called, without the lock, with each script that begins to run and
	// each command of a host that was called. What it returns is waited for before
	// that ends; nil is not waited for.
	Held func(e Effect) <-chan struct{}
	// Longest is how long a command of a host takes at most; 0 is as long as
	// usual.
	Longest time.Duration
}

// awaitHeld waits for those outside who hold what has begun; without the lock.
func (s *Site) awaitHeld(ctx context.Context, e Effect) {
	if s.outside == nil {
		return
	}
	if held := s.outside.Held(e); held != nil {
		select {
		case <-held:
		case <-ctx.Done():
		}
	}
}

// StartModel starts a simulated site of which the parts of o are real: the
// model serves LOVE and Slack, and makes the hosts' folders. Its time begins
// with this machine's; it writes no site map.
func StartModel(ctx context.Context, cfg Config, o Outside) (*Site, error) {
	cfg.outside = &o
	site, err := newSite(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start the model of the site: %w", err)
	}
	err = site.serveLOVEAndSlack()
	if err == nil {
		_, err = site.furnishHosts()
	}
	if err != nil {
		return nil, fmt.Errorf("start the model of the site: %w", errors.Join(err, site.Close()))
	}
	site.Map.Credentials = site.byVariable()
	return site, nil
}

// PodRan tells whether the pod of a CSC, such as "MTMount:0", runs before the
// upgrade. After an upgrade of the OS or of Kubernetes that need not mean that
// the CSC is heard.
func (s *Site) PodRan(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[name]
	return c != nil && c.podRan
}

// PodRuns says that the pod of a CSC has begun to run: the CSC comes up in it
// some seconds later.
func (s *Site) PodRuns(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[name]
	if c == nil || c.component == "" {
		return
	}
	c.pods++
	began := c.pods
	s.after(s.between("come up "+name, 5*time.Second, 30*time.Second), func() {
		if c.pods == began {
			s.up(c)
		}
	})
}

// PodGone says that the pod of a CSC runs no longer, and why.
func (s *Site) PodGone(name, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byName[name]; c != nil {
		c.pods++
		s.down(c, why)
	}
}

// Heartbeats calls yield with each heartbeat that came from one time on until
// before another.
func (s *Site) Heartbeats(from, to time.Time, yield func(measurement string, salIndex int, at time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cscs {
		if c.component == "" {
			continue
		}
		for at := range c.heartbeats(from, to.Add(-1), false) {
			yield(measurement(c.component, "logevent_heartbeat"), c.index, at)
		}
	}
}

// Login is what stands for a host's login shell: it carries a command out in the
// host's folder.
type Login struct {
	Home        string
	Environment []string          // NAME=value, all that a command finds
	Replace     map[string]string // parts of a command that become others: files of this machine
	Longest     []string          // the keys of Replace, in the order in which they are looked for
}

// Login returns what a session on a host has: of one of its accounts, or of the
// operator's own where account is "".
func (s *Site) Login(host, account string) (Login, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[host]
	if h == nil {
		return Login{}, fmt.Errorf("the plan has no host %q", host)
	}
	account = cmp.Or(account, ownAccount)
	home := h.home(account)
	if home == "" {
		return Login{}, fmt.Errorf("host %q has no account %q", host, account)
	}
	l := Login{Home: home, Environment: h.environment(account), Replace: map[string]string{}}
	for pair := range slices.Chunk(h.replacements(), 2) {
		l.Replace[pair[0]] = pair[1]
	}
	l.Longest = slices.SortedFunc(maps.Keys(l.Replace), func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return l, nil
}
