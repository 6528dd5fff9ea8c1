package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/pkg/apis/clientauthentication"
	"k8s.io/client-go/pkg/apis/clientauthentication/install"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clientauthenticationv1beta1 "k8s.io/client-go/pkg/apis/clientauthentication/v1beta1"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/connrotation"

	"github.com/lsst-ts/csu/executor/secret"
)

// A plugin is a kubeconfig's credential plugin: a command that prints a credential. It
// replaces client-go's, which lets the command read the keyboard and write to the
// screen: a plugin that asked for a password read the operator's answers to csu.
//
// The command runs in a session of its own, so that it has no terminal, and without
// standard input; its standard error is kept. It is told so (interactive is false). One
// that must ask fails, and the operator logs in elsewhere: most plugins keep what they
// got. The protocol is client.authentication.k8s.io, v1 and v1beta1.
type plugin struct {
	context string
	exec    *clientcmdapi.ExecConfig
	cluster *clientauthentication.Cluster
	conns   *connrotation.ConnectionTracker // closed when the certificate changes

	mu      sync.Mutex
	last    *credential
	failed  error // of the last run, if it failed
	ended   time.Time
	running chan struct{} // closed when the run under way ends; nil if there is none
}

// A credential is what a plugin has printed.
type credential struct {
	token   string
	cert    *tls.Certificate
	expires time.Time // zero if it does not say
}

const (
	// pluginLimit is for one run of a plugin. A browser may be involved.
	pluginLimit = time.Minute
	// pluginRest is for how long a failure stands: dozens of requests are made at once.
	pluginRest = 3 * time.Second
	// mostSaid is how much of a plugin's standard error is kept, in bytes.
	mostSaid = 4 << 10
)

// A LoginError reports that no credential for the cluster could be got. No request was
// sent.
type LoginError struct {
	Context string
	Err     error
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("no credential for context %q: %v", e.Context, e.Err)
}

// Unwrap returns the cause.
func (e *LoginError) Unwrap() error { return e.Err }

// Hint returns the remedy.
func (e *LoginError) Hint() string {
	return fmt.Sprintf("log in first: run kubectl --context %s auth whoami in another terminal, and then csu again", e.Context)
}

// A PluginError reports that a credential plugin failed.
type PluginError struct {
	Command string
	Said    string // on standard error
	Install string // how to install it, if it is not there; the kubeconfig says it
	Err     error
}

func (e *PluginError) Error() string {
	text := fmt.Sprintf("the kubeconfig's plugin %q: %v", e.Command, e.Err)
	if e.Said != "" {
		text += fmt.Sprintf("; it says: %s", e.Said)
	}
	if e.Install != "" {
		text += "; " + e.Install
	}
	return text
}

// Unwrap returns the cause.
func (e *PluginError) Unwrap() error { return e.Err }

// pluginScheme decodes what plugins print.
var pluginScheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	install.Install(s)
	return s
}()

func newPlugin(context string, config *rest.Config) (*plugin, error) {
	p := &plugin{context: context, exec: config.ExecProvider, conns: connrotation.NewConnectionTracker()}
	versions := []string{clientauthenticationv1.SchemeGroupVersion.String(), clientauthenticationv1beta1.SchemeGroupVersion.String()}
	if !slices.Contains(versions, p.exec.APIVersion) {
		return nil, fmt.Errorf("the plugin %q has apiVersion %q; csu knows %s", p.exec.Command, p.exec.APIVersion, strings.Join(versions, " and "))
	}
	var err error
	if p.exec.ProvideClusterInfo {
		p.cluster, err = rest.ConfigToExecCluster(config)
	}
	return p, err
}

// credential returns the plugin's credential, for which it runs the plugin if there is
// none that is valid. Its error is a [*LoginError] or that of ctx.
func (p *plugin) credential(ctx context.Context) (*credential, error) {
	p.mu.Lock()
	if c := p.last; c != nil && (c.expires.IsZero() || time.Now().Before(c.expires)) {
		p.mu.Unlock()
		return c, nil
	}
	if p.failed != nil && time.Since(p.ended) < pluginRest {
		defer p.mu.Unlock()
		return nil, p.failed
	}
	if p.running == nil {
		p.running = make(chan struct{})
		go p.renew(p.running)
	}
	running := p.running
	p.mu.Unlock()
	select {
	case <-running:
	case <-ctx.Done():
		return nil, &LoginError{p.context, fmt.Errorf("the kubeconfig's plugin %q is still running: %w", p.exec.Command, ctx.Err())}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return nil, p.failed
	}
	return p.last, nil
}

// reject forgets a credential that the API server has rejected.
func (p *plugin) reject(c *credential) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == c {
		p.last = nil
	}
}

func (p *plugin) renew(done chan struct{}) {
	c, err := p.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.failed, p.ended, p.running = c, nil, time.Now(), nil
	if err != nil {
		p.failed = &LoginError{p.context, err}
	}
	if err == nil && c.cert != nil {
		p.conns.CloseAll() // they belong to the last certificate
	}
	close(done)
}

// run runs the command.
func (p *plugin) run() (*credential, error) {
	var said, out output
	failed := func(err error) error {
		e := &PluginError{Command: p.exec.Command, Said: lastWords(said.String()), Err: err}
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			e.Install = strings.Join(strings.Fields(p.exec.InstallHint), " ")
		}
		return e
	}
	environment, err := p.environment()
	if err != nil {
		return nil, failed(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), pluginLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.exec.Command, p.exec.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment, &out, &said
	// In a session of its own it cannot open /dev/tty. It leads a group, too, so that
	// what it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("it did not end within %s", pluginLimit)
		}
		return nil, failed(err)
	}
	c, err := p.decode(out.kept.Bytes())
	if err != nil {
		return nil, failed(err)
	}
	return c, nil
}

// terminals are the variables that name the terminal, for programs that open it by name.
var terminals = []string{"GPG_TTY", "SSH_TTY"}

func (p *plugin) environment() ([]string, error) {
	spec := &clientauthentication.ExecCredential{Spec: clientauthentication.ExecCredentialSpec{Cluster: p.cluster}}
	version, err := schema.ParseGroupVersion(p.exec.APIVersion)
	if err != nil {
		return nil, err
	}
	info, err := runtime.Encode(serializer.NewCodecFactory(pluginScheme).LegacyCodec(version), spec)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(terminals, name)
	})
	for _, v := range p.exec.Env {
		all = append(all, v.Name+"="+v.Value)
	}
	return append(all, "KUBERNETES_EXEC_INFO="+string(info)), nil
}

// decode reads what the command has printed. Its errors do not repeat it.
func (p *plugin) decode(data []byte) (*credential, error) {
	object, kind, err := serializer.NewCodecFactory(pluginScheme).UniversalDecoder(clientauthentication.SchemeGroupVersion).Decode(data, nil, nil)
	printed, ok := object.(*clientauthentication.ExecCredential)
	switch {
	case err != nil || !ok:
		return nil, errors.New("it printed no ExecCredential")
	case kind.GroupVersion().String() != p.exec.APIVersion:
		return nil, fmt.Errorf("it printed an ExecCredential of %s, but the kubeconfig says %s", kind.GroupVersion(), p.exec.APIVersion)
	case printed.Status == nil:
		return nil, errors.New("its ExecCredential has no status")
	}
	status := printed.Status
	secret.Know(status.Token)
	c := &credential{token: status.Token}
	if status.ExpirationTimestamp != nil {
		c.expires = status.ExpirationTimestamp.Time
	}
	if status.ClientCertificateData == "" && status.ClientKeyData == "" {
		if c.token == "" {
			return nil, errors.New("its ExecCredential has neither a token nor a certificate")
		}
		return c, nil
	}
	cert, err := tls.X509KeyPair([]byte(status.ClientCertificateData), []byte(status.ClientKeyData))
	if err != nil {
		return nil, errors.New("the certificate and the key of its ExecCredential do not form a pair")
	}
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return nil, fmt.Errorf("the certificate of its ExecCredential: %w", err)
	}
	if c.cert = &cert; c.expires.IsZero() {
		c.expires = cert.Leaf.NotAfter
	}
	return c, nil
}

// lastWords returns the end of what a command has said, on one line.
func lastWords(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > mostSaid {
		text = "…" + strings.ToValidUTF8(text[len(text)-mostSaid:], "")
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, " / ")
}

// certificate is called when a connection is made.
func (p *plugin) certificate() (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	c, err := p.credential(ctx)
	if err != nil {
		return nil, err
	}
	return c.cert, nil
}

// wrap adds the token to requests. A request that the API server rejects because of its
// token was not carried out, so it is sent again with a new one.
func (p *plugin) wrap(next http.RoundTripper) http.RoundTripper { return &authorizing{p, next} }

type authorizing struct {
	plugin *plugin
	next   http.RoundTripper
}

func (a *authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		return a.next.RoundTrip(r)
	}
	for first := true; ; first = false {
		c, err := a.plugin.credential(r.Context())
		if err != nil {
			return nil, err
		}
		sent := r.Clone(r.Context())
		if c.token != "" {
			sent.Header.Set("Authorization", "Bearer "+c.token)
		}
		if !first && r.Body != nil {
			if sent.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		resp, err := a.next.RoundTrip(sent)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		a.plugin.reject(c)
		if !first || r.Body != nil && r.GetBody == nil {
			return resp, nil
		}
		resp.Body.Close()
	}
}

// WrappedRoundTripper lets client-go find the transport, whose connections it closes.
func (a *authorizing) WrappedRoundTripper() http.RoundTripper { return a.next }
