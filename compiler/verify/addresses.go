package verify

import (
	"net/url"
	"regexp"
	"strings"
)

// addressIn finds the addresses in a text.
var addressIn = regexp.MustCompile(`\b[a-z]+://[^\s"'()<>]+`)

// addresses are those that the plan's targets and pages have.
func (v *view) addresses() []string {
	t := &v.Targets
	out := []string{t.Kubernetes.Server, t.ArgoCD.URL, t.LOVE.URL, t.EFD.URL}
	for _, p := range t.Pages {
		out = append(out, p.URL)
	}
	return out
}

var (
	hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	account  = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	plainTag = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	podLabel = regexp.MustCompile(`^[a-z0-9./-]+=[A-Za-z0-9._-]+$`)
	channel  = regexp.MustCompile(`^#[a-z0-9_-]+$`)
)

// own reports whether a host is the site's: its Phalanx environment, or a machine of
// its domain.
func (v *view) own(host string) bool {
	return hostName.MatchString(host) && (host == v.Facts.FQDN || host == v.Facts.Domain || v.Facts.Domain != "" && strings.HasSuffix(host, "."+v.Facts.Domain))
}

// ownAddresses requires every address of the plan to be on a host of the site (P1,
// P20), without credentials or queries, and no two systems to have the same one.
func ownAddresses(v *view, f *findings) {
	for _, x := range []struct{ name, value string }{{"domain", v.Facts.Domain}, {"fqdn", v.Facts.FQDN}, {"imageRegistry", v.Facts.ImageRegistry}} {
		if !hostName.MatchString(x.value) {
			f.plan("recompile the plan", "the fact %s is %q, not a host name, so no address can be compared with it", x.name, x.value)
			return
		}
	}
	t := &v.Targets
	check := func(name, value string, schemes ...string) {
		u, err := url.Parse(value)
		if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !strings.Contains(" "+strings.Join(schemes, " ")+" ", " "+u.Scheme+" ") {
			f.plan("recompile the plan", "the target %s is not an %s address without credentials or query", name, strings.Join(schemes, " or "))
		} else if !v.own(u.Hostname()) {
			f.plan("recompile the plan", "the target %s is on the host %q, which is neither %s nor in the site's domain %s", name, u.Hostname(), v.Facts.FQDN, v.Facts.Domain)
		}
	}
	check("kubernetes.server", t.Kubernetes.Server, "https")
	check("argocd.url", t.ArgoCD.URL, "https")
	check("love.url", t.LOVE.URL, "https")
	check("efd.url", t.EFD.URL, "https")
	for _, p := range t.Pages {
		check("page "+quoted(p.Title), p.URL, "https", "http")
	}
	if t.ArgoCD.URL == t.LOVE.URL || t.ArgoCD.URL == t.EFD.URL || t.LOVE.URL == t.EFD.URL {
		f.plan("recompile the plan", "two of Argo CD, LOVE and the EFD have the same address")
	}
	taken := map[string]string{}
	for _, h := range v.Hosts {
		if !v.own(h.Address) {
			f.plan("recompile the plan", "the host %q has the address %+q, which is not in the site's domain %s", h.Name, h.Address, v.Facts.Domain)
		}
		if other, ok := taken[h.Address]; ok {
			f.plan("recompile the plan", "the hosts %q and %q have the same address", other, h.Name)
		}
		taken[h.Address] = h.Name
		for _, u := range h.Users {
			if u.Name == "root" || !account.MatchString(u.Name) {
				f.plan("use the account that runs the service", "the host %q has the account %q: a plan never logs in as root, and an account's name has no options", h.Name, u.Name)
			}
		}
	}
}
