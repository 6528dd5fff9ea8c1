package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

const (
	execLimit   = 30 * time.Second // for one command, in real time
	outputLimit = 1 << 20          // in bytes; the rest of a command's output is dropped
)

// NoPodError reports that there is no running pod to run a command in.
type NoPodError struct {
	Namespace, Selector string
	Found               []string // pods that match but are not running, with their phases
}

func (e *NoPodError) Error() string {
	if len(e.Found) == 0 {
		return fmt.Sprintf("no pod in namespace %q matches %q", e.Namespace, e.Selector)
	}
	return fmt.Sprintf("no running pod in namespace %q matches %q: %s", e.Namespace, e.Selector, strings.Join(e.Found, ", "))
}

// ExitError reports that a command in a pod ended with an exit status other
// than 0. Exec returns its standard output as well.
type ExitError struct {
	Command string // the first word
	Status  int
	Stderr  string
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("%s ended with exit status %d", e.Command, e.Status)
	if message := strings.TrimSpace(e.Stderr); message != "" {
		text += ": " + message
	}
	return text
}

// Exec runs a command, without a shell, in the first running pod that matches
// the label selector; container "" is the pod's first one. It returns the
// command's standard output. A [*NoPodError] or an [*ExitError] says what went
// wrong. A [*LostError] means that the command may have run; any other error
// means that it did not.
//
// Over SPDY, client-go takes an early close of the connection for the end of
// the command. A caller that depends on the output must check from the output
// itself that it is complete.
func (c *Cluster) Exec(ctx context.Context, namespace, selector, container string, argv []string) (stdout string, err error) {
	if len(argv) == 0 {
		return "", errors.New("run a command in a pod: the command is empty")
	}
	if err := checkSelector(selector); err != nil {
		return "", fmt.Errorf("run %q in a pod of namespace %q: %w", argv[0], namespace, err)
	}
	pods, err := c.listPods(ctx, namespace, selector)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return ready(&p, container) })
	if i < 0 {
		missing := &NoPodError{Namespace: namespace, Selector: selector}
		for _, p := range pods {
			missing.Found = append(missing.Found, fmt.Sprintf("%s (%s)", p.Name, p.Status.Phase))
		}
		return "", missing
	}
	return c.execIn(ctx, &pods[i], container, argv)
}

func (c *Cluster) execIn(ctx context.Context, pod *corev1.Pod, container string, argv []string) (string, error) {
	op := fmt.Sprintf("run %q in pod \"%s/%s\"", argv[0], pod.Namespace, pod.Name)
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("%s: not started: %w", op, err)
	}
	request := c.typed.CoreV1().RESTClient().Post().
		Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: argv, Stdout: true, Stderr: true}, scheme.ParameterCodec)

	ctx, cancel := context.WithTimeout(ctx, execLimit)
	defer cancel()
	// client-go not only returns a broken connection's error, it also logs it
	// to standard error.
	ctx = klog.NewContext(ctx, klog.Logger{})
	var out, errs output
	config, err := c.withCertificate(ctx)
	if err != nil {
		return "", c.explain(op, err)
	}
	begun, err := stream(ctx, config, request.URL(), remotecommand.StreamOptions{Stdout: &out, Stderr: &errs})
	var exit utilexec.CodeExitError
	switch {
	case errors.As(err, &exit):
		return out.String(), &ExitError{Command: argv[0], Status: exit.Code, Stderr: errs.String()}
	case err != nil && !begun:
		return "", c.explain(op, err)
	case err != nil:
		return "", &LostError{Op: op, Err: err}
	case out.full:
		return "", fmt.Errorf("%s: more than %d bytes of output", op, outputLimit)
	}
	return out.String(), nil
}

// stream runs a command over a websocket, or over SPDY if the API server or a
// proxy in front of it does not support websockets. begun reports whether the
// command may have been started. It replaces remotecommand's FallbackExecutor,
// whose errors do not show that.
func stream(ctx context.Context, config *rest.Config, address *url.URL, options remotecommand.StreamOptions) (begun bool, err error) {
	websocket, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, address.String())
	if err != nil {
		return false, err
	}
	err = websocket.StreamWithContext(ctx, options)
	var upgrade *httpstream.UpgradeFailureError
	if !errors.As(err, &upgrade) && !httpstream.IsHTTPSProxyError(err) {
		return err != nil && !refused(err), err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return false, err
	}
	watched := &upgradeWatch{RoundTripper: transport}
	executor, err := remotecommand.NewSPDYExecutorForTransports(watched, upgrader, http.MethodPost, address)
	if err != nil {
		return false, err
	}
	err = executor.StreamWithContext(ctx, options)
	if err != nil && !watched.upgraded.Load() && upgrade != nil && upgrade.Cause != nil {
		// The websocket's refusal is the clearer of the two, and has a type.
		return false, fmt.Errorf("%w (by SPDY: %w)", upgrade.Cause, err)
	}
	return watched.upgraded.Load(), err
}

// upgradeWatch records whether a connection was upgraded. Over SPDY, a command
// is started only after that.
type upgradeWatch struct {
	http.RoundTripper
	upgraded atomic.Bool
}

func (w *upgradeWatch) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusSwitchingProtocols {
		w.upgraded.Store(true)
	}
	return response, err
}

// output keeps the first bytes that a command writes. The buffer is not
// embedded, since io.Copy would bypass Write through its ReadFrom.
type output struct {
	kept bytes.Buffer
	full bool
}

func (o *output) Write(p []byte) (int, error) {
	keep := min(len(p), outputLimit-o.kept.Len())
	o.full = o.full || keep < len(p)
	o.kept.Write(p[:keep])
	return len(p), nil // an error would stop the reading of the command's output
}

func (o *output) String() string { return o.kept.String() }
