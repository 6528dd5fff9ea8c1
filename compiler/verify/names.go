package verify

import (
	"slices"
	"time"
	_ "time/tzdata" // the same rule on any machine

	"github.com/lsst-ts/csu/executor/plan"
)

func nameRules() []Rule {
	return []Rule{
		{"known-names", []string{"P1", "P20"},
			"Every host, account, CSC, namespace, application, channel and principal that a step names is in the plan's tables and targets: a misspelled name would do nothing, or something else.", knownNames},
		{"targets", []string{"P1", "P20"},
			"The plan has all systems of the site that it talks to: the cluster by context and API server, the others by address, all of them on hosts of the site. It also has the site's time zone, and the role of each host, where no one logs in as root.", completeTargets},
	}
}

// names are what steps may name.
type names struct {
	cscs, hosts, applications, namespaces, principals []string
}

func (v *view) names() names {
	n := names{applications: []string{v.Targets.ArgoCD.AppOfApps, nublado, sasquatch, love}}
	add := func(list *[]string, s string) {
		if s != "" && !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for i := range v.CSCs {
		c := &v.CSCs[i]
		n.cscs = append(n.cscs, c.CSC)
		add(&n.principals, c.Principal)
		if c.Job != nil {
			add(&n.applications, c.Job.Application)
			add(&n.namespaces, c.Job.Namespace)
		}
	}
	for _, a := range v.Upgrade.Applications {
		add(&n.applications, a)
	}
	for _, h := range v.Hosts {
		n.hosts = append(n.hosts, h.Name)
		add(&n.principals, h.Principal)
	}
	return n
}

func knownNames(v *view, f *findings) {
	known := v.names()
	for i := range v.CSCs {
		c := &v.CSCs[i]
		if c.Host != "" && !slices.Contains(known.hosts, c.Host) {
			f.plan("recompile the plan", "%s runs on the host %q, which is not in the plan's table", c.CSC, c.Host)
		}
		if c.Bridge && c.Host == "" {
			f.plan("recompile the plan", "%s is a camera bridge without a host", c.CSC)
		}
	}
	for i := range v.Hosts {
		name := v.Hosts[i].Name
		if len(v.On(name)) == 0 && !v.any(func(n *node) bool { return n.touches(name) }) {
			f.plan("recompile the plan", "the table has the host %q, which runs no CSC and which no step touches: a step is missing", name)
		}
	}
	v.requestNames(f, known)
	for i := range v.Stages {
		for _, p := range v.Stages[i].Principals {
			if !slices.Contains(known.principals, p) {
				f.stage(&v.Stages[i], "use a principal in the tables", "names the principal %q, which is not in the plan's tables%s", p, plan.DidYouMean(p, known.principals))
			}
		}
	}
	for _, n := range v.steps {
		c := nameChecker{v, f, n, known}
		for _, p := range n.Principals {
			c.in(p, "principal", known.principals)
		}
		c.action()
	}
}

func (v *view) requestNames(f *findings, known names) {
	check := func(name, what string, list []string) {
		if !slices.Contains(list, name) {
			f.plan("correct the request and recompile the plan", "the request names the %s %q, which is not in the plan's tables%s", what, name, plan.DidYouMean(name, list))
		}
	}
	u := &v.Upgrade
	for _, c := range slices.Concat(u.Changed, u.Revisions) {
		check(c.CSC, "CSC", known.cscs)
	}
	for _, c := range slices.Concat(u.Added, u.Removed) {
		check(c, "CSC", known.cscs)
	}
	for _, h := range v.Upgrade.Hosts {
		check(h, "host", known.hosts)
	}
	named := len(u.Changed) + len(u.Added) + len(u.Removed) + len(u.Applications) + len(u.Hosts)
	if v.Type != plan.Incremental && named > 0 {
		f.plan("correct the request and recompile the plan", "changed, added, removed, applications and hosts are for an incremental upgrade; this is one of type %q", v.Type)
	}
	if v.Type == plan.Incremental && named == 0 {
		f.plan("correct the request and recompile the plan", "an incremental upgrade must name what changes, but this one names nothing")
	}
}

// nameChecker checks the names in one step.
type nameChecker struct {
	v     *view
	f     *findings
	n     *node
	known names
}

func (c *nameChecker) in(name, what string, list []string) {
	if !slices.Contains(list, name) {
		c.f.step(c.n, "use a name in the plan's tables and targets", "names the %s %q, which is not in the plan%s", what, name, plan.DidYouMean(name, list))
	}
}

// cscs checks names of CSCs; if spoken is true, they must speak SAL.
func (c *nameChecker) cscs(list []string, spoken bool) {
	seen := make(map[string]bool, len(list))
	for _, name := range list {
		if row, ok := c.v.CSC(name); !ok {
			c.in(name, "CSC", c.known.cscs)
		} else if spoken && !row.Speaks() {
			c.f.step(c.n, "remove it", "%q does not speak SAL: it has no summary state", name)
		}
		if seen[name] {
			c.f.step(c.n, "name it once", "names %s twice", name)
		}
		seen[name] = true
	}
}

// components checks names of SAL components, as the shutdown script uses them.
func (c *nameChecker) components(list []string) {
	var known []string
	for i := range c.v.CSCs {
		if row := &c.v.CSCs[i]; row.Speaks() {
			known = append(known, plan.Component(row.CSC))
		}
	}
	seen := map[string]bool{}
	for _, name := range list {
		c.in(name, "component", known)
		if seen[name] {
			c.f.step(c.n, "name it once", "names %s twice", name)
		}
		seen[name] = true
	}
}

func (c *nameChecker) account(host, user string) {
	c.in(host, "host", c.known.hosts)
	if h, ok := c.v.Host(host); ok {
		var users []string
		for _, u := range h.Users {
			users = append(users, u.Name)
		}
		if !slices.Contains(users, user) {
			c.f.step(c.n, "use an account of the host", "runs as %q, which is not an account of the host %q%s", user, host, plan.DidYouMean(user, users))
		}
	}
}

// mentions are the names in an action.
type mentions struct {
	cscs, spoken             []string // CSCs, and those that must speak SAL
	components               []string
	applications, namespaces []string
	host, user               string
	channel, branch          string
}

// mentioned has what each kind names.
type mentioned struct{}

func (mentioned) Manual(a *plan.Manual) mentions {
	return mentions{cscs: a.CSCs, applications: a.Applications}
}
func (mentioned) Announce(a *plan.Announce) mentions { return mentions{channel: a.Channel} }
func (mentioned) Script(a *plan.Script) mentions {
	s, _, _ := a.Shutdown() // the rule shutdown-script reports the error
	return mentions{components: slices.Concat(s.StartWith, s.Ignore, s.EndWith)}
}
func (mentioned) SetState(a *plan.SetState) mentions { return mentions{spoken: a.CSCs} }
func (mentioned) AwaitState(a *plan.AwaitState) (m mentions) {
	for _, w := range a.Want {
		m.spoken = append(m.spoken, w.CSCs...)
	}
	return m
}
func (mentioned) SSH(a *plan.SSH) mentions {
	return mentions{host: a.Host, user: a.User, spoken: a.Silent}
}
func (mentioned) Reboot(a *plan.Reboot) mentions { return mentions{host: a.Host, user: a.User} }
func (mentioned) Delete(a *plan.Delete) mentions {
	m := mentions{cscs: a.CSCs}
	if a.Objects == plan.Jobs {
		m.namespaces = []string{a.Namespace}
	}
	return m
}
func (mentioned) Sync(a *plan.Sync) mentions {
	m := mentions{applications: []string{a.Application}, cscs: a.CSCs, branch: a.Revision}
	for _, r := range a.Resources {
		m.namespaces = append(m.namespaces, r.Namespace)
	}
	return m
}
func (mentioned) Compatibility(*plan.Compatibility) mentions { return mentions{} }

func (c *nameChecker) action() {
	m := plan.Visit(c.n.Action.Parameters, plan.Visitor[mentions](mentioned{}))
	if m.host != "" || m.user != "" {
		c.account(m.host, m.user)
	}
	if m.channel != "" {
		c.in(m.channel, "channel", []string{c.v.Targets.Slack.Channel})
	}
	for _, app := range m.applications {
		c.in(app, "application", c.known.applications)
	}
	for _, namespace := range m.namespaces {
		c.in(namespace, "namespace", c.known.namespaces)
	}
	c.components(m.components)
	for _, w := range c.n.does.Sees {
		for _, name := range w.CSCs {
			if row, ok := c.v.CSC(name); ok && !row.Bridge && slices.Contains(w.States, plan.OfflineAvailable) {
				c.f.step(c.n, "await another state", "%s is not a camera bridge and cannot be in OFFLINE_AVAILABLE", name)
			}
		}
	}
	c.cscs(m.cscs, false)
	c.cscs(m.spoken, true)
	if want := c.v.branch(); m.branch != "" && m.branch != want {
		c.f.step(c.n, "set revision to "+want, "follows the branch %q, but the request's Phalanx branch is %q", m.branch, want)
	}
}

// branch returns the branch of Phalanx that Argo CD follows.
func (v *view) branch() string {
	for _, b := range v.Upgrade.Branches {
		if b.Repository == "phalanx" {
			return b.Branch
		}
	}
	return "main"
}

func completeTargets(v *view, f *findings) {
	t := &v.Targets
	for _, x := range []struct{ name, value string }{
		{"kubernetes.context", t.Kubernetes.Context},
		{"argocd.namespace", t.ArgoCD.Namespace},
		{"argocd.project", t.ArgoCD.Project},
		{"argocd.appOfApps", t.ArgoCD.AppOfApps},
		{"efd.database", t.EFD.Database},
		{"registry.namespace", t.Registry.Namespace},
	} {
		if !plainTag.MatchString(x.value) {
			f.plan("recompile the plan", "the target %s is %q, not a name", x.name, x.value)
		}
	}
	ownAddresses(v, f)
	if _, err := time.LoadLocation(v.Facts.TimeZone); err != nil || v.Facts.TimeZone == "" {
		f.plan("recompile the plan", "unknown time zone %q", v.Facts.TimeZone)
	}
	if !podLabel.MatchString(t.Registry.Selector) {
		f.plan("recompile the plan", "the target registry.selector is %q, which does not select by a label's value", t.Registry.Selector)
	}
	if !channel.MatchString(t.Slack.Channel) {
		f.plan("recompile the plan", "the target slack.channel is %q, not a channel such as #summit-announce", t.Slack.Channel)
	}
	if t.EFD.Lag <= 0 || time.Duration(t.EFD.Lag) > 10*time.Minute {
		f.plan("recompile the plan", "the target efd.lag is %s, want a positive duration of 10m at most", t.EFD.Lag)
	}
	for _, h := range v.Hosts {
		if h.Role == "" {
			f.plan("recompile the plan", "the host %q has no role", h.Name)
		}
		if h.Address == "" || len(h.Users) == 0 {
			f.plan("recompile the plan", "the host %q has no address or no account", h.Name)
		}
	}
}
