package preflight

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
)

// needs is what the steps of some stages need.
type needs struct {
	love, efd, slack bool
	hosts            []remote.Target
	applications     []string // to be synced
	level            string   // that the schema registry must have at first; "" if it is not used
	permissions      []cluster.Permission
}

func (n *needs) cluster() bool { return len(n.permissions) > 0 }

// needsOf returns what the named stages need; without names, all stages and the
// final steps.
func needsOf(p *plan.Plan, stages []string) needs {
	n := needs{}
	for i := range p.Stages {
		if len(stages) > 0 && !slices.Contains(stages, p.Stages[i].ID) {
			continue
		}
		for j := range p.Stages[i].Steps {
			n.step(p, &p.Stages[i].Steps[j])
		}
	}
	if len(stages) == 0 {
		for i := range p.Final {
			n.step(p, &p.Final[i])
		}
	}
	if n.cluster() {
		for _, verb := range []string{"get", "update"} {
			n.allow(cluster.Permission{Verb: verb, Resource: "configmaps", Namespace: ledger.Namespace, Name: p.LedgerName()})
		}
	}
	return n
}

func (n *needs) step(p *plan.Plan, s *plan.Step) {
	e := s.Effects(p)
	n.love = n.love || e.LOVE
	n.efd = n.efd || e.EFD
	n.slack = n.slack || e.Posts != ""
	n.host(p, e.Host, e.User)
	if e.Syncs != "" && !slices.Contains(n.applications, e.Syncs) {
		n.applications = append(n.applications, e.Syncs)
	}
	if e.Level != "" && n.level == "" {
		n.level = e.LevelBefore
	}
	for _, r := range e.Requests {
		n.allow(cluster.Permission(r))
	}
}

func (n *needs) host(p *plan.Plan, name, user string) {
	h, ok := p.Host(name)
	if !ok {
		return // the rules have reported it
	}
	u, ok := h.User(user)
	if !ok {
		return
	}
	t := remote.Target{Host: h.Name, Address: h.Address, User: u.Name, Via: u.Via}
	if !slices.Contains(n.hosts, t) {
		n.hosts = append(n.hosts, t)
	}
}

func (n *needs) allow(p cluster.Permission) {
	if !slices.Contains(n.permissions, p) {
		n.permissions = append(n.permissions, p)
	}
}

// components returns the SAL components of the plan's table, each once.
func components(p *plan.Plan) []string {
	var names []string
	for i := range p.CSCs {
		if name, _, speaks := strings.Cut(p.CSCs[i].CSC, ":"); speaks && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
