package ground

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/rehearsal"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// MapFile is the name of the site map in the site's folder.
const MapFile = rehearsal.MapFile

// Site is the complete proving ground of a plan.
type Site struct {
	Cluster   *Cluster
	ArgoCD    *ArgoCD
	Registry  *Registry
	EFD       *InfluxDB
	Simulator *Simulator
	Hosts     map[string]*SSHD // by the plan's names
	Map       *sitemap.Map     // for csu
}

// StartSite starts all servers of a site, as it is before the plan's upgrade,
// and writes the files for reaching them below dir. The site's time starts at
// this machine's and runs [siteSpeed] times faster.
func StartSite(t testing.TB, p *plan.Plan, dir string) *Site {
	t.Helper()
	digest, err := plan.Digest(p)
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{Cluster: StartCluster(t), EFD: StartInfluxDB(t, true), Hosts: map[string]*SSHD{}}
	s.Cluster.AddNamespace(t, argoNamespace, nil)
	s.Registry = StartRegistry(t, s.Cluster, p.Targets.Registry)
	s.ArgoCD = StartArgoCD(t, s.Cluster, p)
	kubeconfig, err := os.ReadFile(s.Cluster.Operator(t, p))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "kubeconfig"), kubeconfig)
	s.Simulator = startSimulator(t, s.Cluster, s.EFD, rehearsal.Config{Plan: p, Digest: digest, Dir: dir, Speed: siteSpeed}, s.power)
	s.startHosts(t, p, dir)
	m := s.Simulator.Model.Map
	m.EFD, m.SSHConfig, m.Kubeconfig = s.Simulator.EFDURL, "ssh_config", "kubeconfig"
	m.Credentials = maps.Clone(m.Credentials)
	m.Credentials["CSU_EFD_USERNAME"], m.Credentials["CSU_EFD_PASSWORD"] = s.EFD.Username, s.EFD.Password
	s.Map = &m
	if err := m.Write(filepath.Join(dir, MapFile)); err != nil {
		t.Fatal(err)
	}
	return s
}

// power switches the SSH server of a host off or on.
func (s *Site) power(host string, on bool) error {
	if on {
		return s.Hosts[host].PowerOn()
	}
	return s.Hosts[host].PowerOff()
}

// startHosts starts a server for each host of the plan, with its own keys,
// whose sessions run in the host's folder. csu reaches it with the client options
// of a Rubin host: only the directory of SSSD knows the host keys.
func (s *Site) startHosts(t testing.TB, p *plan.Plan, dir string) {
	t.Helper()
	known := filepath.Join(dir, "known_hosts") // the operator's own, which is absent
	var keys, config strings.Builder
	for _, h := range p.Hosts {
		logins := map[string]rehearsal.Login{}
		var accounts []string // to log in to, besides the operator's own
		for _, u := range h.Users {
			if u.Via == "login" {
				accounts = append(accounts, u.Name)
			}
		}
		for _, account := range append([]string{""}, accounts...) {
			login, err := s.Simulator.Model.Login(h.Name, account)
			if err != nil {
				t.Fatal(err)
			}
			logins[account] = login
		}
		forced := "ForceCommand /bin/sh " + writeLogin(t, t.TempDir(), logins)
		host := StartSSHD(t, SSHDOptions{Config: []string{forced}, Accounts: accounts})
		s.Hosts[h.Name] = host
		keys.WriteString(host.KnownHosts())
		alias := h.Name
		if h.Address != h.Name {
			alias = fmt.Sprintf("%s %s", h.Name, h.Address)
		}
		config.WriteString(host.ConfigBlock(alias, known))
	}
	config.WriteString(writeSSSD(t, dir, keys.String()))
	writeFile(t, filepath.Join(dir, "ssh_config"), []byte(config.String()))
}
