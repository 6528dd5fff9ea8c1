package procedure

import (
	"maps"
	"slices"

	"github.com/lsst-ts/csu/compiler/internal/model"
	"github.com/lsst-ts/csu/executor/plan"
)

// Targets returns the systems of a site as a plan has them.
func Targets(s *model.Site) plan.Targets {
	t := s.Targets
	out := plan.Targets{
		Kubernetes: plan.Kubernetes{Context: t.Context, Server: t.Server, Kubeconfig: t.Kubeconfig},
		ArgoCD:     plan.ArgoCD{Namespace: t.ArgoCDNamespace, Project: t.ArgoCDProject, URL: t.ArgoCDURL, AppOfApps: t.AppOfApps},
		LOVE:       plan.LOVE{URL: t.LOVEURL, View: t.LOVEView},
		EFD:        plan.EFD{URL: t.EFDURL, Database: t.EFDDatabase, Lag: plan.Duration(t.EFDLag)},
		Registry:   plan.Registry{Namespace: t.RegistryNamespace, Selector: t.RegistrySelector, Container: t.RegistryContainer},
		Slack:      plan.Slack{Channel: t.SlackChannel},
	}
	for _, p := range t.Pages {
		out.Pages = append(out.Pages, plan.Page{Title: p.Title, URL: p.URL})
	}
	return out
}

func facts(s *model.Site, typ string) plan.Facts {
	out := plan.Facts{
		Domain: s.Domain, FQDN: s.FQDN, ImageRegistry: s.ImageRegistry, CSCs: len(s.CSCs),
		TimeZone: s.TimeZone, TestStand: s.TestStand, TrackingOnly: s.TrackingOnly,
		EnableIfNecessary: s.States.IfNecessary, EnableAll: s.States.EnableAll,
		Approvals: Approvals(s.Approvals, typ),
	}
	if b, ok := s.Begins[typ]; ok {
		out.Begins = &plan.Begins{At: b.At, Only: b.Only, Never: b.Never}
	}
	if m2 := s.ClosedLoop; m2 != nil {
		out.ClosedLoop = &plan.ClosedLoop{CSC: m2.CSC, Mirror: m2.Mirror, Machine: m2.Machine}
	}
	for _, t := range s.Testing {
		out.Telescopes = append(out.Telescopes, plan.Telescope{Name: t.Name, Consists: t.Telescope})
	}
	return out
}

// Approvals returns who must approve an upgrade of the type by a site's rules; nil if none
// is needed.
func Approvals(rules map[string]model.Approvals, typ string) *plan.Approvals {
	a, ok := rules[typ]
	if !ok {
		return nil
	}
	out := &plan.Approvals{NotByAuthor: a.NotByAuthor}
	for _, role := range slices.Sorted(maps.Keys(a.Roles)) {
		out.Roles = append(out.Roles, plan.Need{Role: role, Count: a.Roles[role]})
	}
	return out
}

// tables fills the plan's tables: every CSC of the site, and the hosts that steps
// name, that CSCs run on, or that this type of upgrade covers. The rules report a
// host that the plan should touch but does not.
func (b *builder) tables() {
	hosts := map[string]bool{}
	for i := range b.site.CSCs {
		c := &b.site.CSCs[i]
		b.plan.CSCs = append(b.plan.CSCs, b.row(c))
		hosts[c.Host] = true
	}
	for _, h := range b.hosts {
		hosts[h.Name] = hosts[h.Name] || len(h.Services) > 0 || h.Checkout != nil || plan.Type(b.req.Type) == plan.Recovery
	}
	for s := range b.plan.AllSteps() {
		hosts[s.Effects(b.plan).Host] = true
	}
	for i := range b.site.Hosts {
		h := &b.site.Hosts[i]
		if !hosts[h.Name] {
			continue
		}
		row := plan.Host{
			Name: h.Name, Address: h.Address, Role: plan.Role(h.Role), Principal: h.Principal, Users: []plan.User{},
			Checkout: h.Checkout != nil, Restart: slices.Contains(b.site.Recovery.Restart, h.Name), Reboot: b.reboots(h.Name),
		}
		for _, u := range h.Users {
			row.Users = append(row.Users, plan.User{Name: u.Name, Via: u.Via})
		}
		b.plan.Hosts = append(b.plan.Hosts, row)
	}
	b.plan.Shared = b.shared()
	b.doubts()
	b.plan.Facts.Doubts = len(b.plan.Doubts)
}

// shared returns what the pods of several CSCs name, in the order of the applications.
func (b *builder) shared() []plan.Resource {
	var out []plan.Resource
	for _, a := range b.site.Applications {
		out = append(out, inNamespace(b.site.Shared[a.Name], a.Namespace)...)
	}
	return out
}

// inNamespace returns resources of an inventory as a plan has them.
func inNamespace(resources []model.Resource, namespace string) []plan.Resource {
	var out []plan.Resource
	for _, r := range resources {
		out = append(out, plan.Resource{Group: r.Group, Kind: r.Kind, Namespace: namespace, Name: r.Name})
	}
	return out
}

func (b *builder) job(c *model.CSC) *plan.Job {
	return &plan.Job{
		Application: c.Application, Namespace: b.namespace(c), Name: c.Job,
		Label: c.Label, CSCName: c.CSCName, CSCClass: c.CSCClass,
		Resources: inNamespace(c.Resources, b.namespace(c)),
	}
}

func (b *builder) row(c *model.CSC) plan.CSC {
	row := plan.CSC{CSC: c.Name(), Host: c.Host, Bridge: c.Bridge, Principal: c.Principal}
	if c.Job != "" {
		row.Job = b.job(c)
		row.Before, row.Image = b.images(c)
	}
	if k, ok := b.protected(c.Name()); ok {
		row.Keeps = k.State
	}
	if c.Component != "" {
		row.ComesUp = comesUp(c)
		row.Expect = b.expected(c)
	}
	return row
}

// comesUp returns a CSC's state after a start (P37). A bridge comes up in
// OFFLINE_AVAILABLE (P34).
func comesUp(c *model.CSC) string {
	if c.Bridge {
		return plan.OfflineAvailable
	}
	return c.ComesUp
}

// expected returns a CSC's state at the end of the upgrade.
func (b *builder) expected(c *model.CSC) string {
	if k, ok := b.protected(c.Name()); ok {
		return k.State
	}
	if b.removed(c.Name()) {
		return plan.Offline
	}
	if state := b.expect[c.Name()]; state != "" {
		return state
	}
	return comesUp(c)
}

func (b *builder) namespace(c *model.CSC) string {
	if a, ok := b.site.Application(c.Application); ok {
		return a.Namespace
	}
	return c.Application
}

// images returns the images that the CSC runs before the upgrade and after it; "" where
// it runs none, and before also where it is the same. A new cycle does not
// inherit the revisions of the old one, but a CSC that is pinned stays pinned: it begins
// the cycle at revision 0, which charts/csc renders as .000 (lsst-sqre/phalanx, helpers.makeImage in
// charts/csc/templates/_helpers.tpl at 650a0ef2c; the merges that started the cycles c0043 and
// c0044, c0d2cfb1f and eaf7a126c, pin 99 and 100 CSCs of the summit at 0). One that is not
// pinned, as at the test stands, gets the bare cycle.
func (b *builder) images(c *model.CSC) (before, after string) {
	image := func(c *model.CSC, cycle string) string {
		return b.site.ImageRegistry + "/" + c.Image + ":" + c.Tag(cycle)
	}
	if old, ok := b.before[c.Name()]; ok {
		before = image(&old, b.site.Cycle)
	}
	if b.removed(c.Name()) {
		return before, ""
	}
	now := *c
	given := slices.ContainsFunc(b.req.Revisions, func(r model.Change) bool { return r.CSC == c.Name() })
	if b.req.Cycle != b.site.Cycle && !given {
		now.Revision = 0
	}
	if after = image(&now, b.req.Cycle); before == after {
		before = ""
	}
	return before, after
}

// cscsOn returns the CSCs of the services on a host.
func cscsOn(h *model.Host) []string {
	var out []string
	for _, s := range h.Services {
		out = union(out, s.CSCs)
	}
	slices.Sort(out)
	return out
}
