// Package cluster is the client of a site's Kubernetes API: the Jobs and pods
// of its CSCs, the namespaces of its users, the ConfigMap that is the site's
// ledger, and commands in a pod.
//
// Reads are repeated a few times after a transient failure. Writes are never
// repeated here. Each carries a precondition (a UID, a resourceVersion, or a
// name that must be free), so that nothing happens twice even when client-go
// itself retries after a Retry-After. If the answer of a write is lost, the
// error is a [*LostError].
package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc" // kubeconfigs with auth-provider: oidc
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/lsst-ts/csu/executor/internal/clock"
	"github.com/lsst-ts/csu/executor/secret"
)

// Cluster is a Kubernetes cluster, reached through a context of a kubeconfig.
type Cluster struct {
	context string
	config  *rest.Config
	plugin  *plugin // that gives the credential, or nil
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	clock   *clock.Clock
}

// Connect loads the kubeconfig and selects the named context; "" selects its
// current context. Without a path it reads the files of KUBECONFIG, or
// ~/.kube/config, as kubectl does; unlike kubectl it never turns to the cluster
// that it may itself run in. It makes no request. Its error is a
// [*KubeconfigError].
func Connect(kubeconfig, context string) (*Cluster, error) {
	c, err := connect(kubeconfig, context)
	if err != nil {
		return nil, &KubeconfigError{err}
	}
	return c, nil
}

// KubeconfigError reports that the kubeconfig is unusable.
type KubeconfigError struct{ Err error }

func (e *KubeconfigError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *KubeconfigError) Unwrap() error { return e.Err }

func connect(kubeconfig, context string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	where := kubeconfig
	if where == "" {
		where = strings.Join(rules.GetLoadingPrecedence(), ", ")
	}
	file, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %q: %w", where, err)
	}
	if context == "" {
		context = file.CurrentContext
	}
	named, ok := file.Contexts[context]
	if !ok {
		return nil, fmt.Errorf("read kubeconfig %q: no context %q (%s); set KUBECONFIG to the file that defines it", where, context, contextNames(file))
	}
	keepSecret(file, named)
	config, err := clientcmd.NewNonInteractiveClientConfig(*file, context, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q, context %q: %w", where, context, err)
	}
	// A preflight makes dozens of requests at once. The default of five a
	// second is meant for controllers, which run forever.
	config.QPS, config.Burst = 50, 100
	config.UserAgent = "csu"
	// Typed clients prefer protobuf by default, which a simulated site does not
	// support.
	config.ContentType = runtime.ContentTypeJSON
	config.WarningHandler = rest.NoWarnings{} // the default one writes to standard error
	client, plugin, err := logIn(context, config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q, context %q: %w", where, context, err)
	}
	typed, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q, context %q: %w", where, context, err)
	}
	dyn, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q, context %q: %w", where, context, err)
	}
	return &Cluster{context: context, config: config, plugin: plugin, typed: typed, dynamic: dyn, clock: clock.Real()}, nil
}

// keepSecret makes the kubeconfig's credentials known to package secret, before anything
// that names them can fail.
func keepSecret(file *clientcmdapi.Config, context *clientcmdapi.Context) {
	if u := file.AuthInfos[context.AuthInfo]; u != nil {
		secret.Know(u.Token)
		secret.KnowLogin(u.Username, u.Password)
		if u.AuthProvider != nil {
			for _, name := range []string{"id-token", "refresh-token", "client-secret"} {
				secret.Know(u.AuthProvider.Config[name])
			}
		}
		if u.Exec != nil {
			// A plugin that ends with an error may show how it was called.
			for _, v := range u.Exec.Env {
				if strings.Contains(strings.ToUpper(v.Name), "SECRET") || strings.Contains(strings.ToUpper(v.Name), "PASSWORD") || strings.Contains(strings.ToUpper(v.Name), "TOKEN") {
					secret.Know(v.Value)
				}
			}
		}
	}
	if c := file.Clusters[context.Cluster]; c != nil {
		secret.KnowURL(c.Server)
		secret.KnowURL(c.ProxyURL)
	}
}

// learning makes the credential of each request known to package secret before it is
// sent: that of a token file or a login command is in no kubeconfig, and changes.
type learning struct{ next http.RoundTripper }

func (l learning) RoundTrip(r *http.Request) (*http.Response, error) {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret.Know(credential)
	if flag, ok := r.Context().Value(reached{}).(*atomic.Bool); ok {
		flag.Store(true)
	}
	return l.next.RoundTrip(r)
}

// WrappedRoundTripper lets client-go find the transport, whose connections it closes.
func (l learning) WrappedRoundTripper() http.RoundTripper { return l.next }

func contextNames(file *clientcmdapi.Config) string {
	var names []string
	for name := range file.Contexts {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "it defines none"
	}
	slices.Sort(names)
	return "it defines " + strings.Join(names, ", ")
}

// SetClock sets the clock of the pauses between repeated reads and of the age of pods; the default is the
// real one. It must be called before the first request.
func (c *Cluster) SetClock(clk *clock.Clock) { c.clock = clk }

// Context returns the name of the kubeconfig's context.
func (c *Cluster) Context() string { return c.context }

// Server returns the address of the API server as given in the kubeconfig.
func (c *Cluster) Server() string { return c.config.Host }

// Dynamic returns the client for objects whose types this package does not
// know. Calls to it go through [Cluster.Read] and [Cluster.Write].
func (c *Cluster) Dynamic() dynamic.Interface { return c.dynamic }

// CheckTarget compares the context and the API server with those that a plan
// names (P20), and returns a [*TargetError] if they differ. Servers are
// compared by scheme, host and port. If wantServer has a path, the server's
// path must be equal to it or below it.
func (c *Cluster) CheckTarget(wantContext, wantServer string) error {
	if c.context == wantContext && sameServer(c.config.Host, wantServer) {
		return nil
	}
	return &TargetError{Context: c.context, Server: c.config.Host, WantContext: wantContext, WantServer: wantServer}
}

// TargetError reports that the kubeconfig leads to a cluster other than the
// plan's.
type TargetError struct {
	Context, Server         string // from the kubeconfig
	WantContext, WantServer string // from the plan
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("wrong cluster: the plan is for context %q at %q, but the kubeconfig gives context %q at %q; "+
		"set KUBECONFIG to the file for the plan's cluster, or correct the site's context and server and compile the plan again",
		e.WantContext, e.WantServer, e.Context, e.Server)
}

func sameServer(have, want string) bool {
	h, err := parseServer(have)
	if err != nil {
		return false
	}
	w, err := parseServer(want)
	if err != nil {
		return false
	}
	if h.Scheme != w.Scheme || h.Host != w.Host {
		return false
	}
	return w.Path == "" || h.Path == w.Path || strings.HasPrefix(h.Path, w.Path+"/")
}

// parseServer returns the address of an API server in a form that can be
// compared: lower case, with its port, without a trailing slash.
func parseServer(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "" || u.Hostname() == "" {
		return nil, errors.New("no scheme or no host")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	u.Host = strings.ToLower(u.Hostname()) + ":" + port
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}
