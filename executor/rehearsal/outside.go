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

// Outside connects the model to the real parts of a site: its cluster, its EFD and
// the SSH servers of its hosts. The model reports to them through these functions.
// The cluster reports to the model with [Site.PodRuns] and [Site.PodGone].
//
// All functions must be set. Event and Ended are called with the model's lock. They
// must neither wait nor call the model.
type Outside struct {
	// Event is called with everything that the CSCs publish except heartbeats. The
	// values of the fields are of type int, float64, string or bool.
	Event func(measurement string, at time.Time, fields map[string]any)
	// Ended is called when the process of a CSC in the cluster has ended by
	// itself.
	Ended func(row *plan.CSC)
	// Power is called, without the lock, when a host goes down for a reboot and
	// when it comes up again.
	Power func(host string, on bool) error
	// Held is called, without the lock, with each script that starts to run and
	// each command that is called on a host. The script or command does not end
	// before the returned channel is closed, unless it is nil.
	Held func(e Effect) <-chan struct{}
	// Longest is the maximum duration of a command on a host. 0 means no limit.
	Longest time.Duration
}

// awaitHeld waits until the outside no longer holds a script or command. It is called
// without the lock.
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

// StartModel starts a simulated site with the real parts of o. The model serves LOVE
// and Slack, and creates the hosts' folders. The site's time starts at this machine's
// time. StartModel writes no site map.
func StartModel(ctx context.Context, cfg Config, o Outside) (*Site, error) {
	cfg.outside = &o
	site, err := newSite(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start the model of the site: %w", err)
	}
	if err = site.serveLOVEAndSlack(); err == nil {
		err = site.serveClock()
	}
	if err == nil {
		_, err = site.furnishHosts()
	}
	if err != nil {
		return nil, fmt.Errorf("start the model of the site: %w", errors.Join(err, site.Close()))
	}
	site.Map.Credentials = site.byVariable()
	return site, nil
}

// PodRan reports whether the pod of a CSC, such as "MTMount:0", runs before the
// upgrade. In a recovery, after an upgrade of the OS or of Kubernetes, the CSC need
// not be heard even then.
func (s *Site) PodRan(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[name]
	return c != nil && c.podRan
}

// PodRuns tells the model that the pod of a CSC has started to run. The CSC comes up
// some seconds later.
func (s *Site) PodRuns(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[name]
	if c == nil || c.component == "" {
		return
	}
	c.podChanges++
	began := c.podChanges
	s.after(s.between("come up "+name, 5*time.Second, 30*time.Second), func() {
		if c.podChanges == began {
			s.up(c)
		}
	})
}

// PodGone tells the model that the pod of a CSC no longer runs, and why.
func (s *Site) PodGone(name, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byName[name]; c != nil {
		c.podChanges++
		s.down(c, why)
	}
}

// Heartbeats calls yield with each heartbeat at or after from and before to.
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

// Login describes how to run the commands of a login session on a host, in the host's
// folder.
type Login struct {
	Home        string
	Environment []string          // the whole environment, as NAME=value
	Replace     map[string]string // paths on this machine, by the text in a command that they replace
	Longest     []string          // the keys of Replace, in the order to try them: the longest first
}

// Login returns the login session of an account on a host. If account is "", it is the
// operator's own account.
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
