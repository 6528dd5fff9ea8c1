// Package sitemap reads and writes the file by which a simulated site, or the
// proving ground, gives csu the addresses of its servers. csu then talks to
// those instead of the plan's targets, on the loopback interface only.
package sitemap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/plan"
)

// Format is the version of the file's format.
const Format = "csu-site-map/1"

// Map says where a site's stand-ins are. Paths are absolute or relative to the
// map's folder.
type Map struct {
	Format string `json:"format"`
	// Digest is the digest of the plan that the site was made from.
	Digest string `json:"digest"`
	// Epoch is the site's time at the real time Real. It runs Speed times
	// faster from there.
	Epoch time.Time `json:"epoch"`
	Real  time.Time `json:"real"`
	Speed float64   `json:"speed"`

	LOVE       string `json:"love"`       // base URLs, in place of the plan's
	EFD        string `json:"efd"`        //
	Slack      string `json:"slack"`      // of Slack's API
	SSHConfig  string `json:"sshConfig"`  // in place of ~/.ssh/config; names known_hosts and key
	Kubeconfig string `json:"kubeconfig"` // with the plan's context names
	// Clock is where a rehearsal tells the rate of its clock, and where csu has it
	// run at real speed while a question is open. The proving ground may have none.
	Clock string `json:"clock,omitempty"`
	// Record is where a rehearsal shows its record of effects. The proving
	// ground has none.
	Record string `json:"record,omitempty"`
	// Credentials are the stand-ins' own, by the names of csu's environment
	// variables. They are worthless anywhere else.
	Credentials map[string]string `json:"credentials,omitempty"`

	// Dir is the map's folder, which also has the journal of the rehearsed run.
	Dir string `json:"-"`
}

// Read reads the site map in a file, makes its paths absolute and checks that
// every address is a loopback one. Any error says that the file is unusable.
func Read(name string) (*Map, error) {
	m, err := read(name)
	if err != nil {
		return nil, exit.Unusable("give the site-map.json that csu rehearse --serve has written into its folder", "%w", err)
	}
	return m, nil
}

func read(name string) (*Map, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read site map: %w", err)
	}
	var m Map
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("read site map %q: %w", name, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read site map %q: unexpected data after its end", name)
	}
	if m.Format != Format {
		return nil, fmt.Errorf("read site map %q: the format is %q, but this csu supports only %q", name, m.Format, Format)
	}
	if m.Speed < 1 || m.Epoch.IsZero() || m.Real.IsZero() {
		return nil, fmt.Errorf("read site map %q: want epoch, real and a speed of at least 1", name)
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("read site map %q: %w", name, err)
	}
	m.Dir = dir
	for _, p := range []*string{&m.SSHConfig, &m.Kubeconfig} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	addresses := m.Systems()
	addresses["record"], addresses["clock"] = &m.Record, &m.Clock
	for field, address := range addresses {
		if *address == "" {
			continue
		}
		if err := Loopback(*address); err != nil {
			return nil, fmt.Errorf("read site map %q: %s: %w", name, field, err)
		}
	}
	return &m, nil
}

// Systems returns the addresses of the systems that are spoken to over HTTP, by the map's
// fields.
func (m *Map) Systems() map[string]*string {
	return map[string]*string{"love": &m.LOVE, "efd": &m.EFD, "slack": &m.Slack}
}

// Write writes the map to its folder under the file's name, whole or not at
// all. Only its owner may read it, since it has credentials.
func (m *Map) Write(name string) error {
	m.Format = Format
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write site map: %w", err)
	}
	if err := plan.WriteFile(name, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write site map: %w", err)
	}
	return nil
}

// Loopback checks that an address, a URL or host:port, is on the loopback
// interface: a rehearsal must not be able to reach the real site.
func Loopback(address string) error {
	host := address
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil {
			return fmt.Errorf("address %q: %w", address, err)
		}
		host = u.Hostname()
	} else if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	if ip := net.ParseIP(host); (ip != nil && ip.IsLoopback()) || host == "localhost" {
		return nil
	}
	return fmt.Errorf("the address %q is not on the loopback interface: a site map is for simulated sites only", address)
}
