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
	// readTries is how often a read is made in all before its fault is
	// returned; the pauses between them are 1, 2 and 4 s.
	readTries = 4
)

// LostError says that a write was sent and that no usable answer came back: it
// may have been carried out or not. Whoever gets it has to look.
type LostError struct {
	Op  string // what was asked, like `delete Job "simonyitel/mtmount"`
	Err error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("%s: the answer was lost, so it is not known whether it was done: %v", e.Op, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Read makes call, which must be without effect, and repeats it where it failed
// for a passing reason. op names it in the error, such as `list Jobs`. The
// context that call gets has the limit of a single request.
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

// Write makes call once, if the gate in ctx lets it pass. Its error is a
// [*LostError] where it may have been carried out all the same; any other error
// means that it was not.
func (c *Cluster) Write(ctx context.Context, op string, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: not begun: %w", op, err)
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
	// client-go logs an answer that ends early to standard error, the operator's
	// screen, beside returning it.
	return call(klog.NewContext(ctx, klog.Logger{}))
}

// explain adds to an error of a request what a person can do about it.
func (c *Cluster) explain(op string, err error) error {
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: %w; the API server doesn't accept the credentials of context %q: log in to the cluster again", op, err, c.context)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w; ask the cluster's administrators for this permission, csu preflight lists all that are needed", op, err)
	case unreachable(err):
		return fmt.Errorf("%s: %w; check network and VPN to %s", op, err, c.Server())
	}
	return fmt.Errorf("%s: %w", op, err)
}

// transient tells whether asking again may help.
func transient(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		// 410 is a list that was asked for as of a time that the server has
		// forgotten; asked again, it is of now.
		return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusGone
	}
	return !untrusted(err)
}

// Away reports whether an error says that the API server gave no answer, or none
// that another try could not better.
func Away(err error) bool { return transient(err) }

// refused tells whether a failed request is certain to have had no effect.
func refused(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code >= 400 && code < 500 && code != http.StatusRequestTimeout
	}
	return unreachable(err) || untrusted(err)
}

// unreachable tells whether no connection came about.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// untrusted tells whether the server's certificate was not accepted, in which
// case nothing was sent to it.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}
