package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"github.com/lsst-ts/csu/executor/internal/gate"
)

const (
	// callLimit bounds a single request, in real time.
	callLimit = 20 * time.Second
	// readTries is how often a read is tried in all. The pauses between the
	// tries are 1, 2 and 4 s.
	readTries = 4
)

// LostError reports that a write was sent and no usable answer came back. It
// may or may not have been carried out; the caller must find out.
type LostError struct {
	Op  string // the request, such as `delete Job "simonyitel/mtmount"`
	Err error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("%s: the answer was lost, so it is unknown whether it was done: %v", e.Op, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Read makes call, which must have no effect, and repeats it after a transient
// failure. op names it in the error, such as `list Jobs`. The context passed to
// call has the limit of a single request.
func (c *Cluster) Read(ctx context.Context, op string, call func(context.Context) error) error {
	pause := time.Second
	for try := 1; ; try++ {
		err := limited(ctx, call)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || try == readTries || !transient(err) {
			return c.explain(op, err)
		}
		if sleep := c.clock.Sleep(ctx, pause); sleep != nil {
			return c.explain(op, err)
		}
		pause *= 2
	}
}

// Write makes call once, if the gate in ctx lets it pass. A [*LostError] means
// that the call may have been carried out; any other error means that it was
// not.
func (c *Cluster) Write(ctx context.Context, op string, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: not started: %w", op, err)
	}
	if err := gate.Pass(ctx); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	err := limited(ctx, call)
	if err == nil {
		return nil
	}
	if !refused(err) {
		return &LostError{Op: op, Err: err}
	}
	return c.explain(op, err)
}

func limited(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	// client-go not only returns the error of a truncated answer, it also logs
	// it to standard error, which is the operator's screen.
	return call(klog.NewContext(ctx, klog.Logger{}))
}

// explain adds what a person can do about it to the error of a request.
func (c *Cluster) explain(op string, err error) error {
	var login *LoginError
	switch {
	case errors.As(err, &login):
		return fmt.Errorf("%s: %w", op, login) // without the URL around it
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: %w; the API server rejects the credentials of context %q: log in to the cluster again", op, err, c.context)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w; ask the cluster's administrators for this permission; csu preflight lists all that the plan needs", op, err)
	case unreachable(err):
		return fmt.Errorf("%s: %w; check the network and the VPN to %s", op, err, c.Server())
	}
	return fmt.Errorf("%s: %w", op, err)
}

// transient reports whether trying again may help.
func transient(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		// 410 answers a list as of a time that the server has forgotten. Tried
		// again, the list is as of now.
		return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusGone
	}
	var login *LoginError
	return !untrusted(err) && !errors.As(err, &login)
}

// Away reports whether an error means that the API server did not answer, answered
// with an error that may pass, or wants the operator to log in again.
func Away(err error) bool {
	var login *LoginError
	return transient(err) || errors.As(err, &login) || apierrors.IsUnauthorized(err)
}

// refused reports whether a failed request certainly had no effect.
func refused(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code >= 400 && code < 500 && code != http.StatusRequestTimeout
	}
	var login *LoginError
	return unreachable(err) || untrusted(err) || errors.As(err, &login)
}

// unreachable reports whether no connection was made.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// untrusted reports whether the server's certificate was rejected, in which
// case nothing was sent.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}
