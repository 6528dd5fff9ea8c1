// Package cluster speaks to the Kubernetes API of a site: the Jobs and pods of
// its CSCs, the namespaces of its users, the ConfigMap that is the site's ledger,
// and commands in a pod.
//
// Reads are repeated a few times where the fault is a passing one. Writes are
// never repeated here; every one of them carries a precondition (a UID, a
// resourceVersion, or a name that must not be taken), so that client-go's own
// waiting for a server that answers Retry-After can do nothing twice. Where the
// answer of a write was lost, the error is a [*LostError].
package cluster

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/lsst-ts/csu/executor/internal/clock"
)

// Cluster is one Kubernetes cluster, reached with a context of a kubeconfig.
type Cluster struct {
	context string
	config  *rest.Config
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	clock   *clock.Clock
}

// Connect loads the kubeconfig and takes the named context; "" takes its
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
	if _, ok := file.Contexts[context]; !ok {
		return nil, fmt.Errorf("read kubeconfig %q: no context %q (%s); set KUBECONFIG to the file that has it", where, context, contextNames(file))
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*file, context, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q, context %q: %w", where, context, err)
	}
	// A preflight asks some dozens of questions at once; the default of five a
	// second is meant for controllers that never end.
	config.QPS, config.Burst = 50, 100
	config.UserAgent = "csu"
	// Typed clients would prefer protobuf, which a simulated site doesn't speak.
	config.ContentType = runtime.ContentTypeJSON
	config.WarningHandler = rest.NoWarnings{} // the default one writes to standard error
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q, context %q: %w", where, context, err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q, context %q: %w", where, context, err)
	}
	return &Cluster{context: context, config: config, typed: typed, dynamic: dyn, clock: clock.Real()}, nil
}

func contextNames(file *clientcmdapi.Config) string {
	var names []string
	for name := range file.Contexts {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "it has none"
	}
	slices.Sort(names)
	return "it has " + strings.Join(names, ", ")
}

// SetClock makes the pauses between repeated reads and the age of pods follow the
// clock of the run; before, they follow the real one. It is to be called before the
// first request.
func (c *Cluster) SetClock(clk *clock.Clock) { c.clock = clk }

// Context returns the name of the kubeconfig's context.
func (c *Cluster) Context() string { return c.context }

// Server returns the address of the API server, as the kubeconfig has it.
func (c *Cluster) Server() string { return c.config.Host }

// Dynamic returns the client for objects whose types this package doesn't know.
// Its calls go through [Cluster.Read] and [Cluster.Write].
func (c *Cluster) Dynamic() dynamic.Interface { return c.dynamic }

// CheckTarget compares context and API server with those that a plan names
// (P20), and returns a [*TargetError] where they differ. Servers are compared by
// scheme, host and port; where wantServer has a path, the server's path must be
// that one or lie below it.
func (c *Cluster) CheckTarget(wantContext, wantServer string) error {
	if c.context == wantContext && sameServer(c.config.Host, wantServer) {
		return nil
	}
	return &TargetError{Context: c.context, Server: c.config.Host, WantContext: wantContext, WantServer: wantServer}
}

// TargetError says that the kubeconfig leads to another cluster than the plan's.
type TargetError struct {
	Context, Server         string // what the kubeconfig gives
	WantContext, WantServer string // what the plan names
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("wrong cluster: the plan is for context %q at %q, the kubeconfig gives context %q at %q; "+
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

// parseServer brings the address of an API server into the form in which two of
// them can be compared: lower case, with its port, without a slash at the end.
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
