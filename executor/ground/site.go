package ground

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// Site is the whole proving ground of a plan.
type Site struct {
	Cluster  *Cluster
	ArgoCD   *ArgoCD
	Registry *Registry
	EFD      *InfluxDB
	Hosts    map[string]*SSHD // by the plan's names
	// Map leads csu to it. It names no LOVE and no Slack: those that none of us
	// wrote can't be run here.
	Map *sitemap.Map
}

// StartSite starts all servers of a site, as it is before the plan's upgrade,
// with its time that of this machine, and writes what leads to them below dir.
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
	now := time.Now().UTC()
	s.Map = &sitemap.Map{
		Digest: digest, Epoch: now, Real: now, Speed: 1,
		EFD: s.EFD.URL, SSHConfig: "ssh_config", Kubeconfig: "kubeconfig",
		Credentials: map[string]string{"CSU_EFD_USERNAME": s.EFD.Username, "CSU_EFD_PASSWORD": s.EFD.Password},
		Dir:         dir,
	}
	s.startHosts(t, p, dir)
	kubeconfig, err := os.ReadFile(s.Cluster.Operator(t, p.Targets))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "kubeconfig"), kubeconfig)
	if err := s.Map.Write(filepath.Join(dir, "site-map.json")); err != nil {
		t.Fatal(err)
	}
	return s
}

// startHosts starts a server for each host of the plan, with keys of its own.
func (s *Site) startHosts(t testing.TB, p *plan.Plan, dir string) {
	t.Helper()
	known := filepath.Join(dir, "known_hosts")
	var keys, config strings.Builder
	for _, h := range p.Hosts {
		host := StartSSHD(t, SSHDOptions{})
		s.Hosts[h.Name] = host
		keys.WriteString(host.KnownHosts())
		alias := h.Name
		if h.Address != h.Name {
			alias = fmt.Sprintf("%s %s", h.Name, h.Address)
		}
		config.WriteString(host.ConfigBlock(alias, known))
	}
	writeFile(t, known, []byte(keys.String()))
	writeFile(t, filepath.Join(dir, "ssh_config"), []byte(config.String()))
}
