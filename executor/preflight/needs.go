package preflight

import (
	"slices"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/ledger"
	"github.com/lsst-ts/csu/executor/plan"
)

// needs is what the steps of some stages use.
type needs struct {
	love, efd, slack bool
	hosts            []remote.Target
	applications     []string // that are synced
	registry         *plan.Compatibility
	permissions      []cluster.Permission
}

func (n *needs) cluster() bool { return len(n.permissions) > 0 }

// needsOf reads what the named stages use; no name means all of them, and the
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
	switch a := s.Action.Doer.(type) {
	case *plan.Manual:
		n.efd = n.efd || len(a.CSCs) > 0
		if len(a.Applications) > 0 {
			n.onApplications(p, "get", "patch")
		}
	case *plan.Announce:
		n.slack = true
	case *plan.Script, *plan.SetState:
		n.love, n.efd = true, true
	case *plan.AwaitState:
		n.efd = true
	case *plan.SSH:
		n.efd = n.efd || len(a.Silent) > 0
		n.host(p, a.Host, a.User)
	case *plan.Reboot:
		n.host(p, a.Host, a.User)
	case *plan.Delete:
		n.deletion(a)
	case *plan.Sync:
		n.sync(p, a)
	case *plan.Compatibility:
		if n.registry == nil {
			n.registry = a
		}
		r := p.Targets.Registry
		n.allow(cluster.Permission{Verb: "list", Resource: "pods", Namespace: r.Namespace})
		// Over a websocket an exec is a GET for older API servers.
		n.allow(cluster.Permission{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: r.Namespace})
		n.allow(cluster.Permission{Verb: "get", Resource: "pods", Subresource: "exec", Namespace: r.Namespace})
	}
}

func (n *needs) host(p *plan.Plan, name, user string) {
	h, ok := p.Host(name)
	if !ok {
		return // the rules have said so
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

func (n *needs) deletion(a *plan.Delete) {
	if a.Objects == plan.Namespaces {
		for _, verb := range []string{"get", "list", "delete"} {
			n.allow(cluster.Permission{Verb: verb, Resource: "namespaces"})
		}
		return
	}
	for _, verb := range []string{"get", "list", "delete"} {
		n.allow(cluster.Permission{Verb: verb, Group: "batch", Resource: "jobs", Namespace: a.Namespace})
	}
	n.allow(cluster.Permission{Verb: "list", Resource: "pods", Namespace: a.Namespace})
}

// onApplications: a refresh patches, a sync updates.
func (n *needs) onApplications(p *plan.Plan, verbs ...string) {
	for _, verb := range verbs {
		n.allow(cluster.Permission{Verb: verb, Group: "argoproj.io", Resource: "applications", Namespace: p.Targets.ArgoCD.Namespace})
	}
}

func (n *needs) sync(p *plan.Plan, a *plan.Sync) {
	if !slices.Contains(n.applications, a.Application) {
		n.applications = append(n.applications, a.Application)
	}
	n.onApplications(p, "get", "patch", "update")
	for _, name := range a.CSCs {
		if c, ok := p.CSC(name); ok && c.Job != nil {
			n.allow(cluster.Permission{Verb: "get", Group: "batch", Resource: "jobs", Namespace: c.Job.Namespace})
			n.allow(cluster.Permission{Verb: "list", Resource: "pods", Namespace: c.Job.Namespace})
		}
	}
}

func (n *needs) allow(p cluster.Permission) {
	if !slices.Contains(n.permissions, p) {
		n.permissions = append(n.permissions, p)
	}
}

// components are the SAL components of the plan's table, each once.
func components(p *plan.Plan) []string {
	var names []string
	for i := range p.CSCs {
		if name, _, speaks := strings.Cut(p.CSCs[i].CSC, ":"); speaks && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
