// Package systems connects to the systems that a plan talks to: those of the real site,
// or those of a site map.
package systems

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/lsst-ts/csu/executor/exit"
	"github.com/lsst-ts/csu/executor/internal/action"
	"github.com/lsst-ts/csu/executor/internal/argocd"
	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/efd"
	"github.com/lsst-ts/csu/executor/internal/love"
	"github.com/lsst-ts/csu/executor/internal/registry"
	"github.com/lsst-ts/csu/executor/internal/remote"
	"github.com/lsst-ts/csu/executor/internal/slack"
	"github.com/lsst-ts/csu/executor/plan"
	"github.com/lsst-ts/csu/executor/secret"
	"github.com/lsst-ts/csu/executor/sitemap"
)

// The environment variables that hold csu's secrets. Instead of a variable, the one
// with _FILE appended may give the path of a file that holds the secret.
const (
	LOVEUsername = "CSU_LOVE_USERNAME"
	LOVEPassword = "CSU_LOVE_PASSWORD"
	EFDUsername  = "CSU_EFD_USERNAME"
	EFDPassword  = "CSU_EFD_PASSWORD"
	SlackToken   = "CSU_SLACK_TOKEN"
	SlackWebhook = "CSU_SLACK_WEBHOOK"
)

// Environment returns a function that looks up a secret by its variable's name, in an
// environment such as [os.LookupEnv] or in the file that it names. It returns "" for a
// variable that is not set. Its errors contain no secrets.
func Environment(lookup func(string) (string, bool)) func(name string) (string, error) {
	return func(name string) (string, error) {
		value, given := lookup(name)
		file, inFile := lookup(name + "_FILE")
		switch {
		case given && value != "" && inFile && file != "":
			return "", exit.Unusable("unset one of them", "%s and %s_FILE are both set", name, name)
		case !inFile || file == "":
			return value, nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the file named by %s_FILE: %w", name, err)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
}

// uses reports which systems the steps of a plan talk to.
type uses struct{ love, efd, cluster bool }

func usesOf(p *plan.Plan) uses {
	var u uses
	for step := range p.AllSteps() {
		e := step.Effects(p)
		u.love, u.efd, u.cluster = u.love || e.LOVE, u.efd || e.EFD, u.cluster || e.Cluster()
	}
	return u
}

// UsesCluster reports whether the plan talks to a cluster, and so has a ledger.
func UsesCluster(p *plan.Plan) bool { return usesOf(p).cluster }

// Clients are the clients of all systems that a run talks to.
type Clients = action.Systems

// Connect returns the clients of all systems that the plan talks to. It makes no
// request, except to the clock of a simulated site. From then on the credentials are
// known to package secret. With a site map, the clients use the map's addresses, credentials and clock,
// and only the loopback interface. Otherwise they use the plan's targets and what
// credentials returns. Slack needs no credentials: without them, messages cannot be
// posted, but the upgrade can run. All other missing credentials are reported together,
// in an error with the code [exit.Input].
func Connect(p *plan.Plan, m *sitemap.Map, credentials func(name string) (string, error)) (*Clients, error) {
	s, missing := ConnectPartly(p, m, credentials)
	for _, err := range []error{missing.Credentials, missing.Cluster} {
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Missing is why there are no clients of some systems; its errors are nil if there are.
type Missing struct {
	Credentials error // then there is no client of LOVE, the EFD and Slack
	Cluster     error // then there is none of the cluster, Argo CD and the registry
}

// ConnectPartly is Connect for a preflight, which names all that is missing.
func ConnectPartly(p *plan.Plan, m *sitemap.Map, credentials func(name string) (string, error)) (*Clients, Missing) {
	used := usesOf(p)
	c := connection{
		love: p.Targets.LOVE.URL, efd: p.Targets.EFD.URL, lookup: credentials,
		clock: clock.Real(), http: &http.Client{}, remote: remote.Config{},
	}
	if m != nil {
		c.rehearsed(m)
	}
	s := &Clients{Clock: c.clock, Phalanx: &action.Phalanx{}}
	c.remote.Clock = c.clock
	s.Remote = remote.New(c.remote)
	missing := Missing{Credentials: c.services(p, s, used, m != nil)}
	if used.cluster {
		missing.Cluster = c.cluster(p, s)
	}
	return s, missing
}

// services adds the clients of the systems whose credentials csu is given.
func (c *connection) services(p *plan.Plan, s *Clients, used uses, rehearsed bool) error {
	secrets, err := c.secrets(used, rehearsed)
	if err != nil {
		return err
	}
	if s.Slack, err = slack.New(secrets[SlackToken], secrets[SlackWebhook], c.slack, c.http, c.clock); err != nil {
		return err
	}
	s.LOVE = love.New(c.love, secrets[LOVEUsername], secrets[LOVEPassword], c.http)
	s.EFD = efd.New(c.efd, p.Targets.EFD.Database, secrets[EFDUsername], secrets[EFDPassword], c.http, c.clock, time.Duration(p.Targets.EFD.Lag))
	return nil
}

// ConnectCluster is Connect for the cluster alone. It needs only the kubeconfig's
// credentials.
func ConnectCluster(p *plan.Plan, m *sitemap.Map) (*Clients, error) {
	c := connection{clock: clock.Real()}
	if m != nil {
		c.rehearsed(m)
	}
	s := &Clients{Clock: c.clock}
	return s, c.cluster(p, s)
}

func (c *connection) cluster(p *plan.Plan, s *Clients) (err error) {
	if s.Cluster, err = cluster.Connect(c.kubeconfig, p.Targets.Kubernetes.Context); err != nil {
		return err
	}
	s.Cluster.SetClock(c.clock)
	s.ArgoCD = argocd.New(s.Cluster, p.Targets.ArgoCD.Namespace, c.clock)
	s.Registry = registry.New(s.Cluster, p.Targets.Registry.Namespace, p.Targets.Registry.Selector, p.Targets.Registry.Container)
	return nil
}

// connection is what differs between the real site and a rehearsed one.
type connection struct {
	love, efd, slack string
	kubeconfig       string // "" means that of the operator's environment
	lookup           func(name string) (string, error)
	clock            *clock.Clock
	http             *http.Client
	remote           remote.Config
}

func (c *connection) rehearsed(m *sitemap.Map) {
	c.love, c.efd, c.slack, c.kubeconfig = m.LOVE, m.EFD, m.Slack, m.Kubeconfig
	c.lookup = func(name string) (string, error) { return m.Credentials[name], nil }
	c.clock = clockOf(m)
	c.http = &http.Client{Transport: &http.Transport{DialContext: dialLoopback}} // and no proxy
	c.remote = remote.Config{SSHConfigFile: m.SSHConfig, Allow: sitemap.Loopback}
}

// dialLoopback connects only to the loopback interface: a rehearsal must not be able to
// reach the real site.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	if err := sitemap.Loopback(address); err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// secrets looks up the secrets that are needed; a rehearsed site may need none.
func (c *connection) secrets(used uses, rehearsed bool) (map[string]string, error) {
	found := map[string]string{}
	var missing []string
	for _, s := range []struct {
		name           string
		needed, public bool
	}{
		{LOVEUsername, used.love, true}, {LOVEPassword, used.love, false},
		{EFDUsername, used.efd, true}, {EFDPassword, used.efd, false},
		{SlackToken, false, false}, {SlackWebhook, false, false},
	} {
		value, err := c.lookup(s.name)
		if err != nil {
			return nil, err
		}
		if value == "" && s.needed && !rehearsed {
			missing = append(missing, s.name)
		}
		if !s.public && secret.TooShort(value) {
			return nil, exit.Unusable("use an account with a longer one",
				"%s has fewer than %d characters: csu cannot tell it from other text, and so cannot keep it out of the journal", s.name, secret.Least)
		}
		found[s.name] = value
	}
	c.keepSecret(found)
	if len(missing) > 0 {
		return nil, exit.Unusable("set these environment variables, or append _FILE to their names and set them to the paths of files with the values",
			"missing credentials: %s", strings.Join(missing, ", "))
	}
	return found, nil
}

// keepSecret makes the credentials known to package secret, and those of a proxy.
func (c *connection) keepSecret(found map[string]string) {
	secret.Know(found[LOVEPassword], found[SlackToken], found[SlackWebhook])
	secret.KnowLogin(found[EFDUsername], found[EFDPassword])
	if webhook, err := url.Parse(found[SlackWebhook]); err == nil {
		// The address of a webhook is its secret, and a request has the path alone.
		secret.Know(webhook.EscapedPath(), path.Base(webhook.Path))
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		secret.KnowURL(os.Getenv(name))
	}
}

// Guard refuses to run a plan on any cluster but its own (P20). For a rehearsal, the
// kubeconfig's context must have the same name as the plan's, and the API server must be
// on the loopback interface.
func Guard(p *plan.Plan, s *Clients, rehearsed bool) error {
	if !UsesCluster(p) {
		return nil
	}
	if s.Cluster == nil {
		return exit.Refuse("", "the plan needs a cluster, but csu has no connection to one")
	}
	want := p.Targets.Kubernetes
	if !rehearsed {
		if err := s.Cluster.CheckTarget(want.Context, want.Server); err != nil {
			return exit.Refuse("", "%w", err)
		}
		return nil
	}
	if s.Cluster.Context() != want.Context {
		return exit.Refuse("", "the site map's kubeconfig has the context %q, but the plan has %q", s.Cluster.Context(), want.Context)
	}
	if err := sitemap.Loopback(s.Cluster.Server()); err != nil {
		return exit.Refuse("", "the site map's kubeconfig: %w", err)
	}
	return nil
}
