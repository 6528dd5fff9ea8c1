// Package registry reads and sets the compatibility level of the Confluent
// schema registry.
//
// The registry is not reachable from outside the cluster. As in the procedure
// (P24, P25), csu talks to its REST API through curl inside one of its own
// pods, whose environment holds the address. No shell is involved: a command is
// either printenv SCHEMA_REGISTRY_LISTENERS, or curl with the URL as its last
// argument.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/lsst-ts/csu/executor/internal/cluster"
	"github.com/lsst-ts/csu/executor/internal/gate"
)

const (
	contentType = "application/vnd.schemaregistry.v1+json"
	// readTries is how often a read is tried when the answer is lost.
	readTries = 3
)

// Exec runs a command in a pod and returns its standard output, as
// cluster.Cluster does. A cluster.ExitError means that the command failed, a
// cluster.LostError that it is unknown whether it ran.
type Exec interface {
	Exec(ctx context.Context, namespace, selector, container string, argv []string) (string, error)
}

// Registry is the schema registry of a site.
type Registry struct {
	exec                           Exec
	namespace, selector, container string
}

// New returns the registry whose pods match a label selector; container "" is
// their first one.
func New(x Exec, namespace, selector, container string) *Registry {
	return &Registry{exec: x, namespace: namespace, selector: selector, container: container}
}

// Error is an error that the registry itself returned.
type Error struct {
	HTTPStatus int
	Code       int    // the registry's error_code, such as 42203; 0 if it gave none
	Message    string // the registry's
}

func (e *Error) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("the schema registry answered HTTP status %d: %s", e.HTTPStatus, e.Message)
	}
	return fmt.Sprintf("the schema registry answered error %d: %s", e.Code, e.Message)
}

// Level returns the registry's global compatibility level, such as FORWARD.
// Subjects that have a level of their own override it.
func (r *Registry) Level(ctx context.Context) (string, error) {
	const op = "read the schema registry's compatibility level"
	for try := 1; ; try++ {
		level, err := r.level(ctx)
		var lost *cluster.LostError
		if err == nil || ctx.Err() != nil || try == readTries || !errors.As(err, &lost) {
			if err != nil {
				return "", fmt.Errorf("%s: %w", op, err)
			}
			return level, nil
		}
	}
}

func (r *Registry) level(ctx context.Context) (string, error) {
	address, err := r.address(ctx)
	if err != nil {
		return "", err
	}
	body, err := r.curl(ctx, "-H", "Accept: "+contentType, address+"/config")
	if err != nil {
		return "", err
	}
	var answer struct {
		CompatibilityLevel string `json:"compatibilityLevel"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return "", fmt.Errorf("the answer is not from the registry: %w", err)
	}
	if answer.CompatibilityLevel == "" {
		return "", errors.New("the answer has no compatibilityLevel")
	}
	return answer.CompatibilityLevel, nil
}

// SetLevel sets the registry's global compatibility level and checks that the
// registry confirms it. After a cluster.LostError the level may or may not be
// set; after any other error it is unchanged.
func (r *Registry) SetLevel(ctx context.Context, level string) error {
	op := fmt.Sprintf("set the schema registry's compatibility level to %s", level)
	// The key differs from the one in the answer to a read.
	type compatibility struct {
		Compatibility string `json:"compatibility"`
	}
	request, err := json.Marshal(compatibility{level})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	address, err := r.address(ctx)
	if err != nil {
		var lost *cluster.LostError
		if errors.As(err, &lost) {
			err = lost.Err // only a read was lost, so the level is not in doubt
		}
		return fmt.Errorf("%s: not started: %w", op, err)
	}
	if err := gate.Pass(ctx); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	body, err := r.curl(ctx, "-X", "PUT", "-H", "Content-Type: "+contentType, "-H", "Accept: "+contentType, "-d", string(request), address+"/config")
	if err != nil {
		if refused(err) {
			return fmt.Errorf("%s: %w", op, err)
		}
		return &cluster.LostError{Op: op, Err: err}
	}
	var answer compatibility
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return &cluster.LostError{Op: op, Err: fmt.Errorf("the answer is not from the registry: %w", err)}
	}
	if answer.Compatibility != level {
		return &cluster.LostError{Op: op, Err: fmt.Errorf("the registry answered that it set %q", answer.Compatibility)}
	}
	return nil
}

// address returns the URL that the registry listens on inside its pod.
func (r *Registry) address(ctx context.Context) (string, error) {
	out, err := r.exec.Exec(ctx, r.namespace, r.selector, r.container, []string{"printenv", "SCHEMA_REGISTRY_LISTENERS"})
	var exit *cluster.ExitError
	switch {
	case errors.As(err, &exit):
		return "", fmt.Errorf("pods %q in namespace %q have no SCHEMA_REGISTRY_LISTENERS in their environment, so they are probably not the schema registry's: %w", r.selector, r.namespace, err)
	case err != nil:
		return "", err
	}
	first, _, _ := strings.Cut(out, ",")
	listener := strings.TrimSpace(first)
	u, err := url.Parse(listener)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("SCHEMA_REGISTRY_LISTENERS of pods %q in namespace %q is %q, want a list of URLs", r.selector, r.namespace, strings.TrimSpace(out))
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // it listens everywhere
	}
	port := u.Port()
	if port == "" {
		port = "8081" // the registry's own default
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port), nil
}

// curl makes a request and returns the body of an answer with HTTP status 200.
// It does not use --fail-with-body, since the curl in some of Confluent's
// images is too old for it. It requests the status instead, which, as the last
// line, also shows that the output is complete.
func (r *Registry) curl(ctx context.Context, arguments ...string) (string, error) {
	argv := append([]string{"curl", "-sS", "-m", "20", "-w", `\n%{http_code}`}, arguments...)
	out, err := r.exec.Exec(ctx, r.namespace, r.selector, r.container, argv)
	if err != nil {
		return "", err
	}
	cut := strings.LastIndexByte(out, '\n')
	if cut < 0 || len(out) != cut+4 {
		return "", &cluster.LostError{Op: "curl in the schema registry's pod", Err: errors.New("the output ends before the HTTP status")}
	}
	status, err := strconv.Atoi(out[cut+1:])
	if err != nil {
		return "", &cluster.LostError{Op: "curl in the schema registry's pod", Err: fmt.Errorf("the output does not end with an HTTP status: %w", err)}
	}
	if status == http.StatusOK {
		return out[:cut], nil
	}
	return "", errorOf(status, out[:cut])
}

func errorOf(status int, body string) *Error {
	var answer struct {
		ErrorCode int    `json:"error_code"`
		Message   string `json:"message"`
	}
	// A proxy's error is not JSON; then the status must do.
	if json.Unmarshal([]byte(body), &answer) != nil || answer.Message == "" {
		return &Error{HTTPStatus: status, Message: http.StatusText(status)}
	}
	return &Error{HTTPStatus: status, Code: answer.ErrorCode, Message: answer.Message}
}

// refused reports whether a failed PUT certainly changed nothing.
func refused(err error) bool {
	var lost *cluster.LostError
	if errors.As(err, &lost) {
		return false
	}
	// A registry that answers with a server error may have stored the level
	// before it failed.
	var answered *Error
	if errors.As(err, &answered) {
		return answered.HTTPStatus < 500
	}
	// curl, or the runtime that should start it, sent nothing: a wrong option
	// or URL, an unknown host, no connection, no such command.
	var exit *cluster.ExitError
	if errors.As(err, &exit) {
		switch exit.Status {
		case 2, 3, 6, 7, 126, 127:
			return true
		}
		return false
	}
	return true // the command was not started
}
